"""The prompt of a question, in each style."""

from collections.abc import Sequence
from string import ascii_uppercase
from typing import Any

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

OPTIONS = "Options: "
"""Beginning of the line of a question that lists its options."""

DIRECT = RunSettings()


def doc_to_text(doc: Document, settings: RunSettings = DIRECT) -> str:
    """The prompt of a leaf with images: a place for each image, in order, then the question."""
    return PLACE * len(doc["images"]) + "\n" + doc_to_blind_text(doc, settings)


def doc_to_blind_text(doc: Document, settings: RunSettings = DIRECT) -> str:
    """The prompt of a leaf without images."""
    question = lettered(doc["question"], doc["options"]) if settings.letters else doc["question"]
    if doc.get("panels"):
        question = f"{SHEET_NOTE.format(count=doc['panels'])}\n{question}"
    return f"{question}\n{instruction(settings)}"


def instruction(settings: RunSettings) -> str:
    """The instruction that asks for the answer."""
    if settings.style == "reasoning":
        return REASONING_LETTER_INSTRUCTION if settings.letters else REASONING_INSTRUCTION
    return LETTER_INSTRUCTION if settings.letters else INSTRUCTION


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
