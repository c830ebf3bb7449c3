"""What is true of a stack of slices and of none of them alone: order along the axis, first, last and largest."""

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations, pairwise

import numpy as np
import numpy.typing as npt

from dataset_builder.core.hashing import coin, digest
from dataset_builder.core.settings import ClarityLimits
from dataset_builder.imaging.geometry import AXIS_DIRECTIONS, PLANE_AXIS
from dataset_builder.imaging.measurements import QUARTILES, Floats
from dataset_builder.imaging.pieces import ahead, pieces
from dataset_builder.pictures.contrast import contrasts
from dataset_builder.questions.facts.fact import ROUNDING_MM, Fact, Kind, Truth, without_markers
from dataset_builder.questions.facts.lesions import Lesions, is_one_lesion
from dataset_builder.questions.facts.scene import slice_to_world
from dataset_builder.slices.measured import measured_structures
from dataset_builder.slices.selection import SliceRecord
from dataset_builder.vocabulary import Structure, structures

OPTIONS = 4
S_AXIS = 2


@dataclass(frozen=True, eq=False)
class StackScene:
    """A stack measured: the structures that are visible in one of its images at least, sorted by name; n structures.

    Args:
        records: the slices, ascending along the plane's axis.
        names: canonical names.
        area: [n, images] mm2; 0 where not a pixel is in the image.
        faint: [n, images] whether it is there and does not stand out from its surroundings.
        values: their label values.
        compared: [n, n] as of :class:`dataset_builder.questions.facts.lesions.Lesions`, in every image.
        low, mean, high: [n] mm, 25th percentile, mean and 75th percentile of the whole volume's voxels along the axis.
    """

    records: Sequence[SliceRecord]
    clarity: ClarityLimits
    seed: int
    visible: tuple[Structure, ...]
    values: tuple[int, ...]
    area: Floats
    faint: Truth
    low: Floats
    mean: Floats
    high: Floats
    compared: Truth

    @classmethod
    def of(
        cls,
        records: Sequence[SliceRecord],
        clarity: ClarityLimits,
        seed: int,
        vocabulary: Mapping[str, Structure] | None = None,
    ) -> "StackScene":
        """Measure a stack."""
        words = structures() if vocabulary is None else vocabulary
        names, through = records[0].names, records[0].through_mm
        areas: dict[int, Floats] = {}
        faint: set[tuple[int, int]] = set()
        for image, record in enumerate(records):
            values, measured = measured_structures(record)
            large = [v for v, area in zip(values, measured.area, strict=True) if _is_large(area, clarity)]
            large = [value for value in large if names[value] in words]
            seen = contrasts(record, large, words)
            faint |= {(value, image) for value, c in zip(large, seen, strict=True) if c < clarity.min_contrast}
            for value, area in zip(values, measured.area, strict=True):
                areas.setdefault(value, np.zeros(len(records)))[image] = area
        asked = sorted(
            (
                value
                for value, area in areas.items()
                # The image where a structure is largest is where it is marked.
                if names[value] in words and _is_large(area.max(), clarity) and (value, int(area.argmax())) not in faint
                if not words[names[value]].is_lesion or is_one_lesion(records, value, clarity)
            ),
            key=lambda value: names[value],
        )
        positions = np.array([through[value] for value in asked]).reshape(len(asked), 3)
        lesions = [Lesions.of(record, asked, clarity, words) for record in records]
        return cls(
            records=records,
            clarity=clarity,
            seed=seed,
            visible=tuple(words[names[value]] for value in asked),
            values=tuple(asked),
            area=np.array([areas[value] for value in asked]).reshape(len(asked), len(records)),
            faint=np.array([[(v, i) in faint for i in range(len(records))] for v in asked], bool).reshape(
                len(asked), len(records)
            ),
            low=positions[:, 0],
            mean=positions[:, 1],
            high=positions[:, 2],
            compared=np.logical_and.reduce([found.compared for found in lesions]),
        )

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Canonical names of the visible structures."""
        return tuple(structure.name for structure in self.visible)

    @cached_property
    def axis(self) -> int:
        """The array axis that runs through the stack."""
        return PLANE_AXIS[self.records[0].plane]

    @cached_property
    def at(self) -> Floats:
        """[images] position of each image along the axis in mm."""
        return np.array([record.index * record.thickness_mm for record in self.records])

    @cached_property
    def clear(self) -> Truth:
        """[n, images]: whether a structure is in an image visibly or not at all, so that nobody can be in doubt."""
        return (self.area == 0) | ((self.area >= self.clarity.min_area_mm2 - ROUNDING_MM) & ~self.faint)

    @cached_property
    def beyond(self) -> Truth:
        """[n, n]: whether i lies clearly farther along the axis than j, in the volume and in what the images show.

        In the images: the middle halves of what is seen of them do not overlap, and no image shows i before j is first
        seen or j after i is last seen; else a single slice or a glance at one end would say something else.
        """
        clarity = self.clarity
        seen_low, seen_mean, seen_high = self._seen
        first = (self.area > 0).argmax(axis=1)
        last = self.area.shape[1] - 1 - (self.area[:, ::-1] > 0).argmax(axis=1)
        beyond = (first[:, None] >= first[None, :]) & (last[:, None] >= last[None, :])
        beyond &= (ahead(self.area) >= clarity.min_pair_share - 1e-9) & self.compared
        places = [(self.low, self.mean, self.high), (seen_low, seen_mean, seen_high)]
        if self._world is not None:
            places += [self._world, self._seen_in_world]
        for low, mean, high in places:
            beyond &= mean[:, None] - mean[None, :] >= clarity.min_gap_mm - ROUNDING_MM
            beyond &= low[:, None] > high[None, :] + ROUNDING_MM
        return beyond

    @cached_property
    def gap(self) -> Floats:
        """[n, n] how much farther i lies than j in the volume, along the array's and the world's axis at least."""
        gap = self.mean[:, None] - self.mean[None, :]
        if self._world is None:
            return gap
        return np.minimum(gap, self._world[1][:, None] - self._world[1][None, :])

    @cached_property
    def _world(self) -> tuple[Floats, Floats, Floats] | None:
        """25th percentile, mean and 75th percentile in the volume along the world's axis; ``None`` if not tilted."""
        if not self.records[0].oblique:
            return None
        through = self.records[0].through_world_mm
        low, mean, high = np.array([through[value] for value in self.values]).reshape(len(self.values), 3).T
        return low, mean, high

    @cached_property
    def _seen_in_world(self) -> tuple[Floats, Floats, Floats]:
        """The same of the pixels that the images show."""
        found = []
        for value in self.values:
            parts = []
            for record in self.records:
                across, origin = slice_to_world(record, self.axis)
                parts.append(np.argwhere(record.labels == value) * np.asarray(record.spacing) @ across + origin)
            at = np.concatenate(parts)
            low, high = (np.percentile(at, 100 * share) for share in QUARTILES)
            found.append((low, at.mean(), high))
        low, mean, high = np.array(found).reshape(len(found), 3).T
        return low, mean, high

    @cached_property
    def scattered(self) -> frozenset[str]:
        """Names of those that are several pieces in an image: a marker there would show something else, too."""
        found: set[str] = set()
        for record in self.records:
            values, _ = measured_structures(record)
            here = pieces(record.labels, record.spacing, values)
            odd = (here.main_share < self.clarity.min_main_piece - 1e-9) | (
                here.stray_mm > self.clarity.max_stray_mm + ROUNDING_MM
            )
            found |= {record.names[value] for value, is_odd in zip(values, odd, strict=True) if is_odd}
        return frozenset(found)

    @cached_property
    def _seen(self) -> tuple[Floats, Floats, Floats]:
        """25th percentile, mean and 75th percentile of the seen areas' positions along the axis."""
        share = self.area.cumsum(axis=1) / self.area.sum(axis=1, keepdims=True)
        low, high = (self.at[(share >= part - 1e-9).argmax(axis=1)] for part in (0.25, 0.75))
        return low, self.area @ self.at / self.area.sum(axis=1), high

    @cached_property
    def _identity(self) -> tuple[object, ...]:
        record = self.records[0]
        return self.seed, *record.drawn_by, record.stack

    def random(self, purpose: str) -> random.Random:
        """A generator for one purpose in this stack."""
        return random.Random(digest(*self._identity, purpose))

    def first_item_is_second(self, *about: object) -> bool:
        """The draw of which item of a pair comes first."""
        return coin(*self._identity, *about)


