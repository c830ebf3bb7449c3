"""Files that are whole or as they were before, also when the power fails; and the hash of a file's content."""

import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from dataset_builder.core.errors import naming
from dataset_builder.files.object_storage import Place, is_remote, put_bytes


@contextmanager
def replacing(path: Path, mode: int = 0o644) -> Iterator[BinaryIO]:
    """A file to write to, which replaces ``path`` once it is whole and on the disk; on an error it is removed.

    Args:
        path: of a local file; its folder is made if it is missing.
        mode: who may read and write it, as ``chmod`` takes it; until it is whole only its owner may.

    Raises:
        OSError: names ``path``.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with naming(path), os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, mode)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def write_atomically(path: Place, content: str | bytes, mode: int = 0o644) -> None:
    """Write a file, text as UTF-8, that is either whole or as it was before; it may be in object storage."""
    data = content.encode() if isinstance(content, str) else content
    if is_remote(path):
        put_bytes(path, data)
        return
    with replacing(path, mode) as file:
        file.write(data)


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file's content, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
