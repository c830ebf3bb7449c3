"""Effects of factors: the same fact asked in two ways that differ in one factor only.

The data set asks the same thing of the same slice clinically and in lay words, in both conventions, with each prompt,
and so on, joined by ``fact_id``. The mean difference within such pairs is the effect of the factor with all
else equal; a comparison of plain means would mix in that some ways suit easier facts.
"""

import re
from collections.abc import Iterator
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from cluster_statistics import holm, rounded
from lm_eval_tasks.report.items import CONTROLS, FACTORS, Sheet, text_of
from lm_eval_tasks.report.runs import Question
from lm_eval_tasks.report.scores import Json, difference


def effects(sheet: Sheet) -> list[Json]:
    """The effect of each factor, for each two of its values, in all questions and within each terminology.

    P-values are corrected by Holm's method, over all effects in all questions, and over all those within a terminology.
    """
    found = list(_effects_in(sheet))
    for within in (False, True):
        family = [effect for effect in found if bool(effect["within"]) == within]
        adjusted = holm([np.nan if effect["p"] is None else effect["p"] for effect in family])
        for effect, p in zip(family, adjusted, strict=True):
            effect["p_holm"] = rounded(p)
    return found


def _effects_in(sheet: Sheet) -> Iterator[Json]:
    terminology = sheet.column("terminology")
    for name, one, other, first, differences in matched_differences(sheet):
        for within in ("", *sheet.values("terminology")):
            inside = np.ones(len(first), dtype=bool) if not within else terminology[first] == within
            if not inside.any() or (within and inside.all()):
                continue
            here = first[inside]
            found = difference(sheet, here, differences[inside])
            yield {
                "factor": name,
                "from": one,
                "to": other,
                "within": within,
                "matched": len(here),
                "volumes": len(np.unique(sheet.volumes[here])),
                "accuracy_from": rounded(float(sheet.right[here].mean())),
                "accuracy_to": rounded(float((sheet.right[here] + differences[inside]).mean())),
                "difference": found.interval.to_json(),
                "p": rounded(found.p),
                "p_holm": None,
            }


def matched_differences(
    sheet: Sheet,
) -> Iterator[tuple[str, str, str, NDArray[np.int64], NDArray[np.float64]]]:
    """Of each factor and two of its values: positions of the matched questions with the first, what the second adds."""
    for name in FACTORS:
        values = sheet.values(name)
        rows_of = matched(sheet, name) if len(values) > 1 else []
        for one, other in combinations(values, 2):
            first, differences = _differences(sheet, rows_of, one, other)
            if len(first):
                yield name, one, other, first, differences


def matched(sheet: Sheet, name: str) -> list[dict[str, int]]:
    """Questions that are alike in all but one factor: for each such set, the position by the factor's value.

    The two questions of a pair share a fact. What tells them apart is which structure comes first; of three structures
    in a row, from which end they are asked for; and else their number in the pair, with which their ids end.
    """
    others = [sheet.column(other).tolist() for other in FACTORS if other != name and len(sheet.values(other)) > 1]
    own = sheet.column(name).tolist()
    sets: dict[tuple[object, ...], dict[str, list[int]]] = {}
    for row in sheet.without_controls(but_of=name) if name in CONTROLS else sheet.scored:
        question = sheet.questions[row]
        if not question.get("fact_id") or not own[row]:
            continue
        structures = tuple(question.get("structures") or ())
        key = (question["fact_id"], structures, _asked(question), *(column[row] for column in others))
        sets.setdefault(key, {}).setdefault(own[row], []).append(int(row))
    found: list[dict[str, int]] = []
    for rows in sets.values():
        found += _one_each(sheet, rows)
    return [rows for rows in found if len(rows) > 1]


def _asked(question: Question) -> str:
    """The relation, which is the same however a fact is asked; an image's number depends on the order of the images."""
    relation = text_of(question.get("relation"))
    return "" if re.search(r" in image \d+$", relation) else relation


def _one_each(sheet: Sheet, rows: dict[str, list[int]]) -> Iterator[dict[str, int]]:
    """Sets with one question for each value; indistinguishable questions are left out, not matched by chance."""
    if all(len(of_value) == 1 for of_value in rows.values()):
        yield {value: of_value[0] for value, of_value in rows.items()}
        return
    by_number: dict[str, dict[str, list[int]]] = {}
    for value, of_value in rows.items():
        for row in of_value:
            number = sheet.ids[row].rpartition("-")[2]
            by_number.setdefault(number, {}).setdefault(value, []).append(row)
    for of_number in by_number.values():
        yield {value: of_value[0] for value, of_value in of_number.items() if len(of_value) == 1}


def _differences(
    sheet: Sheet, rows_of: list[dict[str, int]], one: str, other: str
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Positions of the questions with one value that have a match with the other, and what the match is righter by."""
    both = [(rows[one], rows[other]) for rows in rows_of if one in rows and other in rows]
    first, second = np.array(both, dtype=np.int64).reshape(-1, 2).T
    return first, sheet.right[second].astype(float) - sheet.right[first]
