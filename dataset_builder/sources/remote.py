"""A source whose folder is in object storage.

It is listed as a folder of this machine is (:class:`upath.UPath` walks like ``pathlib.Path``). To be read, a case's
files are copied into a temporary folder and are gone after that; messages name them where they lie.
"""

import errno
import tempfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from shutil import disk_usage
from typing import Any

from dataset_builder.core.errors import MISGroundError, UnreadableError
from dataset_builder.files.object_storage import RemotePath, again, is_full, is_remote, key_of, storage_of, telling
from dataset_builder.imaging.volume import Volume
from dataset_builder.sources.base import Case, SourceOf

STREAMS = 16
"""How many files of a case are copied at once, where the backend can."""


_MARKS = (
    "ETag",
    "etag",
    "generation",
    "md5Hash",
    "md5",
    "LastModified",
    "last_modified",
    "mtime",
    "modified",
    "updated",
)
"""Under one of these names a backend tells what changes with a file's content, the surest first."""
_OF_SCANS = (".nii.gz", ".nii")


@dataclass(frozen=True)
class RemoteSource(SourceOf):
    """A source whose folder is in object storage.

    Args:
        source: that lists the folder, and reads a case from files of this machine.
        folder: its folder.
    """

    folder: RemotePath

    def cases(self) -> Iterator[Case]:
        """As the source's; raises :class:`SourceError` also if the storage refuses or does not answer."""
        with telling(self.folder):
            yield from self.source.cases()
        storage_of(self.folder).invalidate_cache()  # lists of all its folders

    def read(self, case: Case) -> Volume:
        """A case, from copies of its files.

        Raises:
            CaseError: if the case cannot be used, or a file of it not be downloaded though the storage answers.
            SourceError: if the storage does not answer any more.
        """
        with local_copy(case, self.folder) as here:
            return self.source.read(here)


# --- one case --------------------------------------------------------------------------------------------------------


def stamps(path: RemotePath) -> object:
    """Name, size and mark of a remote file, or of the files of a folder, as they are now; ``None`` if not there.

    Raises:
        CaseError: if the storage answers, but does not list this file.
        SourceError: if the storage does not answer.
    """
    with blaming(path, path.parent.parent):
        found = _files_of(path)
        if found is None:
            return None
        return sorted((name, info.get("size"), _mark(info)) for name, info in found.items())


def _mark(info: Mapping[str, Any]) -> str:
    return next((f"{mark}={info[mark]}" for mark in _MARKS if info.get(mark) is not None), "")


def _files_of(path: RemotePath) -> dict[str, Mapping[str, Any]] | None:
    """The file, or the files that lie in the folder, by name; ``None`` if neither is there."""
    storage, key = storage_of(path), key_of(path)
    try:
        info = storage.info(key)
        if info["type"] != "directory":
            return {path.name: info}
        storage.invalidate_cache(key)
        entries = storage.ls(key, detail=True)
        storage.invalidate_cache(key)  # a hundred thousand such lists are gigabytes
    except (FileNotFoundError, NotADirectoryError):
        return None
    files = {entry["name"].rstrip("/").rpartition("/")[2]: entry for entry in entries if entry["type"] != "directory"}
    return {name: entry for name, entry in files.items() if name not in ("", ".", "..")}


@contextmanager
def local_copy(case: Case, folder: RemotePath) -> Iterator[Case]:
    """The case with copies of its files, which are there as long as the context is; errors name the files themselves.

    Zip archives, which are of many cases, are not copied: their members are read where they are.

    Args:
        case: of a remote folder.
        folder: that folder; shows whether one file is unavailable or the whole folder.

    Raises:
        CaseError: if a file is unavailable.
        SourceError: if nothing can.
        OSError: if the copies cannot be written.
    """
    with tempfile.TemporaryDirectory(prefix="mis-ground-") as temporary:
        here: list[Path] = []
        wanted: list[_Wanted] = []
        names: dict[str, str] = {}
        for number, path in enumerate(case.paths):
            if path.suffix == ".zip" or not is_remote(path):
                here.append(path)
                continue
            copy = Path(temporary) / str(number) / path.name
            copy.parent.mkdir()
            here.append(copy)
            names[str(copy)] = str(path)
            with blaming(path, folder):
                found = _files_of(path)
            if found is None:
                continue  # whoever reads the case says what is missing
            alone = list(found) == [path.name] and found[path.name]["name"].rstrip("/") == key_of(path).rstrip("/")
            if not alone:
                copy.mkdir()
            for name, info in found.items():
                if alone or name.lower().endswith(_OF_SCANS):  # what else lies among masks is not read
                    file, target = (path, copy) if alone else (path / name, copy / name)
                    wanted.append(_Wanted(file, target, info.get("size")))
        _check_room(Path(temporary), sum(one.size or 0 for one in wanted))
        # Threads, for a subject of a hundred small files would wait a hundred times.
        workers = min(len(wanted), STREAMS) if getattr(storage_of(folder), "async_impl", False) else 1
        with ThreadPoolExecutor(max(1, workers)) as pool:
            try:
                for _ in pool.map(partial(_download, folder=folder), wanted):
                    pass
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
        with _named(names):
            yield replace(case, paths=tuple(here))


@dataclass(frozen=True)
class _Wanted:
    """A file to be copied: from where, to where, and how many bytes it has, if the storage tells."""

    path: RemotePath
    copy: Path
    size: int | None


def _check_room(folder: Path, needed: int) -> None:
    free = disk_usage(folder).free
    if needed > free:
        reported = f"Not enough space for the {needed:,} bytes of a case ({free:,} free); set TMPDIR to another folder"
        raise OSError(errno.ENOSPC, reported, str(folder.parent))


def _download(wanted: _Wanted, folder: RemotePath) -> None:
    """Copy a file; one that did not come whole is asked for again."""

    def get() -> None:
        storage_of(wanted.path).get_file(key_of(wanted.path), str(wanted.copy))
        came = wanted.copy.stat().st_size
        if wanted.size not in (None, came):
            raise EOFError(f"{came:,} of {wanted.size:,} bytes arrived")

    with blaming(wanted.path, folder):
        again(get)


@contextmanager
def blaming(path: RemotePath, folder: RemotePath) -> Iterator[None]:
    """Whatever a backend raises about a file becomes its case's fault, or the storage's if the folder is gone, too."""
    try:
        yield
    except (MISGroundError, MemoryError):
        raise
    except Exception as error:
        if is_full(error):
            raise
        storage = storage_of(folder)
        with telling(folder):
            storage.invalidate_cache(key_of(folder))
            storage.info(key_of(folder))
        raise UnreadableError(
            "The storage answers, but cannot deliver this file.",
            file=path,
            value=f"{type(error).__name__}: {error}",
            remedy="Check the object and its permissions; the same command tries again.",
        ) from error


@contextmanager
def _named(names: Mapping[str, str]) -> Iterator[None]:
    """Errors about copies become errors about what they are copies of."""

    def reported(value: Any) -> Any:
        if isinstance(value, str):
            for copy, name in names.items():
                value = value.replace(copy, name)
        return value

    try:
        yield
    except MISGroundError as error:
        value = reported(error.value if error.value is None else str(error.value))
        raise type(error)(
            reported(error.problem), file=reported(error.file), value=value, remedy=reported(error.remedy)
        ) from error
    except Exception as error:
        error.args = tuple(reported(value) for value in error.args)
        raise
