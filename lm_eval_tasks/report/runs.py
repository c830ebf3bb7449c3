"""Reading what the harness wrote: one result file and, beside it, a sample file for each task.

A run is all answers of one model under one set of settings, with images or without. Several evaluations of the same
model with the same settings (some tasks now, others later) are one run; where two of them answered the same question,
the later one counts. The sample files hold all columns of a question but its images, of which they hold hashes.
"""

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from dataset_builder.core.errors import MISGroundError
from lm_eval_tasks.mis_ground.prompts import question_of
from lm_eval_tasks.mis_ground.reading import READER_VERSION
from lm_eval_tasks.report.answers import Answer, answer_of, as_scored
from lm_eval_tasks.report.reread import (
    changes_in_words,
    is_changed,
    is_newer,
    is_scored,
    reader_of,
    scored_outcome,
)
from lm_eval_tasks.report.settings import (
    asked_how,
    model_name,
    plainly,
    run_name,
    settings_of,
    unique_names,
    versions_of,
)

if TYPE_CHECKING:
    from lm_eval_tasks.report.human import Person

Mode = Literal["pictures", "blind"]
Question = dict[str, Any]

PLAIN_ANSWERS = "semsam_plain"
"""Where a run of ``mis-semsam`` with ``semsam_compare`` keeps the plain answers; see ``semsam.harness``."""

_RESULTS = re.compile(r"^.*?_?(\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d\.\d+)\.json$")
_IDENTITY = ("model", "model_args", "gen_kwargs")


@dataclass(frozen=True)
class Run:
    """The answers of one model under one set of settings.

    Args:
        name: unique among the runs that are read together.
        mode: whether the model was shown the images.
        model: the model's own name, without settings.
        settings: all that decides its answers, as the harness tells it.
        versions: of the software, the tasks and the data.
        answers: by question id.
        dates: when its evaluations began, in seconds since 1970.
        dataset: where the tasks looked for the data set, if that was given.
        person: of a run that a person made, what they exported.
    """

    name: str
    mode: Mode
    model: str
    settings: Mapping[str, Any]
    versions: Mapping[str, Any]
    answers: Mapping[str, Answer]
    dates: Sequence[float] = ()
    dataset: str | None = None
    person: "Person | None" = None


@dataclass
class Reading:
    """What was read: runs, the questions they answered by id, and what a reader should know of them."""

    runs: list[Run] = field(default_factory=list)
    questions: dict[str, Question] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    data_versions: dict[Path, set[str]] = field(default_factory=dict)
    """By result file: the data versions of its questions, more than one if a data set was pushed bit by bit."""


def read_runs(places: Sequence[str]) -> Reading:
    """Read runs.

    Args:
        places: folders that the harness wrote to (``--output_path``), or result files; ``NAME=PLACE`` names the run.

    Raises:
        MISGroundError: if there are no result or sample files of MIS-Ground, if one is damaged, or if two runs are of
            data sets that differ, in their version or otherwise.
    """
    reading = Reading()
    for place in places:
        name, path = named_place(place)
        found = _read_place(path, reading)
        if name and len({run.mode for run in found}) < len(found):
            raise MISGroundError(
                "A name was given to a folder that contains several runs.",
                file=path,
                value=", ".join(run.name for run in found),
                remedy="Name each result file separately: NAME=FOLDER/MODEL/results_DATE.json.",
            )
        reading.runs += [replace(run, name=_with_mode(name, run.mode)) for run in found] if name else found
    _check_data_versions(reading)
    names = unique_names([run.name for run in reading.runs], [run.settings for run in reading.runs])
    reading.runs = [replace(run, name=name) for run, name in zip(reading.runs, names, strict=True)]
    return reading


def named_place(place: str) -> tuple[str, Path]:
    """The name that was given to a place, if any, and the place."""
    name, equals, path = place.partition("=")
    if equals and not Path(place).exists() and "/" not in name:
        return name, Path(path)
    return "", Path(place)


def result_files(place: Path) -> list[Path]:
    """The result files of a place, in the order of their dates: itself, or those in the folder."""
    found = [place] if place.is_file() else place.rglob("*.json")
    return sorted(path for path in found if path == place or _RESULTS.match(path.name))


def superseded(loaded: Iterable[tuple[Path, Mapping[str, Any]]]) -> set[Path]:
    """The result files in whose stead stands one that ``mis-ground rescore`` made with this reader."""
    return {
        path.parent / results["rescored"]["from"]
        for path, results in loaded
        if results.get("rescored", {}).get("reader") == READER_VERSION
    }


