"""The scores of groups of questions: accuracy, pairs, invalid answers, the prior, and what was had without looking."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lm_eval_tasks.report.items import Group, Sheet
from lm_eval_tasks.report.statistics import Difference, Interval, mean_difference, proportion, rounded

Json = dict[str, Any]


def scores(sheet: Sheet, blind: Sheet | None = None) -> list[Json]:
    """The scores of every group of a run's questions; the first is of all of them.

    Args:
        sheet: the run.
        blind: a run of the same questions without pictures, to say how much was had without looking.
    """
    return [score(sheet, group, blind) for group in sheet.groups()]


def score(sheet: Sheet, group: Group, blind: Sheet | None = None) -> Json:
    """The scores of one group; ``schema.json`` says what each part is."""
    rows = group.rows
    right, volumes, chance = sheet.right[rows], sheet.volumes[rows], sheet.chance[rows]
    return {
        "by": list(group.by),
        "value": list(group.value),
        "items": len(rows),
        "volumes": len(np.unique(volumes)),
        "accuracy": proportion(right, volumes).to_json(),
        "chance": rounded(float(chance.mean())),
        "above_chance": difference(sheet, rows, right - chance).interval.to_json(),
        "invalid": proportion(sheet.invalid[rows], volumes).to_json(),
        **_pairs(sheet, rows),
        "prior": _prior(sheet, rows),
        "blind": _blind(sheet, rows, blind) if blind else None,
    }


def difference(sheet: Sheet, rows: NDArray[np.int64], values: ArrayLike) -> Difference:
    """Mean of differences over questions, by volume; where there is one volume, by what is asked about in it."""
    volumes = sheet.volumes[rows]
    if len(np.unique(volumes)) > 1:
        return mean_difference(values, volumes)
    found = mean_difference(values, sheet.facts[rows])
    kept = found.interval
    if kept.method == "none":
        return found
    return Difference(Interval(kept.value, kept.low, kept.high, "clustered t by fact"), found.p)


def _pairs(sheet: Sheet, rows: NDArray[np.int64]) -> Json:
    inside = np.zeros(len(sheet), dtype=bool)
    inside[rows] = True
    pairs = sheet.pairs[inside[sheet.pairs].all(axis=1)]
    if not len(pairs):
        return {"pairs": 0, "pair_accuracy": None, "pair_chance": None}
    return {
        "pairs": len(pairs),
        "pair_accuracy": proportion(sheet.right[pairs].all(axis=1), sheet.volumes[pairs[:, 0]]).to_json(),
        "pair_chance": rounded(float(sheet.chance[pairs].prod(axis=1).mean())),
    }


def _prior(sheet: Sheet, rows: NDArray[np.int64]) -> Json | None:
    conflicting, agreeing = rows[sheet.conflicts[rows]], rows[sheet.agrees[rows]]
    if not len(conflicting):
        return None
    return {
        "items": len(conflicting),
        "followed": proportion(sheet.followed_prior[conflicting], sheet.volumes[conflicting]).to_json(),
        "accuracy_where_it_is_wrong": proportion(sheet.right[conflicting], sheet.volumes[conflicting]).to_json(),
        "accuracy_where_it_is_right": proportion(sheet.right[agreeing], sheet.volumes[agreeing]).to_json(),
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
    """The run without pictures that a run with pictures is held against.

    Of the same model, if there is one; else of those that answered most of the same questions the most accurate.
    """
    if sheet.run.mode == "blind":
        return None
    shared = {id(other): len(sheet.run.answers.keys() & other.run.answers.keys()) for other in sheets}
    able = [other for other in sheets if other.run.mode == "blind" and shared[id(other)]]
    own = [other for other in able if other.run.model == sheet.run.model]
    return max(own or able, key=lambda other: (shared[id(other)], float(other.right.mean())), default=None)
