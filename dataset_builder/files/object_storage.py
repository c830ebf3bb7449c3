"""Places in object storage, through fsspec: ``s3://BUCKET/FOLDER`` and the like, used as paths of this machine are.

Credentials are fsspec's and its backends' own business: environment, their configuration files, the machine's role.
"""

import errno
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar, cast
from urllib.parse import urlsplit

from dataset_builder.core.errors import MISGroundError, SourceError

if TYPE_CHECKING:
    from typing_extensions import TypeIs
    from upath import UPath as RemotePath
else:
    RemotePath = Any  # a folder or file in object storage; its package is optional
Place: TypeAlias = Path | RemotePath
"""A folder or file, of this machine or in object storage."""

T = TypeVar("T")

_PACKAGES = {
    **dict.fromkeys(("s3", "s3a"), "s3fs"),
    **dict.fromkeys(("gs", "gcs"), "gcsfs"),
    **dict.fromkeys(("abfs", "abfss", "az", "adl"), "adlfs"),
    **dict.fromkeys(("sftp", "ssh"), "paramiko"),
    **dict.fromkeys(("http", "https"), "aiohttp"),
    "smb": "smbprotocol",
    "webhdfs": "requests",
}
"""What pip calls the package that a protocol needs."""

_FLAT = frozenset({"s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "adl"})
ATTEMPTS = 3
"""How often a failed operation is tried in all; most backends retry by themselves, too."""
WAIT_SECONDS = 1.0
"""Before the second attempt; twice that before the third."""
TOGETHER = 256
"""How many small files are requested at once."""
_HERE = ("file", "local")
_AGAIN = "Give the same command again to resume."


def is_url(text: str) -> bool:
    """Whether a place is given as a URL, not as a path of this machine."""
    return re.match(r"[A-Za-z][A-Za-z0-9+.-]+://", text) is not None


def is_remote(path: Place) -> "TypeIs[RemotePath]":
    """Whether a path is not one of this machine."""
    return not isinstance(path, Path)


def remote_path(url: str) -> Place:
    """A folder or file in object storage, to be used as a :class:`pathlib.Path` is; nothing is asked of the storage.

    Raises:
        SourceError: if a package is missing, the protocol is unknown, or the URL contains a password.
    """
    protocol, remedy = url.partition("://")[0].lower(), "pip install 'mis-ground[remote]'"
    if urlsplit(url).password is not None:
        raise SourceError(
            "The URL contains a password, which would show in process lists and in messages.",
            value=f"{protocol}://...",
            remedy="Give the URL without it, and the password where fsspec looks for it: the environment, or "
            "~/.config/fsspec.",
        )
    if protocol in _HERE:
        return Path(urlsplit(url).path)
    try:
        import fsspec
        from upath import UPath
    except ImportError as error:
        raise SourceError("A URL needs the package universal_pathlib.", value=url, remedy=remedy) from error
    try:
        fsspec.get_filesystem_class(protocol)
        return UPath(url.rstrip("/"))
    except ImportError as error:
        if protocol in _PACKAGES:
            remedy = f"pip install {_PACKAGES[protocol]}"
        raise SourceError(
            f"The protocol '{protocol}' needs a package that is not installed.", value=str(error), remedy=remedy
        ) from error
    except ValueError as error:
        raise SourceError(
            "This protocol is unknown.", value=url, remedy="s3://, gs://, az://, sftp:// and others of fsspec's."
        ) from error


def as_listed(folder: Place) -> Path:
    """A folder for code that only lists: ``iterdir``, ``glob``, ``is_dir``, names, reading of small files.

    Places in object storage have all this under the same names. Whatever needs the storage itself asks
    :func:`is_remote` first.
    """
    return cast(Path, folder)


def remote_folder(url: str) -> Place:
    """As :func:`remote_path`, of a folder that is there; what was listed earlier is forgotten.

    Raises:
        SourceError: also if it is not there, is a file, or the storage refuses or does not answer.
    """
    folder = remote_path(url)
    if not is_remote(folder):
        return folder
    storage = storage_of(folder)
    storage.invalidate_cache()
    with telling(folder):
        kind = storage.info(key_of(folder))["type"]
    if kind != "directory":
        raise SourceError("This is not a folder.", file=folder, remedy="Unpack it and give the folder.")
    return folder


def place_of_store(text: str) -> Place:
    """Where slices are to be kept: a folder of this machine, or one in a bucket that is there.

    Raises:
        SourceError: as :func:`remote_path`, and if the bucket does not exist, or the storage does not answer.
    """
    place = remote_path(text) if is_url(text) else Path(text)
    if is_remote(place):
        storage, key = storage_of(place), key_of(place)
        storage.invalidate_cache()
        with telling(place):
            try:
                storage.info(key)
            except FileNotFoundError:  # is made by its first file, the bucket is not
                if _is_flat(storage):
                    storage.info(key.strip("/").partition("/")[0])
    return place


def storage_of(path: RemotePath) -> Any:
    """The fsspec file system that a remote path is in."""
    return path.fs


def key_of(path: RemotePath) -> str:
    """The path as the storage has it, without the protocol."""
    return str(path.path)


def _is_flat(storage: Any) -> bool:
    """Whether folders are only parts of names, so that none needs to be made."""
    protocols = (storage.protocol,) if isinstance(storage.protocol, str) else storage.protocol
    return not _FLAT.isdisjoint(protocols)


@contextmanager
def telling(folder: RemotePath) -> Iterator[None]:
    """Whatever a backend raises becomes an error that stops the build and says what to look at."""
    try:
        yield
    except (MISGroundError, MemoryError):
        raise
    except Exception as error:
        raise _storage_error(folder, error) from error


def _storage_error(folder: RemotePath, error: Exception) -> SourceError:
    reported = f"{type(error).__name__}: {error}"
    if isinstance(error, FileNotFoundError):
        bucket = key_of(folder).strip("/").partition("/")[0]
        return SourceError(
            "The bucket or folder does not exist.",
            file=folder,
            value=str(error),
            remedy=f"Check '{bucket}' and the path.",
        )
    if isinstance(error, PermissionError) or "Credential" in reported or "Token" in reported:
        return SourceError(
            "The storage denies access.",
            file=folder,
            value=reported,
            remedy="Set up credentials where the backend looks for them (environment, its configuration files, "
            "~/.config/fsspec); they must allow listing and reading this folder, and writing a store.",
        )
    return SourceError(
        "The storage does not answer, or answers with an error.",
        file=folder,
        value=reported,
        remedy=f"Check network and endpoint. {_AGAIN}",
    )


# --- whole files -----------------------------------------------------------------------------------------------------


def get_bytes(path: RemotePath) -> bytes | None:
    """What a remote file holds; ``None`` if it is not there.

    Raises:
        SourceError: if the storage refuses or does not answer.
    """
    with telling(path):
        try:
            return again(lambda: cast(bytes, storage_of(path).cat_file(key_of(path))))
        except FileNotFoundError:
            return None


def get_many(paths: Sequence[RemotePath]) -> Iterator[bytes]:
    """What each of some remote files holds, several asked for at once.

    Raises:
        SourceError: also if one is not there.
    """
    for start in range(0, len(paths), TOGETHER):
        some = paths[start : start + TOGETHER]
        with telling(some[0].parent):
            got = again(partial(storage_of(some[0]).cat, [key_of(path) for path in some]))
            yield from (got[key_of(path)] for path in some)


def put_bytes(path: RemotePath, content: bytes) -> None:
    """Write a remote file; in object storage it is either whole or as it was before.

    Raises:
        SourceError: if the storage refuses or does not answer.
    """
    storage = storage_of(path)
    with telling(path):
        if not _is_flat(storage):
            storage.makedirs(key_of(path.parent), exist_ok=True)
        again(lambda: storage.pipe_file(key_of(path), content))


def remove(path: RemotePath) -> None:
    """Remove a remote file, if it is there. Raises as :func:`put_bytes`."""
    with telling(path), suppress(FileNotFoundError):
        again(lambda: storage_of(path).rm_file(key_of(path)))


def files_below(folder: RemotePath) -> dict[RemotePath, int]:
    """All files in a remote folder and those in it, as they are now, and their sizes in bytes.

    There are none if the folder is not there. Raises as `put_bytes`.
    """
    storage, root = storage_of(folder), key_of(folder).rstrip("/")
    with telling(folder):
        storage.invalidate_cache()
        try:
            found = again(lambda: storage.find(root, detail=True))
        except FileNotFoundError:
            return {}
        storage.invalidate_cache()
    return {folder / key[len(root) + 1 :]: int(about["size"]) for key, about in found.items()}


def again(ask: Callable[[], T]) -> T:
    """The outcome of a request, which is repeated if it fails in a way that may pass."""
    from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_incrementing

    retrying = Retrying(
        stop=stop_after_attempt(ATTEMPTS),
        wait=wait_incrementing(WAIT_SECONDS, WAIT_SECONDS),
        retry=retry_if_exception(_may_pass),
        reraise=True,
        sleep=lambda seconds: time.sleep(seconds),
    )
    return retrying(ask)


def _may_pass(error: BaseException) -> bool:
    """Backends raise their own errors, which are not OSErrors."""
    lasting = (FileNotFoundError, PermissionError, MemoryError)
    return isinstance(error, Exception) and not isinstance(error, lasting) and not is_full(error)


def is_full(error: Exception) -> bool:
    """Whether a disk of this machine is full."""
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
