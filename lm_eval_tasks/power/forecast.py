"""What a data set can show: intervals to expect, and differences that can be seen.

All rests on four numbers: the accuracy, the intraclass correlation (what questions of a volume have in common), the
share of questions that two models answer differently, and the intraclass correlation of these differences. They are
measured in runs where there are some, else assumed; which is which is stated with each.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import metadata
from math import isfinite

import numpy as np
from numpy.typing import NDArray

from cluster_statistics import LEVEL, rounded
from cluster_statistics.planning import (
    WANTED_POWER,
    clustering,
    design_effect,
    detectable_difference,
    expected_interval,
    power_of_difference,
    resized,
)
from dataset_builder.core.errors import MISGroundError
from lm_eval_tasks.report.effects import matched_differences
from lm_eval_tasks.report.items import FACTORS, Sheet
from lm_eval_tasks.report.scores import Json

ACCURACY, CORRELATION, AGREEMENT = 0.6, 0.05, 0.5
"""Assumed where no run tells: the accuracy, the intraclass correlation, and the correlation of two models' answers."""

VOLUMES = (5, 10, 20, 50, 100, 200, 500, 1000)
PER_VOLUME = (5, 10, 20, 50, 100)
CORRELATIONS = (0.0, 0.02, 0.05, 0.1, 0.2)
DIFFERENCES = (0.1, 0.05, 0.03, 0.02)
"""Differences of two models for which it is said how many volumes see them."""
MOST_VOLUMES = 20_000


@dataclass(frozen=True)
class Basis:
    """What a forecast rests on, of questions or of pairs.

    Args:
        accuracy: share that is right.
        correlation: intraclass correlation of being right.
        discordant: share with different outcomes in two models.
        of_differences: intraclass correlation of the differences.
        told_by: where each number is from, by its name.
    """

    accuracy: float
    correlation: float
    discordant: float
    of_differences: float
    told_by: dict[str, str]

    def to_json(self) -> Json:
        """As in ``power.json``."""
        return {
            "accuracy": rounded(self.accuracy),
            "correlation": rounded(self.correlation),
            "discordant": rounded(self.discordant),
            "correlation_of_differences": rounded(self.of_differences),
            "from": self.told_by,
        }


def forecast(
    asked: Sheet,
    runs: Sequence[Sheet] = (),
    accuracy: float | None = None,
    correlation: float | None = None,
    discordant: float | None = None,
) -> Json:
    """All that ``mis-ground power`` tells.

    Args:
        asked: the questions of the data set.
        runs: evaluated runs; of two or more, the first two tell how often models differ.
        accuracy, correlation, discordant: in place of what runs tell, or of what is assumed without.

    Raises:
        MISGroundError: if a number is no share, or the runs have no question in common.
    """
    for name, value in (("accuracy", accuracy), ("icc", correlation), ("discordant", discordant)):
        if value is not None and not 0 <= value <= 1:
            raise MISGroundError(f"--{name} is not a share.", value=value, remedy="Give a number between 0 and 1.")
    given = {"accuracy": accuracy, "correlation": correlation, "discordant": discordant}
    questions, pairs = (_basis(runs, given, pairs=of_pairs) for of_pairs in (False, True))
    units, unit = drawn_units(asked)
    sizes = _sizes(units)
    of_pairs = _sizes(units[np.searchsorted(asked.scored, asked.pairs_scored[:, 0])])
    own = _Sized(sizes, of_pairs)
    share = len(of_pairs) and of_pairs.sum() / sizes.sum()

    def row(sized: _Sized, correlation: float | None = None) -> Json:
        return _row(sized, questions, pairs, unit, correlation)

    per_volume = float(sizes.mean())
    return {
        "schema": "mis-ground-power",
        "made_by": f"mis-ground {metadata.version('mis-ground')}",
        "level": LEVEL,
        "power": WANTED_POWER,
        "unit": unit,
        "data": _counts(asked),
        "questions": questions.to_json(),
        "pairs": pairs.to_json(),
        "as_it_is": row(own),
        "by_volumes": [row(own.of(count)) for count in sorted({*VOLUMES, len(sizes)})],
        "by_questions": [row(own.of(len(sizes), each, share)) for each in sorted({*PER_VOLUME, round(per_volume)})],
        "by_correlation": [row(own, each) for each in sorted({*CORRELATIONS, round(questions.correlation, 4)})],
        "by_factor": [
            {
                "factor": group.by[0],
                "value": group.value[0],
                **_row(_of_rows(asked, group.rows), questions, pairs, unit),
            }
            for group in asked.groups()
            if len(group.by) == 1 and group.by[0] in FACTORS and len(asked.values(group.by[0])) > 1
        ],
        "effects": list(_effects(runs[0], unit)) if runs else [],
        "needed": [{"difference": wanted, "volumes": _needed(wanted, own, questions)} for wanted in DIFFERENCES],
    }


