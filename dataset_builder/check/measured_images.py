"""What is drawn to measure with, read from the pixels: lines and the scale bar.

A line's pixels have exactly its letter's colour, a scale bar's pixels exactly one that no marker has.
"""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from dataset_builder.check.items import Item
from dataset_builder.check.phrases import pattern
from dataset_builder.imaging.masks import decode_mask
from dataset_builder.pictures.render import MARKER_COLOURS

BAR = (0, 158, 115)
"""The colour of scale bars."""
LINE_SHARE = 0.9
"""At least this share of a line's pixels must have its colour: another line may cross it."""

Problem = tuple[str, object]


def measuring_problems(image: npt.NDArray[np.uint8], item: Item) -> Iterator[Problem]:
    """What is wrong with the lines and the scale bar of an image: (problem, found).

    Args:
        image: RGB [S, S, 3].
        item: a row that asks for a number.
    """
    for (letter, colour), line in zip(MARKER_COLOURS.items(), item.lines, strict=False):
        if wrong := _line(np.asarray((image == colour).all(axis=2)), line):
            yield "A line does not run between the points of its row.", f"{letter}: {wrong}"
    if not item.structures:
        for letter, colour in list(MARKER_COLOURS.items())[len(item.lines) :]:
            if (image == colour).all(axis=2).any():
                yield "An image has a line that its question does not speak of.", letter
    yield from _bar(image, item)


def _line(drawn: npt.NDArray[np.bool_], line: tuple[tuple[int, ...], tuple[int, ...]]) -> str:
    """Why pixels are not those of a line; empty if they are."""
    (x0, y0), (x1, y1) = line
    size = drawn.shape[0]
    if not all(0 <= part < size for part in (x0, y0, x1, y1)):
        return "its ends lie outside of the image"
    steps = max(abs(x1 - x0), abs(y1 - y0)) + 1
    along = np.linspace(0, 1, steps)
    x, y = np.rint(x0 + along * (x1 - x0)).astype(int), np.rint(y0 + along * (y1 - y0)).astype(int)
    near = drawn.copy()
    near[1:] |= drawn[:-1]
    near[:-1] |= drawn[1:]
    near[:, 1:] |= drawn[:, :-1]
    near[:, :-1] |= drawn[:, 1:]
    if float(near[y, x].mean()) < LINE_SHARE:
        return f"{100 * near[y, x].mean():.0f} % of its pixels are drawn"
    rows, columns = np.nonzero(drawn)
    start, way = np.array([x0, y0]), np.array([x1 - x0, y1 - y0], float)
    long = max(1.0, float(np.hypot(*way)))
    off = np.stack([columns, rows], axis=1) - start
    beyond = off @ way / long
    aside = np.abs(off @ np.array([-way[1], way[0]]) / long)
    slack = 1.5 + 2 * size / 512
    if beyond.min() < -slack or beyond.max() > long + slack or aside.max() > slack:
        return "more is drawn than the line"
    return ""


def _bar(image: npt.NDArray[np.uint8], item: Item) -> Iterator[Problem]:
    """The scale bar: there if the row says so, as long as the question says, off what is asked about."""
    there = np.asarray((image == BAR).all(axis=2))
    if bool(there.any()) != (item.scale == "bar"):
        yield "An image has a scale bar where the row says none, or has none.", item.scale
        return
    stated = pattern("scale", "bar").search(item.stem)
    if not there.any() or stated is None:
        return
    rows, columns = np.flatnonzero(there.any(axis=1)), np.flatnonzero(there.any(axis=0))
    length = int(columns[-1] - columns[0] + 1)
    if int(there.sum()) != length * int(rows[-1] - rows[0] + 1):
        yield "The scale bar is not a whole rectangle.", f"{int(there.sum())} pixels"
    wanted = float(stated[1]) / item.pixel_mm
    if abs(length - wanted) > 0.51:
        yield "The scale bar is not as long as the question says.", f"{length} pixels, not {wanted:.1f}"
    for name, encoded in zip(item.structures, item.masks, strict=False):
        mask = decode_mask(encoded)
        if mask.shape == there.shape and (mask & there).any():
            yield "The scale bar covers what is asked about.", name
