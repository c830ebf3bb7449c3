"""Removal of what a model thought before it answered, by the marks in markers.yml."""

import re
from functools import cache

from .tables import table


@cache
def _compiled(section: str) -> tuple[tuple[re.Pattern[str], re.Pattern[str]], ...]:
    names = {"thoughts": ("open", "close")}.get(section, ("begins", "answer"))
    return tuple(
        (re.compile(row[names[0]], re.I), re.compile(row[names[1]], re.I)) for row in table("markers")[section]
    )


@cache
def _ends() -> re.Pattern[str]:
    return re.compile("|".join(table("markers")["ends"]))


NEXT_TURN = re.compile(
    r"\n\s*(?:#+ *)?\**(?:question|q|user|human|instruction|problem|context)\**\s*(?:\d+)?\s*:", re.I
)
"""Where a model that does not stop makes up the next question."""


def without_reasoning(reply: str) -> str | None:
    """The reply without thoughts; None if a thought never ended.

    >>> without_reasoning("<think>right? no</think>left")
    'left'
    """
    # Case counts here: "Analysis: ..." is a heading, "analysisThe ..." a channel.
    for row in table("markers")["channels"]:
        if re.search(row["begins"], reply):
            answers = list(re.finditer(row["answer"], reply))
            if not answers:
                return None
            return _one_turn(reply[answers[-1].end() :])
    for begins, answer in _compiled("sections"):
        if begins.search(reply):
            answers = list(answer.finditer(reply))
            if not answers:
                return None
            return _one_turn(re.sub(r"</?conclusion>", "", reply[answers[-1].end() :], flags=re.I))
    text = reply
    for opening, closing in _compiled("thoughts"):
        closes = list(closing.finditer(text))
        if closes:
            opens = opening.search(text)
            before = text[: opens.start()] if opens and opens.start() < closes[-1].start() else ""
            # What stands before a thought is the answer only if nothing stands behind it.
            after = text[closes[-1].end() :]
            text = after if after.strip() else before
        opens = opening.search(text)
        if opens:
            if not text[: opens.start()].strip():
                return None
            text = text[: opens.start()]
    return _one_turn(text)


def _one_turn(text: str) -> str:
    """Up to where the turn ends or the model makes up the next question."""
    for end in _ends().finditer(text):
        if text[: end.start()].strip():
            text = text[: end.start()]
            break
        # A mark at the very start ends nothing.
    text = _ends().sub(" ", text)
    for found in NEXT_TURN.finditer(text):
        if text[: found.start()].strip():
            return text[: found.start()]
    return re.sub(r"\A\s*(?:<\|?assistant\|?>|assistant)\s*:?\s*\n", "", text)
