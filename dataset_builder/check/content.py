"""Images against the slices that they are said to show, and against each other.

Outside the markers an image is its slice: averaged over blocks it differs from it by rounding only, and no bit of it
differs from the other images of that slice. Markers and letters are held to the label map.
"""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from dataset_builder.check.findings import Findings
from dataset_builder.check.glyphs import Glyph
from dataset_builder.check.hidden import hidden_blocks, hidden_problems
from dataset_builder.check.images import Images
from dataset_builder.check.items import Item
from dataset_builder.check.maps import Map, Shown, as_shown, window_limits
from dataset_builder.check.prints import Print, blocks_of, unpack
from dataset_builder.core.factors import DRAWN_PROMPTS

LETTERS = "ABC"

MAX_DIFFERENCE = 6.0
"""The most grey values by which a block may differ from its slice. Measured on phantoms and real scans: 1.4."""
MEAN_DIFFERENCE = 1.0
"""The most in the mean. Measured: 0.3; for a slice 1.5 mm away, 2 and more."""
LIKENESS = 0.75
"""From here on a letter is read as one. Measured: 0.87 and more."""
LINE = 2 / 512
"""Width of a box's line as a share of the image."""
MOST_COMPARED = 64
"""So many images of a slice say what most of them show."""
INSIDE, OUTSIDE = 0.6, 0.15
"""An overlay fills at least this share of its structure's inner blocks, and lies off it with at most this share."""

Floats = npt.NDArray[np.float32]

Edges = tuple[float, float, float, float]
"""Left, top, right and bottom in pixels, the last two behind the last pixel."""

Uses = Sequence[tuple[Item, int]]
"""Rows that show a slice, each with the number of the image."""


