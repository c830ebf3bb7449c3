"""Labels whose voxels are an image's, brought to its grid without resampling: other storage order, smaller extent."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
from nibabel.orientations import apply_orientation, inv_ornt_aff, io_orientation, ornt_transform

from dataset_builder.core.errors import AffineMismatchError
from dataset_builder.imaging.nifti import Affine

MAX_OFF_VOXELS = 0.01
"""Centres of voxels that lie no farther from each other coincide, up to rounding in the headers."""


def how_to_resample(image: Path | None, labels: Path | None) -> str:
    """A line that lays labels on an image's grid by what both headers say; what comes of it is checked again."""
    one = "IMAGE" if image is None else "/".join(image.parts[-2:])
    other = "LABELS" if labels is None else "/".join(labels.parts[-2:])
    return (
        "Resample the labels to the image's grid by nearest neighbour, in the folder above, and give the new file in "
        "the old one's place: python -c \"import SimpleITK as sitk; "
        f"sitk.WriteImage(sitk.Resample(sitk.ReadImage('{other}'), sitk.ReadImage('{one}'), sitk.Transform(), "
        "sitk.sitkNearestNeighbor), 'labels_resampled.nii.gz')\""
    )


def off_grid(affine: Affine, shape: tuple[int, ...], grid_affine: Affine) -> float:
    """By how many voxels the centres of one grid's voxels are off those of another, at most; infinite if unknown."""
    if not (np.isfinite(affine).all() and np.isfinite(grid_affine).all()):
        return float("inf")
    try:
        orientation = ornt_transform(io_orientation(affine), io_orientation(grid_affine))
        to_grid = np.linalg.inv(grid_affine) @ affine @ inv_ornt_aff(orientation, shape)
    except (ValueError, np.linalg.LinAlgError):  # axes that coincide
        return float("inf")
    return _off(to_grid, tuple(shape[int(axis)] for axis in np.argsort(orientation[:, 0])))


def _off(to_grid: npt.NDArray, shape: tuple[int, ...]) -> float:
    """The same, of a way from one grid's indices to another's along the same axes."""
    on_each_other = np.eye(4)
    on_each_other[:3, 3] = np.rint(to_grid[:3, 3])
    corner = np.array([*(size - 1 for size in shape), 1])
    return float(np.abs((to_grid - on_each_other) @ np.stack([[0, 0, 0, 1], corner], axis=1)).max())


def lay_into(
    values: npt.NDArray,
    affine: Affine,
    grid_affine: Affine,
    grid_shape: tuple[int, ...],
    file: Path | None = None,
    image: Path | None = None,
) -> npt.NDArray:
    """Labels of a smaller box, laid into a larger grid of the same voxels.

    Args:
        values: whole numbers [I, J, K], in any orientation.
        affine: of ``values``, index -> world.
        grid_affine, grid_shape: of the grid to fill.
        file, image: named in errors.

    Returns:
        [I, J, K] of the grid's shape; 0 where ``values`` has nothing.

    Raises:
        AffineMismatchError: if the voxels do not lie on each other, or labels lie outside the grid.
    """
    orientation = ornt_transform(io_orientation(affine), io_orientation(grid_affine))
    turned = apply_orientation(values, orientation)
    to_grid = np.linalg.inv(grid_affine) @ affine @ inv_ornt_aff(orientation, values.shape)
    start = np.rint(to_grid[:3, 3]).astype(int)
    off = _off(to_grid, turned.shape)
    where = tuple(slice(max(0, low), max(0, low + size)) for low, size in zip(start, turned.shape, strict=True))
    filled = np.zeros(grid_shape, values.dtype)
    part = tuple(
        slice(max(0, -low), max(0, min(size, limit - low)))
        for low, size, limit in zip(start, turned.shape, grid_shape, strict=True)
    )
    inside = turned[part]
    if off > MAX_OFF_VOXELS or np.count_nonzero(inside) != np.count_nonzero(turned):
        raise AffineMismatchError(
            "The labels are not on the image's voxel grid.",
            file=file,
            value=f"{off:.3f} voxels off" if off > MAX_OFF_VOXELS else "labels outside the image",
            remedy=how_to_resample(image, file),
        )
    filled[where] = inside
    return filled


def merge_labels(values: npt.NDArray, names: dict[int, str]) -> tuple[npt.NDArray[np.uint8], dict[int, str]]:
    """One value a structure, where several meant it; values without a name become 0.

    Args:
        values: whole numbers from 0.
        names: structure by value; up to 255 structures.

    Returns:
        The labels, numbered from 1 in the order in which ``names`` first names each structure, and their names.
    """
    numbers = {name: number for number, name in enumerate(dict.fromkeys(names.values()), start=1)}
    lookup = np.zeros(int(values.max(initial=0)) + 1, np.uint8)
    for value, name in names.items():
        if value < len(lookup):
            lookup[value] = numbers[name]
    return lookup[values], {number: name for name, number in numbers.items()}
