"""A text that is an option and nothing else, in whatever form."""

import re

from . import lists
from .question import Asked
from .references import mark_references
from .relations import votes
from .text import plain

_POSITIONS = {
    "first": 0,
    "1": 0,
    "1st": 0,
    "one": 0,
    "former": 0,
    "second": 1,
    "2": 1,
    "2nd": 1,
    "two": 1,
    "latter": -1,
    "third": 2,
    "3": 2,
    "3rd": 2,
    "three": 2,
    "fourth": 3,
    "4": 3,
    "4th": 3,
    "four": 3,
    "last": -1,
}


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
            return (
                option
                if not letter[2] or letter[2].strip(" .():") in (plain(option), plain(option).replace("-", " "))
                else None
            )
        named = re.fullmatch(
            r"(?:the )?(?:structure|it)(?: marked)?(?: a)? is (?:option |choice )?\(?([b-h])\)?", phrase
        )
        if named and named[1] in asked.letters:
            return asked.letters[named[1]]
    labelled = re.fullmatch(r"(?:option |choice )?\(?(?:[a-h]|\d)(?:[.):]| :| ->)+ *(.+)", phrase)
    if labelled and asked.kind != "orders" and labelled[1] in options:
        return options[labelled[1]]
    position = re.fullmatch(
        (
            r"(?:the )?(?:(first|second|third|fourth|last|1st|2nd|3rd|4th|former|latter)(?: "
            r"(?:option|choice|one|answer|listed))?|(?:option|choice) (?:number |no\.? )?(\d|"
            r"one|two|three|four))"
        ),
        phrase,
    )
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
        reported = _told_by_words(phrase, asked)
        if reported:
            return reported
    if asked.kind == "relation" and len(phrase.split()) <= 8 and not re.search(r"[.;\n].*\w", text.strip()):
        marked = mark_references(text, asked)
        given_votes = list(votes(re.sub(r"[.!]+$", "", marked.strip()), 0, asked))
        if len(given_votes) == 1 and not given_votes[0].negated and not re.search(r"\b(?:it|R0)\b.*\bis\b", marked):
            return given_votes[0].option
    return None


def names_another_letter(text: str, asked: Asked) -> bool:
    """Whether a text is an option behind the letter of another one: "C. left kidney" where C is the right kidney."""
    options = {plain(option).replace("-", " "): option for option in asked.options}
    phrase = plain(text).strip(" .!?:;[]{},'>|/").replace("-", " ")
    found = re.fullmatch(r"(?:(?:the )?(?:option|choice|answer)(?: is)? )?\(?([a-z0-9])[.)]+ *(.+)", phrase)
    return bool(found and found[2] in options and asked.letters.get(found[1], options[found[2]]) != options[found[2]])


def _told_by_words(phrase: str, asked: Asked) -> str | None:
    """The option that is identified by words that only it has: "head" for "toward the head"."""
    words = set(phrase.split()) - {"the"}
    of_options = {option: set(plain(option).replace("-", " ").split()) for option in asked.options}
    fitting = [
        option
        for option, own in of_options.items()
        if words <= own and words - set().union(*(other for name, other in of_options.items() if name != option))
    ]
    return fitting[0] if len(fitting) == 1 and words - {"in", "by", "to", "of"} else None
