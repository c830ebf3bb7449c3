"""An answer in a sample file: what was said, and what it is worth."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from lm_eval_tasks.mis_ground.metrics import baselines_of, scores_of
from lm_eval_tasks.mis_ground.prompts import answer_type_of
from lm_eval_tasks.report.reread import read_sample, scored_outcome


@dataclass(frozen=True)
class Answer:
    """What a model replied to a question, and what was read from it.

    Args:
        reply: the generated text.
        said: the option read from it, or the position (in pixels of the stored image) or number as text; None where
            there is none.
        right: whether it is the right one.
        status: ``read``, or why there is no option: ``refused``, ``truncated``, ``unread``.
        kind: the question's answer type.
        values: of a box x0, y0, x1, y1, of a point x, y, of a number the number.
        image: which of several images was named, from 0.
        scores: of a position or a number, and of its baselines; see ``metrics.scores_of``.
    """

    reply: str
    said: str | None
    right: bool
    status: str = "read"
    kind: str = "choice"
    values: tuple[float, ...] = ()
    image: int | None = None
    scores: Mapping[str, float] = field(default_factory=dict)


def answer_of(sample: Mapping[str, Any]) -> Answer:
    """The answer in a sample, as it is read now."""
    question, found = sample["doc"], read_sample(sample)
    kind = answer_type_of(question)
    scores = scores_of(question, found)
    more = {} if kind == "choice" else scores | baselines_of(question)
    reply = str(sample["filtered_resps"][0])
    return Answer(reply, found.option, scores["acc"] == 1, found.status, kind, found.values, found.image, more)


def as_scored(sample: Mapping[str, Any], now: Answer) -> Answer:
    """The answer as it was scored, from what it is read as now."""
    before = scored_outcome(sample)
    if before == "right":
        said = sample["doc"]["answer"] if now.kind == "choice" else now.said
        return replace(now, right=True, said=said, status="read")
    if before == "wrong":
        return replace(now, right=False, status="read")
    known = now.status if before == "no answer" and now.said is None else before
    return replace(now, right=False, said=None, status="unread" if known == "no answer" else known, values=())
