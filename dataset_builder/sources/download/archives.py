"""The public archives: what there is, getting them, and whether a folder has all of what it should have."""

import stat
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath
from shutil import disk_usage

import yaml

from dataset_builder.core.errors import FetchError
from dataset_builder.files.own_files import some_of
from dataset_builder.files.progress import Progress, silent
from dataset_builder.sources import open_source
from dataset_builder.sources.download.checksums import RemoteFile
from dataset_builder.sources.download.http import download
from dataset_builder.sources.download.hub_files import HubFile, download_from_hub
from dataset_builder.sources.packed import BROKEN_ARCHIVE

_CHUNK = 1 << 20


@dataclass(frozen=True)
class Archive:
    """A public archive; ``archives.yaml`` says what the fields mean."""

    name: str
    source: str
    title: str
    licence: str
    accept: bool
    citation: str
    url: str
    subjects: int
    files: tuple[RemoteFile | HubFile, ...]

    @property
    def bytes(self) -> int:
        """Size of all files whose size is known."""
        return sum(file.bytes or 0 for file in self.files)


def archives() -> dict[str, Archive]:
    """All of them, by name."""
    rows = yaml.safe_load(Path(__file__).with_name("archives.yaml").read_text(encoding="utf-8"))
    return {
        name: Archive(
            name, **row | {"files": tuple((HubFile if "hub" in f else RemoteFile)(**f) for f in row["files"])}
        )
        for name, row in rows.items()
    }


def fetch_archive(
    archive: Archive,
    folder: Path,
    *,
    accepted: bool = False,
    unpack_members: bool = False,
    progress: Progress = silent,
) -> Path:
    """Get an archive into a folder; what is there already is not fetched again.

    The sources read the zip files as they are: unpacking makes a hundred thousand small files of them.

    Args:
        archive: which.
        folder: where to; made if absent.
        accepted: whether its licence is accepted.
        unpack_members: unpack the zip files beside themselves.
        progress: called with the bytes received, and with the bytes checked or unpacked.

    Raises:
        FetchError: if the licence is not accepted, or a file is unavailable, is not what it should be, or does not fit.
    """
    if archive.accept and not accepted:
        raise FetchError(
            f"{archive.title}: its licence, {archive.licence}, must be accepted before download.",
            value=archive.url,
            remedy="Read it there and add --accept-licence if you agree.",
        )
    for file in archive.files:
        if isinstance(file, HubFile):
            path = download_from_hub(file, folder, progress)
        else:
            path = download(file, folder, progress)
        if unpack_members and path.suffix == ".zip":
            unpack(path, folder, progress)
    return folder


# ------------------------------------------------------------------------------------------------------------ unpacking


def unpack(archive: Path, folder: Path, progress: Progress = silent) -> int:
    """Unpack a zip file into a folder; a member that is there with its whole size is passed over.

    Nothing is written outside the folder, no link is made, and no member grows beyond the size that the archive states.

    Args:
        archive: the zip file.
        folder: where to.
        progress: called with the bytes written.

    Returns:
        How many files the archive holds.

    Raises:
        FetchError: before anything is written if a member's path leads elsewhere or it is not a regular file, or there
            is no room; later if a member is damaged.
    """
    try:
        with zipfile.ZipFile(archive) as packed:
            members = [entry for entry in packed.infolist() if not entry.filename.endswith("/")]
            targets = {entry: folder / _safe(entry, archive) for entry in members}
            todo = [entry for entry in members if not _is_whole(targets[entry], entry)]
            changed = [entry.filename for entry in todo if targets[entry].exists() or targets[entry].is_symlink()]
            if changed:
                raise FetchError(
                    "The folder contains files that differ from those in the archive; nothing was unpacked.",
                    file=folder,
                    value=some_of(changed),
                    remedy="Move them away, or fetch into another folder.",
                )
            total, done = sum(entry.file_size for entry in todo), 0
            _check_room(folder, total)
            for entry in todo:
                _write(packed, entry, targets[entry], archive)
                done += entry.file_size
                progress("unpack", done, total)
    except BROKEN_ARCHIVE as error:
        raise FetchError(
            "The archive is damaged.", file=archive, value=str(error), remedy="Delete it and fetch it again."
        ) from error
    except OSError as error:
        raise FetchError(
            "The archive cannot be unpacked.",
            file=folder,
            value=error.strerror or str(error),
            remedy="Look at the folder's permissions and the free space.",
        ) from error
    return len(members)


