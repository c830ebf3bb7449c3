"""Runs of human readers: the files that they export from the page of ``mis-ground read``, beside the harness's own.

A reader's file holds no right answers. They are in the data set, whose questions and images must be those that the
reader saw: the file has the hash of each.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from dataset_builder.core.errors import MISGroundError
from dataset_builder.dataset import priors
from dataset_builder.dataset.format import LATER_COLUMNS
from dataset_builder.readers.answers import ReaderAnswer, ReaderFile, is_reader_file, item_id, read_answers
from dataset_builder.readers.full_resolution import read_rows
from lm_eval_tasks.mis_ground.metrics import baselines_of, scores_of
from lm_eval_tasks.mis_ground.reading import Reading as Said
from lm_eval_tasks.mis_ground.rows import priors_of
from lm_eval_tasks.report.answers import Answer
from lm_eval_tasks.report.card import PERSON
from lm_eval_tasks.report.images import find_place
from lm_eval_tasks.report.runs import Question, Reading, Run, named_place, read_runs, remember, result_files
from lm_eval_tasks.report.settings import unique_names


@dataclass(frozen=True)
class Person:
    """What is known of a run because a person made it.

    Args:
        file: what was exported.
        answers: by question id.
    """

    file: ReaderFile
    answers: Mapping[str, ReaderAnswer]


def read_all(places: Sequence[str], dataset: Path | None = None) -> Reading:
    """Read runs of models and of people.

    Args:
        places: folders that the harness wrote to, result files, readers' files, or folders with such; ``NAME=PLACE``
            names the run.
        dataset: folder of the data set that readers answered; None: where the tasks found it or would look for it.

    Raises:
        MISGroundError: if anything cannot be read, or is about another data set.
    """
    persons: list[tuple[str, Path]] = []
    others = []
    for place in places:
        name, path = named_place(place)
        found = [path] if path.is_file() else sorted(path.rglob("*.json"))
        ours = [each for each in found if is_reader_file(each)]
        if name and len(ours) > 1:
            raise MISGroundError(
                "A name was given to a folder that contains several readers' files.",
                file=path,
                value=", ".join(each.name for each in ours),
                remedy="Name each file separately: NAME=FILE.",
            )
        persons += [(name, each) for each in ours]
        if not ours or any(each not in ours for each in result_files(path)):
            others.append(place)
    reading = read_runs(others) if others else Reading()
    if persons:
        _add_persons(persons, reading, dataset)
        names = unique_names([run.name for run in reading.runs], [run.settings for run in reading.runs])
        reading.runs = [replace(run, name=name) for run, name in zip(reading.runs, names, strict=True)]
    return reading


def _add_persons(persons: Sequence[tuple[str, Path]], reading: Reading, dataset: Path | None) -> None:
    files = [(name, read_answers(path)) for name, path in persons]
    _check_once([file for _, file in files])
    place = find_place(reading, dataset)
    parts = sorted((place / "data").rglob("*.parquet")) if place else []
    if place is None or not parts:
        raise MISGroundError(
            "A reader's file needs the data set that was read: it has no right answers.",
            file=persons[0][1],
            value=place or "no data set",
            remedy="Give its folder: --dataset DIR.",
        )
    rows = _rows(place, parts, {item for _, file in files for item in file.items})
    for name, file in files:
        reading.runs.append(_run(name, file, rows, place, reading))


def _check_once(files: Sequence[ReaderFile]) -> None:
    """Two exports of one reader from one page would count one person twice."""
    known: dict[tuple[str, str], ReaderFile] = {}
    for file in files:
        other = known.setdefault((file.reader, file.page), file)
        if other is not file:
            raise MISGroundError(
                "Two files are of the same reader and page.",
                file=file.path,
                value=f"{file.reader}; also {other.path}",
                remedy="Give the later one only.",
            )


def _rows(place: Path, parts: Sequence[Path], items: Iterable[str]) -> dict[str, Question]:
    """The questions that readers were asked, by the page's names for them, with the hashes of their images."""
    wanted = set(items)
    names: dict[str, str] = {}
    try:
        for path in parts:
            for identity in pq.read_table(path, columns=["id"])["id"].to_pylist():
                if (item := item_id(identity)) in wanted:
                    names[item] = identity
        files = [path.relative_to(place).as_posix() for path in parts]
        rows = read_rows(place, files, names.values())
    except (pa.ArrowException, OSError, KeyError) as error:
        raise MISGroundError("The data set cannot be read.", file=place, value=error) from error
    expected = _priors(parts) if any(row.get("answer_type", "choice") != "choice" for row in rows.values()) else {}
    found = {}
    for item, identity in names.items():
        row: Question = LATER_COLUMNS | rows[identity]
        images = row.pop("images")
        row["image_hashes"] = [hashlib.sha256(image["bytes"]).hexdigest() for image in images]
        found[item] = row | ({"prior": expected[identity]} if identity in expected else {})
    return found


