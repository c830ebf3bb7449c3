"""Replies in German, French, Spanish, Chinese and Japanese, brought to English word by word before they are read.

Options are English; what a model says in another language is glossed by the small table languages.yml: words of place,
comparison and negation, of images and patients, and the larger organs. It is no translation.
"""

import re
from collections.abc import Sequence
from functools import cache

from .tables import table

ENGLISH = frozenset(
    [
        "the",
        "is",
        "of",
        "to",
        "and",
        "in",
        "on",
        "that",
        "it",
        "this",
        "are",
        "lies",
        "than",
        "with",
        "be",
        "as",
        "marked",
        "answer",
        "from",
        "its",
        "not",
        "or",
        "at",
        "by",
        "image",
    ]
)
_CJK = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]")


@cache
def _words(language: str) -> tuple[dict[str, str], re.Pattern[str]]:
    glosses = {str(word).lower(): str(gloss) for word, gloss in table("languages")[language]["words"].items()}
    either = "|".join(map(re.escape, sorted(glosses, key=len, reverse=True)))
    bounded = either if language in ("zh", "ja") else rf"(?<!\w)(?:{either})(?!\w)"
    return glosses, re.compile(bounded, re.I)


@cache
def _single_words(language: str) -> frozenset[str]:
    words = table("languages")[language]["words"]
    return frozenset(
        part for word in words for part in str(word).lower().split() if " " not in str(word) or len(part) > 2
    )


@cache
def _own_words(language: str) -> frozenset[str]:
    """Single words that tell the language from English and from the others."""
    others = [_single_words(other) for other in table("languages") if other != language]
    ambiguous = frozenset(map(str, table("languages")[language].get("ambiguous", [])))
    return _single_words(language).difference(ambiguous, *others)


def language_of(text: str) -> str | None:
    """The table's language that a text is in; None for English and where it is unknown."""
    if _CJK.search(text):
        return "ja" if re.search(r"[\u3040-\u30ff]", text) or _is_japanese(text) else "zh"
    words = re.findall(r"[^\W\d_]+", text.lower())
    english = sum(word in ENGLISH for word in words)
    scores = {name: sum(word in _own_words(name) for word in words) for name in ("de", "fr", "es")}
    best = max(scores, key=lambda name: scores[name])
    return best if scores[best] > english else None


def _is_japanese(text: str) -> bool:
    return any(char in text for char in "臓腎側脾") and not any(char in text for char in "脏肾侧这结构图")


@cache
def _bare_words() -> dict[str, str]:
    return {word: option for option, words in table("bare_words").items() for word in words}


def bare_word(text: str, options: Sequence[str]) -> str | None:
    """The option that a reply of one word in another language is; None if it is none.

    >>> bare_word("**Nein.**", ["yes", "no"])
    'no'
    """
    found = _bare_words().get(text.strip(" \t\n*_.,!。！\"'`").casefold())
    return found if found in options else None


def in_english(text: str) -> str:
    """The text with the words of the table in English; as it stands if it is in no language of the table.

    >>> in_english("A liegt links von B").split()
    ['A', 'is', 'left', 'of', 'B']
    """
    language = language_of(text)
    if language is None:
        return text
    for pattern, gloss in table("languages")[language].get("patterns", []):
        text = re.sub(pattern, gloss, text, flags=re.I)
    glosses, found = _words(language)
    space = " " if language in ("zh", "ja") else ""
    return found.sub(lambda word: f"{space}{glosses[word[0].lower()]}{space}", text)
