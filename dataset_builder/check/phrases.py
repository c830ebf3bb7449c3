"""The words of questions as the audit understands them: ``phrases.yaml``, loaded once."""

import re
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any

import yaml

from dataset_builder.questions.wording import wording
from dataset_builder.vocabulary import Structure


@cache
def phrases() -> Mapping[str, Any]:
    """The table of ``phrases.yaml``."""
    text = resources.files("dataset_builder.check").joinpath("phrases.yaml").read_text(encoding="utf-8")
    return yaml.safe_load(text)


@cache
def opposite() -> Mapping[str, str]:
    """Each relation's opposite, both ways."""
    table = phrases()["opposite"]
    return table | {other: one for one, other in table.items()}


@cache
def relations(register: str) -> Mapping[str, str]:
    """The relation that a word or phrase of a register stands for."""
    return {words[register]: relation for relation, words in phrases()["relation"].items()}


@cache
def pattern(*path: str) -> re.Pattern[str]:
    """A regular expression of the table, by the keys that lead to it."""
    found: Any = phrases()
    for key in path:
        found = found[key]
    return re.compile(found, re.IGNORECASE)


def direction(phrase: str) -> str | None:
    """The direction that a phrase names; ``None`` if it names none, or several.

    >>> direction("the front of the body")
    'anterior'
    """
    found = [name for name in phrases()["direction"] if pattern("direction", name).search(phrase)]
    return found[0] if len(found) == 1 else None


@cache
def is_ordinary(called: str) -> bool:
    """Whether a structure of a user's own is called by a word that sentences have anyway, such as "body" or "image".

    >>> is_ordinary("body"), is_ordinary("liver")
    (True, False)
    """
    return f" {bare(called)} " in _sentences()


def is_lesion(name: str, called: Structure | None) -> bool:
    """Whether a structure is a lesion: as the vocabulary says, or as its own words do.

    >>> is_lesion("liver_tumour", None), is_lesion("liver", None)
    (True, False)
    """
    if called is not None and called.is_lesion:
        return True
    return any(
        pattern("lesion").search(bare(text)) for text in (name, *((called.clinical, called.lay) if called else ()))
    )


def bare(text: str) -> str:
    """The words of a text in lower case, one space apart."""
    return " ".join(re.findall(r"[^\W_]+", text.lower()))


@cache
def _sentences() -> str:
    """All that questions say beside names of structures."""
    found: list[str] = []

    def collect(part: Any) -> None:
        if isinstance(part, str):
            found.append(re.sub(r"\{\w+\}", " ", part))
        for each in part.values() if isinstance(part, Mapping) else part if isinstance(part, list) else ():
            collect(each)

    collect(wording())
    return " | ".join(f" {bare(each)} " for each in found)
