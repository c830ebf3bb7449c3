"""What is marked, and what is visible: four options each, all plausible, of which exactly one is right."""

import random
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from dataset_builder.imaging.measurements import Floats
from dataset_builder.questions.facts.fact import ROUNDING_MM, Fact, Truth
from dataset_builder.questions.facts.scene import Scene
from dataset_builder.vocabulary import Structure, confusable, organ_system

OPTIONS = 4
TOUCHING_MM, ABSENT_MM, SPREAD = 5.0, 150.0, 2.0
"""How far away structures count as that touch, and that the slice does not show; by how much distances are drawn."""
ALIKE = 0.35
"""Of how far away it is, a structure of the same organ system counts as so much."""
NAMINGS = 2
"""How many times each visible structure opens a naming fact; it closes others besides."""


def anatomical_facts(scene: Scene) -> Iterator[Fact]:
    """Facts that ask for a name."""
    yield from naming(scene)
    yield from visible(scene)


def series(name: str) -> str | None:
    """The series of like structures that a structure is one of (ribs of a side, vertebrae); ``None`` if of none.

    A single slice does not show which of them it cuts.

    >>> series("rib_left_5")
    'rib_left'
    """
    found = re.fullmatch(r"(\w+)_[CTLS]?\d+", name)
    return found[1] if found else None


def tell_apart(one: str, other: str, vocabulary: Mapping[str, Structure] | None = None) -> bool:
    """Whether a reader can tell two structures from each other, by sight and by name."""
    alike = series(one)
    return not confusable(one, other, vocabulary) and (alike is None or alike != series(other))


def naming(scene: Scene) -> Iterator[Fact]:
    """What is the marked structure: two marked structures with the same four options; none is a lesion."""
    row = {name: i for i, name in enumerate(scene.names)}
    rival = rivals(scene)
    clear = {name for name, i in row.items() if can_be_marked(scene, i) and not scene.visible[i].is_lesion}
    known = [structure for structure in scene.known if not structure.is_lesion]

    def fits(option: str, options: Sequence[str]) -> bool:
        """Whether an option can stand beside those there are, of which the first two can be marked."""
        marked = (*options[:2], option)[:2]
        pairs = ((one, other) for one in marked for other in (*options, option) if one != other)
        if any(one in row and other in row and rival[row[one], row[other]] for one, other in pairs):
            return False
        return all(tell_apart(option, other, scene.vocabulary) for other in options)

    used: set[tuple[str, tuple[str, ...]]] = set()
    found: list[tuple[str, str, tuple[str, ...]]] = []
    for turn in range(NAMINGS):
        draw = scene.random(f"naming {turn}")
        for first in draw.sample(scene.visible, len(scene.visible)):
            if first.name not in clear:
                continue
            others = _by_likeness(scene, first, known, draw)
            # The second is visible, so that it can be marked as well; the others need not be.
            pairs = ([first.name, name] for name in others if name in clear and fits(name, [first.name]))
            # The first of them that leaves enough other names.
            found_options = ((pair, _choose(pair, OPTIONS, others, fits)) for pair in pairs)
            pair, options = next((each for each in found_options if len(each[1]) == OPTIONS), ([], []))
            if not pair:
                continue
            names = tuple(sorted(options))
            if not used & {(name, names) for name in pair}:
                used |= {(name, names) for name in pair}
                found.append((min(pair), max(pair), names))
    for one, other, names in sorted(found):
        margin = min(scene.depth[row[one]], scene.depth[row[other]])
        items = (((one,), one), ((other,), other))
        yield scene.pair("anatomical", "naming", None, items, margin, names)


def name_both(scene: Scene, fact: Fact) -> Fact | None:
    """The naming fact of another slice, where both of its structures can be marked here and taken for no option."""
    row = {name: i for i, name in enumerate(scene.names)}
    pair = (fact.structures[0], fact.inverse_structures[0])
    if not all(name in row and can_be_marked(scene, row[name]) for name in pair):
        return None
    rival = rivals(scene)
    if any(rival[row[one], row[other]] for one in pair for other in fact.options if other in row and other != one):
        return None
    margin = float(min(scene.depth[row[name]] for name in pair))
    return replace(fact, margin_mm=margin)


def seen_alone(scene: Scene, fact: Fact) -> Fact | None:
    """A fact of the kind ``visible`` with the same options, where just one of these is here, and visible."""
    here = [name for name in fact.options if name in scene.present_known]
    if len(here) != 1 or here[0] not in scene.names:
        return None
    area = float(scene.area[scene.names.index(here[0])])
    absent = [name for name in fact.options if name != here[0]]
    if area < scene.clarity.min_named_area_mm2 - ROUNDING_MM or not all(
        tell_apart(name, other, scene.vocabulary) for name in absent for other in scene.present_known
    ):
        return None
    return replace(fact, structures=(here[0],), relation=here[0], margin_mm=float(np.sqrt(area)))


