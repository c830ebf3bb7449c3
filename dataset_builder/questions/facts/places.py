"""What can be asked to be found in an image, by its name or by a description that fits nothing else in it.

A structure is asked for if it is visible, one piece, clear of the edge of the scan, and not so small in the image that
an error of a pixel decides. A name is asked for only where
the slice shows no other structure that the name, or part of it, could mean.
"""

import re
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from dataset_builder.core.factors import CONVENTIONS, REGISTERS, Terminology
from dataset_builder.core.settings import ClarityLimits
from dataset_builder.imaging.geometry import IN_PLANE_AXES
from dataset_builder.pictures.placement import placements
from dataset_builder.questions.facts.anatomical import series
from dataset_builder.questions.facts.directional import R_AXIS, S_AXIS
from dataset_builder.questions.facts.fact import Fact, Kind
from dataset_builder.questions.facts.relational import same_side, size
from dataset_builder.questions.facts.scene import ROUNDING_MM, Scene
from dataset_builder.questions.facts.stack import StackScene
from dataset_builder.slices.selection import SliceRecord
from dataset_builder.vocabulary import Structure


def find_places(scene: Scene, image_size: int) -> list[Fact]:
    """What can be asked to be found in a slice, in a fixed order.

    In each fact ``structures[0]`` is what is asked for; others are marked, or what it is told from.

    Args:
        image_size: side of the square image in pixels.
    """
    clear = locatable(scene, image_size)
    return [
        *by_name(scene, clear),
        *by_side(scene, clear),
        *by_size(scene, clear),
        *beside(scene, clear),
        *by_neighbour(scene, clear),
    ]


def locatable(scene: Scene, image_size: int) -> frozenset[str]:
    """Names of the visible structures that have one clear box: one piece, away from the edge of the scan, not tiny."""
    extent = (np.asarray(scene.record.shape) - 0.5) * np.asarray(scene.record.spacing)  # of the last voxel's far side
    first = -0.5 * np.asarray(scene.record.spacing)
    room = np.minimum(scene.box_low - first, extent - scene.box_high).min(axis=1, initial=np.inf)
    inside = room >= scene.clarity.min_border_mm - ROUNDING_MM
    large = _box_pixels(scene, image_size) >= scene.clarity.min_box_pixels
    return frozenset(
        name
        for name, is_clear in zip(scene.names, inside & large, strict=True)
        if is_clear and name not in scene.scattered and not _has_parts(name, scene)
    )


def _box_pixels(scene: Scene, image_size: int) -> npt.NDArray[np.int64]:
    """[n]: the shorter side of each structure's box in pixels, in the convention in which it is shorter."""
    boxes = [
        [placed[name].box for name in scene.names]
        for placed in (placements(scene.record, convention, image_size) for convention in CONVENTIONS)
    ]
    corners = np.array(boxes, np.int64).reshape(len(CONVENTIONS), len(scene.names), 4)
    return np.asarray((corners[..., 2:] - corners[..., :2]).min(axis=(0, 2)))


def _has_parts(name: str, scene: Scene) -> bool:
    """Whether a part of a structure, or a lesion in it, is labelled by itself: the label then has a hole."""
    return name in scene.with_lesions or any(scene.vocabulary[other].part_of == name for other in scene.present_known)


def by_name(scene: Scene, clear: frozenset[str]) -> Iterator[Fact]:
    """A structure by its name; one of a series (ribs, vertebrae) if it is alone: which of several, no slice shows."""
    members: dict[str | None, int] = {}
    for name in scene.present_known:
        members[series(name)] = members.get(series(name), 0) + 1
    for name, depth in zip(scene.names, scene.depth, strict=True):
        alone = series(name) is None or members[series(name)] == 1
        if name in clear and alone and not _said_by_another(name, scene):
            yield _place("anatomical", "place", (name,), name, depth)


