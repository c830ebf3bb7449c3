"""Columns that follow from others, recomputed: prior answer, licence, version, margin, distance of images.

Margins are worked out from centres, areas and borders. Where the builder's measure is finer than that (the depth of a
point, the distance of two outlines), the simple measure is a bound that it cannot pass.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from dataset_builder.check.items import Item, Items
from dataset_builder.check.lesions import centres as centres_of_row
from dataset_builder.check.maps import IN_PLANE, Map
from dataset_builder.check.phrases import bare, is_lesion, opposite
from dataset_builder.check.question_text import AXES, stated_step
from dataset_builder.check.yes_no import as_choice
from dataset_builder.core.factors import REGISTERS
from dataset_builder.vocabulary import Structure

Problem = tuple[str, object]

_AXIS_OF = {"right": "R", "left": "R", "anterior": "A", "posterior": "A"}
_SLACK_MM = 0.02
"""Margins are kept as 32-bit numbers."""


def prior_answer(item: Item, known: Mapping[str, Structure]) -> str:
    """What anatomy says of a row without its image: empty if nothing, or if no option says it.

    It says nothing of where a lesion lies.
    """
    alone = item.terminology == "directional" and len(item.structures) == 1  # its pair is about a lesion
    by_name = item.view == "swapped" and item.prompt == "none"  # where two subjects differ, anatomy has no answer
    if not item.is_choice or alone or by_name or any(is_lesion(name, known.get(name)) for name in item.structures):
        return ""
    if item.option_form == "yes_no":
        offered = as_choice(item)
        expected = "" if offered is None else prior_answer(offered, known)
        return "" if offered is None or not expected else item.options[offered.options.index(expected)]
    if item.frame == "image":
        across, up = AXES[item.plane]
        # As radiologists show it, what lies toward the high end of an axis is left, or above.
        words = {across: "left", opposite()[across]: "right", up: "above", opposite()[up]: "below"}
        word = words.get(item.relation, "")
        return word if word in item.options else ""
    is_direction = item.terminology == "directional" and len(item.structures) > 1
    is_order = item.input == "stack" and len(item.structures) == 3
    return item.answer if is_direction or is_order else ""


def row_problems(item: Item, version: str | None, words: Mapping[str, Structure]) -> Iterator[Problem]:
    """What is wrong with columns that follow from the row itself.

    Args:
        words: structures by canonical name.
        version: of the data, as the record says it; ``None`` without a record.
    """
    prior = prior_answer(item, words)
    if prior != item.prior_answer:
        yield "The prior answer is not what anatomy alone suggests.", f"{item.prior_answer!r}, not {prior!r}"
    if version is not None and item.version != version:
        yield "The version differs from that of the data set.", f"{item.version}, not {version}"


def slice_problems(item: Item, here: Map, words: Mapping[str, Structure]) -> Iterator[Problem]:
    """What is wrong with columns that follow from the slice.

    Args:
        words: structures by canonical name.
    """
    if item.licence != here.licence:
        yield "The licence differs from that of the scan.", f"{item.licence}, not {here.licence}"
    if item.modality != here.modality:
        yield "The modality differs from that of the scan.", f"{item.modality}, not {here.modality}"
    if item.is_choice and item.input != "stack" and (wrong := margin_problem(item, here, words)):
        yield "The margin differs from that of the structures.", wrong


def stack_problems(
    item: Item, thickness: float, areas: Sequence[Mapping[str, float]], through: Mapping[str, float], straight: bool
) -> Iterator[Problem]:
    """What is wrong with columns of a row about a stack.

    Args:
        thickness: distance of neighbouring slices of the volume in mm.
        areas: of the structures in each image, in the order shown.
        through: mean position of each structure along the stack's axis in mm.
        straight: whether the scan's axes are the patient's, so that margins along both are the same.
    """
    steps = np.abs(np.diff(item.slice_index)) * thickness
    if len(set(np.diff(item.slice_index).tolist())) > 1:
        yield "The images of a stack are not evenly spaced.", item.slice_index
    stated = stated_step(item)
    if stated is None or (len(steps) and abs(stated - steps[0]) > 0.51):
        yield "The question states another distance between the images.", f"{stated} mm, not {steps[0]:g}"
    if " in image " in item.relation:
        most = max((area.get(item.structures[0], 0.0) for area in areas), default=0.0)
        if not 0 <= item.margin_mm <= np.sqrt(most) + _SLACK_MM:
            yield "The margin differs from that of the structures.", f"{item.margin_mm:g} mm, at most {np.sqrt(most):g}"
    elif all(name in through for name in item.structures):
        gap = float(np.diff(sorted(through[name] for name in item.structures)).min())
        if wrong := _compare(item.margin_mm, [gap], gap, exact=straight):
            yield "The margin differs from that of the structures.", wrong


def margin_problem(item: Item, here: Map, words: Mapping[str, Structure]) -> str:
    """How the margin of a row about a slice differs from what its structures have; empty if it does not."""
    if any(name not in here.structures for name in item.structures):
        return ""  # reported elsewhere
    found = [here.structures[name] for name in item.structures]
    centres = np.array(centres_of_row(here, item.structures, words))
    sides = np.sqrt([structure.area_mm2 for structure in found])
    if item.terminology == "directional" and len(found) == 1:
        most = _from_middle(item, here, centres[0])
        return _compare(item.margin_mm, [most], most, exact=False)
    if item.terminology == "directional":
        exact = _along(item, here, centres)
        return _compare(item.margin_mm, exact, max(exact), exact=True) if exact else ""
    bound = _bound(item, here, centres, sides)
    return "" if bound is None else _compare(item.margin_mm, [bound], bound, exact=False)


def _bound(item: Item, here: Map, centres: npt.NDArray, sides: npt.NDArray) -> float | None:
    """What the margin of a row cannot pass, in mm; ``None`` if there is nothing to say."""
    relation = item.relation
    if item.terminology == "anatomical":
        # A point is no deeper in its structure than in a disc of that area.
        return float(sides[0]) if item.prompt == "none" else float(sides[0] / np.sqrt(np.pi) + max(here.spacing))
    if relation in ("larger", "smaller"):
        return float(abs(sides[0] - sides[1]))
    if relation in ("nearer", "farther"):
        return float(abs(np.hypot(*(centres[0] - centres[2])) - np.hypot(*(centres[1] - centres[2]))))
    if relation in ("between", "outside"):
        middle = centres[0] if relation == "between" else centres[1]
        ends = [centres[0] if relation == "outside" else centres[1], centres[2]]
        apart = [min(abs(middle[axis] - end[axis]) for end in ends) for axis in (0, 1)]
        return float(max(apart))
    if relation == "apart":
        return _gap_at_most(here, *item.structures[:2])
    if relation == "adjacent":
        return here.contact_mm(item.structures[0], item.structures[1])
    if relation in ("same side", "opposite sides") and here.midline_mm is not None:
        off = centres[:2, 0] - 0.5 * here.spacing[0] - here.midline_mm
        return float(np.abs(off).min())
    if relation in ("encloses", "enclosed by"):
        return float(sides[0] if relation == "encloses" else sides[1])
    return None


def _gap_at_most(here: Map, one: str, other: str) -> float:
    """What two structures' distance cannot pass, in mm: that of two of their pixels.

    One is the first structure's pixel that is nearest to the other's centre. Two centres tell nothing of the gap: that
    of a ring lies in what it surrounds.
    """
    a, b = (np.argwhere(here.of(name)) * np.array(here.spacing) for name in (one, other))
    nearest = a[np.hypot(*(a - b.mean(axis=0)).T).argmin()]
    return float(np.hypot(*(b - nearest).T).min())


def _from_middle(item: Item, here: Map, centre: npt.NDArray) -> float:
    """How far a centre lies from the middle of the slice, or from the body's midline."""
    axes = IN_PLANE[here.key[2]]
    axis = axes.index(_AXIS_OF.get(item.relation, "S"))
    if item.frame == "image":
        return float(abs(centre[axis] - here.extent[axis] / 2))
    return float(abs(centre[axis] - 0.5 * here.spacing[axis] - (here.midline_mm or 0.0)))


