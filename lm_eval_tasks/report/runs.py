"""Reading what the harness wrote: one result file and, beside it, a sample file for each task.

A run is all answers of one model under one set of settings, with pictures or without. Several evaluations of the same
model with the same settings (some tasks now, others later) are one run; where two of them answered the same question,
the later one counts. The sample files hold all columns of a question but its pictures, of which they hold hashes.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from dataset_builder.core.errors import MISGroundError
from lm_eval_tasks.report.settings import (
    asked_how,
    model_name,
    plainly,
    run_name,
    settings_of,
    unique_names,
    versions_of,
)

Mode = Literal["pictures", "blind"]
Question = dict[str, Any]

PLAIN_ANSWERS = "semsam_plain"
"""Where a run of ``mis-semsam`` with ``semsam_compare`` keeps the plain answers; see ``semsam.harness``."""

_RESULTS = re.compile(r"^.*?_?(\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d\.\d+)\.json$")
_IDENTITY = ("model", "model_args", "gen_kwargs")


@dataclass(frozen=True)
class Answer:
    """What a model replied to a question, and what was read from it.

    Args:
        reply: the generated text.
        said: the option read from it; None where there is none.
        right: as the harness scored it.
    """

    reply: str
    said: str | None
    right: bool


@dataclass(frozen=True)
class Run:
    """The answers of one model under one set of settings.

    Args:
        name: unique among the runs that are read together.
        mode: whether the model was shown the pictures.
        model: the model's own name, without settings.
        settings: all that decides its answers, as the harness tells it.
        versions: of the software, the tasks and the data.
        answers: by question id.
        dates: when its evaluations began, in seconds since 1970.
        dataset: where the tasks were told to find the data set, if they were.
    """

    name: str
    mode: Mode
    model: str
    settings: Mapping[str, Any]
    versions: Mapping[str, Any]
    answers: Mapping[str, Answer]
    dates: Sequence[float] = ()
    dataset: str | None = None


@dataclass
class Reading:
    """What was read: runs, the questions they answered by id, and what a reader should know of them."""

    runs: list[Run] = field(default_factory=list)
    questions: dict[str, Question] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)


def read_runs(places: Sequence[str]) -> Reading:
    """Read runs.

    Args:
        places: folders that the harness wrote to (``--output_path``), or result files; ``NAME=PLACE`` names the run.

    Raises:
        MISGroundError: if there are no result or sample files of MIS-Ground, if one is damaged, or if two runs are of
            data sets that differ.
    """
    reading = Reading()
    for place in places:
        name, path = _named(place)
        found = _read_place(path, reading)
        if name and len({run.mode for run in found}) < len(found):
            raise MISGroundError(
                "A name was given to a folder that holds several runs.",
                file=path,
                value=", ".join(run.name for run in found),
                remedy="Name each result file by itself: NAME=FOLDER/MODEL/results_DATE.json.",
            )
        reading.runs += [replace(run, name=_with_mode(name, run.mode)) for run in found] if name else found
    names = unique_names([run.name for run in reading.runs], [run.settings for run in reading.runs])
    reading.runs = [replace(run, name=name) for run, name in zip(reading.runs, names, strict=True)]
    return reading


def _named(place: str) -> tuple[str, Path]:
    name, equals, path = place.partition("=")
    if equals and not Path(place).exists() and "/" not in name:
        return name, Path(path)
    return "", Path(place)


def _read_place(place: Path, reading: Reading) -> list[Run]:
    found = [place] if place.is_file() else place.rglob("*.json")
    files = sorted(path for path in found if path == place or _RESULTS.match(path.name))
    parts: dict[str, list[tuple[dict[str, Any], Path]]] = {}
    for path in files:
        results = _load(path)
        if results is not None:
            parts.setdefault(_identity(results), []).append((results, path))
    runs = [run for of_one in parts.values() for run in _read_run(of_one, reading)]
    if not runs:
        raise MISGroundError(
            "There are no results of MIS-Ground tasks here." if files else "There are no result files here.",
            file=place,
            remedy="Give what --output_path named in: mis-ground eval ... --log_samples --output_path DIR.",
        )
    return runs


def _load(path: Path) -> dict[str, Any] | None:
    """A result file; None if it is some other JSON."""
    try:
        results = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise MISGroundError(
            "A result file cannot be read.", file=path, value=error, remedy="Remove it, or evaluate again."
        ) from error
    return results if isinstance(results, dict) and {"results", "config"} <= results.keys() else None


def _identity(results: Mapping[str, Any]) -> str:
    config = {name: results["config"].get(name) for name in _IDENTITY}
    rest = [results.get(name) for name in ("chat_template_sha", "system_instruction_sha")]
    return json.dumps([config, rest, asked_how(results)], sort_keys=True, default=str)


def _read_run(parts: list[tuple[dict[str, Any], Path]], reading: Reading) -> list[Run]:
    """The runs of all evaluations with the same model and settings: with pictures, without, and decoded plainly."""
    parts.sort(key=lambda part: part[0].get("date") or 0)
    answers: dict[tuple[Mode, bool], dict[str, Answer]] = {}
    versions: dict[str, Any] = {}
    data_versions: set[str] = set()
    disagreements = 0
    for results, path in parts:
        tasks = [task for task in results["results"] if _mode(task)]
        for task in tasks:
            for question, sample in _samples(path, task):
                mode = _mode(task)
                assert mode
                _check_asked(question, sample, path)
                _remember(question, path, reading)
                data_versions.add(str(question.get("version", "")))
                answer, agrees = _answer(sample, question)
                disagreements += not agrees
                answers.setdefault((mode, False), {})[question["id"]] = answer
                plain = _plain_reply(sample)
                if plain is not None:
                    answers.setdefault((mode, True), {})[question["id"]] = _score(plain, question)
        versions |= versions_of(results, tasks)
    results = parts[-1][0]
    if disagreements:
        reading.warnings.append(
            f"{disagreements} answer(s) of {model_name(results)} are read differently by this version than they were "
            "scored; the scores in the files count."
        )
    settings = settings_of(results)
    versions["data"] = ", ".join(sorted(data_versions - {""}))
    return [
        Run(
            name=_with_mode(run_name(settings, plain), mode),
            mode=mode,
            model=model_name(results),
            settings=plainly(settings) if plain else settings,
            versions=versions,
            answers=found,
            dates=[part["date"] for part, _ in parts if part.get("date")],
            dataset=_dataset(results),
        )
        for (mode, plain), found in sorted(answers.items(), key=lambda each: each[0], reverse=True)
    ]


def _mode(task: str) -> Mode | None:
    if task.startswith("blind_mis_ground_"):
        return "blind"
    return "pictures" if task.startswith("mis_ground_") else None


def _samples(results: Path, task: str) -> Iterator[tuple[Question, dict[str, Any]]]:
    """The samples of a task that hold a question, each with its columns."""
    date = _RESULTS.match(results.name)
    path = results.parent / f"samples_{task}_{date[1] if date else ''}.jsonl"
    try:
        # Not by splitlines: a reply may hold other characters that end a line, and the harness writes them as they are.
        lines = path.read_text(encoding="utf-8").rstrip("\n").split("\n")
    except OSError as error:
        raise MISGroundError(
            "A task has results but no sample file.",
            file=path,
            remedy="Evaluate with --log_samples; with --resume the answers are not asked again.",
        ) from error
    for number, line in enumerate(lines, start=1):
        try:
            sample = json.loads(line)
            document = sample["doc"]
            if document.get("empty"):
                continue
            question = {name: value for name, value in document.items() if name not in ("images", "paired")}
            pictures = document.get("images") or []
            question["pictures"] = [_hash_of(picture) for picture in pictures]
            assert {"id", "question", "options", "answer"} <= question.keys(), "columns are missing"
            assert isinstance(sample["filtered_resps"][0], str), "the reply is no text"
            assert {"acc", "invalid"} <= sample.keys(), "it has no score"
        except (ValueError, LookupError, TypeError, AttributeError, AssertionError) as error:
            raise MISGroundError(
                f"Line {number} of a sample file cannot be read.",
                file=path,
                value=error,
                remedy="Evaluate the task again; with --resume no answer is asked twice.",
            ) from error
        yield question, sample


def _hash_of(picture: object) -> str:
    """SHA-256 of a picture as the data set holds it; the harness writes it bare, or as the picture's own name."""
    found = re.search(r"[0-9a-f]{64}", str(picture))
    return found[0] if found else ""


