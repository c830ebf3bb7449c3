"""What can be measured in a label slice: numbers only, no judgement.

Arrays in, arrays out. Positions are in mm along the in-plane axes (u, v), index * spacing, so that they grow toward the
same patient directions as the indices; voxel centres stand for voxels. ``values`` are the label values measured, and
row i of every result belongs to ``values[i]``.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from scipy.spatial import KDTree

from dataset_builder.imaging.geometry import Spacing2D

Floats = npt.NDArray[np.float64]

QUARTILES = (0.25, 0.75)

WELL_INSIDE = 0.5
"""The centroid stands for a structure if it lies at least this share of the greatest depth inside it."""


@dataclass(frozen=True, eq=False)
class Measured:
    """The structures of one slice as numbers; n structures.

    Args:
        area: [n] mm2.
        centroid, quartile_low, quartile_high: [n, 2] mm: mean, 25th and 75th percentile of the pixels' positions.
        box_low, box_high: [n, 2] mm: the outer edges of the first and last voxel.
        point_voxel: int [n, 2], a voxel of the structure that stands for it: its centroid, or the deepest one.
        depth: [n] mm from that voxel to the nearest one that does not belong to the structure.
        profile: for u and for v, int [n, size]: pixels at each index.
    """

    area: Floats
    centroid: Floats
    quartile_low: Floats
    quartile_high: Floats
    box_low: Floats
    box_high: Floats
    point_voxel: npt.NDArray[np.int64]
    depth: Floats
    profile: tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]


def present(labels: npt.NDArray) -> npt.NDArray[np.int64]:
    """The label values that occur, without 0, ascending."""
    values = np.flatnonzero(np.bincount(labels.ravel()))
    return values[values > 0].astype(np.int64)


def percentile(profile: npt.NDArray[np.int64], share: float) -> Floats:
    """Percentile of the indices in each row of a histogram [n, size]: as ``np.percentile``, linear; [n]."""
    running = profile.cumsum(axis=1)
    rank = (running[:, -1] - 1) * share
    below = np.floor(rank)
    # The k-th smallest index is the first whose running count exceeds k.
    low = (running > below[:, None]).argmax(axis=1)
    high = (running > np.ceil(rank)[:, None]).argmax(axis=1)
    return low + (rank - below) * (high - low)


def measure(labels: npt.NDArray, spacing: Spacing2D, values: Sequence[int]) -> Measured:
    """Measure structures that occur in a label slice.

    Args:
        labels: unsigned integers [U, V].
        spacing: (u, v) mm.
        values: label values, each of which must occur.
    """
    step = np.asarray(spacing, np.float64)
    rows = np.asarray(values, np.int64)
    count = max(int(labels.max(initial=0)), int(rows.max(initial=0))) + 1
    at = np.nonzero(labels)
    found = labels[at].astype(np.int64)
    profile = tuple(
        np.bincount(found * size + at[axis], minlength=count * size).reshape(count, size)[rows]
        for axis, size in enumerate(labels.shape)
    )
    pixels = profile[0].sum(axis=1)
    if not pixels.all():
        raise ValueError(f"No pixel in the slice of label values {rows[pixels == 0].tolist()}")
    centroid = np.stack([profile[axis] @ np.arange(size) / pixels for axis, size in enumerate(labels.shape)], axis=1)
    first = np.stack([(profile[axis] > 0).argmax(axis=1) for axis in (0, 1)], axis=1)
    last = np.stack([labels.shape[axis] - 1 - (profile[axis][:, ::-1] > 0).argmax(axis=1) for axis in (0, 1)], axis=1)
    point = np.empty((len(rows), 2), np.int64)
    depth = np.empty(len(rows))
    for i, value in enumerate(rows):
        corner = first[i]
        mask = labels[corner[0] : last[i, 0] + 1, corner[1] : last[i, 1] + 1] == value
        inside, depth[i] = representative(mask, spacing, centroid[i] - corner)
        point[i] = inside + corner
    low, high = (np.stack([percentile(profile[axis], share) for axis in (0, 1)], axis=1) for share in QUARTILES)
    return Measured(
        area=pixels * step.prod(),
        centroid=centroid * step,
        quartile_low=low * step,
        quartile_high=high * step,
        box_low=(first - 0.5) * step,
        box_high=(last + 0.5) * step,
        point_voxel=point,
        depth=depth,
        profile=(profile[0], profile[1]),
    )


def representative(
    mask: npt.NDArray[np.bool_], spacing: Spacing2D, centroid: Floats
) -> tuple[npt.NDArray[np.int64], float]:
    """The voxel of a mask [U, V] that stands for it, and its distance in mm to the nearest voxel outside.

    The centroid if it lies well inside; else the voxel farthest from all that is outside (the pole of inaccessibility),
    of several the one nearest to the centroid. What lies beyond the array counts as outside.
    """
    depth = ndimage.distance_transform_edt(np.pad(mask, 1), sampling=spacing)[1:-1, 1:-1]
    deepest = depth.max()
    # Exactly between two voxels: the lower one (rounding to even would depend on where in the array the mask lies).
    near = np.clip(np.ceil(centroid - 0.5).astype(np.int64), 0, np.array(mask.shape) - 1)
    if depth[tuple(near)] >= WELL_INSIDE * deepest:
        return near, float(depth[tuple(near)])
    poles = np.argwhere(depth >= deepest * (1 - 1e-9))
    offset = ((poles - centroid) * spacing) ** 2
    return poles[int(np.argmin(offset.sum(axis=1).round(9)))], float(deepest)


def shares_above(profile: npt.NDArray[np.int64], spacing: float, position: float) -> Floats:
    """Share of each structure's pixels whose centre lies above a position in mm along one axis; on it counts half."""
    at = np.arange(profile.shape[1]) * spacing
    weight = (at > position) + 0.5 * (at == position)
    return profile @ weight / profile.sum(axis=1)


