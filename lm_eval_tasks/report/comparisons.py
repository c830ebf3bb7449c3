"""Two runs on the same questions: what one gets right that the other does not, in all and by each factor."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import combinations

import numpy as np

from lm_eval_tasks.report.items import FACTORS, Sheet
from lm_eval_tasks.report.scores import Json, difference
from lm_eval_tasks.report.statistics import FEW_CLUSTERS, Interval, bootstrap_means, holm, mcnemar, rounded

COMPARED = (*FACTORS, "relation", "margin_mm")
"""Columns by which two runs are compared."""

ALL_PAIRS_UP_TO = 4
"""More runs than these are each compared with the first only."""


def comparisons(sheets: Sequence[Sheet]) -> list[Json]:
    """Every two runs that were both shown the pictures, or both not; the second minus the first."""
    return [compare(one, other) for one, other in _couples(sheets) if one.run.answers.keys() & other.run.answers.keys()]


def _couples(sheets: Sequence[Sheet]) -> Iterator[tuple[Sheet, Sheet]]:
    for mode in ("pictures", "blind"):
        alike = [sheet for sheet in sheets if sheet.run.mode == mode]
        if len(alike) <= ALL_PAIRS_UP_TO:
            yield from combinations(alike, 2)
        else:
            yield from ((alike[0], other) for other in alike[1:])


def compare(one: Sheet, other: Sheet) -> Json:
    """The comparison of two runs on the questions that both answered.

    Intervals are of a bootstrap that draws volumes, or of Student's t over the volumes where these are few. McNemar's
    exact test counts each question as a draw of its own; its p-values are corrected by Holm's method over all groups.
    """
    shared = {each: answer for each, answer in one.run.answers.items() if each in other.run.answers}
    first = Sheet(replace(one.run, answers=shared), dict(zip(one.ids, one.questions, strict=True)))
    second = other.right[other.rows_of(first.ids)]
    differences = second.astype(float) - first.right
    groups = [group for group in first.groups() if not group.by or (len(group.by) == 1 and group.by[0] in COMPARED)]
    members = np.zeros((len(groups), len(first)), dtype=bool)
    for number, group in enumerate(groups):
        members[number, group.rows] = True
    bounds = bootstrap_means(differences, first.volumes, members)
    found: list[Json] = []
    for group, (low, high) in zip(groups, bounds, strict=True):
        rows = group.rows
        lost, won, p = mcnemar(first.right[rows], second[rows])
        volumes = len(np.unique(first.volumes[rows]))
        mean = float(differences[rows].mean())
        few = volumes < FEW_CLUSTERS
        interval = (
            difference(first, rows, differences[rows]).interval if few else Interval(mean, low, high, "bootstrap")
        )
        found.append(
            {
                "by": list(group.by),
                "value": list(group.value),
                "items": len(rows),
                "volumes": volumes,
                "accuracy_from": rounded(float(first.right[rows].mean())),
                "accuracy_to": rounded(float(second[rows].mean())),
                "difference": interval.to_json(),
                "lost": lost,
                "won": won,
                "p": rounded(p),
                "p_holm": None,
            }
        )
    overall, *by_factor = found
    for each, adjusted in zip(by_factor, holm([each["p"] for each in by_factor]), strict=True):
        each["p_holm"] = rounded(adjusted)
    return {"from": one.run.name, "to": other.run.name, "mode": one.run.mode, "overall": overall, "groups": by_factor}
