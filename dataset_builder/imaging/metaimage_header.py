"""The header of a MetaImage file, read as strictly as ITK reads it carelessly.

ITK writes beyond its memory where a text is long or names a pattern of files, takes numbers from the next line where
some are missing, and believes the last of several positions. So every field that decides something must have its form
here, and what says a thing twice must say the same, before ITK sees the file.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dataset_builder.core.errors import UnreadableError
from dataset_builder.imaging.header_fields import (
    COPY_AGAIN,
    LARGEST,
    damaged_header,
    file_beside,
    other_length,
    plain_numbers,
)

_MOST = 1 << 20
_LONGEST_TEXT = 250
"""Of the fields below that are text; ITK copies them to a place of 255 bytes."""
_LONGEST_LINE = 30_000
"""Of all other fields, which ITK hands on as they are."""

_TEXTS = frozenset({"ObjectType", "ObjectSubType", "Comment", "Name", "AcquisitionDate", "DistanceUnits", "Modality"})
_TEXTS |= {"AnatomicalOrientation", "ElementType", "ElementDataFile"}
_FLAGS = frozenset({"BinaryData", "CompressedData", "BinaryDataByteOrderMSB", "ElementByteOrderMSB"})
_WHOLE = frozenset({"FileFormatVersion", "NDims", "ID", "ParentID", "CompressedDataSize", "HeaderSize", "ElementNBits"})
_WHOLE |= {"ElementNumberOfChannels"}
_SINGLE = frozenset({"ElementMin", "ElementMax", "ElementToIntensityFunctionSlope", "ElementToIntensityFunctionOffset"})
_POSITIONS = ("Offset", "Position", "Origin", "ImagePosition", "ElementOrigin")
_DIRECTIONS = ("TransformMatrix", "Rotation", "Orientation", "ElementDirection")
_STEPS = ("ElementSpacing", "ElementSize")
_PER_AXIS = frozenset({*_POSITIONS, *_STEPS, "CenterOfRotation", "DimSize", "SequenceID"})
_BYTES = {
    **dict.fromkeys(("MET_CHAR", "MET_UCHAR"), 1),
    **dict.fromkeys(("MET_SHORT", "MET_USHORT"), 2),
    **dict.fromkeys(("MET_INT", "MET_UINT", "MET_LONG", "MET_ULONG", "MET_FLOAT"), 4),
    **dict.fromkeys(("MET_LONG_LONG", "MET_ULONG_LONG", "MET_DOUBLE"), 8),
}
_KNOWN = _TEXTS | _FLAGS | _WHOLE | _SINGLE | _PER_AXIS | {*_DIRECTIONS, "Color"}
_BLANKS = " \t\r\n\v\f"


@dataclass(frozen=True)
class MetaImageHeader:
    """A header that is sound.

    Args:
        fields: as written, by name.
        voxels: the file with the voxels.
        start: their first byte there.
        bytes_stated: how many bytes of voxels the header promises, decompressed.
    """

    fields: Mapping[str, str]
    voxels: Path
    start: int
    bytes_stated: int

    @property
    def is_compressed(self) -> bool:
        """Whether the voxels are."""
        return _is_true(self.fields.get("CompressedData", "False"))

    @property
    def is_binary(self) -> bool:
        """Whether the voxels are no text."""
        return _is_true(self.fields.get("BinaryData", "True"))

    @property
    def has_position(self) -> bool:
        """Whether it says where the voxels lie and which way."""
        return bool(self.fields.keys() & {*_POSITIONS}) and bool(self.fields.keys() & {*_DIRECTIONS})

    @property
    def has_steps(self) -> bool:
        """Whether it says how large a voxel is."""
        return bool(self.fields.keys() & {*_STEPS})


def read_metaimage_header(path: Path) -> MetaImageHeader:
    """Read the header of a MetaImage file, in the file or beside the voxels.

    Raises:
        UnreadableError: names the field that is damaged or contradicts another.
    """
    fields, end = _fields(path)
    if fields.get("NDims") not in ("2", "3", "4"):
        raise damaged_header(path, f"NDims {fields.get('NDims', 'is missing')[:20]}")
    for name in ("DimSize", "ElementType"):
        if name not in fields:
            raise damaged_header(path, f"{name} is missing")
    axes = int(fields["NDims"])
    for name in fields.keys() & _KNOWN:
        _check_field(name, fields[name], axes, path)
    for group in (_POSITIONS, _DIRECTIONS):
        said = {name: plain_numbers(fields[name]) for name in group if name in fields}
        if len({tuple(numbers) for numbers in said.values()}) > 1:
            raise damaged_header(path, ", ".join(f"{name}: {fields[name][:40]}" for name in said))
    flags = {_is_true(fields[name]) for name in ("BinaryDataByteOrderMSB", "ElementByteOrderMSB") if name in fields}
    if len(flags) > 1:
        raise damaged_header(path, "two fields say different orders of bytes")
    header = MetaImageHeader(fields, *_place(path, fields, end), _bytes_stated(fields))
    if header.is_compressed and "CompressedDataSize" not in fields:
        raise UnreadableError(
            "The header of the MetaImage file is damaged: it does not say how long the compressed voxels are.",
            file=path,
            value="CompressedDataSize is missing",
            remedy=COPY_AGAIN,
        )
    _check_lengths(header, path)
    return header


def _fields(path: Path) -> tuple[dict[str, str], int]:
    """The fields up to the one that says where the voxels are, and the first byte after it."""
    with path.open("rb") as file:
        start = file.read(_MOST)
    fields: dict[str, str] = {}
    at, waiting = 0, ""
    while at < len(start):
        end = start.find(b"\n", at) + 1 or len(start)
        line, at = start[at:end].strip(_BLANKS.encode()), end
        if not line:
            continue
        name, equals, value = (part.strip(_BLANKS) for part in line.decode("latin-1").partition("="))
        if waiting and name not in _KNOWN:
            fields[waiting], waiting = line.decode("latin-1"), ""  # as ITK: an empty text has the next line
            continue
        known = name in _KNOWN
        if (
            not equals
            or not _is_text(name)
            or ":" in name
            or name in fields
            or len(name) > _LONGEST_TEXT
            or len(line) > _LONGEST_LINE
            or waiting
            or (known and not value)
        ):
            raise damaged_header(path, line[:40].decode("latin-1"))
        if value:
            fields[name] = value
        else:
            waiting = name
        if name == "ElementDataFile":
            return fields, at
    raise damaged_header(path, "ElementDataFile is missing")


def _check_field(name: str, value: str, axes: int, path: Path) -> None:
    """Refuse a value that has not its field's form."""
    numbers = plain_numbers(value)
    if name in _TEXTS:
        sound = len(value) <= _LONGEST_TEXT and _is_text(value)
    elif name in _FLAGS:
        sound = value.lower() in ("true", "false", "t", "f", "1", "0")
    elif name in _WHOLE or name in ("DimSize", "SequenceID"):
        count = axes if name in _PER_AXIS else 1
        sound = re.fullmatch(rf"[-+]?\d{{1,15}}(\s+[-+]?\d{{1,15}}){{{count - 1}}}", value) is not None
    elif name in _SINGLE:
        sound = len(numbers) == 1
    else:
        count = axes**2 if name in _DIRECTIONS else axes if name in _PER_AXIS else 4
        sound = len(numbers) == count and all(abs(number) <= LARGEST for number in numbers)
    if name in (*_STEPS, "DimSize", "ElementNumberOfChannels"):
        sound = sound and all(number > 0 for number in numbers)  # by a negative step an image would be mirrored
    legal = {"ObjectType": ("Image",), "ElementType": _BYTES, "FileFormatVersion": ("0",)}.get(name)
    if not sound or (legal is not None and value not in legal):
        raise damaged_header(path, f"{name}: {value[:80]}")
    stated = {"ElementToIntensityFunctionSlope": 1.0, "ElementToIntensityFunctionOffset": 0.0}.get(name)
    if stated is not None and numbers != [stated]:
        raise UnreadableError(
            "The MetaImage file's voxels are to be scaled, which its readers do not do.",
            file=path,
            value=f"{name}: {value[:40]}",
            remedy="Export the scan again with the values themselves.",
        )