class Content:
    """All checks of what images show; fed one slice at a time."""

    def __init__(self, images: Images, findings: Findings) -> None:
        self._images, self._findings = images, findings
        self._tiles: dict[tuple[object, ...], dict[bytes, npt.NDArray[np.uint32]]] = {}

    def look(self, here: Map, uses: Uses) -> None:
        """Check all images of a slice."""
        known: dict[tuple[object, ...], list[tuple[str, str, object]]] = {}
        slices: dict[tuple[str, int], Floats | None] = {}
        self._tiles.clear()
        scans = {item.images[number] for item, number in uses if item.input != "blank" and number < len(item.images)}
        for item, number in uses:
            digest = item.images[number] if number < len(item.images) else b""
            as_said = (item.window, item.convention, item.view, item.prompt, item.structures, item.input)
            key = (digest, *as_said, item.answer_type, item.scale == "bar", item.lines, number)
            if key not in known:
                printed = self._images.print_of(digest)
                known[key] = [] if printed is None else list(self._problems(item, number, here, printed, slices))
            for check, problem, found in known[key]:
                self._findings.violation(check, problem, str(item), found)
            if item.input == "blank" and digest in scans and np.ptp(here.grey) > 0:
                problem = "A blank canvas shows the same image as a row with the scan."
                self._findings.violation("blanks", problem, str(item))
        odd = {digest: found for tiles in self._tiles.values() for digest, found in odd_ones(tiles).items()}
        for item, number in uses:
            if number < len(item.images) and (found := odd.get(item.images[number])):
                problem = "Images of one slice differ outside the markers."
                self._findings.violation("pixels", problem, str(item), f"image {number + 1}: {found}")

    def _problems(
        self,
        item: Item,
        number: int,
        here: Map,
        printed: Print,
        slices: dict[tuple[str, int], Floats | None],
    ) -> Iterator[tuple[str, str, object]]:
        """What is wrong with one image: (check, problem, found)."""
        if item.input != "blank":
            self._findings.looked("pixels")
            self._findings.looked("orientation")
            yield from self._scan(item, number, here, printed, slices)
        self._findings.looked("markers")
        if item.prompt in DRAWN_PROMPTS:
            for problem, found in marker_problems(item, number, here, printed, self._images):
                yield "markers", problem, found
        elif item.answer_type == "number":
            for problem, found in line_letter_problems(item, self._images.glyphs_of(item.images[number])):
                yield "markers", problem, found
        elif printed.boxes or printed.marked.any():
            yield "markers", "An image has a marker, but its question has none.", f"image {number + 1}"

    def _scan(
        self,
        item: Item,
        number: int,
        here: Map,
        printed: Print,
        slices: dict[tuple[str, int], Floats | None],
    ) -> Iterator[tuple[str, str, object]]:
        """Outside the markers: the slice, and bit for bit the same in all images of it."""
        which = f"image {number + 1}"
        key = (item.window, printed.size)
        if key not in slices:
            try:
                low, high = window_limits(item.window)
                slices[key] = here.rendered(low, high, printed.size, blocks_of(printed.size))
            except ValueError:
                slices[key] = None
        own = slices[key]
        if own is None:
            yield "pixels", "The column window does not match the displayed values.", item.window
            return
        unsure = here.unsure(printed.size, blocks_of(printed.size))
        free = ~printed.marked & ~as_shown(unsure, item.convention, item.view)
        if item.view == "occluded":
            free &= ~as_shown(hidden_blocks(item, here, printed.size), item.convention, item.view)
        if free.any():
            shown = printed.means.astype(np.float32)
            mean, most = _off(shown, as_shown(own, item.convention, item.view), free)
            if mean > MEAN_DIFFERENCE or most > MAX_DIFFERENCE:
                found = f"{which}: by {mean:.1f} grey values in the mean, {most:.0f} at most"
                yield "pixels", "An image differs from its slice outside the markers.", found
                least = min(_off(shown, turned, free)[0] for turned in turns(own))
                if least <= MEAN_DIFFERENCE and least < mean / 2:
                    found = f"{which}: {item.convention}, {item.view}"
                    yield "orientation", "An image is rotated or mirrored otherwise than stated.", found
                return
        if item.view == "occluded":
            self._findings.looked("occluded")
            for problem, value in hidden_problems(item, here, printed, as_shown(own, item.convention, item.view)):
                yield "occluded", problem, f"{which}: {value}"
            return
        digest = item.images[number]
        self._tiles.setdefault((*key, item.convention, item.view), {})[digest] = printed.hashes


def odd_ones(tiles: Mapping[bytes, npt.NDArray[np.uint32]]) -> dict[bytes, str]:
    """The images of one slice, by digest, that differ outside the markers from what most of them show.

    Args:
        tiles: hash of each tile of an image, 0 where a marker touches it.
    """
    if len(tiles) < 2:
        return {}
    rows = np.stack([each for each in tiles.values() if len(each) == len(next(iter(tiles.values())))])
    some = rows[:MOST_COMPARED]
    agreeing = np.stack([((some == each) & (each != 0)).sum(axis=0) for each in some])
    usual = np.take_along_axis(some, agreeing.argmax(axis=0)[None], axis=0)[0]
    found = {}
    for digest, each in tiles.items():
        if len(each) == len(usual):
            both = (each != 0) & (usual != 0)
            if count := int((each[both] != usual[both]).sum()):
                found[digest] = f"{count} of {int(both.sum())} tiles"
    return found


def _off(shown: Floats, own: Floats, free: npt.NDArray[np.bool_]) -> tuple[float, float]:
    """By how much an image differs from a slice where no marker is, in the mean and at most."""
    off = np.abs(shown - own)[free]
    return float(off.mean()), float(off.max())


def turns(square: Floats) -> list[Floats]:
    """All eight ways to turn or mirror a square."""
    return [side[:: 1 - 2 * up, :: 1 - 2 * left] for side in (square, square.T) for up in (0, 1) for left in (0, 1)]


