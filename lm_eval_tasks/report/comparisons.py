"""Two runs on the same questions: what one gets right that the other does not, in all and by each factor."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import combinations

import numpy as np

from cluster_statistics import holm, mcnemar, rounded
from lm_eval_tasks.report.items import FACTORS, Sheet
from lm_eval_tasks.report.scores import Json, difference

COMPARED = (*FACTORS, "relation", "margin_mm")
"""Columns by which two runs are compared."""

ALL_PAIRS_UP_TO = 4
"""More runs than these are each compared with the first only."""


def comparisons(sheets: Sequence[Sheet]) -> list[Json]:
    """Every two runs that were both shown the images, or both not; the second minus the first."""
    return [compare(one, other) for one, other in _couples(sheets) if one.run.answers.keys() & other.run.answers.keys()]


def _couples(sheets: Sequence[Sheet]) -> Iterator[tuple[Sheet, Sheet]]:
    for mode in ("pictures", "blind"):
        alike = [sheet for sheet in sheets if sheet.run.mode == mode]
        if len(alike) <= ALL_PAIRS_UP_TO:
            yield from combinations(alike, 2)
        else:
            people = [sheet for sheet in alike if sheet.run.person]
            models = [sheet for sheet in alike if not sheet.run.person]
            yield from ((alike[0], other) for other in alike[1:])
            yield from ((model, person) for model in models[1:] for person in people)


def compare(one: Sheet, other: Sheet) -> Json:
    """The comparison of two runs on the questions that both answered.

    Intervals and p-values are by volume, those of the groups corrected by Holm's method. McNemar's exact test counts
    each question as a draw of its own, which those of several volumes are not: it is given for one volume only.
    """
    shared = {each: answer for each, answer in one.run.answers.items() if each in other.run.answers}
    first = Sheet(replace(one.run, answers=shared), dict(zip(one.ids, one.questions, strict=True)))
    second = other.right[other.rows_of(first.ids)]
    differences = second.astype(float) - first.right
    groups = [group for group in first.groups() if not group.by or (len(group.by) == 1 and group.by[0] in COMPARED)]
    found: list[Json] = []
    for group in groups:
        rows = group.rows
        lost, won, by_question = mcnemar(first.right[rows], second[rows])
        volumes = len(np.unique(first.volumes[rows]))
        by_cluster = difference(first, rows, differences[rows])
        found.append(
            {
                "by": list(group.by),
                "value": list(group.value),
                "items": len(rows),
                "volumes": volumes,
                "accuracy_from": rounded(float(first.right[rows].mean())),
                "accuracy_to": rounded(float(second[rows].mean())),
                "difference": by_cluster.interval.to_json(),
                "lost": lost,
                "won": won,
                "p": rounded(by_cluster.p),
                "p_holm": None,
                "p_mcnemar": rounded(by_question) if volumes == 1 else None,
            }
        )
    overall, *by_factor = found
    p_values = [np.nan if each["p"] is None else each["p"] for each in by_factor]
    for each, adjusted in zip(by_factor, holm(p_values), strict=True):
        each["p_holm"] = rounded(adjusted)
    return {"from": one.run.name, "to": other.run.name, "mode": one.run.mode, "overall": overall, "groups": by_factor}
