"""Names of structures: which option a phrase names, and what sentences say of named structures."""

import re
from collections.abc import Mapping, Sequence
from functools import cache

from .tables import table
from .text import plain

SMALL_WORDS = frozenset(
    [
        "the",
        "a",
        "an",
        "of",
        "on",
        "in",
        "at",
        "to",
        "with",
        "its",
        "this",
        "that",
        "side",
        "sided",
        "patient",
        "patient's",
        "structure",
        "anatomical",
        "body's",
        "s",
        "is",
        "part",
        "both",
        "anatomic",
    ]
)
"""Words that do not tell names apart."""

_EQUAL = {
    "lt": "left",
    "l": "left",
    "rt": "right",
    "r": "right",
    "kidneys": "kidney",
    "lungs": "lung",
    "veins": "vein",
    "lobes": "lobe",
    "discs": "disc",
    "disks": "disc",
    "disk": "disc",
    "oesophagus": "esophagus",
    "vertebral": "vertebra",
    "vertebrae": "vertebra",
    "ribs": "rib",
    "muscles": "muscle",
    "bones": "bone",
    "superior": "superior",
    "cartilages": "cartilage",
    "shinbone": "shin bone",
    "thighbone": "thigh bone",
    "hipbone": "hip bone",
    "cervical": "cervical",
}

_OPTIONAL = frozenset(
    [
        "gland",
        "bone",
        "muscle",
        "vertebra",
        "body",
        "parenchyma",
        "organ",
        "lung",
        "lobe",
        "nucleus",
        "urinary",
        "structure",
    ]
)
"""Words that a name may lack or have beside its own, as long as no other option is named then."""


@cache
def aliases() -> Mapping[str, tuple[str, ...]]:
    """All names of what a name means: ``aliases()["femur"]`` has "thigh bone"."""
    found: dict[str, tuple[str, ...]] = {}
    for row in table("names")["structures"]:
        names = tuple(plain(name) for name in row)
        for name in names:
            found[name] = tuple(dict.fromkeys(found.get(name, ()) + names))
    return found


@cache
def known_names() -> tuple[str, ...]:
    """Every name of the table, longest first."""
    return tuple(sorted(aliases(), key=len, reverse=True))


def words_of(name: str) -> frozenset[str]:
    """The words of a name that tell it apart.

    >>> words_of("the upper lobe of the left lung") == words_of("left lung, upper lobe")
    True
    """
    tokens = re.findall(
        r"[a-z0-9]+", plain(name).replace("'s", "").replace("left-sided", "left").replace("right-sided", "right")
    )
    spelled = " ".join(_EQUAL.get(token, token) for token in tokens).split()
    return frozenset(spelled) - SMALL_WORDS


@cache
def _forms(options: tuple[str, ...]) -> tuple[tuple[frozenset[str], str], ...]:
    made = []
    for option in options:
        for name in (plain(option), *aliases().get(plain(option), ())):
            made.append((words_of(name), option))
    return tuple(made)


def named(phrase: str, options: Sequence[str]) -> str | None:
    """The option that a noun phrase names, by its words in any order; None for another structure or for several.

    >>> named("upper lobe of the left lung", ["left upper lobe", "left lower lobe"])
    'left upper lobe'
    """
    words = words_of(phrase)
    if not words:
        return None
    forms = _forms(tuple(options))
    exact = {option for form, option in forms if form == words}
    if exact:
        return exact.pop() if len(exact) == 1 else None
    near = {option for form, option in forms if form and (form ^ words) <= _OPTIONAL and form & words - _OPTIONAL}
    return near.pop() if len(near) == 1 else None


@cache
def mention_pattern(options: tuple[str, ...]) -> re.Pattern[str]:
    """Finds names in plain text: those of options and any other known ones, longest first."""
    own = {name for option in options for name in (plain(option), *aliases().get(plain(option), ()))}
    every = sorted(own | set(known_names()), key=len, reverse=True)
    either = "|".join(r"[ -]".join(map(re.escape, re.split("[ -]", name))) for name in every)
    either = either.replace("left", r"(?:left(?:-sided)?|lt\b)").replace("right", r"(?:right(?:-sided)?|rt\b)")
    tail = r"(?:'s)?(?:es|s)?"
    part = (
        r"(?:(?:upper|middle|lower) (?:lobe|part) of the (?:left|right) lung|(?:left|"
        r"right) lung,? (?:upper|middle|lower) lobe)"
    )
    heads = (
        "|".join(
            sorted(
                {
                    re.escape(plain(option).split(" ", 1)[1])
                    for option in options
                    if re.match("(left|right) ", plain(option))
                }
            )
        )
        or "(?!)"
    )
    sided = (
        rf"(?:(?:{heads}) (?:on|at|of) the (?:patient's )?(?:left|right)(?: side| hand "
        rf"side)?|(?:{heads}),? \(?(?:left|right)\)?)(?! (?:side )?of the (?:image|picture|"
        rf"\w+))"
    )
    return re.compile(rf"(?<![\w-])(?P<name>{part}|{sided}|(?:{either}){tail})(?![\w])")


def option_of_mention(phrase: str, options: Sequence[str]) -> str | None:
    """The option that a found name stands for."""
    texts = {plain(option): option for option in options}
    direct = texts.get(phrase) or next((texts[t] for t in texts if phrase in (t + "s", t + "'s")), None)
    if direct:
        return direct
    return named(phrase, options)
