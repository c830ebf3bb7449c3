"""Answers that are an image's number, or structures in an order."""

import re
from collections.abc import Sequence

from .names import option_of_mention
from .question import NUMBERED, Asked
from .text import plain

_UNITS = [
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
]
_ORDINALS = [
    "first",
    "second",
    "third",
    "fourth",
    "fifth",
    "sixth",
    "seventh",
    "eighth",
    "ninth",
    "tenth",
    "eleventh",
    "twelfth",
    "thirteenth",
    "fourteenth",
    "fifteenth",
    "sixteenth",
]
_THING = r"(?:images?|slices?|frames?|pictures?|scans?|sections?|panels?|img)"
_MENTION = re.compile(
    rf"{_THING}[ _]*(?:is |are |being )?(?:no\.?|nr\.?|number|num\.?|#|index|:)?[ "
    rf"_]*[(\[#]?(?P<n>\d+|{'|'.join(_UNITS)})\b(?P<more>(?:\s*(?:,|and|or|to|-|&|"
    rf"through)\s*(?:{_THING} )?#?\d+(?!\d* ?mm))*)"
    rf"|(?P<o>\d+)(?:st|nd|rd|th) (?:{_THING}|one)|#(?P<h>\d+)"
)
_ORDINAL = re.compile(
    rf"\b(?P<o>{'|'.join([*_ORDINALS, 'last', 'final'])})(?: {_THING}| one)?(?! {_THING} "
    rf"(?:in which|where|that|to)| (?:become|visible|appear|seen|in\b|time))\b"
)
_KEYS = {
    "first": r"\b(?:first|earliest|initially|starts?|begins?|appears?(?! to)|emerges?)\b",
    "last": r"\b(?:last|latest|finally|ends|disappears? after)\b",
    "largest": r"\b(?:largest|biggest|greatest|maximum|maximal|max|peaks?|most area|widest)\b",
}
_OTHER_KEYS = re.compile(
    r"\b(?:first|last|largest|biggest|smallest|larger|bigger|smaller|than|increases?|grows?|shrinks?|decreases?)\b"
)
_NEGATED = re.compile(r"\b(?:not|isn't|no|never|n't|doesn't|neither|nor)\b")


def number_of(word: str) -> int:
    """The number that a numeral means, in digits or letters."""
    if word.isdigit():
        return int(word)
    return (_UNITS.index(word) if word in _UNITS else _ORDINALS.index(word)) + 1


def _by_number(asked: Asked) -> dict[int, str]:
    found = {}
    for option in asked.options:
        number = NUMBERED.fullmatch(plain(option))
        found[int(number[1]) if number else int(plain(option))] = option
    return found


def bare_image(text: str, asked: Asked) -> str | None:
    r"""The image of a reply that is a number and nothing else.

    >>> from .question import ask
    >>> bare_image("the sixth", ask("Which is largest?\nOptions: image 4; image 6", ("image 4", "image 6")))
    'image 6'
    """
    text = plain(text).strip(" .!?:()[]-")
    text = re.sub(r"^(?:it is|it's|in|the|that is|is|on|at|number|no\.?|nr\.?|#) ?(?:the )?", "", text).strip(" .#()")
    by_number = _by_number(asked)
    if re.fullmatch(rf"\d+|{'|'.join(_UNITS)}", text):
        return by_number.get(number_of(text))
    mention = re.fullmatch(
        rf"{_THING}[ _]*(?:no\.? ?|nr\.? ?|number |#)?[(\[#]?(\d+|{'|'.join(_UNITS)})[)\]]?(?: "
        rf"(?:of|out of|/) ?(?:the )?\d+)?(?: {_THING})?",
        text,
    )
    if mention:
        return by_number.get(number_of(mention[1]))
    share = re.fullmatch(rf"(?:{_THING} )?(\d+) ?/ ?{asked.count}", text) if asked.count else None
    if share:
        return by_number.get(int(share[1]))
    ordinal = re.fullmatch(
        rf"(?:(\d+)(?:st|nd|rd|th)|({'|'.join([*_ORDINALS, 'last', 'final'])}))(?: {_THING}| one)?", text
    )
    if ordinal:
        if ordinal[2] in ("last", "final"):
            return by_number.get(asked.count)
        return by_number.get(number_of(ordinal[1] or ordinal[2]))
    return None