def _is_large(area: float, clarity: ClarityLimits) -> bool:
    return bool(area >= clarity.min_area_mm2 - ROUNDING_MM)


def find_stack_facts(
    records: Sequence[SliceRecord],
    clarity: ClarityLimits = ClarityLimits(),  # noqa: B008 - frozen
    seed: int = 0,
    vocabulary: Mapping[str, Structure] | None = None,
) -> list[Fact]:
    """Every fact of a stack, in a fixed order; arguments as of :func:`dataset_builder.questions.facts.find_facts`.

    Args:
        records: the slices of a stack, ascending along the plane's axis.
    """
    scene = StackScene.of(records, clarity, seed, vocabulary)
    return [without_markers(fact, scene.scattered) for fact in (*directions(scene), *in_order(scene), *images(scene))]


def directions(scene: StackScene) -> Iterator[Fact]:
    """A lies from B in a direction along the axis; as in a slice, arms are not asked about up and down."""
    low, high = AXIS_DIRECTIONS[scene.axis]
    asked = _not_arms(scene)
    for i, j in np.argwhere(scene.beyond & asked[:, None] & asked[None, :]):
        a, b = scene.names[i], scene.names[j]
        items = (((a, b), high), ((b, a), low)) if i < j else (((b, a), low), ((a, b), high))
        if scene.first_item_is_second("direction", a, b):
            items = items[::-1]
        yield Fact(
            "directional",
            "direction",
            f"{high}_{low}",
            *items[0],
            *items[1],
            (),
            float(scene.gap[i, j]),
        )