def drawn_units(asked: Sheet) -> tuple[NDArray[np.int64], str]:
    """Of each question that counts what was drawn, and what that is called: patients, where these are fewer."""
    units = asked.patients[asked.scored]
    fewer = len(np.unique(units)) < len(np.unique(asked.volumes[asked.scored]))
    return units, "patient" if fewer else "volume"


@dataclass(frozen=True)
class _Sized:
    """Questions and pairs of each cluster: float[G], float[G']."""

    questions: NDArray[np.float64]
    pairs: NDArray[np.float64]

    def of(self, clusters: int, per_cluster: float | None = None, pairs_per_question: float = 0.0) -> "_Sized":
        """As many clusters with questions spread as here, and as large a part of them in pairs."""
        questions = resized(self.questions, clusters, per_cluster)
        if not len(self.pairs):
            return _Sized(questions, self.pairs)
        with_pairs = max(1, round(clusters * len(self.pairs) / len(self.questions)))
        each = None if per_cluster is None else float(questions.sum()) * pairs_per_question / with_pairs
        return _Sized(questions, resized(self.pairs, with_pairs, each))


def _sizes(units: NDArray[np.int64]) -> NDArray[np.float64]:
    return np.unique(units, return_counts=True)[1].astype(np.float64)


def _of_rows(asked: Sheet, rows: NDArray[np.int64]) -> _Sized:
    units = asked.patients
    inside = np.isin(asked.pairs, rows).all(axis=1) if len(asked.pairs) else np.zeros(0, dtype=bool)
    return _Sized(_sizes(units[rows]), _sizes(units[asked.pairs[inside][:, 0]]))


def _counts(asked: Sheet) -> Json:
    rows = asked.scored
    return {
        "questions": len(rows),
        "pairs": len(asked.pairs_scored),
        "facts": len(np.unique(asked.facts[rows])),
        "volumes": len(np.unique(asked.volumes[rows])),
        "patients": len(np.unique(asked.patients[rows])),
    }


def _row(sized: _Sized, questions: Basis, pairs: Basis, unit: str, correlation: float | None = None) -> Json:
    """What is to be expected of so many questions and pairs."""

    def scaled(basis: Basis, own: float) -> float:
        # The clustering of pairs and of differences is taken to change as that of the questions does.
        if correlation is None:
            return own
        return (
            correlation
            if not basis.correlation or not questions.correlation
            else min(1.0, own * correlation / questions.correlation)
        )

    def wide(basis: Basis, sizes: NDArray[np.float64]) -> Json | None:
        if not len(sizes):
            return None
        return expected_interval(basis.accuracy, sizes, scaled(basis, basis.correlation), unit).to_json()

    def seen(basis: Basis, sizes: NDArray[np.float64]) -> float | None:
        if len(sizes) < 2:
            return None
        found = detectable_difference(basis.discordant, sizes, scaled(basis, basis.of_differences))
        return None if found is None else rounded(found)

    used = questions.correlation if correlation is None else correlation
    return {
        "volumes": len(sized.questions),
        "questions": int(sized.questions.sum()),
        "pairs": int(sized.pairs.sum()),
        "questions_per_volume": rounded(float(sized.questions.mean())),
        "correlation": rounded(used),
        "design_effect": rounded(design_effect(sized.questions, used)),
        "accuracy": wide(questions, sized.questions),
        "pair_accuracy": wide(pairs, sized.pairs),
        "difference": seen(questions, sized.questions),
        "pair_difference": seen(pairs, sized.pairs),
    }