def image_votes(sentence: str, asked: Asked) -> tuple[list[str], list[str]]:
    """The images that a sentence names for what is asked, and those that it names otherwise.

    Args:
        sentence: in small letters, without markup.
        asked: the question.
    """
    if sentence.endswith("?") or re.search(r"\b(?:whether|if|cannot|can't|unable|might|could|may be)\b", sentence):
        return [], []
    by_number = _by_number(asked)
    strong: list[str] = []
    weak: list[str] = []
    key = re.compile(_KEYS.get(asked.superlative, r"(?!)"))
    for clause in re.split(
        r"[,;()]| but | whereas | while | so | and (?=\w+ (?:in|largest|first|last)\b|"
        r"(?:is |then )?(?:largest|biggest|last|first|disappears?|smallest))",
        sentence,
    ):
        found = [match for match in _MENTION.finditer(clause) if not re.match(r" ?mm| ?px", clause[match.end() :])]
        numbers = [
            int(match["n"]) if (match["n"] or "").isdigit() else number_of(match["n"] or match["o"] or match["h"])
            for match in found
        ]
        if not found:
            ordinals = [m for m in _ORDINAL.finditer(clause) if re.search(rf"{_THING}|one$", m[0])]
            for match in ordinals:
                number = asked.count if match["o"] in ("last", "final") else number_of(match["o"])
                if number in by_number and not _NEGATED.search(clause):
                    weak.append(by_number[number])
            continue
        if any(match["more"] for match in found) or re.search(
            rf"\bfrom {_THING} \d+ (?:to|through|until)|between {_THING} \d+ and", clause
        ):
            through = re.search(
                rf"(?:visible|seen|present|shown|extends|appears|is) (?:\w+ )?from {_THING} (\d+) "
                rf"(?:to|through|until) (?:{_THING} )?(\d+)",
                clause,
            )
            if through and asked.superlative in ("first", "last") and not _NEGATED.search(clause):
                strong.append(by_number.get(int(through[1 if asked.superlative == "first" else 2]), ""))
            elif key.search(clause) and asked.superlative != "largest":
                weak.append("")
            continue
        if _NEGATED.search(clause):
            continue
        if re.search(r"\b(?:second|third|next)[ -](?:largest|biggest)\b", clause):
            continue
        hit = key.search(clause)
        options = [by_number.get(number, "") for number in numbers]
        if hit and not re.search(r"\b(?:larger|bigger)\b.*\bthan\b", clause):
            behind = [o for o, m in zip(options, found, strict=True) if m.start() > hit.start()]
            before = [o for o, m in zip(options, found, strict=True) if m.start() < hit.start()]
            chosen = behind[:1] or before[-1:]
            strong += [each for each in chosen if each]
            if not any(chosen):
                weak.append("")
        elif not _OTHER_KEYS.search(re.sub(rf"\b(?:first|last) {_THING}\b", "", clause)):
            weak += options
    return strong, weak


# ----------------------------------------------------------------------------------------------------------- orders

_JOIN = (
    r"(?:\s|,|;|/|->|>|<|-|\band\b|\bthen\b|\bfinally\b|\blastly\b|\bfirst\b|\bsecond\b|"
    r"\bthird\b|\bfollowed by\b|\bnext\b|\bthe\b|\bby\b|\bstructures?\b|\bmarked\b|"
    r"\bcomes?\b|\blast\b|\d[.):]|\(|\)|\bis\b|=)*"
)
_ENDS = {
    "inferior": r"lowest|most inferior|inferiormost|most caudal|bottom-?most|(?:closest|nearest) to the feet",
    "superior": (
        r"highest|most superior|superiormost|most cranial|top-?most|upper-?most|(?:closest|"
        r"nearest) to the head"
    ),
    "anterior": r"most anterior|anteriormost|front-?most|most ventral",
    "posterior": r"most posterior|posteriormost|back-?most|rear-?most|most dorsal",
    "right": r"right-?most|furthest right|most right",
    "left": r"left-?most|furthest left|most left",
}
_SAME_END = {
    **{name: name for name in _ENDS},
    "the feet end": "inferior",
    "the head end": "superior",
    "the front of the body": "anterior",
    "the back of the body": "posterior",
    "the patient's right": "right",
    "the patient's left": "left",
    "feet": "inferior",
    "head": "superior",
    "the feet": "inferior",
    "the head": "superior",
    "front": "anterior",
    "back": "posterior",
    "bottom": "inferior",
    "top": "superior",
    "the bottom": "inferior",
    "the top": "superior",
    "the front": "anterior",
    "the back": "posterior",
    "lowest": "inferior",
    "highest": "superior",
    "caudal": "inferior",
    "cranial": "superior",
    "low": "inferior",
    "high": "superior",
    "lower": "inferior",
    "upper": "superior",
}


