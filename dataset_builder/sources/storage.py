"""Places in object storage, through fsspec: ``s3://BUCKET/FOLDER`` and the like, used as paths of this machine are.

Credentials are fsspec's and its backends' own business: environment, their configuration files, the machine's role.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

from dataset_builder.errors import MISGroundError, SourceError

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

_HERE = ("file", "local")
_AGAIN = "Give the same command again: it goes on where it was."


def is_url(text: str) -> bool:
    """Whether a place is given as a URL, not as a path of this machine."""
    return re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", text) is not None


def is_remote(path: Path) -> bool:
    """Whether a path is not one of this machine."""
    return not isinstance(path, Path)


def remote_path(url: str) -> Path:
    """A folder or file in object storage, to be used as a :class:`pathlib.Path` is; nothing is asked of the storage.

    Raises:
        SourceError: if a package is missing, there is no such protocol, or the URL holds a password.
    """
    protocol, remedy = url.partition("://")[0].lower(), "pip install 'mis-ground[remote]'"
    if urlsplit(url).password is not None:
        raise SourceError(
            "The URL holds a password, which would stand in lists of processes and in messages.",
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
        # The class of remote paths has all of pathlib.Path that is used here, but is none of its subclasses.
        return cast(Path, UPath(url.rstrip("/")))
    except ImportError as error:
        if protocol in _PACKAGES:
            remedy = f"pip install {_PACKAGES[protocol]}"
        raise SourceError(
            f"The protocol '{protocol}' needs a package that is not installed.", value=str(error), remedy=remedy
        ) from error
    except ValueError as error:
        raise SourceError(
            "There is no such protocol.", value=url, remedy="s3://, gs://, az://, sftp:// and others of fsspec's."
        ) from error


def remote_folder(url: str) -> Path:
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
        raise SourceError("A folder is wanted, and this is none.", file=folder, remedy="Unpack it, give the folder.")
    return folder


def storage_of(path: Path) -> Any:
    """The fsspec file system that a remote path is in."""
    return cast(Any, path).fs


def key_of(path: Path) -> str:
    """The path as the storage has it, without the protocol."""
    return str(cast(Any, path).path)


@contextmanager
def telling(folder: Path) -> Iterator[None]:
    """Whatever a backend raises becomes an error that stops the build and says what to look at."""
    try:
        yield
    except (MISGroundError, MemoryError):
        raise
    except Exception as error:
        raise _storage_error(folder, error) from error


def _storage_error(folder: Path, error: Exception) -> SourceError:
    told = f"{type(error).__name__}: {error}"
    if isinstance(error, FileNotFoundError):
        bucket = key_of(folder).strip("/").partition("/")[0]
        return SourceError(
            "The bucket or folder is not there.",
            file=folder,
            value=str(error),
            remedy=f"Check '{bucket}' and the path.",
        )
    if isinstance(error, PermissionError) or "Credential" in told or "Token" in told:
        return SourceError(
            "The storage refuses access.",
            file=folder,
            value=told,
            remedy="Set up credentials where the backend looks for them (environment, its configuration files, "
            "~/.config/fsspec), and that they may list and read this folder.",
        )
    return SourceError(
        "The storage does not answer, or not as it should.",
        file=folder,
        value=told,
        remedy=f"Check network and endpoint. {_AGAIN}",
    )
