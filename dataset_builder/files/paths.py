"""Paths as a caller of the Python API may give them: text, ``pathlib`` paths, or whatever else stands for a path."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TypeAlias

from dataset_builder.files.object_storage import Place, place_of_store

PathLike: TypeAlias = str | os.PathLike[str]
"""A file or folder of this machine."""


def as_paths(given: PathLike | Iterable[PathLike]) -> list[Path]:
    """Several paths; one that is given alone counts as a list of one."""
    return [Path(given)] if isinstance(given, str | os.PathLike) else list(map(Path, given))


def as_store(given: PathLike | Place) -> Place:
    """A slice store: a folder of this machine, or a URL of object storage.

    Raises:
        SourceError: as :func:`place_of_store`.
    """
    if isinstance(given, str):
        return place_of_store(given)
    return Path(given) if isinstance(given, os.PathLike) else given
