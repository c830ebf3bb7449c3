"""Structures hidden in a slice: their area is filled from what surrounds it, so that nothing of them is seen.

What is hidden is a structure's own pixels, whatever it encloses, and a margin of :data:`MARGIN_MM` around it, in which
its border is blurred. The fill is as smooth as a soap film over the hole, with noise as strong as next to it. It is a
function of the pixels outside alone: a structure that looked otherwise would leave the same image.
"""

import random
from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt
from scipy import ndimage

from dataset_builder.core.hashing import digest
from dataset_builder.slices.selection import SliceRecord

MARGIN_MM = 4.0
"""Width of the margin that is hidden around a structure ..."""
MARGIN_PIXELS = 2
"""... and its least width in pixels of the slice."""
NEIGHBOURS_MM = 10.0
"""Noise is like that of pixels at most so far from what is hidden."""

SIGMA_PER_MEDIAN = 1.4826
"""Standard deviation of a normal distribution / median of what it is off by."""
RELAXATIONS = 12
"""Steps toward a harmonic surface on each grid."""

Grey = npt.NDArray[np.uint8]
Truth = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float32]


def hidden_area(record: SliceRecord, names: Sequence[str]) -> Truth:
    """The pixels of a slice [U, V] that are filled to hide some of its structures."""
    values = [value for value, name in record.names.items() if name in names]
    covered = ndimage.binary_fill_holes(np.isin(record.labels, values))
    if not covered.any():
        return np.zeros(record.labels.shape, bool)
    return _grown(covered, record.spacing, MARGIN_MM, MARGIN_PIXELS)


def hide(grey: Grey, record: SliceRecord, names: Sequence[str]) -> Grey:
    """Grey values of a slice [U, V] with some of its structures hidden."""
    hidden = hidden_area(record, names)
    if not hidden.any() or hidden.all():
        return np.zeros_like(grey) if hidden.all() else grey
    rows, columns = (slice(part.min(), part.max() + 1) for part in np.nonzero(hidden))
    known = np.where(hidden, 0, grey).astype(np.float32)
    filled = _film(known, ~hidden)
    near = _grown(hidden, record.spacing, NEIGHBOURS_MM, 3) & ~hidden
    residue = np.abs(known - _mean_of_known(known, ~hidden))[near]
    # The median leaves borders of other structures out of what counts as noise.
    strength = SIGMA_PER_MEDIAN * float(np.median(residue)) if len(residue) else 0.0
    seed = digest("occluded", *record.drawn_by, record.plane, record.index, *sorted(names))
    draw = np.random.default_rng(random.Random(seed).getrandbits(64))
    noise = draw.normal(0.0, strength, hidden.shape)
    shown = grey.copy()
    there = hidden[rows, columns]
    inside = (filled + noise)[rows, columns][there]
    shown[rows, columns][there] = np.round(np.clip(inside, 0, 255)).astype(np.uint8)
    return shown


def _grown(covered: Truth, spacing: tuple[float, float], by_mm: float, by_pixels: int) -> Truth:
    """An area and what lies at most so far from it, in mm and in pixels."""
    reach = [int(np.ceil(max(by_mm / step, by_pixels))) for step in spacing]
    at = [np.arange(-far, far + 1) for far in reach]
    u, v = np.meshgrid(*at, indexing="ij")
    disc = (u * spacing[0]) ** 2 + (v * spacing[1]) ** 2 <= by_mm**2
    disc |= (np.abs(u) <= by_pixels) & (np.abs(v) <= by_pixels)
    return np.asarray(cv2.dilate(covered.astype(np.uint8), disc.astype(np.uint8)) > 0)


def _mean_of_known(values: Floats, known: Truth) -> Floats:
    """Mean of the known pixels around each pixel."""
    weight = known.astype(np.float32)
    total = np.asarray(cv2.GaussianBlur(values * weight, (0, 0), 2), np.float32)
    around = np.asarray(cv2.GaussianBlur(weight, (0, 0), 2), np.float32)
    return np.asarray(total / np.maximum(around, np.float32(1e-6)), np.float32)


def _film(values: Floats, known: Truth) -> Floats:
    """The values with the unknown ones replaced by a harmonic surface, from coarse to fine grids."""
    if min(values.shape) <= 2 or known.all():
        mean = values[known].mean() if known.any() else np.float32(0)
        return np.where(known, values, mean).astype(np.float32)
    half = ((values.shape[1] + 1) // 2, (values.shape[0] + 1) // 2)
    weight = np.asarray(cv2.resize(known.astype(np.float32), half, interpolation=cv2.INTER_AREA), np.float32)
    total = np.asarray(cv2.resize(np.where(known, values, 0), half, interpolation=cv2.INTER_AREA), np.float32)
    coarse = _film(np.asarray(total / np.maximum(weight, np.float32(1e-6)), np.float32), weight > 0)
    rough = np.asarray(cv2.resize(coarse, values.shape[::-1], interpolation=cv2.INTER_LINEAR), np.float32)
    surface = np.where(known, values, rough).astype(np.float32)
    for _ in range(RELAXATIONS):
        around = np.asarray(cv2.filter2D(surface, -1, _CROSS, borderType=cv2.BORDER_REFLECT_101), np.float32)
        surface = np.where(known, values, around)
    return surface


_CROSS = np.array([[0, 0.25, 0], [0.25, 0, 0.25], [0, 0.25, 0]], np.float32)
