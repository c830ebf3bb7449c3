"""Voxels of DICOM structure sets (RTSTRUCT): closed contours in planes, filled.

A voxel is inside if its centre is inside the contour or on it. A contour that lies within another one cuts a hole (a
voxel on the hole's edge stays), one within a hole is an island: both the XOR and the keyhole convention come out right,
and so do contours that are drawn along the outermost voxel centres as well as those drawn along voxel edges.

Contours lie in planes along the image's slices, on them or between them: each slice takes the nearest plane within half
of the distance at which the region's planes follow each other.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from dataset_builder.core.errors import AffineMismatchError, UnreadableError
from dataset_builder.sources.dicom.stack import LPS_TO_RAS, Stack

SHIFT = 8
"""Bits behind the point of the coordinates that OpenCV fills by."""
ON_EDGE = 0.01
"""A voxel's centre is on a contour if it is no farther from it than this, in voxels: files round to a few digits."""
MAX_OFF_PLANE = 0.1
"""So far, in slices, the points of a contour may lie off their common plane."""
MAX_BEYOND = 1.0
"""So far, in voxels, contours may reach beyond the image."""

Points = npt.NDArray[np.float64]
"""[n, 3] in voxels of the image: column, row, slice."""


def contours_of(structure_set: Any, stack: Stack) -> dict[int, list[tuple[bool, Points]]]:
    """The closed contours of each region, in voxels, with whether each is to be laid by XOR whatever it lies in.

    Raises:
        CaseError: if a contour cannot be read, does not lie in a slice's plane or reaches beyond the image.
    """
    to_voxels = np.linalg.inv(stack.affine) @ LPS_TO_RAS
    found: dict[int, list[tuple[bool, Points]]] = {}
    for region in structure_set.get("ROIContourSequence") or ():
        number = int(region.ReferencedROINumber)
        of_region = found.setdefault(number, [])
        for contour in region.get("ContourSequence") or ():
            kind = str(contour.get("ContourGeometricType") or "").upper()
            if kind in ("CLOSED_PLANAR", "CLOSEDPLANAR_XOR"):
                of_region.append((kind == "CLOSEDPLANAR_XOR", _in_voxels(contour, to_voxels, stack.shape)))
    return found


def _in_voxels(contour: Any, to_voxels: npt.NDArray, shape: tuple[int, int, int]) -> Points:
    data = np.array(contour.get("ContourData") or (), np.float64)
    if data.size < 3 or data.size % 3 or not np.isfinite(data).all():
        raise UnreadableError(
            "A contour is not made of points.", value=f"{data.size} numbers", remedy="Export the structure set again."
        )
    points = data.reshape(-1, 3) @ to_voxels[:3, :3].T + to_voxels[:3, 3]
    if np.ptp(points[:, 2]) > 2 * MAX_OFF_PLANE:
        raise AffineMismatchError(
            "A contour does not lie in the plane of a slice: it was drawn across the slices.",
            value=f"it runs over {np.ptp(points[:, 2]):.1f} slices",
            remedy="Export the structures as a segmentation (DICOM SEG) on the image's slices from the program that "
            "they were drawn in.",
        )
    beyond = max(float((-0.5 - points).max()), float((points - np.array(shape) + 0.5).max()))
    if beyond > MAX_BEYOND:
        raise AffineMismatchError(
            "A contour reaches beyond the image.",
            value=f"by {beyond:.0f} voxels",
            remedy="Give the whole series that it was drawn on.",
        )
    return points


def lay_contours(
    contours: Mapping[int, list[tuple[bool, Points]]], values: Mapping[int, int], labels: npt.NDArray
) -> int:
    """Lay regions on labels; of two on one voxel the larger value has it.

    Args:
        contours: of each region, by its number.
        values: label value of each region's number; 0 for those to leave out.
        labels: [I, J, K], in place.

    Returns:
        How many voxels had another label already when a region claimed them.
    """
    overlap = 0
    for number, of_region in contours.items():
        value = labels.dtype.type(values.get(number, 0))
        if not value:
            continue
        for index, inside in filled(of_region, labels.shape):
            (left, top), mask = inside
            window = labels[left : left + mask.shape[1], top : top + mask.shape[0], index].T
            overlap += int(np.count_nonzero(mask & (window != 0) & (window != value)))
            np.maximum(window, mask * value, out=window)
    return overlap


