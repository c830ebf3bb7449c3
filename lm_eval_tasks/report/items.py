"""Questions and answers as arrays, and the groups of questions that numbers are made of."""

import re
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dataset_builder.core import factors
from dataset_builder.core.factors import ANSWER_TYPES, OPTION_FORMS, STATEMENTS, VIEWS
from dataset_builder.questions.wording import opposites
from dataset_builder.sources.base import patient_of
from lm_eval_tasks.report.answers import Answer
from lm_eval_tasks.report.runs import Question, Run

FACTORS: dict[str, tuple[str, ...]] = {
    name: factors.FACTORS[name]
    for name in (
        *("terminology", "prompt", "register", "convention", "frame", "view", "statement", "option_form"),
        *("input", "stack_order", "modality", "plane", "answer_type", "scale"),
    )
}
"""Columns that vary by design, with their values in order. A column that a data set lacks is not reported."""

MARGINS = (8.0, 15.0, 30.0, 60.0)
"""Bounds in millimetres between the groups by margin; a bound belongs to the group above it."""

MARGIN_GROUPS = (
    f"below {MARGINS[0]:g}",
    *(f"{low:g}-{high:g}" for low, high in pairwise(MARGINS)),
    f"{MARGINS[-1]:g} and more",
)

CONTROLS = {
    "input": ("blank",),
    "view": VIEWS[1:],
    "statement": STATEMENTS[1:],
    "option_form": OPTION_FORMS[1:],
    "answer_type": ANSWER_TYPES[1:],
}
"""Values whose questions are controls, or want no option: they stay out of every number but those by the same column.
Positions and measurements have numbers of their own; see ``positions``."""


@dataclass(frozen=True)
class Group:
    """Some questions of a run.

    Args:
        by: columns that make the group; empty for all questions.
        value: their values, in the same order.
        rows: int[n], positions of the questions in the sheet.
    """

    by: tuple[str, ...]
    value: tuple[str, ...]
    rows: NDArray[np.int64]


class Sheet:
    """All answers of one run as arrays, in the order of the questions' ids.

    Args:
        run: the run.
        questions: by id; at least those that the run answered.
    """

    def __init__(self, run: Run, questions: Mapping[str, Question]) -> None:
        self.run = run
        self.ids: list[str] = sorted(run.answers)
        self.questions: list[Question] = [questions[each] for each in self.ids]
        self.answers: list[Answer] = [run.answers[each] for each in self.ids]
        self.right = np.array([answer.right for answer in self.answers], dtype=bool)
        self.invalid = np.array([answer.said is None for answer in self.answers], dtype=bool)
        self.statuses = np.array([answer.status for answer in self.answers], dtype=np.str_)
        options = [len(question["options"]) for question in self.questions]
        self.chance = np.array([1 / count if count else 0.0 for count in options])
        self.volumes = codes([volume(question) for question in self.questions])
        self.patients = codes([patient(question) for question in self.questions])
        self.facts = codes([fact(question) for question in self.questions])
        self._columns: dict[str, NDArray[np.str_]] = {}
        self._row = {each: row for row, each in enumerate(self.ids)}

    def __len__(self) -> int:
        return len(self.ids)

    def clusters(self, rows: NDArray[np.int64]) -> tuple[NDArray[np.int64], str]:
        """What intervals about some questions are by: `by_volume` of these."""
        clusters, unit = by_volume(self.patients[rows], self.facts[rows])
        fewer = len(np.unique(clusters)) < len(np.unique(self.volumes[rows]))
        return clusters, "patient" if unit == "volume" and fewer else unit

    def rows_of(self, ids: Sequence[str]) -> NDArray[np.int64]:
        """Positions of questions by id."""
        return np.array([self._row[each] for each in ids], dtype=np.int64)

    def column(self, name: str) -> NDArray[np.str_]:
        """str[N]: a column's values as text; "" where a question has none."""
        if name not in self._columns:
            texts = [relation_of(each) if name == "relation" else text_of(each.get(name)) for each in self.questions]
            self._columns[name] = np.array(texts, dtype=np.str_)
        return self._columns[name]

    def values(self, name: str) -> list[str]:
        """The different values of a column, in order; none if the data set lacks it."""
        return in_order(name, np.unique(self.column(name)).tolist())

    @cached_property
    def scored(self) -> NDArray[np.int64]:
        """The questions that count for the headline: all but the controls, unless there are only such."""
        for but_of in ("", "answer_type"):
            rows = self.without_controls(but_of)
            if len(rows):
                return rows
        return np.arange(len(self))

    def without_controls(self, but_of: str = "") -> NDArray[np.int64]:
        """The questions that are not controls, or only by the column ``but_of``."""
        is_control = np.zeros(len(self), dtype=bool)
        for name, values in CONTROLS.items():
            if name != but_of:
                is_control |= np.isin(self.column(name), values)
        return np.flatnonzero(~is_control)

    @cached_property
    def pairs(self) -> NDArray[np.int64]:
        """int[P, 2]: positions of the two questions of each whole pair."""
        members: dict[str, list[int]] = {}
        for row, question in enumerate(self.questions):
            if question.get("pair_id"):
                members.setdefault(question["pair_id"], []).append(row)
        whole = [rows for rows in members.values() if len(rows) == 2]
        return np.array(whole, dtype=np.int64).reshape(-1, 2)

    @cached_property
    def rightful(self) -> NDArray[np.str_]:
        """str[N]: the right answers."""
        return np.array([text_of(question["answer"]) for question in self.questions], dtype=np.str_)

    @cached_property
    def pairs_scored(self) -> NDArray[np.int64]:
        """int[P, 2]: the whole pairs among the questions that count for the headline."""
        return self.pairs[np.isin(self.pairs, self.scored).all(axis=1)]

    @cached_property
    def conflicts(self) -> NDArray[np.bool_]:
        """Whether anatomy alone would give a wrong answer: there is a prior answer, and it is not the right one."""
        return np.array(
            [question.get("prior_answer") not in (None, "", question["answer"]) for question in self.questions]
        )

    @cached_property
    def agrees(self) -> NDArray[np.bool_]:
        """Whether anatomy alone would give the right answer."""
        return np.array([question.get("prior_answer") == question["answer"] for question in self.questions])

    @cached_property
    def followed_prior(self) -> NDArray[np.bool_]:
        """Whether the answer is the one that anatomy alone would give."""
        return np.array(
            [
                answer.said is not None and answer.said == question.get("prior_answer")
                for answer, question in zip(self.answers, self.questions, strict=True)
            ]
        )

    def groups(self) -> Iterator[Group]:
        """All questions; by each factor, source, relation, structure and margin; and by terminology with prompt."""
        yield Group((), (), self.scored)
        for name in (*FACTORS, "source", "relation"):
            rows = self.without_controls(but_of=name) if name in CONTROLS else self.scored
            column = self.column(name)[rows]
            for value in self.values(name):
                if (column == value).any():
                    yield Group((name,), (value,), rows[column == value])
        yield from self._structures()
        yield from self._margins()
        terminology, prompt = (self.column(name)[self.scored] for name in ("terminology", "prompt"))
        for one in self.values("terminology"):
            for other in self.values("prompt"):
                rows = self.scored[(terminology == one) & (prompt == other)]
                if len(rows):
                    yield Group(("terminology", "prompt"), (one, other), rows)

    def _structures(self) -> Iterator[Group]:
        """A question counts for each structure that it is about."""
        rows: dict[str, list[int]] = {}
        for row in self.scored:
            for name in dict.fromkeys(self.questions[row].get("structures") or []):
                rows.setdefault(name, []).append(int(row))
        for name in sorted(rows):
            yield Group(("structure",), (name,), np.array(rows[name]))

    def _margins(self) -> Iterator[Group]:
        groups = np.array([margin_group(self.questions[row].get("margin_mm")) for row in self.scored])
        for name in MARGIN_GROUPS:
            rows = self.scored[groups == name]
            if len(rows):
                yield Group(("margin_mm",), (name,), rows)


