"""The scale bar: a horizontal bar of a stated length in mm, where it covers nothing that is asked about.

Its core has exactly the colour :data:`BAR_COLOUR`, which nothing else in an image has: its length is the number of
columns of that colour.
"""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from dataset_builder.pictures.letters import Rectangle, Strokes
from dataset_builder.pictures.render import DARK

BAR_COLOUR = (0, 158, 115)
"""RGB: bluish green, of the palette that the markers are of."""

LENGTHS_MM = (5, 10, 20, 50, 100, 200)
LONGEST_SHARE = 0.3
"""A bar takes at most this share of the width of the image."""


def bar_length_mm(pixel_mm: float, image_size: int) -> int:
    """The length of the bar for an image: the longest usual one that is not too long."""
    fitting = [mm for mm in LENGTHS_MM if mm <= LONGEST_SHARE * image_size * pixel_mm]
    return fitting[-1] if fitting else LENGTHS_MM[0]


def bar_pixels(length_mm: float, pixel_mm: float) -> int:
    """How many pixels long a bar is drawn."""
    return round(length_mm / pixel_mm)


def place_bar(length: int, covered: npt.NDArray[np.bool_]) -> Rectangle | None:
    """Where a bar goes: near the bottom or the top of the image, where nothing is covered; ``None`` if nowhere.

    Args:
        length: in pixels.
        covered: [S, S] what may not be covered: structures that are asked about, markers, letters.

    Returns:
        ``(x0, y0, x1, y1)``, half-open, of the bar's core.
    """
    size = covered.shape[0]
    strokes = Strokes.of(size)
    around = strokes.rim + strokes.gap
    sums = np.pad(covered.astype(np.int64).cumsum(axis=0).cumsum(axis=1), ((1, 0), (1, 0)))
    for x0, y0 in _places(length, size, strokes):
        x1, y1 = x0 + length, y0 + thickness(strokes)
        left, top, right, bottom = (
            max(0, x0 - around),
            max(0, y0 - around),
            min(size, x1 + around),
            min(size, y1 + around),
        )
        if (
            x0 >= 0
            and x1 <= size
            and not (sums[bottom, right] - sums[top, right] - sums[bottom, left] + sums[top, left])
        ):
            return x0, y0, x1, y1
    return None


def thickness(strokes: Strokes) -> int:
    """Height of a bar in pixels."""
    return 2 * strokes.line


def _places(length: int, size: int, strokes: Strokes) -> Iterator[tuple[int, int]]:
    """Upper left corners to try: along the bottom, then along the top, then farther from both."""
    margin = max(2, size // 40)
    high = thickness(strokes)
    for inward in range(margin, size // 2, max(1, size // 32)):
        for y in (size - inward - high, inward):
            for share in (0.0, 1.0, 0.5, 0.25, 0.75):
                yield margin + round(share * (size - 2 * margin - length)), y


def draw_bar(picture: npt.NDArray[np.uint8], bar: Rectangle) -> npt.NDArray[np.uint8]:
    """An image with a scale bar on it.

    Args:
        picture: RGB uint8 [S, S, 3]; left as it is.
        bar: as :func:`place_bar` gives it.
    """
    shown = picture.copy()
    rim = Strokes.of(shown.shape[0]).rim
    x0, y0, x1, y1 = bar
    shown[max(0, y0 - rim) : y1 + rim, max(0, x0 - rim) : x1 + rim] = DARK
    shown[y0:y1, x0:x1] = BAR_COLOUR
    return shown