def marker_problems(item: Item, number: int, here: Map, printed: Print, images: Images) -> Iterator[tuple[str, object]]:
    """What is wrong with the markers and letters of an image: (problem, found)."""
    shown = here.shown(printed.size, item.convention, item.view)
    glyphs = images.glyphs_of(item.images[number])
    expected = {letter: name for letter, name in zip(LETTERS, item.marked, strict=False) if name in here.structures}
    for letter in LETTERS:
        glyph = glyphs.get(letter)
        there = glyph is not None and glyph.likeness >= LIKENESS
        where = f"image {number + 1}: {letter}"
        if letter not in expected:
            if there or letter in printed.boxes:
                yield "An image has a marker of a structure that it does not show.", where
            continue
        if letter not in printed.boxes:
            yield "A marker is missing.", where
        elif wrong := _misplaced(item.prompt, letter, expected, printed, shown, _letter_boxes(glyphs)):
            yield wrong, where
        if glyph is None or not there:
            yield "A marker has no letter.", where
        elif glyph.shape != letter:
            yield "A marker has the letter of another one.", f"{where} reads {glyph.shape}"
    if exchanged := _exchanged(item.prompt, expected, printed, glyphs):
        yield "A letter stands beside the marker of another one.", f"image {number + 1}: {exchanged}"


def line_letter_problems(item: Item, glyphs: Mapping[str, Glyph]) -> Iterator[tuple[str, object]]:
    """What is wrong with the letters of drawn lines; the lines themselves are read pixel by pixel (``images``)."""
    far: dict[str, list[float]] = {}
    for letter in LETTERS[: len(item.lines)]:
        glyph = glyphs.get(letter)
        if glyph is None or glyph.likeness < LIKENESS:
            yield "A marker has no letter.", f"line {letter}"
            continue
        if glyph.shape != letter:
            yield "A marker has the letter of another one.", f"line {letter} reads {glyph.shape}"
        x0, y0, x1, y1 = glyph.box
        far[letter] = [_off_line(((x0 + x1) / 2, (y0 + y1) / 2), other) for other in item.lines]
    if len(far) == 2 and far["A"][0] + far["B"][1] > far["A"][1] + far["B"][0]:
        yield "A letter stands beside the marker of another one.", "lines A and B"


def _off_line(place: tuple[float, float], line: tuple[tuple[int, ...], tuple[int, ...]]) -> float:
    """Distance of a place from a line between its ends in pixels."""
    start, end, at = np.array(line[0], float), np.array(line[1], float), np.array(place)
    share = np.clip((at - start) @ (end - start) / max(1.0, float((end - start) @ (end - start))), 0, 1)
    return float(np.hypot(*(at - start - share * (end - start))))


def _letter_boxes(glyphs: Mapping[str, Glyph]) -> list[Edges]:
    return [glyph.box for glyph in glyphs.values()]


def _misplaced(
    prompt: str, letter: str, expected: Mapping[str, str], printed: Print, shown: Shown, letters: Sequence[Edges]
) -> str:
    """Why a marker is not that of its structure; empty if it is."""
    x0, y0, x1, y1 = printed.boxes[letter]
    name = expected[letter]
    if prompt in ("label", "point"):
        x, y = (x0 + x1 - 1) // 2, (y0 + y1 - 1) // 2
        near = ((x + dx, y + dy) for dx in (0, 1, -1) for dy in (0, 1, -1))
        return "" if any(shown.touches(name, place) for place in near) else "A dot does not lie on its structure."
    if prompt == "box":
        surrounds = _surrounds(letter, expected, printed, shown, letters)
        return "" if surrounds else "A box does not surround its structure."
    if letter not in printed.overlays:
        return "An overlay has no fill."
    side = blocks_of(printed.size)
    filled = unpack(printed.overlays[letter], side)
    there = as_shown(shown.map.share(name, printed.size, side), shown.convention, shown.view)
    if not there.any():  # it falls between the pixels of a small image: the one that it lies in stands for it
        alone = (x1 - x0, y1 - y0) == (1, 1) and shown.touches(name, (x0, y0))
        return "" if alone else "An overlay covers more than its structure."
    open_blocks = np.ones((side, side), bool)
    scale = side / printed.size
    for left, top, right, bottom in letters:  # they cover what lies below
        rows = slice(max(0, int(top * scale) - 1), int(np.ceil(bottom * scale)) + 1)
        open_blocks[rows, max(0, int(left * scale) - 1) : int(np.ceil(right * scale)) + 1] = False
    inner, covered = (there > 0.9) & open_blocks, filled & open_blocks
    if inner.any() and float(filled[inner].mean()) < INSIDE:
        return "An overlay does not cover its structure."
    if covered.any() and float((there[covered] < 0.05).mean()) > OUTSIDE:
        return "An overlay covers more than its structure."
    return ""


