"""How many questions to ask of each volume, so that CT and MR come in a given proportion.

Every volume of the rarer kind, measured by that proportion, is asked as much as the settings allow; those of the other
kind share what is left to them evenly, by pairs. All volumes stay in: few questions about many volumes say more than
many about few.
"""

from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from dataset_builder.core.factors import MODALITIES, AnswerType, Input, Modality
from dataset_builder.core.hashing import digest
from dataset_builder.core.settings import QUOTAS, Settings


def settings_of_volumes(volumes: Sequence[tuple[str, Modality]], settings: Settings) -> list[Settings | None]:
    """The settings for each volume; ``None`` for one of which nothing is asked.

    Args:
        volumes: what names the volume ("source/subject") and its modality, of all volumes of the build.
        settings: of the build; without ``ct_share``, or where one modality is all there is, they hold for every volume.
    """
    mixture = Mixture(settings)
    for name, modality in volumes:
        mixture.count(name, modality)
    return [mixture.settings_of(name, modality) for name, modality in volumes]


@dataclass(frozen=True)
class _Quotas:
    """Rows of each volume of one modality: ``low``, or ``high`` for those that drew no more than ``last``."""

    low: int
    high: int
    last: int

    def of(self, drawn: int) -> int:
        return self.high if drawn <= self.last else self.low


class Mixture:
    """The share of each volume: first all are counted, which takes eight bytes a volume, then each is asked for.

    Args:
        settings: of the build.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._drawn = {kind: array("Q") for kind in MODALITIES}
        self._known: dict[tuple[int, ...], Settings | None] = {}

    def count(self, name: str, modality: Modality) -> None:
        """Count a volume in."""
        self._drawn[modality].append(self._draw(name))

    def settings_of(self, name: str, modality: Modality) -> Settings | None:
        """The settings for a volume that was counted; ``None`` if nothing is asked of it."""
        if self._quotas is None:
            return self._settings
        drawn = self._draw(name)
        rows = tuple(quotas[modality].of(drawn) for quotas in self._quotas)
        if rows not in self._known:
            self._known[rows] = _limited(self._settings, dict(zip(QUOTAS, rows, strict=True)))
        return self._known[rows]

    def _draw(self, name: str) -> int:
        """Who gets a pair more is drawn, and does not turn on who else is there: the smallest numbers do."""
        return int(digest("mixture", self._settings.seed, name), 16)

    @cached_property
    def _quotas(self) -> Sequence[Mapping[Modality, _Quotas]] | None:
        """Of each of :data:`dataset_builder.core.settings.QUOTAS`."""
        settings = self._settings
        if settings.ct_share is None or not all(self._drawn.values()):
            return None
        drawn = {kind: np.sort(np.frombuffer(numbers, np.uint64)) for kind, numbers in self._drawn.items()}
        return [_quotas(drawn, getattr(settings, name) or 0, settings.ct_share) for name in QUOTAS]


def _limited(settings: Settings, rows: Mapping[str, int]) -> Settings | None:
    """The settings with other quotas; what gets no row is not asked."""
    dropped: set[Input] = {"slice", "blank"} if not rows["questions_per_volume"] else set()
    dropped |= {"stack"} if not rows["stack_questions_per_volume"] else set()
    inputs = tuple(kind for kind in settings.inputs if kind not in dropped)
    unasked: set[AnswerType] = {"point", "box"} if not rows["locate_questions_per_volume"] else set()
    unasked |= {"number"} if not rows["measure_questions_per_volume"] else set()
    answer_types = tuple(kind for kind in settings.answer_types if kind not in unasked)
    if not inputs or not answer_types:
        return None
    limits: dict[str, Any] = {name: count or getattr(settings, name) for name, count in rows.items()}
    return replace(settings, inputs=inputs, answer_types=answer_types, **limits)


def _quotas(drawn: Mapping[Modality, npt.NDArray[np.uint64]], most: int, ct_share: float) -> dict[Modality, _Quotas]:
    """Rows of each volume, none more than ``most``, together as many as the proportion of the modalities allows.

    Args:
        drawn: the numbers that the volumes of each modality drew, ascending.
    """
    share: dict[Modality, float] = {"ct": ct_share, "mri": 1 - ct_share}
    total = min(most * len(drawn[kind]) / share[kind] for kind in share)
    quotas = {}
    for kind, numbers in drawn.items():
        low, high, more = _spread(total * share[kind], len(numbers), most)
        quotas[kind] = _Quotas(low, high, int(numbers[more - 1]) if more else -1)
    return quotas


def _spread(total: float, volumes: int, most: int) -> tuple[int, int, int]:
    """``total`` rows over so many volumes, evenly, by pairs: (rows of each, rows of the first ones, how many these)."""
    rows, left = 0, total
    while rows < most:
        step = min(2, most - rows)
        more = max(0, min(volumes, round(left / step)))  # a pair may have been one row too much
        if more < volumes:
            return rows, rows + step, more
        rows += step
        left -= more * step
    return rows, rows, 0
