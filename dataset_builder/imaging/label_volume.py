"""Labels of an image's grid: masks laid on top of each other, and label maps, read in one pass and in small types.

A subject of a hundred masks is mostly zeros. Three things keep reading it about as fast as its files inflate: a slab is
looked at while it is in the processor's cache; what is empty is passed over; and a mask whose compressed bytes are the
very ones of a mask that was found empty is not inflated again.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from dataset_builder.core.errors import AffineMismatchError, ShapeMismatchError, VoxelValueError
from dataset_builder.imaging.gzip_reader import body
from dataset_builder.imaging.nifti import Nifti, corner_distance, open_nifti

MAX_LABEL_SHIFT_MM = 1.0
"""Labels lie where the image does if no corner is farther off than this, nor than half a voxel."""
MAX_LABEL = 65535

_MAX_EMPTY_BYTES = 1 << 20
"""A compressed mask larger than this is not looked up among the empty ones."""
_MAX_EMPTY = 4
"""So many different empty masks are remembered of a subject."""


def check_same_grid(image: Nifti, labels: Nifti) -> None:
    """Refuse labels whose voxels are not the image's."""
    if image.shape != labels.shape:
        raise ShapeMismatchError(
            "Image and labels have different shapes.",
            file=labels.path,
            value=f"image {image.shape}, labels {labels.shape}",
            remedy="Resample the labels to the image's grid (nearest neighbour).",
        )
    shift = corner_distance(image.affine, labels.affine, image.shape)
    limit = min(MAX_LABEL_SHIFT_MM, float(np.linalg.norm(image.affine[:3, :3], axis=0).min()) / 2)
    if not shift <= limit:
        raise AffineMismatchError(
            "Image and labels do not lie in the same place.",
            file=labels.path,
            value=f"{shift:.2f} mm apart at a corner; {limit:.2f} allowed",
            remedy="Give the labels the affine of the image that they were drawn on.",
        )


def lay_masks(grid: Nifti, masks: Sequence[Path]) -> tuple[npt.NDArray, int]:
    """Masks on top of each other: label n for the n-th, counted from 1; the last one has the voxel.

    Args:
        grid: the image's.
        masks: NIfTI files of that grid, zeros and ones.

    Returns:
        Labels uint8 or uint16 [I, J, K], and how many voxels had a label already when a mask claimed them.

    Raises:
        CaseError: a subclass for each reason why a file cannot be used.
    """
    labels = np.zeros(grid.shape, np.uint8 if len(masks) < 256 else np.uint16, order="F")
    empty: set[bytes] = set()
    overlap = 0
    for value, path in enumerate(masks, start=1):
        packed = _small_gzip(path)
        if packed is not None and packed in empty:
            continue
        mask = open_nifti(path)
        check_same_grid(grid, mask)
        lay, occupied = (_lay_bytes, np.max) if mask.plain_bytes else (_lay, np.any)
        found = False
        for start, slab in mask.slabs():
            if occupied(slab):
                found = True
                overlap += lay(slab, labels[..., start : start + slab.shape[2]], value, path)
        if not found and packed is not None and len(empty) < _MAX_EMPTY:
            empty.add(packed)
    return labels, overlap


def _small_gzip(path: Path) -> bytes | None:
    """What follows the header of a small gzip file."""
    if path.suffix != ".gz" or not path.is_file() or path.stat().st_size > _MAX_EMPTY_BYTES:
        return None
    return body(path.read_bytes())


def _lay(slab: npt.NDArray, covered: npt.NDArray, value: int, path: Path) -> int:
    """Lay a slab of a mask, of any type, on labels; returns how many voxels had one already."""
    inside = slab == 1
    if np.count_nonzero(inside) != np.count_nonzero(slab):
        raise _not_a_mask(slab[(slab != 0) & ~inside].flat[0], path)
    overlap = int(np.count_nonzero(covered[inside]))
    covered[inside] = value
    return overlap


def _lay_bytes(slab: npt.NDArray[np.uint8], covered: npt.NDArray, value: int, path: Path) -> int:
    """The same for bytes, with arithmetic only: later labels are larger, so that the larger one is the last."""
    if slab.max() > 1:
        raise _not_a_mask(slab[slab > 1].flat[0], path)
    both = np.minimum(covered, slab)
    np.maximum(covered, slab * covered.dtype.type(value), out=covered)
    return int(np.count_nonzero(both))


def _not_a_mask(value: object, path: Path) -> VoxelValueError:
    return VoxelValueError(
        "A mask contains a value other than 0 and 1.", file=path, value=value, remedy="Convert it to a mask of 0 and 1."
    )


def read_label_map(file: Nifti) -> tuple[npt.NDArray, npt.NDArray[np.intp]]:
    """A label map in the smallest type that holds it, and the values that it has, ascending.

    Returns:
        Labels uint8 or uint16 [I, J, K], and the values.

    Raises:
        CaseError: if the file cannot be read, or holds anything but whole numbers from 0 to 65535.
    """
    labels = np.empty(file.shape, np.uint8, order="F")
    for start, slab in file.slabs():
        small = label_values(slab, file.path)
        if small.dtype.itemsize > labels.dtype.itemsize:
            labels = labels.astype(small.dtype)
        labels[..., start : start + slab.shape[2]] = small
    return labels, values_of(labels)


def label_values(values: npt.NDArray, file: Path | None) -> npt.NDArray:
    """Labels as uint8 or uint16, from any type that holds only whole numbers in their range."""
    if values.dtype.kind not in "iub" and not _all_whole(values):
        raise VoxelValueError(
            "The label map contains values that are not whole numbers.",
            file=file,
            value=str(values.dtype),
            remedy="Labels were interpolated: resample them with nearest neighbour.",
        )
    low, high = (int(values.min()), int(values.max())) if values.size else (0, 0)
    if low < 0 or high > MAX_LABEL:
        raise VoxelValueError(
            f"The label map contains values outside 0 to {MAX_LABEL}.",
            file=file,
            value=low if low < 0 else high,
            remedy="Number the structures from 1.",
        )
    return values.astype(np.uint8 if high < 256 else np.uint16, copy=False)


def values_of(labels: npt.NDArray) -> npt.NDArray[np.intp]:
    """The values that labels have, ascending; slice by slice, since counting needs eight bytes a voxel."""
    counts = np.zeros(MAX_LABEL + 1, np.intp)
    for index in range(labels.shape[-1]):
        of_slice = np.bincount(labels[..., index].ravel(order="K"))
        counts[: len(of_slice)] += of_slice
    return np.flatnonzero(counts)


def _all_whole(values: npt.NDArray) -> bool:
    return all(bool((plane == np.rint(plane)).all()) for plane in np.moveaxis(values, -1, 0))
