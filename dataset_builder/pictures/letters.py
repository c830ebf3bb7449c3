"""Where the letters A, B, C go in an image, and what they look like.

Placing is a pure function of what is marked. A letter never leaves the image, never covers the point of a marked
structure and never overlaps another letter; within that it stays near what it names and covers as little as it can of
the marked structures, their lines and their leaders.

Rectangles are ``[x0, y0, x1, y1]``, half-open, in pixels of the image, as boxes are everywhere.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from math import ceil

import cv2
import numpy as np
import numpy.typing as npt

from dataset_builder.core.factors import Prompt

LETTERS = "ABC"

Rectangle = tuple[int, int, int, int]

# Costs, in letter heights of distance from what is named: how far a letter rather goes than do this.
_COVER_OWN = 8.0  # cover all of its own structure (covering a tenth costs a tenth)
_COVER_OTHER = 20.0  # cover all of another marked structure
_LIE_ON_OTHER = 4.0  # lie wholly on another marked structure, whose letter it then seems to be
_COVER_LINES = 6.0  # cover drawn lines with all of its area
_CROSS = 10.0  # a leader that runs through another letter, point or leader
_ON_BORDER = 1.0  # touch the edge of the image


@dataclass(frozen=True, eq=False)
class Mark:
    """One marked structure in pixels of the image.

    Args:
        box: around the structure, half-open.
        point: (x, y), a pixel that lies on the structure.
        mask: bool [S, S], the structure's pixels.
    """

    box: Rectangle
    point: tuple[int, int]
    mask: npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Strokes:
    """Sizes in pixels of all that is drawn, for images of one size."""

    line: int  # width of box lines, leaders and mask contours
    rim: int  # width of the dark rim around them
    dot: int  # radius of a point marker
    tip: int  # radius of the dot at the end of a leader
    gap: int  # free space between a marker and its letter
    letter: tuple[int, int]  # width and height of a letter with its outline

    @classmethod
    def of(cls, image_size: int) -> "Strokes":
        """Sizes for square images of that side; small images keep letters that can be read."""
        unit = image_size / 512
        fill, _ = glyph(LETTERS[0], image_size)
        return cls(
            line=max(1, round(2 * unit)),
            rim=max(1, round(1.2 * unit)),
            dot=max(2, round(5 * unit)),
            tip=max(2, round(4 * unit)),
            gap=max(2, round(3 * unit)),
            letter=(fill.shape[1], fill.shape[0]),
        )


@cache
def glyph(letter: str, image_size: int) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """A letter and its outline, as coverage from 0 to 1: two arrays float32 [height, width], alike for all letters.

    The outline includes the letter's own area.
    """
    cap_height = max(10, round(image_size * 22 / 512))
    outline = max(1, round(image_size * 2 / 512))
    fine = min(8, max(2, 256 // cap_height))  # drawn so many times larger, then averaged: a smooth edge
    font, thickness = cv2.FONT_HERSHEY_SIMPLEX, max(1, round(cap_height * fine * 0.11))
    large = cap_height * fine * 2
    drawn = {}
    for each in LETTERS:
        canvas = np.zeros((2 * large, 3 * large), np.uint8)
        cv2.putText(canvas, each, (large // 2, 3 * large // 2), font, cap_height * fine / 21.5, 255, thickness)
        rows, columns = np.flatnonzero(canvas.any(axis=1)), np.flatnonzero(canvas.any(axis=0))
        drawn[each] = canvas[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    # All letters are scaled alike, so that the tallest is as high as asked.
    scale = cap_height / max(shape.shape[0] for shape in drawn.values())
    width = ceil(max(shape.shape[1] for shape in drawn.values()) * scale) + 2 * outline
    height = cap_height + 2 * outline
    canvas = np.zeros((height * fine, width * fine), np.uint8)
    shape = cv2.resize(drawn[letter], None, fx=scale * fine, fy=scale * fine, interpolation=cv2.INTER_AREA)
    y, x = (canvas.shape[0] - shape.shape[0]) // 2, (canvas.shape[1] - shape.shape[1]) // 2
    canvas[y : y + shape.shape[0], x : x + shape.shape[1]] = shape
    reach = 2 * outline * fine - fine + 1
    around = cv2.dilate(canvas, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (reach, reach)))
    small = [
        cv2.resize(part, (width, height), interpolation=cv2.INTER_AREA).astype(np.float32) / np.float32(255)
        for part in (canvas, around)
    ]
    for part in small:
        part.setflags(write=False)
    return small[0], small[1]


def place_letters(
    prompt: Prompt, marks: Sequence[Mark], image_size: int, lines: npt.NDArray[np.uint8] | None = None
) -> list[Rectangle]:
    """A rectangle for the letter of each marked structure.

    Args:
        prompt: ``label``, ``point``, ``box`` or ``mask``.
        marks: the marked structures, A first; at most three.
        image_size: side S of the image.
        lines: uint8 [S, S], not 0 where lines are drawn that letters had better not cover.
    """
    strokes = Strokes.of(image_size)
    width, height = strokes.letter
    points = np.array([mark.point for mark in marks], dtype=np.float64) + 0.5
    clearance = {"label": strokes.tip + strokes.rim, "point": strokes.dot + strokes.rim}.get(prompt, 0) + strokes.gap
    covered = [_area_sums(_box_mask(mark) if prompt == "box" else mark.mask) for mark in marks]
    busy = None if lines is None else _area_sums(lines)
    placed: list[Rectangle] = []
    for own, mark in enumerate(marks):
        for candidates, effort in (
            _near(prompt, mark, strokes, image_size),
            _anywhere(points[own], strokes, image_size),
        ):
            allowed = _inside(candidates, image_size) & ~_contains(candidates, points, clearance)
            for other in placed:
                allowed &= ~_overlaps(candidates, other, 1)
            if not allowed.any():
                continue
            candidates, cost = candidates[allowed], effort[allowed]
            cost = cost + _ON_BORDER * ((candidates[:, :2] < 1) | (candidates[:, 2:] > image_size - 1)).any(axis=1)
            for each, sums in enumerate(covered):
                common = _sum_in(sums, candidates)
                share = common / max(1, sums[-1, -1])
                if each == own:
                    cost = cost + _COVER_OWN * share
                else:
                    cost = cost + _COVER_OTHER * share + _LIE_ON_OTHER * common / (width * height)
            if busy is not None:
                cost = cost + _COVER_LINES * _sum_in(busy, candidates) / (width * height)
            if prompt == "label":
                cost = cost + _CROSS * _crossings(candidates, own, points, placed, clearance)
            x0, y0, x1, y1 = candidates[int(np.argmin(cost))].tolist()
            placed.append((x0, y0, x1, y1))
            break
        else:
            raise ValueError(f"An image of {image_size} pixels has no room for {len(marks)} letters")
    return placed


def leader(letter: Rectangle, point: tuple[int, int]) -> tuple[tuple[float, float], tuple[float, float]]:
    """The line from a letter to its structure: from the border of the letter's rectangle to the point's centre."""
    start = np.array([(letter[0] + letter[2]) / 2, (letter[1] + letter[3]) / 2])
    end = np.array(point) + 0.5
    along = end - start
    half = np.array([(letter[2] - letter[0]) / 2, (letter[3] - letter[1]) / 2])
    with np.errstate(divide="ignore"):
        leave = min(1.0, float(np.min(half / np.abs(along))))
    first = start + leave * along
    return (float(first[0]), float(first[1])), (float(end[0]), float(end[1]))


def _near(
    prompt: Prompt, mark: Mark, strokes: Strokes, image_size: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Rectangles to try first [N, 4] and the cost of each [N]."""
    if prompt == "box":
        return _around_box(mark.box, strokes)
    width, height = strokes.letter
    first = {
        "label": strokes.tip + 5 * strokes.gap,
        "point": strokes.dot + strokes.rim + strokes.gap,
        "mask": strokes.gap,
    }[prompt] + height / 2
    radii = first + height * np.array([0, 0.15, 0.3, 0.45, 0.6, 0.8, 1, 1.25, 1.5, 1.85, 2.2, 2.6, 3, 4, 5.5, 7.5])
    # From above right on, in turn to either side: the first of equals is taken.
    angles = np.deg2rad(45 + np.array([0, 90, 270, 180, 45, 315, 135, 225, 22, 338, 68, 292, 112, 248, 158, 202]))
    radius, angle = (grid.ravel() for grid in np.meshgrid(radii, angles, indexing="ij"))
    # A letter is not round: push it off by as much as its rectangle reaches toward the point.
    reach = (radius - height / 2) + np.minimum(
        width / 2 / np.maximum(np.abs(np.cos(angle)), 1e-9), height / 2 / np.maximum(np.abs(np.sin(angle)), 1e-9)
    )
    x = mark.point[0] + 0.5 + reach * np.cos(angle)
    y = mark.point[1] + 0.5 - reach * np.sin(angle)
    return _rectangles(x, y, strokes), (radius - first) / height


