"""Images to measure in: with lines or markers, and with a scale bar that covers neither them nor what they mark."""

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from dataset_builder.imaging.diameters import Line
from dataset_builder.pictures.letters import Rectangle, Strokes
from dataset_builder.pictures.lines import draw_lines, line_mask
from dataset_builder.pictures.scale_bar import bar_pixels, draw_bar, place_bar


def draw_measured(
    picture: npt.NDArray[np.uint8],
    lines: Sequence[Line],
    bar_mm: int | None,
    areas: Sequence[npt.NDArray[np.bool_]],
    pixel_mm: float,
) -> npt.NDArray[np.uint8]:
    """An image with what a measurement needs drawn on it.

    Args:
        picture: uint8 [S, S] or [S, S, 3], with the markers of structures if there are any.
        lines: to draw, A first.
        bar_mm: length of the scale bar; ``None`` for none.
        areas: bool [S, S] of each structure that is asked about.
    """
    shown = picture if picture.ndim == 3 else np.asarray(cv2.cvtColor(picture, cv2.COLOR_GRAY2RGB), np.uint8)
    if lines:
        shown = draw_lines(shown, lines)
    if bar_mm is None:
        return shown
    # Whatever is coloured is a marker, and its dark rim lies around it.
    marked = shown.max(axis=2) != shown.min(axis=2)
    bar = bar_place(bar_mm, pixel_mm, [*areas, marked], shown.shape[0], 2 * max(1, shown.shape[0] // 256))
    if bar is None:
        raise ValueError(f"An image of {shown.shape[0]} pixels has no room for a scale bar of {bar_mm} mm")
    return draw_bar(shown, bar)


def bar_place(
    bar_mm: int, pixel_mm: float, areas: Sequence[npt.NDArray[np.bool_]], image_size: int, away: int
) -> Rectangle | None:
    """Where a scale bar goes; ``None`` if there is no room.

    Args:
        areas: bool [S, S] that it may not cover.
        away: so many pixels at least it stays away from them.
    """
    covered = np.zeros((image_size, image_size), np.uint8)
    for area in areas:
        covered |= area
    covered = np.asarray(cv2.dilate(covered, np.ones((2 * away + 1, 2 * away + 1), np.uint8)))
    return place_bar(bar_pixels(bar_mm, pixel_mm), covered > 0)


def has_room(
    bar_mm: int, pixel_mm: float, areas: Sequence[npt.NDArray[np.bool_]], lines: Sequence[Line], image_size: int
) -> bool:
    """Whether a scale bar has room, wherever beside the structures and lines their letters and boxes come to lie."""
    drawn = [line_mask(line, image_size) for line in lines]
    width, height = Strokes.of(image_size).letter
    return bar_place(bar_mm, pixel_mm, [*areas, *drawn], image_size, 2 * max(width, height)) is not None