def mask_distances(labels: npt.NDArray, spacing: Spacing2D, values: Sequence[int]) -> Floats:
    """Distance in mm between the nearest pixel centres of each two structures [n, n]; 0 on the diagonal."""
    padded = np.pad(labels, 1)
    inner = padded[1:-1, 1:-1]
    border = np.zeros(labels.shape, bool)
    # The nearest pixels of two structures lie on their borders: a step toward the other would leave the structure.
    for neighbour in (padded[:-2, 1:-1], padded[2:, 1:-1], padded[1:-1, :-2], padded[1:-1, 2:]):
        border |= inner != neighbour
    at = np.argwhere(border & np.isin(labels, values))
    found = labels[at[:, 0], at[:, 1]]
    order = np.argsort(found, kind="stable")
    places, found = at[order] * np.asarray(spacing, np.float64), found[order]
    sorted_values = np.sort(np.asarray(values, np.int64))
    bounds = np.append(np.searchsorted(found, sorted_values), len(found))
    between = np.zeros((len(values), len(values)))
    for i, (start, stop) in enumerate(pairwise(bounds)):
        if stop < len(places):
            reach, _ = KDTree(places[start:stop]).query(places[stop:])
            between[i, i + 1 :] = np.minimum.reduceat(reach, bounds[i + 1 : -1] - stop)
    between += between.T
    rank = np.argsort(np.argsort(np.asarray(values)))
    return between[np.ix_(rank, rank)]


def contact_lengths(labels: npt.NDArray, spacing: Spacing2D, values: Sequence[int]) -> Floats:
    """Length in mm of the border that each two structures share [n, n]: voxel edges with one on either side."""
    count = int(labels.max(initial=0)) + 1
    index = np.full(max(count, max(values, default=0) + 1), len(values))
    index[np.asarray(values, np.int64)] = np.arange(len(values))
    rows = index[labels]
    total = np.zeros((len(values) + 1, len(values) + 1))
    for one, other, edge in (
        (rows[:-1], rows[1:], spacing[1]),
        (rows[:, :-1], rows[:, 1:], spacing[0]),
    ):
        differ = one != other
        pairs = one[differ] * len(total) + other[differ]
        total += np.bincount(pairs, minlength=total.size).reshape(total.shape) * edge
    total += total.T
    return total[:-1, :-1]


def enclosures(
    labels: npt.NDArray, spacing: Spacing2D, values: Sequence[int], box_low: Floats, box_high: Floats
) -> Iterator[tuple[int, int, float]]:
    """Structures that lie wholly in a hole of another: (inner, outer, thickness), inner and outer index ``values``.

    Thickness: least distance in mm from the inner structure to what is outside the outer one with its holes filled.
    A rim whose voxels touch at corners only is closed.

    Args:
        box_low, box_high: as in :class:`Measured`.
    """
    step = np.asarray(spacing, np.float64)
    rows = np.asarray(values, np.int64)
    for outer, value in enumerate(rows):
        within = np.flatnonzero(
            np.all((box_low > box_low[outer]) & (box_high < box_high[outer]), axis=1)  # strictly: a rim all around
        )
        if not len(within):
            continue
        first = np.rint(box_low[outer] / step + 0.5).astype(int)
        stop = np.rint(box_high[outer] / step + 0.5).astype(int)
        part = labels[first[0] : stop[0], first[1] : stop[1]]
        regions, _ = ndimage.label(np.pad(part != value, 1, constant_values=True))  # 4 neighbours
        hole = ((regions != regions[0, 0]) & (regions != 0))[1:-1, 1:-1]
        enclosed = [inner for inner in within if hole[part == rows[inner]].all()]
        if enclosed:
            filled = np.pad(hole | (part == value), 1)
            depth = ndimage.distance_transform_edt(filled, sampling=spacing)[1:-1, 1:-1]
            for inner in enclosed:
                yield int(inner), outer, float(depth[part == rows[inner]].min())
