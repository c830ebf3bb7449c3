"""NRRD and MetaImage files that ITK reads as if they were sound, though a header or compressed voxels are damaged.

ITK fills in a missing position, believes whatever number of axes is there, and takes compressed voxels whose checksum
is wrong. Here such files are refused before it reads them.
"""

import re
import zlib
from pathlib import Path

from dataset_builder.core.errors import AffineError, UnreadableError
from dataset_builder.imaging.header_fields import COPY_AGAIN, other_length
from dataset_builder.imaging.metaimage_header import read_metaimage_header
from dataset_builder.imaging.nrrd_header import read_nrrd_header

NRRD = (".nrrd", ".nhdr")
METAIMAGE = (".mha", ".mhd")

EXPORT_AGAIN = "Export the scan again from the program that made it, with its position in the patient; never guess."

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
        read_nrrd_header(path)
    else:
        read_metaimage_header(path)


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
        fields = read_nrrd_header(path).fields
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
    if found is None:
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
        raise other_length(path, made, stated)


def _compressed(path: Path) -> tuple[Path, int, int, int | None] | None:
    """Compressed voxels in one piece: file, first byte, length, and their length by the header where it is known."""
    if path.suffix.lower() in METAIMAGE:
        header = read_metaimage_header(path)
        if not header.is_compressed:
            return None
        return header.voxels, header.start, int(header.fields["CompressedDataSize"]), header.bytes_stated
    found = read_nrrd_header(path)
    if not found.is_compressed or "line skip" in found.fields:
        return None
    length = found.voxels.stat().st_size
    return found.voxels, found.start, length, None if found.skips else found.bytes_stated
