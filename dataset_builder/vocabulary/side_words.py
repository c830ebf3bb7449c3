"""Which side of the patient a label's name says, in whatever spelling or language; the words are in side_words.yaml.

A name that says a side must never become a structure without one: only a structure that has its side can be found on
the wrong one.
"""

import re
import unicodedata
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any

import yaml

from dataset_builder.core.factors import Side

_MIN_REST = 2
"""How many letters of a word must remain beside a side that it begins or ends with; in scripts without spaces, one."""


def read_side(name: str) -> tuple[str, Side | None]:
    """The side that a name says, and the name without it: small words with an underscore between.

    A name that says both sides, or none, has none.

    >>> read_side("Kidney_L")
    ('kidney', 'left')
    >>> read_side("Rt. kidney")
    ('kidney', 'right')
    >>> read_side("vertebrae_L3")
    ('vertebrae_l3', None)
    """
    words = split_words(name)
    said: list[tuple[int, Side, str]] = []
    for at, word in enumerate(words):
        found = _side_of(word, at, words)
        if found is not None:
            said.append((at, *found))
    if len({side for _, side, _ in said}) != 1:
        return "_".join(words), None
    rest = {at: kept for at, _, kept in said}
    return "_".join(filter(None, (rest.get(at, word) for at, word in enumerate(words)))), said[0][1]


def sides_of_names(table: Mapping[str, Mapping[str, Any]], known: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Side and twin of a user's rows that give no side but have a name or alias that says one.

    Without its side a structure would not be seen on the wrong one. ``side: null`` says that the name means none.
    """
    said: dict[str, tuple[str, Side]] = {}
    for name, row in table.items():
        if "side" in row or "side" in known.get(name, {}):
            continue
        spellings = [name, *(alias for alias in row.get("aliases") or () if isinstance(alias, str))]
        found = {side: base for base, side in map(read_side, spellings) if side}
        if len(found) == 1:
            ((side, base),) = found.items()
            said[name] = base, side
    twins = {(base, side): name for name, (base, side) in said.items()}
    sides: dict[str, Any] = {}
    for name, (base, side) in said.items():
        twin = twins.get((base, "left" if side == "right" else "right"))
        sides[name] = {"side": side} | ({"pair": twin} if twin and twins[base, side] == name else {})
    return sides


def split_words(name: str) -> list[str]:
    """A name's words in small letters, split also where capitals begin a word."""
    text = unicodedata.normalize("NFKC", name)
    text = re.sub(r"(?<=[^\W\d_A-Z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z]{2})", " ", text)
    return re.findall(r"[^\W_]+", text.casefold())


def _side_of(word: str, at: int, words: list[str]) -> tuple[Side, str] | None:
    """The side that one word of a name says, and what else it says."""
    table = _table()
    for side, whole in table["words"].items():
        if word in whole or (word in table["last_words"][side] and at == len(words) - 1 and at > 0):
            if len(word) == 1 and word.isascii() and _numbers_something(at, words):
                return None
            return side, ""
    if word in table["not_sides"]:
        return None
    for side, parts in table["parts"].items():
        for part in parts:
            for rest in (word.removeprefix(part), word.removesuffix(part)):
                if rest != word and len(rest) >= (_MIN_REST if part.isascii() else 1):
                    return side, rest
    numbered = re.fullmatch(r"([lr])(\d+)", word)
    if numbered and set(words) & set(table["numbered"]):  # rib L5; elsewhere L5 is a vertebra
        return ("left" if numbered[1] == "l" else "right"), numbered[2]
    return None


def _numbers_something(at: int, words: list[str]) -> bool:
    """Whether a single letter belongs to the number after it, as in "vertebra L 3"."""
    follows = words[at + 1] if at + 1 < len(words) else ""
    return follows.isdecimal() and not set(words) & set(_table()["numbered"])


@cache
def _table() -> Mapping[str, Mapping[Side, list[str]]]:
    text = resources.files(__package__).joinpath("side_words.yaml").read_text(encoding="utf-8")
    return yaml.safe_load(text)
