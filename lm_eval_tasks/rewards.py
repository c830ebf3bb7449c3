"""Rewards to train a model with, from the very reader and scores of the benchmark.

Each is a pure function with the signature that TRL's ``GRPOTrainer`` calls: completions (texts, or messages) and, as
keywords, the prompts and the columns of the rows; :mod:`lm_eval_tasks.training_rows` makes such rows. It returns a
number between 0 and 1 for each completion, and ``None`` where a row asks for another type of answer, which TRL leaves
out. So all can be given together:

    GRPOTrainer(..., reward_funcs=list(REWARDS))
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from lm_eval_tasks.mis_ground.localization import decoded
from lm_eval_tasks.mis_ground.metrics import read_reply, scores_of
from lm_eval_tasks.mis_ground.prompts import answer_type_of
from lm_eval_tasks.mis_ground.reading import Reading
from lm_eval_tasks.mis_ground.replies import as_text

Completion = str | Sequence[Mapping[str, Any]]
"""A text, or the messages that a model answers with."""
Row = Mapping[str, Any]

SHOWN_SHARE = 0.5
"""A box shows a structure if at least this share of the structure lies in it."""
OWN_WORDS = {"image", "loc", "mm", "degrees", "degree"}
"""Words of positions and numbers as they are asked for."""
_WORD = re.compile(r"[^\W\d_]+")
WORDY = 0.5
"""What a readable answer with other words around it earns for its form."""


def choice_reward(completions: Sequence[Completion], **columns: Any) -> list[float | None]:
    """1 for the right option, else 0."""
    return _rewards("choice", completions, columns, lambda row, found, _: scores_of(row, found)["acc"])


def box_reward(completions: Sequence[Completion], **columns: Any) -> list[float | None]:
    """The overlap (IoU) with the true box, if the box shows the structure that is asked for; else 0.

    The second condition is a semantic gate as in MedGround-R1 (Xu et al., arXiv 2507.02994), whose box earns only if a
    vision-language model finds in it what the text names. Here the masks tell: see `shows`.
    """
    return _rewards("box", completions, columns, _of_box)


def point_reward(completions: Sequence[Completion], **columns: Any) -> list[float | None]:
    """1 for a point on the structure; off it less, by half with each tenth of the image's width."""
    return _rewards("point", completions, columns, _of_point)


def number_reward(completions: Sequence[Completion], **columns: Any) -> list[float | None]:
    """The mean relative accuracy of a length, an angle or a ratio."""
    return _rewards("number", completions, columns, lambda row, found, _: scores_of(row, found)["mra"])


def format_reward(completions: Sequence[Completion], **columns: Any) -> list[float | None]:
    """1 for a readable answer with no other words around it, `WORDY` with other words, else 0."""
    return _rewards(None, completions, columns, _of_form)


REWARDS = (choice_reward, box_reward, point_reward, number_reward, format_reward)
"""All of them; each row has the reward of its answer's type and that of its form."""


def shows(box: Sequence[float], row: Row) -> bool:
    """Whether a box shows the structure that is asked for: at least half of it, and no reference more than it.

    Args:
        box: x0, y0, x1, y1 in pixels of the stored image.
        row: with ``masks``, that of the structure first, then those of what it is told from.
    """
    asked, *references = (_share_inside(box, mask) for mask in row["masks"])
    return asked >= SHOWN_SHARE and all(asked >= other for other in references)


def _share_inside(box: Sequence[float], mask: Mapping[str, Any]) -> float:
    pixels = decoded(mask)
    x0, y0, x1, y1 = (max(0, round(edge)) for edge in box)
    return float(pixels[y0:y1, x0:x1].sum() / max(1, np.count_nonzero(pixels)))


def _of_box(row: Row, found: Reading, _: str) -> float:
    iou = scores_of(row, found)["iou"]
    return iou if iou > 0 and shows(found.values, row) else 0.0


def _of_point(row: Row, found: Reading, _: str) -> float:
    scores = scores_of(row, found)
    if "distance_mm" not in scores:
        return 0.0
    width_mm = row["masks"][0]["size"][1] * row["pixel_mm"]
    return 1.0 if scores["acc"] else float(0.5 * 0.5 ** (10 * scores["distance_mm"] / width_mm))


def _of_form(_: Row, found: Reading, reply: str) -> float:
    if found.option is None:
        return 0.0
    # Of an option the reader says whether it stood alone; positions and numbers have no words but their own.
    alone = found.stage == "bare" or (bool(found.values) and not set(_WORD.findall(reply.lower())) - OWN_WORDS)
    return 1.0 if alone else WORDY


def _rewards(
    answer_type: str | None,
    completions: Sequence[Completion],
    columns: Mapping[str, Any],
    reward: Callable[[Row, Reading, str], float],
) -> list[float | None]:
    """The reward of each completion of a row of that answer type (``None``: of any), ``None`` for others."""
    rewards: list[float | None] = []
    for number, completion in enumerate(completions):
        row = {name: values[number] for name, values in columns.items() if _is_column(values, len(completions))}
        if answer_type not in (None, answer_type_of(row)):
            rewards.append(None)
            continue
        reply = text_of(completion)
        rewards.append(float(reward(row, read_reply(row, reply), reply)))
    return rewards


def _is_column(values: object, length: int) -> bool:
    """Whether a keyword holds a value for each completion; TRL also hands over its state and functions to log with."""
    return isinstance(values, Sequence) and not isinstance(values, str) and len(values) == length


def text_of(completion: Completion) -> str:
    """The text of a completion: of messages that of the last."""
    if isinstance(completion, str):
        return completion
    return as_text(completion[-1]["content"]) if completion else ""