def _around_box(box: Rectangle, strokes: Strokes) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Outside the corners, then along the sides, then inside the corners."""
    width, height = strokes.letter
    off = strokes.line + strokes.rim + strokes.gap
    x0, y0, x1, y1 = box
    start = np.array([x0 + width / 2, (x0 + x1) / 2, x1 - width / 2])
    level = np.array([y0 + height / 2, (y0 + y1) / 2, y1 - height / 2])
    above, below = y0 - off - height / 2, y1 + off + height / 2
    before, behind = x0 - off - width / 2, x1 + off + width / 2
    inner = strokes.gap
    places = [
        *((x, above, c) for x, c in zip(start, (0, 0.4, 0), strict=True)),
        *((x, below, c) for x, c in zip(start, (0.1, 0.5, 0.1), strict=True)),
        *((before, y, c) for y, c in zip(level, (0.2, 0.5, 0.2), strict=True)),
        *((behind, y, c) for y, c in zip(level, (0.2, 0.5, 0.2), strict=True)),
        *((x, y, 0.6) for x in (before, behind) for y in (above, below)),
        *((x, y, 2) for x in (start[0] + inner, start[2] - inner) for y in (level[0] + inner, level[2] - inner)),
    ]
    x, y, cost = (np.array(column) for column in zip(*places, strict=True))
    return _rectangles(x, y, strokes), cost


def _anywhere(
    point: npt.NDArray[np.float64], strokes: Strokes, image_size: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """A grid over the image, for when nothing near is free; the nearer the better."""
    width, height = strokes.letter
    x, y = np.meshgrid(
        np.arange(width / 2 + 1, image_size - width / 2, width / 2),
        np.arange(height / 2 + 1, image_size - height / 2, height / 2),
    )
    x, y = x.ravel(), y.ravel()
    return _rectangles(x, y, strokes), np.hypot(x - point[0], y - point[1]) / height


def _rectangles(x: npt.NDArray, y: npt.NDArray, strokes: Strokes) -> npt.NDArray[np.int64]:
    """Letter rectangles [N, 4] around centres."""
    width, height = strokes.letter
    left, top = np.floor(x - width / 2 + 0.5), np.floor(y - height / 2 + 0.5)
    return np.stack([left, top, left + width, top + height], axis=1).astype(np.int64)


def _inside(rectangles: npt.NDArray[np.int64], image_size: int) -> npt.NDArray[np.bool_]:
    return np.all((rectangles >= 0) & (rectangles <= image_size), axis=1)


def _contains(
    rectangles: npt.NDArray[np.int64], points: npt.NDArray[np.float64], clearance: float
) -> npt.NDArray[np.bool_]:
    """Whether any point lies in a rectangle or nearer to it than the clearance [N]."""
    return np.any(_distance(rectangles, points) < clearance, axis=1)


def _distance(rectangles: npt.NDArray[np.int64], points: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Distance [N, P] of points [P, 2] from rectangles [N, 4]; 0 inside."""
    outside = np.maximum(rectangles[:, None, :2] - points[None], points[None] - rectangles[:, None, 2:])
    return np.hypot(*np.moveaxis(np.maximum(outside, 0), -1, 0))


