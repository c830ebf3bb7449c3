"""The reading of a reply to a question that is answered with yes or no.

Strictly: the reply is one of the two words, announces one as its answer, begins with one, or ends with one that stands
alone. What takes its word back, or says the opposite of it in the same breath, is left unread; so is a sentence that
says where something lies and never says yes or no.
"""

import re

from . import final, statuses
from .bare import bare_option
from .question import Asked
from .result import Reading
from .text import sentences

OPTIONS = frozenset({"yes", "no"})

_OPENING = re.compile(r"\W*(yes|no)\b(?=\s*(?:[,.;:!)\]*\"'\u2013\u2014-]|$))", re.I)
_ALONE = re.compile(r"\W*(?:(?:so|therefore|thus|hence)\b\W*)?(yes|no)\W*", re.I)
_WORD = re.compile(r"\b(yes|no)\b(?=\s*(?:[,.;:!)\]*\"']|$))", re.I)
_DENIAL = re.compile(r"\b(?:not|never|isn't|aren't|doesn't|rather than|instead of|neither)\b|n't\b", re.I)

_LIES = (
    (
        r"(?:to|on|toward) the (?:patient's )?left(?: side)? of",
        r"(?:to|on|toward) the (?:patient's )?right(?: side)? of",
    ),
    (r"anterior to|in front of", r"posterior to|behind"),
    (r"superior to|closer to the head", r"inferior to|closer to the feet"),
    (r"medial to|closer to the middle", r"lateral to|farther from the middle"),
    (r"proximal to|closer to the trunk", r"distal to|farther from the trunk"),
    (r"above", r"below"),
)
"""What a question asks to be confirmed, and the opposite."""


def read_yes_no(text: str, asked: Asked, cut_off: bool) -> Reading:
    """Read yes or no.

    Args:
        text: the reply without reasoning, markup and notes.
        asked: the question.
        cut_off: whether the reply's budget was spent.
    """
    named = {option.casefold(): option for option in asked.options}
    bare = bare_option(text, asked)
    if bare:
        return Reading(bare, "read", "bare")
    fields = final.announced(text)
    if fields:
        field = fields[-1]
        answer = bare_option(field.text, asked) or _opening(field.text)
        if answer is None:
            return _nothing(text, cut_off, "final")
        said = [_opening(each.text) or bare_option(each.text, asked) for each in fields]
        both = len({each.casefold() for each in said if each}) > 1 and not text[fields[-2].end : field.start].strip()
        rest = text[field.end :]
        words = {found.casefold() for found in _WORD.findall(field.text)}
        both = both or len(words) > 1
        if both or _opening(rest) not in (None, answer.casefold()) or _contradicts(answer, field.text, asked):
            return Reading(None, "unread", "conflict")
        return Reading(named[answer.casefold()], "read", "final")
    parts = sentences(text)
    opening = _opening(parts[0]) if parts else None
    alone = [found[1].casefold() for part in parts if (found := _ALONE.fullmatch(part))]
    if opening is not None:
        others = {found.casefold() for part in parts for found in _WORD.findall(part)}
        if others - {opening} or _contradicts(opening, parts[0], asked):
            return Reading(None, "unread", "conflict")
        return Reading(named[opening], "read", "opening")
    if alone and len(set(alone)) == 1 and _ALONE.fullmatch(parts[-1]):
        return Reading(named[alone[0]], "read", "alone")
    return _nothing(text, cut_off, "conflict" if alone else "nothing")


def _opening(text: str) -> str | None:
    """The word that a text begins with, if it stands for the answer: "No, ...", but not "No structure ..."."""
    found = _OPENING.match(text)
    return found[1].casefold() if found else None


def _contradicts(answer: str, sentence: str, asked: Asked) -> bool:
    """Whether a sentence goes on to say the opposite of its yes or no."""
    question = asked.text.casefold()
    said = sentence.casefold()
    for pair in _LIES:
        for claim, opposite in (pair, pair[::-1]):
            if not re.search(rf"\b(?:{claim})\b", question) or re.search(rf"\b(?:{opposite})\b", question):
                continue
            confirmed = bool(re.search(rf"\b(?:{claim})\b", said))
            reversed_ = bool(re.search(rf"\b(?:{opposite})\b", said))
            denied = bool(_DENIAL.search(said))
            if confirmed == reversed_:
                continue
            holds = confirmed != denied
            return holds != (answer.casefold() == "yes")
    return False


def _nothing(text: str, cut_off: bool, stage: str) -> Reading:
    if any(statuses.refuses(sentence.casefold()) for sentence in sentences(text)):
        return Reading(None, "refused", "refusal")
    return Reading(None, "truncated", "cut") if cut_off or statuses.is_cut(text) else Reading(None, "unread", stage)
