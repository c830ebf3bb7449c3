"""What a study writes down before its first answer, and what changed since: ``record.json``."""

import difflib
import json
import platform
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from dataset_builder.core.errors import MISGroundError
from dataset_builder.core.version import package_version
from dataset_builder.files.atomic import write_atomically
from lm_eval_tasks.mis_ground.reading import READER_VERSION
from lm_eval_tasks.mis_ground.rows import find_dataset, open_rows, stamp
from lm_eval_tasks.study.models import revision_of
from lm_eval_tasks.study.plan import Plan, canonical

FILE = "record.json"
PLANNED_ANALYSES = (
    "primary comparison",
    "all arms against greedy, and semsam against all arms",
    "by factor",
    "by prior",
    "by answer style",
    "tokens changed, opposites, invalid answers, length, cost",
    "language or perception",
    "semantic gain",
)
"""What this version's report contains whatever the data say; anything else is a later analysis."""

Json = dict[str, Any]


def versions() -> Json:
    """Versions of the software that answers depend on."""
    found = {"mis-ground": package_version(), "python": platform.python_version(), "reader": READER_VERSION}
    for name in ("torch", "transformers", "lm-eval", "vllm"):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def present(plan: Plan, text: str) -> Json:
    """What decides a study's answers, as it is now."""
    place = find_dataset(plan.dataset)
    data = open_rows(place, stamp(place)).facts()
    data.pop("dataset")  # a path of this machine; the digest says what it is
    return {
        "plan_sha256": plan.hash,
        "plan": json.loads(canonical(plan)),
        "plan_text": text,
        "data": data,
        "versions": versions(),
        "models": {name: revision_of(model) for name, model in plan.models.items()},
        "planned_analyses": list(PLANNED_ANALYSES),
    }


def begin(out: Path, plan: Plan, text: str) -> Json:
    """Write the record before the first answer; later runs add what has changed since.

    Raises:
        MISGroundError: if the folder holds another study, or the record is damaged.
    """
    now, when = present(plan, text), datetime.now(UTC).isoformat(timespec="seconds")
    path = out / FILE
    if not path.exists():
        if out.is_dir() and any(out.iterdir()):
            raise MISGroundError(
                "The folder holds other files and no study.", file=out, remedy="Give another folder: --out DIR."
            )
        record: Json = {"begun": when, "first": now, "changes": []}
        write_atomically(path, json.dumps(record, indent=1) + "\n")
        return record
    record = read(out)
    if record["first"]["plan"]["name"] != plan.name:
        raise MISGroundError(
            "The folder holds another study.",
            file=out,
            value=record["first"]["plan"]["name"],
            remedy="Give another folder: --out DIR.",
        )
    latest = record["changes"][-1]["now"] if record["changes"] else record["first"]
    changed = [name for name in ("plan_sha256", "data", "versions", "models") if latest[name] != now[name]]
    if changed:
        record["changes"].append({"when": when, "what": changed, "lines": _lines(latest, now), "now": now})
        write_atomically(path, json.dumps(record, indent=1) + "\n")
    return record


def read(out: Path) -> Json:
    """A study's record.

    Raises:
        MISGroundError: if there is none, or it is damaged.
    """
    path = out / FILE
    try:
        found: Json = json.loads(path.read_text(encoding="utf-8"))
        found["first"]["plan"]["name"], found["changes"]
    except FileNotFoundError as error:
        raise MISGroundError("There is no study in this folder.", file=out) from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise MISGroundError("The record of the study is damaged.", file=path, value=error) from error
    return found


def _lines(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """The lines of plan, data, versions and models that differ, with - and +."""
    one, other = (
        json.dumps({name: each[name] for name in ("plan", "data", "versions", "models")}, indent=1, sort_keys=True)
        for each in (before, after)
    )
    lines = difflib.unified_diff(one.splitlines(), other.splitlines(), lineterm="", n=0)
    return [line for line in lines if line[:1] in "+-" and line[:3] not in ("+++", "---")]


def later_parts(record: Mapping[str, Any], plan: Plan) -> dict[str, set[str]]:
    """Arms, models and styles that the plan has now and had not when the first answer was given."""
    first, now = record["first"]["plan"], asdict(plan)
    names = {each["name"] for each in first["arms"]}
    return {
        "arms": {each["name"] for each in now["arms"]} - names,
        "models": set(now["models"]) - set(first["models"]),
        "styles": set(now["styles"]) - set(first["styles"]),
    }
