"""Volumes: an image and its labels as RAS+ arrays, or a refusal that says why not.

A volume is brought to RAS+ by its affine alone: the first index grows toward the patient's Right, the second toward
Anterior, the third toward Superior. That is done with transposed and flipped views, so that no voxel is resampled and
none is copied. Where a file leaves any doubt about what is left, it is refused: neither sform nor qform set, the two in
conflict, sheared axes, slices tilted by more than 30 degrees, labels that lie elsewhere than the image.

Labels come as one map of whole numbers (:func:`read_volume`), as one mask per structure (:func:`read_masks`), or with
the image from memory (:func:`volume_from_arrays`).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypedDict, Unpack

import nibabel
import numpy as np
import numpy.typing as npt
from nibabel.orientations import apply_orientation, inv_ornt_aff, io_orientation

from dataset_builder.core.errors import (
    AffineError,
    EmptyLabelsError,
    MissingLabelsError,
    ObliqueError,
    ShapeMismatchError,
    UnknownLabelError,
)
from dataset_builder.core.factors import Modality, Side
from dataset_builder.imaging.geometry import MAX_OBLIQUITY_DEG
from dataset_builder.imaging.label_volume import (
    PartOfGrid,
    StorageOrder,
    label_values,
    lay_masks,
    order_on_grid,
    read_label_map,
    rounded,
    values_of,
)
from dataset_builder.imaging.memory_limit import check_fits
from dataset_builder.imaging.nifti import Affine, check_size, open_nifti

MAX_SHEAR_DEG = 2.0
"""Axes are perpendicular up to this; rounding in headers makes some tenths of a degree, a tilted gantry makes tens."""

SPACING_DIGITS = 5
"""Decimals of a spacing in mm; what files say beyond them is rounding."""

Shape = tuple[int, int, int]
Spacing = tuple[float, float, float]


class Identity(TypedDict, total=False):
    """What a volume is, beside its voxels; see :class:`Volume`."""

    source: str
    subject: str
    modality: Modality
    licence: str
    side: Side | None


@dataclass(frozen=True, eq=False)
class Volume:
    """A labelled scan in RAS+.

    Args:
        source: name of the source.
        subject: the source's own identifier.
        modality: ``ct`` or ``mri``.
        licence: of the scan.
        side: of the limb, for a volume of one limb; else ``None``.
        image: [I, J, K], whole numbers or float32: Hounsfield units for CT, signal for MR.
        labels: uint8 or uint16 [I, J, K]; 0 = nothing.
        names: label value -> structure name, also of structures without a voxel.
        spacing: voxel size in mm along the three axes.
        affine: float64 [4, 4], index -> world in RAS+ mm; still oblique if the scan was.
        obliquity_deg: largest angle between an array axis and the patient axis that it stands for.
        stored_axes: where the stored axes led, such as ``LPS``.
        overlap_voxels: voxels that more than one mask claimed; the last mask has them.
        remarks: what was corrected in reading, such as the storage order of the labels.
        ignored: names, normalised, of labels that the scan has and that are left out because the user wants it.
        scan_sha256: hash of the values, of scans whose names are arbitrary; every draw then depends on it, and not on
            source and subject.
        patient: whose scan it is, where that is not the subject itself.
    """

    source: str
    subject: str
    modality: Modality
    licence: str
    side: Side | None
    image: npt.NDArray
    labels: npt.NDArray
    names: Mapping[int, str]
    spacing: Spacing
    affine: Affine
    obliquity_deg: float
    stored_axes: str
    overlap_voxels: int = 0
    remarks: tuple[str, ...] = ()
    scan_sha256: str | None = None
    ignored: tuple[str, ...] = ()
    patient: str | None = None

    @property
    def drawn_by(self) -> tuple[str, str]:
        """What decides, with the seed, every draw about the volume."""
        return drawn_by(self.source, self.subject, self.scan_sha256)


def drawn_by(source: str, subject: str, scan_sha256: str | None) -> tuple[str, str]:
    """What decides, with the seed, every draw about a volume: the scan's hash where there is one, else its names."""
    return (source, subject) if scan_sha256 is None else ("scan", scan_sha256)


