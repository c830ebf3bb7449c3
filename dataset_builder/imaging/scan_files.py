"""Scans and label maps in whatever format a file has: NIfTI and MGH by nibabel, NRRD and MetaImage by SimpleITK.

What comes is an array with its affine in RAS+ mm. A file that does not say how it lies in the patient is refused:
readers fill in an identity where a header has nothing.
"""

import gzip
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import numpy.typing as npt

from dataset_builder.core.errors import AffineError, DimensionError, MISGroundError, UnreadableError, VoxelValueError
from dataset_builder.imaging.header_fields import COPY_AGAIN
from dataset_builder.imaging.itk_files import (
    EXPORT_AGAIN,
    check_compressed_voxels,
    check_header,
    check_position,
)
from dataset_builder.imaging.memory_limit import left
from dataset_builder.imaging.nifti import Affine, nifti_affine, open_nifti

NIFTI = (".nii.gz", ".nii")
MGH = (".mgz", ".mgh")
ITK = (".nrrd", ".nhdr", ".mha", ".mhd")
ENDINGS = (*NIFTI, *MGH, *ITK)
"""Of all files that are read, in small letters; in file names capitals do not matter."""

_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


@dataclass(frozen=True, eq=False)
class Scan:
    """An image or a label map.

    Args:
        values: [I, J, K] as stored, or float32 where a scale makes fractions.
        affine: [4, 4], index -> world in RAS+ mm.
        path: of the file.
        about: keys of the file's header, of NRRD and MetaImage.
    """

    values: npt.NDArray
    affine: Affine
    path: Path
    about: dict[str, str]


def ending_of(name: str) -> str:
    """The ending of a scan's file name as it is written there; empty if it is the name of something else.

    >>> ending_of("CASE_1.NII.GZ")
    '.NII.GZ'
    """
    found = next((ending for ending in ENDINGS if name.lower().endswith(ending)), "")
    return name[len(name) - len(found) :] if found else ""


def stem_of(name: str) -> str:
    """A file name without its ending; also without ``.seg`` of 3D Slicer."""
    return name.removesuffix(ending_of(name)) if ending_of(name) else name


def read_scan(path: Path, channel: int | None = None) -> Scan:
    """Read a file of any known format.

    Args:
        path: of the file.
        channel: of a file with several channels (4D, or vectors) the one that is read, counted from 0.

    Raises:
        CaseError: a subclass for each reason why it cannot be used.
        MISGroundError: if SimpleITK is needed and not installed.
    """
    if not path.is_file():
        raise UnreadableError("This file does not exist.", file=path, remedy="Check the folder's layout.")
    ending = ending_of(path.name).lower()
    if ending in ITK:
        return _by_itk(path, channel)
    if ending in (*NIFTI, *MGH):
        if channel is not None and len(shape := _shape(path)) == 4 and shape[3] > 1:
            return _channel_of(path, channel)
        grid = open_nifti(path)
        return Scan(grid.read(), _sound(grid.affine, path), path, {})
    raise UnreadableError(
        "The file has a format that cannot be read.",
        file=path,
        value=path.name,
        remedy=f"Known formats: {', '.join(ENDINGS)}.",
    )


def count_channels(path: Path) -> int:
    """How many channels a file has, by its header; 1 if that cannot be read, which reading will say."""
    try:
        if ending_of(path.name).lower() in ITK:
            reader = _information(path)
            components = int(reader.GetNumberOfComponents())
            return components if reader.GetDimension() == 3 else int(reader.GetSize()[3])
        shape = _shape(path)
        return int(shape[3]) if len(shape) == 4 else 1
    except Exception:
        return 1


def _shape(path: Path) -> tuple[int, ...]:
    try:
        return tuple(nibabel.load(path).shape)  # type: ignore[attr-defined]
    except Exception as error:  # a damaged header makes it raise almost anything
        raise _unreadable(path, error) from error


def _channel_of(path: Path, channel: int) -> Scan:
    """One channel of a 4D NIfTI file: its 3D header goes through the checks of any other file."""
    try:
        image: Any = nibabel.load(path)
        count = image.shape[3]
        if not 0 <= channel < count:
            raise _no_such_channel(path, channel, count)
        if path.suffix.lower() == ".gz":
            _check_whole(path)  # nibabel reads no further than to the channel, and so not to the checksum
        volume = np.asarray(image.dataobj[..., channel])
    except MISGroundError:
        raise
    except Exception as error:
        raise _unreadable(path, error) from error
    if not np.isfinite(volume).all():
        raise VoxelValueError(
            "The file contains voxels that are not finite numbers.",
            file=path,
            remedy="Replace them by the value of air.",
        )
    values = volume.astype(np.float32) if volume.dtype.kind == "f" else volume
    return Scan(values, _sound(nifti_affine(image.header, volume.shape, path), path), path, {})


def _check_whole(path: Path) -> None:
    """Decompress a gzip file to its end, where its checksum is.

    Raises:
        OSError, EOFError, zlib.error: if it is damaged.
    """
    with gzip.open(path) as file:
        while file.read(1 << 20):
            pass


