"""The scores of groups of questions: accuracy, pairs, invalid answers, the prior, and what was had without looking."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cluster_statistics import Difference, mean_difference, proportion, rounded
from lm_eval_tasks.mis_ground.reading import STATUSES
from lm_eval_tasks.report.items import Group, Sheet

Json = dict[str, Any]

NO_ANSWER: tuple[str, ...] = tuple(status for status in STATUSES if status != "read")
"""Why a reply gives no answer."""


def scores(sheet: Sheet, blind: Sheet | None = None) -> list[Json]:
    """The scores of every group of a run's questions; the first is of all of them.

    Args:
        sheet: the run.
        blind: a run of the same questions without images, to say how much was had without looking.
    """
    return [score(sheet, group, blind) for group in sheet.groups()]


def score(sheet: Sheet, group: Group, blind: Sheet | None = None) -> Json:
    """The scores of one group; ``schema.json`` says what each part is."""
    rows = group.rows
    right, chance = sheet.right[rows], sheet.chance[rows]
    guessed = float(chance.mean())
    return {
        "by": list(group.by),
        "value": list(group.value),
        "items": len(rows),
        "volumes": len(np.unique(sheet.volumes[rows])),
        "patients": len(np.unique(sheet.patients[rows])),
        "facts": len(np.unique(sheet.facts[rows])),
        "accuracy": share(sheet, rows, right),
        "chance": rounded(guessed),
        "above_chance": difference(sheet, rows, right - chance, (-guessed, 1 - guessed)).interval.to_json(),
        "invalid": share(sheet, rows, sheet.invalid[rows]),
        "no_answer": {name: rounded(float(np.mean(sheet.statuses[rows] == name))) for name in NO_ANSWER},
        **_pairs(sheet, rows),
        "prior": _prior(sheet, rows),
        "blind": _blind(sheet, rows, blind) if blind else None,
    }


def share(sheet: Sheet, rows: NDArray[np.int64], values: ArrayLike) -> Json:
    """Share of questions, by volume; where there is one volume, by what is asked about in it."""
    return proportion(values, *sheet.clusters(rows)).to_json()


def difference(
    sheet: Sheet, rows: NDArray[np.int64], values: ArrayLike, bounds: tuple[float, float] = (-1.0, 1.0)
) -> Difference:
    """Mean of differences over questions, by volume; where there is one volume, by what is asked about in it.

    Args:
        sheet: the run.
        rows: int[n], positions of the questions.
        values: float[n].
        bounds: between which their mean must lie.
    """
    clusters, unit = sheet.clusters(rows)
    return mean_difference(values, clusters, bounds, unit)


def _pairs(sheet: Sheet, rows: NDArray[np.int64]) -> Json:
    inside = np.zeros(len(sheet), dtype=bool)
    inside[rows] = True
    pairs = sheet.pairs[inside[sheet.pairs].all(axis=1)]
    if not len(pairs):
        return {"pairs": 0, "pair_accuracy": None, "pair_chance": None, "pair_chance_constant": None}
    return {
        "pairs": len(pairs),
        "pair_accuracy": share(sheet, pairs[:, 0], sheet.right[pairs].all(axis=1)),
        "pair_chance": rounded(float(sheet.chance[pairs].prod(axis=1).mean())),
        "pair_chance_constant": rounded(float((sheet.rightful[pairs[:, 0]] == sheet.rightful[pairs[:, 1]]).mean())),
    }


def _prior(sheet: Sheet, rows: NDArray[np.int64]) -> Json | None:
    conflicting, agreeing = rows[sheet.conflicts[rows]], rows[sheet.agrees[rows]]
    if not len(conflicting):
        return None
    return {
        "items": len(conflicting),
        "followed": share(sheet, conflicting, sheet.followed_prior[conflicting]),
        "accuracy_where_it_is_wrong": share(sheet, conflicting, sheet.right[conflicting]),
        "accuracy_where_it_is_right": share(sheet, agreeing, sheet.right[agreeing]),
    }


def _blind(sheet: Sheet, rows: NDArray[np.int64], blind: Sheet) -> Json | None:
    shared = [row for row in rows if sheet.ids[row] in blind.run.answers]
    if not shared:
        return None
    here = np.array(shared, dtype=np.int64)
    there = blind.rows_of([sheet.ids[row] for row in here])
    gain = difference(sheet, here, sheet.right[here].astype(float) - blind.right[there])
    return {
        "items": len(here),
        "accuracy": rounded(float(sheet.right[here].mean())),
        "blind_accuracy": rounded(float(blind.right[there].mean())),
        "gain": gain.interval.to_json(),
    }


def blind_reference(sheet: Sheet, sheets: Sequence[Sheet]) -> Sheet | None:
    """The run without images that a run with images is held against.

    Of the same model, if there is one; else of those that answered most of the same questions the most accurate.
    """
    if sheet.run.mode == "blind":
        return None
    shared = {id(other): len(sheet.run.answers.keys() & other.run.answers.keys()) for other in sheets}
    able = [other for other in sheets if other.run.mode == "blind" and shared[id(other)]]
    own = [other for other in able if other.run.model == sheet.run.model]
    return max(own or able, key=lambda other: (shared[id(other)], float(other.right.mean())), default=None)
