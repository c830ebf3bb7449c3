"""The stages that all answers that are no options go through: positions and numbers.

They are those of the reader of options: thoughts are taken away, an announced final answer counts before all else, and
what is doubtful stays unread.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

from . import final, statuses
from .reader import CUT_OFF, REFUSED, answer_part, without_notes
from .result import Reading
from .text import clean, sentences


@dataclass(frozen=True)
class Said:
    """What one part of a reply says.

    Args:
        values: the numbers; None if they cannot be an answer.
        why: why not, as a stage of `Reading`.
        image: the number of the image, from 1, where one is named.
    """

    values: tuple[float, ...] | None
    why: str = "nothing"
    image: int | None = None


CONFLICT = Said(None, "conflict")
"""Several answers, none of which is the final one."""

Take = Callable[[str, bool], Said | None]
"""Reads one part of a reply; told whether that part is an announced answer. None: it says nothing of the kind."""

_CORRECTION = re.compile(
    r"\W*(?:wait|no,|actually|correction|sorry|hmm|oops|scratch that|on second thought|let me)\b", re.I
)


def staged(reply: str, take: Take, finish_reason: str | None, prepare: Callable[[str], str] = str) -> Reading | Said:
    """Go through the stages.

    Args:
        reply: the generated text.
        take: reads one part of it.
        finish_reason: why the generation ended, where that is known.
        prepare: changes the answer before markup is taken away.

    Returns:
        What is said, or the reading of a reply that says nothing of the kind.
    """
    cut_off = finish_reason in CUT_OFF
    answer = answer_part(reply, finish_reason)
    if isinstance(answer, Reading):
        return answer
    for field in reversed(final.marked(answer)):
        answer = f"{answer[: field.start]}\nFinal answer: {field.text.strip() or 'none'}\n{answer[field.end :]}"
    text = without_notes(clean(on_one_line(prepare(answer))))
    cut = cut_off or statuses.is_cut(text) or text.count("[") > text.count("]") or text.count("{") > text.count("}")
    if not text.strip():
        return Reading(None, "truncated" if cut else "unread", "nothing")
    said = _decided(text, take, cut_off)
    if said is None or (said.values is None and said.why == "nothing"):
        if finish_reason in REFUSED or any(statuses.refuses(sentence.casefold()) for sentence in sentences(text)):
            return Reading(None, "refused", "refusal")
        return Reading(None, "truncated", "cut") if cut else Reading(None, "unread", "nothing")
    if said.values is None:
        return Reading(None, "truncated", "cut") if cut_off else Reading(None, "unread", said.why)
    return said


def on_one_line(text: str) -> str:
    """A list or an object over several lines on one."""
    return re.sub(r"(?<=[\[{,(])\s*\n\s*|\s*\n\s*(?=[\]}),])", " ", text)


def _decided(text: str, take: Take, cut_off: bool) -> Said | None:
    fields = final.announced(text)
    given = [(field, said) for field in fields if (said := take(field.text, True)) is not None]
    if fields and not (given and given[-1][0] is fields[-1]) and statuses.refuses(fields[-1].text.casefold()):
        return None
    if given:
        field, said = given[-1]
        before = given[-2] if len(given) > 1 else None
        if before and before[1] != said and len(text[before[0].end : field.start].strip()) < 12:
            return said if final.settles(text, before[0], field) else CONFLICT
        return _corrected(text[field.end :], said, take)
    if cut_off:
        # Of a reply that was cut off before it came to its answer, what it says on the way is none.
        begins = sentences(text)[:1] if re.match(r"\W|\d", text) else []
        return take(begins[0], True) if begins and not re.search(r"[\[(]\s*\d[^\])]*$", text) else None
    return _last_correction(text, take) or take(text, False)


def _corrected(rest: str, said: Said, take: Take) -> Said:
    """What is said, or what is said later instead."""
    for sentence in sentences(rest):
        if _CORRECTION.match(sentence):
            return take(rest[rest.find(sentence[:20]) :], True) or CONFLICT
    return said


def _last_correction(text: str, take: Take) -> Said | None:
    """What is said behind the last "Wait," or "Actually,", if anything."""
    starts = [found.start() for found in re.finditer(r"(?<=[.!?\n])\s*(?=\S)", text)]
    for start in reversed(starts):
        if _CORRECTION.match(text[start:]):
            return take(text[start:], False)
    return None
