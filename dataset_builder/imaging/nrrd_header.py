"""The header of an NRRD file, read as strictly as ITK reads it carelessly.

ITK's reader writes beyond its memory when it complains of a long text or takes a pattern of file names, fills in a
direction that is missing, and does not look at units. So every field must have its form here before ITK sees the file.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dataset_builder.core.errors import AffineError, UnreadableError
from dataset_builder.imaging.header_fields import (
    COPY_AGAIN,
    LARGEST,
    damaged_header,
    file_beside,
    other_length,
    plain_numbers,
)

_MOST = 1 << 20
_LONGEST_FIELD = 400
"""Its reader survives complaints of 600 bytes, but not of 3000."""
_LONGEST_TEXT = 5000
"""Of the fields that it hands on unread."""
_TEXTS = frozenset({"content", "labels"})
_ALIASES = {
    **{name.replace(" ", ""): name for name in ("data file", "line skip", "byte skip", "block size", "sample units")},
    **{name.replace(" ", ""): name for name in ("old min", "old max", "axis mins", "axis maxs", "space units")},
    **{name.replace(" ", ""): name for name in ("space origin", "space directions", "space dimension")},
    "measurementframe": "measurement frame",
    "centerings": "centers",
}
_BYTES = {
    **dict.fromkeys(("signed char", "int8", "int8_t", "uchar", "unsigned char", "uint8", "uint8_t"), 1),
    **dict.fromkeys(("short", "short int", "signed short", "signed short int", "int16", "int16_t"), 2),
    **dict.fromkeys(("ushort", "unsigned short", "unsigned short int", "uint16", "uint16_t"), 2),
    **dict.fromkeys(
        ("int", "signed int", "int32", "int32_t", "uint", "unsigned int", "uint32", "uint32_t", "float"), 4
    ),
    **dict.fromkeys(("longlong", "long long", "long long int", "signed long long", "signed long long int"), 8),
    **dict.fromkeys(("int64", "int64_t", "ulonglong", "unsigned long long", "unsigned long long int"), 8),
    **dict.fromkeys(("uint64", "uint64_t", "double"), 8),
}
_COMPRESSED = ("gz", "gzip")
_LEGAL = {
    "type": frozenset(_BYTES),
    "encoding": frozenset({"raw", "txt", "text", "ascii", "hex", "bz2", "bzip2", *_COMPRESSED}),
    "endian": frozenset({"little", "big"}),
    "space dimension": frozenset({"1", "2", "3", "4"}),
    "dimension": frozenset({"2", "3", "4"}),
}
_NUMBER = r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?"
_VECTOR = rf"\(\s*{_NUMBER}\s*(,\s*{_NUMBER}\s*)*\)"
_WHOLE = frozenset({"line skip", "byte skip", "block size", "number"})
_SINGLE = frozenset({"min", "max", "old min", "old max"})
_PER_AXIS = frozenset({"spacings", "thicknesses", "axis mins", "axis maxs"})
_WORDS = frozenset({"kinds", "centers"})
_KNOWN = _TEXTS | _WHOLE | _SINGLE | _PER_AXIS | _WORDS | _LEGAL.keys()
_KNOWN |= {"sizes", "space", "space origin", "space directions", "measurement frame", "space units", "units"}
_KNOWN |= {"sample units", "data file"}


@dataclass(frozen=True)
class NrrdHeader:
    """A header that is sound.

    Args:
        fields: as written, by name in small letters.
        voxels: the file with the voxels.
        start: their first byte there, before any that are skipped.
    """

    fields: Mapping[str, str]
    voxels: Path
    start: int

    @property
    def is_compressed(self) -> bool:
        """Whether the voxels are, by gzip."""
        return self.fields["encoding"].lower() in _COMPRESSED

    @property
    def skips(self) -> bool:
        """Whether something stands before the voxels."""
        return bool(self.fields.keys() & {"line skip", "byte skip"})

    @property
    def bytes_stated(self) -> int:
        """How many bytes of voxels the header promises, decompressed."""
        return math.prod(map(int, self.fields["sizes"].split())) * _BYTES[self.fields["type"].lower()]


def read_nrrd_header(path: Path) -> NrrdHeader:
    """Read the header of an NRRD file, in the file or beside the voxels.

    Raises:
        UnreadableError: names the field that is damaged, or if voxels that are not compressed have another length.
        AffineError: if a direction is missing, or lengths are not in millimetres.
    """
    fields, end = _fields(path)
    for name in ("type", "dimension", "sizes", "encoding"):
        if name not in fields:
            raise damaged_header(path, f"{name} is missing", "NRRD")
    axes = int(fields["dimension"]) if fields["dimension"] in _LEGAL["dimension"] else 0
    for name, value in fields.items():
        if not _has_form(name, value, axes):
            raise damaged_header(path, f"{name}: {value[:80]}", "NRRD")
    _check_space(fields, path)
    header = NrrdHeader(fields, *_place(path, fields, end))
    there = header.voxels.stat().st_size - header.start
    if fields["encoding"].lower() == "raw" and not header.skips and there != header.bytes_stated:
        raise other_length(path, there, header.bytes_stated)
    return header


def _fields(path: Path) -> tuple[dict[str, str], int]:
    """The fields by name, and the first byte after the header."""
    with path.open("rb") as file:
        start = file.read(_MOST)
    if not re.match(rb"NRRD\d{4}[ \t]*\r?\n", start):
        raise damaged_header(path, start[:12].decode("latin-1"), "NRRD")
    end = re.search(rb"\r?\n\r?\n", start)
    lines = start[: end.start() if end else len(start)].split(b"\n")[1:]
    fields: dict[str, str] = {}
    for line in (one.removesuffix(b"\r").decode("latin-1") for one in lines):
        if line.startswith("#") or (not line and end is None):
            continue
        name, colon, value = line.partition(": ")
        name = _ALIASES.get(name.lower(), name.lower())
        if line.find(":=") > 0 and (not colon or line.find(":=") < line.find(": ")):
            continue  # a key of the user's, which may say anything
        too_long = len(line) > (_LONGEST_TEXT if name in _TEXTS else _LONGEST_FIELD)
        odd = any(letter < " " and letter != "\t" for letter in line)
        if name not in _KNOWN or name in fields or too_long or odd:
            raise damaged_header(path, line[:60], "NRRD")
        fields[name] = value.strip(" \t")
    if end is None and "data file" not in fields:
        raise damaged_header(path, "it does not end", "NRRD")
    return fields, end.end() if end else len(start)


def _has_form(name: str, value: str, axes: int) -> bool:
    """Whether a value has its field's form."""
    if name in _LEGAL:
        return value.lower() in _LEGAL[name]
    if name == "sizes":
        return re.fullmatch(rf"[1-9]\d{{0,8}}(\s+[1-9]\d{{0,8}}){{{axes - 1}}}", value) is not None if axes else False
    if name in _WHOLE:
        return re.fullmatch(r"-?\d{1,15}", value) is not None
    if name in _SINGLE:
        return len(plain_numbers(value)) == 1
    if name in _PER_AXIS:  # not a number: not known
        words = value.lower().split()
        return len(words) == axes and all(word in ("nan", "-nan") or plain_numbers(word) for word in words)
    if name in _WORDS:
        return len(value.split()) == axes and re.fullmatch(r"[\w?\- \t]+", value, re.ASCII) is not None
    if name in ("space origin", "space directions", "measurement frame"):
        return re.fullmatch(rf"({_VECTOR}|none)(\s*({_VECTOR}|none))*", value) is not None
    if name in ("space units", "units"):
        return re.fullmatch(r'"[^"]*"(\s+"[^"]*")*', value) is not None
    return True


