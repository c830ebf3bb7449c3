"""What is reported of human readers alone: time, agreement between them, and the questions that they complain of."""

import warnings
from collections.abc import Sequence
from importlib.util import find_spec
from itertools import combinations
from statistics import median

import numpy as np

from cluster_statistics import rounded
from dataset_builder.building.exclusions import exclusions_text
from lm_eval_tasks.report.items import Sheet, volume
from lm_eval_tasks.report.scores import Json

CANNOT = "cannot be answered"
NEEDED = "The agreement of readers needs statsmodels: pip install 'mis-ground[readers]'."


def readers(sheets: Sequence[Sheet]) -> Json | None:
    """Of all runs of people; None if there is none."""
    persons = [sheet for sheet in sheets if sheet.run.person is not None]
    if not persons:
        return None
    return {
        "readers": [_reader(sheet) for sheet in persons],
        "agreement": agreement(persons) if find_spec("statsmodels") else [],
        "flagged": flagged(persons),
    }


def missing_package(sheets: Sequence[Sheet]) -> list[str]:
    """A note, if there is agreement to report and the package for it is not installed."""
    several = sum(sheet.run.person is not None for sheet in sheets) > 1
    return [NEEDED] if several and not find_spec("statsmodels") else []


def _reader(sheet: Sheet) -> Json:
    person = sheet.run.person
    assert person is not None
    seconds = [answer.seconds for answer in person.answers.values()]
    return {
        "name": sheet.run.name,
        "asked": len(person.file.items),
        "answered": len(person.answers),
        "cannot_be_answered": sum(answer.answer is None for answer in person.answers.values()),
        "median_seconds": round(median(seconds), 1) if seconds else None,
        "total_minutes": round(sum(seconds) / 60, 1),
    }


def agreement(persons: Sequence[Sheet]) -> list[Json]:
    """Fleiss' kappa of all readers together, and of every two, over the questions that all of them answered.

    Categories are the places of the options, drawn anew for each question, and "cannot be answered"; questions
    with different numbers of options, which chance agrees on differently often, are kept apart.
    """
    groups = [tuple(persons)] if len(persons) > 1 else []
    groups += [pair for pair in combinations(persons, 2) if pair not in groups]
    return [found for group in groups for found in _agreement(group)]


def _agreement(group: Sequence[Sheet]) -> list[Json]:
    shared = set.intersection(*(set(sheet.ids) for sheet in group))
    by_options: dict[int, list[list[int]]] = {}
    volumes: dict[int, set[str]] = {}
    questions = dict(zip(group[0].ids, group[0].questions, strict=True))
    for identity in sorted(shared):
        options = list(questions[identity]["options"])
        if not options:
            continue
        said = [sheet.run.answers[identity].said for sheet in group]
        places = [len(options) if one is None else options.index(one) for one in said]
        by_options.setdefault(len(options), []).append(places)
        volumes.setdefault(len(options), set()).add(volume(questions[identity]))
    return [
        {
            "readers": [sheet.run.name for sheet in group],
            "options": options,
            "items": len(ratings),
            "volumes": len(volumes[options]),
            "agree": rounded(float(np.mean([len(set(each)) == 1 for each in ratings]))),
            "kappa": rounded(kappa(np.array(ratings), options + 1)),
        }
        for options, ratings in sorted(by_options.items())
    ]


def kappa(ratings: np.ndarray, categories: int) -> float:
    """Fleiss' kappa; NaN where all readers always say the same place, which chance explains.

    Args:
        ratings: int[N, R], the category that each of R readers gave to each of N questions.
        categories: how many there are.
    """
    from statsmodels.stats.inter_rater import fleiss_kappa

    table = np.stack([(ratings == category).sum(axis=1) for category in range(categories)], axis=1)
    with warnings.catch_warnings(), np.errstate(invalid="ignore", divide="ignore"):
        warnings.simplefilter("ignore", RuntimeWarning)
        return float(fleiss_kappa(table, method="fleiss"))


def flagged(persons: Sequence[Sheet]) -> list[Json]:
    """The questions that a reader called wrong or could not answer, those of most readers first.

    Who just does not know says nothing against the question.
    """
    found: dict[str, Json] = {}
    for sheet in persons:
        assert sheet.run.person is not None
        for identity, question in zip(sheet.ids, sheet.questions, strict=True):
            answer = sheet.run.person.answers[identity]
            if answer.complaint:
                entry = found.setdefault(
                    identity, {"id": identity, "fact_id": str(question.get("fact_id") or ""), "reports": []}
                )
                entry["reports"].append(
                    {
                        "reader": sheet.run.name,
                        "kind": answer.complaint,
                        "reason": answer.reason,
                        "remark": answer.remark,
                        "answer": answer.answer,
                    }
                )
    return sorted(found.values(), key=lambda entry: (-len(entry["reports"]), entry["id"]))


def flagged_file(report: Json, content: str) -> dict[str, str]:
    """``flagged.json``, for a curator and for ``mis-ground build --exclude``; nothing if no question is flagged."""
    found = (report["readers"] or {}).get("flagged")
    return {"flagged.json": exclusions_text(found, content)} if found else {}