def _surrounds(
    letter: str, expected: Mapping[str, str], printed: Print, shown: Shown, letters: Sequence[Edges]
) -> bool:
    """Whether a drawn box is that of its structure, edge by edge."""
    width = max(1, round(printed.size * LINE))
    frames = {each: _frame(shown.box(marked), width, printed.size) for each, marked in expected.items()}
    wanted = frames.pop(letter)
    thin = max(shown.map.spacing) / shown.pixel_mm
    for edge, (found, place) in enumerate(zip(printed.boxes[letter], wanted, strict=True)):
        shared = any(_runs_along(edge, wanted, other, 2 * width) for other in frames.values())
        shared = shared or any(_lies_on(edge, wanted, each, width) for each in letters)
        # Lines that run on top of each other take turns: an edge may begin with the other one's colour.
        if abs(found - place) > (14 * width if shared else width) + 2 + thin:
            return False
    return True


def _frame(box: Edges, width: int, size: int) -> Edges:
    """The outer edges of the line around a structure's box, which ends at the image's."""
    x0, y0, x1, y1 = box
    return max(0, x0 - width), max(0, y0 - width), min(size, x1 + width), min(size, y1 + width)


def _runs_along(edge: int, own: Edges, other: Edges, near: int) -> bool:
    """Whether a line of another frame runs along an edge (0 to 3: left, top, right, bottom) of one's own."""
    along, across = 1 - edge % 2, edge % 2
    together = min(own[along + 2], other[along + 2]) - max(own[along], other[along])
    return together > -near and any(abs(own[edge] - other[each]) <= near for each in (across, across + 2))


def _lies_on(edge: int, own: Edges, letter: Edges, width: int) -> bool:
    """Whether a letter covers a part of an edge's line."""
    along, across = 1 - edge % 2, edge % 2
    line = (own[edge], own[edge] + width) if edge < 2 else (own[edge] - width, own[edge])
    return min(line[1], letter[across + 2]) >= max(line[0], letter[across]) and min(
        own[along + 2], letter[along + 2]
    ) >= max(own[along], letter[along])


def _exchanged(prompt: str, expected: dict[str, str], printed: Print, glyphs: object) -> str:
    """Two letters of which each stands at the other one's marker; empty if there are none."""
    drawn = [one for one in expected if one in printed.boxes and one in glyphs]  # type: ignore[operator]
    for first, second in ((a, b) for i, a in enumerate(drawn) for b in drawn[i + 1 :]):
        boxes = [glyphs[one].box for one in (first, second)]  # type: ignore[index]
        marks = [printed.boxes[one] for one in (first, second)]
        right = sum(_gap(letter, mark) for letter, mark in zip(boxes, marks, strict=True))
        other = sum(_gap(letter, mark) for letter, mark in zip(boxes, marks[::-1], strict=True))
        height = boxes[0][3] - boxes[0][1]
        if other < right - 3 * height and other < 0.34 * right:
            return f"{first}, {second}"
    return ""


def _gap(one: tuple[int, int, int, int], other: tuple[int, int, int, int]) -> float:
    """Distance between two rectangles in pixels; 0 if they touch."""
    across = max(one[0] - other[2], other[0] - one[2], 0)
    down = max(one[1] - other[3], other[1] - one[3], 0)
    return float(np.hypot(across, down))
