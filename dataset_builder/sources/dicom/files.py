"""Opening DICOM files: the header alone, with only the attributes that are needed, or with the pixels.

Files are recognised by what they contain, never by their names. A file without the preamble that
the standard requires is read, too, if it begins as a DICOM data set does.
"""

import io
import os
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from dataset_builder.core.errors import SourceError
from dataset_builder.sources.dicom.identifiers import IDENTIFYING
from dataset_builder.sources.dicom.planes import TELLING_APART

INSTALL = "pip install 'mis-ground[dicom]'"

GEOMETRY = (
    "Rows",
    "Columns",
    "NumberOfFrames",
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "PixelSpacing",
    "RescaleSlope",
    "RescaleIntercept",
    "SharedFunctionalGroupsSequence",
    "PerFrameFunctionalGroupsSequence",
)
IDENTITY = (
    "SOPClassUID",
    "SOPInstanceUID",
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "FrameOfReferenceUID",
    "Modality",
    "PatientID",
    "IssuerOfPatientID",
    "PatientName",
    "PatientBirthDate",
)
REFERENCES = (
    "ReferencedSeriesSequence",
    "ReferencedFrameOfReferenceSequence",
    "StructureSetROISequence",
)
LATERALITY = ("BodyPartExamined", "Laterality", "ImageLaterality")
PIXELS = (
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "PlanarConfiguration",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
    "PixelPaddingValue",
    "PixelPaddingRangeLimit",
    "ModalityLUTSequence",
    "BurnedInAnnotation",
    "ExtendedOffsetTable",
    "ExtendedOffsetTableLengths",
    "PixelData",
)

LISTED = (*IDENTITY, *GEOMETRY, *TELLING_APART, *REFERENCES, *LATERALITY)
"""What listing the cases of a folder needs."""
READ = ("SOPInstanceUID", "FrameOfReferenceUID", *GEOMETRY, *PIXELS)
"""What reading an image needs."""
READ_FIRST = (*IDENTIFYING, *READ)
"""What reading the first image of a series needs: it says who the patient is."""

_PREAMBLE = 128
_BEGINNINGS = (b"\x02\x00", b"\x08\x00")
"""Groups 2 and 8, with which a data set without a preamble begins."""


def check_installed() -> None:
    """Refuse to begin without pydicom.

    Raises:
        SourceError: with the command that installs it.
    """
    try:
        import pydicom  # noqa: F401
    except ImportError as error:
        raise SourceError(
            "Reading DICOM needs the package pydicom, which is not installed.", remedy=f"{INSTALL}."
        ) from error


def is_dicom(path: Path) -> bool:
    """Whether the file begins as a DICOM file does.

    Raises:
        OSError: if it cannot be read.
    """
    with path.open("rb") as file:
        start = file.read(_PREAMBLE + 4)
    # Without a preamble: a tag of these groups, then a type of value in two letters, or a length that is small.
    plain = start[:2] in _BEGINNINGS and start[3:4] in (b"\x00", b"\x01", b"\x20") and len(start) > 12
    return start[_PREAMBLE:] == b"DICM" or (plain and (start[4:6].isalpha() or start[6:8] == b"\x00\x00"))


@cache
def _tags(keywords: tuple[str, ...]) -> list[Any]:
    from pydicom.tag import Tag

    return [Tag(keyword) for keyword in keywords]


class _Bounded(io.BufferedReader):
    """A file of which no more is asked for than it has: memory is set aside for whatever a header promises."""

    def __init__(self, path: Path) -> None:
        super().__init__(path.open("rb", buffering=0))
        self._size = os.fstat(self.fileno()).st_size

    def read(self, size: int | None = -1, /) -> bytes:
        """As every file's."""
        if size is not None and size > _MUCH:
            size = min(size, max(0, self._size - self.tell()))
        return super().read(size)


_MUCH = 1 << 16


def open_dicom(path: Path, keywords: Sequence[str] | None = None, pixels: bool = True) -> Any:
    """The data set of a file.

    Args:
        path: of the file.
        keywords: the attributes to read; all if not given.
        pixels: whether to read on to the pixels, which stand last.

    Raises:
        OSError: if the file cannot be read.
        Exception: whatever pydicom raises of a damaged file.
    """
    import pydicom
    from pydicom import config

    config.settings.reading_validation_mode = config.IGNORE
    with _Bounded(path) as file:
        dataset = pydicom.dcmread(
            file,
            force=True,
            stop_before_pixels=not pixels,
            specific_tags=None if keywords is None else _tags(tuple(keywords)),
        )
    # Contours are all looked at anyway; the thousand frames of a segmentation would take half of the time to read it.
    _check_lengths(dataset, within_sequences=sop_class(dataset).endswith("481.3"))
    return dataset


_UNDEFINED = 0xFFFFFFFF
_ITEM = (b"\xfe\xff\x00\xe0", b"\xff\xfe\xe0\x00")
"""With which the items of a sequence begin, in either order of bytes."""
_PIXEL_DATA = 0x7FE00010
"""Compressed frames are items, too."""


def _check_lengths(dataset: Any, within_sequences: bool) -> None:
    """Refuse elements that promise more bytes than follow: pydicom takes what is there.

    Raises:
        EOFError: if there is one.
    """
    from pydicom.dataelem import RawDataElement

    for tag in list(dataset.keys()):
        element = dataset.get_item(tag)
        if isinstance(element, RawDataElement):
            value = element.value or b""
            # A last byte that only makes the length even is sometimes left out.
            if element.length != _UNDEFINED and len(value) + 1 < element.length:
                raise EOFError(f"an element promises {element.length} bytes, of which {len(value)} are there")
            if not within_sequences or value[:4] not in _ITEM or tag == _PIXEL_DATA or tag.is_private:
                continue
            element = dataset[tag]
        if within_sequences and element.VR == "SQ" and not tag.is_private:
            for item in element.value or ():
                _check_lengths(item, within_sequences)


def sop_class(dataset: Any) -> str:
    """SOP Class UID of the file, from the data set or from the header before it; empty if neither says."""
    meta = getattr(dataset, "file_meta", None) or {}
    return str(dataset.get("SOPClassUID") or meta.get("MediaStorageSOPClassUID") or "")
