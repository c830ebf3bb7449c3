"""Organ systems of structures: ``organ_systems.yaml``, loaded once."""

import re
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources

import yaml


@cache
def organ_systems() -> Mapping[str, Sequence[str]]:
    """Regular expressions of canonical names, by system."""
    text = resources.files("dataset_builder.vocabulary").joinpath("organ_systems.yaml").read_text(encoding="utf-8")
    table: dict[str, list[str]] = yaml.safe_load(text)
    return table


@cache
def organ_system(name: str) -> str | None:
    """The organ system of a structure; ``None`` if none is known.

    >>> organ_system("kidney_left")
    'urinary'
    """
    for system, patterns in organ_systems().items():
        if any(re.fullmatch(pattern, name) for pattern in patterns):
            return system
    return None
