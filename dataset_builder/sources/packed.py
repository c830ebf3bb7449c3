"""Subjects in the zip file that they were published in: a hundred thousand small files need not be unpacked.

The list of an archive's members is read once a process. A subject's files are taken out when it is read, and are gone
after that.
"""

import lzma
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path, PurePosixPath

from dataset_builder.core.errors import SourceError, UnreadableError
from dataset_builder.files.object_storage import is_remote

BROKEN_ARCHIVE = (
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error),
    *(EOFError, NotImplementedError, RuntimeError, ValueError, OverflowError),
)
"""What Python raises for an archive that is truncated, damaged, encrypted or packed in another way."""

MAX_EXPANSION = {zipfile.ZIP_STORED: 1, zipfile.ZIP_DEFLATED: 1100}
"""The most bytes that a byte of a member can stand for."""


def packed_subjects(folder: Path, image: str) -> dict[str, Path]:
    """The archive that holds each subject, sorted by subject.

    Args:
        folder: with zip files in it.
        image: name of a subject's image; what holds it is the subject's folder, however deep in the archive.

    Raises:
        SourceError: if an archive is damaged, or two hold the same subject.
    """
    found: dict[str, Path] = {}
    for archive in sorted(folder.glob("[!.]*.zip")):
        for subject in _members(archive, image):
            if subject in found:
                raise SourceError(
                    "Two archives contain the same subject.",
                    file=folder,
                    value=f"{subject} in {found[subject].name} and {archive.name}",
                    remedy="Keep one of them in this folder.",
                )
            found[subject] = archive
    return dict(sorted(found.items()))


@contextmanager
def taken_out(archive: Path, subject: str, image: str) -> Iterator[Path]:
    """A subject's folder, with the files that it has in the archive.

    Args:
        archive: as :func:`packed_subjects` gives it.
        subject: in it.
        image: name of its image.

    Raises:
        UnreadableError: if a file is damaged.
    """
    with tempfile.TemporaryDirectory(prefix="mis-ground-") as temporary:
        folder = Path(temporary) / subject
        folder.mkdir()
        packed = _open(archive)
        for entry, name in _members(archive, image).get(subject, ()):
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("wb") as file:
                for piece in pieces(packed, entry, Path(archive.name) / entry.filename):
                    file.write(piece)
        yield folder


def pieces(packed: zipfile.ZipFile, entry: zipfile.ZipInfo, name: Path) -> Iterator[bytes]:
    """What a member of an archive holds, piece by piece.

    Args:
        packed: the archive.
        entry: the member.
        name: of the member, for error messages.

    Raises:
        UnreadableError: if it is damaged, or promises more than can be packed into so few bytes.
    """
    remedy = "Download the archive again."
    if entry.file_size > entry.compress_size * MAX_EXPANSION.get(entry.compress_type, 100_000):
        raise UnreadableError(
            "The archive declares more than the file in it can hold.",
            file=name,
            value=f"{entry.file_size:,} bytes declared, {entry.compress_size:,} bytes in the archive",
            remedy=remedy,
        )
    try:
        with packed.open(entry) as stream:
            while piece := stream.read(1 << 20):
                yield piece
    except (*BROKEN_ARCHIVE, OSError) as error:
        raise UnreadableError(
            "A file in the archive is damaged.", file=name, value=str(error), remedy=remedy
        ) from error


def open_zip(archive: Path) -> zipfile.ZipFile:
    """Open an archive for reading; of one in object storage only what is read is fetched."""
    return zipfile.ZipFile(archive.open("rb") if is_remote(archive) else archive)


def _open(archive: Path) -> zipfile.ZipFile:
    status = archive.stat()
    return _opened(archive, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=4)
def _opened(archive: Path, size: int, changed: int) -> zipfile.ZipFile:
    try:
        return open_zip(archive)
    except (*BROKEN_ARCHIVE, OSError) as error:
        raise SourceError(
            "The archive cannot be read.", file=archive, value=str(error), remedy="Fetch it again: mis-ground fetch."
        ) from error


def _members(archive: Path, image: str) -> dict[str, list[tuple[zipfile.ZipInfo, str]]]:
    status = archive.stat()
    return _listed(archive, image, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=4)
def _listed(archive: Path, image: str, size: int, changed: int) -> dict[str, list[tuple[zipfile.ZipInfo, str]]]:
    """Each subject's members, with their names in the subject's folder."""
    entries = [entry for entry in _open(archive).infolist() if not entry.filename.endswith("/")]
    paths = {entry.filename: PurePosixPath(entry.filename).parts for entry in entries}
    folders = {parts[:-1]: parts[-2] for parts in paths.values() if len(parts) > 1 and parts[-1] == image}
    found: dict[str, list[tuple[zipfile.ZipInfo, str]]] = {subject: [] for subject in folders.values()}
    for entry in entries:
        parts = paths[entry.filename]
        for depth in range(1, len(parts)):
            subject = folders.get(parts[:depth])
            inside = parts[depth:]
            if subject is not None:
                if ".." not in parts and not entry.filename.startswith("/") and "\\" not in entry.filename:
                    found[subject].append((entry, "/".join(inside)))
                break
    return found
