"""Weighs what all sentences of a reply say, and gives the one option that is left; none where they contradict."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from . import lists, statuses
from .naming import NameVote, name_votes
from .question import Asked
from .references import mark_references
from .relations import Vote, sides_named, votes
from .text import plain, sentences


@dataclass(frozen=True)
class Found:
    """An option, or what kept it from being found."""

    option: str | None
    stage: str


_CORRECTS = re.compile(
    (
        r"^\W*(?:no,|no\b(?=\W*$)|wait|actually|sorry|correction|scratch that|i mean|"
        r"let me (?:correct|rethink|re-?check|re-?consider)|on second thoughts?|hmm+,? "
        r"no|oops|strike that|apologies|my mistake|i misspoke)|\b(?:wait|scratch that|"
        r"let me correct|on second thought)\b"
    ),
    re.I,
)
_CONCLUDES = re.compile(r"\W*(?:so|therefore|thus|hence|in conclusion|overall|it is therefore)\b", re.I)
_TASK = re.compile(
    r"\W*(?:the (?:question|task|user)|we (?:need|have|are asked|want)|i (?:need|have|am asked)|our task|the options)\b"
    r"(?: (?:is|are|asks?|wants?|to|me|us|for))+",
    re.I,
)
"""A sentence that says what is asked."""
_ABOUT_FRAMES = re.compile(
    r"\b(?:convention|image|picture|however|but|since|because|flipped|mirrored|viewer|patient)", re.I
)


def weighed(text: str, asked: Asked, cut: bool, aloud: bool) -> Found:
    """The one option that is left when all sentences are weighed."""
    text = re.sub(r"(?i)\bthe question asks[^:.\n]*:\s*(?=\S)", "", text)
    parts = [
        part for part in sentences(text) if not _TASK.match(part) or re.search(r"\b(?:so|therefore|answer)\b", part)
    ]
    tail = ""
    if cut and parts:
        tail = parts[-1] if statuses.is_cut(text) else ""
        parts = parts[:-1] if tail else parts
    if asked.kind == "orders":
        given = lists.order_votes("\n".join(part for part in parts if not part.endswith("?")), asked)
        return _one(given, cut)
    if asked.kind == "images":
        strong: list[str] = []
        weak: list[str] = []
        for part in parts:
            more, other = lists.image_votes(part.casefold(), asked)
            if (_CORRECTS.search(part) or _CONCLUDES.match(part)) and (more or other):
                strong, weak = [], []
            strong += more
            weak += other
        return _one(strong or weak, cut)
    if asked.kind == "names":
        return _named(parts, asked, cut)
    return _related(parts, asked, cut, aloud, tail) if asked.kind == "relation" else Found(None, "nothing")


def _one(given: Sequence[str], cut: bool) -> Found:
    """The one option of several votes; "" is a vote for none that is listed."""
    if not given:
        return Found(None, "nothing")
    if len(set(given)) == 1 and given[0] and not cut:
        return Found(given[0], "sentence")
    return Found(None, "conflict")


def _blocks(parts: Sequence[str]) -> int | None:
    """Number of the sentence that refuses; None if none does."""
    hard = [
        i
        for i, part in enumerate(parts)
        if statuses.refuses(part.casefold())
        and not re.search(
            r"\b(?:(?:not|can't be|cannot be) (?:\w+ )?(?:sure|certain)|unsure|hard to)\b", part.casefold()
        )
    ]
    return hard[0] if hard else None


_STILL = re.compile(
    r"\b(?:but|however|guess|nevertheless|still|based on|if i had to|most likely|answer|i'd say|would say)\b"
)


def _allowed(parts: Sequence[str], number: int, refused: int | None) -> bool:
    """Whether what a sentence says counts although another one refuses."""
    if refused is None:
        return True
    sentence = parts[number].casefold()
    return (
        number >= refused
        and bool(_STILL.search(sentence))
        and (number > refused or bool(re.search(r"\b(?:but|however|guess)\b", sentence)))
    )


def _related(parts: Sequence[str], asked: Asked, cut: bool, aloud: bool, tail: str) -> Found:
    axis = asked.axis
    assert axis is not None
    found: list[Vote] = []
    refused = _blocks(parts)
    restart = -1
    subject = 0
    marked_parts = [mark_references(part, asked) for part in parts]
    for number, marked in enumerate(marked_parts):
        if _CORRECTS.search(parts[number]):
            restart = number
        given = list(votes(marked, number, asked, subject))
        if not _allowed(parts, number, refused):
            given = []
        found += given
        mentioned = re.findall(r"R(\d)", marked)
        if mentioned and not given:
            subject = int(mentioned[0]) if len(set(mentioned)) == 1 else 0
        elif given:
            subject = 0
    if restart >= 0:
        later = [v for v in found if v.sentence > restart or (v.sentence == restart and v.leads & {"correction"})]
        later = later or [v for v in found if v.sentence == restart]
        found = later or found
    inside = [i for i, vote in enumerate(found) if "correction" in vote.leads and not vote.negated]
    if inside:
        found = found[inside[-1] :]
    positive = [vote for vote in found if not vote.negated and "otherwise" not in vote.leads]
    denied = {vote.option for vote in found if vote.negated}
    firm = [vote for vote in positive if not vote.leads & {"concession"} or False]
    positive = firm or [vote for vote in positive if vote.full]
    if cut:
        ends = [vote for vote in positive if "conclusion" in vote.leads]
        sure = not _ABOUT_FRAMES.search(tail)
        lead = [vote for vote in positive if vote.sentence == 0 and not aloud and (sure or not vote.full)]
        positive = ends or lead
    chosen = _settled(positive)
    if chosen is None and axis.name == "midline" and not positive:
        side = sides_named(" ".join(marked_parts))
        if side and _blocks(parts) is None and not cut:
            return Found(
                next(
                    p.option
                    for p in axis.poles
                    if plain(p.option).split()[0] in (("same",) if side == "same" else ("opposite", "different"))
                ),
                "sentence",
            )
    if chosen:
        return Found(None, "conflict") if chosen in denied else Found(chosen, "sentence")
    if positive:
        return Found(None, "conflict")
    if len(denied) == 1 and not cut:
        full = any(vote.full and vote.negated for vote in found)
        if axis.complementary or (
            full and len(parts) == 1 and len(found) == 1 and not re.search(r",|\bbut\b", parts[0])
        ):
            (no,) = denied
            return Found(next(p.option for p in axis.poles if p.option != no), "sentence")
    return Found(None, "nothing")


def _settled(positive: Sequence[Vote]) -> str | None:
    """The option of votes that agree, or that a conclusion or the right frame settles."""
    if not positive:
        return None
    if len({vote.option for vote in positive}) == 1:
        return positive[0].option
    last = positive[-1]
    # An answer that stood alone and is then contradicted is no answer.
    if any(not vote.full and not vote.leads and not vote.explicit and vote.option != last.option for vote in positive):
        return None
    explicit = [vote for vote in positive if vote.explicit]
    if last.explicit and len({vote.option for vote in explicit}) == 1:
        return last.option
    if "conclusion" in last.leads:
        return last.option
    without = [vote for vote in positive if not vote.leads & {"reason", "relative"}]
    if without and len({vote.option for vote in without}) == 1 and len(without) < len(positive):
        return without[0].option
    return None


def _named(parts: Sequence[str], asked: Asked, cut: bool) -> Found:
    found: list[NameVote] = []
    refused = _blocks(parts)
    for number, part in enumerate(parts):
        given = name_votes(part.casefold(), number, asked)
        if not _allowed(parts, number, refused):
            given = []
        if _CORRECTS.search(part) and any(vote.strength in ("strong", "weak") for vote in given):
            found = []
        found += given
    inside = [i for i, vote in enumerate(found) if "correction" in vote.leads and vote.strength == "strong"]
    found = found[inside[-1] :] if inside else found
    denied = {vote.option for vote in found if vote.strength == "not"}
    listed = {vote.option for vote in found if vote.strength == "listed"}
    for strength in ("strong", "weak"):
        given_votes = [vote for vote in found if vote.strength == strength and "concession" not in vote.leads]
        given_votes = [vote for vote in given_votes if "reason" not in vote.leads] or given_votes
        if cut:
            given_votes = [vote for vote in given_votes if "conclusion" in vote.leads]
        options = list(dict.fromkeys(vote.option for vote in given_votes))
        if not options:
            continue
        if len(options) > 1 and "conclusion" in given_votes[-1].leads:
            options = [given_votes[-1].option]
        if len(options) > 1 or options[0] in denied:
            return Found(None, "conflict")
        if strength == "weak" and listed - {options[0]}:
            return Found(None, "conflict")
        return Found(options[0], "sentence")
    return Found(None, "conflict" if listed else "nothing")
