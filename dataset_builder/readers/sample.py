"""Which questions a reader gets: whole pairs, spread over factors, volumes and facts, in random order."""

import random
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dataset_builder.core.factors import FACTORS
from dataset_builder.core.hashing import digest

SPREAD = tuple(FACTORS)
"""Columns over whose values the sample is spread."""
STRATUM = ("modality", "plane", "terminology", "prompt", "input", "view", "answer_type")
"""Columns whose values make a stratum; strata take turns."""
COLUMNS = ("id", "pair_id", "fact_id", "source", "subject", "statement", "option_form", *SPREAD)
"""Columns that the choice needs."""


@dataclass(frozen=True)
class Unit:
    """What is chosen as a whole: both questions of a pair, or one that has no inverse."""

    ids: tuple[str, ...]
    fact: str
    volume: tuple[str, str]
    values: tuple[Any, ...]


def choose(rows: Iterable[Mapping[str, Any]], items: int, seed: int) -> list[str]:
    """Ids of the questions to show, in the order in which they are shown.

    Each next unit is of a kind (combination of factors) whose values were chosen least so far, about a fact and a
    volume that were chosen least so far; the seed decides among equals. Two questions about one fact do not follow
    each other if that can be avoided.

    Args:
        rows: the questions to choose from, with `COLUMNS`.
        items: at most so many questions; pairs stay whole.
        seed: of the choice and the order.
    """
    kinds: dict[tuple[Any, ...], list[Unit]] = {}
    units = sorted(_units(rows), key=lambda unit: digest("reader", seed, *unit.ids))
    for unit in units:
        kinds.setdefault(unit.values, []).append(unit)
    strata = [SPREAD.index(name) for name in STRATUM]
    seen: Counter[object] = Counter()
    chosen: list[Unit] = []
    left = items

    def novelty(kind: tuple[Any, ...]) -> float:
        values = sum(1 / (1 + seen[name, value]) for name, value in zip(SPREAD, kind, strict=True))
        return values + len(SPREAD) / (1 + seen[tuple(kind[number] for number in strata)])

    while left > 0:
        able = [kind for kind, of_kind in kinds.items() if min(len(unit.ids) for unit in of_kind) <= left]
        if not able:
            break
        best = max(able, key=novelty)
        fitting = [unit for unit in kinds[best] if len(unit.ids) <= left]
        unit = min(fitting, key=lambda each: (seen["fact", each.fact], seen["volume", each.volume]))
        kinds[best].remove(unit)
        if not kinds[best]:
            del kinds[best]
        chosen.append(unit)
        left -= len(unit.ids)
        seen["fact", unit.fact] += 1
        seen["volume", unit.volume] += 1
        seen[tuple(best[number] for number in strata)] += 1
        seen.update(zip(SPREAD, best, strict=True))
    return _in_random_order(chosen, seed)


def _units(rows: Iterable[Mapping[str, Any]]) -> list[Unit]:
    pairs: dict[str, list[Mapping[str, Any]]] = {}
    units = []
    for row in rows:
        if row["pair_id"]:
            pairs.setdefault(row["pair_id"], []).append(row)
        else:
            units.append([row])
    units += [pair for pair in pairs.values() if len(pair) == 2]  # half a pair says nothing about the pair
    return [
        Unit(
            tuple(sorted(row["id"] for row in unit)),
            unit[0]["fact_id"],
            (unit[0]["source"], unit[0]["subject"]),
            tuple(unit[0][name] for name in SPREAD),
        )
        for unit in units
    ]


def _in_random_order(units: Sequence[Unit], seed: int) -> list[str]:
    order = [(identity, unit.fact) for unit in units for identity in unit.ids]
    draw = random.Random(digest("reading order", seed))
    draw.shuffle(order)
    for place in range(1, len(order)):
        if order[place][1] == order[place - 1][1]:
            others = [*range(place + 1, len(order)), *range(place - 1)]
            better = next((other for other in others if _fits(order, place, other)), None)
            if better is not None:
                order[place], order[better] = order[better], order[place]
    return [identity for identity, _ in order]


def _fits(order: list[tuple[str, str]], one: int, other: int) -> bool:
    """Whether swapping two places leaves no two questions about one fact beside each other there."""
    swapped = list(order)
    swapped[one], swapped[other] = swapped[other], swapped[one]
    return all(
        swapped[place][1] != swapped[place + 1][1]
        for place in {one - 1, one, other - 1, other}
        if 0 <= place < len(order) - 1
    )
