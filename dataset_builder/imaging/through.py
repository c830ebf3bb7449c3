"""Where structures lie along an axis of the whole volume: the array's, and the world's that it stands for."""

import numpy as np

from dataset_builder.core.factors import Plane
from dataset_builder.files.memoize import remembered
from dataset_builder.imaging.geometry import OBLIQUE_DEG, PLANE_AXIS, obliquity_deg, world_directions
from dataset_builder.imaging.laterality import label_profiles
from dataset_builder.imaging.measurements import QUARTILES, percentile
from dataset_builder.imaging.volume import Volume

Through = dict[int, tuple[float, float, float]]
"""Label value -> 25th percentile, mean and 75th percentile of the positions of a structure's voxels in mm."""

_STEP_MM = 0.1
_SLAB_VOXELS = 1 << 20


@remembered
def through(volume: Volume, plane: Plane) -> Through:
    """Along a plane's axis: index * spacing, of each labelled structure."""
    axis = PLANE_AXIS[plane]
    profile, step = label_profiles(volume)[axis], volume.spacing[axis]
    found = np.array(
        [value for value in sorted(volume.names) if 0 < value < len(profile) and profile[value].any()], int
    )
    if not len(found):
        return {}
    low, high = (percentile(profile[found], share) * step for share in QUARTILES)
    mean = profile[found] @ np.arange(profile.shape[1]) / profile[found].sum(axis=1) * step
    return {int(v): (float(a), float(b), float(c)) for v, a, b, c in zip(found, low, mean, high, strict=True)}


@remembered
def through_world(volume: Volume, plane: Plane) -> Through:
    """Along the world's axis, counted from the array's first voxel, to a tenth of a mm; nothing if not tilted."""
    if obliquity_deg(volume.affine) < OBLIQUE_DEG:
        return {}
    along = world_directions(volume.affine)[PLANE_AXIS[plane]] * volume.spacing
    size = np.array(volume.labels.shape)
    low_end, high_end = np.minimum(0, along * (size - 1)).sum(), np.maximum(0, along * (size - 1)).sum()
    bins, count = int((high_end - low_end) / _STEP_MM) + 2, int(volume.labels.max(initial=0)) + 1
    profile = np.zeros((count, bins), np.int64)
    step = max(1, _SLAB_VOXELS // int(size[0] * size[1]))
    for first in range(0, int(size[2]), step):
        slab = volume.labels[:, :, first : first + step]
        i, j, k = np.nonzero(slab)
        at = i * along[0] + j * along[1] + (k + first) * along[2] - low_end
        flat = slab[i, j, k].astype(np.int64) * bins + np.rint(at / _STEP_MM).astype(np.int64)
        profile += np.bincount(flat, minlength=count * bins).reshape(count, bins)
    found = np.array([value for value in sorted(volume.names) if 0 < value < count and profile[value].any()], int)
    if not len(found):
        return {}
    low, high = (percentile(profile[found], share) * _STEP_MM + low_end for share in QUARTILES)
    mean = profile[found] @ np.arange(bins) / profile[found].sum(axis=1) * _STEP_MM + low_end
    return {int(v): (float(a), float(b), float(c)) for v, a, b, c in zip(found, low, mean, high, strict=True)}
