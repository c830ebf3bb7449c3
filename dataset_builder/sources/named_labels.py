"""From the names that a data set gives its labels to structures of the vocabulary."""

import difflib
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from shlex import quote

from dataset_builder.core.errors import LabelsNotInVocabularyError, SourceError
from dataset_builder.sources.unknown import how_to_add
from dataset_builder.vocabulary import (
    Structure,
    find,
    is_part_of_name,
    names_in_other_languages,
    normalise,
    read_side,
    without_accents,
)

NO_STRUCTURE = "not_in_the_vocabulary"
"""Stands for the labels of a known table that are left out whether the user wants it or not."""
NOTHING = frozenset(
    {
        *("background", "clear_label", "ignore", "ignored", "none", "unknown", "unlabeled", "unlabelled", "void"),
        NO_STRUCTURE,
    }
)
"""Labels of these names, normalised, are not structures."""


@dataclass(frozen=True)
class Naming:
    """What the values of a label map mean.

    Args:
        names: label value -> canonical name; several values may mean one structure.
        ignored: label value -> its own name, of labels that are left out; their voxels count as nothing.
        unknown: label value -> its own name, of labels that neither the vocabulary has nor the user ignores.
        spellings: label value -> its own name, of those that ``names`` has.
    """

    names: Mapping[int, str]
    ignored: Mapping[int, str]
    unknown: Mapping[int, str]
    spellings: Mapping[int, str] = field(default_factory=dict)

    def check(self, file: Path, words: Mapping[str, Structure]) -> "Naming":
        """This naming, if every label is known or ignored and one is a structure.

        Raises:
            LabelsNotInVocabularyError: names the labels, near misses of the vocabulary, and the rows to add.
        """
        if self.unknown:
            labels = list(dict.fromkeys(self.unknown.values()))
            raise LabelsNotInVocabularyError(
                "The vocabulary has no entry for some labels of this data set.",
                file=file,
                labels=labels,
                remedy=f"{near_misses(labels, words)}Leave labels out with --ignore-labels "
                f"{quote(','.join(labels))}, or rename those that are known under another name. "
                f"{how_to_add(labels, words)}",
            )
        if not self.names:
            raise SourceError(
                "None of the labels is a structure.",
                file=file,
                value=", ".join(self.ignored.values()) or "no labels",
                remedy="Check the names of the labels and --ignore-labels.",
            )
        return self


def name_labels(
    labels: Iterable[tuple[int, str]], words: Mapping[str, Structure], ignore: Collection[str] = ()
) -> Naming:
    """Look up what labels are called.

    Args:
        labels: value and name of each; 0, and names such as ``background``, are nothing.
        words: structures by canonical name.
        ignore: names of labels to leave out, normalised.
    """
    names: dict[int, str] = {}
    ignored: dict[int, str] = {}
    unknown: dict[int, str] = {}
    spellings: dict[int, str] = {}
    for value, name in labels:
        if value == 0:
            continue
        if normalise(name) in NOTHING or normalise(name) in ignore:
            ignored[value] = name
        elif (structure := find(name, words)) is not None:
            names[value], spellings[value] = structure.name, name
        else:
            unknown[value] = name
    return Naming(names, ignored, unknown, spellings)


def left_out_labels(labels: Iterable[str]) -> Iterator[str]:
    """A sentence with the labels that are left out, as the user wants it; none if there are none."""
    names = list(dict.fromkeys(labels))
    if names:
        yield f"{len(names)} label(s) are left out: {', '.join(names)}."


def near_misses(labels: Iterable[str], words: Mapping[str, Structure]) -> str:
    """For labels that nearly have a name of the vocabulary, a sentence with these names; empty if none has."""
    found = []
    for label in labels:
        near = suggestions(label, words)
        if near:
            found.append(f"{label}: {', '.join(near)}")
    return f"Did you mean {'; '.join(found)}? " if found else ""


def suggestions(label: str, words: Mapping[str, Structure], most: int = 4) -> list[str]:
    """Canonical names that a label's name may stand for: those that hold it, then those spelled much like it.

    A name without a side may stand for the structure of either side, a name with one only for those of that side, and
    a plural for its singular.
    """
    wanted, (bare, side) = normalise(label), read_side(label)
    spellings: dict[str, list[str]] = {}
    foreign: dict[str, list[str]] = {}
    for structure in words.values():
        if side is not None and structure.side not in (None, side):
            continue
        for spelling in (structure.name, structure.clinical, structure.lay, *structure.aliases):
            for text in {normalise(spelling), read_side(spelling)[0]}:
                spellings.setdefault(text, []).append(structure.name)
        said = chain.from_iterable(names_in_other_languages(structure.name).values())
        for text in {without_accents(read_side(spelling)[0]) for spelling in said}:
            foreign.setdefault(text, []).append(structure.name)
    plain = without_accents(bare)
    forms = [form for form in dict.fromkeys((wanted, bare, plain, bare.removesuffix("s"))) if len(form) > 2]
    within = [names for form in forms for spelling, names in spellings.items() if form in spelling]
    within += [names for form in forms for spelling, names in foreign.items() if is_part_of_name(form, spelling)]
    alike = [
        known[spelling]
        for known in (spellings, foreign)
        for form in forms
        for spelling in difflib.get_close_matches(form, known, n=most, cutoff=0.75)
    ]
    exact = [known.get(form) or [] for form in forms for known in (spellings, foreign)]
    return list(dict.fromkeys(name for names in (*exact, *within, *alike) for name in names))[:most]