def _check_asked(question: Question, sample: Mapping[str, Any], path: Path) -> None:
    """Refuse an answer to another question: requests that the harness cached of another data set, for one."""
    prompt = sample.get("arguments", {}).get("gen_args_0", {}).get("arg_0")
    text = " ".join(map(str, prompt)) if isinstance(prompt, list) else str(prompt or "")
    asked = question["question"].partition("\nOptions: ")[0].strip()
    # A chat for a server is JSON in the file: its line ends and quotes are escaped.
    if text and asked not in text and json.dumps(asked, ensure_ascii=False)[1:-1] not in text:
        raise MISGroundError(
            f"The answer scored as that to question {question['id']} was given to another question.",
            file=path,
            remedy="Evaluate again; --cache_requests refresh makes the harness's cached requests anew.",
        )


def _remember(question: Question, path: Path, reading: Reading) -> None:
    """Keep a question's columns; two runs that differ in one were not given the same data set."""
    question.pop("letters", None)
    if question.pop("panels", None):
        question["pictures"] = []  # one sheet of them was shown
    known = reading.questions.setdefault(question["id"], question)
    if known is question:
        return
    for name in ("question", "options", "answer"):
        if known[name] != question[name]:
            raise MISGroundError(
                f"The runs answered different data sets: {name} of question {question['id']} differs.",
                file=path,
                value=question[name],
                remedy="Make a report of each by itself, or evaluate again on one data set.",
            )
    if question["pictures"]:
        if known["pictures"] and known["pictures"] != question["pictures"]:
            raise MISGroundError(
                f"The runs answered different data sets: the picture of question {question['id']} differs.",
                file=path,
                remedy="Make a report of each by itself, or evaluate again on one data set.",
            )
        known["pictures"] = question["pictures"]


def _answer(sample: Mapping[str, Any], question: Question) -> tuple[Answer, bool]:
    """The answer as it was scored, and whether it is read the same way now."""
    now = _score(sample["filtered_resps"][0], question)
    right, invalid = sample["acc"] == 1, sample["invalid"] == 1
    scored = replace(now, right=right, said=None if invalid else question["answer"] if right else now.said)
    return scored, scored == now


def _score(reply: str, question: Question) -> Answer:
    from lm_eval_tasks.mis_ground.utils import extract_answer

    said = extract_answer(reply, question["options"], question["question"])
    return Answer(reply, said, said == question["answer"])


def _plain_reply(sample: Mapping[str, Any]) -> str | None:
    generation = sample.get("arguments", {}).get("gen_args_0", {}).get("arg_1", {})
    plain = generation.get(PLAIN_ANSWERS) if isinstance(generation, dict) else None
    return plain[0] if plain else None


def _dataset(results: Mapping[str, Any]) -> str | None:
    for config in results.get("configs", {}).values():
        place = (config.get("metadata") or {}).get("dataset")
        if place:
            return str(place)
    return None


def _with_mode(name: str, mode: Mode) -> str:
    return f"{name}, blind" if mode == "blind" else name