def _by_itk(path: Path, channel: int | None) -> Scan:
    reader = _information(path)
    about = _keys_of(reader)
    check_position(path, about.get("NRRD_space", ""))
    check_compressed_voxels(path)
    size = tuple(map(int, reader.GetSize()))
    needed = int(np.prod(size)) * max(1, reader.GetNumberOfComponents()) * 8
    if needed > left():
        from dataset_builder.core.errors import TooLargeError
        from dataset_builder.imaging.memory_limit import REMEDY

        raise TooLargeError(
            "The file needs more memory than available.", file=path, value=f"{needed:,} bytes", remedy=REMEDY
        )
    try:
        values = _simpleitk().GetArrayFromImage(reader.Execute())  # [..., k, j, i(, component)]
    except RuntimeError as error:
        raise _unreadable(path, error) from error
    components = int(reader.GetNumberOfComponents())
    if components > 1:
        values = np.moveaxis(values, -1, 0)
    elif values.ndim == 4:
        components = values.shape[0]
    if values.ndim == 4:
        if channel is None or not 0 <= channel < components:
            raise _no_such_channel(path, channel, components)
        values = values[channel]
    if values.ndim != 3:
        raise DimensionError(
            "The file is not a single three-dimensional volume.",
            file=path,
            value=" x ".join(map(str, size)),
            remedy="Give one volume per file.",
        )
    if values.dtype.kind == "f":
        if not np.isfinite(values).all():
            raise VoxelValueError(
                "The file contains voxels that are not finite numbers.",
                file=path,
                remedy="Replace them by the value of air.",
            )
        values = values.astype(np.float32, copy=False)
    return Scan(values.transpose(2, 1, 0), _sound(itk_affine(reader), path), path, about)


def _sound(affine: Affine, path: Path) -> Affine:
    """An affine by which places can be compared: finite, and no two axes along the same line."""
    steps = np.linalg.norm(affine[:3, :3], axis=0) if np.isfinite(affine).all() else np.zeros(3)
    if not ((steps > 0) & np.isfinite(steps)).all() or abs(np.linalg.det(affine[:3, :3] / steps)) < 1e-3:
        said = np.array2string(affine, precision=3, suppress_small=True, separator=",").replace("\n", "")
        raise AffineError(
            "The affine is not finite, or two of its axes coincide.", file=path, value=said, remedy=EXPORT_AGAIN
        )
    return affine


def itk_affine(image: Any) -> Affine:
    """The affine of an image or reader of SimpleITK, whose world is LPS, in RAS+ mm; of its first three axes."""
    axes = image.GetDimension()
    direction = np.array(image.GetDirection(), np.float64).reshape(axes, axes)[:3, :3]
    affine = np.eye(4)
    affine[:3, :3] = direction * np.array(image.GetSpacing()[:3], np.float64)
    affine[:3, 3] = image.GetOrigin()[:3]
    turned: Affine = _LPS @ affine
    return turned


def read_layers(path: Path) -> tuple[list[npt.NDArray], Affine, dict[str, str]]:
    """All layers of a 3D Slicer segmentation [I, J, K], its affine and its header."""
    about = read_header(path)
    count = count_channels(path)
    if count == 1:
        scan = read_scan(path)
        return [scan.values], scan.affine, about
    scans = [read_scan(path, number) for number in range(count)]
    return [scan.values for scan in scans], scans[0].affine, about


def read_header(path: Path) -> dict[str, str]:
    """The keys of an NRRD or MetaImage header."""
    return _keys_of(_information(path))


def _keys_of(reader: Any) -> dict[str, str]:
    """The keys of a header as text; what is not UTF-8 is taken for Latin-1, and a key that is not is passed over."""
    found = {}
    for key in reader.GetMetaDataKeys():
        if key.isprintable():
            raw = reader.GetMetaData(key).encode("utf-8", "surrogateescape")
            try:
                found[key] = raw.decode("utf-8")
            except UnicodeDecodeError:
                found[key] = raw.decode("latin-1")
    return found


def _information(path: Path) -> Any:
    """A reader of SimpleITK that has read the file's header."""
    itk = _simpleitk()
    check_header(path)
    reader = itk.ImageFileReader()
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
    except RuntimeError as error:
        raise _unreadable(path, error) from error
    return reader


def _simpleitk() -> Any:
    try:
        import SimpleITK
    except ImportError as error:
        raise MISGroundError(
            "NRRD and MetaImage files need the package SimpleITK.", remedy="pip install 'mis-ground[formats]'"
        ) from error
    SimpleITK.ProcessObject.SetGlobalWarningDisplay(False)
    return SimpleITK


def _no_such_channel(path: Path, channel: int | None, count: int) -> DimensionError:
    return DimensionError(
        f"The file has {count} channels; one of them has to be chosen.",
        file=path,
        value="none chosen" if channel is None else f"channel {channel}",
        remedy=f"Give --channel with a number from 0 to {count - 1}.",
    )


def _unreadable(path: Path, error: Exception) -> UnreadableError:
    said = str(error).strip().splitlines()[-1:] or [""]
    return UnreadableError(
        "The file cannot be read.",
        file=path,
        value=f"{type(error).__name__}: {said[0].replace(str(path), path.name)}",
        remedy=COPY_AGAIN,
    )
