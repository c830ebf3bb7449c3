"""Answers to questions for a number, and for a place, by whoever sees nothing but the image and the text.

Markers, lines and the scale bar are found by their colours. Organs of the small trunk have grey values of their own.
"""

import re

import cv2
import numpy as np
import numpy.typing as npt
from scipy import ndimage

from dataset_builder.pictures.render import FILL, MARKER_COLOURS

BAR = (0, 158, 115)
Pixels = npt.NDArray[np.uint8]
Truth = npt.NDArray[np.bool_]


def exact(image: Pixels, letter: str) -> Truth:
    """Pixels that have a letter's colour."""
    return np.asarray((image == MARKER_COLOURS[letter]).all(axis=2))


def area_of(image: Pixels, letter: str) -> Truth:
    """What an overlay covers: its contour, and what is tinted as its fill is; letters in it are filled in."""
    contour = exact(image, letter)
    r, g, b = (float(part) for part in MARKER_COLOURS[letter])
    shown = image.astype(int)
    tinted = np.abs(shown[..., 0] - shown[..., 1] - FILL * (r - g)) <= 1.6
    tinted &= np.abs(shown[..., 1] - shown[..., 2] - FILL * (g - b)) <= 1.6
    both = contour | tinted
    numbered, _ = ndimage.label(both, np.ones((3, 3)))
    kept = np.isin(numbered, np.unique(numbered[contour & both]))
    return np.asarray(ndimage.binary_fill_holes(kept))


def centre(image: Pixels, letter: str, question: str) -> npt.NDArray[np.float64]:
    """The centre of a marked structure, as the question defines it."""
    if "coloured area" in question:
        return np.argwhere(area_of(image, letter)).mean(axis=0)[::-1] + 0.5
    x, y, width, height = cv2.boundingRect(exact(image, letter).astype(np.uint8))
    return np.array([x + width / 2, y + height / 2])


def line(image: Pixels, letter: str) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Middle and direction of a drawn line."""
    places = np.argwhere(exact(image, letter))[:, ::-1].astype(float)
    middle = places.mean(axis=0)
    _, _, ways = np.linalg.svd(places - middle, full_matrices=False)
    return middle, ways[0]


def extents(area: Truth) -> tuple[float, float]:
    """Longest diameter and width across, by turning the area in small steps."""
    hull = cv2.convexHull(np.argwhere(area)[:, ::-1].astype(np.int32))[:, 0].astype(float)
    angles = np.radians(np.arange(0, 180, 0.5))
    along = hull @ np.stack([np.cos(angles), np.sin(angles)])
    spans = along.max(axis=0) - along.min(axis=0) + 1
    best = int(spans.argmax())
    return float(spans[best]), float(spans[(best + 180) % 360])


def body_along(image: Pixels, letter: str, dark: int = 20) -> float:
    """How far a horizontal or vertical line runs in the body, just beside the line."""
    x, y, width, height = cv2.boundingRect(exact(image, letter).astype(np.uint8))
    beside = 4
    grey = np.where(image.max(axis=2) == image.min(axis=2), image[..., 0], 0)  # letters and lines are coloured
    rows = (
        [grey[y - beside], grey[y + height + beside]]
        if width > height
        else [grey[:, x - beside], grey[:, x + width + beside]]
    )
    lengths = [there for row in rows if len(there := np.flatnonzero(row > dark))]
    return float(np.mean([there[-1] - there[0] + 1 for there in lengths]))


def measure(image: Pixels, question: str) -> float:
    """The number that a question asks for."""
    if "angle in degrees" in question or "degrees is the angle" in question:
        (_, one), (_, other) = line(image, "A"), line(image, "B")
        return float(np.degrees(np.arccos(min(1.0, abs(float(one @ other))))))
    asked = question.rsplit(". ", 1)[-1]
    is_ratio = "divided by" in asked or "How many times" in asked
    if "thick" in asked:
        lengths = [body_along(image, letter) for letter in ("AB" if is_ratio else "A")]
    elif "right angles" in asked:
        longest, width = extents(area_of(image, "A"))
        lengths = [longest, width] if is_ratio else [width]
    elif "longest" in asked:
        lengths = [extents(area_of(image, letter))[0] for letter in ("AB" if is_ratio else "A")]
    else:
        places = [centre(image, letter, question) for letter in ("ABC" if is_ratio else "AB")]
        lengths = [float(np.linalg.norm(place - places[0])) for place in places[1:]]
    if is_ratio:
        return lengths[0] / lengths[1]
    return lengths[0] * pixel_mm(image, question)


def pixel_mm(image: Pixels, question: str) -> float:
    """The size of a pixel, as stated or by the scale bar."""
    if stated := re.search(r"each pixel is ([\d.]+) mm", question):
        return float(stated[1])
    bar = re.search(r"bar in the image is (\d+) mm", question)
    assert bar is not None
    columns = np.flatnonzero((image == BAR).all(axis=2).any(axis=0))
    return float(bar[1]) / (columns[-1] - columns[0] + 1)
