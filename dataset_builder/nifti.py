"""NIfTI files: a header that is checked before anything is believed, and voxels read once, slab by slab.

nibabel parses the header. The voxels are read here in slabs of some megabytes, so that a file stored or scaled as
float64 never stands in memory as such: whole numbers stay whole numbers, all else becomes float32. A header that
promises more than the file can hold is refused before memory is asked for, and a compressed file is read to its end,
where its checksum is.
"""

import math
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import nibabel
import numpy as np
import numpy.typing as npt
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError, HeaderTypeError
from nibabel.wrapstruct import WrapStructError

from dataset_builder.errors import (
    AffineError,
    DimensionError,
    TransformConflictError,
    UnreadableError,
    VoxelValueError,
)

Affine: TypeAlias = npt.NDArray[np.float64]
"""[4, 4], voxel index -> world in RAS+ mm."""

MAX_CONFLICT_MM = 1.0
"""sform and qform are in conflict if they put a corner of the volume farther apart than this."""

SLAB_BYTES = 8 << 20
_COMPRESSION = {".gz": 1100, ".mgz": 1100, ".bz2": 100_000, ".zst": 100_000}
"""The most that a byte of a compressed file can stand for; deflate's limit is 1032."""

_UNREADABLE = (
    OSError,
    EOFError,
    zlib.error,
    ValueError,
    ImageFileError,
    HeaderDataError,
    HeaderTypeError,
    WrapStructError,
)
_COPY_AGAIN = "Copy the file again from where it came, or leave the case out."


