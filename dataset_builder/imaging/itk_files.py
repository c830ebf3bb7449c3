"""NRRD and MetaImage files that ITK reads as if they were sound, though a header or compressed voxels are damaged.

ITK fills in a missing position, believes whatever number of axes is there, and takes compressed voxels whose checksum
is wrong. Here such files are refused before it reads them.
"""

import math
import re
import zlib
from pathlib import Path

from dataset_builder.core.errors import AffineError, UnreadableError
from dataset_builder.imaging.metaimage_header import COPY_AGAIN, LARGEST, damaged_header, read_metaimage_header

NRRD = (".nrrd", ".nhdr")
METAIMAGE = (".mha", ".mhd")

EXPORT_AGAIN = "Export the scan again from the program that made it, with its position in the patient; never guess."

_MOST_HEADER = 1 << 20
_PIECE = 1 << 20
_MOST_AT_ONCE = 16 << 20
_ANY_FORMAT = 47
"""Tells zlib to expect its own format or that of gzip."""


def check_header(path: Path) -> None:
    """Refuse headers that end ITK's process, keep it busy for ever, or of which it makes what they do not say.

    It believes whatever number of axes is there, writes beyond its memory after a line that is cut, computes with
    numbers that are not finite, and without the size of compressed voxels reads other values.

    Raises:
        UnreadableError: names what is damaged.
    """
    if path.suffix.lower() in NRRD:
        fields, _ = _nrrd_header(path)
        for name in _NRRD_NUMBERS & fields.keys():
            _check_numbers(name, re.sub(r"[(),]|none", " ", fields[name]), path)
        return
    read_metaimage_header(path)


_NRRD_NUMBERS = frozenset({"space directions", "space origin", "spacings", "thicknesses", "axis mins", "axis maxs"})


def _check_numbers(name: str, text: str, path: Path) -> None:
    try:
        numbers = [float(number) for number in text.split()]
    except ValueError:
        numbers = []
    if not numbers or not all(abs(number) <= LARGEST for number in numbers):  # NaN neither
        raise damaged_header(path, f"{name}: {text.strip()[:80]}", "NRRD")


def check_position(path: Path, space: str) -> None:
    """Refuse a header without the position in the patient or the size of its voxels, which ITK would fill in.

    Args:
        path: of the file.
        space: as an NRRD file gives it.

    Raises:
        AffineError: names what is missing.
    """
    if path.suffix.lower() in NRRD:
        if not re.fullmatch(r"(right|left)-(anterior|posterior)-(superior|inferior)", space):
            raise AffineError(
                "The file does not define where the patient's left is: its space is not that of a patient.",
                file=path,
                value=f"space: {space or 'none'}",
                remedy=EXPORT_AGAIN,
            )
        fields, _ = _nrrd_header(path)
        for field in ("space directions", "space origin"):
            if field not in fields:
                raise AffineError(
                    f"The file does not define how it lies in the patient: it has no {field}.",
                    file=path,
                    remedy=EXPORT_AGAIN,
                )
        return
    header = read_metaimage_header(path)
    if not header.has_steps:
        raise AffineError(
            "The file does not define the size of its voxels: it has no ElementSpacing.",
            file=path,
            remedy=EXPORT_AGAIN,
        )
    if not header.has_position:
        raise AffineError(
            "The file does not define where the patient's left is: it has no TransformMatrix or no Offset.",
            file=path,
            remedy=EXPORT_AGAIN,
        )


def check_compressed_voxels(path: Path) -> None:
    """Refuse compressed voxels that are damaged: ITK takes whatever it could decompress of them.

    Raises:
        UnreadableError: if they are.
    """
    found = _compressed(path)
    if found is None or not found[0].is_file():  # ITK says so
        return
    place, start, length, stated = found
    stream, left, problem, made = zlib.decompressobj(_ANY_FORMAT), length, "", 0
    with place.open("rb") as file:
        file.seek(start)
        try:
            while left > 0 and not stream.eof and (piece := file.read(min(_PIECE, left))):
                left -= len(piece)
                while piece and not stream.eof:
                    made += len(stream.decompress(piece, _MOST_AT_ONCE))
                    piece = stream.unconsumed_tail
        except zlib.error as error:
            problem = str(error)
    if problem or not stream.eof:
        raise UnreadableError(
            "The compressed voxels of the file are damaged.",
            file=path,
            value=problem or "they end too early",
            remedy=COPY_AGAIN,
        )
    if stated is not None and made != stated:
        raise UnreadableError(
            "The file has more or fewer voxels than its header says.",
            file=path,
            value=f"{made} bytes in place of {stated}",
            remedy=COPY_AGAIN,
        )


def _compressed(path: Path) -> tuple[Path, int, int, int | None] | None:
    """Compressed voxels in one piece: file, first byte, length, and their length by the header where it is known."""
    if path.suffix.lower() in METAIMAGE:
        header = read_metaimage_header(path)
        if not header.is_compressed:
            return None
        return header.voxels, header.start, int(header.fields["CompressedDataSize"]), header.bytes_stated
    fields, start = _nrrd_header(path)
    beside = fields.get("data file", fields.get("datafile", ""))
    if fields.get("encoding", "").lower() not in ("gz", "gzip") or "line skip" in fields or "lineskip" in fields:
        return None
    sizes, bytes_each = fields.get("sizes", "").split(), _NRRD_BYTES.get(fields.get("type", "").lower())
    known = bytes_each is not None and sizes and all(size.isdecimal() and len(size) < 10 for size in sizes)
    stated = math.prod(map(int, sizes)) * bytes_each if known and bytes_each and "byte skip" not in fields else None
    if not beside:
        return path, start, path.stat().st_size, stated
    if not beside or "%" in beside or beside.split()[0].upper() == "LIST":
        return None
    place = path.parent / beside
    return place, 0, place.stat().st_size if place.is_file() else 0, stated


_NRRD_BYTES = {
    **dict.fromkeys(("signed char", "int8", "int8_t", "uchar", "unsigned char", "uint8", "uint8_t"), 1),
    **dict.fromkeys(("short", "short int", "signed short", "signed short int", "int16", "int16_t"), 2),
    **dict.fromkeys(("ushort", "unsigned short", "unsigned short int", "uint16", "uint16_t"), 2),
    **dict.fromkeys(
        ("int", "signed int", "int32", "int32_t", "uint", "unsigned int", "uint32", "uint32_t", "float"), 4
    ),
    **dict.fromkeys(("longlong", "long long", "int64", "int64_t", "ulonglong", "uint64", "uint64_t", "double"), 8),
}


def _nrrd_header(path: Path) -> tuple[dict[str, str], int]:
    """The fields of an NRRD header, names in small letters, and where its voxels begin."""
    with path.open("rb") as file:
        header = file.read(_MOST_HEADER)
    end = re.search(rb"\r?\n\r?\n", header)
    lines = header[: end.start() if end else len(header)].decode("latin-1").splitlines()
    fields = [line.partition(":") for line in lines if not line.startswith("#")]
    named = {name.strip().lower(): value.strip() for name, colon, value in fields if colon and value[:1] != "="}
    return named, end.end() if end else len(header)
