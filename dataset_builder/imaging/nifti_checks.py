"""What is checked before the header of a NIfTI file is believed: packing, dimensions, unit of length."""

import math
import re
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from dataset_builder.core.errors import DimensionError, SizeError, UnreadableError
from dataset_builder.vocabulary.limits import acceptance

Affine: TypeAlias = npt.NDArray[np.float64]
"""[4, 4], voxel index -> world in RAS+ mm."""

COPY_AGAIN = "Copy the file again from its source, or leave the case out."

_GZIP = b"\x1f\x8b"


def check_packing(path: Path) -> None:
    """Refuse files that are not packed as their names say, and what stands in a scan's place."""
    with path.open("rb") as file:
        start = file.read(512)
    name = path.name.lower()
    named_gzip = name.endswith((".gz", ".mgz"))
    if not start:
        raise UnreadableError("The file is empty.", file=path, value="0 bytes", remedy=COPY_AGAIN)
    if start.startswith(b"version https://git-lfs"):
        raise UnreadableError(
            "The file is a pointer of Git LFS; the scan itself was not downloaded.",
            file=path,
            remedy="Run git lfs pull in its folder.",
        )
    if start.startswith((b"<!DOCTYPE", b"<!doctype", b"<html", b"<?xml")):
        raise UnreadableError("The file is a web page, not a scan.", file=path, remedy="Download the scan itself.")
    if named_gzip and not start.startswith(_GZIP):
        plain = path.name[: -len(".gz")] if name.endswith(".gz") else f"{path.stem}.mgh"
        of_nifti = start[344:348] in (b"n+1\0", b"ni1\0") or start[4:8] in (b"n+2\0", b"ni2\0")
        raise UnreadableError(
            "The file is not gzip, although its name ends in .gz"
            + ("; it is a plain NIfTI file." if of_nifti else "."),
            file=path,
            value=f"first bytes {start[:4].hex(' ')}",
            remedy=f"Rename it to {plain}, or pack it with: gzip {plain}." if of_nifti else COPY_AGAIN,
        )
    if name.endswith(".nii") and start.startswith(_GZIP):
        raise UnreadableError(
            "The file is gzip, although its name does not end in .gz.",
            file=path,
            value=f"first bytes {start[:4].hex(' ')}",
            remedy=f"Rename it to {path.name}.gz.",
        )


def checked_shape(shape: tuple[int, ...], path: Path) -> tuple[int, int, int]:
    """The first three dimensions; further ones may only be 1."""
    if len(shape) > 3 and all(size >= 1 for size in shape):
        frames = math.prod(shape[3:])
        if frames > 1:
            stem = re.sub(r"\.(nii\.gz|nii|mgz|mgh)$", "", path.name)
            raise DimensionError(
                "The file holds several volumes: frames of a series, echoes or channels.",
                file=path,
                value=f"{frames} volumes of {' x '.join(map(str, shape[:3]))}, numbered 0 to {frames - 1}",
                remedy="Write each to a separate file, and use the one that the labels were drawn on; in its "
                "folder: "
                f"python -c \"import nibabel; i = nibabel.squeeze_image(nibabel.load('{path.name}')); "
                f"[nibabel.save(i.slicer[..., n], f'{stem}_frame{{n}}.nii.gz') for n in range(i.shape[3])]\"",
            )
    if len(shape) < 3 or any(size != 1 for size in shape[3:]) or any(size < 1 for size in shape):
        raise DimensionError(
            "The file is not a single three-dimensional volume.",
            file=path,
            value=" x ".join(map(str, shape)) or "no dimensions",
            remedy="Give one volume per file.",
        )
    return int(shape[0]), int(shape[1]), int(shape[2])


MM_OF_UNIT = {"unknown": 1.0, "mm": 1.0, "meter": 1000.0, "micron": 0.001}


def unit_of(header: Any) -> str:
    """The unit of length that a header gives; what it leaves open is taken for mm, as everybody does."""
    try:
        return str(header.get_xyzt_units()[0])
    except KeyError:  # a code that stands for nothing
        return "unknown"


def check_size(affine: Affine, shape: tuple[int, int, int], file: Path | None, unit: str = "mm") -> None:
    """Refuse voxels and volumes of a size that cannot be.

    Args:
        affine: index -> mm.
        shape: of the array.
        file: to name.
        unit: that the header gives; the affine is in mm already.

    Raises:
        SizeError: names the size and the unit that would make sense, if one does.
    """
    limits = acceptance()["size"]
    steps = np.linalg.norm(affine[:3, :3], axis=0)
    if not np.isfinite(steps).all() or not (steps > 0).all():
        return  # distinguished in words of their own

    def fits(scale: float) -> bool:
        low, high = limits["voxel_mm"]
        extent = (steps * shape * scale).max()
        return bool((steps * scale >= low).all() and (steps * scale <= high).all() and extent <= limits["extent_mm"])

    if fits(1.0):
        return
    shown = " x ".join(f"{step:.6g}" for step in steps)
    extent = " x ".join(f"{step * size:.6g}" for step, size in zip(steps, shape, strict=True))
    others = [other for other, scale in MM_OF_UNIT.items() if other != "unknown" and fits(scale / MM_OF_UNIT[unit])]
    codes = {"meter": 1, "mm": 2, "micron": 3}
    if len(others) == 1:
        remedy = (
            f"If the numbers are in {_IN_WORDS[others[0]]}, set xyzt_units to {codes[others[0]]} ({others[0]}) in "
            "image and labels; else convert the scan again."
        )
    else:
        remedy = "Convert the scan again from its DICOM files."
    raise SizeError(
        "The voxels or the scan have an impossible size.",
        file=file,
        value=f"voxels of {shown} mm, a scan of {extent} mm; the header's unit is {unit}",
        remedy=remedy,
    )


_IN_WORDS = {"meter": "metres", "mm": "millimetres", "micron": "micrometres"}
