"""Facts: what is true of a slice and clear enough to be asked.

``fact`` says what a fact is and how clear it must be, ``scene`` measures a slice, ``anatomical``, ``directional`` and
``relational`` find the facts of each terminology, ``stack`` those of several slices; ``places`` and ``measures`` find
what can be pointed at and measured.
"""

from collections.abc import Mapping

from dataset_builder.core.settings import ClarityLimits
from dataset_builder.questions.facts.anatomical import anatomical_facts
from dataset_builder.questions.facts.directional import directional_facts
from dataset_builder.questions.facts.fact import Fact, Kind, apart_enough, without_markers
from dataset_builder.questions.facts.lesion_facts import holds_with_lesions, lesion_facts
from dataset_builder.questions.facts.measures import find_measures
from dataset_builder.questions.facts.places import find_places, find_places_in_stack
from dataset_builder.questions.facts.relational import relational_facts
from dataset_builder.questions.facts.scene import Scene
from dataset_builder.questions.facts.stack import find_stack_facts
from dataset_builder.slices.selection import SliceRecord
from dataset_builder.vocabulary import Structure

__all__ = [
    "Fact",
    "Kind",
    "Scene",
    "apart_enough",
    "facts_of",
    "find_facts",
    "find_measures",
    "find_places",
    "find_places_in_stack",
    "find_stack_facts",
]


def find_facts(
    record: SliceRecord,
    clarity: ClarityLimits = ClarityLimits(),  # noqa: B008 - frozen
    seed: int = 0,
    vocabulary: Mapping[str, Structure] | None = None,
) -> list[Fact]:
    """Every fact of a slice, in a fixed order: a pure function of the slice's labels and identity, limits and seed.

    No two facts say the same: of (A, B) and (B, A) one is the fact, the other its inverse.

    Args:
        clarity: how clear a fact must be.
        seed: decides which item of a pair is first, the options of names, and the sample of facts of three structures.
        vocabulary: structures by canonical name; the package's own if not given. Others are never asked about.
    """
    return facts_of(Scene.of(record, clarity, seed, vocabulary))


def facts_of(scene: Scene) -> list[Fact]:
    """The same of a slice that was measured already."""
    found = [*anatomical_facts(scene), *directional_facts(scene), *relational_facts(scene)]
    found = [*holds_with_lesions(scene, found), *lesion_facts(scene)]
    return [without_markers(fact, scene.scattered) for fact in found]
