"""The prompt of a question, in each style."""

from collections.abc import Mapping, Sequence
from string import ascii_uppercase
from typing import Any

from lm_eval_tasks.mis_ground.coordinates import TEXT_PROMPTS, Space, in_form
from lm_eval_tasks.mis_ground.settings import RunSettings

Document = dict[str, Any]

PLACE = "<image>"
"""Placeholder of an image in a prompt; the harness puts the model's own token there."""

INSTRUCTION = "Answer with one of the options and nothing else.\nAnswer:"
LETTER_INSTRUCTION = "Answer with the letter of one of the options and nothing else.\nAnswer:"

REASONING_INSTRUCTION = (
    "Think step by step. Then end with one line that holds your final answer, one of the options, in this form:\n"
    "Answer: <option>"
)
REASONING_LETTER_INSTRUCTION = (
    "Think step by step. Then end with one line that holds the letter of your final answer, in this form:\n"
    "Answer: <letter>"
)

SHEET_NOTE = (
    "The {count} images are panels of one sheet, numbered from 1 to {count}, from left to right and from top to bottom."
)

PLACE_ANSWERS = {
    "box": "Answer with the bounding box, written as {pattern}: its {edges} {counts}.",
    "point": "Answer with the point, written as {pattern}, {counts}.",
}
EDGES = {False: "left, top, right and bottom edge,", True: "top, left, bottom and right edge,"}
"""What the numbers of a box are, by whether y stands before x."""
IN_AN_IMAGE = "image N: {pattern}"
NUMBERED = " N is the number of the image, counted from 1."
ON_THE_SHEET = " Positions are those on the whole sheet."
NUMBER_ANSWERS = {
    "mm": ("Answer with the number of millimetres.", "<number> mm"),
    "degree": ("Answer with the number of degrees.", "<number> degrees"),
    "ratio": ("Answer with the number.", "<number>"),
}
"""How a number is asked for, and written in the last line of a reply that reasons."""
NOTHING_ELSE = "Write nothing else.\nAnswer:"
REASONED = "Think step by step. Then end with one line that holds your final answer, in this form:\nAnswer: {form}"

OPTIONS = "Options: "
"""Beginning of the line of a question that lists its options."""

DIRECT = RunSettings()


def doc_to_text(doc: Document, settings: RunSettings = DIRECT) -> str:
    """The prompt of a leaf with images: a place for each image, in order, then the question."""
    return PLACE * len(doc["images"]) + "\n" + doc_to_blind_text(doc, settings)


def doc_to_blind_text(doc: Document, settings: RunSettings = DIRECT) -> str:
    """The prompt of a leaf without images."""
    question = question_of(doc)
    if answer_type_of(doc) != "choice":
        asked = (
            place_instruction(doc, settings) if doc.get("coordinates") else number_instruction(doc["unit"], settings)
        )
    else:
        question = lettered(question, doc["options"]) if settings.letters else question
        asked = instruction(settings)
    if doc.get("panels"):
        question = f"{SHEET_NOTE.format(count=doc['panels'])}\n{question}"
    return f"{question}\n{asked}"


def answer_type_of(doc: Mapping[str, Any]) -> str:
    """What a document asks for; documents of older data sets ask for one of their options."""
    return doc.get("answer_type") or "choice"


def question_of(doc: Mapping[str, Any]) -> str:
    """The question with its coordinates, if it states any, in the run's form."""
    if not doc.get("coordinates") or doc.get("prompt") not in TEXT_PROMPTS:
        return str(doc["question"])
    space = Space.from_json(doc["coordinates"])
    asked_for = 0 if answer_type_of(doc) == "choice" else 1  # the structure that is to be found, whose place is unsaid
    return in_form(doc["question"], doc["prompt"], doc["boxes"][asked_for:], doc["points"][asked_for:], space)


def instruction(settings: RunSettings) -> str:
    """The instruction that asks for one of the options."""
    if settings.style == "reasoning":
        return REASONING_LETTER_INSTRUCTION if settings.letters else REASONING_INSTRUCTION
    return LETTER_INSTRUCTION if settings.letters else INSTRUCTION


def place_instruction(doc: Document, settings: RunSettings) -> str:
    """The instruction that asks for a box or a point, in words that say in which form."""
    space, kind = Space.from_json(doc["coordinates"]), doc["answer_type"]
    pattern = space.pattern(kind)
    form = IN_AN_IMAGE.format(pattern=pattern) if doc["answer_image"] is not None else pattern
    asked = PLACE_ANSWERS[kind].format(pattern=form, edges=EDGES[space.is_y_first], counts=space.counts_words())
    if doc["answer_image"] is not None:
        asked += NUMBERED + (ON_THE_SHEET if doc.get("panels") else "")
    return _in_style(asked, form, settings)


def number_instruction(unit: str, settings: RunSettings) -> str:
    """The instruction that asks for a number."""
    return _in_style(*NUMBER_ANSWERS[unit], settings)


def _in_style(asked: str, form: str, settings: RunSettings) -> str:
    if settings.style == "reasoning":
        return f"{asked} {REASONED.format(form=form)}"
    return f"{asked} {NOTHING_ELSE}"


def lettered(question: str, options: Sequence[str]) -> str:
    r"""The question with a letter before each option.

    >>> lettered("Where is A?\nOptions: right; left", ["right", "left"])
    'Where is A?\nOptions: A. right; B. left'
    """
    plain = OPTIONS + "; ".join(options)
    listed = OPTIONS + "; ".join(
        f"{letter}. {option}" for letter, option in zip(ascii_uppercase, options, strict=False)
    )
    before, found, after = question.rpartition(plain)
    return f"{before}{listed}{after}" if found else f"{question}\n{listed}" if options else question