def _said_by_another(name: str, scene: Scene) -> bool:
    """Whether the slice shows something else whose name has this one in it, such as a cyst of it."""
    return any(
        f" {_bare(getattr(scene.vocabulary[name], register))} "
        in f" {_bare(getattr(scene.vocabulary[other], register))} "
        for other in scene.present_known
        if other != name
        for register in REGISTERS
    )


def _bare(name: str) -> str:
    return " ".join(re.findall(r"\w+", name.lower()))


def by_side(scene: Scene, clear: frozenset[str]) -> Iterator[Fact]:
    """The one of a pair of organs on one side of the patient, where both are visible and clearly apart."""
    in_plane = IN_PLANE_AXES[scene.record.plane]
    if R_AXIS not in in_plane:
        return
    across = in_plane.index(R_AXIS)
    positions = scene.along(across)
    beyond, gaps = positions.beyond(scene.clarity) & scene.clearly_ahead(across), positions.gaps()
    for right, left in _pairs(scene):
        if beyond[right, left]:
            for target, other, side in ((right, left, "right"), (left, right, "left")):
                names = scene.names[target], scene.names[other]
                if names[0] in clear:
                    yield _place("directional", "place by side", names, side, gaps[right, left])


def by_size(scene: Scene, clear: frozenset[str]) -> Iterator[Fact]:
    """The larger or the smaller of a pair of organs."""
    pairs = {frozenset((scene.names[i], scene.names[j])) for i, j in _pairs(scene)}
    for fact in size(scene):
        if frozenset(fact.structures) in pairs:
            for names, relation in _items(fact):
                if names[0] in clear:
                    yield _place("relational", "place by size", names, relation, fact.margin_mm)


def beside(scene: Scene, clear: frozenset[str]) -> Iterator[Fact]:
    """The one of a pair of organs that is on the same side of the body as a marked structure, or on the other side."""
    partner = {scene.names[i]: scene.names[j] for pair in _pairs(scene) for i, j in (pair, pair[::-1])}
    for fact in same_side(scene):
        for (one, other), relation in _items(fact):
            for target, reference in ((one, other), (other, one)):
                mate = partner.get(target)
                clear_ones = target in clear and mate not in (None, reference) and reference not in scene.scattered
                if clear_ones and _on_other_side(scene, target, mate):
                    yield _place("relational", "place beside", (target, reference), relation, fact.margin_mm)


def by_neighbour(scene: Scene, clear: frozenset[str]) -> Iterator[Fact]:
    """The next one of a series, up or down from a marked one; ribs and vertebrae."""
    in_plane = IN_PLANE_AXES[scene.record.plane]
    if S_AXIS not in in_plane:
        return
    up = in_plane.index(S_AXIS)
    positions = scene.along(up)
    ahead, gaps = positions.beyond(scene.clarity) & scene.clearly_ahead(up), positions.gaps()
    row = {name: i for i, name in enumerate(scene.names)}
    for upper, lower in _consecutive(scene.names):
        i, j = row[upper], row[lower]
        if not ahead[i, j] or not _next_to_each_other(scene, i, j, up):
            continue
        for target, reference, relation in ((upper, lower, "superior"), (lower, upper, "inferior")):
            if target in clear and reference not in scene.scattered:
                yield _place("directional", "place by neighbour", (target, reference), relation, gaps[i, j])


def find_places_in_stack(
    records: Sequence[SliceRecord],
    clarity: ClarityLimits,
    seed: int,
    image_size: int,
    vocabulary: Mapping[str, Structure] | None = None,
) -> list[Fact]:
    """What can be asked to be found in the one image of a stack that shows most of it; ``relation`` is its position.

    Args:
        records: the slices of a stack, ascending along the plane's axis.
        image_size: side of the square images in pixels.
    """
    stack = StackScene.of(records, clarity, seed, vocabulary)
    scenes: dict[int, frozenset[str]] = {}
    found = []
    for i, name in enumerate(stack.names):
        image = int(stack.area[i].argmax())
        others = np.delete(stack.area[i], image)
        if stack.area[i, image] < clarity.min_largest_ratio * others.max(initial=0.0):
            continue
        if image not in scenes:
            scene = Scene.of(records[image], clarity, seed, vocabulary)
            named = {fact.structures[0] for fact in by_name(scene, locatable(scene, image_size))}
            scenes[image] = frozenset(named)
        # Of a series none: another one may be largest elsewhere.
        if name in scenes[image] and series(name) is None:
            margin = float(np.sqrt(stack.area[i, image]) - np.sqrt(others.max(initial=0.0)))
            found.append(_place("relational", "place in stack", (name,), str(image), margin))
    return found