def _read_place(place: Path, reading: Reading) -> list[Run]:
    files = result_files(place)
    loaded = {path: results for path in files if (results := load_results(path)) is not None}
    for path in superseded(loaded.items()):
        loaded.pop(path, None)
    parts: dict[str, list[tuple[dict[str, Any], Path]]] = {}
    for path, results in loaded.items():
        parts.setdefault(_identity(results), []).append((results, path))
    runs = [run for of_one in parts.values() for run in _read_run(of_one, reading)]
    if not runs:
        raise MISGroundError(
            "This folder contains no results of MIS-Ground tasks."
            if files
            else "This folder contains no result files.",
            file=place,
            remedy="Give the folder of --output_path in: mis-ground eval ... --log_samples --output_path DIR.",
        )
    return runs


def load_results(path: Path) -> dict[str, Any] | None:
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
    """The runs of all evaluations with the same model and settings: with images, without, and decoded plainly."""
    parts.sort(key=lambda part: part[0].get("date") or 0)
    answers: dict[tuple[Mode, bool], dict[str, Answer]] = {}
    versions: dict[str, Any] = {}
    changes: Counter[tuple[str, str]] = Counter()
    readers: set[str] = set()
    disagreements = anew = 0
    for results, path in parts:
        tasks = [task for task in results["results"] if is_ours(task)]
        for task in tasks:
            reader = reader_of(results, task)
            for question, sample in _samples(path, task):
                mode = _mode(task)
                assert mode
                _check_asked(question, sample, path)
                reading.data_versions.setdefault(path, set()).update({str(question.get("version") or "")} - {""})
                remember(question, path, reading)
                now = answer_of(sample)
                if is_newer(reader) or not is_scored(sample):
                    answer = now
                    before = scored_outcome(sample)
                    after = "right" if now.right else "wrong" if now.said is not None else now.status
                    anew += 1
                    readers.add(reader if is_scored(sample) else "unscored")
                    changes[before, after] += is_changed(before, after)
                else:
                    answer = as_scored(sample, now)
                    disagreements += answer != now
                answers.setdefault((mode, False), {})[question["id"]] = answer
                plain = _plain_reply(sample)
                if plain is not None:
                    plainly_said = answer_of(sample | {"filtered_resps": [plain]})
                    answers.setdefault((mode, True), {})[question["id"]] = plainly_said
        versions |= versions_of(results, tasks)
    results = parts[-1][0]
    reading.warnings += _told_of_readings(model_name(results), anew, readers, +changes, disagreements)
    settings = settings_of(results)
    versions["data"] = ", ".join(sorted(set().union(*(reading.data_versions.get(path, ()) for _, path in parts))))
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


def _told_of_readings(
    model: str, anew: int, readers: set[str], changes: Mapping[tuple[str, str], int], disagreements: int
) -> list[str]:
    """Notes on answers that count otherwise than they were scored."""
    notes = []
    scored = sorted(readers - {"unscored"})
    changed = sum(changes.values())
    if scored and changed:
        notes.append(
            f"{anew:,} answers of {model} were scored with reader {', '.join(scored)} and are read again with reader "
            f"{READER_VERSION}: {changed:,} changed ({changes_in_words(changes)})."
        )
    if "unscored" in readers:
        notes.append(f"Answers of {model} had no scores (--predict_only) and are read with reader {READER_VERSION}.")
    if disagreements:
        notes.append(
            f"{disagreements} answer(s) of {model} are read differently by this version than they were scored; the "
            "scores in the files count."
        )
    return notes


def is_ours(task: str) -> bool:
    """Whether a task is one of MIS-Ground's leaves."""
    return _mode(task) is not None


def _mode(task: str) -> Mode | None:
    if task.startswith("blind_mis_ground_"):
        return "blind"
    return "pictures" if task.startswith("mis_ground_") else None


def sample_file(folder: Path, task: str, date: str) -> Path:
    """Where the harness keeps a task's samples."""
    return folder / f"samples_{task}_{date}.jsonl"


