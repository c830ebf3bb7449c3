"""Questions and answers as the page holds them: each column once, repeated values once.

A page of 34,000 questions is opened on a phone; written out row by row, it would be four times as large.
"""

import json
import re
from collections.abc import Iterable, Sequence
from typing import Any

from dataset_builder.pictures.render import MARKER_COLOURS
from lm_eval_tasks.report.images import Images
from lm_eval_tasks.report.items import FACTORS, MARGIN_GROUPS, in_order, margin_group, relation_of, text_of
from lm_eval_tasks.report.runs import Reading
from lm_eval_tasks.report.scores import Json

REPLY_LENGTH = 4000
"""Longer replies are cut on the page; ``items.csv`` has them whole."""

FILTERS = (*FACTORS, "relation", "structure", "margin_mm", "source")
"""What questions can be filtered by, beside what was answered."""


NOT_SHOWN = ("image_hashes", "masks", "prior")
"""Columns that a reader of the page has no use for."""


def page_data(reading: Reading, images: Images) -> Json:
    """What the page's script reads.

    A column is ``{"values": [...], "codes": [...]}``: for question i ``values[codes[i]]``, and without ``codes``
    ``values[i]``. A question's text is a list of numbers in ``pieces``, whose texts joined are the question.
    """
    ids = sorted(reading.questions)
    questions = [reading.questions[each] for each in ids]
    names = list(dict.fromkeys(name for question in questions for name in question))
    columns = {name: _column([question.get(name) for question in questions]) for name in names if name != "question"}
    for name in NOT_SHOWN:
        columns.pop(name, None)
    pieces, numbers = _pieces([question["question"] for question in questions])
    margins = [margin_group(question.get("margin_mm")) for question in questions]
    columns["margin_group"] = _column(margins)
    columns["relation"] = _column([relation_of(question) for question in questions])
    return {
        "ids": ids,
        "columns": columns,
        "pieces": pieces,
        "questions": numbers,
        "images": [images.of.get(each, []) for each in ids],
        "widths": images.widths,
        "filters": {name: values for name in FILTERS if len(values := _values(name, questions, margins)) > 1},
        "runs": [_answers(run.name, run.mode, [run.answers.get(each) for each in ids]) for run in reading.runs],
        "colours": [list(colour) for colour in MARKER_COLOURS.values()],
    }


def _column(values: Sequence[object]) -> Json:
    known: dict[str, int] = {}
    # A text stands for itself; of any other value its JSON does, behind a character that no text begins with.
    codes = [
        known.setdefault(value if isinstance(value, str) else f"\0{json.dumps(value)}", len(known)) for value in values
    ]
    different = [_value(key) for key in known]
    return (
        {"values": [different[code] for code in codes]}
        if len(known) == len(values)
        else {"values": different, "codes": codes}
    )


def _value(key: str) -> object:
    if not key.startswith("\0"):
        return key
    value = json.loads(key[1:])
    return None if value != value else value  # NaN is not JSON


def _pieces(texts: Iterable[str]) -> tuple[list[str], list[list[int]]]:
    """Sentences that occur in many questions, once each."""
    known: dict[str, int] = {}
    numbers = []
    for text in texts:
        parts = re.findall(r".+?(?:[.?\n]\s+|\Z)", text, flags=re.DOTALL)
        parts = parts if "".join(parts) == text else [text]
        numbers.append([known.setdefault(part, len(known)) for part in parts])
    return list(known), numbers


def _values(name: str, questions: Sequence[dict[str, Any]], margins: Sequence[str]) -> list[str]:
    """A filter's values, in order; those of naming questions are structures, not relations."""
    if name == "structure":
        return sorted({each for question in questions for each in question.get("structures") or []})
    if name == "margin_mm":
        return [each for each in MARGIN_GROUPS if each in set(margins)]
    read = relation_of if name == "relation" else lambda question: text_of(question.get(name))
    return in_order(name, [read(question) for question in questions])


def _answers(name: str, mode: str, answers: Sequence[Any]) -> Json:
    """A run's answers: outcome 0 wrong, 1 right, 2 no answer, 3 not asked; what was said and the reply as columns."""
    outcomes = [3 if answer is None else 1 if answer.right else 2 if answer.said is None else 0 for answer in answers]
    return {
        "name": name,
        "mode": mode,
        "outcomes": "".join(map(str, outcomes)),
        "said": _column([answer.said if answer else None for answer in answers]),
        "status": _column([answer.status if answer else None for answer in answers]),
        "replies": _column([_cut(answer.reply) if answer else None for answer in answers]),
        "places": [_place(answer) for answer in answers] if any(map(_place, answers)) else [],
    }


def _place(answer: Any) -> list[float] | None:
    """The number of the image and the box or point that an answer gives, in pixels of the stored image."""
    if answer is None or answer.kind not in ("box", "point") or not answer.values:
        return None
    return [answer.image or 0, *(round(value, 1) for value in answer.values)]


def _cut(reply: str) -> str:
    return reply if len(reply) <= REPLY_LENGTH else f"{reply[:REPLY_LENGTH]} [...]"
