"""NRRD and MetaImage files that ITK reads as if they were sound, though a header or compressed voxels are damaged.

ITK fills in a missing position, believes whatever number of axes is there, and takes compressed voxels whose checksum
is wrong. Here such files are refused before it reads them.
"""

import re
import zlib
from pathlib import Path

from dataset_builder.core.errors import AffineError, UnreadableError

NRRD = (".nrrd", ".nhdr")
METAIMAGE = (".mha", ".mhd")

COPY_AGAIN = "Copy the file again from its source, or leave the case out."
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
            _check_numbers(name, re.sub(r"[(),]|none", " ", fields[name]), path, "NRRD")
        return
    fields = _metaimage_fields(path)
    if fields.get("NDims") not in ("2", "3", "4"):
        raise _damaged(path, f"NDims {fields.get('NDims', 'is missing')[:20]}")
    for name in _META_NUMBERS & fields.keys():
        _check_numbers(name, fields[name], path, "MetaImage")
    if (
        fields.get("CompressedData", "").upper().startswith("T")
        and not fields.get("CompressedDataSize", "").isdecimal()
    ):
        raise UnreadableError(
            "The header of the MetaImage file is damaged: it does not say how long the compressed voxels are.",
            file=path,
            value="CompressedDataSize is missing",
            remedy=COPY_AGAIN,
        )


_NRRD_NUMBERS = frozenset({"space directions", "space origin", "spacings", "thicknesses", "axis mins", "axis maxs"})
_META_NUMBERS = frozenset(
    {
        *("TransformMatrix", "Rotation", "Orientation", "Offset", "Position", "Origin"),
        *("ElementSpacing", "ElementSize", "CenterOfRotation"),
    }
)
_LARGEST = 1e6
"""No place in a patient is farther away in mm."""


def _check_numbers(name: str, text: str, path: Path, format_name: str) -> None:
    try:
        numbers = [float(number) for number in text.split()]
    except ValueError:
        numbers = []
    if not numbers or not all(abs(number) <= _LARGEST for number in numbers):  # NaN neither
        raise _damaged(path, f"{name}: {text.strip()[:80]}", format_name)


def _metaimage_fields(path: Path) -> dict[str, str]:
    """The lines of a MetaImage header up to the one that says where the voxels are."""
    with path.open("rb") as file:
        lines = file.read(1 << 16).split(b"\n")
    fields: dict[str, str] = {}
    for line in lines:
        if not line.strip():
            continue
        found = re.fullmatch(rb"[ \t]*([A-Za-z]\w*)[ \t]*=[ \t]*(.*?)[ \t\r]*", line)
        name = found[1].decode("ascii") if found else ""
        if found is None or name in fields or len(line) > _LONGEST_LINE:
            said = line[:40].decode("latin-1")
            raise _damaged(path, "".join(letter if letter.isprintable() else "?" for letter in said))
        fields[name] = found[2].decode("latin-1")
        if name == "ElementDataFile" and fields[name]:
            return fields
    raise _damaged(path, "ElementDataFile is missing")


_LONGEST_LINE = 2000


def _damaged(path: Path, value: str, format_name: str = "MetaImage") -> UnreadableError:
    return UnreadableError(
        f"The header of the {format_name} file is damaged.", file=path, value=value, remedy=COPY_AGAIN
    )


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
    with path.open("rb") as file:
        keys = set(re.findall(rb"^\s*(\w+)\s*=", file.read(4096), re.MULTILINE))
    if not keys & {b"ElementSpacing", b"ElementSize"}:
        raise AffineError(
            "The file does not define the size of its voxels: it has no ElementSpacing.",
            file=path,
            remedy=EXPORT_AGAIN,
        )
    if not keys & {b"TransformMatrix", b"Rotation", b"Orientation"} or not keys & {b"Offset", b"Position", b"Origin"}:
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
    place, start, length = found
    stream, left, problem = zlib.decompressobj(_ANY_FORMAT), length, ""
    with place.open("rb") as file:
        file.seek(start)
        try:
            while left > 0 and not stream.eof and (piece := file.read(min(_PIECE, left))):
                left -= len(piece)
                while piece and not stream.eof:
                    stream.decompress(piece, _MOST_AT_ONCE)
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


def _compressed(path: Path) -> tuple[Path, int, int] | None:
    """File, first byte and length of the voxels if they are compressed and in one piece."""
    size = path.stat().st_size
    if path.suffix.lower() in NRRD:
        fields, start = _nrrd_header(path)
        beside = fields.get("data file", fields.get("datafile", ""))
        if fields.get("encoding", "").lower() not in ("gz", "gzip") or "line skip" in fields or "lineskip" in fields:
            return None
        if not beside:
            return path, start, size
    else:
        with path.open("rb") as file:
            header = file.read(1 << 16)
        last = re.search(rb"^[ \t]*ElementDataFile[ \t]*=[ \t]*(.*?)[ \t]*\r?\n", header, re.MULTILINE)
        compressed = re.search(rb"^[ \t]*CompressedData[ \t]*=[ \t]*T", header, re.MULTILINE | re.IGNORECASE)
        stated = re.search(rb"^[ \t]*CompressedDataSize[ \t]*=[ \t]*(\d+)", header, re.MULTILINE)
        if last is None or compressed is None or stated is None or compressed.start() > last.start():
            return None
        beside = last[1].decode("utf-8", "surrogateescape")
        if beside.lower() == "local":
            return path, last.end(), int(stated[1])
    if not beside or "%" in beside or beside.split()[0].upper() == "LIST":
        return None
    place = path.parent / beside
    return place, 0, place.stat().st_size if place.is_file() else 0


def _nrrd_header(path: Path) -> tuple[dict[str, str], int]:
    """The fields of an NRRD header, names in small letters, and where its voxels begin."""
    with path.open("rb") as file:
        header = file.read(_MOST_HEADER)
    end = re.search(rb"\r?\n\r?\n", header)
    lines = header[: end.start() if end else len(header)].decode("latin-1").splitlines()
    fields = [line.partition(":") for line in lines if not line.startswith("#")]
    named = {name.strip().lower(): value.strip() for name, colon, value in fields if colon and value[:1] != "="}
    return named, end.end() if end else len(header)
