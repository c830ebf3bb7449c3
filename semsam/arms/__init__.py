"""Decoding arms: ways to decode that a study compares on the same questions, by name.

CraEG (arXiv 2601.22536) is not among them: only its abstract could be had when these were written, and its rule is not
in it.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

from semsam.arms.adaptvis import AdaptVis, ScalingVis
from semsam.arms.arm import Arm, Loaded
from semsam.arms.default import Default
from semsam.arms.greedy import Greedy
from semsam.arms.min_p import MinP
from semsam.arms.random_k import RandomK
from semsam.arms.semantic import OneNeighbour, SemSam, SemSamGuard
from semsam.arms.shuffled import Shuffled
from semsam.arms.top_h import TopH
from semsam.arms.top_n_sigma import TopNSigma
from semsam.arms.vcd import VisualContrast
from semsam.errors import SettingsError

__all__ = ["ARMS", "Arm", "Loaded", "arm_of"]

_KINDS: tuple[type[Arm], ...] = (
    *(Greedy, Default, SemSam, SemSamGuard, OneNeighbour, Shuffled, RandomK),
    *(MinP, TopNSigma, TopH, VisualContrast, ScalingVis, AdaptVis),
)
ARMS: Mapping[str, type[Arm]] = {kind.name: kind for kind in _KINDS}
"""Every arm by name."""


def arm_of(name: str, settings: Mapping[str, Any] | None = None) -> Arm:
    """An arm with its settings.

    Raises:
        SettingsError: if there is no such arm or setting, or a value is not legal.
    """
    if name not in ARMS:
        raise SettingsError("There is no such arm.", value=name, remedy=f"use one of: {', '.join(ARMS)}.")
    kind = ARMS[name]
    known = [field.name for field in dataclasses.fields(kind)]
    unknown = [setting for setting in settings or {} if setting not in known]
    if unknown:
        raise SettingsError(
            f"The arm {name} has no such setting.",
            value=", ".join(map(str, unknown)),
            remedy=f"use one of: {', '.join(known)}." if known else "it has no settings.",
        )
    return kind(**(settings or {}))
