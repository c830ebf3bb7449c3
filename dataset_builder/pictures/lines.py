"""Straight lines marked A and B, drawn into an image, and the scale bar: what measurements are made at and with.

A line's core has exactly the colour of its letter (``MARKER_COLOURS`` of :mod:`dataset_builder.pictures.render`) and no
smooth edge, and its middle runs from the one end to the other, so that a program reads its direction from the pixels.
"""

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from dataset_builder.imaging.diameters import Line
from dataset_builder.pictures.letters import LETTERS, Mark, Strokes, place_letters
from dataset_builder.pictures.render import DARK, MARKER_COLOURS, draw_letter


def line_mask(line: Line, image_size: int, width: int = 1) -> npt.NDArray[np.bool_]:
    """The pixels of a line of an odd width [S, S]."""
    drawn = np.zeros((image_size, image_size), np.uint8)
    cv2.line(drawn, line[0], line[1], 1, width, cv2.LINE_8)
    return drawn.astype(bool)


def core_width(strokes: Strokes) -> int:
    """Width of a line without its rim: odd, so that it has a middle."""
    return strokes.line // 2 * 2 + 1


def draw_lines(picture: npt.NDArray[np.uint8], lines: Sequence[Line]) -> npt.NDArray[np.uint8]:
    """An image with lines and their letters on it.

    Args:
        picture: RGB uint8 [S, S, 3]; left as it is.
        lines: A first; at most three.
    """
    shown = picture.copy()
    size = shown.shape[0]
    strokes = Strokes.of(size)
    marks, busy = [], np.zeros((size, size), np.uint8)
    for line in lines:
        core = line_mask(line, size, core_width(strokes))
        busy |= core
        rows, columns = np.nonzero(core)
        box = (int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1)
        marks.append(Mark(box, _lettered_end(line, lines), core))
    rim = line_rim(lines, size, strokes)
    shown[rim] = DARK
    rectangles = place_letters("mask", marks, size, (busy | rim).astype(np.uint8))
    for letter, rectangle in zip(LETTERS, rectangles, strict=False):
        draw_letter(shown, letter, rectangle, size)
    # Lines last: nothing may cover what is measured.
    for letter, mark in zip(LETTERS, marks, strict=False):
        shown[mark.mask] = MARKER_COLOURS[letter]
    return shown


def _lettered_end(line: Line, lines: Sequence[Line]) -> tuple[int, int]:
    """The end of a line that lies farther from the other lines: its letter goes there."""

    def free(end: tuple[int, int]) -> float:
        return min((_distance(end, other) for other in lines if other != line), default=0.0)

    return max(line, key=free)  # the first of equals


def _distance(place: tuple[int, int], line: Line) -> float:
    """Of a place from a line between its ends."""
    start, end, at = (np.array(each, np.float64) for each in (*line, place))
    way = end - start
    share = np.clip((at - start) @ way / max(1.0, float(way @ way)), 0, 1)
    return float(np.linalg.norm(at - start - share * way))


def line_rim(lines: Sequence[Line], image_size: int, strokes: Strokes) -> npt.NDArray[np.bool_]:
    """The dark pixels beside lines [S, S], which make them stand out on bright tissue."""
    rim = np.zeros((image_size, image_size), bool)
    for line in lines:
        rim |= line_mask(line, image_size, core_width(strokes) + 2 * strokes.rim)
    return rim