def _check_space(fields: Mapping[str, str], path: Path) -> None:
    """Refuse directions that do not fit the axes, and lengths in other units."""
    if "space directions" in fields:
        vectors = re.findall(r"\([^)]*\)|none", fields["space directions"])
        kinds = fields.get("kinds", "").lower().split()
        counts = {len(vector.split(",")) for vector in vectors if vector != "none"}
        spatial = [kind in ("space", "domain") for kind in kinds]
        missing = [vector == "none" for vector in vectors]
        wrong = len(vectors) != int(fields["dimension"]) or counts != {3} or missing.count(False) != 3
        wrong = wrong or (bool(kinds) and any(gone and place for gone, place in zip(missing, spatial, strict=True)))
        numbers = plain_numbers(re.sub(r"[(),]|none", " ", fields["space directions"]))
        if wrong or not numbers or max(map(abs, numbers)) > LARGEST:
            raise damaged_header(path, f"space directions: {fields['space directions'][:80]}", "NRRD")
    if "space origin" in fields:
        numbers = plain_numbers(re.sub(r"[(),]", " ", fields["space origin"]))
        if len(numbers) != 3 or max(map(abs, numbers)) > LARGEST:
            raise damaged_header(path, f"space origin: {fields['space origin'][:80]}", "NRRD")
    units = {unit.strip().lower() for unit in re.findall(r'"([^"]*)"', fields.get("space units", ""))}
    if units - {"", "mm", "millimeter", "millimetre", "millimeters", "millimetres"}:
        raise AffineError(
            "The NRRD file's lengths are not in millimetres.",
            file=path,
            value=f"space units: {fields['space units'][:60]}",
            remedy="Export the scan again in millimetres.",
        )


def _place(path: Path, fields: Mapping[str, str], end: int) -> tuple[Path, int]:
    """The file with the voxels and where they begin there."""
    named = fields.get("data file", "")
    if not named:
        return path, end
    if "%" in named or named.split()[0].upper() == "LIST":
        raise UnreadableError(
            "The voxels of the NRRD file are in several files.",
            file=path,
            value=f"data file: {named[:40]}",
            remedy="Save the scan as one file, such as .nii.gz or .nrrd.",
        )
    beside = file_beside(path, named)
    if beside is None:
        raise UnreadableError(
            "The file with the voxels of the NRRD file does not exist.",
            file=path,
            value=f"data file: {named[:80]}",
            remedy=COPY_AGAIN,
        )
    return beside, 0