def visible(scene: Scene) -> Iterator[Fact]:
    """Which of four is visible: one is; the others have no pixel in the slice and look like nothing that has one.

    No lesion is among them: whether there is none besides those that are labelled, no one knows.
    """
    absent = [
        structure
        for structure in scene.known
        if not structure.is_lesion
        and all(tell_apart(structure.name, other, scene.vocabulary) for other in scene.present_known)
    ]
    draw = scene.random("visible")

    def fits(option: str, options: Sequence[str]) -> bool:
        group = [*options, option]
        return all(tell_apart(option, other, scene.vocabulary) for other in options) and (
            _evenness(scene, group) >= scene.clarity.min_visibility_ratio - 1e-9
        )

    for structure, area in zip(scene.visible, scene.area, strict=True):
        if area < scene.clarity.min_named_area_mm2 - ROUNDING_MM or structure.is_lesion:
            continue
        others = _by_plausibility(scene, structure, absent, draw)
        options = _choose([structure.name], OPTIONS, others, fits)
        # Kept as often as the slices that show another of the four are fewer: then each of them is as often the answer.
        if len(options) == OPTIONS and draw.random() < _evenness(scene, options):
            asked, names = (structure.name,), tuple(sorted(options))
            yield Fact("anatomical", "visible", None, asked, structure.name, (), "", names, float(np.sqrt(area)))


def _evenness(scene: Scene, options: Sequence[str]) -> float:
    """How many slices show only this one of the options, of the rarest, as a share of those of the first; at most 1.

    1 where nothing is known of other slices.
    """
    if not scene.record.seen_in:
        return 1.0
    alone = scene.shown_alone(options)
    return min(alone) / alone[0] if alone[0] else 0.0


def _choose(
    start: Sequence[str], count: int, candidates: Sequence[str], fits: Callable[[str, Sequence[str]], bool]
) -> list[str]:
    """``start`` and the first candidates that fit, up to ``count`` in all."""
    chosen = list(start)
    for name in candidates:
        if len(chosen) == count:
            break
        if name not in chosen and fits(name, chosen):
            chosen.append(name)
    return chosen


def _by_likeness(scene: Scene, structure: Structure, candidates: Sequence[Structure], draw: random.Random) -> list[str]:
    """Names of structures, those that are most often taken for the given one first: near it, of its organ system.

    A structure of the same system counts as a third as far away (:data:`ALIKE`), one that the slice does not show as
    farther than most that it shows. Distances are drawn anew within :data:`SPREAD`, so that the same structure does not
    always come with the same names.
    """
    row = {name: i for i, name in enumerate(scene.names)}
    own = row[structure.name]
    system = organ_system(structure.name)

    def unlikeness(option: Structure) -> float:
        alike = system is not None and organ_system(option.name) == system
        if option.name in row:
            away = float(scene.distances[own, row[option.name]]) + TOUCHING_MM
        else:
            away = ABSENT_MM if option.region == structure.region else 2 * ABSENT_MM
        return away * (ALIKE if alike else 1.0) * draw.uniform(1.0, SPREAD)

    return [option.name for option in sorted(draw.sample(candidates, len(candidates)), key=unlikeness)]


def _by_plausibility(
    scene: Scene, structure: Structure, candidates: Sequence[Structure], draw: random.Random
) -> list[str]:
    """Names of structures, those that could be taken for the given one first, equals in drawn order.

    Best are visible ones of the same region, then one of the two, then those of a region that the slice shows.
    """
    regions = {other.region for other in scene.visible}
    names = set(scene.names)

    def rank(option: Structure) -> int:
        alike = (option.region == structure.region) + (option.name in names)
        return 2 - alike if alike else 2 + (option.region not in regions)

    return [option.name for option in sorted(draw.sample(candidates, len(candidates)), key=rank)]


def can_be_marked(scene: Scene, i: int) -> bool:
    """Whether a structure is one piece that fills its box well enough to be told by it."""
    return scene.names[i] not in scene.scattered and scene.pieces.in_box[i, i] >= scene.clarity.min_box_fill - 1e-9


def rivals(scene: Scene) -> Truth:
    """[n, n]: whether a marker at i could as well be read as one at j: the boxes agree, or j fills much of i's."""
    in_box = scene.pieces.in_box
    return (_box_overlaps(scene) > scene.clarity.max_box_overlap) | (
        in_box > scene.clarity.max_rival_share * np.diag(in_box)[:, None]
    )


def _box_overlaps(scene: Scene) -> Floats:
    """Shared area of two boxes / their joint area [n, n]."""
    low = np.maximum(scene.box_low[:, None], scene.box_low[None])
    high = np.minimum(scene.box_high[:, None], scene.box_high[None])
    shared = np.clip(high - low, 0, None).prod(axis=2)
    area = (scene.box_high - scene.box_low).prod(axis=1)
    return shared / (area[:, None] + area[None] - shared)
