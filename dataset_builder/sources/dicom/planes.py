"""Planes: what a DICOM image says of each of its slices, whether it holds one of them or hundreds.

A *plane* is one slice in the patient's space. Positions and directions are DICOM's: in mm, x to the patient's Left, y
to Posterior, z to Superior (LPS). Only Image Position (Patient), Image Orientation (Patient) and Pixel Spacing count;
file names, instance numbers and slice locations do not.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from sys import intern
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from dataset_builder.core.errors import AffineError, CaseError, DimensionError

Vector: TypeAlias = tuple[float, float, float]

CONVERT_AGAIN = "Export the series again from its archive."

TELLING_APART = (
    "EchoTime",
    "EchoNumbers",
    "ImageType",
    "TemporalPositionIdentifier",
    "DiffusionBValue",
    "DiffusionGradientOrientation",
    "InversionTime",
    "FlipAngle",
    "AcquisitionNumber",
    "TriggerTime",
    "ConvolutionKernel",
    "SeriesDescription",
    "AcquisitionTime",
    "ContentTime",
)
"""Attributes that tell volumes of one series apart, the surest first; names are those of single-frame images."""

_IN_FRAMES = {
    "EchoTime": (("MREchoSequence", "EffectiveEchoTime"),),
    "ImageType": (("MRImageFrameTypeSequence", "FrameType"), ("CTImageFrameTypeSequence", "FrameType")),
    "TemporalPositionIdentifier": (("FrameContentSequence", "TemporalPositionIndex"),),
    "DiffusionBValue": (("MRDiffusionSequence", "DiffusionBValue"),),
    "InversionTime": (("MRModifierSequence", "InversionTimes"),),
    "AcquisitionNumber": (("FrameContentSequence", "FrameAcquisitionNumber"),),
    "TriggerTime": (("CardiacSynchronizationSequence", "NominalCardiacTriggerDelayTime"),),
    "AcquisitionTime": (("FrameContentSequence", "FrameAcquisitionDateTime"),),
}
"""Where multi-frame images keep the same."""


@dataclass(frozen=True, slots=True)
class Plane:
    """One slice of a series.

    Args:
        file: number of its file, in whatever list the caller keeps.
        frame: its number in that file, from 0.
        uid: SOP Instance UID of the file; may be empty.
        position: of the centre of the first voxel, in mm (LPS).
        along_row: unit vector, from a voxel to the next one in its row.
        along_column: unit vector, from a voxel to the one below it.
        spacing: distance of voxels in a column, and in a row, in mm (DICOM's order: rows, columns).
        shape: (rows, columns).
        slope, intercept: a value is ``slope * stored + intercept``.
        frame_of_reference: its UID; may be empty.
        tags: values of :data:`TELLING_APART`.
    """

    file: int
    frame: int
    uid: str
    position: Vector
    along_row: Vector
    along_column: Vector
    spacing: tuple[float, float]
    shape: tuple[int, int]
    slope: float
    intercept: float
    frame_of_reference: str = ""
    tags: tuple[str, ...] = ()


def planes_of(image: Any, file: int = 0, tags: bool = True) -> Iterator[Plane]:
    """The planes of an image, single-frame or multi-frame.

    Args:
        image: a pydicom data set; its pixels are not needed.
        file: number of the file.
        tags: whether to note what may tell volumes of the series apart.

    Raises:
        CaseError: if the image does not say where its slices lie.
    """
    shape = int(image.get("Rows") or 0), int(image.get("Columns") or 0)
    if min(shape) < 1:
        raise DimensionError("An image of the series has no rows or columns.", value=shape, remedy=CONVERT_AGAIN)
    uids = str(image.get("SOPInstanceUID") or ""), intern(str(image.get("FrameOfReferenceUID") or ""))
    if "PerFrameFunctionalGroupsSequence" not in image:
        if int(image.get("NumberOfFrames") or 1) > 1:
            raise AffineError(
                "The image has several frames without a position for each.",
                value=f"{image.NumberOfFrames} frames",
                remedy="Convert it to an enhanced multi-frame image, or export the slices one by one.",
            )
        said = dict.fromkeys(("position", "orientation", "measures", "values"), image)
        yield _plane(said, shape, file, 0, uids, _tags(image) if tags else ())
        return
    shared = _first(image.get("SharedFunctionalGroupsSequence"))
    for number, frame in enumerate(image.PerFrameFunctionalGroupsSequence):
        groups = _Groups(frame, shared)
        said = {
            "position": groups.first("PlanePositionSequence"),
            "orientation": groups.first("PlaneOrientationSequence"),
            "measures": groups.first("PixelMeasuresSequence"),
            "values": groups.first("PixelValueTransformationSequence"),
        }
        yield _plane(said, shape, file, number, uids, _frame_tags(groups) if tags else ())


@dataclass(frozen=True)
class _Groups:
    """The functional groups of a frame: its own, else those that all frames share."""

    frame: Any
    shared: Any

    def first(self, name: str) -> Any:
        return _first(self.frame.get(name)) or (None if self.shared is None else _first(self.shared.get(name)))


def _first(sequence: Any) -> Any:
    return sequence[0] if sequence else None


def _plane(
    said: dict[str, Any], shape: tuple[int, int], file: int, frame: int, uids: tuple[str, str], tags: tuple[str, ...]
) -> Plane:
    def numbers(where: str, name: str, count: int) -> tuple[float, ...]:
        value = said[where].get(name) if said[where] is not None else None
        try:
            found = tuple(float(number) for number in value) if value is not None else ()
        except (TypeError, ValueError):
            found = ()
        if len(found) != count or not np.isfinite(found).all():
            raise AffineError(
                f"A slice of the series lacks its {_WORDS[name]}.",
                value=f"{len(found)} numbers of {count}" if value is not None else "nothing",
                remedy=f"Without it, the position of the slice is unknown. {CONVERT_AGAIN}",
            )
        return found

    position = numbers("position", "ImagePositionPatient", 3)
    cosines = numbers("orientation", "ImageOrientationPatient", 6)
    spacing = numbers("measures", "PixelSpacing", 2)
    if min(spacing) <= 0:
        raise AffineError("The pixel spacing of a slice is not positive.", value=spacing, remedy=CONVERT_AGAIN)
    along_row, along_column = _unit(cosines[:3]), _unit(cosines[3:])
    if abs(float(np.dot(along_row, along_column))) > 1e-2:
        raise AffineError("The rows and columns of a slice are not perpendicular.", value=cosines, remedy=CONVERT_AGAIN)
    values = said["values"]
    slope, intercept = (
        _number(values, name, default) for name, default in (("RescaleSlope", 1.0), ("RescaleIntercept", 0.0))
    )
    return Plane(
        file,
        frame,
        uids[0],
        (position[0], position[1], position[2]),
        along_row,
        along_column,
        (spacing[0], spacing[1]),
        shape,
        slope,
        intercept,
        uids[1],
        tags,
    )


_WORDS = {
    "ImagePositionPatient": "position (Image Position (Patient))",
    "ImageOrientationPatient": "orientation (Image Orientation (Patient))",
    "PixelSpacing": "pixel spacing",
}


def _unit(vector: Sequence[float]) -> Vector:
    length = float(np.linalg.norm(vector))
    if not abs(length - 1) < 1e-2:
        raise AffineError("A direction of a slice is not a unit vector.", value=tuple(vector), remedy=CONVERT_AGAIN)
    return vector[0] / length, vector[1] / length, vector[2] / length


def _number(values: Any, name: str, default: float) -> float:
    value = values.get(name) if values is not None else None
    try:
        number = default if value is None or value == "" else float(value)
    except (TypeError, ValueError):
        number = float("nan")
    if not np.isfinite(number):
        raise CaseError("The rescale slope or intercept of a slice is not a number.", remedy=CONVERT_AGAIN)
    return number


def _tags(image: Any) -> tuple[str, ...]:
    # As stored: to be told apart, values need not be understood, and that takes most of the time of a header.
    found = (image.get_item(name) for name in TELLING_APART)
    return tuple("" if one is None else str(one.value) for one in found)


def _frame_tags(groups: _Groups) -> tuple[str, ...]:
    found = []
    for name in TELLING_APART:
        places = (groups.first(sequence) for sequence, _ in _IN_FRAMES.get(name, ()))
        keywords = (keyword for _, keyword in _IN_FRAMES.get(name, ()))
        values = (
            str(place.get(keyword) or "") for place, keyword in zip(places, keywords, strict=True) if place is not None
        )
        found.append(next(filter(None, values), ""))
    return tuple(found)


def normal(plane: Plane) -> npt.NDArray[np.float64]:
    """Unit vector at right angles to the plane: along its row x along its column."""
    vector = np.cross(plane.along_row, plane.along_column)
    return vector / np.linalg.norm(vector)