def read_volume(image: Path, labels: Path, names: Mapping[int, str], **identity: Unpack[Identity]) -> Volume:
    """Read an image and its label map.

    Args:
        image: NIfTI file.
        labels: NIfTI file of the same grid; whole numbers, 0 = nothing.
        names: structure name of each label value but 0.
        identity: source, subject, modality, licence and, of a limb, side.

    Raises:
        CaseError: a subclass for each reason why the files cannot be used; it names file, value and remedy.
    """
    if not labels.is_file():
        raise MissingLabelsError("The image has no label file.", file=labels, remedy="Add it, or remove the image.")
    grid = open_nifti(image)
    affine = _checked(grid.affine, image)
    label_grid = open_nifti(labels)
    order = order_on_grid(grid, label_grid)
    check_fits(grid, min(2, label_grid.voxels.stored.itemsize))
    values, found, off = read_label_map(label_grid)
    _check_known(found, names, labels)
    remarks = tuple(_remarks(order, off))
    return _volume(grid.read(), order.apply(values), names, affine, identity, image, remarks=remarks)


def read_masks(image: Path, masks: Mapping[str, Path], **identity: Unpack[Identity]) -> Volume:
    """Read an image and a mask of each structure.

    Masks may overlap. They are laid on top of each other in the order given, so that the last one has the voxel; how
    many voxels that concerns is counted in ``overlap_voxels``.

    Args:
        image: NIfTI file.
        masks: NIfTI file of the same grid, zeros and ones, by structure name. Label values count from 1 in this order.
        identity: source, subject, modality, licence and, of a limb, side.

    Raises:
        CaseError: a subclass for each reason why the files cannot be used; it names file, value and remedy.
    """
    if not masks:
        raise MissingLabelsError("The image has no mask.", file=image, remedy="Add its masks, or remove it.")
    grid = open_nifti(image)
    affine = _checked(grid.affine, image)
    names = dict(enumerate(masks, start=1))
    check_fits(grid, 1 if len(masks) < 256 else 2)
    values, overlap = lay_masks(grid, list(masks.values()))
    return _volume(grid.read(), values, names, affine, identity, image, overlap)


def volume_from_arrays(
    image: npt.NDArray,
    labels: npt.NDArray,
    names: Mapping[int, str],
    affine: npt.ArrayLike,
    **identity: Unpack[Identity],
) -> Volume:
    """A volume from arrays in memory, stored in any orientation.

    Args:
        image: [I, J, K] whole numbers or floats.
        labels: whole numbers [I, J, K]; 0 = nothing.
        names: structure name of each label value but 0.
        affine: [4, 4], index -> world in RAS+ mm.
        identity: source, subject, modality, licence and, of a limb, side.

    Raises:
        CaseError: as :func:`read_volume`.
    """
    if labels.shape != image.shape:
        raise ShapeMismatchError(
            "Image and labels have different shapes.",
            value=f"image {image.shape}, labels {labels.shape}",
            remedy="Give labels of the image's grid.",
        )
    whole, off = rounded(labels)
    values = label_values(whole, None)
    _check_known(values_of(values), names, None)
    checked = _checked(np.asarray(affine, np.float64), None)
    check_size(checked, image.shape, None)
    remarks = tuple(_remarks(StorageOrder(), off))
    return _volume(image, values, names, checked, identity, None, remarks=remarks)


def _remarks(order: StorageOrder | PartOfGrid, off: float) -> Iterator[str]:
    """What was corrected in reading labels."""
    if isinstance(order, PartOfGrid):
        yield "The labels cover a part of the image; the rest counts as unlabelled."
    elif not order.same:
        yield "The labels are stored in another order than the image, on the same grid; they were brought to its order."
    if off:
        yield f"The labels were rounded to whole numbers; they were off by up to {off:.2g}."


