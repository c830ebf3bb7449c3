"""From voxel indices to pixels: the only place where left and right could be swapped.

Conventions:

* **RAS+ array**: the first index grows toward the patient's Right, the second toward Anterior, the third toward
  Superior. Voxel centres lie at whole indices.
* **In-plane indices** ``(u, v)``: the two array axes of a slice, in the order in which they stand in the array:
  axial (R, A), coronal (R, S), sagittal (A, S).
* **Pixels** ``(x, y)``: x grows to the right of the image, y grows downward; pixel (i, j) covers
  ``[i, i + 1) x [j, j + 1)``, so that its centre is (i + 0.5, j + 0.5).
* **Shown**: ``ras`` is the array as stored (columns = first in-plane index, rows = second, growing right and down);
  ``radiological`` is the same turned by 180 degrees, in every plane.
* **View**: after that the square image may be mirrored left to right, or rotated clockwise by 90 or 180 degrees.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from dataset_builder.core.factors import TURNED_VIEWS, Convention, Plane, View

PLANE_AXIS: dict[Plane, int] = {"sagittal": 0, "coronal": 1, "axial": 2}
"""The array axis that runs through the slices of a plane."""
IN_PLANE_AXES: dict[Plane, tuple[int, int]] = {"axial": (0, 1), "coronal": (0, 2), "sagittal": (1, 2)}
"""The array axes of the in-plane indices (u, v)."""
AXIS_DIRECTIONS: tuple[tuple[str, str], ...] = (
    ("left", "right"),
    ("posterior", "anterior"),
    ("inferior", "superior"),
)
"""For each array axis, the patient direction of its low and of its high end."""

Spacing2D = tuple[float, float]
"""Voxel size (u, v) in mm."""


_TURNED: dict[View, dict[str, str]] = {
    "plain": {"left": "left", "right": "right", "top": "top", "bottom": "bottom"},
    "mirrored": {"left": "right", "right": "left", "top": "top", "bottom": "bottom"},
    "rotated90": {"left": "bottom", "top": "left", "right": "top", "bottom": "right"},
    "rotated180": {"left": "right", "right": "left", "top": "bottom", "bottom": "top"},
}
"""For each edge of the image the edge of the plain image that has come to lie there."""


def turn_of(view: View) -> View:
    """How a view turns the image: ``plain`` if it does not."""
    return view if view in TURNED_VIEWS else "plain"


def image_edges(plane: Plane, convention: Convention, view: View = "plain") -> dict[str, str]:
    """Patient direction at each edge of the image: keys ``left``, ``right``, ``top``, ``bottom``.

    >>> image_edges("axial", "radiological")["left"]
    'right'
    >>> image_edges("axial", "radiological", "rotated90")["top"]
    'right'
    """
    first, second = IN_PLANE_AXES[plane]
    low_u, high_u = AXIS_DIRECTIONS[first]
    low_v, high_v = AXIS_DIRECTIONS[second]
    plain = {"left": low_u, "right": high_u, "top": low_v, "bottom": high_v}
    if convention == "radiological":
        plain = {"left": high_u, "right": low_u, "top": high_v, "bottom": low_v}
    return {edge: plain[was] for edge, was in _TURNED[turn_of(view)].items()}


MAX_OBLIQUITY_DEG = 30.0
"""Above this tilt the planes have no name."""
OBLIQUE_DEG = 0.1
"""From this angle on the array's axes and the world's are distinguished; below it they are a fraction of a mm apart."""


def obliquity_deg(affine: npt.NDArray[np.float64]) -> float:
    """Largest angle in degrees between an axis of an RAS+ array and the patient axis that it stands for.

    Args:
        affine: [4, 4], index in the RAS+ array -> world mm.
    """
    directions = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    return float(np.degrees(np.arccos(np.minimum(np.abs(np.diag(directions)).min(), 1.0))))


def world_directions(affine: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Unit vectors of an array's axes in the world, as columns [3, 3].

    They are rounded to 0.0001, which moves nothing in a body by more than some hundredths of a mm: the same scan from
    NIfTI and from DICOM, whose numbers differ in the last digits, gives the same questions.
    """
    return (affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)).round(4)


def take_slice(volume: npt.NDArray, plane: Plane, index: int) -> npt.NDArray:
    """One slice of a RAS+ array [I, J, K] as a view [u, v]."""
    return np.moveaxis(volume, PLANE_AXIS[plane], 0)[index]


