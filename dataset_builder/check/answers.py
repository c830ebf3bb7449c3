"""Whether answers are true: recomputed from label maps, by simpler measures than the builder's.

Facts keep a margin, so that centres and areas are enough to tell a true answer from a false one.
"""

import re
from collections.abc import Mapping, Sequence
from functools import cache

import numpy as np

from dataset_builder.check.items import Item
from dataset_builder.check.lesions import centres, host_of, lesions_of, shares_around
from dataset_builder.check.maps import IN_PLANE, Map, Shown
from dataset_builder.check.yes_no import as_choice
from dataset_builder.questions.wording import wording
from dataset_builder.vocabulary import Structure

DIRECTIONS = {
    "right": ("R", 1),
    "left": ("R", -1),
    "anterior": ("A", 1),
    "posterior": ("A", -1),
    "superior": ("S", 1),
    "inferior": ("S", -1),
}
"""The patient's axis, and which way along it."""

THROUGH = {"axial": "S", "coronal": "A", "sagittal": "R"}
"""The patient's axis along which the slices of a plane follow each other."""

_IMAGE = {"right": (0, 1), "left": (0, -1), "below": (1, 1), "above": (1, -1)}


@cache
def _relations(register: str) -> Mapping[str, str]:
    """The relation that a word stands for."""
    return {term[register]: relation for relation, term in wording()["terms"].items()}


def _named(answer: str, item: Item, words: Mapping[str, Structure]) -> str | None:
    """The structure that an answer names; ``None`` if the vocabulary does not have it."""
    return next((name for name, row in words.items() if getattr(row, item.register) == answer), None)


def relation_of(item: Item) -> str | None:
    """The relation that the answer of a row about relations says; ``None`` if its word is unknown."""
    return _relations(item.register).get(item.answer)


def in_slice(item: Item, here: Map, shown: Shown, words: Mapping[str, Structure]) -> str:
    """Why the answer of a row about one slice is not true; empty if it is, or if it cannot be decided."""
    if item.option_form == "yes_no":
        offered = as_choice(item)
        return "it is not said what is to be confirmed" if offered is None else in_slice(offered, here, shown, words)
    absent = [name for name in item.structures if name not in here.structures]
    if absent:
        return f"the slice does not show {', '.join(absent)}"
    if item.terminology == "anatomical":
        return _naming(item, here, words)
    if item.frame == "image":
        return _in_image(item, here, shown, words)
    relation = relation_of(item)
    if relation != item.relation:
        return f"the column relation says {item.relation}"
    if wrong := _with_its_organ(relation, item.structures, here, words):
        return wrong
    holds = _holds(relation, item.structures, here, words)
    return "" if holds is not False else f"{item.structures[0]} is not {relation}"


def _with_its_organ(relation: str, names: Sequence[str], here: Map, words: Mapping[str, Structure]) -> str:
    """Whether a row compares a lesion with the organ that it lies in, which tells nothing."""
    lesions = lesions_of(here.structures, words)
    if relation in ("within", "elsewhere") or (relation in DIRECTIONS or relation in ("medial", "lateral")):
        return ""  # in it or not, and in which part of it
    hosts = {name: host_of(here, name, lesions) for name in names if name in lesions}
    return next((f"{name} lies in {host}" for name, host in hosts.items() if host in names), "")


def _in_image(item: Item, here: Map, shown: Shown, words: Mapping[str, Structure]) -> str:
    """Of a row in the frame of the image: where the centre of A lies from that of B, or from the image's middle."""
    if item.answer not in _IMAGE:
        return "it names no side of the image"
    width, height = here.extent
    (x0, y0), (x1, y1) = [*centres(here, item.structures, words), (width / 2, height / 2)][:2]
    one, other = shown.to_image((x0, y0, x0, y0)), shown.to_image((x1, y1, x1, y1))
    axis, sign = _IMAGE[item.answer]
    right = sign * (one[axis] - other[axis]) > 0
    return "" if right else f"the centre of A does not lie {item.answer} of that of B in the image"


