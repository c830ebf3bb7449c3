"""Rows against the slice store: where boxes and points lie, how images are turned, whether answers are true."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from dataset_builder.check.answers import in_slice, in_stack
from dataset_builder.check.columns import slice_problems, stack_problems
from dataset_builder.check.content import Content
from dataset_builder.check.contrast import SHARE, contrast
from dataset_builder.check.findings import Findings
from dataset_builder.check.images import Images
from dataset_builder.check.items import Item, Items, SliceKey, group
from dataset_builder.check.label_fit import LabelFit
from dataset_builder.check.limits import Limits
from dataset_builder.check.located import margin_bound, mask_problems, place_in_stack_wrong, place_wrong, unclear
from dataset_builder.check.maps import Map, Shown, read_maps, window_limits
from dataset_builder.check.measured import measurement_problems
from dataset_builder.vocabulary import Structure

BY_MAPS = ("boxes", "orientation", "pixels", "labels", "answers")
"""Checks that need the slice store."""


def check_places(
    items: Items,
    images: Images,
    files: Sequence[Path],
    words: Mapping[str, Structure],
    findings: Findings,
    progress: Callable[[str, int, int], None],
    limits: Limits,
) -> None:
    """Go once through the slice store and make all checks that need it.

    Args:
        files: of the slice store.
        words: structures by canonical name.
        limits: that the builds kept.
    """
    if not files:
        for check in BY_MAPS:
            findings.skip(check, "The data set has no slice store, which holds the label maps.")
        return
    checks = _Checks(items, images, words, findings, limits)
    try:
        total = sum(pq.read_metadata(file).num_rows for file in files)
        for done, here in enumerate(read_maps(list(files)), 1):
            checks.look(here)
            if done % 16 == 0 or done == total:
                progress("slices", done, total)
    except (pa.ArrowException, OSError, ValueError, KeyError, TypeError) as error:
        findings.violation("files", "The slice store cannot be read.", str(files[0].name), error)
    checks.finish()


class _Checks:
    """All checks against slices, fed one slice at a time."""

    def __init__(
        self,
        items: Items,
        images: Images,
        words: Mapping[str, Structure],
        findings: Findings,
        limits: Limits,
    ) -> None:
        self._limits, self._min_contrast = limits, limits.min_contrast * SHARE
        self._words, self._findings, self._images = words, findings, images
        self._items = items
        self._waiting: dict[SliceKey, list[tuple[Item, int]]] = group(
            (key, (item, number)) for item in items.rows for number, key in enumerate(item.slice_keys())
        )
        self._stacked = {key for item in items.rows if item.input == "stack" for key in item.slice_keys()}
        self._areas: dict[SliceKey, dict[str, float]] = {}
        self._through: dict[tuple[str, str, str], Mapping[str, float]] = {}
        self._fit = LabelFit()
        self._scans: dict[tuple[str, str, str], tuple[float, bool]] = {}
        self._content = Content(images, findings)

    def look(self, here: Map) -> None:
        """Check all rows about a slice; a slice that the store holds twice is looked at once."""
        if here.stack:
            self._through[here.key[:3]] = here.through
        self._fit.add(here)
        self._scans[here.key[:3]] = here.thickness, here.straight
        if here.key in self._stacked:
            self._areas[here.key] = {name: structure.area_mm2 for name, structure in here.structures.items()}
        shown: dict[tuple[int, str, str], Shown] = {}
        uses = self._waiting.pop(here.key, [])
        seen: dict[tuple[str, str], float | None] = {}
        self._content.look(here, uses)
        for item, number in uses:
            # Without its images a data set does not say how large they are; pixels are square, so this does.
            size = self._size(item, number) or round(max(here.extent) / item.pixel_mm)
            key = (size, item.convention, item.view)
            if key not in shown:
                shown[key] = here.shown(*key)
            self._places(item, number, shown[key])
            for problem, value in mask_problems(item, number, shown[key]) if item.masks else ():
                self._findings.violation("boxes", problem, str(item), value)
            if number == 0 and item.input == "slice":
                self._faint(item, here, seen)
            if number == 0:
                for problem, value in slice_problems(item, here, self._words):
                    self._findings.violation("columns", problem, str(item), value)
            if not item.is_choice:
                self._without_options(item, number, here, shown[key])
            elif item.input != "stack":
                self._findings.looked("answers")
                if wrong := in_slice(item, here, shown[key], self._words):
                    self._findings.violation("answers", "An answer is wrong.", str(item), wrong)

    def _without_options(self, item: Item, number: int, here: Map, shown: Shown) -> None:
        """A row that asks for a place or a number, against the slice that decides it."""
        if number != (item.answer_image or 0):
            return
        self._findings.looked("answers")
        if item.answer_type == "number":
            for problem, value in measurement_problems(item, here, shown):
                self._findings.violation("answers", problem, str(item), value)
            return
        if wrong := unclear(item, here, self._limits):
            self._findings.violation(
                "answers", "What a question asks for has no clear box, or a tiny one.", str(item), wrong
            )
        if item.input == "stack":
            return  # when all of its slices are known
        if wrong := place_wrong(item, here, shown, self._words):
            self._findings.violation(
                "answers", "What a question asks for is not there, or not alone.", str(item), wrong
            )
        elif not 0 <= item.margin_mm <= margin_bound(item, here) * (1 + 2e-4) + 0.02:
            found = f"{item.margin_mm:g} mm, at most {margin_bound(item, here):g}"
            self._findings.violation("columns", "The margin differs from that of the structures.", str(item), found)

    def _faint(self, item: Item, here: Map, seen: dict[tuple[str, str], float | None]) -> None:
        """Name structures that melt into what is around them."""
        if not self._min_contrast:
            return
        for name in item.structures:
            key = (name, item.window)
            if key not in seen:
                seen[key] = contrast(here, name, *window_limits(item.window))
            found = seen[key]
            if found is not None and found < self._min_contrast:
                value = f"{name}: {found:.1f} grey levels across its border"
                self._findings.violation("labels", "A structure that is asked about cannot be seen.", str(item), value)

    def finish(self) -> None:
        """Check stacks, of which all slices are known now, and name rows about slices that never came."""
        self._fit.report(self._findings)
        for waiting in self._waiting.values():
            for item, number in waiting:
                found = f"{item.plane} {item.slice_index[number]} of {item.source}/{item.subject}"
                self._findings.violation("answers", "The slice of a row is not in the slice store.", str(item), found)
        for item in self._items.rows:
            keys = item.slice_keys()
            if item.input != "stack" or not all(key in self._areas for key in keys):
                continue
            self._findings.looked("answers")
            areas = [self._areas[key] for key in keys]
            through = self._through.get(keys[0][:3], {})
            if not item.is_choice:
                if wrong := place_in_stack_wrong(item, areas):
                    self._findings.violation("answers", "An image that is asked for is wrong.", str(item), wrong)
                continue
            if wrong := in_stack(item, areas, through, self._words):
                self._findings.violation("answers", "An answer is wrong.", str(item), wrong)
            thickness, straight = self._scans[keys[0][:3]]
            for problem, value in stack_problems(item, thickness, areas, through, straight):
                self._findings.violation("columns", problem, str(item), value)

    def _size(self, item: Item, number: int) -> int:
        """Side of an image in pixels; 0 if there is no image."""
        seen = self._images.seen.get(item.images[number]) if number < len(item.images) else None
        return seen.width if seen else 0

    def _places(self, item: Item, number: int, shown: Shown) -> None:
        """Boxes and points of one image against the label map."""
        findings = self._findings
        if abs(item.pixel_mm - shown.pixel_mm) > 1e-4 * shown.pixel_mm:
            found = f"{item.pixel_mm:g} mm, not {shown.pixel_mm:g}"
            findings.violation("boxes", "The pixel size differs from that of the image.", str(item), found)
        for name, box, point, image in zip(item.structures, item.boxes, item.points, item.box_images, strict=False):
            if image != number:
                continue
            if name not in shown.map.structures:
                findings.violation("boxes", "A structure is not in the slice of its box.", str(item), name)
                continue
            if not shown.has_box(name, box):
                exact = tuple(round(edge, 1) for edge in shown.box(name))
                findings.violation("boxes", "A box is not the box of its structure.", str(item), f"{box}, not {exact}")
            if not shown.touches(name, point):
                findings.violation("boxes", "A point does not lie on its structure.", str(item), f"{name}: {point}")
