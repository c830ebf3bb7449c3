"""Looking or knowing: each control against the question that it is derived from, pair by pair.

* ``occluded``: nothing is seen of what is asked about. Who is right as often as before did not look at it.
* ``swapped``: the same words beside another subject's slice, with another answer. Who gives the same answer to both
  did not look.
* ``blank``: nothing is seen of the scan.
* ``name``, ``none``: the convention is given by its name, or not at all.
* ``yes_no``: the same fact as a question for yes or no.
* Shifted options: each option was once in each place. Who knows the answer gives it in every order.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from cluster_statistics import rounded
from lm_eval_tasks.report.items import Sheet
from lm_eval_tasks.report.runs import Question
from lm_eval_tasks.report.scores import Json, difference, share

Key = tuple[object, ...]

CONTROLLED: Mapping[str, tuple[str, str]] = {
    "occluded": ("view", "occluded"),
    "swapped": ("view", "swapped"),
    "blank": ("input", "blank"),
    "name": ("statement", "name"),
    "none": ("statement", "none"),
    "yes_no": ("option_form", "yes_no"),
}
"""Controls by name: the column that says so, and its value."""

USUAL = {"input": "slice", "view": "plain", "statement": "edges", "option_form": "listed", "answer_type": "choice"}
"""What the questions are that controls are derived from; a data set that lacks a column has no such control."""


def looking(sheet: Sheet) -> Json:
    """The controls of a run against their originals, and how consistent it is over the order of options."""
    originals = [row for row in range(len(sheet)) if _is_original(sheet.questions[row])]
    by_words, by_fact = _index(sheet, originals, _asked), _index(sheet, originals, _same)
    found = [_control(sheet, by_words if name == "swapped" else by_fact, name) for name in CONTROLLED]
    return {"controls": [each for each in found if each], "circular": _circular(sheet, by_fact)}


def _is_original(question: Question) -> bool:
    return all(question.get(name) in (None, "", value) for name, value in USUAL.items())


def _asked(question: Question) -> Key:
    """What a control shares with the original whose words it has."""
    return tuple(question.get(name) for name in ("fact_id", "prompt", "register", "convention", "frame"))


def _same(question: Question) -> Key:
    """As well what each of a pair is about."""
    return *_asked(question), tuple(question.get("structures") or ()), question.get("relation")


Index = Mapping[Key, Sequence[int]]
"""Positions of originals by what their controls share with them."""


def _control(sheet: Sheet, index: Index, name: str) -> Json | None:
    column, value = CONTROLLED[name]
    rows = np.flatnonzero(sheet.column(column) == value).tolist()
    pairs = [(one, row) for row in rows if (one := _original(sheet, index, row, name == "swapped")) is not None]
    if not pairs:
        return None
    first, second = np.array(pairs, dtype=np.int64).T
    change = difference(sheet, first, sheet.right[second].astype(float) - sheet.right[first])
    found: Json = {
        "control": name,
        "matched": len(pairs),
        "volumes": len(np.unique(sheet.volumes[first])),
        "chance": rounded(float(sheet.chance[second].mean())),
        "accuracy_original": share(sheet, first, sheet.right[first]),
        "accuracy_control": share(sheet, first, sheet.right[second]),
        "difference": change.interval.to_json(),
        "p": rounded(change.p),
        "both_right": share(sheet, first, sheet.right[first] & sheet.right[second]),
        "same_answer": None,
    }
    if name != "yes_no":  # whose options are others
        said = np.array([_said(sheet, one) == _said(sheet, other) != "" for one, other in pairs])
        found["same_answer"] = share(sheet, first, said)
    return found


def _said(sheet: Sheet, row: int) -> str:
    return sheet.answers[row].said or ""


def _original(sheet: Sheet, index: Index, row: int, swapped: bool) -> int | None:
    """The question that a control is derived from; of a swapped one that with the same words and another answer."""
    question = sheet.questions[row]
    alike = index.get(_asked(question) if swapped else _same(question), [])
    if swapped:
        alike = [one for one in alike if sheet.questions[one].get("relation") != question.get("relation")]
    return alike[0] if len(alike) == 1 else None


def _index(sheet: Sheet, originals: Sequence[int], key: Callable[[Question], Key]) -> dict[Key, list[int]]:
    found: dict[Key, list[int]] = {}
    for row in originals:
        found.setdefault(key(sheet.questions[row]), []).append(row)
    return found


def _circular(sheet: Sheet, index: Index) -> Json | None:
    """Questions that were asked with each option once in each place."""
    forms = sheet.column("option_form")
    shifted = [row for row in range(len(sheet)) if forms[row].startswith("shifted")]
    groups: dict[int, list[int]] = {}
    for row in shifted:
        alike = index.get(_same(sheet.questions[row]), [])
        if len(alike) == 1:
            groups.setdefault(alike[0], [alike[0]]).append(row)
    whole = {one: rows for one, rows in groups.items() if len(rows) == len(sheet.questions[one]["options"])}
    if not whole:
        return None
    first = np.array(list(whole), dtype=np.int64)
    rights = [sheet.right[np.array(rows)] for rows in whole.values()]
    said = [{_said(sheet, row) for row in rows} for rows in whole.values()]
    places = [
        {sheet.questions[row]["options"].index(_said(sheet, row)) for row in rows if _said(sheet, row)}
        for rows in whole.values()
    ]
    same = np.array([len(each) == 1 and "" not in each for each in said])
    return {
        "questions": len(first),
        "orders": int(sum(len(rows) for rows in whole.values())),
        "volumes": len(np.unique(sheet.volumes[first])),
        "accuracy": share(sheet, first, _means(rights)),
        "all_right": share(sheet, first, np.array([right.all() for right in rights])),
        "all_right_by_chance": rounded(float(np.mean([sheet.chance[one] ** len(rows) for one, rows in whole.items()]))),
        "consistent": share(sheet, first, same),
        "same_place": share(sheet, first, np.array([len(each) == 1 for each in places]) & ~same),
    }


def _means(parts: Sequence[NDArray[np.bool_]]) -> NDArray[np.float64]:
    return np.array([part.mean() for part in parts])