def _safe(entry: zipfile.ZipInfo, archive: Path) -> str:
    parts = PurePosixPath(entry.filename).parts
    kind = stat.S_IFMT(entry.external_attr >> 16)
    odd = (
        not parts or entry.filename.startswith("/") or ".." in parts or "\\" in entry.filename or ":" in entry.filename
    )
    if odd or kind not in (0, stat.S_IFREG) or "\0" in entry.orig_filename:
        raise FetchError(
            "The archive contains a file that does not belong in a folder of scans; nothing was unpacked.",
            file=archive,
            value=entry.filename,
            remedy="Fetch the archive from its record; do not unpack this one.",
        )
    return entry.filename


def _is_whole(path: Path, entry: zipfile.ZipInfo) -> bool:
    return path.is_file() and path.stat().st_size == entry.file_size


def _write(packed: zipfile.ZipFile, entry: zipfile.ZipInfo, target: Path, archive: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name}.partial")
    try:
        with packed.open(entry) as stream, part.open("wb") as file:
            left = entry.file_size
            while chunk := stream.read(_CHUNK):
                left -= len(chunk)
                if left < 0:
                    raise FetchError(
                        "A file in the archive exceeds the size limit.",
                        file=archive,
                        value=entry.filename,
                        remedy="Delete it and fetch it again.",
                    )
                file.write(chunk)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def _check_room(folder: Path, needed: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    free = disk_usage(folder).free
    if needed > free:
        raise FetchError(
            "There is not enough space on the disk.",
            file=folder,
            value=f"{free / 1e9:.1f} GB free, {needed / 1e9:.1f} GB needed",
            remedy="Free some space, or choose another folder.",
        )


# --------------------------------------------------------------------------------------------------------- completeness


@dataclass(frozen=True)
class Completeness:
    """What a folder has.

    Args:
        cases: scans that are there or should be.
        missing: subject and what it lacks.
        expected: how many scans a complete folder has; ``None`` if that is not known.
    """

    cases: int
    missing: tuple[tuple[str, str], ...]
    expected: int | None

    @property
    def complete(self) -> bool:
        """Whether nothing is known to be missing."""
        return not self.missing and (self.expected is None or self.cases >= self.expected)


def check_folder(spec: str, expected: int | None = None, vocabulary: Path | None = None) -> Completeness:
    """Whether a folder has image and labels of every scan that it should have; nothing is read but names.

    Args:
        spec: as ``--source`` takes it: ``NAME:DIR``.
        expected: how many scans it should have; taken from the table of archives if it has one of that size or less.
        vocabulary: a user's own structures.

    Raises:
        SourceError: if the folder has another layout.
    """
    source = open_source(spec, vocabulary, keep_names=True)
    cases = list(source.cases())
    missing = tuple(lack for case in cases for lack in _lacks(case.subject, case.paths))
    if expected is None:
        sizes = sorted(archive.subjects for archive in archives().values() if archive.source == source.name)
        expected = next((size for size in sizes if size >= len(cases)), None)
    return Completeness(len(cases), missing, expected)


@lru_cache(maxsize=8)
def _members(archive: Path) -> tuple[str, ...]:
    with zipfile.ZipFile(archive) as packed:
        return tuple(packed.namelist())


def _lacks(subject: str, paths: tuple[Path, ...]) -> Iterator[tuple[str, str]]:
    packed = [path for path in paths if path.suffix == ".zip" and path.is_file()]
    if len(packed) == 1:  # image and labels in the same archive
        names = [name for name in _members(packed[0]) if subject in name.split("/")[:-1]]
        if len(names) < 2:
            yield subject, f"no labels in {packed[0].name}"
        return
    for path in paths:
        if path in packed:
            if not any(subject in name for name in _members(path)):
                yield subject, f"not in {path.name}"
            continue
        if not path.exists():
            yield subject, "/".join(path.parts[-2:])
        elif path.is_dir() and not any(path.iterdir()):
            yield subject, f"{path.name} is empty"
        elif path.is_file() and path.stat().st_size == 0:
            yield subject, f"{path.name} has no content"
