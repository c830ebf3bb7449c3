"""Questions for a point or a box: what they say, and whether it fits one structure of the slice and no other.

The label map decides, by the audit's own way of showing it (:mod:`dataset_builder.check.maps`): which structures there
are, on which side of each other they lie, how large they are, and which pixels are theirs.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import cv2
import numpy as np
import numpy.typing as npt

from dataset_builder.check.items import Item
from dataset_builder.check.limits import Limits
from dataset_builder.check.maps import IN_PLANE, Map, Shown
from dataset_builder.check.phrases import bare, direction, pattern, phrases
from dataset_builder.imaging.masks import decode_mask
from dataset_builder.vocabulary import Structure

if TYPE_CHECKING:
    from dataset_builder.check.question_text import Said

Problem = tuple[str, object]

SLACK = 1e-4
"""Of limits, for what is lost in rounding."""

_SIDES = ("left", "right")


def kind_of(item: Item) -> str:
    """How a row tells what it asks for: by its ``name``, ``side``, ``size``, ``half`` of the body or ``neighbour``."""
    if item.structures and item.relation == item.structures[0]:
        return "name"
    kinds = {"left": "side", "right": "side", "larger": "size", "smaller": "size", "same side": "half"}
    return (kinds | {"opposite sides": "half", "superior": "neighbour", "inferior": "neighbour"}).get(item.relation, "")


# Text -----------------------------------------------------------------------------------------------------------------


def place_problems(item: Item, said: "Said", words: Mapping[str, Structure]) -> Iterator[Problem]:
    """What a question for a place says otherwise than the columns of its row: (problem, found)."""
    wanted = [kind for kind in phrases()["want"] if pattern("want", kind).search(said.asked)]
    if wanted != [item.answer_type]:
        yield "The question wants something else than the row.", ", ".join(wanted) or "nothing"
    in_stack = bool(pattern("place", "image").search(said.asked) and pattern("place", "largest").search(said.asked))
    if in_stack != (item.input == "stack"):
        yield "Only of a stack it is asked which image shows most of a structure.", said.asked
    if wrong := _wrong_description(item, said, words):
        yield "The question describes something else than the row.", wrong


def _wrong_description(item: Item, said: "Said", words: Mapping[str, Structure]) -> str:
    """How what a question asks for differs from the row; empty if it does not."""
    target = words.get(item.structures[0])
    if target is None:
        return ""
    asked, kind = f" {bare(said.asked)} ", kind_of(item)
    name = bare(getattr(target, item.register))
    if kind == "name":
        return "" if f" {name} " in asked else f"it does not name the {name}"
    if kind == "neighbour":
        series = item.structures[0].rsplit("_", 1)[0]
        if series not in phrases()["series"] or not pattern("series", series).search(said.asked):
            return f"it does not ask for one of {series}"
        way = direction(said.asked.split("Give")[0])
        if not pattern("place", "neighbour").search(said.asked) or way != item.relation:
            return f"it asks for what lies {way}"
        return "" if re.search(r"\b(?:marked|structure) A\b|\N{WHITE SQUARE}0", said.asked) else "it has no reference"
    free = bare(re.sub(rf"\b{target.side} ", "", getattr(target, item.register))) if target.side else name
    if f" {free} " not in asked or (target.side and f" {target.side} {free} " in asked):
        return f"it does not ask for the {free}"
    if kind == "side":
        return _side_said(item, said)
    found = [
        each
        for each in ("larger", "smaller", "same side", "opposite sides")
        if pattern("place", each).search(said.asked)
    ]
    if found != [item.relation]:
        return f"it asks for {', '.join(found) or 'nothing'}"
    if kind == "half":
        other = item.structures[1]
        named = bare(getattr(words[other], item.register)) if other in words else other
        there = f" {named} " in asked if item.prompt == "none" else 0 in said.order
        return "" if there else "it has no reference"
    return ""


def _side_said(item: Item, said: "Said") -> str:
    """How the side that a question states differs from that of its row."""
    of_patient, of_image = (pattern("place", key).search(said.asked) for key in ("patient_side", "image_side"))
    if (of_image is not None) != (item.frame == "image") or (of_patient is not None) == (item.frame == "image"):
        return "it is asked in another frame"
    if of_patient and of_patient[1] != item.relation:
        return f"it asks for the {of_patient[1]}"
    return ""


# Truth ----------------------------------------------------------------------------------------------------------------


def mask_problems(item: Item, number: int, shown: Shown) -> Iterator[Problem]:
    """What is wrong with the masks of a row that lie in one of its images, and with boxes and points by them."""
    for name, encoded, box, point, image in zip(
        item.structures, item.masks, item.boxes, item.points, item.box_images, strict=False
    ):
        if image != number or name not in shown.map.structures:
            continue
        try:
            mask = decode_mask(encoded)
        except Exception as error:  # whatever the library makes of a damaged text
            yield "A mask cannot be decoded.", f"{name}: {error}"
            continue
        if mask.shape != (shown.size, shown.size):
            yield "A mask has another size than its image.", f"{name}: {mask.shape}"
            continue
        surely, maybe = shown.pixels(name)
        if not maybe.any() and mask.sum() == 1:
            maybe = mask & shown.touches(name, point)  # it falls between the pixels
        if (surely & ~mask).any() or (mask & ~maybe).any():
            off = int((surely & ~mask).sum() + (mask & ~maybe).sum())
            yield "A mask is not that of its structure.", f"{name}: {off} pixels"
            continue
        if not mask.any():
            yield "A mask is empty.", name
            continue
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        tight = (int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1)
        if tuple(box) != tight:
            yield "A box is not the box of its mask.", f"{name}: {box}, not {tight}"
        if not mask[point[1], point[0]]:
            yield "A point does not lie on its mask.", f"{name}: {point}"


def place_wrong(item: Item, here: Map, shown: Shown, words: Mapping[str, Structure]) -> str:
    """Why the description of a row does not fit its structure and no other; empty if it does."""
    absent = [name for name in item.structures if name not in here.structures]
    if absent:
        return f"the slice does not show {', '.join(absent)}"
    target, kind = item.structures[0], kind_of(item)
    if kind == "name":
        return _named_twice(target, here)
    if len(item.structures) != 2 or not kind:
        return f"the column relation says {item.relation}"
    if kind == "neighbour":
        return _not_next(item, here)
    return _not_the_one(item, here, shown, words)


def unclear(item: Item, here: Map, limits: Limits) -> str:
    """Why the structure that a row asks for has no one clear box in a slice; empty if it has, or is not there.

    Along each side the room is that between the outer edges of the structure's voxels and of the scan's.
    """
    name = item.structures[0]
    if name not in here.structures:
        return ""
    x0, y0, x1, y1 = here.structures[name].voxels
    rows, columns = here.labels.shape
    room = min(min(x0, columns - x1) * here.spacing[0], min(y0, rows - y1) * here.spacing[1])
    if room < max(limits.min_border_mm, min(here.spacing)) - SLACK:
        return f"{name} comes within {room:g} mm of the edge of the scan"
    area = here.structures[name].area_mm2
    if area < limits.min_area_mm2 * (1 - SLACK):
        return f"{name} covers {area:g} mm2"
    _, _, stats, _ = cv2.connectedComponentsWithStats(here.of(name).astype(np.uint8), connectivity=8)
    sizes = stats[1:, cv2.CC_STAT_AREA]
    if sizes.max() < limits.min_main_piece * sizes.sum() * (1 - SLACK):
        return f"{name} is {len(sizes)} pieces, the largest {sizes.max() / sizes.sum():.0%} of it"
    strays = [_beyond(piece, (x0, y0, x1, y1), here.spacing) for piece in stats[1:][sizes == sizes.max()]]
    if min(strays) > limits.max_stray_mm + SLACK:
        return f"a piece of {name} reaches {min(strays):g} mm beyond the largest one"
    x0, y0, x1, y1 = item.boxes[0]
    shorter = min(x1 - x0, y1 - y0)
    return "" if shorter >= limits.min_box_pixels else f"the box of {name} is {shorter} pixels at its shorter side"


def _beyond(piece: npt.NDArray[np.int32], whole: Sequence[int], spacing: tuple[float, float]) -> float:
    """By how much the box of a whole structure reaches beyond that of a piece (OpenCV's statistics), in mm."""
    left, above, wide, high = (int(value) for value in piece[:4])
    x0, y0, x1, y1 = whole
    return max(
        max(left - x0, x1 - left - wide) * spacing[0],
        max(above - y0, y1 - above - high) * spacing[1],
    )


def _series_of(name: str) -> tuple[str, str, int] | None:
    """A series of like structures, the part of it that is numbered by itself, and the number there."""
    found = re.fullmatch(r"(vertebrae|rib_left|rib_right)_([CTLS]?)(\d+)", name)
    return (found[1], found[2], int(found[3])) if found else None


def _named_twice(name: str, here: Map) -> str:
    series = _series_of(name)
    alike = [other for other in here.structures if (of := _series_of(other)) and series and of[0] == series[0]]
    return f"the slice shows {', '.join(sorted(alike))}" if len(alike) > 1 else ""


def _not_next(item: Item, here: Map) -> str:
    """Of a row that asks for the next one of a series: whether it is that."""
    one, other = (_series_of(name) for name in item.structures)
    if one is None or other is None or one[:2] != other[:2]:
        return "the structures are not of one series"
    below = one[2] - other[2]  # numbers grow toward the feet
    if below != (1 if item.relation == "inferior" else -1):
        return f"{item.structures[0]} is not next to {item.structures[1]} on that side"
    axes = IN_PLANE[here.key[2]]
    if "S" not in axes:
        return "the slice does not show up and down"
    at = [here.structures[name].centre[axes.index("S")] for name in item.structures]
    return "" if (at[0] > at[1]) == (item.relation == "superior") else f"{item.structures[0]} is not {item.relation}"


def _not_the_one(item: Item, here: Map, shown: Shown, words: Mapping[str, Structure]) -> str:
    """Of a row that asks for one of a pair of organs: whether it is the one that the question describes."""
    target, second = item.structures
    pair = words[target].pair if target in words else None
    if pair is None or pair not in here.structures:
        return f"the slice shows no other one beside {target}"
    centres = {name: here.structures[name].centre for name in {target, second, pair}}
    if item.relation in ("larger", "smaller"):
        areas = [here.structures[name].area_mm2 for name in (target, pair)]
        return "" if (areas[0] > areas[1]) == (item.relation == "larger") else f"{target} is not {item.relation}"
    axes = IN_PLANE[here.key[2]]
    if "R" not in axes:
        return "the slice does not show left and right"
    column = axes.index("R")
    if item.relation in _SIDES:
        is_right = centres[target][column] > centres[pair][column]
        if is_right != (item.relation == "right") or words[target].side != item.relation:
            return f"{target} is not the one on the {item.relation}"
        return _not_there_in_image(item, centres[target], centres[pair], shown)
    if here.midline_mm is None:
        return "the midline is not known"
    off = {name: at[column] - 0.5 * here.spacing[0] - here.midline_mm for name, at in centres.items()}
    if off[target] * off[pair] > 0:
        return f"both {target} and {pair} lie on that side"
    return "" if (off[target] * off[second] > 0) == (item.relation == "same side") else f"{target} is not there"


def _not_there_in_image(item: Item, target: Sequence[float], other: Sequence[float], shown: Shown) -> str:
    """Of a row in the frame of the image: whether the structure lies farther the way that the question says."""
    if item.frame != "image":
        return ""
    said = pattern("place", "image_side").search(item.question)
    if said is None:
        return ""  # reported as text
    one, two = (shown.to_image((at[0], at[1], at[0], at[1])) for at in (target, other))
    axis, sign = {"left": (0, -1), "right": (0, 1), "up": (1, -1), "down": (1, 1)}[said[1].lower()]
    return (
        ""
        if sign * (one[axis] - two[axis]) > 0
        else f"{item.structures[0]} does not lie farther {said[1]} in the image"
    )


def place_in_stack_wrong(item: Item, areas: Sequence[Mapping[str, float]]) -> str:
    """Why the image that a row asks for is not the one that shows most of its structure; empty if it is."""
    sizes = [area.get(item.structures[0], 0.0) for area in areas]
    asked = item.answer_image
    if asked is None or not sizes[asked]:
        return "the image does not show the structure"
    larger = [image + 1 for image, size in enumerate(sizes) if image != asked and size >= sizes[asked]]
    if larger:
        return f"it is not smaller in image {larger[0]}"
    return "" if item.box_images[:1] == (asked,) else "the box lies in another image"


def margin_bound(item: Item, here: Map) -> float:
    """What the margin of a row about a place cannot pass, in mm."""
    found = [here.structures[name] for name in item.structures]
    sides = [float(np.sqrt(structure.area_mm2)) for structure in found]
    kind = kind_of(item)
    if kind == "size":
        return abs(sides[0] - sides[1])
    if kind in ("side", "neighbour"):
        axis = IN_PLANE[here.key[2]].index("R" if kind == "side" else "S")
        return abs(found[0].centre[axis] - found[1].centre[axis])
    if kind == "half":
        middle = here.midline_mm or 0.0
        return min(abs(structure.centre[0] - 0.5 * here.spacing[0] - middle) for structure in found)
    return float(sides[0] / np.sqrt(np.pi) + max(here.spacing))