def _along(item: Item, here: Map, centres: npt.NDArray) -> list[float]:
    """The distance of two centres along the asked axis: of the array, and of the world where that is another."""
    axis = {"proximal": "S", "distal": "S", "medial": "R", "lateral": "R"}.get(item.relation, "")
    axis = axis or _AXIS_OF.get(item.relation, "S")
    axes = IN_PLANE[here.key[2]]
    if len(centres) < 2 or axis not in axes:
        return []
    apart = centres[0] - centres[1]
    directions = [here.directions[:, "RAS".index(each)] for each in axes]
    in_world = apart[0] * directions[0] + apart[1] * directions[1]
    return [float(abs(apart[axes.index(axis)])), float(abs(in_world["RAS".index(axis)]))]


def _compare(margin: float, known: Sequence[float], most: float, exact: bool) -> str:
    """How a margin differs from what it can be; empty if it does not."""
    slack = _SLACK_MM + 2e-4 * most
    right = any(abs(margin - each) <= slack for each in known) if exact else -slack <= margin <= most + slack
    reported = " or ".join(f"{each:.2f}" for each in dict.fromkeys(np.round(known, 2).tolist()))
    return "" if right else f"{margin:.2f} mm, {'not' if exact else 'at most'} {reported}"


# Names of facts, pairs and rows ---------------------------------------------------------------------------------------


