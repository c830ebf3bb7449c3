"""From a segmentation's own planes to the voxels of the image: without loss, or not at all."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from dataset_builder.core.errors import AffineMismatchError
from dataset_builder.sources.dicom.planes import Plane, Vector
from dataset_builder.sources.dicom.stack import LPS_TO_RAS, Stack

MAX_SHIFT_VOXELS = 0.01
"""Voxel centres of labels and image coincide if they are not farther apart than this."""

RESAMPLE = (
    "Resample the segmentation to the image's grid (nearest neighbour) and give both as NIfTI: dcm2niix for the image, "
    'segimage2itkimage (dcmqi) for the segmentation, then python -c "import SimpleITK as s; '
    "s.WriteImage(s.Resample(s.ReadImage('seg.nii.gz'), s.ReadImage('image.nii.gz'), s.Transform(), "
    "s.sitkNearestNeighbor), 'labels.nii.gz')\""
)


@dataclass(frozen=True, eq=False)
class Placement:
    """Where the pixels of a plane lie in an image's array [I, J, K].

    Args:
        axes: the array axes along which the plane's columns (u) and rows (v) are counted, and the one across it.
        starts: index of the plane's first pixel along these three.
        steps: +1 or -1 along the first two.
    """

    axes: tuple[int, int, int]
    starts: tuple[int, int, int]
    steps: tuple[int, int]

    def window(self, array: npt.NDArray, shape: tuple[int, int]) -> tuple[npt.NDArray, tuple[slice, slice]]:
        """The part of an array that the plane covers.

        Args:
            array: [I, J, K].
            shape: (rows, columns) of the plane.

        Returns:
            A view of the array [rows, columns] of what lies within it, and which rows and columns of the plane that is;
            an empty part if nothing does.
        """
        u, v, across = self.axes
        if not 0 <= self.starts[2] < array.shape[across]:
            return array[:0, :0, 0], (slice(0, 0), slice(0, 0))
        flat = np.moveaxis(array, (v, u, across), (0, 1, 2))[..., self.starts[2]]  # [v, u]
        rows, of_rows = _overlap(self.starts[1], self.steps[1], shape[0], flat.shape[0])
        columns, of_columns = _overlap(self.starts[0], self.steps[0], shape[1], flat.shape[1])
        return flat[rows, columns], (of_rows, of_columns)


def _overlap(start: int, step: int, count: int, size: int) -> tuple[slice, slice]:
    """Of indices ``start + step * n``, n below count, those within an axis: as a slice of the axis, and of n."""
    if step > 0:
        first, last = max(0, -start), min(count, size - start)
    else:
        first, last = max(0, start - size + 1), min(count, start + 1)
    if first >= last:
        return slice(0, 0), slice(0, 0)
    begin, end = start + step * first, start + step * last
    return slice(begin, None if end < 0 else end, step), slice(first, last)


class Grid:
    """The grid of an image, to place other planes on.

    Args:
        stack: of the image.
    """

    def __init__(self, stack: Stack) -> None:
        self._to_voxels = np.linalg.inv(stack.affine) @ LPS_TO_RAS
        positions = np.array([plane.position for plane in stack.planes])
        # A slice lies where it says, which may be some hundredths of a millimetre off its even place.
        self._slices = positions @ self._to_voxels[:3, :3].T + self._to_voxels[:3, 3]

    def place(self, plane: Plane) -> Placement:
        """Where a plane lies.

        Raises:
            AffineMismatchError: if its pixels are not voxels of the image.
        """
        way = self._way(plane.along_row, plane.along_column, plane.spacing, plane.shape)
        start = self._to_voxels[:3, :3] @ plane.position + self._to_voxels[:3, 3]
        if way.axes[2] == 2:
            index = int(min(max(round(float(start[2])), 0), len(self._slices) - 1))
            start = start - self._slices[index] + (0, 0, index)
        whole = np.rint(start)
        shift = float(np.abs(way.off + (start - whole)).max())
        if not shift <= MAX_SHIFT_VOXELS:
            raise _elsewhere(f"{shift:.2f} voxels apart at a corner; {MAX_SHIFT_VOXELS} allowed")
        u, v, across = way.axes
        return Placement(way.axes, (int(whole[u]), int(whole[v]), int(whole[across])), way.steps)

    @lru_cache(maxsize=4)  # noqa: B019 - of one grid, which goes with the segmentation
    def _way(
        self, along_row: Vector, along_column: Vector, spacing: tuple[float, float], shape: tuple[int, int]
    ) -> "_Way":
        """How planes of this direction lie, wherever they begin."""
        rows, columns = shape
        along_u = self._to_voxels[:3, :3] @ (np.array(along_row) * spacing[1])
        along_v = self._to_voxels[:3, :3] @ (np.array(along_column) * spacing[0])
        u, v = int(np.argmax(np.abs(along_u))), int(np.argmax(np.abs(along_v)))
        if u == v:
            raise _elsewhere("turned")
        steps = int(np.sign(along_u[u])), int(np.sign(along_v[v]))
        along_u[u] -= steps[0]
        along_v[v] -= steps[1]
        off = np.array([i * along_u + j * along_v for i in (0, columns - 1) for j in (0, rows - 1)])
        return _Way((u, v, 3 - u - v), steps, off)


@dataclass(frozen=True, eq=False)
class _Way:
    """How planes lie: their axes and steps, and how far the pixels at their corners [4, 3] come off whole voxels."""

    axes: tuple[int, int, int]
    steps: tuple[int, int]
    off: npt.NDArray[np.float64]


def _elsewhere(value: str) -> AffineMismatchError:
    return AffineMismatchError(
        "The segmentation is drawn on another grid than the image's.", value=value, remedy=RESAMPLE
    )
