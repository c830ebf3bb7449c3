"""Licences of the scans: which is the most restrictive, and whether images made from the scans may be redistributed."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import yaml


@dataclass(frozen=True)
class Licence:
    """A licence; ``licences.yaml`` says what the fields mean. ``rank`` grows with how much it forbids."""

    id: str
    hub: str
    name: str
    url: str
    share: bool
    commercial: bool
    rank: int


@cache
def _table() -> dict[str, Licence]:
    rows = yaml.safe_load(Path(__file__).with_name("licences.yaml").read_text(encoding="utf-8"))
    return {row["id"].casefold(): Licence(**row, rank=rank) for rank, row in enumerate(rows)}


def licence(name: str) -> Licence:
    """The licence of that name; an unknown one does not allow redistribution.

    >>> licence("cc-by-4.0").name
    'CC BY 4.0'
    >>> licence("hospital only").share
    False
    """
    known = _table().get(name.strip().casefold())
    return known or Licence(name, "other", name or "not stated", "", False, False, len(_table()))


def most_restrictive(names: Iterable[str]) -> Licence:
    """The licence that a data set from such sources has: the one that forbids most; of unknown ones the first by name.

    Raises:
        ValueError: if there is none.
    """
    found = [licence(name) for name in sorted(set(names))]
    if not found:
        raise ValueError("There is no licence to choose from.")
    return max(found, key=lambda one: one.rank)
