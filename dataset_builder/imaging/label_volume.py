"""Labels of an image's grid: masks laid on top of each other, and label maps, read in one pass and in small types.

A subject of a hundred masks is mostly zeros. Three things keep reading it about as fast as its files decompress: a slab
is looked at while it is in the processor's cache; what is empty is skipped; and a mask whose compressed bytes are the
very ones of a mask that was found empty is not inflated again.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from dataset_builder.core.errors import AffineMismatchError, ShapeMismatchError, VoxelValueError
from dataset_builder.imaging.gzip_reader import body
from dataset_builder.imaging.label_grid import lay_into, off_grid
from dataset_builder.imaging.nifti import Nifti, corner_distance, open_nifti

MAX_LABEL_SHIFT_MM = 1.0
"""Labels and image lie in the same place if no corner is farther apart than this or half a voxel."""
MAX_OFF_GRID_VOXELS = 0.01
"""So near the voxels of labels in another storage order must lie to the image's."""
MAX_ROUNDING = 1e-3
"""Labels may be off whole numbers by this, or by half of a scale up to the next one."""
MAX_SCALE = 0.1
MAX_LABEL = 65535

_MAX_EMPTY_BYTES = 1 << 20
"""A compressed mask larger than this is not looked up among the empty ones."""
_MAX_EMPTY = 4
"""How many different empty masks are remembered per subject."""


@dataclass(frozen=True)
class StorageOrder:
    """How labels of the image's grid are stored, seen from the image.

    Args:
        axes: for each axis of the image the axis of the labels that runs along it.
        flipped: for each axis of the image whether that axis of the labels runs the other way.
    """

    axes: tuple[int, int, int] = (0, 1, 2)
    flipped: tuple[bool, bool, bool] = (False, False, False)

    @property
    def same(self) -> bool:
        """Whether the labels are stored as the image is."""
        return self == StorageOrder()

    def apply(self, labels: npt.NDArray) -> npt.NDArray:
        """Labels in the image's order: a view, no voxel is resampled."""
        return labels.transpose(self.axes)[tuple(slice(None, None, -1 if f else 1) for f in self.flipped)]


@dataclass(frozen=True, eq=False)
class PartOfGrid:
    """Labels whose voxels are some of the image's, in whatever order they are stored.

    Args:
        image, labels: the two files.
    """

    image: Nifti
    labels: Nifti

    same = False

    def apply(self, labels: npt.NDArray) -> npt.NDArray:
        """Labels on the whole grid, 0 where they say nothing; no voxel is resampled.

        Raises:
            AffineMismatchError: if labels lie outside the image.
        """
        grid, own = self.image, self.labels
        return lay_into(labels, own.affine, grid.affine, grid.shape, own.path, grid.path)


def order_on_grid(image: Nifti, labels: Nifti) -> StorageOrder | PartOfGrid:
    """How labels whose voxels are the image's are stored.

    Raises:
        ShapeMismatchError, AffineMismatchError: if they are of another grid; with the command that resamples them.
    """
    if image.shape == labels.shape:
        shift = corner_distance(image.affine, labels.affine, image.shape)
        limit = min(MAX_LABEL_SHIFT_MM, float(np.linalg.norm(image.affine[:3, :3], axis=0).min()) / 2)
        if shift <= limit:
            return StorageOrder()
    order = _other_order(image, labels)
    if order is not None:
        return order
    if image.shape != labels.shape and off_grid(labels.affine, labels.shape, image.affine) <= MAX_OFF_GRID_VOXELS:
        return PartOfGrid(image, labels)
    if image.shape != labels.shape:
        raise ShapeMismatchError(
            "Image and labels have different shapes.",
            file=labels.path,
            value=f"image {image.shape}, labels {labels.shape}",
            remedy=_how_to_resample(image.path, labels.path),
        )
    raise AffineMismatchError(
        "Image and labels do not lie in the same place.",
        file=labels.path,
        value=f"{shift:.2f} mm apart at a corner; {limit:.2f} allowed",
        remedy=_how_to_resample(image.path, labels.path),
    )