def _overlaps(rectangles: npt.NDArray[np.int64], other: Rectangle, margin: int) -> npt.NDArray[np.bool_]:
    low, high = np.array(other[:2]) - margin, np.array(other[2:]) + margin
    return np.all((rectangles[:, :2] < high) & (rectangles[:, 2:] > low), axis=1)


def _box_mask(mark: Mark) -> npt.NDArray[np.uint8]:
    x0, y0, x1, y1 = mark.box
    inside = np.zeros(mark.mask.shape, np.uint8)
    inside[y0:y1, x0:x1] = 1
    return inside


def _area_sums(mask: npt.NDArray) -> npt.NDArray[np.int32]:
    """Summed area table [S + 1, S + 1] of where a mask is not 0."""
    present = np.ascontiguousarray(mask != 0).view(np.uint8)
    return np.asarray(cv2.integral(present, sdepth=cv2.CV_32S), dtype=np.int32)


def _sum_in(sums: npt.NDArray[np.int32], rectangles: npt.NDArray[np.int64]) -> npt.NDArray[np.int32]:
    """Pixels of the table's mask in each rectangle [N]."""
    x0, y0, x1, y1 = rectangles.T
    return sums[y1, x1] - sums[y0, x1] - sums[y1, x0] + sums[y0, x0]