def _priors(parts: Sequence[Path]) -> dict[str, dict[str, Any]]:
    """What can be said of each place and number without its image: from the same questions about other volumes."""
    rows: list[dict[str, Any]] = []
    for path in parts:
        there = set(pq.read_schema(path).names)
        columns = [name for name in dict.fromkeys((*priors.COLUMNS, "id", "answer_type")) if name in there]
        if "answer_type" in there:
            rows += [row for row in pq.read_table(path, columns=columns).to_pylist() if row["answer_type"] != "choice"]
    return priors_of(rows)


def _run(name: str, file: ReaderFile, rows: Mapping[str, Question], place: Path, reading: Reading) -> Run:
    missing = [item for item in file.items if item not in rows]
    changed = [
        item
        for item, (text, images) in file.items.items()
        if item in rows and (_sha256(rows[item]["question"]), tuple(rows[item]["image_hashes"])) != (text, images)
    ]
    if missing or changed:
        what = f"{len(missing)} of its {len(file.items)} questions are not in it" if missing else ""
        other = f"{len(changed)} have another text or image" if changed else ""
        raise MISGroundError(
            "The reader's file is about another data set.",
            file=file.path,
            value="; ".join(filter(None, [what, other, f"data set {place}"])),
            remedy="Give the folder that mis-ground read was given: --dataset DIR.",
        )
    if len(file.answers) < len(file.items):
        reading.warnings.append(
            f"{file.reader} answered {len(file.answers)} of {len(file.items)} questions: the others do not count."
        )
    answers, given = {}, {}
    for item, answer in file.answers.items():
        question = rows[item]
        remember(question, file.path, reading)
        answers[question["id"]] = answer_of_person(question, answer)
        given[question["id"]] = answer
    return Run(
        name=name or file.reader,
        mode="pictures",
        model=f"{PERSON}: {file.reader}",
        settings={"reader": file.reader, "page": file.page, "seed": file.seed},
        versions={"page": file.made_by, "data": file.version},
        answers=answers,
        dates=[datetime.fromisoformat(file.started).timestamp()] if file.started else [],
        dataset=str(place),
        person=Person(file, given),
    )


def answer_of_person(question: Question, answer: ReaderAnswer) -> Answer:
    """A reader's answer as those of models are; who cannot answer has given no valid one."""
    kind = str(question.get("answer_type") or "choice")
    if answer.kind != kind or (
        answer.answer is not None and kind == "choice" and answer.answer not in question["options"]
    ):
        raise MISGroundError(
            f"The answer to question {question['id']} is none of its kind.",
            value=answer.answer,
            remedy="Export it again from the reader's page.",
        )
    if answer.answer is None:
        words = f": {answer.remark}" if answer.remark else ""
        said = Said(None, "refused", "refusal")
        reply = f"cannot be answered ({answer.reason}){words}"
    else:
        said = Said(answer.answer, "read", "bare", answer.values, answer.image)
        reply = answer.answer + (
            f"\n(wrong with the question: {answer.reason}. {answer.remark})" if answer.reason else ""
        )
    scores = scores_of(question, said)
    more = {} if kind == "choice" else scores | baselines_of(question)
    return Answer(reply, said.option, scores["acc"] == 1, said.status, kind, said.values, said.image, more)


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