def _other_order(image: Nifti, labels: Nifti) -> StorageOrder | None:
    """The order in which labels of the very grid are stored; ``None`` if it is another grid."""
    try:
        to_image = np.linalg.solve(image.affine, labels.affine)
    except np.linalg.LinAlgError:
        return None
    turned = np.rint(to_image[:3, :3])
    if not (np.abs(turned).sum(axis=0) == 1).all() or not (np.abs(turned).sum(axis=1) == 1).all():
        return None
    axes = tuple(int(axis) for axis in np.abs(turned).argmax(axis=1))
    if tuple(labels.shape[axis] for axis in axes) != image.shape:
        return None
    flipped = tuple(bool(turned[row, axis] < 0) for row, axis in enumerate(axes))
    exact = np.eye(4)
    exact[:3, :3] = turned
    exact[:3, 3] = [size - 1 if flip else 0 for size, flip in zip(image.shape, flipped, strict=True)]
    if not corner_distance(exact, to_image.astype(np.float64), labels.shape) <= MAX_OFF_GRID_VOXELS:
        return None
    return StorageOrder((axes[0], axes[1], axes[2]), (flipped[0], flipped[1], flipped[2]))


def _how_to_resample(image: Path, labels: Path) -> str:
    """A line that lays labels on an image's grid by their own affines; what comes of it is checked again."""
    one, other = ("/".join(path.parts[-2:]) for path in (image, labels))
    suffix = "".join(labels.suffixes[-2:]) if labels.name.endswith(".gz") else labels.suffix
    target = f"{other.removesuffix(suffix)}_resampled{suffix}"
    return (
        "Resample the labels to the image's grid by nearest neighbour, in the folder above, and put the new file in "
        "the old one's place: python -c \"import nibabel; from nibabel.processing import resample_from_to; "
        f"nibabel.save(resample_from_to(nibabel.load('{other}'), nibabel.load('{one}'), order=0), '{target}')\""
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
        order = order_on_grid(grid, mask)
        lay, occupied = (_lay_bytes, np.max) if mask.plain_bytes else (_lay, np.any)
        found = False
        for start, slab in mask.slabs() if order.same else [(0, order.apply(mask.read()))]:
            if occupied(slab):
                found = True
                if lay is _lay:
                    slab = rounded(slab, mask)[0]
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


def read_label_map(file: Nifti) -> tuple[npt.NDArray, npt.NDArray[np.intp], float]:
    """A label map in the smallest type that holds it, and the values that it has, ascending.

    Returns:
        Labels uint8 or uint16 [I, J, K], the values, and by how much they were rounded at most.

    Raises:
        CaseError: if the file cannot be read, or holds anything but whole numbers from 0 to 65535.
    """
    labels = np.empty(file.shape, np.uint8, order="F")
    most = 0.0
    for start, slab in file.slabs():
        whole, off = rounded(slab, file)
        most = max(most, off)
        small = label_values(whole, file.path)
        if small.dtype.itemsize > labels.dtype.itemsize:
            labels = labels.astype(small.dtype)
        labels[..., start : start + slab.shape[2]] = small
    return labels, values_of(labels), most


def rounded(values: npt.NDArray, file: Nifti | None = None) -> tuple[npt.NDArray, float]:
    """Labels that lost some digits by a scale in their header, as whole numbers, and by how much they were off at most.

    A program that stores labels as scaled integers makes 2.9997 of 3. What is farther off than the scale explains is
    left as it is.
    """
    if values.dtype.kind in "iub":
        return values, 0.0
    whole = np.rint(values)
    off = float(np.abs(values - whole).max(initial=0))
    limit = MAX_ROUNDING
    if file is not None and file.voxels.stored.kind in "iu" and abs(file.voxels.slope) <= MAX_SCALE:
        limit = max(limit, abs(file.voxels.slope) * 0.505)
    return (whole, off) if off <= limit else (values, 0.0)


def label_values(values: npt.NDArray, file: Path | None) -> npt.NDArray:
    """Labels as uint8 or uint16, from any type that holds only whole numbers in their range."""
    if values.dtype.kind not in "iub" and not _all_whole(values):
        raise VoxelValueError(
            "The label map contains values that are not whole numbers.",
            file=file,
            value=str(values.dtype),
            remedy="Labels were interpolated: resample the original ones with nearest neighbour; rounding these would "
            "make structures that are not there.",
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
