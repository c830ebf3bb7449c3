"""The reading of a reply in stages: what comes first decides, and what is doubtful is left unread."""

import re
from collections.abc import Sequence
from functools import cache

from . import final, statuses, yes_no
from .bare import bare_option, names_another_letter
from .languages import bare_word, in_english
from .markers import without_reasoning
from .names import known_names
from .question import Asked, ask, lettered
from .result import Reading, Status
from .text import clean, plain, sentences
from .typing_errors import corrected
from .verdicts import verdicts
from .weighing import weighed

CUT_OFF = frozenset({"length", "max_tokens", "max_output_tokens", "MAX_TOKENS"})
"""Finish reasons of servers that mean that the budget was spent."""


REFUSED = frozenset({"refusal", "content_filter"})
"""Finish reasons of servers that mean that there is no answer."""
LONGEST = 40_000
"""Of a longer reply the last so many characters are read: answers stand at the end."""


def read(reply: str, options: Sequence[str], question: str = "", finish_reason: str | None = None) -> Reading:
    """Read the option that a reply gives.

    Args:
        reply: the generated text.
        options: the options as listed.
        question: the question, for its structures, its frame and the letters of its options.
        finish_reason: why the generation ended, where that is known.
    """
    cut_off = finish_reason in CUT_OFF
    answer = answer_part(reply if options else "", finish_reason)
    if isinstance(answer, Reading):
        return answer
    asked = ask(question, tuple(options))
    text = _prepared(answer, asked)
    if not text.strip():
        return Reading(None, "truncated" if cut_off else "unread", "nothing")
    is_yes_no = {option.casefold() for option in asked.options} == yes_no.OPTIONS
    found = (_read_yes_no if is_yes_no else _read)(text, asked, cut_off)
    if found.option is None and finish_reason in REFUSED:
        return Reading(None, "refused", "refusal")
    return found


def answer_part(reply: str, finish_reason: str | None) -> str | Reading:
    """The end of a reply, without what the model thought before; or the reading of one that has nothing else."""
    if not reply.strip():
        cut_off = finish_reason in CUT_OFF
        status: Status = "refused" if finish_reason in REFUSED else "truncated" if cut_off else "unread"
        return Reading(None, status, "empty")
    answer = without_reasoning(without_runs(reply))
    return Reading(None, "truncated", "reasoning") if answer is None else answer[-LONGEST:]


def without_runs(reply: str) -> str:
    """Without long runs of blanks and of one sign, which say nothing and take long to read."""
    reply = re.sub(r"[ \t\u00a0]{2,}", " ", reply)
    reply = re.sub(r"\s{3,}", "\n\n", reply)
    return re.sub(r"([^\w\s] ?)\1{7,}", lambda found: found[1] * 4, reply)


def _prepared(answer: str, asked: Asked) -> str:
    """The answer without markup, in English, its marked fields written out as final answers."""
    for field in reversed(final.fields(answer)):
        answer = f"{answer[: field.start]}\nFinal answer: {field.text.strip() or 'none'}\n{answer[field.end :]}"
    cleaned = clean(answer)
    text = _spelled_out(bare_word(cleaned, asked.options) or in_english(cleaned), asked)
    return corrected(_without_echo(text, asked), asked)


_OF_THE_MIDLINE = re.compile(r"\b(left|right)(?: side)? (?:of|from) the (?:(?:patient|body)'s )?mid-?line\b", re.I)
_REGIONS = {"cervical": "C", "thoracic": "T", "dorsal": "T", "lumbar": "L"}
_VERTEBRA = re.compile(rf"\b(\d{{1,2}})(?:st|nd|rd|th) ({'|'.join(_REGIONS)})(?: vertebra)?(?! rib)\b", re.I)


def _spelled_out(text: str, asked: Asked) -> str:
    """With signs and short forms in the words that sentences are read by."""
    text = re.sub(r"\bTh(?=\d{1,2}\b)", "T", text)
    text = _VERTEBRA.sub(lambda found: f"{_REGIONS[found[2].lower()]}{found[1]} vertebra", text)
    if asked.kind != "relation":
        return text
    if "midline" in asked.text:
        text = _OF_THE_MIDLINE.sub(r"\1 side", text)
    return text if asked.references else _names_with_letters().sub(r"structure \1", text)


@cache
def _names_with_letters() -> re.Pattern[str]:
    """A structure's name with its letter in parentheses, "the right kidney (A)": the letter is what was asked about."""
    known = "|".join(re.escape(name) for name in known_names())
    no_name = r"(?!(?:the|of|to|than|from|is|and|side)\b)"
    words = rf"the (?!(?:left|right) \()(?:{no_name}[\w'-]+ ){{0,4}}?{no_name}[\w'-]+"
    return re.compile(rf"\b(?:(?:the )?(?:{known})|{words}) \((?:structure )?(?:marked )?([ABC])\)", re.I)


