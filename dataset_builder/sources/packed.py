"""Subjects in the zip file that they were published in: a hundred thousand small files need not be unpacked.

The list of an archive's members is read once a process. A subject's files are taken out when it is read, and are gone
after that.
"""

import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path, PurePosixPath

from dataset_builder.errors import SourceError, UnreadableError

_BROKEN = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError)
"""What Python raises for an archive that is truncated, damaged, encrypted or packed in another way."""


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
                    "Two archives hold the same subject.",
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
            try:
                with packed.open(entry) as stream, target.open("wb") as file:
                    shutil.copyfileobj(stream, file, 1 << 20)
            except _BROKEN as error:
                raise UnreadableError(
                    "A file in the archive is damaged.",
                    file=Path(archive.name) / entry.filename,
                    value=str(error),
                    remedy="Fetch the archive again.",
                ) from error
        yield folder


def _open(archive: Path) -> zipfile.ZipFile:
    status = archive.stat()
    return _opened(archive, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=4)
def _opened(archive: Path, size: int, changed: int) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(archive)
    except _BROKEN as error:
        raise SourceError(
            "The archive cannot be read.", file=archive, value=str(error), remedy="Fetch it again: mis-ground fetch."
        ) from error


def _members(archive: Path, image: str) -> dict[str, list[tuple[zipfile.ZipInfo, str]]]:
    status = archive.stat()
    return _listed(archive, image, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=4)
def _listed(archive: Path, image: str, size: int, changed: int) -> dict[str, list[tuple[zipfile.ZipInfo, str]]]:
    """Each subject's members, with their names in the subject's folder."""
    entries = [entry for entry in _open(archive).infolist() if not entry.is_dir()]
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