def _place(terminology: Terminology, kind: Kind, names: tuple[str, ...], relation: str, margin_mm: float) -> Fact:
    return Fact(terminology, kind, None, names, relation, (), "", (), float(margin_mm))


def _items(fact: Fact) -> tuple[tuple[tuple[str, ...], str], tuple[tuple[str, ...], str]]:
    """The two items of a pair."""
    return (fact.structures, fact.relation), (fact.inverse_structures, fact.inverse_relation)


def _pairs(scene: Scene) -> Iterator[tuple[int, int]]:
    """Pairs of one organ, both visible, that have one word without the side: rows of (right, left)."""
    row = {name: i for i, name in enumerate(scene.names)}
    for name, i in row.items():
        structure = scene.vocabulary[name]
        other = structure.pair
        if structure.side != "right" or other not in row:
            continue
        if all(side_free(structure, r) == side_free(scene.vocabulary[other], r) is not None for r in REGISTERS):
            yield i, row[other]


def side_free(structure: Structure, register: str) -> str | None:
    """A structure's name without its side; ``None`` if it does not say the side exactly once.

    >>> from dataset_builder.vocabulary import structures
    >>> side_free(structures()["kidney_left"], "clinical")
    'kidney'
    """
    name = structure.clinical if register == "clinical" else structure.lay
    if structure.side is None or len(re.findall(r"\b(?:left|right)\b", name)) != 1:
        return None
    free = re.sub(rf"\b{structure.side} ", "", name)
    return free if free != name else None


def _on_other_side(scene: Scene, name: str, mate: str | None) -> bool:
    """Whether the other organ of a pair lies across the midline."""
    middle = scene.record.midline_mm
    if middle is None or mate is None:
        return False
    across = IN_PLANE_AXES[scene.record.plane].index(R_AXIS)
    one, other = (scene.centroid[scene.names.index(each), across] - middle for each in (name, mate))
    return bool(one * other < 0 and abs(other) >= scene.clarity.min_gap_mm)


def _consecutive(names: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Neighbours of a series by their numbers, the upper one first."""
    found: dict[str, dict[int, str]] = {}
    for name in names:
        of = series(name)
        if of in _NUMBERED:
            found.setdefault(of, {})[_NUMBERED[of](name)] = name
    for members in found.values():
        for number, name in sorted(members.items()):
            if number + 1 in members:
                yield name, members[number + 1]


def _vertebra_number(name: str) -> int:
    """Position of a vertebra from the head on; of the first of a part of the spine far from the last of the one before.

    How many vertebrae a part has varies, so that neighbours across parts are not taken for consecutive.
    """
    found = re.fullmatch(r"vertebrae_([CTLS])(\d+)", name)
    assert found is not None
    return 100 * "CTLS".index(found[1]) + int(found[2])


def _rib_number(name: str) -> int:
    return int(name.rsplit("_", 1)[1])


_NUMBERED = {"vertebrae": _vertebra_number, "rib_left": _rib_number, "rib_right": _rib_number}


def _next_to_each_other(scene: Scene, upper: int, lower: int, axis: int) -> bool:
    """Whether no other piece of the series has its middle between the two, along the axis and on it."""
    of = series(scene.names[upper])
    between = sorted((scene.centroid[upper, axis], scene.centroid[lower, axis]))
    return not any(
        series(name) == of and i not in (upper, lower) and between[0] <= scene.centroid[i, axis] <= between[1]
        for i, name in enumerate(scene.names)
    )
