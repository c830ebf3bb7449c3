"""Language or perception: of what a model gets wrong, what does it get right when the question is put another way?

The published dispute: errors of medical vision-language models in space are said to come from language (arXiv
2603.14579) or from perception (arXiv 2601.23220). The data set asks the same fact in twins that differ in one factor,
so both can be read off. A twin that is easier by chance alone would be right about as often as its kind is in general;
that share stands beside, over the questions that the model gets right.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cluster_statistics import rounded
from lm_eval_tasks.report.effects import matched
from lm_eval_tasks.report.scores import Json, share
from lm_eval_tasks.study.answers import Answers, Arm


@dataclass(frozen=True)
class Twin:
    """Another way to put a question.

    Args:
        name: in a sentence.
        factor: that differs.
        own: values of the question itself; empty: any other value.
        other: values of the twin.
        reads: what it would mean if the model gets it right.
    """

    name: str
    factor: str
    own: tuple[str, ...]
    other: tuple[str, ...]
    reads: str


DRAWN = ("label", "point", "box", "mask")
TWINS = (
    Twin(
        "on the blank canvas",
        "input",
        ("slice",),
        ("blank",),
        "it finds the markers and knows the words, and the image around them misleads it: perception or prior",
    ),
    Twin(
        "with coordinates in the text",
        "prompt",
        DRAWN,
        ("text_box", "text_point"),
        "it knows the words and can reason about places, and does not see where the markers are: perception",
    ),
    Twin(
        "mirrored",
        "view",
        ("plain",),
        ("mirrored",),
        "it answers by what is usual rather than by what the image shows: anatomical prior",
    ),
    Twin(
        "in lay words",
        "register",
        ("clinical",),
        ("lay",),
        "it sees the places and does not know the clinical words: language",
    ),
)


def twins_of(answers: Answers, arm_name: str) -> list[Json]:
    """For each way to put a question: how many of the questions got wrong are right in it, with intervals by volume."""
    arm = answers.arms[arm_name]
    return [_twin(arm, twin) for twin in TWINS]


def _twin(arm: Arm, twin: Twin) -> Json:
    sheet = arm.sheet
    pairs = []
    for rows in matched(sheet, twin.factor):
        own = [rows[value] for value in twin.own if value in rows]
        other = [rows[value] for value in twin.other if value in rows]
        pairs += [(one, two) for one in own for two in other]
    one, two = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
    wrong = sheet.right[one] == 0
    return {
        "name": twin.name,
        "factor": twin.factor,
        "reads": twin.reads,
        "pairs": len(pairs),
        "wrong": int(wrong.sum()),
        "volumes": len(np.unique(sheet.volumes[one[wrong]])),
        "right_on_twin": _share(arm, one[wrong], two[wrong]),
        "right_on_twin_where_right": _share(arm, one[~wrong], two[~wrong]),
        "accuracy": rounded(float(sheet.right[one].mean())) if len(pairs) else None,
        "twin_accuracy": rounded(float(sheet.right[two].mean())) if len(pairs) else None,
    }


def _share(arm: Arm, rows: NDArray[np.int64], twins: NDArray[np.int64]) -> Json | None:
    """Share of the twins that are right; by the questions' volumes."""
    if not len(rows):
        return None
    return share(arm.sheet, rows, arm.sheet.right[twins])