def _volume(
    image: npt.NDArray,
    labels: npt.NDArray,
    names: Mapping[int, str],
    affine: Affine,
    identity: Identity,
    file: Path | None,
    overlap: int = 0,
    remarks: tuple[str, ...] = (),
) -> Volume:
    if not labels.any():
        raise EmptyLabelsError(
            "No structure is labelled in the volume.",
            file=file,
            remedy="Check the labels; no question can be asked about an unlabelled scan.",
        )
    orientation = io_orientation(affine)
    turned = affine @ inv_ornt_aff(orientation, image.shape)
    # The same scan in float32 (NIfTI) and in decimal digits (DICOM) has the same spacing, and so the same questions.
    steps = np.linalg.norm(turned[:3, :3], axis=0).round(SPACING_DIGITS)
    return Volume(
        source=identity["source"],
        subject=identity["subject"],
        modality=identity["modality"],
        licence=identity["licence"],
        side=identity.get("side"),
        image=apply_orientation(image, orientation),
        labels=apply_orientation(labels, orientation),
        names=dict(names),
        spacing=(float(steps[0]), float(steps[1]), float(steps[2])),
        affine=turned,
        obliquity_deg=_obliquity_deg(affine),
        stored_axes="".join(nibabel.aff2axcodes(affine)),
        overlap_voxels=overlap,
        remarks=remarks,
    )


def numbered_by_name(volume: Volume) -> Volume:
    """The same volume, its structures numbered from 1 by their names: formats number them as they like."""
    numbers = {name: number for number, name in enumerate(sorted(set(volume.names.values())), start=1)}
    if all(volume.names.get(number) == name for name, number in numbers.items()) and len(volume.names) == len(numbers):
        return volume
    lookup = np.zeros(int(volume.labels.max(initial=0)) + 1, np.uint8 if len(numbers) < 256 else np.uint16)
    for value, name in volume.names.items():
        if value < len(lookup):
            lookup[value] = numbers[name]
    names = {number: name for name, number in numbers.items()}
    return replace(volume, labels=lookup[volume.labels], names=names)


# The checks ----------------------------------------------------------------------------------------------------------


def _checked(affine: Affine, file: Path | None) -> Affine:
    """The affine, if it says clearly where right, anterior and superior are."""
    if affine.shape != (4, 4) or not np.isfinite(affine).all():
        raise AffineError("The affine is not finite.", file=file, value=_short(affine), remedy=_CONVERT)
    columns = affine[:3, :3]
    steps = np.linalg.norm(columns, axis=0)
    if not (steps > 0).all() or abs(np.linalg.det(columns / steps)) < 1e-3:
        raise AffineError(
            "The affine is singular: two axes coincide.", file=file, value=_short(affine), remedy=_CONVERT
        )
    directions = columns / steps
    cosines = np.abs(directions.T @ directions - np.eye(3))
    shear = float(np.degrees(np.arcsin(min(1.0, cosines.max()))))
    if shear > MAX_SHEAR_DEG:
        raise AffineError(
            "The axes are not perpendicular.",
            file=file,
            value=f"off by {shear:.1f} degrees",
            remedy=f"A tilted gantry makes such scans. {_RESAMPLE}",
        )
    tilt = _obliquity_deg(affine)
    if tilt > MAX_OBLIQUITY_DEG:
        raise ObliqueError(
            f"The slices are tilted by more than {MAX_OBLIQUITY_DEG:g} degrees.",
            file=file,
            value=f"{tilt:.1f} degrees",
            remedy=_RESAMPLE,
        )
    return affine


_CONVERT = "Convert the scan again from its DICOM files."
_RESAMPLE = (
    "Resample image and labels to the patient's axes with nibabel.processing.resample_to_output(nibabel.load(FILE), "
    "voxel_sizes=SIZES, order=ORDER, cval=OUTSIDE): ORDER 1 and OUTSIDE -1024 (CT) or 0 (MR) for the image, 0 and 0 "
    "for labels."
)


def _obliquity_deg(affine: Affine) -> float:
    """Largest angle between an array axis and the patient axis that it stands for, in degrees."""
    directions = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    stands_for = io_orientation(affine)[:, 0].astype(int)
    cosines = np.abs(directions[stands_for, np.arange(3)])
    return float(np.degrees(np.arccos(np.minimum(cosines.min(), 1.0))))


def _check_known(found: npt.NDArray[np.intp], names: Mapping[int, str], file: Path | None) -> None:
    unknown = [int(value) for value in found if value and int(value) not in names]
    if unknown:
        shown = ", ".join(map(str, unknown[:5])) + (" ..." if len(unknown) > 5 else "")
        raise UnknownLabelError(
            "The label map contains values that its list of labels does not name.",
            file=file,
            value=shown,
            remedy="Add them to the list of labels, or set these voxels to 0.",
        )


def _short(affine: Affine) -> str:
    return np.array2string(np.asarray(affine), precision=3, suppress_small=True, separator=",").replace("\n", "")