def in_order(scene: StackScene) -> Iterator[Fact]:
    """Three structures follow each other along the axis; asked in both directions."""
    low, high = AXIS_DIRECTIONS[scene.axis]
    asked, beyond = _not_arms(scene), scene.beyond
    found = []
    for chosen in combinations(np.flatnonzero(asked), 3):
        a, b, c = sorted(chosen, key=lambda i: float(scene.mean[i]))
        if beyond[b, a] and beyond[c, b] and scene.compared[c, a]:
            found.append((a, b, c))
    if len(found) > scene.clarity.max_facts:
        found = sorted(scene.random("order").sample(found, scene.clarity.max_facts))
    for ordered in found:
        names = [scene.names[i] for i in ordered]
        scene.random(f"order {names}").shuffle(names)  # A is not always the lowest
        asked_names = tuple(names)
        relations = (high, low)
        if scene.first_item_is_second("order", *names):
            relations = (low, high)
        margin = min(float(scene.gap[high, low]) for low, high in pairwise(ordered))
        in_turn = tuple(scene.names[i] for i in ordered)
        yield Fact("relational", "order", None, asked_names, relations[0], asked_names, relations[1], in_turn, margin)


def images(scene: StackScene) -> Iterator[Fact]:
    """In which image a structure is largest, or seen first or last: two structures with the same four options."""
    largest = scene.area.argmax(axis=1)
    in_image = scene.area > 0
    low_end = in_image.argmax(axis=1)
    high_end = scene.area.shape[1] - 1 - in_image[:, ::-1].argmax(axis=1)
    inside = np.logical_and.reduce(scene.clear, axis=1)
    everywhere = np.ones_like(in_image)
    most = scene.area.max(axis=1, keepdims=True)
    # Smaller by the ratio, and smaller at all: with a ratio of 1, an image of equal area would be right, too.
    smaller = (scene.area * scene.clarity.min_ratio <= most + ROUNDING_MM) & (scene.area < most)
    yield from _paired(scene, "largest", largest, np.ones(len(scene.names), np.bool_), smaller)
    # What is seen in the first image may begin before it.
    # Nor is that image offered: it would be a wrong answer that needs no look.
    count = scene.area.shape[1]
    not_first, not_last = (np.broadcast_to(np.arange(count) != end, in_image.shape) for end in (0, count - 1))
    yield from _paired(scene, "low_end", low_end, inside & (low_end > 0), everywhere & not_first)
    yield from _paired(scene, "high_end", high_end, inside & (high_end < count - 1), everywhere & not_last)


def _paired(
    scene: StackScene, kind: Kind, position: npt.NDArray[np.int64], asked: npt.NDArray[np.bool_], other: Truth
) -> Iterator[Fact]:
    """Pairs of structures with different positions and four options that are wrong for each but one.

    Args:
        position: [n] the right image of each structure.
        asked: [n] whether the structure can be asked about.
        other: [n, images] whether the image can stand as a wrong option for the structure.
    """
    draw = scene.random(kind)
    structures_in_turn = [int(i) for i in np.flatnonzero(asked)]
    draw.shuffle(structures_in_turn)
    used: set[frozenset[int]] = set()
    found = []
    for i in structures_in_turn:
        for j in draw.sample(structures_in_turn, len(structures_in_turn)):
            p, q = int(position[i]), int(position[j])
            if p == q or frozenset((i, j)) in used or not (other[i, q] and other[j, p]):
                continue
            rest = [k for k in range(scene.area.shape[1]) if k not in (p, q) and other[i, k] and other[j, k]]
            if len(rest) >= OPTIONS - 2:
                used.add(frozenset((i, j)))
                found.append((min(i, j), max(i, j), tuple(sorted((p, q, *draw.sample(rest, OPTIONS - 2))))))
                break
    side = np.sqrt(scene.area)
    for i, j, options in sorted(found):
        margins = []
        for k in (i, j):
            rest = [option for option in options if option != position[k]]
            clearance = side[k, position[k]] - (side[k, rest].max() if kind == "largest" else 0.0)
            margins.append(float(clearance))
        items = (((scene.names[i],), str(position[i])), ((scene.names[j],), str(position[j])))
        if scene.first_item_is_second(kind, scene.names[i], scene.names[j]):
            items = items[::-1]
        yield Fact("relational", kind, None, *items[0], *items[1], tuple(map(str, options)), min(margins))


def _not_arms(scene: StackScene) -> npt.NDArray[np.bool_]:
    """Arms may lie raised or at the side: along the body they are not asked about."""
    return np.array([scene.axis != S_AXIS or structure.limb != "upper" for structure in scene.visible], bool)
