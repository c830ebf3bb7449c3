"""NIfTI files: a header that is checked before anything is believed, and voxels read once, slab by slab.

nibabel parses the header. The voxels are read here in slabs of about a megabyte, so that a file stored or scaled as
float64 never stands in memory as such: whole numbers stay whole numbers, all else becomes float32. A header that
promises more than the file can hold is refused before memory is asked for, and a compressed file is read to its end,
where its checksum is.

Gzip files are inflated by :mod:`dataset_builder.imaging.gzip_reader`. The masks of a subject have the same header a
hundred times: of a ``.nii.gz`` whose first bytes are known already, nothing is parsed again.
"""

import math
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import numpy.typing as npt
from nibabel.openers import ImageOpener
from nibabel.spatialimages import HeaderDataError

from dataset_builder.core.errors import (
    AffineError,
    TransformConflictError,
    UnreadableError,
    VoxelValueError,
)
from dataset_builder.imaging.gzip_reader import Inflater
from dataset_builder.imaging.nifti_checks import (
    COPY_AGAIN,
    MM_OF_UNIT,
    Affine,
    check_packing,
    check_size,
    checked_shape,
    unit_of,
)

MAX_CONFLICT_MM = 1.0
"""sform and qform are in conflict if they put a corner of the volume farther apart than this."""

SLAB_BYTES = 1 << 20
"""A slab that stays in the processor's cache is converted several times faster than one that does not."""
_COMPRESSION = {".gz": 1100, ".mgz": 1100, ".bz2": 100_000, ".zst": 100_000}
"""The most that a byte of a compressed file can stand for; deflate's limit is 1032."""

_UNREADABLE = (OSError, EOFError, zlib.error, ValueError)


@dataclass(frozen=True)
class Voxels:
    """How a file stores its voxels.

    Args:
        offset: of the first one, in bytes.
        stored: their type.
        slope, intercept: a value is ``slope * stored + intercept``.
    """

    offset: int
    stored: np.dtype
    slope: float
    intercept: float