def order_votes(text: str, asked: Asked) -> list[str]:
    """The orders that a text gives, each as the option that has it, or "" for an order that is no option.

    Args:
        text: cleaned, with its case.
        asked: the question.
    """
    rows = {tuple(plain(option).split(", ")): option for option in asked.options}
    names = sorted(next(iter(rows)))
    by_letter = all(len(name) == 1 for name in names)
    marked = _mark_names(text, names, by_letter)
    if by_letter:
        marked = re.sub(r"(?<!\w)([ABC])([ABC])([ABC])(?!\w)", r" \1 \2 \3 ", marked) if "\x00" in marked else marked
    marked = re.sub(r"\((?:(?!\x00)[^()])*\)", " ", marked)  # what a structure is taken for
    count = len(names)
    found = []
    for match in re.finditer(rf"\x00(\d)\x01(?:{_JOIN}\x00(\d)\x01){{{count - 1}}}(?!{_JOIN}\x00)", marked):
        numbers = [int(each) for each in re.findall(r"\x00(\d)\x01", match[0])]
        if sorted(numbers) != list(range(count)):
            continue
        row = tuple(names[number] for number in numbers)
        around = (
            marked[: match.start()].rsplit("\n", 1)[-1].rsplit(".", 1)[-1],
            re.split(r"[.\n]", marked[match.end() :])[0],
        )
        if re.search(r"\bnot(?: \w+)?\s*$", around[0]) or any(map(_TURNED.search, around)):
            continue
        turned = [_reversed(each, asked) for each in around]
        if None in turned:
            continue  # between ends that are not asked about
        if any(turned):
            row = row[::-1]
        found.append(rows.get(row, ""))
    return found or _by_ends(marked, names, rows, asked)


def _mark_names(text: str, names: Sequence[str], by_letter: bool) -> str:
    if by_letter:
        letters = "".join(name.upper() for name in names)
        text = re.sub(rf"(?<![\w'])([{letters}])([{letters}])([{letters}])(?![\w'])", r"\1 \2 \3", text)
        if not re.search(rf"(?<![\w'])[{letters[1:]}](?![\w'])", text):
            text = re.sub(
                rf"(?<![\w'])([{letters.lower()}])(?=\s*(?:,|->|>|-|<|and|then|$))", lambda f: f[1].upper(), text
            )
        return re.sub(
            rf"(?<![\w'])([{letters}])(?![\w'])", lambda f: f"\x00{names.index(f[1].lower())}\x01", text
        ).casefold()
    text = text.casefold()
    from .names import aliases

    forms = sorted(
        ((form, i) for i, name in enumerate(names) for form in {name, *aliases().get(name, ())}),
        key=lambda e: -len(e[0]),
    )
    for form, number in forms:
        text = re.sub(rf"(?<![\w\x00]){re.escape(form)}s?(?![\w\x01])", f"\x00{number}\x01", text)
    return text


_TURNED = re.compile(r"\b(?:backwards?|reversed?|in reverse|opposite order|the other way round)\b")


def _end(words: str) -> str:
    words = re.sub(r"\s+(?:end|side)?$|^(?:the )?most ", "", words.strip())
    return _SAME_END.get(words, words.removeprefix("the ").removesuffix(" end"))


def _reversed(said: str, asked: Asked) -> bool | None:
    """Whether a text names the ends the other way round than the question; None if it names other ends."""
    words = "|".join(sorted(map(re.escape, _SAME_END), key=len, reverse=True))
    found = re.findall(rf"\b({words})(?:-?most)?(?: end)? to (?:the )?({words})\b", said)
    if re.search(r"\b(?:cranio-?caudal|top-down|descending)", said):
        found.append(("superior", "inferior"))
    if re.search(r"\b(?:caudo-?cranial|bottom-up|ascending)", said):
        found.append(("inferior", "superior"))
    if not found:
        return None if re.search(r"\bfrom (?:\S+ ){1,4}to\b", said) else False
    if not asked.ends[0]:
        return False
    ends = tuple(_end(each) for each in found[-1])
    wanted = (_end(asked.ends[0]), _end(asked.ends[1]))
    return False if ends == wanted else True if ends == wanted[::-1] else None


def _by_ends(marked: str, names: Sequence[str], rows: dict[tuple[str, ...], str], asked: Asked) -> list[str]:
    """An order that is stated by its two ends: "B is the lowest, then C, and A is the highest"."""
    ends = [_ENDS.get(_end(each)) for each in asked.ends]
    if len(names) != 3 or not all(ends):
        return []
    chosen = []
    for words in ends:
        found = set(re.findall(rf"\x00(\d)\x01(?:(?!\x00)[^.\n])*?(?:{words})", marked)) | set(
            re.findall(
                rf"(?:{words})(?: (?:is|one is|structure is|of the three is))? ?(?:the )?(?:structure )?\x00(\d)\x01",
                marked,
            )
        )
        if len(found) != 1:
            return []
        chosen.append(int(found.pop()))
    first, last = chosen
    if first == last:
        return []
    return [rows.get((names[first], names[3 - first - last], names[last]), "")]


def bare_name(text: str, asked: Asked) -> str | None:
    """The option of a reply that is a structure's name and nothing else."""
    phrase = plain(text).strip(" .!?:()[]-,")
    phrase = re.sub(r"^(?:it is|it's|this is|that is|i see|an image of|the answer is)? ?(?:the |a |an )?", "", phrase)
    if not phrase or len(phrase.split()) > 9:
        return None
    return option_of_mention(phrase, asked.options)