def _basis(runs: Sequence[Sheet], given: dict[str, float | None], pairs: bool) -> Basis:
    """The four numbers, of questions or of pairs."""
    told: dict[str, str] = {}

    def settled(name: str, measured: float | None, assumed: float, by: str, reason: str) -> float:
        own = given.get(name)
        if own is not None and not (pairs and name != "correlation"):
            told[name] = "given"
            return own
        if measured is not None and isfinite(measured):
            told[name] = f"measured in {by}"
            return measured
        told[name] = reason
        return assumed

    what = clustering(*_outcomes(runs[0], pairs)) if runs else None
    name = runs[0].run.name if runs else ""
    usual = ACCURACY if given["accuracy"] is None else given["accuracy"]
    accuracy = settled(
        "accuracy",
        what.mean if what else None,
        usual**2 if pairs else usual,
        name,
        "as of independent questions" if pairs else "assumed",
    )
    correlation = settled("correlation", what.correlation if what else None, CORRELATION, name, "assumed")
    differing = clustering(*_differences(runs[0], runs[1], pairs)) if len(runs) > 1 else None
    both = f"{name} and {runs[1].run.name}" if len(runs) > 1 else ""
    discordant = settled(
        "discordant",
        None if differing is None or not differing.items else differing.spread + differing.mean**2,
        2 * accuracy * (1 - accuracy) * (1 - AGREEMENT),
        both,
        f"assumed: two models of this accuracy whose answers correlate by {AGREEMENT:g}",
    )
    of_differences = settled(
        "correlation_of_differences",
        differing.correlation if differing else None,
        correlation,
        both,
        "assumed to be that of one run",
    )
    return Basis(accuracy, correlation, discordant, of_differences, told)


def _outcomes(sheet: Sheet, pairs: bool) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Whether each question is right, or both of each pair; and its patient."""
    if pairs:
        both = sheet.pairs_scored
        return sheet.right[both].all(axis=1).astype(float), sheet.patients[both[:, 0]]
    return sheet.right[sheet.scored].astype(float), sheet.patients[sheet.scored]


def _differences(one: Sheet, other: Sheet, pairs: bool) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """What the second run is righter by, on the questions or pairs that both answered."""
    items = one.pairs_scored if pairs else one.scored[:, None]
    shared = [row for row in items if all(one.ids[each] in other.run.answers for each in row)]
    if not shared:
        if not pairs:
            raise MISGroundError(
                "The two runs have no question in common.",
                value=f"{one.run.name}, {other.run.name}",
                remedy="Give runs on the same data set.",
            )
        return np.zeros(0), np.zeros(0, dtype=np.int64)
    here = np.array(shared)
    there = other.rows_of([one.ids[each] for each in here.ravel()]).reshape(here.shape)
    values = other.right[there].all(axis=1).astype(float) - one.right[here].all(axis=1)
    return values, one.patients[here[:, 0]]


def _effects(sheet: Sheet, unit: str) -> Iterator[Json]:
    """Of each factor: what difference the matched questions of the run can show, against its first value."""
    for name, one, other, first, differences in matched_differences(sheet):
        if one != sheet.values(name)[0]:
            continue
        clusters = sheet.patients[first]
        found = clustering(differences, clusters)
        seen = (
            detectable_difference(found.spread + found.mean**2, _sizes(clusters), found.correlation)
            if isfinite(found.correlation) and found.spread
            else None
        )
        yield {
            "factor": name,
            "from": one,
            "to": other,
            "matched": len(first),
            "volumes": found.clusters,
            "measured": rounded(found.mean),
            "correlation": rounded(found.correlation),
            "difference": None if seen is None else rounded(seen),
        }


def _needed(wanted: float, own: _Sized, basis: Basis) -> int | None:
    """The fewest volumes, with as many questions each, in which a difference is seen."""

    def enough(count: int) -> bool:
        sizes = resized(own.questions, count)
        return power_of_difference(wanted, basis.discordant, sizes, basis.of_differences) >= WANTED_POWER

    low, high = 2, 2
    while not enough(high):
        low, high = high, 2 * high
        if high > MOST_VOLUMES:
            return None
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle + 1, high)
    return high