@dataclass(frozen=True)
class DisplayTransform:
    """How a slice is displayed: square pixels in mm, padded to a square, scaled to ``image_size``, rotated or mirrored.

    Args:
        shape: (U, V) voxels of the slice.
        spacing: (u, v) voxel size in mm.
        convention: ``radiological`` or ``ras``.
        image_size: side S of the image in pixels.
        view: how the square image is rotated or mirrored at the end.
    """

    shape: tuple[int, int]
    spacing: Spacing2D
    convention: Convention
    image_size: int
    view: View = "plain"

    @cached_property
    def pixel_mm(self) -> float:
        """Side of a pixel in mm."""
        return max(self.shape[0] * self.spacing[0], self.shape[1] * self.spacing[1]) / self.image_size

    @cached_property
    def _scale_and_offset(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Of the plain view ``xy = scale * uv + offset``; it is separable, so two numbers an axis say it all."""
        extent = np.array(self.shape) * np.array(self.spacing) / self.pixel_mm
        padding = (self.image_size - extent) / 2
        scale = np.array(self.spacing) / self.pixel_mm
        offset = padding + scale / 2
        if self.convention == "radiological":
            scale, offset = -scale, self.image_size - offset
        return scale, offset

    def to_pixels(self, uv: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Voxel indices [..., 2] (centres at whole numbers) to pixel coordinates [..., 2]."""
        scale, offset = self._scale_and_offset
        x, y = np.moveaxis(np.asarray(uv, dtype=np.float64) * scale + offset, -1, 0)
        size = self.image_size
        turned = {
            "plain": (x, y),
            "mirrored": (size - x, y),
            "rotated90": (size - y, x),
            "rotated180": (size - x, size - y),
        }
        return np.stack(turned[turn_of(self.view)], axis=-1)

    def to_voxels(self, xy: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Pixel coordinates [..., 2] to voxel indices [..., 2]; the inverse of :meth:`to_pixels`."""
        scale, offset = self._scale_and_offset
        x, y = np.moveaxis(np.asarray(xy, dtype=np.float64), -1, 0)
        size = self.image_size
        back = {
            "plain": (x, y),
            "mirrored": (size - x, y),
            "rotated90": (y, size - x),
            "rotated180": (size - x, size - y),
        }
        return (np.stack(back[turn_of(self.view)], axis=-1) - offset) / scale

    def _turn(self, shown: npt.NDArray) -> npt.NDArray:
        """A plain image [S, S] in this view."""
        if self.view == "mirrored":
            shown = shown[:, ::-1]
        elif self.view in TURNED_VIEWS:
            shown = np.rot90(shown, -1 if self.view == "rotated90" else 2)  # positive is counter-clockwise
        return np.ascontiguousarray(shown)

    def _nearest(self, axis: int) -> npt.NDArray[np.int64]:
        """For each pixel column (axis 0) or row (axis 1) the voxel that its centre lies in, -1 in the padding."""
        centres = np.arange(self.image_size) + 0.5
        scale, offset = self._scale_and_offset
        # Rounding halves to even would pick voxels unevenly where a pixel centre falls on a voxel border.
        index = np.floor((centres - offset[axis]) / scale[axis] + 0.5).astype(np.int64)
        return np.where((index >= 0) & (index < self.shape[axis]), index, -1)

    def _without_padding(self, shown: npt.NDArray) -> npt.NDArray:
        """A plain image [S, S], in place, with zeros where no voxel is."""
        shown[self._nearest(1) < 0] = 0
        shown[:, self._nearest(0) < 0] = 0
        return shown

    def show_labels(self, labels: npt.NDArray) -> npt.NDArray:
        """A label slice [U, V] as an image [image_size, image_size] of the same type; padding is 0."""
        # One axis after the other takes a tenth of the time of both at once; the padding's -1 becomes 0 and is emptied.
        columns, rows = self._nearest(0), self._nearest(1)
        shown = labels.T.take(rows, axis=0, mode="clip").take(columns, axis=1, mode="clip")
        return self._turn(self._without_padding(shown))

    def show_image(self, grey: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """A windowed slice uint8[U, V] as an image uint8[image_size, image_size]; padding is black.

        Linear between voxel centres; averaged over areas first where pixels are larger than voxels.
        """
        import cv2  # here, since whoever needs a direction only should not load it

        shown: npt.NDArray = np.ascontiguousarray(grey.T)  # rows = v, columns = u
        scale, offset = self._scale_and_offset
        smaller = np.abs(scale) < 1
        size = np.where(smaller, np.maximum(1, np.round(np.array(self.shape) * np.abs(scale))), self.shape).astype(int)
        if smaller.any():
            shown = cv2.resize(shown, (int(size[0]), int(size[1])), interpolation=cv2.INTER_AREA)
        factor = size / np.array(self.shape)  # resized voxels per voxel
        # OpenCV counts pixel centres at whole numbers, hence the halves.
        step = scale / factor
        start = offset + scale * (0.5 / factor - 0.5) - 0.5
        matrix = np.array([[step[0], 0, start[0]], [0, step[1], start[1]]])
        moved = cv2.warpAffine(
            shown,
            matrix,
            (self.image_size, self.image_size),
            flags=cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE,
        )
        return self._turn(self._without_padding(np.asarray(moved, dtype=np.uint8)))
