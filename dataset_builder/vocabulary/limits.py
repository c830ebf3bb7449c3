"""Limits that a scan must meet to be accepted: the table acceptance.yaml."""

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from functools import cache
from importlib import resources
from typing import Any

import yaml


@cache
def acceptance() -> Mapping[str, Mapping[str, Any]]:
    """The table, by section."""
    text = resources.files(__package__).joinpath("acceptance.yaml").read_text(encoding="utf-8")
    return yaml.safe_load(text)


def of_tissue(tissue: str, names: Iterable[str]) -> list[str]:
    """Those of the structures whose values are those of a tissue, as far as the table knows.

    >>> of_tissue("liver", ["spleen", "liver"])
    ['liver']
    """
    patterns = acceptance()["tissues"][tissue]
    return [name for name in names if any(fnmatchcase(name, pattern) for pattern in patterns)]