def sample_lines(results: Path, task: str) -> Iterator[dict[str, Any]]:
    """All samples of a task as they stand in the file, those of empty leaves too."""
    date = _RESULTS.match(results.name)
    path = sample_file(results.parent, task, date[1] if date else "")
    try:
        # Not by splitlines: a reply may hold other characters that end a line, and the harness writes them as they are.
        lines = path.read_text(encoding="utf-8").rstrip("\n").split("\n")
    except OSError as error:
        raise MISGroundError(
            "A task has results but no sample file.",
            file=path,
            remedy="Evaluate with --log_samples; with --resume, stored answers are reused.",
        ) from error
    for number, line in enumerate(lines, start=1):
        try:
            sample = json.loads(line)
            if not sample["doc"].get("empty"):
                assert {"id", "question", "options", "answer"} <= sample["doc"].keys(), "columns are missing"
                assert isinstance(sample["filtered_resps"][0], str), "the reply is not text"
                assert is_scored(sample) or "bypass" in sample, "it has no score"
        except (ValueError, LookupError, TypeError, AttributeError, AssertionError) as error:
            raise MISGroundError(
                f"Line {number} of a sample file cannot be read.",
                file=path,
                value=error,
                remedy="Evaluate the task again; with --resume, stored answers are reused.",
            ) from error
        yield sample


def _samples(results: Path, task: str) -> Iterator[tuple[Question, dict[str, Any]]]:
    """The samples of a task that hold a question, each with its columns."""
    for sample in sample_lines(results, task):
        document = sample["doc"]
        if document.get("empty"):
            continue
        question = {name: value for name, value in document.items() if name not in ("images", "paired")}
        question["image_hashes"] = [_hash_of(image) for image in document.get("images") or []]
        yield question, sample


def _hash_of(image: object) -> str:
    """SHA-256 of an image as the data set holds it; the harness writes it bare, or as the image's own name."""
    found = re.search(r"[0-9a-f]{64}", str(image))
    return found[0] if found else ""


def _check_asked(question: Question, sample: Mapping[str, Any], path: Path) -> None:
    """Refuse an answer to another question: requests that the harness cached of another data set, for one."""
    prompt = sample.get("arguments", {}).get("gen_args_0", {}).get("arg_0")
    text = " ".join(map(str, prompt)) if isinstance(prompt, list) else str(prompt or "")
    asked = question_of(question).partition("\nOptions: ")[0].strip()
    # A chat for a server is JSON in the file: its line ends and quotes are escaped.
    if text and asked not in text and json.dumps(asked, ensure_ascii=False)[1:-1] not in text:
        raise MISGroundError(
            f"The answer scored as that to question {question['id']} was given to another question.",
            file=path,
            remedy="Evaluate again; --cache_requests refresh rebuilds the harness's cached requests.",
        )


def remember(question: Question, path: Path, reading: Reading) -> None:
    """Keep a question's columns; two runs that differ in one were not given the same data set."""
    question.pop("letters", None)
    question.pop("coordinates", None)
    if question.pop("panels", None):
        question["image_hashes"] = []  # one sheet of them was shown
    known = reading.questions.setdefault(question["id"], question)
    if known is question:
        return
    if known.get("version") != question.get("version"):
        _check_data_versions(reading)  # it is the reason for whatever else differs
    for name in ("question", "options", "answer"):
        if known[name] != question[name]:
            raise MISGroundError(
                f"The runs answered different data sets: {name} of question {question['id']} differs.",
                file=path,
                value=question[name],
                remedy="Make a separate report of each, or evaluate again on one data set.",
            )
    if question["image_hashes"]:
        if known["image_hashes"] and known["image_hashes"] != question["image_hashes"]:
            raise MISGroundError(
                f"The runs answered different data sets: the image of question {question['id']} differs.",
                file=path,
                remedy="Make a separate report of each, or evaluate again on one data set.",
            )
        known["image_hashes"] = question["image_hashes"]


def _check_data_versions(reading: Reading) -> None:
    """Refuse evaluations of data of different versions.

    The same scans give other questions then, and the same ids may stand for other ones. Several versions within one
    evaluation are those of one data set, some splits of which were built later than others.
    """
    found = reading.data_versions
    every = set().union(*found.values())
    if every in found.values() or not every:
        return
    first = next(path for path, versions in found.items() if versions)
    other = next(path for path, versions in found.items() if versions - found[first])
    one, two = (", ".join(sorted(found[path])) for path in (first, other))
    raise MISGroundError(
        "The runs answered data of different versions, in which the same scans give other questions: their scores "
        "cannot be compared.",
        file=other,
        value=f"data version {two}; {first} has {one}",
        remedy="Make a separate report of each, or evaluate again on one data set. docs/data-versions.md lists what "
        "each version changed.",
    )


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
