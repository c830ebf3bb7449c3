"""What label values are called, read from the tables that programs write beside label maps.

=================  ==================================================================================================
``.json``          name by value, value by name, or the ``labels`` of a ``dataset.json``
``.tsv``, ``.csv``  a header with ``index`` (or ``value``, ``label``, ``id``) and ``name`` (BIDS ``dseg.tsv``)
``.txt``, ``.label``, ``.lut``, ``.ctbl``  ITK-SNAP's label file, FreeSurfer's look-up table, 3D Slicer's colour table
``.yaml``          name by value, or value by name
=================  ==================================================================================================
"""

import csv
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dataset_builder.core.errors import SourceError
from dataset_builder.files.strict_text import load_json, load_yaml

VALUE_COLUMNS = ("index", "value", "label", "id", "number", "key")
NAME_COLUMNS = ("name", "structure", "label_name", "labelname", "region", "description", "label")
ENDINGS = (".json", ".tsv", ".csv", ".txt", ".label", ".lut", ".ctbl", ".yaml", ".yml")

_NUMBER = r"\s*(\d+)\s+"
_SNAP = re.compile(_NUMBER + r'(?:\d+\s+){3}[\d.]+\s+\d\s+\d\s+"(.*)"\s*$')
_NAME_FIRST = re.compile(_NUMBER + r"(\S+)\s+\d+\s+\d+\s+\d+(?:\s+\d+)?\s*$")


def read_label_names(path: Path) -> dict[int, str]:
    """Name by label value, 0 included if the table has it.

    Raises:
        SourceError: names the line or key that cannot be understood.
    """
    if not path.is_file():
        raise SourceError("The table of label names does not exist.", file=path, remedy="Check the path.")
    try:
        text = path.read_text(encoding="utf-8-sig")
        ending = path.suffix.lower()
        if ending == ".json":
            names = names_of_table(load_json(text), path)
        elif ending in (".yaml", ".yml"):
            names = names_of_table(load_yaml(text), path)
        elif ending in (".tsv", ".csv"):
            names = _of_columns(text, "\t" if ending == ".tsv" else None, path)
        else:
            names = _of_lines(text, path)
    except (OSError, ValueError, csv.Error) as error:
        raise SourceError(
            "The table of label names cannot be read.", file=path, value=" ".join(str(error).split()), remedy=_REMEDY
        ) from error
    if not any(names):
        raise SourceError("The table of label names contains no label.", file=path, remedy=_REMEDY)
    return names


_REMEDY = 'Write a JSON table of names by value: {"1": "liver"}; or a TSV file with the columns index and name.'


def names_of_table(table: Any, path: Path) -> dict[int, str]:
    """Name by label value, of a table in either direction; regions of nnU-Net (several values) are left out.

    Raises:
        SourceError: if it is not such a table, or a value has two names.
    """
    if isinstance(table, Mapping) and isinstance(table.get("labels"), Mapping | list):
        table = table["labels"]
    if isinstance(table, list):  # a list of rows
        table = {_first(row, VALUE_COLUMNS, path): _first(row, NAME_COLUMNS, path) for row in table}
    if not isinstance(table, Mapping):
        raise SourceError(
            "The table of label names is not a table.", file=path, value=type(table).__name__, remedy=_REMEDY
        )
    names: dict[int, str] = {}
    for key, value in table.items():
        if isinstance(value, list):
            continue
        number, name = (key, value) if _is_number(key) else (value, key)
        if not _is_number(number) or not isinstance(name, str) or not name.strip():
            raise SourceError(
                "A label has no whole number or no name.", file=path, value=f"{key}: {value}", remedy=_REMEDY
            )
        _set(names, int(number), name.strip(), path)
    return names


def _is_number(value: object) -> bool:
    return (isinstance(value, int) and not isinstance(value, bool) and value >= 0) or (
        isinstance(value, str) and value.isascii() and value.isdecimal()
    )


def _first(row: Any, columns: tuple[str, ...], path: Path) -> Any:
    found = {str(key).lower(): value for key, value in row.items()} if isinstance(row, Mapping) else {}
    for column in columns:
        if found.get(column) not in (None, ""):
            return found[column]
    raise SourceError(
        "A row of the table of label names lacks value or name.", file=path, value=str(row), remedy=_REMEDY
    )


def _of_columns(text: str, delimiter: str | None, path: Path) -> dict[int, str]:
    if delimiter is None:
        delimiter = csv.Sniffer().sniff(text.partition("\n")[0], delimiters=",;\t").delimiter
    rows = list(csv.DictReader(text.splitlines(), delimiter=delimiter))
    header = [str(name).strip().lower() for name in (rows[0] if rows else ())]
    value = next((name for name in VALUE_COLUMNS if name in header), None)
    name = next((column for column in NAME_COLUMNS if column in header and column != value), None)
    if value is None or name is None:
        raise SourceError(
            "The table of label names has no column for values or none for names.",
            file=path,
            value=", ".join(header),
            remedy="Call them index and name.",
        )
    names: dict[int, str] = {}
    for row in rows:
        cells = {str(key).strip().lower(): (cell or "").strip() for key, cell in row.items() if key is not None}
        if not cells[value] and not cells[name]:
            continue
        if not _is_number(cells[value]) or not cells[name]:
            raise SourceError(
                "A label has no whole number or no name.",
                file=path,
                value=delimiter.join(cells.values()),
                remedy=_REMEDY,
            )
        _set(names, int(cells[value]), cells[name], path)
    return names


def _of_lines(text: str, path: Path) -> dict[int, str]:
    names: dict[int, str] = {}
    for line in text.splitlines():
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        found = _SNAP.match(line) or _NAME_FIRST.match(line)
        if found is None:
            raise SourceError(
                "A line is neither in ITK-SNAP's format nor in that of FreeSurfer's or 3D Slicer's tables.",
                file=path,
                value=line.strip()[:100],
                remedy=_REMEDY,
            )
        _set(names, int(found[1]), found[2], path)
    return names


def _set(names: dict[int, str], value: int, name: str, path: Path) -> None:
    if names.get(value, name) != name:
        raise SourceError(
            "A label value has two names.",
            file=path,
            value=f"{value}: {names[value]}, {name}",
            remedy="Give each structure a value of its own.",
        )
    names[value] = name
