"""The reading of a reply in stages: what comes first decides, and what is doubtful is left unread."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from . import final, lists, statuses
from .languages import in_english
from .markers import without_reasoning
from .naming import NameVote, name_votes
from .question import Asked, ask, lettered
from .relations import Vote, mark_references, sides_named, votes
from .result import Reading
from .text import clean, plain, sentences
from .typing_errors import corrected
from .verdicts import Verdicts, verdicts

CUT_OFF = frozenset({"length", "max_tokens", "max_output_tokens", "MAX_TOKENS"})
"""Finish reasons of servers that mean that the budget was spent."""


def read(reply: str, options: Sequence[str], question: str = "", finish_reason: str | None = None) -> Reading:
    """Read the option that a reply gives.

    Args:
        reply: the generated text.
        options: the options as listed.
        question: the question, for its structures, its frame and the letters of its options.
        finish_reason: why the generation ended, where that is known.
    """
    cut_off = finish_reason in CUT_OFF
    if not reply.strip() or not options:
        return Reading(None, "truncated" if cut_off else "unread", "empty")
    answer = without_reasoning(reply)
    if answer is None:
        return Reading(None, "truncated", "reasoning")
    asked = ask(question, tuple(options))
    text = _prepared(answer, asked)
    if not text.strip():
        return Reading(None, "truncated" if cut_off else "unread", "nothing")
    return _read(text, asked, cut_off)


def _prepared(answer: str, asked: Asked) -> str:
    """The answer without markup, in English, its marked fields written out as final answers."""
    for field in reversed(final.fields(answer)):
        answer = f"{answer[: field.start]}\nFinal answer: {field.text.strip() or 'none'}\n{answer[field.end :]}"
    text = in_english(clean(answer))
    return corrected(_without_echo(text, asked), asked)


_ECHO = re.compile(r"(?im)^\W*(?:options?|choices|answer options|possible answers)\s*:\s*(?!\d).*[;,/|].*$|^answer with one of the options.*$")


def _without_echo(text: str, asked: Asked) -> str:
    """Without the question, the list of options and the instruction, where the reply repeats them."""
    without = _ECHO.sub("", text)
    for sentence in re.findall(r"[^.?\n]{12,}[.?]", clean(asked.text)):
        # Only the question's own long sentences, word for word.
        without = re.sub(re.escape(sentence.strip()), " ", without, flags=re.I) if len(sentence) > 40 else without
    lines = without.split("\n")
    names = [plain(option) for option in asked.options]
    bare = [re.sub(r"^\W*(?:\(?[a-d1-9][).:]\s+)?|\W+$", "", line.casefold()) for line in lines]
    if len(names) > 1 and all(bare.count(name) == 1 for name in names) and sum(map(bool, bare)) > len(names):
        letters = lettered(without, asked.options)
        lines = [line for line, own in zip(lines, bare, strict=True) if own not in names]
        without = "\n".join(lines)
        for letter, option in letters.items():
            without = re.sub(rf"(?i)(answer|choice|option)(\s*(?:is)?\s*:?\s*)\(?{letter}\)?(?=\W*(?:$|\n))", rf"\1\2 {option}", without)
    return without.strip() or text


# ------------------------------------------------------------------------------------------------------------ stages


def _read(text: str, asked: Asked, cut_off: bool) -> Reading:
    kept = _without_notes(text)
    cut = cut_off or statuses.is_cut(text)
    if not kept.strip():
        return _nothing(text, cut, "nothing")
    announced = _final(kept, asked)
    if announced is not None:
        return announced if announced.option or not cut or announced.stage == "conflict" else _nothing(text, cut, "cut")
    bare = bare_option(kept, asked)
    if bare:
        return Reading(bare, "read", "bare")
    judged = verdicts(kept, asked)
    found = _said(judged.rest, asked, cut, statuses.thinks_aloud(kept))
    if judged.chosen and found.option in (None, judged.chosen) and found.stage != "conflict":
        return Reading(judged.chosen, "read", "verdicts")
    if judged.chosen and found.option:
        return _nothing(kept, cut, "conflict")
    if found.option:
        if found.option in judged.denied:
            return _nothing(kept, cut, "conflict")
        return Reading(found.option, "read", found.stage)
    return _nothing(kept, cut, found.stage)


def _without_notes(text: str) -> str:
    """Without notes, disclaimers and courtesies, sentence by sentence; a note in a paragraph of its own goes whole."""
    kept = []
    for line in text.split("\n"):
        parts = sentences(line)
        if parts and re.match(r"\W*(?:notes?|disclaimer)\b\s*:", parts[0].casefold()):
            continue
        good = [part for part in parts if not statuses.is_note(part.casefold())]
        if len(good) == len(parts):
            kept.append(line)
        elif good:
            kept.append(" ".join(good))
    return "\n".join(kept).strip()


def _nothing(text: str, cut: bool, stage: str) -> Reading:
    if any(statuses.refuses(sentence.casefold()) for sentence in sentences(text)):
        return Reading(None, "refused", "refusal")
    return Reading(None, "truncated", "cut") if cut else Reading(None, "unread", stage)


def _final(text: str, asked: Asked) -> Reading | None:
    """What the announced final answers give; None if there is none that can be read."""
    fields = final.announced(text)
    if not fields:
        return None
    read_as = [(field, _of_field(field.text, asked)) for field in fields]
    given = [(field, option) for field, option in read_as if option]
    last, option = read_as[-1]
    if option is None:
        segment = plain(last.text).strip(" .!()")
        if re.fullmatch(r"(?:option |choice )?[a-h]|none|null|n/a|unknown|unclear|neither|both|\d{1,2}", segment):
            return Reading(None, "unread", "final")
        if statuses.refuses(last.text.casefold()):
            return Reading(None, "refused", "refusal")
        return None
    if len(given) > 1 and given[-2][1] != option:
        between = text[given[-2][0].end : last.start]
        if len(between.strip()) < 12:
            return Reading(None, "unread", "conflict")
    rest = text[last.end :]
    for sentence in sentences(rest):
        if re.match(r"\W*(?:wait|no,|actually|correction|sorry|hmm|oops|scratch that)", sentence, re.I):
            later = _of_field(re.split(sentence[:20], rest, maxsplit=1)[-1] if False else rest, asked)
            return Reading(later, "read", "final") if later else Reading(None, "unread", "conflict")
    return Reading(option, "read", "final")


def _of_field(text: str, asked: Asked) -> str | None:
    """The option of the text of a final answer."""
    text = text.strip()
    bare = bare_option(text, asked)
    if bare:
        return bare
    head = re.split(r"\s*(?:,? because\b|,? since\b|,? as (?=it|the|structure)|,? given\b|,? due to\b|\bbased on\b)", text, maxsplit=1)[0]
    if head != text:
        bare = bare_option(head, asked)
        if bare:
            return bare
    return _said(text, asked, cut=False, aloud=False).option


_POSITIONS = {"first": 0, "1": 0, "1st": 0, "one": 0, "former": 0, "second": 1, "2": 1, "2nd": 1, "two": 1, "latter": -1, "third": 2, "3": 2, "3rd": 2, "three": 2, "fourth": 3, "4": 3, "4th": 3, "four": 3, "last": -1}


def bare_option(text: str, asked: Asked) -> str | None:
    """The option of a text that is an option and nothing else, in whatever form."""
    options = {plain(option).replace("-", " "): option for option in asked.options}
    phrase = plain(text.replace("YESMARK", " ")).strip(" .!?:;()[]{}-,'>|/").replace("-", " ")
    if phrase in options:
        return options[phrase]
    if asked.letters:
        letter = re.fullmatch(r"(?:option |choice |answer )?\(?([a-z0-9])\)?[.):]?(?: (.+))?", phrase)
        if letter and letter[1] in asked.letters:
            option = asked.letters[letter[1]]
            return option if not letter[2] or letter[2].strip(" .():") in (plain(option), plain(option).replace("-", " ")) else None
    labelled = re.fullmatch(r"(?:option |choice )?\(?(?:[a-h]|\d)(?:[.):]| :| ->)+ *(.+)", phrase)
    if labelled and asked.kind != "orders" and labelled[1] in options:
        return options[labelled[1]]
    position = re.fullmatch(r"(?:the )?(?:(first|second|third|fourth|last|1st|2nd|3rd|4th|former|latter)(?: (?:option|choice|one|answer|listed))?|(?:option|choice) (?:number |no\.? )?(\d|one|two|three|four))", phrase)
    if position and asked.kind != "images":
        place = _POSITIONS[position[1] or position[2]]
        if position[1] in ("former", "latter") and len(asked.options) != 2:
            return None
        if position[1] and not re.search(r"option|choice|former|latter|listed", phrase):
            return None
        return asked.options[place] if place < len(asked.options) else None
    if asked.kind == "images":
        return lists.bare_image(text, asked)
    if asked.kind == "orders":
        given = lists.order_votes(text, asked)
        return given[0] or None if len(given) == 1 and len(phrase) < 90 else None
    if asked.kind == "names":
        return lists.bare_name(text, asked)
    if asked.kind in ("relation", "other"):
        told = _told_by_words(phrase, asked)
        if told:
            return told
    if asked.kind == "relation" and len(phrase.split()) <= 8 and not re.search(r"[.;\n].*\w", text.strip()):
        marked = mark_references(text, asked)
        given_votes = list(votes(re.sub(r"[.!?]+$", "", marked.strip()), 0, asked))
        if len(given_votes) == 1 and not given_votes[0].negated and not re.search(r"\b(?:it|R0)\b.*\bis\b", marked):
            return given_votes[0].option
    return None


def _told_by_words(phrase: str, asked: Asked) -> str | None:
    """The option that is told by words that only it has: "head" for "toward the head"."""
    words = set(phrase.split()) - {"the"}
    of_options = {option: set(plain(option).replace("-", " ").split()) for option in asked.options}
    fitting = [
        option
        for option, own in of_options.items()
        if words <= own and words - set().union(*(other for name, other in of_options.items() if name != option))
    ]
    return fitting[0] if len(fitting) == 1 and words - {"in", "by", "to", "of"} else None


# --------------------------------------------------------------------------------------------------- what is said


@dataclass(frozen=True)
class _Found:
    option: str | None
    stage: str


_CORRECTS = re.compile(r"^\W*(?:no,|no\b(?=\W*$)|wait|actually|sorry|correction|scratch that|i mean|let me (?:correct|rethink|re-?check|re-?consider)|on second thoughts?|hmm+,? no|oops|strike that|apologies|my mistake|i misspoke)|\b(?:wait|scratch that|let me correct|on second thought)\b", re.I)
_ABOUT_FRAMES = re.compile(r"\b(?:convention|image|picture|however|but|since|because|flipped|mirrored|viewer|patient)", re.I)


def _said(text: str, asked: Asked, cut: bool, aloud: bool) -> _Found:
    """The one option that is left when all sentences are weighed."""
    parts = sentences(text)
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
            if _CORRECTS.search(part) and (more or other):
                strong, weak = [], []
            strong += more
            weak += other
        return _one(strong or weak, cut)
    if asked.kind == "names":
        return _named(parts, asked, cut)
    return _related(parts, asked, cut, aloud, tail) if asked.kind == "relation" else _Found(None, "nothing")


def _one(given: Sequence[str], cut: bool) -> _Found:
    """The one option of several votes; "" is a vote for none that is listed."""
    if not given:
        return _Found(None, "nothing")
    if len(set(given)) == 1 and given[0] and not cut:
        return _Found(given[0], "sentence")
    return _Found(None, "conflict")


def _blocks(parts: Sequence[str]) -> int | None:
    """Number of the sentence that refuses; None if none does."""
    hard = [i for i, part in enumerate(parts) if statuses.refuses(part.casefold()) and not re.search(r"\b(?:not (?:\w+ )?(?:sure|certain)|unsure|hard to)\b", part.casefold())]
    return hard[0] if hard else None


_STILL = re.compile(r"\b(?:but|however|guess|nevertheless|still|based on|if i had to|most likely|answer|i'd say|would say)\b")


def _allowed(parts: Sequence[str], number: int) -> bool:
    """Whether what a sentence says counts although another one refuses."""
    refused = _blocks(parts)
    if refused is None:
        return True
    sentence = parts[number].casefold()
    return number >= refused and bool(_STILL.search(sentence)) and (number > refused or bool(re.search(r"\b(?:but|however|guess)\b", sentence)))


def _related(parts: Sequence[str], asked: Asked, cut: bool, aloud: bool, tail: str) -> _Found:
    axis = asked.axis
    assert axis is not None
    found: list[Vote] = []
    restart = -1
    subject = 0
    marked_parts = [mark_references(part, asked) for part in parts]
    for number, marked in enumerate(marked_parts):
        if _CORRECTS.search(parts[number]):
            restart = number
        given = list(votes(marked, number, asked, subject))
        if not _allowed(parts, number):
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
    firm = [vote for vote in positive if not vote.leads & {"concession"} or vote.full and vote.sentence and False]
    positive = firm or [vote for vote in positive if vote.full]
    if cut:
        ends = [vote for vote in positive if "conclusion" in vote.leads]
        lead = [vote for vote in positive if vote.sentence == 0 and not aloud and not _ABOUT_FRAMES.search(tail)]
        positive = ends or lead
    chosen = _settled(positive)
    if chosen is None and axis.name == "midline" and not positive:
        side = sides_named(" ".join(marked_parts))
        if side and _blocks(parts) is None and not cut:
            return _Found(next(p.option for p in axis.poles if plain(p.option).split()[0] in (("same",) if side == "same" else ("opposite", "different"))), "sentence")
    if chosen:
        return _Found(None, "conflict") if chosen in denied else _Found(chosen, "sentence")
    if positive:
        return _Found(None, "conflict")
    if len(denied) == 1 and not cut:
        full = any(vote.full and vote.negated for vote in found)
        if axis.complementary or (full and len(parts) == 1 and len(found) == 1 and not re.search(r",|\bbut\b", parts[0])):
            (no,) = denied
            return _Found(next(p.option for p in axis.poles if p.option != no), "sentence")
    return _Found(None, "nothing")


def _settled(positive: Sequence[Vote]) -> str | None:
    """The option of votes that agree, or that a conclusion or the right frame settles."""
    if not positive:
        return None
    if len({vote.option for vote in positive}) == 1:
        return positive[0].option
    last = positive[-1]
    explicit = [vote for vote in positive if vote.explicit]
    if last.explicit and len({vote.option for vote in explicit}) == 1:
        return last.option
    opening = positive[0]
    bare_opening = opening.sentence == 0 and not opening.full and not opening.leads
    if "conclusion" in last.leads and not bare_opening:
        return last.option
    without = [vote for vote in positive if not vote.leads & {"reason", "relative"}]
    if without and len({vote.option for vote in without}) == 1 and len(without) < len(positive):
        return without[0].option
    return None


def _named(parts: Sequence[str], asked: Asked, cut: bool) -> _Found:
    found: list[NameVote] = []
    for number, part in enumerate(parts):
        given = name_votes(part.casefold(), number, asked)
        if not _allowed(parts, number):
            given = []
        if _CORRECTS.search(part) and any(vote.strength in ("strong", "weak") for vote in given):
            found = []
        found += given
    inside = [i for i, vote in enumerate(found) if "correction" in vote.leads and vote.strength == "strong"]
    found = found[inside[-1] :] if inside else found
    denied = {vote.option for vote in found if vote.strength == "not"}
    listed = {vote.option for vote in found if vote.strength == "listed"}
    for strength in ("strong", "weak"):
        given_votes = [vote for vote in found if vote.strength == strength and not vote.leads & {"concession", "reason"}]
        if cut:
            given_votes = [vote for vote in given_votes if "conclusion" in vote.leads]
        options = list(dict.fromkeys(vote.option for vote in given_votes))
        if not options:
            continue
        if len(options) > 1 and "conclusion" in given_votes[-1].leads:
            options = [given_votes[-1].option]
        if len(options) > 1 or options[0] in denied:
            return _Found(None, "conflict")
        if strength == "weak" and listed - {options[0]}:
            return _Found(None, "conflict")
        return _Found(options[0], "sentence")
    return _Found(None, "conflict" if listed else "nothing")


__all__ = ["Verdicts", "bare_option", "read"]