def _crossings(
    rectangles: npt.NDArray[np.int64],
    own: int,
    points: npt.NDArray[np.float64],
    placed: Sequence[Rectangle],
    clearance: float,
) -> npt.NDArray[np.float64]:
    """How often each candidate or its leader meets another letter, leader or point [N]."""
    steps = np.linspace(0, 1, 24)[:, None]
    centres = (rectangles[:, :2] + rectangles[:, 2:]) / 2
    path = centres[:, None] + steps[None] * (points[own] - centres)[:, None]  # [N, 24, 2]
    count = np.zeros(len(rectangles))
    for each, point in enumerate(points):
        if each != own:
            count += np.hypot(*np.moveaxis(path - point, -1, 0)).min(axis=1) < clearance
    for each, other in enumerate(placed):
        low, high = np.array(other[:2]) - 2, np.array(other[2:]) + 2
        count += ((path >= low) & (path <= high)).all(axis=2).any(axis=1)
        middle = (low + high) / 2
        there = middle + steps * (points[each] - middle)  # the other leader [24, 2]
        count += ((there[None] >= rectangles[:, None, :2]) & (there[None] <= rectangles[:, None, 2:])).all(2).any(1)
        count += _cross(centres, points[own], middle, points[each])
    return count


def _cross(
    starts: npt.NDArray[np.float64],
    end: npt.NDArray[np.float64],
    first: npt.NDArray[np.float64],
    last: npt.NDArray[np.float64],
) -> npt.NDArray[np.bool_]:
    """Whether segments from each start [N, 2] to an end cross the segment from first to last."""

    def turn(a: npt.NDArray, b: npt.NDArray, c: npt.NDArray) -> npt.NDArray:
        return (b[..., 0] - a[..., 0]) * (c[..., 1] - a[..., 1]) - (b[..., 1] - a[..., 1]) * (c[..., 0] - a[..., 0])

    apart = turn(starts, end, first) * turn(starts, end, last)
    return (apart < 0) & (turn(first, last, starts) * turn(first, last, end) < 0)
