"""Reading the letters A, B and C in an image: which one stands where, by its shape.

A letter has a lighter tint of its marker's colour. Where that tint is, the shapes of all three letters are tried; the
one that fits best is the letter that a reader sees.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from math import ceil

import cv2
import numpy as np
import numpy.typing as npt

from dataset_builder.pictures.render import MARKER_COLOURS

LETTERS = "ABC"
TINT = 0.6
"""A letter's channels differ by this share of what its marker's do: the rest is white."""

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Glyph:
    """A letter in an image.

    Args:
        shape: the letter that the shape is of.
        likeness: correlation with that shape, up to 1.
        box: where it is, in pixels.
    """

    shape: str
    likeness: float
    box: tuple[int, int, int, int]


@cache
def shape_of(letter: str, size: int) -> Floats:
    """A letter as coverage from 0 to 1, with its rim, for an image of that side [height, width]."""
    height, margin, fine = max(10, round(size * 22 / 512)), max(1, round(size * 2 / 512)), 8
    drawn = {}
    for each in LETTERS:
        canvas = np.zeros((4 * height * fine, 6 * height * fine), np.uint8)
        at = (height * fine, 3 * height * fine)
        weight = max(1, round(height * fine * 0.11))
        cv2.putText(canvas, each, at, cv2.FONT_HERSHEY_SIMPLEX, height * fine / 21.5, 255, weight)
        x, y, width, tall = cv2.boundingRect(canvas)
        drawn[each] = canvas[y : y + tall, x : x + width]
    scale = height / max(part.shape[0] for part in drawn.values())
    wide = ceil(max(part.shape[1] for part in drawn.values()) * scale)
    size_of_frame = wide + 2 * margin, height + 2 * margin
    framed = np.zeros((size_of_frame[1] * fine, size_of_frame[0] * fine), np.uint8)
    part = cv2.resize(drawn[letter], None, fx=scale * fine, fy=scale * fine, interpolation=cv2.INTER_AREA)
    top, left = (framed.shape[0] - part.shape[0]) // 2, (framed.shape[1] - part.shape[1]) // 2
    framed[top : top + part.shape[0], left : left + part.shape[1]] = part
    small = cv2.resize(framed, size_of_frame, interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.float32) / np.float32(255)


def read_glyphs(image: npt.NDArray[np.uint8]) -> Mapping[str, Glyph]:
    """The letter in the tint of each marker's colour: colour's letter -> what is read there.

    Args:
        image: RGB [S, S, 3].
    """
    size = image.shape[0]
    found = {}
    height, width = shape_of("A", size).shape
    for letter, colour in MARKER_COLOURS.items():
        tint = tuple(part + (255 - part) * 2 // 5 for part in colour)
        core = cv2.inRange(image, _shifted(tint, -3), _shifted(tint, 3))
        x, y, w, h = cv2.boundingRect(core)
        if not w:
            continue
        x0, y0 = max(0, x - width), max(0, y - height)
        cover = _coverage(image[y0 : y + h + height, x0 : x + w + width], colour)
        if cover.shape[0] < height or cover.shape[1] < width:
            continue
        ink = float(shape_of(letter, size).sum())
        there = cv2.boxFilter(cover, -1, (width, height), anchor=(0, 0), normalize=False) > 0.5 * ink
        best = None
        for shape in (letter, *(other for other in LETTERS if other != letter)):
            score = cv2.matchTemplate(cover, shape_of(shape, size), cv2.TM_CCOEFF_NORMED)
            score[~there[: score.shape[0], : score.shape[1]]] = 0  # what is flat is like anything
            _, likeness, _, (left, top) = cv2.minMaxLoc(score)
            if best is None or likeness > best.likeness:
                at = (x0 + left, y0 + top, x0 + left + width, y0 + top + height)
                best = Glyph(shape, float(likeness), at)
            if shape == letter and likeness > SURE:
                break  # the shapes are too unlike for another one to fit better
        if best is not None:
            found[letter] = best
    return found


SURE = 0.93
"""From this likeness on no other letter can fit as well."""


def _shifted(colour: tuple[int, ...], by: int) -> tuple[int, ...]:
    return tuple(min(255, max(0, part + by)) for part in colour)


def _coverage(part: npt.NDArray[np.uint8], colour: tuple[int, int, int]) -> Floats:
    """How much of each pixel has the tint of a colour [height, width]; the marker's own colour counts nothing."""
    r, g, b = (float(channel) for channel in colour)
    toward = np.array([r - g, g - b], np.float32)
    pixels = part.astype(np.float32)
    chroma = np.stack([pixels[..., 0] - pixels[..., 1], pixels[..., 1] - pixels[..., 2]], axis=-1)
    share = chroma @ toward / float(toward @ toward)
    off = np.linalg.norm(chroma - share[..., None] * toward, axis=-1)
    share[(off > 12) | (share > 0.8)] = 0
    return np.clip(share / TINT, 0, 1).astype(np.float32)
