"""Tables of the package in several files, a topic a file, read together: ``structures_*.yaml`` and the like."""

from collections.abc import Iterator
from importlib import resources
from typing import Any

from dataset_builder.core.errors import BuildError
from dataset_builder.files.strict_text import load_yaml


def packaged_files(table: str) -> Iterator[tuple[str, str]]:
    """Name and text of each file of a table, by name.

    Args:
        table: what the files' names begin with, as ``structures``.
    """
    found = [file for file in resources.files(__package__).iterdir() if file.name.startswith(f"{table}_")]
    for file in sorted(found, key=lambda file: file.name):
        if file.name.endswith(".yaml"):
            yield file.name, file.read_text(encoding="utf-8")


def packaged_table(table: str) -> dict[str, Any]:
    """The files of a table, read together.

    Raises:
        BuildError: if two files have the same row.
    """
    rows: dict[str, Any] = {}
    for name, text in packaged_files(table):
        part = load_yaml(text)
        for row in part.keys() & rows.keys():
            raise BuildError(f"'{row}' is in another file of this table already.", file=name)
        rows |= part
    return rows
