"""The control ``swapped``: a question word for word, beside another subject's slice for which the answer is another.

Both answers are measured. Who looks gives another answer than before; who answers from the words gives the same. The
slice has the same modality and plane and shows the same structures, marked as the question's prompt demands: with
markers A and B may change places, and by name the other slice must really differ. Of four names another one is right.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from math import ceil

import numpy as np

from dataset_builder.core.settings import Settings, digest
from dataset_builder.questions.facts import Fact, Scene
from dataset_builder.questions.facts.anatomical import name_both, seen_alone
from dataset_builder.questions.sampling import Unit, fits
from dataset_builder.slices.selection import SliceRecord
from dataset_builder.vocabulary import Structure

SWAPPED_SHARE = 0.2
"""Of a volume's questions about slices, the share that is asked of another subject's slice as well."""

Topic = tuple[object, ...]
"""What a fact is about: facts of two slices with the same topic can be asked in the same words."""


class OtherSlice:
    """A slice of another subject, measured when it is first looked at.

    Args:
        record: the slice.
        settings: of the build.
        words: the vocabulary.
        facts_of_scene: the facts of a measured slice that can be asked in images of this size.
    """

    def __init__(
        self,
        record: SliceRecord,
        settings: Settings,
        words: Mapping[str, Structure],
        facts_of_scene: Callable[[Scene], Sequence[Fact]],
    ) -> None:
        self.record = record
        self._settings, self._words, self._facts_of = settings, words, facts_of_scene

    @cached_property
    def scene(self) -> Scene:
        """The slice, measured."""
        return Scene.of(self.record, self._settings.clarity, self._settings.seed, self._words)

    @cached_property
    def by_structures(self) -> dict[Topic, Fact]:
        """Its facts by what they are about."""
        return {_about(fact): fact for fact in self._facts_of(self.scene)}


def _about(fact: Fact) -> Topic:
    both = frozenset((fact.structures, fact.inverse_structures))
    return fact.kind, fact.axis, fact.options, both


def choose_swaps(
    units: Sequence[Unit],
    slices: Sequence[SliceRecord],
    others: Iterable[OtherSlice],
    settings: Settings,
    identity: str,
) -> tuple[dict[int, tuple[Unit, SliceRecord]], int]:
    """For a drawn share of a volume's units the same asked of another subject's slice.

    Units with markers come first: by name two subjects seldom differ.

    Args:
        units: chosen, plain.
        slices: of the volume.
        others: slices of other subjects, in a fixed order; looked through once per unit.
        settings: of the build.
        identity: what names the volume; with the seed it decides every draw.

    Returns:
        By the number of the unit what is asked, and of which slice; and how many units were tried in vain.
    """

    def drawn(number: int) -> tuple[bool, str]:
        return units[number].prompt == "none", digest("swapped", settings.seed, identity, units[number])

    found: dict[int, tuple[Unit, SliceRecord]] = {}
    tried = 0
    for number in sorted(range(len(units)), key=drawn):
        if len(found) == ceil(SWAPPED_SHARE * len(units)):
            break
        unit, record = units[number], slices[units[number].position]
        tried += 1
        for other in others:
            if (other.record.modality, other.record.plane) != (record.modality, record.plane):
                continue
            if is_another_scan(record, other.record) and (asked := swapped(unit, other)) is not None:
                found[number] = asked, other.record
                break
    return found, tried - len(found)


def swapped(unit: Unit, other: OtherSlice) -> Unit | None:
    """The unit asked of another slice with another answer in each of its rows; ``None`` if that slice has none.

    Args:
        unit: of the slice that the question was made for.
        other: of the same plane and modality.
    """
    fact = unit.fact
    if fact.kind == "naming":
        found = name_both(other.scene, fact)
    elif fact.kind == "visible":
        found = seen_alone(other.scene, fact)
    else:
        found = other.by_structures.get(_about(fact))
    if found is None:
        return None
    if found.relation == fact.relation and found.inverse_structures:
        found = _exchanged(found)
    if found.relation == fact.relation or not fits(found, unit.prompt):
        return None
    if unit.prompt == "none" and fact.kind != "visible" and found.structures != fact.structures:
        return None  # the same words would be about something else
    return replace(unit, fact=found, view="swapped")


def _exchanged(fact: Fact) -> Fact:
    """The fact with its two items in the other order."""
    return replace(
        fact,
        structures=fact.inverse_structures,
        relation=fact.inverse_relation,
        inverse_structures=fact.structures,
        inverse_relation=fact.relation,
    )


def is_another_scan(one: SliceRecord, other: SliceRecord) -> bool:
    """Whether two slices are of different people, and not of one scan under two names."""
    if one.source == other.source and (one.patient or one.subject) == (other.patient or other.subject):
        return False
    if one.scan_sha256 is not None and one.scan_sha256 == other.scan_sha256:
        return False
    return one.image.shape != other.image.shape or not np.array_equal(one.image, other.image)
