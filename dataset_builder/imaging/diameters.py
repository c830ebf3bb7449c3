"""Lengths of an area in an image: longest diameter, width at right angles to it, angle between lines.

Pixels are squares: ``(x, y)`` is a corner of the pixel in column x and row y, and an area reaches to the outer edges of
its pixels. All lengths are in pixels.
"""

from dataclasses import dataclass
from math import acos, atan, degrees, hypot

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Line = tuple[tuple[int, int], tuple[int, int]]
"""The two ends, in pixels ``(x, y)``."""


AS_LONG = 0.5
"""By so many pixels at most two lines differ that are as long to the eye."""


@dataclass(frozen=True)
class Diameters:
    """What is measured of an area.

    Args:
        longest: between the two points of its edge that lie farthest apart.
        ends: these two points, from left to right (or from top to bottom).
        width: how far it reaches at right angles to that line.
        widths: least and greatest of what it would be for other lines between two points of its edge that are as long,
            but for half a pixel.
        chord: the longest straight line at right angles to that line, from edge to edge: at most ``width``.
        convexity: share of its convex hull that it fills.
    """

    longest: float
    ends: tuple[tuple[float, float], tuple[float, float]]
    width: float
    widths: tuple[float, float]
    chord: float
    convexity: float

    @property
    def elongation(self) -> float:
        """How many times as long as wide it is."""
        return self.longest / self.width


def diameters(mask: npt.NDArray[np.bool_]) -> Diameters:
    """Measure an area.

    Args:
        mask: [height, width], not empty.
    """
    hull = convex_hull(mask)
    apart = hull[:, None] - hull[None]
    squared = (apart**2).sum(axis=2)
    # Of equal ones the first in the order of the corners, from left to right.
    one, other = sorted(np.unravel_index(int(squared.argmax()), squared.shape))
    start, end = hull[one], hull[other]
    along = (end - start) / np.linalg.norm(end - start)
    across = np.array([-along[1], along[0]])
    off = hull @ across
    about = np.argwhere(np.triu(squared >= max(0.0, np.sqrt(squared.max()) - AS_LONG) ** 2, 1))
    lines = hull[about[:, 1]] - hull[about[:, 0]]
    beside = hull @ np.stack([-lines[:, 1], lines[:, 0]]) / np.linalg.norm(lines, axis=1)
    widths = beside.max(axis=0) - beside.min(axis=0)
    return Diameters(
        longest=float(np.sqrt(squared.max())),
        ends=((float(start[0]), float(start[1])), (float(end[0]), float(end[1]))),
        width=float(off.max() - off.min()),
        widths=(float(widths.min()), float(widths.max())),
        chord=_longest_chord(mask, along, across),
        convexity=float(mask.sum() / _area(hull)),
    )


def convex_hull(mask: npt.NDArray[np.bool_]) -> Floats:
    """Corners of the convex hull of an area's pixels [n, 2] as (x, y), from left to right, then from top to bottom."""
    from scipy.spatial import ConvexHull

    rows = np.flatnonzero(mask.any(axis=1))
    first = mask[rows].argmax(axis=1)
    last = mask.shape[1] - mask[rows, ::-1].argmax(axis=1)
    corners = np.concatenate([np.stack([x, rows + down], axis=1) for x in (first, last) for down in (0, 1)])
    found = corners[ConvexHull(corners).vertices].astype(np.float64)
    return found[np.lexsort((found[:, 1], found[:, 0]))]


def _area(hull: Floats) -> float:
    from scipy.spatial import ConvexHull

    return float(ConvexHull(hull).volume)


def _longest_chord(mask: npt.NDArray[np.bool_], along: Floats, across: Floats) -> float:
    """Length of the longest stretch of a mask in a direction, looked at in steps of half a pixel."""
    rows, columns = np.nonzero(mask)
    middles = np.stack([columns, rows], axis=1) + 0.5
    reach = (np.abs(along).sum() / 2, np.abs(across).sum() / 2)  # of a pixel from its middle
    place, off = middles @ along, middles @ across
    step = np.round(np.asarray(place)).astype(int)
    step -= step.min()
    low, high = np.full(step.max() + 1, np.inf), np.full(step.max() + 1, -np.inf)
    np.minimum.at(low, step, off)
    np.maximum.at(high, step, off)
    return float((high - low).max() + 2 * reach[1])


def length(line: Line) -> float:
    """Length of a line between its ends."""
    (x0, y0), (x1, y1) = line
    return hypot(x1 - x0, y1 - y0)


def angle_between(one: Line, other: Line) -> float:
    """The smaller angle between two lines in degrees, from 0 to 90; they may meet outside of the image."""
    first, second = (np.subtract(end, start).astype(np.float64) for start, end in (one, other))
    cosine = abs(float(first @ second)) / float(np.linalg.norm(first) * np.linalg.norm(second))
    return degrees(acos(min(1.0, cosine)))


def turn_by(line: Line, pixels: float) -> float:
    """By how many degrees a line turns if one of its ends moves by so many pixels."""
    return degrees(atan(pixels / length(line)))
