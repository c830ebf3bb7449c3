"""Left and right of a body: where its midline runs, and whether labels that name a side lie on it.

Positions along the R axis are index * spacing, in mm from the array's left end.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from dataset_builder.core.errors import SwappedSidesError
from dataset_builder.files.memoize import remembered
from dataset_builder.imaging.geometry import world_directions
from dataset_builder.imaging.volume import Volume
from dataset_builder.vocabulary import Structure, structures

MAX_ASTRAY_MM = 5.0
"""How far beyond the midline the centroid of a sided label may lie: the midline is not exact."""
MIN_VOLUME_MM3 = 500.0
"""Smaller labels are fragments, too small to be asked about in any slice."""


_SLAB_VOXELS = 1 << 20
"""A slab that stays in the processor's cache is counted several times faster than one that does not."""


@remembered
def label_profiles(volume: Volume) -> tuple[npt.NDArray[np.int64], ...]:
    """For each array axis the voxels of each label in each slice across it: three arrays [values, size of the axis]."""
    return profiles_of(volume.labels)


def profiles_of(labels: npt.NDArray, slab_voxels: int = _SLAB_VOXELS) -> tuple[npt.NDArray[np.int64], ...]:
    """The same of labels [I, J, K], unsigned; counted run by run along the axis in which the array lies in memory.

    A label map has some hundred times fewer runs of equal labels than voxels. It is gone through slab by slab: one
    pass, no large temporary arrays.
    """
    order = sorted(range(3), key=lambda axis: -abs(labels.strides[axis]))
    flipped = tuple(slice(None, None, -1 if labels.strides[axis] < 0 else 1) for axis in order)
    laid = labels.transpose(order)[flipped]  # as it lies in memory, unless it is a part of something larger
    planes, rows, size = laid.shape
    values = int(labels.max(initial=0)) + 1
    of_planes, of_rows = np.zeros((values, planes), np.int64), np.zeros((values, rows), np.int64)
    edges = np.zeros((values, size + 1), np.int64)  # at each index the runs that begin there less those that ended
    step = max(1, slab_voxels // (rows * size))
    for first in range(0, planes, step):
        slab = np.ascontiguousarray(laid[first : first + step]).reshape(-1, size)
        starts, lengths = _runs(slab)
        found = slab.reshape(-1)[starts].astype(np.int64)
        row, column = np.divmod(starts, size)
        plane, row = np.divmod(row, rows)
        thick = slab.shape[0] // rows
        of_planes[:, first : first + thick] += _sums(found, plane, values, thick, lengths)
        of_rows += _sums(found, row, values, rows, lengths)
        edges += _sums(found, column, values, size + 1)
        edges -= _sums(found, column + lengths, values, size + 1)
    profiles = dict(zip(order, (of_planes, of_rows, edges[:, :-1].cumsum(axis=1)), strict=True))
    return tuple(profiles[axis][:, :: -1 if labels.strides[axis] < 0 else 1] for axis in range(3))


def _runs(rows: npt.NDArray) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Where runs of one label but 0 begin in contiguous rows [n, size], as flat indices, and their lengths."""
    flat = rows.reshape(-1)
    changes: npt.NDArray[np.int64] = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    # A label on both sides of the array is two runs, the end of a row and the begin of the next.
    ends = rows[:-1, -1]
    around = np.flatnonzero((ends != 0) & (ends == rows[1:, 0]))
    if len(around):
        changes = np.sort(np.concatenate([changes, (around + 1) * rows.shape[1]]))
    starts = np.concatenate([[0], changes])
    lengths = np.diff(starts, append=flat.size)
    labelled = flat[starts] != 0
    return starts[labelled], lengths[labelled]


def _sums(
    values: npt.NDArray[np.int64],
    where: npt.NDArray[np.int64],
    count: int,
    size: int,
    weights: npt.NDArray[np.int64] | None = None,
) -> npt.NDArray[np.int64]:
    """The weights of each value at each index, added up: [count, size]."""
    sums = np.bincount(values * size + where, weights, minlength=count * size)
    return sums.astype(np.int64, copy=False).reshape(count, size)


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
    middle = _middle(_across(volume, words), words)
    return None if middle is None else middle * float(volume.spacing[0])


def world_midline(volume: Volume, vocabulary: Mapping[str, Structure] | None = None) -> float | None:
    """The same along the world's axis: mm toward the right, counted from the array's first voxel."""
    if volume.side is not None:
        return None
    words = structures() if vocabulary is None else vocabulary
    profiles = label_profiles(volume)
    across = world_directions(volume.affine)[0] * volume.spacing
    found = {}
    for value, name in volume.names.items():
        voxels = float(profiles[0][value].sum()) if 0 < value < len(profiles[0]) else 0.0
        if voxels and name in words:
            centroid = [float(profile[value] @ np.arange(profile.shape[1])) / voxels for profile in profiles]
            found[name] = float(across @ centroid), voxels
    return _middle(found, words)


def _middle(found: Mapping[str, tuple[float, float]], words: Mapping[str, Structure]) -> float | None:
    """The midline from where structures lie and how large they are."""
    marks = [found[name] for name in found if words[name].midline_reference]
    if not marks:
        for name, (centroid, voxels) in found.items():
            twin = None if words[name].is_lesion else words[name].pair
            if twin in found and name < str(twin):
                other, of_other = found[str(twin)]
                marks.append(((centroid + other) / 2, min(voxels, of_other)))
    return _weighted_median([at for at, _ in marks], [weight for _, weight in marks]) if marks else None


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
        what = "Structures named left or right lie on the other side"
    else:
        outward = 1 if volume.side == "right" else -1
        for name, at in found.items():
            inner = name.replace("lateral", "medial")
            if inner != name and inner in found:
                wrong[name] = outward * (found[inner] - at)
        what = f"Structures named lateral lie medial, for a {volume.side} limb"
    wrong = {name: off for name, off in wrong.items() if off > MAX_ASTRAY_MM}
    if wrong:
        shown = sorted(wrong.items(), key=lambda item: -item[1])
        raise SwappedSidesError(
            f"{what}.",
            value=", ".join(f"{name} by {off:.0f} mm" for name, off in shown[:5]) + (" ..." if len(shown) > 5 else ""),
            remedy="The scan is mirrored, or its labels or its side are wrong. Convert the scan and its labels again "
            "from their originals, or leave the case out; exchanging names or signs by hand would hide the error.",
        )