@dataclass(frozen=True, eq=False)
class Nifti:
    """An opened file: its grid is known and checked, its voxels are not read yet.

    Args:
        path: of the file.
        shape: (I, J, K).
        affine: from the sform if it is set, else from the qform.
        voxels: how they are stored.
        data_file: where they are; not ``path`` if header and voxels are two files.
    """

    path: Path
    shape: tuple[int, int, int]
    affine: Affine
    voxels: Voxels
    data_file: Path

    @property
    def plain_bytes(self) -> bool:
        """Whether the voxels are bytes without a scale, so that slabs are views of what was inflated."""
        return self.voxels == Voxels(self.voxels.offset, np.dtype(np.uint8), 1.0, 0.0)

    @property
    def value_type(self) -> np.dtype:
        """Of the values that are read: numbers as small as they are stored, or float32."""
        return _Conversion.of(self.voxels.stored, self.voxels.slope, self.voxels.intercept).kind

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
        stored = self.voxels.stored
        row, column, count = self.shape
        slice_bytes = row * column * stored.itemsize
        step = max(1, min(count, SLAB_BYTES // slice_bytes))
        convert = _Conversion.of(stored, self.voxels.slope, self.voxels.intercept)
        with _told_by_name(self.path), _opened(self.data_file) as file:
            if isinstance(file, Inflater):
                file.skip(self.voxels.offset)
            else:
                file.seek(self.voxels.offset)
            for start in range(0, count, step):
                thick = min(step, count - start)
                data = file.read(thick * slice_bytes)
                if len(data) < thick * slice_bytes:
                    raise EOFError(f"the file ends in slice {start + len(data) // slice_bytes} of {count}")
                slab = np.frombuffer(data, stored).reshape((row, column, thick), order="F")
                values = convert(slab)
                if values.dtype.kind == "f" and not np.isfinite(values).all():
                    raise VoxelValueError(
                        "The file contains voxels that are not finite numbers.",
                        file=self.path,
                        value=f"in slices {start} to {start + thick - 1}",
                        remedy="Replace them by the value of air: -1000 in CT, 0 in MR and in labels.",
                    )
                yield start, values
            # The checksum of a compressed file is looked at where it ends.
            for _ in range(64):
                if not file.read(1 << 20):
                    break


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """The bytes that a file holds, from the start: ``read(size)``."""
    if path.suffix.lower() in (".gz", ".mgz"):
        with path.open("rb", buffering=0) as file:
            yield Inflater(file)
    else:
        with ImageOpener(str(path), "rb") as file:
            yield file


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
        raise UnreadableError("This file does not exist.", file=path, remedy="Check the folder's layout.")
    check_packing(path)
    if not path.name.lower().endswith(".nii.gz"):
        return _parsed(path)
    with _told_by_name(path):
        start = _header_bytes(path)
    if start is None:
        return _parsed(path)
    if start not in _remembered:
        if len(_remembered) >= _MAX_REMEMBERED:
            _remembered.pop(next(iter(_remembered)))  # the oldest
        _remembered[start] = _parsed(path)
        return _remembered[start]
    same = replace(_remembered[start], path=path, data_file=path)
    _check_size(same)
    return same


_remembered: dict[bytes, Nifti] = {}
"""Of a few files what their first bytes say, all that stands before the voxels."""
_MAX_REMEMBERED, _MAX_HEADER_BYTES = 8, 1 << 16


def _header_bytes(path: Path) -> bytes | None:
    """All that stands before the voxels in a file of the common kind (NIfTI-1, little-endian), else ``None``."""
    with _opened(path) as file:
        start = file.read(352)
        if start[:4] != b"\x5c\x01\0\0" or start[344:348] != b"n+1\0":
            return None
        (offset,) = struct.unpack_from("<f", start, 108)
        if not len(start) == 352 <= offset <= _MAX_HEADER_BYTES:
            return None
        return bytes(start + file.read(int(offset) - 352))


def _parsed(path: Path) -> Nifti:
    """A file as nibabel understands it, checked."""
    try:
        image = nibabel.load(path)
    except MemoryError:
        raise
    except Exception as error:  # a damaged header makes it raise almost anything
        raise _unreadable(path, error) from error
    if not isinstance(image, nibabel.Nifti1Pair | nibabel.MGHImage):
        raise UnreadableError(
            "The file is not a NIfTI image.",
            file=path,
            value=type(image).__name__,
            remedy="Convert it to NIfTI from a format that defines where the patient's left is.",
        )
    shape = checked_shape(image.shape, path)
    proxy: Any = image.dataobj
    voxels = Voxels(int(proxy.offset), np.dtype(proxy.dtype), float(proxy.slope), float(proxy.inter))
    _check_voxels(voxels, path)
    affine = np.array(image.affine, np.float64)
    if isinstance(image, nibabel.Nifti1Pair):
        affine = nifti_affine(image.header, shape, path)
    affine.flags.writeable = False
    opened = Nifti(path, shape, affine, voxels, Path(str(image.file_map["image"].filename)))
    _check_size(opened)
    check_size(affine, shape, path, unit_of(image.header) if isinstance(image, nibabel.Nifti1Pair) else "mm")
    return opened


def corner_distance(one: Affine, other: Affine, shape: tuple[int, int, int]) -> float:
    """The largest distance in mm between where two affines put a corner of a volume of this shape."""
    corners = np.array([[i, j, k, 1] for i in (0, shape[0] - 1) for j in (0, shape[1] - 1) for k in (0, shape[2] - 1)])
    with np.errstate(invalid="ignore"):  # affines of damaged files; the outcome is not a number, and near nothing
        return float(np.linalg.norm(corners @ (np.asarray(one) - np.asarray(other)).T, axis=1).max())


@contextmanager
def _told_by_name(path: Path) -> Iterator[None]:
    """Whatever a damaged file makes a reader raise becomes one error that names the file."""
    try:
        yield
    except _UNREADABLE as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> UnreadableError:
    return UnreadableError(
        "The file cannot be read.",
        file=path,
        value=f"{type(error).__name__}: {error}".replace(str(path), path.name),
        remedy=COPY_AGAIN,
    )


def _check_voxels(voxels: Voxels, path: Path) -> None:
    if voxels.stored.kind not in "iuf":
        raise VoxelValueError(
            "The voxels are not single numbers.",
            file=path,
            value=str(voxels.stored),
            remedy="Give a grey-scale image, or labels that are whole numbers.",
        )
    if not (math.isfinite(voxels.slope) and math.isfinite(voxels.intercept)):
        raise VoxelValueError(
            "The scaling of the values is not finite.",
            file=path,
            value=f"slope {voxels.slope}, intercept {voxels.intercept}",
            remedy="Convert the scan again from its DICOM files.",
        )


def _check_size(opened: Nifti) -> None:
    """Refuse a header that promises more than the file can hold, before memory is asked for."""
    size = opened.data_file.stat().st_size
    promised = opened.voxels.offset + math.prod(opened.shape) * opened.voxels.stored.itemsize
    if promised > size * _COMPRESSION.get(opened.data_file.suffix.lower(), 1):
        raise UnreadableError(
            "The header declares more voxels than the file holds.",
            file=opened.path,
            value=f"{promised:,} bytes declared, {size:,} bytes in the file",
            remedy=COPY_AGAIN,
        )


def nifti_affine(header: Any, shape: tuple[int, int, int], path: Path) -> Affine:
    """The affine of a NIfTI header, to mm whatever its unit; never one that is made up where none is given."""
    try:
        sform, qform = header.get_sform(coded=True)[0], header.get_qform(coded=True)[0]
    except (HeaderDataError, ValueError) as error:
        raise AffineError(
            "The qform is not a rotation.",
            file=path,
            value=str(error),
            remedy="Convert the scan again from its DICOM files.",
        ) from error
    for form in (sform, qform):
        if form is not None and not np.isfinite(form).all():
            raise AffineError(
                "The affine is not finite.", file=path, remedy="Convert the scan again from its DICOM files."
            )
    if sform is None and qform is None:
        raise AffineError(
            "The file does not define where the patient's left is: sform_code and qform_code are both 0.",
            file=path,
            remedy="Convert the scan again from its DICOM files; never guess.",
        )
    if sform is not None and qform is not None:
        apart = corner_distance(sform, qform, shape) * MM_OF_UNIT[unit_of(header)]
        if not apart <= MAX_CONFLICT_MM:
            raise TransformConflictError(
                "sform and qform are both set and disagree.",
                file=path,
                value=f"{apart:.2f} mm apart at a corner; {MAX_CONFLICT_MM:g} allowed",
                remedy="Convert the scan again from its DICOM files: nothing in the file shows which is right.",
            )
    affine = np.array(sform if sform is not None else qform, np.float64)
    affine[:3] *= MM_OF_UNIT[unit_of(header)]
    return affine
