"""A study's answers read back: by model, style, arm and seed, each as a sheet of the report's kind."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dataset_builder.core.errors import MISGroundError
from lm_eval_tasks.report.answers import Answer
from lm_eval_tasks.report.items import Sheet
from lm_eval_tasks.report.runs import Run
from lm_eval_tasks.study.plan import Plan, arms_of
from lm_eval_tasks.study.run import answers_file, questions_file


@dataclass(frozen=True)
class Arm:
    """All answers of an arm, of one model in one style.

    Args:
        name: of the arm in the plan.
        rule: the arm's own name.
        sheets: one for each seed, over the same questions in the same order.
        tokens: by seed and question: the tokens of the reply.
        seconds: of generation, over all seeds.
        generated: tokens, over all seeds.
    """

    name: str
    rule: str
    sheets: tuple[Sheet, ...]
    tokens: tuple[tuple[tuple[int, ...], ...], ...]
    seconds: float
    generated: int

    @cached_property
    def right(self) -> NDArray[np.float64]:
        """float[N]: share of a question's answers that are right; of several seeds the mean."""
        found: NDArray[np.float64] = np.mean([sheet.right for sheet in self.sheets], axis=0)
        return found

    @property
    def sheet(self) -> Sheet:
        """The first seed's."""
        return self.sheets[0]


@dataclass(frozen=True)
class Answers:
    """A model's answers in one style, by arm, and why arms of the plan were left out."""

    model: str
    style: str
    arms: Mapping[str, Arm]
    left_out: Mapping[str, str]


def read_answers(plan: Plan, out: Path) -> list[Answers]:
    """All answers that are complete, by model and style.

    Raises:
        MISGroundError: if there are none, or a file is damaged.
    """
    found = []
    for model in plan.models:
        path = questions_file(out, model)
        if not path.is_file():
            continue
        questions = {line["id"]: line for line in _lines(path)}
        for style in plan.styles:
            arms = {}
            able, left_out = arms_of(plan, model)
            for arm in able:
                files = [answers_file(out, model, style, arm.name, seed) for seed in range(arm.seeds)]
                there = [file for file in files if file.is_file()]
                if there:
                    arms[arm.name] = _arm(arm.name, arm.rule, there, questions, f"{model}/{style}/{arm.name}")
                else:
                    left_out[arm.name] = "not answered yet"
            if arms:
                found.append(Answers(model, style, arms, left_out))
    if not found:
        raise MISGroundError("The study has no complete answers yet.", file=out, remedy="Run it first.")
    return found


def _arm(name: str, rule: str, files: list[Path], questions: Mapping[str, Any], label: str) -> Arm:
    sheets, tokens, seconds, generated = [], [], 0.0, 0
    for file in files:
        head, *lines = _lines(file)
        try:
            known = [line for line in lines if line["id"] in questions]
            kinds = {line["id"]: questions[line["id"]].get("answer_type") or "choice" for line in known}
            answers = {
                line["id"]: Answer(line["reply"], line["said"], bool(line["right"]), line["status"], kinds[line["id"]])
                for line in known
            }
            by_id = {line["id"]: tuple(line["tokens"]) for line in known}
            seconds += head["cost"]["seconds"]
            generated += head["cost"]["tokens"]
        except (KeyError, TypeError) as error:
            raise _damaged(file, error) from error
        run = Run(label, "pictures", label, {}, {}, answers)
        sheets.append(Sheet(run, questions))
        tokens.append(tuple(by_id[each] for each in sheets[-1].ids))
    same = [sheet.ids == sheets[0].ids for sheet in sheets]
    if not all(same):
        raise MISGroundError(
            "Seeds of an arm answered other questions.", file=files[same.index(False)], remedy="Run the study again."
        )
    return Arm(name, rule, tuple(sheets), tuple(tokens), seconds, generated)


def _lines(path: Path) -> list[Any]:
    try:
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line]
    except (OSError, ValueError) as error:
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> MISGroundError:
    return MISGroundError(
        "A file of answers is damaged.",
        file=path,
        value=error,
        remedy="Delete it, and run the study again: the answers themselves are in its store.",
    )
