"""The numbers of answers that are no options: boxes, points and measurements, with the baselines of not looking."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from cluster_statistics import mean_difference, rounded
from lm_eval_tasks.report.items import CONTROLS, FACTORS, Group, Sheet, text_of
from lm_eval_tasks.report.scores import Json, share

ERRORS = {"box": "centre_mm", "point": "distance_mm", "number": "bias"}
"""The error of an answer that was given: of a box that of its centre and of a point its distance from the structure, in
millimetres; of a number what was said too much, in parts of the truth."""

SCORES = {"box": "iou", "number": "mra"}
"""The score of an answer beside right and wrong, from 0 to 1."""

BINS: dict[str, tuple[float, ...]] = {
    "box": (0, 5, 10, 15, 20, 30, 40, 60, 80, 120),
    "point": (0, 1e-9, 5, 10, 15, 20, 30, 40, 60, 80),
    "number": (-1, -0.5, -0.25, -0.1, -0.05, 0, 0.05, 0.1, 0.25, 0.5, 1),
}
"""Lower bounds of the errors' groups; the last is open. Of points the first are those on the structure."""

MOST_PAIRS = 400
"""So many answers are drawn as what was said against what is true."""

KINDS = ("box", "point", "mm", "degree", "ratio")


def positions(sheet: Sheet) -> list[Json]:
    """The numbers of each kind of answer that a run gave; ``schema.json`` says what each part is."""
    kinds = np.array([_kind(sheet, row) for row in range(len(sheet))], dtype=np.str_)
    found = []
    for kind in KINDS:
        rows = np.flatnonzero(kinds == kind)
        if len(rows):
            found.append(_of_kind(sheet, kind, rows))
    return found


def _kind(sheet: Sheet, row: int) -> str:
    kind = sheet.answers[row].kind
    return text_of(sheet.questions[row].get("unit")) if kind == "number" else kind


def _of_kind(sheet: Sheet, kind: str, rows: NDArray[np.int64]) -> Json:
    answer_type = kind if kind in ERRORS else "number"
    plain = _unmoved(sheet, rows)
    given = [row for row in plain if ERRORS[answer_type] in sheet.answers[row].scores]
    errors = np.array([sheet.answers[row].scores[ERRORS[answer_type]] for row in given])
    return {
        "kind": kind,
        "scores": [_score(sheet, group, answer_type) for group in _groups(sheet, rows, plain)],
        "error": ERRORS[answer_type],
        "histogram": _histogram(errors, BINS[answer_type]),
        "said_against_true": _pairs(sheet, given) if answer_type == "number" else [],
        "worst": _worst(sheet, plain, answer_type),
    }


def _unmoved(sheet: Sheet, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Without the questions about mirrored and rotated images, unless there are only such."""
    plain = rows[~np.isin(sheet.column("view")[rows], CONTROLS["view"])]
    return plain if len(plain) else rows


def _groups(sheet: Sheet, rows: NDArray[np.int64], plain: NDArray[np.int64]) -> Iterator[Group]:
    """All; by each factor, source and measurement; by the structure that is asked for."""
    yield Group((), (), plain)
    for name in (*FACTORS, "source", "relation"):
        if name == "answer_type":
            continue
        among = rows if name == "view" else plain
        column = sheet.column(name)[among]
        values = [value for value in sheet.values(name) if (column == value).any()]
        for value in values if len(values) > 1 else ():
            yield Group((name,), (value,), among[column == value])
    asked = np.array([_structure(sheet, row) for row in plain], dtype=np.str_)
    for structure in sorted(set(asked) - {""}):
        yield Group(("structure",), (structure,), plain[asked == structure])


def _structure(sheet: Sheet, row: int) -> str:
    """The structure that is asked for; of two or more that are measured against each other the first."""
    return text_of(next(iter(sheet.questions[row].get("structures") or []), ""))


def _score(sheet: Sheet, group: Group, answer_type: str) -> Json:
    rows = group.rows
    own = [sheet.answers[row].scores for row in rows]
    score = SCORES.get(answer_type, "")
    errors = np.array([each[ERRORS[answer_type]] for each in own if ERRORS[answer_type] in each])
    return {
        "by": list(group.by),
        "value": list(group.value),
        "items": len(rows),
        "volumes": len(np.unique(sheet.volumes[rows])),
        "accuracy": share(sheet, rows, sheet.right[rows]),
        "score": _mean(sheet, rows, [each.get(score, 0.0) for each in own]) if score else None,
        "invalid": share(sheet, rows, sheet.invalid[rows]),
        "errors": {name: _quantile(errors, at) for name, at in (("p25", 25), ("median", 50), ("p75", 75), ("p90", 90))},
        "size_ratio": _quantile(np.array([each["size_ratio"] for each in own if "size_ratio" in each]), 50),
        "prior_accuracy": _plain_mean([each["prior_acc"] for each in own if "prior_acc" in each]),
        "prior_score": _plain_mean([each[f"prior_{score}"] for each in own if f"prior_{score}" in each]),
        "random_accuracy": _plain_mean([each["random_acc"] for each in own if "random_acc" in each]),
        "random_score": _plain_mean([each[f"random_{score}"] for each in own if f"random_{score}" in each]),
    }


def _mean(sheet: Sheet, rows: NDArray[np.int64], values: Sequence[float]) -> Json:
    """The mean of scores from 0 to 1, by volume."""
    clusters, unit = sheet.clusters(rows)
    return mean_difference(np.asarray(values, dtype=float), clusters, (0.0, 1.0), unit).interval.to_json()


def _plain_mean(values: Sequence[float]) -> float | None:
    return rounded(float(np.mean(values))) if values else None


def _quantile(values: NDArray[np.float64], at: float) -> float | None:
    known = values[np.isfinite(values)]
    return rounded(float(np.percentile(known, at))) if len(known) else None


def _histogram(values: NDArray[np.float64], bounds: Sequence[float]) -> Json:
    """How many errors lie from each bound to the next; what lies below the first counts with it."""
    known = values[np.isfinite(values)]
    places = np.clip(np.searchsorted(bounds, known, side="right") - 1, 0, None)
    return {"from": list(bounds), "counts": np.bincount(places, minlength=len(bounds)).tolist()}


def _pairs(sheet: Sheet, given: Sequence[int]) -> list[list[float]]:
    """The true and the said number of some answers, spread evenly over the questions' ids."""
    step = max(1, -(-len(given) // MOST_PAIRS))
    return [
        [round(float(sheet.questions[row]["value"]), 4), round(sheet.answers[row].values[0], 4)]
        for row in given[::step]
    ]


def _worst(sheet: Sheet, rows: NDArray[np.int64], answer_type: str) -> list[str]:
    """Structures from the lowest score up; those of one volume only are not ranked."""
    score = SCORES.get(answer_type, "acc")
    by: dict[str, list[int]] = {}
    for row in rows:
        by.setdefault(_structure(sheet, row), []).append(int(row))
    means = {
        name: float(np.mean([sheet.answers[row].scores.get(score, 0.0) for row in own]))
        for name, own in by.items()
        if name and len(np.unique(sheet.volumes[own])) > 1
    }
    return sorted(means, key=lambda name: (means[name], name))
