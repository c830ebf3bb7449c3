"""Typing errors in the words of options: doubled, missing, swapped and, in long words, wrong letters."""

import re
from functools import cache

from .question import Asked
from .text import plain

_WORDS_OF_THEIR_OWN = frozenset(
    [
        "interior",
        "exterior",
        "ulterior",
        "literal",
        "liberal",
        "media",
        "medal",
        "medical",
        "radial",
        "lager",
        "large",
        "loser",
        "close",
        "closed",
        "part",
        "party",
        "below",
        "bellow",
        "blow",
        "abode",
        "let",
        "lift",
        "lest",
        "loft",
        "felt",
        "cleft",
        "light",
        "night",
        "might",
        "sight",
        "tight",
        "fight",
        "bright",
        "eight",
        "fright",
        "wright",
        "freight",
        "height",
        "weight",
        "straight",
        "lateral",
        "later",
        "meridian",
        "median",
        "outsider",
        "inside",
        "insider",
        "behold",
        "small",
        "nears",
        "bigger",
        "biggest",
        "image",
        "images",
        "sane",
        "sides",
        "site",
        "slide",
    ]
)


@cache
def _targets(options: tuple[str, ...]) -> tuple[str, ...]:
    return tuple({word for option in options for word in plain(option).split() if len(word) >= 4})


def _is_slip(word: str, target: str) -> bool:
    """Whether a word is a target with one slip.

    >>> _is_slip("lefft", "left"), _is_slip("rigth", "right"), _is_slip("interior", "inferior")
    (True, True, True)
    """
    if word == target:
        return False
    if len(word) == len(target):
        off = [i for i, (a, b) in enumerate(zip(word, target, strict=True)) if a != b]
        swapped = (
            len(off) == 2 and off[1] == off[0] + 1 and word[off[0]] == target[off[1]] and word[off[1]] == target[off[0]]
        )
        return swapped or (len(off) == 1 and len(target) >= 7)
    longer, shorter = (word, target) if len(word) > len(target) else (target, word)
    if len(longer) - len(shorter) != 1:
        return False
    return any(longer[:i] + longer[i + 1 :] == shorter for i in range(len(longer)))


def corrected(text: str, asked: Asked) -> str:
    """The text with slips in the words of the options mended, if it is short and has none of these words as it is."""
    if len(text.split()) > 30 or asked.kind in ("images", "orders"):
        return text
    targets = _targets(asked.options)
    words = re.findall(r"[a-z]+", text.casefold())
    if any(word in targets for word in words):
        return text
    for word in words:
        if len(word) < 3 or word in _WORDS_OF_THEIR_OWN:
            continue
        near = [target for target in targets if _is_slip(word, target)]
        if len(near) == 1:
            text = re.sub(rf"(?i)\b{word}\b", near[0], text)
    return text
