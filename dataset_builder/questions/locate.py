"""Questions for a point or a box: which are asked of a volume, and in what words.

A structure is asked for by its name, or by a description that fits nothing else in the image ("the vertebra directly
superior to the one marked A"). Of a stack the image that shows most of it is asked for, too. The question says what is
wanted and never how coordinates are to be written: that is a setting of the run.
"""

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Literal

import numpy as np

from dataset_builder.core.factors import (
    DRAWN_PROMPTS,
    PROMPTS,
    STACK_ORDERS,
    TURNED_VIEWS,
    AnswerType,
    Frame,
    Plane,
    Prompt,
)
from dataset_builder.core.settings import Settings, digest
from dataset_builder.imaging.geometry import DisplayTransform
from dataset_builder.imaging.masks import encode_mask
from dataset_builder.pictures.letters import LETTERS
from dataset_builder.pictures.placement import placements
from dataset_builder.pictures.render import choose_window
from dataset_builder.questions.facts import Fact
from dataset_builder.questions.facts.anatomical import series
from dataset_builder.questions.facts.places import side_free
from dataset_builder.questions.question import Names, Question, make_question
from dataset_builder.questions.sampling import Unit, units_by_kind
from dataset_builder.questions.stack_questions import shown_order
from dataset_builder.questions.wording import (
    context,
    image_term,
    marker_sentence,
    references,
    relation_term,
    stack_context,
    structure_name,
    view_sentence,
    wording,
)
from dataset_builder.slices.selection import SliceRecord
from dataset_builder.vocabulary import Structure

PLACES: tuple[AnswerType, ...] = ("box", "point")
"""Answer types of these questions."""
STACK_KIND = "place in stack"


def prompts_of(fact: Fact) -> tuple[Prompt, ...]:
    """Prompts with which a fact can be asked: what is asked for is never marked, what it is told from may be."""
    if fact.kind == "place by neighbour":
        return PROMPTS[1:]  # by name one could not tell it
    return PROMPTS if fact.kind == "place beside" else ("none",)


def frames_of(fact: Fact) -> tuple[Frame, ...]:
    """Frames in which a fact can be asked."""
    return ("patient", "image") if fact.kind == "place by side" else ("patient",)


def choose_places(
    planes: Sequence[Plane],
    facts: Sequence[Sequence[Fact]],
    stack_facts: Sequence[Sequence[Fact]],
    settings: Settings,
    identity: str,
) -> list[Unit]:
    """The units for a point or box to ask of a volume: all, or a sample that takes turns.

    Planes and kinds of description take turns, and stacks; within each, facts, with two variants of each that differ in
    one factor only (see :mod:`dataset_builder.questions.sampling`).

    Args:
        planes: plane of each slice, then of each stack.
        facts, stack_facts: of each slice, and of each stack.
        identity: what names the volume ("source/subject").
    """
    found: dict[tuple[Plane, str], list[tuple[int, Fact]]] = {}
    for number, (plane, of_one) in enumerate(zip(planes, [*facts, *stack_facts], strict=True)):
        position = number if number < len(facts) else number - len(facts)
        for fact in of_one:
            asked = [prompt for prompt in prompts_of(fact) if prompt in settings.prompts]
            if fact.terminology in settings.terminologies and asked:
                found.setdefault((plane, fact.kind), []).append((position, fact))
    types = [kind for kind in PLACES if kind in settings.answer_types]

    def axes(fact: Fact) -> tuple[Sequence, ...]:
        prompts = [prompt for prompt in prompts_of(fact) if prompt in settings.prompts]
        orders = STACK_ORDERS if fact.kind == STACK_KIND else (None,)
        return prompts, settings.registers, settings.conventions, frames_of(fact), orders, types

    rows = settings.locate_questions_per_volume
    return units_by_kind(found, axes, _unit, settings, rows, ("places", "place cells"), identity)


def _unit(position: int, fact: Fact, variant: tuple) -> Unit:
    prompt, register, convention, frame, order, answer_type = variant
    of: Literal["stack", "slice"] = "stack" if fact.kind == STACK_KIND else "slice"
    return Unit(position, fact, prompt, register, convention, frame, of, "plain", order, answer_type)


def turned_views(unit: Unit, settings: Settings, identity: str) -> Iterator[Unit]:
    """Of every second chosen unit of a slice the control that shows the image mirrored or turned in one drawn way."""
    turned = [view for view in settings.views if view in TURNED_VIEWS]
    if turned and unit.input == "slice":
        draw = random.Random(digest("place view", settings.seed, identity, unit, unit.answer_type))
        if draw.random() < 0.5 or "plain" not in settings.views:
            yield replace(unit, view=draw.choice(turned))


