"""What is marked, and what is visible: four options each, all plausible, of which exactly one is right."""

import random
import re
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from dataset_builder.imaging.measurements import Floats
from dataset_builder.questions.facts.fact import ROUNDING_MM, Fact, Truth
from dataset_builder.questions.facts.scene import Scene
from dataset_builder.vocabulary import Structure, confusable

OPTIONS = 4
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
            others = _by_plausibility(scene, first, known, draw)
            # The second is visible, so that it can be marked as well; the others need not be.
            pair = _choose([first.name], 2, [name for name in others if name in clear], fits)
            options = _choose(pair, OPTIONS, others, fits)
            if len(pair) < 2 or len(options) < OPTIONS:
                continue
            names = tuple(sorted(options))
            if not used & {(name, names) for name in pair}:
                used |= {(name, names) for name in pair}
                found.append((min(pair), max(pair), names))
    for one, other, names in sorted(found):
        margin = min(scene.depth[row[one]], scene.depth[row[other]])
        items = (((one,), one), ((other,), other))
        yield scene.pair("anatomical", "naming", None, items, margin, names)


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
