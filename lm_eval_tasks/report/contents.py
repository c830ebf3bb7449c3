"""All numbers of a report, as they stand in ``report.json``; ``schema.json`` beside this file describes them."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from importlib import metadata, resources
from typing import Any

from cluster_statistics import FEW_CLUSTERS, LEVEL
from lm_eval_tasks.report.comparisons import comparisons
from lm_eval_tasks.report.confusions import confusions
from lm_eval_tasks.report.effects import effects
from lm_eval_tasks.report.enough import enough
from lm_eval_tasks.report.items import FACTORS, Sheet, fact, in_order, patient, text_of, volume
from lm_eval_tasks.report.judge import Judged
from lm_eval_tasks.report.looking import looking
from lm_eval_tasks.report.positions import positions
from lm_eval_tasks.report.readers import missing_package, readers
from lm_eval_tasks.report.replicates import replicates
from lm_eval_tasks.report.runs import Question, Reading
from lm_eval_tasks.report.scores import Json, blind_reference, scores

SCHEMA_VERSION = 2
"""Moves whenever a reader of ``report.json`` would have to change."""


def schema() -> Json:
    """The JSON schema of ``report.json``."""
    text = resources.files("lm_eval_tasks.report").joinpath("schema.json").read_text(encoding="utf-8")
    found: Json = json.loads(text)
    return found


def contents(reading: Reading, judged: Mapping[str, Judged] | None = None) -> Json:
    """The report of some runs: a pure function of the files that were read.

    Args:
        reading: what was read.
        judged: a judge's readings by the run's name.
    """
    sheets = [Sheet(run, reading.questions) for run in reading.runs]
    compared = comparisons(sheets)
    return {
        "schema": "mis-ground-report",
        "schema_version": SCHEMA_VERSION,
        "made_by": f"mis-ground {metadata.version('mis-ground')}",
        "level": LEVEL,
        "data": _data(reading.questions),
        "runs": [_run(sheet, sheets) | _judged(sheet.run.name, judged or {}) for sheet in sheets],
        "comparisons": compared,
        "enough": enough(sheets, compared),
        "readers": readers(sheets),
        "replicates": replicates(sheets),
        "warnings": [*reading.warnings, *missing_package(sheets), *_few_volumes(reading.questions)],
    }


def _few_volumes(questions: Mapping[str, Question]) -> list[str]:
    volumes = len({volume(question) for question in questions.values()})
    if volumes >= FEW_CLUSTERS:
        return []
    what = "one volume: the intervals say nothing about other volumes" if volumes == 1 else f"{volumes} volumes only"
    return [
        f"All questions are about {what}. From fewer than {FEW_CLUSTERS} volumes little can be said about others; "
        "for differences of a few points between models plan with 20 or more."
    ]


def _data(questions: Mapping[str, Question]) -> Json:
    every = list(questions.values())
    factors = {name: in_order(name, [text_of(question.get(name)) for question in every]) for name in FACTORS}
    return {
        "items": len(every),
        "volumes": len({volume(question) for question in every}),
        "patients": len({patient(question) for question in every}),
        "facts": len({fact(question) for question in every}),
        "structures": len({name for question in every for name in question.get("structures") or []}),
        "sources": sorted({text_of(question.get("source")) for question in every} - {""}),
        "versions": sorted({text_of(question.get("version")) for question in every} - {""}),
        "factors": {name: values for name, values in factors.items() if values},
    }


def _run(sheet: Sheet, sheets: Sequence[Sheet]) -> Json:
    run = sheet.run
    blind = blind_reference(sheet, sheets)
    return {
        "name": run.name,
        "mode": run.mode,
        "model": run.model,
        "settings": _jsonable(run.settings),
        "versions": _jsonable(run.versions),
        "dates": list(run.dates),
        "items": len(sheet),
        "items_digest": digest(sheet.ids),
        "blind_reference": blind.run.name if blind else None,
        "scores": scores(sheet, blind),
        "effects": effects(sheet),
        "confusions": confusions(sheet),
        "positions": positions(sheet),
        "looking": looking(sheet),
    }


def _judged(name: str, judged: Mapping[str, Judged]) -> Json:
    return {"judge": judged[name].to_json()} if name in judged else {}


def digest(ids: Sequence[str]) -> str:
    """Sixteen hexadecimal digits that tell whether two runs answered the same questions."""
    return hashlib.sha256("\n".join(sorted(ids)).encode()).hexdigest()[:16]


def _jsonable(value: Mapping[str, Any]) -> Json:
    found: Json = json.loads(json.dumps(value, default=str))
    return found
