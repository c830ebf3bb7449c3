"""Left and right of a body: where its midline runs, and whether labels that name a side lie on it.

Positions along the R axis are index * spacing, in mm from the array's left end.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from dataset_builder.errors import SwappedSidesError
from dataset_builder.remembering import remembered
from dataset_builder.vocabulary import Structure, structures
from dataset_builder.volume import Volume

MAX_ASTRAY_MM = 5.0
"""So far beyond the midline a label that names the other side may have its centroid: the midline is not that exact."""
MIN_VOLUME_MM3 = 500.0
"""Smaller labels are crumbs, too small to be asked about in any slice."""


@remembered
def label_profiles(volume: Volume) -> tuple[npt.NDArray[np.int64], ...]:
    """For each array axis the voxels of each label in each slice across it: three arrays [values, size of the axis]."""
    labels = volume.labels
    values = int(labels.max(initial=0)) + 1
    profiles = tuple(np.zeros((values, size), np.int64) for size in labels.shape)
    # Slab by slab in the order in which the array lies in memory: one pass, no large temporary arrays.
    outer, middle, inner = sorted(range(3), key=lambda axis: -abs(labels.strides[axis]))
    for index, slab in enumerate(labels.transpose(outer, middle, inner)):
        rows, columns = np.nonzero(slab)
        found = slab[rows, columns].astype(np.int64)
        profiles[outer][:, index] += np.bincount(found, minlength=values)
        for axis, where in ((middle, rows), (inner, columns)):
            size = labels.shape[axis]
            profiles[axis][:] += np.bincount(found * size + where, minlength=values * size).reshape(values, size)
    return profiles


def _across(volume: Volume, words: Mapping[str, Structure]) -> dict[str, tuple[float, float]]:
    """Index of the centroid along the R axis and number of voxels, of each labelled structure of the vocabulary."""
    profile = label_profiles(volume)[0]
    where = np.arange(profile.shape[1])
    found = {}
    for value, name in volume.names.items():
        voxels = float(profile[value].sum()) if 0 < value < len(profile) else 0.0
        if voxels and name in words:
            found[name] = float(profile[value] @ where) / voxels, voxels
    return found


def midline(volume: Volume, vocabulary: Mapping[str, Structure] | None = None) -> float | None:
    """Position of the body's midline along the R axis: index * spacing, in mm from the array's left end.

    It is the median, weighted by volume, of the centroids of the structures that mark it (vertebrae, sternum, brain);
    without any of these, of the points midway between twins (the kidneys, the femurs).

    Args:
        vocabulary: structures by canonical name; the package's own if not given.

    Returns:
        ``None`` if there is nothing to tell it from, and for volumes of one limb.
    """
    if volume.side is not None:
        return None
    words = structures() if vocabulary is None else vocabulary
    found = _across(volume, words)
    marks = [found[name] for name in found if words[name].midline_reference]
    if not marks:
        for name, (centroid, voxels) in found.items():
            twin = words[name].pair
            if twin in found and name < str(twin):
                other, of_other = found[str(twin)]
                marks.append(((centroid + other) / 2, min(voxels, of_other)))
    if not marks:
        return None
    return _weighted_median([at for at, _ in marks], [weight for _, weight in marks]) * float(volume.spacing[0])


def _weighted_median(values: Sequence[float], weights: Sequence[float]) -> float:
    """The value with half of the weight on either side; the mean of two where the halves meet between them."""
    order = np.argsort(values, kind="stable")
    ordered, share = np.asarray(values)[order], np.cumsum(np.asarray(weights, float)[order])
    half = share[-1] / 2
    first = int(np.searchsorted(share, half * (1 - 1e-12)))
    second = int(np.searchsorted(share, half * (1 + 1e-12)))
    return float(ordered[first] + ordered[min(second, len(ordered) - 1)]) / 2


def check_sides(volume: Volume, vocabulary: Mapping[str, Structure] | None = None) -> None:
    """Refuse a volume whose labels name a side that they do not lie on.

    Of a body, structures named left must lie left of its midline and those named right, right; of a limb whose side is
    known, structures named lateral must lie farther from the body's midline than their medial twins.

    Args:
        vocabulary: structures by canonical name; the package's own if not given. It says which names are checked.

    Raises:
        SwappedSidesError: names the structures that lie on the wrong side, and by how much.
    """
    words = structures() if vocabulary is None else vocabulary
    step = volume.spacing[0]
    voxel_mm3 = float(np.prod(volume.spacing))
    found = {name: at * step for name, (at, n) in _across(volume, words).items() if n * voxel_mm3 >= MIN_VOLUME_MM3}
    wrong: dict[str, float] = {}
    if volume.side is None:
        middle = midline(volume, words)
        if middle is None:
            return
        for name, at in found.items():
            structure = words[name]
            if structure.check_side and structure.side is not None:
                wrong[name] = (middle - at) if structure.side == "right" else (at - middle)
        what, remedy = "Structures named by a side lie on the other one", "the affine's sign along the first axis"
    else:
        outward = 1 if volume.side == "right" else -1
        for name, at in found.items():
            inner = name.replace("lateral", "medial")
            if inner != name and inner in found:
                wrong[name] = outward * (found[inner] - at)
        what, remedy = f"Structures named lateral lie medial, for a {volume.side} limb", "the side given for the limb"
    wrong = {name: off for name, off in wrong.items() if off > MAX_ASTRAY_MM}
    if wrong:
        shown = sorted(wrong.items(), key=lambda item: -item[1])
        raise SwappedSidesError(
            f"{what}.",
            value=", ".join(f"{name} by {off:.0f} mm" for name, off in shown[:5]) + (" ..." if len(shown) > 5 else ""),
            remedy=f"Check the labels' names and {remedy}; if the labels are right, leave the case out.",
        )