def _naming(item: Item, here: Map, words: Mapping[str, Structure]) -> str:
    """Of a row that asks for a name: that of the structure, and of none that is visible besides."""
    lesions = lesions_of(here.structures, words)
    name = item.structures[0]
    if name in lesions:  # asked is what it lies in
        name = host_of(here, name, lesions) or "nothing that is labelled"
    if item.relation != name:
        return f"the column relation says {item.relation}"
    if name in words and getattr(words[name], item.register) != item.answer:
        return f"the structure is {name}"
    if item.prompt == "none":
        for option in item.options:
            other = _named(option, item, words)
            if option != item.answer and other in here.structures:
                return f"{other} is visible, too"
    return ""


def _holds(relation: str, names: Sequence[str], here: Map, words: Mapping[str, Structure]) -> bool | None:
    """Whether a relation holds of structures in a slice; ``None`` if this cannot be decided."""
    axes = IN_PLANE[here.key[2]]
    needed = _needed(relation)
    if len(names) == 1 and relation in ("right", "left") and "R" in axes:
        return _on_side(relation, here.structures[names[0]].centre[axes.index("R")], here)
    if len(names) < (3 if relation in ("nearer", "farther", "between", "outside") else 2):
        return False
    if needed and needed not in axes:
        return False
    found = [here.structures[name] for name in names]
    centre = np.array(centres(here, names, words))
    a, b = found[0], found[1]
    if relation in ("within", "elsewhere"):
        return _within(here, names, words) == (relation == "within")
    if relation in DIRECTIONS:
        axis, sign = DIRECTIONS[relation]
        column = axes.index(axis)
        return bool(sign * (centre[0, column] - centre[1, column]) > 0)
    if relation in ("proximal", "distal"):
        up = centre[0, axes.index("S")] - centre[1, axes.index("S")]
        return bool(up > 0) == (relation == "proximal")
    if relation in ("medial", "lateral", "same side", "opposite sides"):
        return _by_midline(relation, centre[:2, axes.index("R")].tolist(), here)
    if relation in ("larger", "smaller"):
        return (a.area_mm2 > b.area_mm2) == (relation == "larger")
    if relation in ("adjacent", "apart"):
        return _touch(here, names) == (relation == "adjacent")
    if relation in ("encloses", "enclosed by"):
        outer, inner = (a.voxels, b.voxels) if relation == "encloses" else (b.voxels, a.voxels)
        return all(o < i for o, i in zip(outer[:2], inner[:2], strict=True)) and all(
            o > i for o, i in zip(outer[2:], inner[2:], strict=True)
        )
    if relation in ("nearer", "farther"):
        near, far = (float(np.hypot(*(centre[i] - centre[2]))) for i in (0, 1))
        return (near < far) == (relation == "nearer")
    if relation in ("between", "outside"):
        # Seen from between, the two ends lie in opposite directions.
        return bool(np.dot(centre[1] - centre[0], centre[2] - centre[0]) < 0) == (relation == "between")
    return None


def _needed(relation: str) -> str:
    """The patient's axis that a slice must show for a relation; empty if any will do."""
    if relation in DIRECTIONS:
        return DIRECTIONS[relation][0]
    if relation in ("proximal", "distal"):
        return "S"
    return "R" if relation in ("medial", "lateral", "same side", "opposite sides") else ""


def _within(here: Map, names: Sequence[str], words: Mapping[str, Structure]) -> bool | None:
    """Whether a lesion lies in a structure: it surrounds it, or does not touch it."""
    lesions = lesions_of(here.structures, words)
    if names[0] not in lesions:
        return None
    if host_of(here, names[0], lesions) == names[1]:
        return True
    return False if not shares_around(here, names[0], lesions).get(names[1]) else None


def _on_side(relation: str, position: float, here: Map) -> bool:
    """Whether a position toward the patient's right in mm from the slice's corner lies on a side of the midline."""
    if here.side is not None or here.midline_mm is None:
        return False
    return bool(position - 0.5 * here.spacing[0] > here.midline_mm) == (relation == "right")


