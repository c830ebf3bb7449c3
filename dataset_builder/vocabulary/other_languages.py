"""Names of structures in German, French, Spanish, Italian, Dutch and Portuguese: the table other_languages.yaml."""

import unicodedata
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import resources
from typing import Any

from dataset_builder.core.factors import Side
from dataset_builder.files.strict_text import load_yaml
from dataset_builder.vocabulary.side_words import read_side, split_words

SIDES: tuple[Side, Side] = ("left", "right")
_LONG = 5
"""Letters of a piece that is looked for within words."""
_WHOLE_LETTERS = str.maketrans({"œ": "oe", "æ": "ae"})
_UMLAUTS = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue"})


def name_from_another_language(name: str) -> tuple[str, Side | None] | None:
    """Canonical name that a name in another language may stand for, and the side that it says.

    The vocabulary need not have a structure of that name: there is no ``liver_left``, and no ``kidney`` without a side.

    >>> name_from_another_language("Niere li.")
    ('kidney_left', 'left')
    >>> name_from_another_language("Leber")
    ('liver', None)
    """
    whole = without_accents(name)
    if whole in _sided():
        return _sided()[whole]
    base, side = read_side(name)
    found = _unsided().get(without_accents(base))
    if found is None:
        return None
    return (f"{found}_{side}", side) if side else (found, None)


def names_in_other_languages(name: str) -> Mapping[str, tuple[str, ...]]:
    """What a structure is called, without its side, by language.

    Args:
        name: canonical.

    >>> names_in_other_languages("kidney_left")["fr"]
    ('rein',)
    """
    stem = name.removesuffix("_left").removesuffix("_right")
    found = {}
    for language, table in _table().items():
        names = table["names"]
        said = [*names.get(name, ()), *(names.get(stem, ()) if stem != name else ())]
        if said:
            found[language] = tuple(said)
    return found


def is_part_of_name(wanted: str, name: str) -> bool:
    """Whether a name in another language has that word, or a word that begins so, or a long one with that in it.

    Short pieces are in too many words: "arm" in "Dünndarm".

    >>> is_part_of_name("pulmon", "arteria_pulmonar"), is_part_of_name("niere", "nebenniere")
    (True, True)
    >>> is_part_of_name("arm", "dunndarm")
    False
    """
    return f"_{wanted}" in f"_{name}" or (len(wanted) >= _LONG and wanted in name)


def without_accents(name: str) -> str:
    """A name's words in small letters without accents, with an underscore between.

    >>> without_accents("Œsophage"), without_accents("Hueso-Sacro"), without_accents("riñón")
    ('oesophage', 'hueso_sacro', 'rinon')
    """
    text = "_".join(split_words(name)).translate(_WHOLE_LETTERS)
    return "".join(letter for letter in unicodedata.normalize("NFKD", text) if not unicodedata.combining(letter))


def _spelled(name: str) -> set[str]:
    return {without_accents(name), without_accents(name.casefold().translate(_UMLAUTS))}


@cache
def _unsided() -> Mapping[str, str]:
    """By the spelling without a side: a canonical name, or what a pair's have before their side."""
    return {
        spelling: key
        for table in _table().values()
        for key, names in table["names"].items()
        if not key.endswith(SIDES)
        for name in names
        for spelling in _spelled(name)
    }


@cache
def _sided() -> Mapping[str, tuple[str, Side]]:
    """By the spelling with its side, as a language writes it: a canonical name, and its side."""
    return dict(_spelled_sides())


def _spelled_sides() -> Iterator[tuple[str, tuple[str, Side]]]:
    for table in _table().values():
        for key, names in table["names"].items():
            for side in SIDES:
                if key.endswith(f"_{side}"):
                    yield from ((spelling, (key, side)) for name in names for spelling in _spelled(name))
                elif not key.endswith(SIDES):
                    # A name that is English, too, has English neighbours: in "femur D" the letter may say "distal".
                    spellings = {one for name in names for one in _spelled(name)} - {key}
                    for word in table["sides"][side]:
                        for spelling in spellings:
                            yield f"{spelling}_{word}", (f"{key}_{side}", side)
                            if len(word) > 1:
                                yield f"{word}_{spelling}", (f"{key}_{side}", side)
                            if len(word) > 3:
                                yield f"{word}{spelling}", (f"{key}_{side}", side)


@cache
def _table() -> Mapping[str, Mapping[str, Mapping[str, Any]]]:
    text = resources.files(__package__).joinpath("other_languages.yaml").read_text(encoding="utf-8")
    return load_yaml(text)
