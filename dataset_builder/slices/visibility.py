"""Along which planes a volume gives images, and where its structures are visible along them."""

import hashlib
import random
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from dataset_builder.core.factors import Plane
from dataset_builder.core.settings import NAMED_MM2, VISIBLE_MM2, ClarityLimits
from dataset_builder.files.memoize import remembered
from dataset_builder.imaging.geometry import IN_PLANE_AXES, PLANE_AXIS
from dataset_builder.imaging.laterality import label_profiles
from dataset_builder.imaging.volume import Volume

MIN_STRUCTURES = 2
"""Slices with fewer structures are never chosen: there is nothing to relate."""

RICH = 0.5
"""A slice counts as rich if it has at least this share of the structures of the plane's richest slice."""

_BITS = 63
_HASHED_VOXELS = 4_000_000


def narrow_planes(volume: Volume, planes: Sequence[Plane], limits: ClarityLimits) -> dict[Plane, str]:
    """The planes of which a volume gives no image that anyone would read: with the image's size, as a text.

    Args:
        limits: how many voxels and how long an image is at least, and how much longer than wide at most.
    """
    found: dict[Plane, str] = {}
    for plane in planes:
        sides = [(volume.labels.shape[axis], float(volume.spacing[axis])) for axis in IN_PLANE_AXES[plane]]
        lengths = sorted(count * step for count, step in sides)
        if (
            min(count for count, _ in sides) < limits.min_image_voxels
            or lengths[0] < limits.min_image_mm
            or lengths[1] > limits.max_image_ratio * lengths[0]
        ):
            voxels, mm = (
                " x ".join(texts) for texts in zip(*((str(n), f"{n * s:.0f}") for n, s in sides), strict=True)
            )
            found[plane] = f"{voxels} voxels, {mm} mm"
    return found


@remembered
def seen_in(volume: Volume, plane: Plane) -> dict[int, tuple[int, int]]:
    """In which of the slices that could be chosen each structure is clearly visible, and in which it is at all."""
    known, area = areas(volume, plane)
    count = (area >= VISIBLE_MM2).sum(axis=0)
    pool = np.flatnonzero(count >= max(MIN_STRUCTURES, RICH * count.max(initial=0)))
    if len(pool) > _BITS:
        pool = pool[np.linspace(0, len(pool) - 1, _BITS).round().astype(int)]
    bits = 1 << np.arange(len(pool), dtype=np.int64)
    visible, present = ((area[:, pool] >= least) @ bits for least in (NAMED_MM2, 1e-9))
    return {value: (int(a), int(b)) for value, a, b in zip(known, visible, present, strict=True) if b}


def spread_out(
    candidates: npt.NDArray[np.int64], visible: npt.NDArray[np.int64], count: int, draw: random.Random
) -> list[int]:
    """``count`` of the candidate slices, one of the richest of each of as many stretches of the body."""
    if count == 0:
        return []
    rich = candidates[visible[candidates] >= RICH * visible[candidates].max()]
    stretches = np.array_split(rich if len(rich) >= count else candidates, count)
    chosen: list[int] = []
    for stretch in stretches:
        # Not next to the one before: neighbours show the same.
        apart = stretch[stretch - chosen[-1] > len(stretch) // 2] if chosen else stretch
        pool = apart if len(apart) else stretch
        best = pool[visible[pool] >= 0.8 * visible[pool].max()]
        chosen.append(int(best[draw.randrange(len(best))]))
    return chosen


def areas(volume: Volume, plane: Plane) -> tuple[list[int], npt.NDArray[np.float64]]:
    """Label values, and their areas in mm2 in each slice along a plane's axis [n, slices]."""
    profile = label_profiles(volume)[PLANE_AXIS[plane]]
    known = [value for value in volume.names if 0 < value < len(profile)]
    first, second = IN_PLANE_AXES[plane]
    area = profile[known].astype(np.float64) * float(volume.spacing[first] * volume.spacing[second])
    return known, area


def why_nothing(volume: Volume, planes: Sequence[Plane]) -> str:
    """Why no slice of a volume was chosen, in a sentence."""
    if not planes:
        return "Every plane would give an image that is too narrow."
    present = [name for value, name in volume.names.items() if (volume.labels == value).any()]
    if len(present) < MIN_STRUCTURES:
        return f"Only one structure is labelled ({', '.join(present)}): there is nothing to relate it to."
    area, name = max(
        (float(of_structure.max(initial=0.0)), volume.names[value])
        for plane in planes
        for value, of_structure in zip(*areas(volume, plane), strict=True)
    )
    least = f"{MIN_STRUCTURES} structures of at least {VISIBLE_MM2:g} mm2"
    return f"No slice shows {least}; the largest is {name}, {area:.3g} mm2."


def scan_sha256(image: npt.NDArray) -> str:
    """A hash of a scan's values, the same under whatever name, storage order or number type it is kept.

    Of large scans a regular subset of some million voxels stands for all.
    """
    step = max(1, int(np.ceil((image.size / _HASHED_VOXELS) ** (1 / 3))))
    subset = np.ascontiguousarray(image[::step, ::step, ::step], dtype=np.float32)
    return hashlib.sha256(repr(image.shape).encode() + subset.tobytes()).hexdigest()