def _is_text(value: str) -> bool:
    """Whether it has no control characters; what is not ASCII may be UTF-8."""
    return all(letter >= " " and letter != "\x7f" for letter in value)


def _is_true(flag: str) -> bool:
    return flag[:1] in ("T", "t", "1")


def _place(path: Path, fields: Mapping[str, str], end: int) -> tuple[Path, int]:
    """The file with the voxels and where they begin there."""
    named, skipped = fields["ElementDataFile"], int(fields.get("HeaderSize", "0"))
    if named.lower() == "local":
        if skipped > 0:
            raise damaged_header(path, f"HeaderSize: {skipped}, with the voxels in the same file")
        return path, end
    if "%" in named or named.split()[0].upper().startswith("LIST"):
        raise UnreadableError(
            "The voxels of the MetaImage file are in several files.",
            file=path,
            value=f"ElementDataFile: {named[:40]}",
            remedy="Save the scan as one file, such as .nii.gz or .mha.",
        )
    beside = file_beside(path, named)
    if beside is None:
        raise damaged_header(path, f"ElementDataFile: there is no file {named[:80]}")
    return beside, max(0, skipped)


def _bytes_stated(fields: Mapping[str, str]) -> int:
    sizes = [int(size) for size in fields["DimSize"].split()]
    return math.prod(sizes) * int(fields.get("ElementNumberOfChannels", "1")) * _BYTES[fields["ElementType"]]


def _check_lengths(header: MetaImageHeader, path: Path) -> None:
    """Refuse a file that has more or fewer bytes of voxels than its header says."""
    there = header.voxels.stat().st_size - header.start
    if header.is_compressed:
        stated, there = int(header.fields["CompressedDataSize"]), max(there, 0)
        if not 0 < stated <= there:
            raise damaged_header(path, f"CompressedDataSize: {stated}, of {there} bytes")
    elif header.is_binary and int(header.fields.get("HeaderSize", "0")) >= 0 and there != header.bytes_stated:
        raise other_length(path, there, header.bytes_stated)
