"""A run's results to publish: a model card's ``model-index``, and a table to paste into a paper.

Both say with which settings and versions the numbers were made; neither is written without them.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from lm_eval_tasks.report.formats import NOTE, per_cent
from lm_eval_tasks.report.items import FACTORS
from lm_eval_tasks.report.scores import Json

PERSON = "human reader"
"""How the model of a run that a person made is called."""

DATASET = "mis-ground/mis-ground"

CARDS = "cards"


def cards(report: Json) -> dict[str, str]:
    """Files to publish: ``table.md`` with all runs, and ``cards/RUN.md`` for each."""
    files = {"table.md": table(report, report["runs"]) + "\n" + _versions(report, report["runs"])}
    for run in report["runs"]:
        if run["model"].startswith(PERSON):
            continue  # a person has no model card
        name = re.sub(r"[^\w.+-]+", "-", run["name"]).strip("-.") or "run"
        number = sum(other.startswith(f"{CARDS}/{name}") for other in files)
        files[f"{CARDS}/{name}{f'-{number + 1}' if number else ''}.md"] = card(report, run)
    return files


def card(report: Json, run: Json) -> str:
    """A part of a model card: YAML that the Hub reads, then the table and the settings."""
    from huggingface_hub import ModelCardData

    data = ModelCardData(model_name=short(run["model"]), eval_results=list(_results(report, run)))
    return "\n".join(
        [
            "---",
            data.to_yaml().strip(),
            "---",
            "",
            "## Results on MIS-Ground",
            "",
            table(report, [run]),
            _versions(report, [run]),
            "Settings:",
            "",
            *(f"- {name}: `{_code(value)}`" for name, value in _flat(run["settings"])),
            "",
        ]
    )


def table(report: Json, runs: Sequence[Json]) -> str:
    """A Markdown table, one line per run: per cent with 95 % intervals by volume."""
    terminologies = [name for name in FACTORS["terminology"] if _score(runs, name)]
    with_blind = any(run["scores"][0]["blind"] for run in runs)
    with_prior = any(run["scores"][0]["prior"] for run in runs)
    head = ["run", "questions", "chance", "accuracy", "both of a pair", *terminologies, "no valid answer"]
    head += ["gain over blind"] * with_blind + ["followed the prior"] * with_prior
    lines = [head, ["---", *["---:"] * (len(head) - 1)]]
    for run in runs:
        overall = run["scores"][0]
        line = [
            _cell(run["name"]),
            f"{overall['items']:,}",
            f"{100 * overall['chance']:.1f}" if overall["chance"] else "-",
            per_cent(overall["accuracy"]),
            per_cent(overall["pair_accuracy"]),
        ]
        for name in terminologies:
            score = _score([run], name)
            line.append(per_cent(score["accuracy"]) if score else "-")
        line.append(per_cent(overall["invalid"]))
        if with_blind:
            line.append(per_cent(overall["blind"]["gain"], signed=True) if overall["blind"] else "-")
        if with_prior:
            line.append(per_cent(overall["prior"]["followed"]) if overall["prior"] else "-")
        lines.append(line)
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def short(model: str) -> str:
    """A model's name as on the Hub; of a folder its own name only, not where it lies."""
    parts = model.rstrip("/").split("/")
    return model if len(parts) == 2 and all(parts) and not model.startswith((".", "~")) else parts[-1]


def _results(report: Json, run: Json) -> Iterable[Any]:
    from huggingface_hub import EvalResult

    overall = run["scores"][0]
    measured = [
        ("accuracy", "accuracy", overall["accuracy"]),
        ("pair_accuracy", "pair accuracy", overall["pair_accuracy"]),
    ]
    measured += [
        ("accuracy", f"accuracy, {name}", score["accuracy"])
        for name in FACTORS["terminology"]
        if (score := _score([run], name))
    ]
    blind = run["mode"] == "blind"
    for kind, name, interval in measured:
        if interval is None or interval["value"] is None:
            continue
        yield EvalResult(
            task_type="question-answering" if blind else "visual-question-answering",
            task_name="MIS-Ground without images" if blind else "MIS-Ground",
            dataset_type=DATASET,
            dataset_name=f"MIS-Ground {', '.join(report['data']['versions'])}",
            dataset_split="test",
            dataset_args={
                "sources": report["data"]["sources"],
                "volumes": overall["volumes"],
                "questions": run["items"],
                "questions_digest": run["items_digest"],
            },
            metric_type=kind,
            metric_name=name,
            metric_value=round(100 * interval["value"], 2),
            metric_args={
                "low": _hundredfold(interval["low"]),
                "high": _hundredfold(interval["high"]),
                "level": report["level"],
            },
        )


def _hundredfold(share: float | None) -> float | None:
    return None if share is None else round(100 * share, 2)


def _score(runs: Sequence[Json], terminology: str) -> Json | None:
    for run in runs:
        for score in run["scores"]:
            if score["by"] == ["terminology"] and score["value"] == [terminology]:
                found: Json = score
                return found
    return None


def _versions(report: Json, runs: Sequence[Json]) -> str:
    data = report["data"]
    versions: dict[str, list[str]] = {}
    for run in runs:
        for name, value in run["versions"].items():
            if value not in versions.setdefault(name, []):
                versions[name].append(value)
    made = "; ".join(f"{name} {', '.join(values)}" for name, values in versions.items() if name != "data")
    digests = ", ".join(dict.fromkeys(run["items_digest"] for run in runs))
    return (
        f"MIS-Ground {', '.join(data['versions'])}: {data['items']:,} questions about {data['volumes']:,} volumes "
        f"({', '.join(data['sources'])}), digest {digests}. Per cent, with 95 % intervals by volume in brackets "
        f"({NOTE}). "
        f"Made with {report['made_by']}; {made}.\n"
    )


def _flat(settings: Mapping[str, Any], before: str = "") -> Iterable[tuple[str, Any]]:
    for name, value in settings.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{before}{name}.")
        else:
            yield f"{before}{name}", short(value) if name in ("pretrained", "peft", "delta", "path") else value


def _cell(text: str) -> str:
    """Text that stays in its cell and is not read as markup."""
    return re.sub(r"([\\`*_{}\[\]<>|#])", r"\\\1", text).replace("\n", " ")


def _code(value: object) -> str:
    return str(value).replace("`", "'").replace("\n", " ")
