"""The file that a reader exports from the page: read, and checked as a whole before anything of it is used."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dataset_builder.core.errors import MISGroundError
from dataset_builder.core.hashing import digest

FORMAT, FORMAT_VERSION = "mis-ground-reader-answers", 1

REASONS: dict[str, str] = {
    "not visible": "What is asked about cannot be seen",
    "wrong marker": "A marker, point or box is at the wrong place",
    "ambiguous": "The question is ambiguous",
    "no option right": "None of the options is right",
    "several right": "More than one option is right",
    "image quality": "The image is too poor",
    "not known": "I do not know",
    "other": "Another reason",
}
"""Why a question cannot be answered, or is wrong: what stands in the file, and what the page says."""

OF_THE_READER = ("not known",)
"""Reasons that say nothing against the question."""


@dataclass(frozen=True)
class ReaderAnswer:
    """One answer.

    Args:
        id: of the question on the page, see `item_id`.
        kind: its answer type.
        answer: the chosen option, or the number or place as text; ``None`` if it cannot be answered.
        values: of a point x, y, of a box x0, y0, x1, y1, in pixels of the row's image; of a number the number.
        image: of a stack, the image in which the place lies, from 0.
        reason: one of `REASONS`: why it cannot be answered, or, beside an answer, what is wrong with the question.
        remark: the reader's own words.
        seconds: for which the question was on the screen.
        answered_at: when it was last answered, in ISO 8601.
    """

    id: str
    kind: str
    answer: str | None
    values: tuple[float, ...]
    image: int | None
    reason: str
    remark: str
    seconds: float
    answered_at: str

    @property
    def complaint(self) -> str:
        """What the reader says against the question: ``cannot be answered``, ``wrong``, or nothing."""
        if not self.reason or self.reason in OF_THE_READER:
            return ""
        return "cannot be answered" if self.answer is None else "wrong"


@dataclass(frozen=True)
class ReaderFile:
    """What a reader exported.

    Args:
        path: the file.
        reader: who.
        page: hash of the page.
        content, version: digest and version of the data set.
        made_by: the package that made the page.
        seed: of the choice of questions.
        started, exported: in ISO 8601.
        items: hash of the question's text, and of its images, by `item_id`, in the order in which they were
            shown.
        answers: by `item_id`; questions that were not reached are missing.
    """

    path: Path
    reader: str
    page: str
    content: str
    version: str
    made_by: str
    seed: int
    started: str
    exported: str
    items: Mapping[str, tuple[str, tuple[str, ...]]]
    answers: Mapping[str, ReaderAnswer]


def item_id(question_id: str) -> str:
    """What a question is called on the page: its own id tells which question of a pair it is."""
    return digest("reader item", question_id)


def is_reader_file(path: Path) -> bool:
    """Whether a file is, or claims to be, a reader's; its format is the first thing in it."""
    try:
        with path.open("rb") as file:
            return FORMAT.encode() in file.read(200)
    except OSError:
        return False


def read_answers(path: Path) -> ReaderFile:
    """Read a reader's file.

    Raises:
        MISGroundError: if it is damaged, incomplete or of a later version.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        if found["format"] != FORMAT:
            raise ValueError(f"its format is {found['format']}")
        if found["format_version"] > FORMAT_VERSION:
            raise ValueError(f"its format version is {found['format_version']}, this package reads {FORMAT_VERSION}")
        items = {
            str(item["id"]): (str(item["question_sha256"]), tuple(item["image_sha256"])) for item in found["items"]
        }
        answers = [_answer(answer) for answer in found["answers"]]
        if strange := [answer.id for answer in answers if answer.id not in items]:
            raise ValueError(f"an answer to {strange[0]}, which is none of its questions")
        if len({answer.id for answer in answers}) < len(answers):
            raise ValueError("two answers to one question")
        texts = {name: str(found[name]) for name in ("reader", "page", "made_by", "started", "exported")}
        of = found["dataset"]
        return ReaderFile(
            path,
            content=str(of["content"]),
            version=str(of["version"]),
            seed=int(found["seed"]),
            items=items,
            answers={answer.id: answer for answer in answers},
            **texts,
        )
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        what = f"{error.args[0]!r} is missing" if isinstance(error, KeyError) else error
        raise MISGroundError(
            "A reader's file cannot be read.", file=path, value=what, remedy="Export it again from the reader's page."
        ) from error


def _answer(found: Mapping[str, Any]) -> ReaderAnswer:
    answer = found["answer"]
    reason = str(found["reason"] or "")
    if answer is not None and not isinstance(answer, str):
        raise TypeError(f"the answer to {found['id']} is no text")
    if reason and reason not in REASONS:
        raise ValueError(f"the reason {reason!r} of {found['id']}")
    if answer is None and not reason:
        raise ValueError(f"{found['id']} has neither an answer nor a reason")
    seconds = float(found["seconds"])
    if not 0 <= seconds < float("inf"):
        raise ValueError(f"the time of {found['id']} is {seconds}")
    image = found.get("image")
    return ReaderAnswer(
        str(found["id"]),
        str(found["kind"]),
        answer,
        tuple(float(value) for value in found.get("values") or ()),
        None if image is None else int(image),
        reason,
        str(found["remark"] or ""),
        seconds,
        str(found["answered_at"]),
    )
