"""The numbers and the answers as CSV files, for a spreadsheet or a statistics program."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from lm_eval_tasks.report.items import FACTORS
from lm_eval_tasks.report.judge import Judged
from lm_eval_tasks.report.runs import Reading
from lm_eval_tasks.report.scores import Json


def tables(report: Json, reading: Reading, judged: Mapping[str, Judged] | None = None) -> dict[str, str]:
    """Each file's name and text.

    Intervals take five columns: ``accuracy``, ``accuracy_low``, ``accuracy_high``, ``accuracy_method`` and
    ``accuracy_clusters``. Names are those of ``report.json``.
    """
    runs = report["runs"]
    positions = [
        {"run": run["name"], "kind": each["kind"], **_flat(score)}
        for run in runs
        for each in run["positions"]
        for score in each["scores"]
    ]
    controls = [
        {"run": run["name"], **_flat(each)} for run in runs for each in run.get("looking", {}).get("controls", ())
    ]
    return {
        "scores.csv": _csv({"run": run["name"], **_flat(score)} for run in runs for score in run["scores"]),
        "effects.csv": _csv({"run": run["name"], **_flat(effect)} for run in runs for effect in run["effects"]),
        "comparisons.csv": _csv(
            {"from": each["from"], "to": each["to"], **_flat(group)}
            for each in report["comparisons"]
            for group in (each["overall"], *each["groups"])
        ),
        "confusions.csv": _csv(
            {"run": run["name"], "answer": right, "said": said, "count": count}
            for run in runs
            for right, row in run["confusions"]["terms"].items()
            for said, count in row.items()
        ),
        **({"controls.csv": _csv(controls)} if controls else {}),
        **({"positions.csv": _csv(positions)} if positions else {}),
        "items.csv": _csv(_items(reading, judged or {})),
    }


def _flat(record: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    """Nested parts as columns of their own; lists joined."""
    flat: dict[str, Any] = {}
    for name, value in record.items():
        column = f"{before}{name}"
        if isinstance(value, dict) and "method" in value:
            flat |= {column: value["value"], f"{column}_low": value["low"], f"{column}_high": value["high"]}
            flat |= {f"{column}_{name}": value[name] for name in ("method", "clusters")}
        elif isinstance(value, dict):
            flat |= _flat(value, f"{column}_")
        else:
            flat[column] = " x ".join(value) if isinstance(value, list) else value
    return flat


def _items(reading: Reading, judged: Mapping[str, Judged]) -> Iterable[dict[str, Any]]:
    for run in reading.runs:
        for identity in sorted(run.answers):
            question, answer = reading.questions[identity], run.answers[identity]
            yield {
                "run": run.name,
                "id": identity,
                **{name: question.get(name, "") for name in (*FACTORS, "relation")},
                "structures": "; ".join(question.get("structures") or []),
                **{
                    name: question.get(name, "")
                    for name in ("source", "subject", "patient", "pair_id", "fact_id", "margin_mm")
                },
                "answer": question["answer"],
                "prior_answer": question.get("prior_answer", ""),
                "said": answer.said or "",
                "status": answer.status,
                **({"judged": judged[run.name].of(identity)} if run.name in judged else {}),
                "right": int(answer.right),
                **({name: round(value, 4) for name, value in answer.scores.items() if name != "acc"}),
                "reply": _harmless(answer.reply),
            }


def _harmless(reply: str) -> str:
    """A reply that a spreadsheet takes for text and never for a formula."""
    return f"'{reply}" if reply.lstrip()[:1] in ("=", "+", "-", "@") else reply


def _csv(records: Iterable[Mapping[str, Any]]) -> str:
    rows: Sequence[Mapping[str, Any]] = list(records)
    # Parts that are null in one record and nested in another: the columns are those of all records.
    names = list(dict.fromkeys(name for row in rows for name in row))
    nested = {name for name in names if any(other.startswith(f"{name}_") for other in names)}
    names = [name for name in names if name not in nested or any(row.get(name) is not None for row in rows)]
    stream = io.StringIO()
    writer = csv.DictWriter(stream, names, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return stream.getvalue()
