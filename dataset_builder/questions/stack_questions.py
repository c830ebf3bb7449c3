"""Questions about stacks: from units to text, options and answer, and which image each marker is in."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import permutations

import numpy as np

from dataset_builder.core.settings import Settings, digest
from dataset_builder.imaging.geometry import AXIS_DIRECTIONS, PLANE_AXIS
from dataset_builder.pictures.letters import LETTERS
from dataset_builder.pictures.placement import Placement, placements
from dataset_builder.pictures.render import choose_window
from dataset_builder.questions.facts import Fact
from dataset_builder.questions.question import Names, Question, choose_template, make_question, members_of
from dataset_builder.questions.sampling import Unit
from dataset_builder.questions.wording import (
    fill,
    opposites,
    references,
    relation_term,
    stack_context,
    stack_marker_sentence,
    structure_name,
    wording,
)
from dataset_builder.slices.selection import SliceRecord
from dataset_builder.vocabulary import Structure


def shown_order(unit: Unit, stack: Sequence[SliceRecord], settings: Settings) -> list[SliceRecord]:
    """The slices of a stack in the order in which a unit shows them; where the order is not stated, it is drawn."""
    order = unit.stack_order
    if order == "unstated":
        wording_seed = Names.of(unit, stack[0], settings).wording_seed
        order = random.Random(digest("order", settings.seed, wording_seed)).choice(["ascending", "descending"])
    return list(stack) if order == "ascending" else list(reversed(stack))


def ask_of_stack(
    unit: Unit, stack: Sequence[SliceRecord], settings: Settings, structures: Mapping[str, Structure]
) -> list[Question]:
    """The two questions of a unit about a stack.

    Args:
        stack: the slices that the unit's fact was measured in, ascending.
        structures: the vocabulary.
    """
    assert unit.stack_order is not None
    fact, prompt, register, first = unit.fact, unit.prompt, unit.register, stack[0]
    names = Names.of(unit, first, settings)
    shown = shown_order(unit, stack, settings)
    members = members_of(fact)
    draw = random.Random(digest("options", settings.seed, names.wording_seed))
    ascending = shown[0] is first
    options = _options(unit, len(stack), ascending, structures, draw)
    draw.shuffle(options)
    window = choose_window(first, sorted({name for of_member, _ in members for name in of_member}), structures)
    step_mm = (stack[1].index - stack[0].index) * first.thickness_mm
    asked = []
    for number, (of_member, relation) in enumerate(members):
        where = [_largest(name, shown, unit, settings) for name in of_member]
        refs = references(prompt, [structures[name] for name in of_member], register)
        key = _question_key(fact, ascending)
        template_name, template = choose_template(key, register, names.fact_seed, settings.seed)
        sentences = [
            stack_context(
                first.modality, first.plane, unit.convention, register, len(stack), step_mm, unit.stack_order
            ),
            stack_marker_sentence(prompt, LETTERS[: len(of_member)]),
            fill(template, refs, options, _ends(fact, relation, first, register)),
        ]
        answer = _answer(unit, relation, len(stack), ascending, first, structures)
        has_prior = fact.kind in ("direction", "order") and not any(structures[name].is_lesion for name in of_member)
        asked.append(
            make_question(
                unit,
                first,
                names,
                number,
                sentences=sentences,
                options=options,
                answer=answer,
                prior_answer=answer if has_prior else "",
                template=template_name,
                relation=_relation(fact, relation, len(stack), ascending),
                structures=of_member,
                boxes=tuple(placement.box for _, placement in where),
                points=tuple(placement.point for _, placement in where),
                box_images=tuple(image for image, _ in where),
                window=window,
                input="stack",
                view="plain",
                stack_order=unit.stack_order,
            )
        )
    return asked


def marked_in(record: SliceRecord, names: Sequence[str]) -> tuple[list[str], list[str]]:
    """Which of the structures are in a slice, and the letters that they keep through the stack."""
    values = {name: value for value, name in record.names.items()}
    there = [bool(np.any(record.labels == values[name])) for name in names]
    return (
        [name for name, is_there in zip(names, there, strict=True) if is_there],
        [letter for letter, is_there in zip(LETTERS, there, strict=False) if is_there],
    )


def _largest(name: str, shown: Sequence[SliceRecord], unit: Unit, settings: Settings) -> tuple[int, Placement]:
    """The image in which a structure is largest, counted from 0 as shown, and where it is in it."""
    value = next(value for value, of_value in shown[0].names.items() if of_value == name)
    image = int(np.argmax([np.count_nonzero(record.labels == value) for record in shown]))
    return image, placements(shown[image], unit.convention, settings.image_size)[name]


def _question_key(fact: Fact, ascending: bool) -> str:
    if fact.kind in ("low_end", "high_end"):
        return "first" if (fact.kind == "low_end") == ascending else "last"
    return fact.axis if fact.kind == "direction" and fact.axis else fact.kind


def _image(position: int, count: int, ascending: bool) -> int:
    """Number of an image, from 1, by its position in ascending order, from 0."""
    return position + 1 if ascending else count - position


def _image_word(position: str, count: int, ascending: bool, unit: Unit) -> str:
    return wording()["image_number"][unit.register].format(number=_image(int(position), count, ascending))


def _relation(fact: Fact, relation: str, count: int, ascending: bool) -> str:
    """The clinical term: of questions that ask for an image, what is asked and its number."""
    if fact.kind in ("direction", "order"):
        return relation
    return f"{_question_key(fact, ascending)} in image {_image(int(relation), count, ascending)}"


def _ends(fact: Fact, toward: str, record: SliceRecord, register: str) -> dict[str, str]:
    """From which end of the body to which an order is asked for; empty for other questions."""
    if fact.kind != "order":
        return {}
    low, high = AXIS_DIRECTIONS[PLANE_AXIS[record.plane]]
    ends = wording()["end"]
    away = low if toward == high else high
    return {"first": ends[away][register], "last": ends[toward][register]}


def _options(
    unit: Unit, count: int, ascending: bool, structures: Mapping[str, Structure], draw: random.Random
) -> list[str]:
    """The words or phrases to choose from, in a fixed order but for what is drawn."""
    fact = unit.fact
    if fact.kind == "direction":
        return sorted(relation_term(term, unit.register) for term in (fact.relation, opposites()[fact.relation]))
    if fact.kind == "order":
        # Two of the three ways to put three structures in a row, each read from either end.
        right = fact.options
        rows = {min(row, row[::-1]) for row in permutations(right)}
        other = draw.choice(sorted(rows - {right, right[::-1]}))
        four = [row for one in (right, other) for row in (one, one[::-1])]
        clinical = replace(unit, register="clinical")  # as for names: one order, whatever the register's words
        return [_row(row, unit, structures) for row in sorted(four, key=lambda row: _row(row, clinical, structures))]
    return [_image_word(position, count, ascending, unit) for position in fact.options]


def _row(names: Sequence[str], unit: Unit, structures: Mapping[str, Structure]) -> str:
    """Structures in a row, by name or by the letters that they are marked with."""
    if unit.prompt == "none":
        return ", ".join(structure_name(structures[name], unit.register) for name in names)
    return ", ".join(LETTERS[unit.fact.structures.index(name)] for name in names)


def _answer(
    unit: Unit, relation: str, count: int, ascending: bool, record: SliceRecord, structures: Mapping[str, Structure]
) -> str:
    fact = unit.fact
    if fact.kind == "direction":
        return relation_term(relation, unit.register)
    if fact.kind == "order":
        toward_high = relation == AXIS_DIRECTIONS[PLANE_AXIS[record.plane]][1]
        return _row(fact.options if toward_high else fact.options[::-1], unit, structures)
    return _image_word(relation, count, ascending, unit)
