"""SNOMED CT codes of structures: ``snomed.yaml``."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources

import yaml

from dataset_builder.core.factors import Side

LEFT, RIGHT, BOTH = "7771000", "24028007", "51440002"
"""Codes of sides, as modifiers of a structure's code."""
SIDES: Mapping[str, Side] = {LEFT: "left", RIGHT: "right"}
ANATOMY = frozenset({"123037004", "91723000", "85756007"})
"""Categories of what is normal in a body: anatomical structure, under both its codes, and tissue; lesions are not."""
LESIONS = frozenset({"49755003"})
"""The category of lesions: morphologically altered structure."""


@dataclass(frozen=True)
class Coded:
    """A row: canonical names of the structures that a code means, by the side stated beside it."""

    meaning: str
    name: str | None = None
    left: str | None = None
    right: str | None = None

    @property
    def names(self) -> frozenset[str]:
        """All structures that the code can mean."""
        return frozenset(name for name in (self.name, self.left, self.right) if name)

    def of(self, side: Side | None) -> str | None:
        """The structure, if one is meant: a kidney without a side is not.

        >>> Coded("kidney", left="kidney_left", right="kidney_right").of("left")
        'kidney_left'
        """
        return {"left": self.left, "right": self.right, None: self.name}[side]


@cache
def snomed_codes() -> Mapping[str, Coded]:
    """All rows, by code."""
    text = resources.files(__package__).joinpath("snomed.yaml").read_text(encoding="utf-8")
    return {code: Coded(**row) for code, row in yaml.safe_load(text).items()}