@dataclass(frozen=True, eq=False)
class Nifti:
    """An opened file: its grid is known and checked, its voxels are not read yet.

    Args:
        path: of the file.
        shape: (I, J, K).
        affine: from the sform if it is set, else from the qform.
    """

    path: Path
    shape: tuple[int, int, int]
    affine: Affine
    _image: Any

    def read(self) -> npt.NDArray:
        """All voxels [I, J, K], first index fastest: whole numbers as small as they are stored, or float32.

        Raises:
            UnreadableError: if the file ends too early or its checksum is wrong.
            VoxelValueError: if a value is not finite.
        """
        values: npt.NDArray | None = None
        for start, slab in self.slabs():
            if values is None:
                values = np.empty(self.shape, slab.dtype, order="F")
            values[..., start : start + slab.shape[2]] = slab
        assert values is not None  # a volume has at least one slab
        return values

    def slabs(self) -> Iterator[tuple[int, npt.NDArray]]:
        """Consecutive slabs along the last axis: (first index, values [I, J, n]); all of one type. Raises as `read`."""
        proxy = self._image.dataobj
        stored = np.dtype(proxy.dtype)
        row, column, count = self.shape
        slice_bytes = row * column * stored.itemsize
        step = max(1, min(count, SLAB_BYTES // slice_bytes))
        convert = _Conversion.of(stored, float(proxy.slope), float(proxy.inter))
        with _told_by_name(self.path), self._image.file_map["image"].get_prepare_fileobj("rb") as file:
            file.seek(proxy.offset)
            for start in range(0, count, step):
                thick = min(step, count - start)
                data = file.read(thick * slice_bytes)
                if len(data) < thick * slice_bytes:
                    raise EOFError(f"the file ends in slice {start + len(data) // slice_bytes} of {count}")
                slab = np.frombuffer(data, stored).reshape((row, column, thick), order="F")
                values = convert(slab)
                if values.dtype.kind == "f" and not np.isfinite(values).all():
                    raise VoxelValueError(
                        "The file holds voxels that are not finite numbers.",
                        file=self.path,
                        value=f"in slices {start} to {start + thick - 1}",
                        remedy="Replace them with the value of air.",
                    )
                yield start, values
            # The checksum of a compressed file is looked at where it ends.
            for _ in range(64):
                if not file.read(1 << 20):
                    break


@dataclass(frozen=True)
class _Conversion:
    """How stored numbers become values: ``slope * stored + intercept``, in the smallest type that holds them well."""

    slope: float
    intercept: float
    kind: np.dtype

    @classmethod
    def of(cls, stored: np.dtype, slope: float, intercept: float) -> "_Conversion":
        if stored.kind == "f" or not (slope.is_integer() and intercept.is_integer()):
            return cls(slope, intercept, np.dtype(np.float32))
        limits = np.iinfo(stored)
        ends = sorted(int(slope) * int(end) + int(intercept) for end in (limits.min, limits.max))
        kinds = (stored.newbyteorder("="), *map(np.dtype, (np.uint8, np.int16, np.uint16, np.int32)))
        fitting = (kind for kind in kinds if np.iinfo(kind).min <= ends[0] and ends[1] <= np.iinfo(kind).max)
        # 64-bit numbers of a scan fit into float32's 24 bits; where they do not, no window would show it.
        kind = next((kind for kind in fitting if kind.itemsize <= 4), np.dtype(np.float32))
        return cls(slope, intercept, kind)

    def __call__(self, slab: npt.NDArray) -> npt.NDArray:
        if (self.slope, self.intercept) == (1.0, 0.0):
            return slab.astype(self.kind, copy=False)
        if self.kind.kind in "iu":
            return (slab.astype(np.int64) * int(self.slope) + int(self.intercept)).astype(self.kind)
        return (slab.astype(np.float64) * self.slope + self.intercept).astype(self.kind)  # of one slab only


def open_nifti(path: Path) -> Nifti:
    """Open a file and check its header.

    Raises:
        UnreadableError: the file is missing, not NIfTI, or shorter than its header promises.
        DimensionError: it is not one volume.
        VoxelValueError: its voxels are not plain numbers.
        AffineError: it does not say where the patient's left is, or not in finite numbers.
        TransformConflictError: it says so twice, and differently.
    """
    if not path.is_file():
        raise UnreadableError("There is no such file.", file=path, remedy="Check the folder's layout.")
    with _told_by_name(path):
        image = nibabel.load(path)
    if not isinstance(image, nibabel.Nifti1Pair | nibabel.MGHImage):
        raise UnreadableError(
            "The file is not a NIfTI image.",
            file=path,
            value=type(image).__name__,
            remedy="Convert it to NIfTI from a format that says where the patient's left is.",
        )
    shape = _checked_shape(image.shape, path)
    _check_voxels(image, path)
    affine = _nifti_affine(image.header, shape, path) if isinstance(image, nibabel.Nifti1Pair) else image.affine
    return Nifti(path, shape, np.asarray(affine, np.float64), image)


def corner_distance(one: Affine, other: Affine, shape: tuple[int, int, int]) -> float:
    """The largest distance in mm between where two affines put a corner of a volume of this shape."""
    corners = np.array([[i, j, k, 1] for i in (0, shape[0] - 1) for j in (0, shape[1] - 1) for k in (0, shape[2] - 1)])
    return float(np.linalg.norm(corners @ (np.asarray(one) - np.asarray(other)).T, axis=1).max())


@contextmanager
def _told_by_name(path: Path) -> Iterator[None]:
    """Whatever a damaged file makes a reader raise becomes one error that names the file."""
    try:
        yield
    except _UNREADABLE as error:
        raise UnreadableError(
            "The file cannot be read.",
            file=path,
            value=f"{type(error).__name__}: {error}".replace(str(path), path.name),
            remedy=_COPY_AGAIN,
        ) from error


def _checked_shape(shape: tuple[int, ...], path: Path) -> tuple[int, int, int]:
    """The first three dimensions; further ones may only be 1."""
    if len(shape) < 3 or any(size != 1 for size in shape[3:]) or any(size < 1 for size in shape):
        raise DimensionError(
            "The file is not a single three-dimensional volume.",
            file=path,
            value=" x ".join(map(str, shape)) or "no dimensions",
            remedy="Give one volume a file.",
        )
    return int(shape[0]), int(shape[1]), int(shape[2])


def _check_voxels(image: Any, path: Path) -> None:
    proxy = image.dataobj
    stored = np.dtype(proxy.dtype)
    if stored.kind not in "iuf":
        raise VoxelValueError(
            "The voxels are not plain numbers.",
            file=path,
            value=str(stored),
            remedy="Give a grey image or whole labels.",
        )
    if not (math.isfinite(proxy.slope) and math.isfinite(proxy.inter)):
        raise VoxelValueError(
            "The scale of the values is not finite.", file=path, value=f"slope {proxy.slope}, intercept {proxy.inter}"
        )
    data_file = Path(image.file_map["image"].filename)
    promised = proxy.offset + math.prod(image.shape) * stored.itemsize
    if promised > data_file.stat().st_size * _COMPRESSION.get(data_file.suffix.lower(), 1):
        raise UnreadableError(
            "The header promises more voxels than the file can hold.",
            file=path,
            value=f"{promised:,} bytes promised, {data_file.stat().st_size:,} bytes in the file",
            remedy=_COPY_AGAIN,
        )


def _nifti_affine(header: Any, shape: tuple[int, int, int], path: Path) -> Affine:
    """The affine of a NIfTI header; unlike nibabel's, never one that is made up where none is given."""
    try:
        sform, qform = header.get_sform(coded=True)[0], header.get_qform(coded=True)[0]
    except (HeaderDataError, ValueError) as error:
        raise AffineError(
            "The qform is not a rotation.", file=path, value=str(error), remedy="Set it anew, or set its code to 0."
        ) from error
    for form in (sform, qform):
        if form is not None and not np.isfinite(form).all():
            raise AffineError(
                "The affine is not finite.", file=path, remedy="Convert the scan again from its DICOM files."
            )
    if sform is None and qform is None:
        raise AffineError(
            "The file does not say where the patient's left is: sform_code and qform_code are both 0.",
            file=path,
            remedy="Convert the scan again from its DICOM files; never guess.",
        )
    if sform is not None and qform is not None:
        apart = corner_distance(sform, qform, shape)
        if apart > MAX_CONFLICT_MM:
            raise TransformConflictError(
                "sform and qform are both set and disagree.",
                file=path,
                value=f"{apart:.2f} mm apart at a corner; {MAX_CONFLICT_MM:g} allowed",
                remedy="Find out which is right, and set the code of the other one to 0.",
            )
    return np.asarray(sform if sform is not None else qform, np.float64)