_ECHO = re.compile(
    r"(?im)^\W*(?:options?|choices|answer options|possible answers)\s*:\s*(?!\d).*[;,/|"
    r"].*$|^answer with one of the options.*$"
)


def _without_echo(text: str, asked: Asked) -> str:
    """Without the question, the list of options and the instruction, where the reply repeats them."""
    without = _ECHO.sub("", text)
    for sentence in re.findall(r"[^.?\n]{12,}[.?]", clean(asked.text)):
        # Only the question's own long sentences, word for word.
        without = re.sub(re.escape(sentence.strip()), " ", without, flags=re.I) if len(sentence) > 40 else without
    lines = without.split("\n")
    names = [plain(option) for option in asked.options]
    bare = [re.sub(r"^\W*(?:\(?[a-d1-9][).:]\s+)?", "", line.casefold()).rstrip(" .,;:!?*)-|") for line in lines]
    if len(names) > 1 and all(bare.count(name) == 1 for name in names) and sum(map(bool, bare)) > len(names):
        letters = lettered(without, asked.options)
        lines = [line for line, own in zip(lines, bare, strict=True) if own not in names]
        without = "\n".join(lines)
        for letter, option in letters.items():
            without = re.sub(
                rf"(?i)(answer|choice|option)(\s*(?:is)?\s*:?\s*)\(?{letter}\)?(?=\W*(?:$|\n))",
                rf"\1\2 {option}",
                without,
            )
    return without.strip() or text


# ------------------------------------------------------------------------------------------------------------ stages


def _read(text: str, asked: Asked, cut_off: bool) -> Reading:
    kept = without_notes(text)
    cut = cut_off or statuses.is_cut(text)
    if not kept.strip():
        return _nothing(text, cut, "nothing")
    announced = _final(kept, asked)
    if announced is not None:
        return announced if announced.option or not cut or announced.stage == "conflict" else _nothing(text, cut, "cut")
    bare = bare_option(kept, asked)
    if bare:
        return Reading(bare, "read", "bare")
    if names_another_letter(kept, asked):
        return _nothing(kept, cut, "conflict")
    judged = verdicts(kept, asked)
    found = weighed(judged.rest, asked, cut, statuses.thinks_aloud(kept))
    if judged.chosen and found.option in (None, judged.chosen) and found.stage != "conflict":
        return Reading(judged.chosen, "read", "verdicts")
    if judged.chosen and found.option:
        return _nothing(kept, cut, "conflict")
    if found.option:
        if found.option in judged.denied:
            return _nothing(kept, cut, "conflict")
        return Reading(found.option, "read", found.stage)
    return _nothing(kept, cut, found.stage)


def _read_yes_no(text: str, asked: Asked, cut_off: bool) -> Reading:
    kept = without_notes(text)
    if names_another_letter(kept, asked):
        return _nothing(kept, cut_off, "conflict")
    return yes_no.read_yes_no(kept, asked, cut_off) if kept.strip() else _nothing(text, cut_off, "nothing")


def without_notes(text: str) -> str:
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
        # What names an option and is not understood is no ground to take one from elsewhere.
        return Reading(None, "unread", "final") if given or _names_an_option(last.text, asked) else None
    if len(given) > 1 and given[-2][1] != option:
        between = text[given[-2][0].end : last.start]
        if len(between.strip()) < 12 and not final.settles(text, given[-2][0], last):
            return Reading(None, "unread", "conflict")
    rest = text[last.end :]
    for sentence in sentences(rest):
        if re.match(r"\W*(?:wait|no,|actually|correction|sorry|hmm|oops|scratch that)", sentence, re.I):
            later = _of_field(rest, asked)
            return Reading(later, "read", "final") if later else Reading(None, "unread", "conflict")
    return Reading(option, "read", "final")


def _names_an_option(text: str, asked: Asked) -> bool:
    words = plain(text)
    names = [plain(option) for option in asked.options] + (
        [pole.words for pole in asked.axis.poles] if asked.axis else []
    )
    return any(re.search(rf"(?<!\w)(?:{name})(?!\w)", words) for name in names)


def _of_field(text: str, asked: Asked) -> str | None:
    """The option of the text of a final answer."""
    text = text.strip()
    bare = bare_option(text, asked)
    if bare:
        return bare
    head = re.split(
        r"\s*(?:,? because\b|,? since\b|,? as (?=it|the|structure)|,? given\b|,? due to\b|\bbased on\b)",
        text,
        maxsplit=1,
    )[0]
    if head != text:
        bare = bare_option(head, asked)
        if bare:
            return bare
    return weighed(text, asked, cut=False, aloud=False).option
