"""Marks the structures that a question asks about in a reply: R0 for A, R1 for B, R2 for C."""

import re
from functools import cache

from .names import aliases
from .question import Asked

_KINDS = r"(?:structure|object|region|organ|area|box|point|dot|mask|label|marker|letter|overlay|item|mark)s?"
_MARKED = (
    r"(?:(?:that is |which is )?(?:marked|labell?ed|annotated|denoted|indicated|tagged|"
    r"called) )?(?:with |as |by |in )?(?:the )?(?:letter )?"
)
_LETTERED = re.compile(rf"(?i:(?:the )?(?:(?:marked|labell?ed) )?{_KINDS} {_MARKED})['\"(]*(?P<letter>[ABC])\b['\")]*")
_LETTERED_SMALL = re.compile(
    rf"(?i:(?:the )?{_KINDS} (?:(?:marked|labell?ed) )?)(?P<letter>[abc])(?= (?:is|"
    rf"lies|and|appears)\b|[,.:;?!)]|'s|$)"
)
_VERB_BEHIND_A = (
    r"(?=\s*(?:'s\b|is\b|isn't\b|lies\b|sits\b|was\b|has\b|have\b|does\b|appears\b|"
    r"seems\b|looks\b|and (?:the structure marked )?[BC]\b|or B\b|and\b|to B\b|encloses\b|"
    r"surrounds\b|contains\b|touches\b|also\b|being\b|marks\b|would\b|must\b|should\b|"
    r"will\b|can(?:not)?\b|could\b|might\b|may\b|are\b|compared\b|relative\b|with "
    r"respect\b|covers\b|occupies\b|spans\b|projects\b|located\b|situated\b|not\b|"
    r"versus\b|vs\b|rather\b|really\b|clearly\b|itself\b|then\b|left\b|right\b|larger\b|"
    r"smaller\b|\W|$))"
)
_BARE_A = re.compile(rf"(?<![\w'])A{_VERB_BEHIND_A}")
_BARE_A_INSIDE = re.compile(r"(?<=[\w,;:(] )A(?![\w'-])|(?<=[\w,;:(] )A(?='s)|(?<=\()A(?![\w'-])")
_BARE_BC = re.compile(r"(?<![\w'])([BC])(?![\w])")


def mark_references(text: str, asked: Asked) -> str:
    """The text in small letters, with R0, R1 and R2 for the structures that are asked about."""
    if asked.references:
        marked = re.sub(r"\b(it|that|there)'s\b", r"\1 is", text.casefold())
        for pattern, symbol in _reference_patterns(asked.references):
            marked = pattern.sub(symbol, marked)
        return _by_centre(marked)
    number = {"A": "\x00R0 ", "B": "\x00R1 ", "C": "\x00R2 "}
    text = _LETTERED.sub(lambda found: number[found["letter"]], text)
    text = _LETTERED_SMALL.sub(lambda found: number[found["letter"].upper()], text)
    text = _BARE_BC.sub(lambda found: number[found[1]], text)
    text = _BARE_A_INSIDE.sub(number["A"], text)
    text = _BARE_A.sub(number["A"], text)
    if "\x00R" not in text and re.search(r"\bb\b", text):
        text = re.sub(r"(?<![\w'])a(?= (?:is|lies|appears|sits|has)\b|[:'])", number["A"], text)
        text = re.sub(r"(?<![\w'])b(?![\w'.)])", number["B"], text)
    text = re.sub(r"\b(it|that|there|what|he|she)'s\b", r"\1 is", text.casefold())
    return _by_centre(re.sub(r"\x00r(\d)\s*", r" R\1 ", text).replace(" 's", "'s"))


def _by_centre(text: str) -> str:
    """A structure's centre stands for it: "right of the centre of B" says the same as "right of B"."""
    text = re.sub(rf"\b(?:the )?{_CENTRE} of(?: the)?\s+(?=R\d)", " ", text)
    return re.sub(rf"(R\d)\s*'s {_CENTRE}\b", r"\1 ", text)


_CENTRE = r"(?:geometric )?(?:centre|center|middle|centroid|mid-?point)(?: point)?"


@cache
def _reference_patterns(references: tuple[str, ...]) -> list[tuple[re.Pattern[str], str]]:
    found = []
    heads = [reference.split(" ")[-1] for reference in references]
    for number, reference in enumerate(references):
        names = {reference, *aliases().get(reference, ())}
        names |= {re.sub(r"^(?:left|right) ", "", reference)} if heads.count(heads[number]) == 1 else set()
        if heads.count(heads[number]) == 1 and heads[number] not in (
            "body",
            "brain",
            "side",
            "chest",
            "back",
            "neck",
            "lung",
        ):
            names.add(heads[number])
        found += [(name, number) for name in names]
    patterns = []
    for name, number in sorted(found, key=lambda each: -len(each[0])):
        spelled = r"[ -]".join(map(re.escape, re.split("[ -]", name)))
        spelled = re.sub(r"^(left|right)\b", r"\1(?:-sided)?", spelled)
        # "kidney" is not the left kidney where another side stands before it.
        sided = r"(?<!left )(?<!right )(?<!-sided )" if not re.match("left|right", name) else ""
        patterns.append((re.compile(rf"(?<![\w-]){sided}(?:patient's )?{spelled}(?:s|es)?(?![\w-])"), f" R{number} "))
    return patterns