def margin_group(margin: float | None) -> str:
    """The group of a margin in millimetres; "" where there is none."""
    if margin is None or np.isnan(margin):
        return ""
    return MARGIN_GROUPS[bisect_right(MARGINS, margin)]


def relation_of(question: Mapping[str, Any]) -> str:
    """What is asked for: the relation, without the number of the image that shows it.

    Of a naming question it is "": its relation is the structure's own name.
    """
    if question.get("terminology") == "anatomical":
        return ""
    return re.sub(r" in image \d+$", "", text_of(question.get("relation")))


def volume(question: Mapping[str, Any]) -> str:
    """The volume that a question is about: the unit whose questions are easy or hard together."""
    return f"{question.get('source', '')}/{question.get('subject', '')}"


def patient(question: Mapping[str, Any]) -> str:
    """Whose volume a question is about: several volumes of one person are one draw, not several."""
    subject = text_of(question.get("subject"))
    known = question.get("patient") or patient_of(text_of(question.get("source")), subject)
    return f"{question.get('source', '')}/{known}"


def fact(question: Mapping[str, Any]) -> str:
    """What is asked about, however it is asked."""
    return text_of(question.get("fact_id") or question.get("id"))


def by_volume(volumes: NDArray[np.int64], facts: NDArray[np.int64]) -> tuple[NDArray[np.int64], str]:
    """What each question shares with those that are easy or hard together, and what that is called.

    That is the volume; of questions that are all about one volume, the fact. All volumes of a patient count as one.
    """
    return (volumes, "volume") if len(np.unique(volumes)) > 1 else (facts, "fact")


def in_order(name: str, values: Sequence[str]) -> list[str]:
    """The different values of a column: known ones in their order, others after them by name; "" is no value."""
    known = {value: rank for rank, value in enumerate(opposites() if name == "relation" else FACTORS.get(name, ()))}
    return sorted(set(values) - {""}, key=lambda value: (known.get(value, len(known)), value))


def text_of(value: object) -> str:
    """A column's value as text."""
    return "" if value is None else str(value)


def codes(names: Sequence[str]) -> NDArray[np.int64]:
    """int[N]: a number for each different name."""
    known: dict[str, int] = {}
    return np.array([known.setdefault(name, len(known)) for name in names], dtype=np.int64)
