"""Settings of a re-scoring, validated once, before anything is generated."""

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self, get_args

from semsam.errors import SettingsError

Guard = Literal["none", "antonyms"]
Mode = Literal["argmax", "sample"]

GUARDS: tuple[str, ...] = get_args(Guard)
MODES: tuple[str, ...] = get_args(Mode)


@dataclass(frozen=True)
class Settings:
    """Settings of MIS-SemSam. The paper does not publish its K, M and top-p: these defaults are this project's.

    Args:
        k: how many neighbours' probability a candidate collects, itself included. With 1, decoding is as by default.
        top_m: at most this many candidates per step ...
        top_p: ... and no more than are needed to reach this probability; in (0, 1].
        guard: ``none`` is the published rule; ``antonyms`` (ours) keeps opposites out of each other's neighbourhoods.
        mode: ``argmax`` makes log(score) the logits, whose argmax greedy decoding takes. ``sample`` makes the scores
            the logits, so that an engine that samples draws from the softmax of the scores.
        strength: how much of its neighbours' weight counts; 1 is the rule, 0 switches it off: logits pass unchanged.
    """

    k: int = 16
    top_m: int = 50
    top_p: float = 0.95
    guard: Guard = "none"
    mode: Mode = "argmax"
    strength: float = 1.0

    def __post_init__(self) -> None:
        for name in ("k", "top_m"):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise SettingsError(f"The setting '{name}' must be a whole number of at least 1.", value=repr(value))
        _check_number("top_p", self.top_p, 0 < _number(self.top_p) <= 1, "above 0 and at most 1")
        _check_number("strength", self.strength, 0 <= _number(self.strength) <= 1, "between 0 and 1")
        for name, legal in (("guard", GUARDS), ("mode", MODES)):
            value = getattr(self, name)
            if value not in legal:
                raise SettingsError(f"The setting '{name}' must be one of: {', '.join(legal)}.", value=repr(value))

    @classmethod
    def from_prefixed(cls, arguments: Mapping[str, Any], prefix: str = "semsam_") -> Self:
        """Settings from those of ``arguments`` whose name begins with ``prefix``; the others are ignored.

        Raises:
            SettingsError: if a prefixed argument is not a setting, or its value is not legal.
        """
        known = [field.name for field in dataclasses.fields(cls)]
        chosen = {name.removeprefix(prefix): value for name, value in arguments.items() if name.startswith(prefix)}
        for name in chosen:
            if name not in known:
                raise SettingsError(
                    "MIS-SemSam has no such setting.",
                    value=prefix + name,
                    remedy=f"use one of: {', '.join(prefix + name for name in known)}.",
                )
        return cls(**chosen)


def _number(value: object) -> float:
    """The value as a number; NaN, which no range contains, if it is not one."""
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else math.nan


def _check_number(name: str, value: object, legal: bool, description: str) -> None:
    if not legal:
        raise SettingsError(f"The setting '{name}' must be a number {description}.", value=repr(value))
