"""What a downloaded file should be, and whether it is: checked once, and noted beside it."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from dataset_builder.core.errors import FetchError
from dataset_builder.files.progress import Progress

_READ_BYTES = 8 << 20


@dataclass(frozen=True)
class RemoteFile:
    """A file to get.

    Args:
        name: as it is kept.
        url: where it is.
        bytes: its size, if known beforehand.
        md5, sha256: of its content, in hexadecimal.
    """

    name: str
    url: str
    bytes: int | None = None
    md5: str | None = None
    sha256: str | None = None


def _note_path(target: Path) -> Path:
    return target.with_name(f".{target.name}.checked")


def is_checked(target: Path, file: RemoteFile) -> bool:
    """Whether the file is the one that was checked before: the same size and time of change, the same checksum."""
    try:
        noted = json.loads(_note_path(target).read_text(encoding="utf-8"))
        status = target.stat()
    except (OSError, ValueError):
        return False
    return bool(noted == [status.st_size, status.st_mtime_ns, file.md5, file.sha256])


def note_checked(target: Path, file: RemoteFile) -> None:
    """Note that the file as it is now has the right checksum."""
    status = target.stat()
    noted = json.dumps([status.st_size, status.st_mtime_ns, file.md5, file.sha256])
    _note_path(target).write_text(noted, encoding="utf-8")


def check_given(target: Path, file: RemoteFile, progress: Progress) -> None:
    """Raise unless the file that is there already, put there by hand or copied, is the right one; it stays as it is.

    Raises:
        FetchError: says what is wrong with it.
    """
    size = target.stat().st_size
    if file.bytes is not None and size != file.bytes:
        raise _another_file(target, f"{size} bytes instead of {file.bytes}")
    if found := _wrong(target, file, progress):
        raise _another_file(target, found)


def check_digest(path: Path, file: RemoteFile, progress: Progress, remove: Callable[[], None] | None = None) -> None:
    """Raise unless a downloaded file has the checksums that it should have; it is removed if not.

    Raises:
        FetchError: names the checksum.
    """
    found = _wrong(path, file, progress)
    if not found:
        return
    (remove or path.unlink)()
    raise FetchError(
        f"{file.name} arrived damaged, or is another file; it was removed.",
        file=plain_url(file.url),
        value=found,
        remedy="Give the same command again. If it happens again, see the record for a new version.",
    )


def _wrong(path: Path, file: RemoteFile, progress: Progress) -> str:
    """Which checksum is not as it should be; empty if all are."""
    for name, expected in (("md5", file.md5), ("sha256", file.sha256)):
        if expected and (found := _digest(path, name, file.name, progress)) != expected:
            return f"{name} {found} instead of {expected}"
    return ""


def _another_file(target: Path, found: str) -> FetchError:
    return FetchError(
        f"The {target.name} in this folder is damaged, or another file.",
        file=target,
        value=found,
        remedy="It is left unchanged: move it away, or choose another folder, and give the same command again.",
    )


def _digest(path: Path, name: str, label: str, progress: Progress) -> str:
    digest = hashlib.new(name, usedforsecurity=False)
    total, done = path.stat().st_size, 0
    with path.open("rb") as file:
        while chunk := file.read(_READ_BYTES):
            digest.update(chunk)
            done += len(chunk)
            progress(f"check {label}", done, total)
    return digest.hexdigest()


def plain_url(url: str) -> str:
    """Without what may be secret."""
    return url.partition("?")[0]