def ask_for_place(unit: Unit, record: SliceRecord, settings: Settings, structures: Mapping[str, Structure]) -> Question:
    """The question of a unit about a slice.

    Args:
        record: the slice that the unit's fact was found in.
        structures: the vocabulary.
    """
    fact, register, size = unit.fact, unit.register, settings.image_size
    where = placements(record, unit.convention, size, unit.view)
    boxes = tuple(where[name].box for name in fact.structures)
    points = tuple(where[name].point for name in fact.structures)
    marked = fact.structures[1:] if unit.prompt != "none" else ()
    sentences = [
        context(record.modality, record.plane, unit.convention, register),
        view_sentence(unit.view, register),
        marker_sentence(unit.prompt, LETTERS[: len(marked)], boxes[1:], points[1:], size),
        *_asked(unit, _described(unit, record.plane, structures), structures[fact.structures[0]]),
    ]
    labels = DisplayTransform(record.shape, record.spacing, unit.convention, size, unit.view).show_labels(record.labels)
    place = boxes[0] if unit.answer_type == "box" else points[0]
    return make_question(
        unit,
        record,
        Names.of(unit, record, settings),
        0,
        sentences=sentences,
        options=(),
        answer=str(list(place)),
        prior_answer="",
        template=f"{fact.kind}.0",
        relation=fact.relation,
        structures=fact.structures,
        boxes=boxes,
        points=points,
        box_images=(0,) * len(boxes),
        window=choose_window(record, sorted(fact.structures), structures),
        input="slice",
        view=unit.view,
        masks=tuple(_mask(labels, record, name, where[name].point) for name in fact.structures),
    )


def ask_for_place_in_stack(
    unit: Unit, stack: Sequence[SliceRecord], settings: Settings, structures: Mapping[str, Structure]
) -> Question:
    """The question of a unit about a stack.

    Args:
        stack: the slices that the unit's fact was found in, ascending.
    """
    assert unit.stack_order is not None
    fact, register, first, size = unit.fact, unit.register, stack[0], settings.image_size
    shown = shown_order(unit, stack, settings)
    largest = stack[int(fact.relation)]
    image = next(number for number, record in enumerate(shown) if record is largest)
    name = fact.structures[0]
    where = placements(largest, unit.convention, size)[name]
    step_mm = (stack[1].index - stack[0].index) * first.thickness_mm
    in_order = stack_context(
        first.modality, first.plane, unit.convention, register, len(stack), step_mm, unit.stack_order
    )
    called = f"the {structure_name(structures[name], register)}"
    transform = DisplayTransform(largest.shape, largest.spacing, unit.convention, size)
    place = where.box if unit.answer_type == "box" else where.point
    return make_question(
        unit,
        first,
        Names.of(unit, first, settings),
        0,
        sentences=[in_order, *_asked(unit, called, structures[name])],
        options=(),
        answer=wording()["places"]["answer in stack"].format(number=image + 1, place=list(place)),
        prior_answer="",
        template=f"{fact.kind}.0",
        relation=name,
        structures=(name,),
        boxes=(where.box,),
        points=(where.point,),
        box_images=(image,),
        window=choose_window(first, [name], structures),
        input="stack",
        view="plain",
        stack_order=unit.stack_order,
        masks=(_mask(transform.show_labels(largest.labels), largest, name, where.point),),
        answer_image=image,
    )


def _mask(shown: np.ndarray, record: SliceRecord, name: str, point: tuple[int, int]) -> dict:
    """A structure's pixels."""
    value = next(value for value, of_value in record.names.items() if of_value == name)
    mask = shown == value
    if not mask.any():  # it falls between the pixels of a small image
        mask[point[1], point[0]] = True
    return encode_mask(mask)


def _asked(unit: Unit, called: str, structure: Structure) -> list[str]:
    """The sentences that ask, and that say what is wanted."""
    words, plural = wording()["places"], structure.plural
    of_stack = " in stack" if unit.input == "stack" else ""
    where = f"{'are' if plural else 'is'} {called}"
    it, its = ("them", "their") if plural else ("it", "its")
    return [
        words[f"ask{of_stack}"][unit.register].format(where=where),
        words[f"want{of_stack}"][unit.answer_type][unit.register].format(it=it, its=its),
    ]


def _described(unit: Unit, plane: Plane, structures: Mapping[str, Structure]) -> str:
    """How a question calls what it asks for."""
    fact, register = unit.fact, unit.register
    target = structures[fact.structures[0]]
    if fact.kind == "place":
        return f"the {structure_name(target, register)}"
    forms = wording()["described"][fact.kind]
    free = side_free(target, register)
    if fact.kind == "place by side":
        if unit.frame == "image":
            edge = image_term(fact.relation, plane, unit.convention, unit.view)
            return wording()["described"]["place by side in image"][edge].format(free=free)
        return forms[register].format(free=free, side=fact.relation)
    if fact.kind == "place by size":
        return forms[register].format(free=free, size=relation_term(fact.relation, register))
    forms = forms[fact.relation][register]
    if fact.kind == "place by neighbour":
        one = "the one marked A" if unit.prompt in DRAWN_PROMPTS else "structure A"
        return forms.format(free=wording()["series"][series(fact.structures[0])][register], one=one)
    ((reference, _),) = references(unit.prompt, [structures[fact.structures[1]]], register)
    return forms.format(free=free, b=reference)
