"""What lesion a label's name means when it says more than that, such as where it lies: the table lesion_words.yaml.

A lesion's wording names no organ, so the organ that a label names is dropped; a side never is.
"""

from collections.abc import Callable, Mapping
from functools import cache
from importlib import resources

import yaml

from dataset_builder.vocabulary.side_words import read_side


def lesion_word(name: str, is_lesion: Callable[[str], bool]) -> str | None:
    """The part of a name that says which lesion it is; ``None`` if the name says anything else, or a side.

    Args:
        is_lesion: whether small words with an underscore between are a lesion's name.

    >>> lesion_word("Hepatic tumour", {"tumour"}.__contains__)
    'tumour'
    >>> lesion_word("tumour bed", {"tumour"}.__contains__)
    """
    base, side = read_side(name)
    if side is not None:
        return None
    words = base.split("_")
    beside = _beside()
    # The longest run of words that is a lesion, and nothing but places and qualities around it.
    for length in range(len(words), 0, -1):
        for start in range(len(words) - length + 1):
            said = "_".join(words[start : start + length])
            if is_lesion(said):
                return said if beside.issuperset(words[:start] + words[start + length :]) else None
    return None


@cache
def _beside() -> frozenset[str]:
    text = resources.files(__package__).joinpath("lesion_words.yaml").read_text(encoding="utf-8")
    table: Mapping[str, list[str]] = yaml.safe_load(text)
    return frozenset(word for words in table.values() for word in words)