def id_problems(
    items: Items, words: Mapping[str, Structure], build_of: Callable[[str], object]
) -> Iterator[tuple[str, str, object]]:
    """Names of rows, pairs and facts that do not go with each other: (problem, where, found).

    Args:
        words: structures by canonical name.
        build_of: from a file to the build that made it; two builds name the same fact differently.
    """
    called: dict[str, dict[str, str]] = {
        register: {getattr(row, register): name for name, row in words.items()} for register in REGISTERS
    }
    for item in items.rows:
        if item.pair_id and not item.id.startswith(item.pair_id):
            yield "The id of a row does not match its pair.", str(item), item.pair_id
        said = f" {bare(f'{item.id} {item.pair_id} {item.fact_id}')} "
        for name in (*item.options, *item.structures):
            if f" {bare(name)} " in said:
                yield "An id names an option or a structure.", str(item), name
    asked: dict[tuple[object, ...], dict[str, Item]] = {}
    for item in (item for item in items.rows if item.view != "swapped"):  # their fact is another subject's
        about = (build_of(item.file), item.pixel_mm, *_asked(item, items, called[item.register]))
        asked.setdefault(about, {}).setdefault(item.fact_id, item)
    for facts in asked.values():
        # One fact under several names: the most frequent one is right, if any.
        if len(facts) > 1:
            rarest = min(facts, key=lambda name: (len(items.facts[name]), name))
            yield "Rows about one fact have several fact_ids.", str(facts[rarest]), ", ".join(sorted(facts)[:3])


def _asked(item: Item, items: Items, called: Mapping[str, str]) -> tuple[object, ...]:
    """What a fact is about: rows for which this is the same have one fact_id."""
    pair = items.pairs.get(item.pair_id, [item]) if item.pair_id else [item]
    about = frozenset(member.structures for member in pair)
    relations = frozenset(member.relation for member in pair)
    offered: object = None
    if item.terminology == "anatomical":  # in whatever words
        offered = item.template.partition(".")[0], frozenset(called.get(option, option) for option in item.options)
    elif item.terminology == "directional" and len(item.structures) == 1:
        offered = item.frame  # the half of the body, or of the image
    elif " in image " in item.relation:  # whichever is numbered 1
        offered = _images(item)
        relations = frozenset({"largest" if item.relation.startswith("largest") else _end(item)})
    slices = tuple(sorted(item.slice_index))
    return *item.volume, item.plane, slices, item.input == "stack", about, relations, offered


def _end(item: Item) -> str:
    """Whether a question about the first or last image is about the low or the high end of the stack."""
    ascending = item.slice_index[0] < item.slice_index[-1]
    return "low" if item.relation.startswith("first") == ascending else "high"


def _images(item: Item) -> object:
    if " in image " not in item.relation:
        return None
    numbers = [option.rsplit(" ", 1)[-1] for option in item.options]
    if not all(number.isdigit() and 0 < int(number) <= len(item.slice_index) for number in numbers):
        return item.options
    return frozenset(item.slice_index[int(number) - 1] for number in numbers)