Filled = tuple[tuple[int, int], npt.NDArray[np.bool_]]
"""First column and row of a part of a slice, and which voxels [rows, columns] of it are inside."""


def filled(contours: list[tuple[bool, Points]], shape: tuple[int, ...]) -> Iterator[tuple[int, Filled]]:
    """The slices of a region and what is inside on each.

    Args:
        contours: of the region.
        shape: of the image [I, J, K].
    """
    planes: list[list[tuple[bool, npt.NDArray]]] = []
    found: list[float] = []
    for height, xor, points in sorted(((p[:, 2].mean(), x, p) for x, p in contours), key=lambda item: item[0]):
        if not found or height - found[-1] > MAX_OFF_PLANE:
            found.append(float(height))
            planes.append([])
        planes[-1].append((xor, points[:, :2]))
    if not planes:
        return
    heights = np.array(found)
    gaps = np.diff(heights)
    # At least half a slice: contours on each slice, or closer, each belong to the slice that is nearest.
    reach = max(0.5, float(np.median(gaps)) / 2 if len(gaps) else 0.5) + 1e-6
    inside: dict[int, Filled | None] = {}
    for index in range(max(0, int(np.ceil(heights[0] - reach))), min(shape[2], int(np.floor(heights[-1] + reach)) + 1)):
        nearest = int(np.argmin(np.abs(heights - index)))
        if abs(heights[nearest] - index) > reach:
            continue
        if nearest not in inside:
            inside[nearest] = _fill(planes[nearest], (shape[0], shape[1]))
        if (part := inside[nearest]) is not None:
            yield index, part


def _fill(contours: list[tuple[bool, npt.NDArray]], shape: tuple[int, int]) -> Filled | None:
    """What the contours of one plane hold: of the box around them, the voxels whose centres are inside.

    Args:
        contours: [n, 2] each: column, row.
        shape: (columns, rows).
    """
    once = {points.tobytes(): (xor, points) for xor, points in contours}  # one that is there twice counts once
    everything = np.concatenate([points for _, points in once.values()])
    low = np.maximum(0, np.floor(everything.min(axis=0)).astype(int))
    high = np.minimum(shape, np.ceil(everything.max(axis=0)).astype(int) + 1)
    if (high <= low).any():
        return None
    size = high - low
    mask = np.zeros((size[1], size[0]), bool)
    for xor, points in sorted(once.values(), key=lambda item: -_area(item[1])):
        closed, inner = _rasterised(points - low, size)
        if xor:
            mask ^= closed
        elif closed.any() and not (closed & ~mask).any():
            mask &= ~inner  # a hole
        else:
            mask |= closed
    return (int(low[0]), int(low[1])), mask


def _area(points: npt.NDArray) -> float:
    x, y = points.T
    return abs(float(x @ np.roll(y, -1) - y @ np.roll(x, -1))) / 2


def _rasterised(points: npt.NDArray, size: npt.NDArray) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Which voxel centres are inside a contour or on its edge, and which are inside only; [rows, columns] each."""
    corners = np.rint(points * (1 << SHIFT)).astype(np.int32)[None]
    closed = np.zeros((int(size[1]), int(size[0])), np.uint8)
    touched = np.zeros_like(closed)
    cv2.fillPoly(closed, corners, 1, shift=SHIFT)
    cv2.polylines(touched, corners, True, 1, shift=SHIFT)
    inner = closed & ~touched
    # OpenCV fills whatever the edge touches: of those voxels the distance to the edge decides.
    edge = points.astype(np.float32)[:, None]
    for row, column in np.argwhere(touched):
        inside = cv2.pointPolygonTest(edge, (float(column), float(row)), True)
        closed[row, column], inner[row, column] = inside >= -ON_EDGE, inside > ON_EDGE
    return closed != 0, inner != 0