def _by_midline(relation: str, positions: Sequence[float], here: Map) -> bool | None:
    """Medial, lateral and sides, from positions toward the patient's right in mm from the slice's corner."""
    if here.side is not None:
        if relation not in ("medial", "lateral"):
            return False
        outward = [position if here.side == "right" else -position for position in positions]
    elif here.midline_mm is not None:
        # The midline counts from the middle of the first voxel.
        off = [position - 0.5 * here.spacing[0] - here.midline_mm for position in positions]
        if relation in ("same side", "opposite sides"):
            return (off[0] * off[1] > 0) == (relation == "same side")
        outward = [abs(distance) for distance in off]
    else:
        return False
    return bool(outward[0] > outward[1]) == (relation == "lateral")


def _touch(here: Map, names: Sequence[str]) -> bool:
    """Whether voxels of two structures share a border."""
    one, other = here.of(names[0]), here.of(names[1])
    return bool(
        (one[1:] & other[:-1]).any()
        or (one[:-1] & other[1:]).any()
        or (one[:, 1:] & other[:, :-1]).any()
        or (one[:, :-1] & other[:, 1:]).any()
    )


# Stacks --------------------------------------------------------------------------------------------------------------


def in_stack(
    item: Item,
    areas: Sequence[Mapping[str, float]],
    through: Mapping[str, float],
    words: Mapping[str, Structure],
) -> str:
    """Why the answer of a row about a stack is not true; empty if it is.

    Args:
        areas: of the structures in each image, in the order shown.
        through: mean position of each structure along the stack's axis in mm.
    """
    absent = [name for name in item.structures if not any(name in area for area in areas)]
    if absent:
        return f"no image shows {', '.join(absent)}"
    steps = np.sign(np.diff(item.slice_index))
    ascending = bool((steps > 0).all())
    if not ascending and not (steps < 0).all():
        return "the images are in no order"
    if item.stack_order != "unstated" and ascending != (item.stack_order == "ascending"):
        return f"the images are not {item.stack_order}"
    if counted := re.fullmatch(r"(largest|first|last) in image (\d+)", item.relation):
        return _image(item, counted[1], int(counted[2]), areas)
    if any(name not in through for name in item.structures):
        return "the slice store does not say where the structures lie along the stack"
    axis, sign = DIRECTIONS.get(item.relation, ("", 0))
    if axis != THROUGH[item.plane]:
        return f"the stack does not show {item.relation}"
    if item.terminology == "directional":
        if relation_of(item) != item.relation:
            return f"the column relation says {item.relation}"
        a, b = (through[name] for name in item.structures[:2])
        return "" if sign * (a - b) > 0 else f"{item.structures[0]} is not {item.relation}"
    in_order = sorted(item.structures, key=lambda name: sign * through[name])
    called = dict(zip(item.structures, "ABC", strict=False))
    if item.prompt == "none":
        if any(name not in words for name in item.structures):
            return ""  # what they are called is not known
        called = {name: getattr(words[name], item.register) for name in item.structures}
    expected = ", ".join(called[name] for name in in_order)
    return "" if item.answer == expected else f"the order is {expected}"


def _image(item: Item, asked: str, number: int, areas: Sequence[Mapping[str, float]]) -> str:
    """Of a row that asks for an image: whether it is the right one, and the other options are not."""
    if not re.search(rf"\b{number}$", item.answer):
        return f"the column relation says {item.relation}"
    sizes = [area.get(item.structures[0], 0.0) for area in areas]
    if asked == "largest":  # of the listed images: of equal ones at most one is listed
        listed = [int(found[0]) for option in item.options if (found := re.search(r"\d+$", option))]
        if not all(1 <= image <= len(sizes) for image in listed):
            return "an option names an image that is not there"
        others = [image for image in listed if image != number]
        larger = [image for image in others if sizes[image - 1] >= sizes[number - 1]]
        return f"it is not smaller in image {larger[0]}" if larger else ""
    shown = [image for image, size in enumerate(sizes) if size > 0]
    right = shown[0] if asked == "first" else shown[-1]
    return "" if right == number - 1 else f"it is {asked} in image {right + 1}"
