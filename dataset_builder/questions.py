"""From facts to questions: every wording, marker and frame of a fact, with its inverse beside it.

A fact becomes *units*: one unit is a fact asked with one prompt, register, convention and frame. A unit holds a pair of
questions (A and B swapped, or the opposite case; see :class:`dataset_builder.facts.Fact`) with the same options in the
same order, so that a constant answer gets one of the two and never both. Only ``visible`` facts stand alone.
"""

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from dataset_builder.factors import Convention, Frame, Input, Plane, Prompt, Register, Terminology
from dataset_builder.facts import Fact, Placement, placements
from dataset_builder.geometry import AXIS_DIRECTIONS, IN_PLANE_AXES
from dataset_builder.render import Window, choose_window
from dataset_builder.settings import Settings, digest
from dataset_builder.slices import SliceRecord
from dataset_builder.vocabulary import Structure
from dataset_builder.wording import (
    context,
    fill,
    image_term,
    marker_sentence,
    opposites,
    references,
    relation_term,
    structure_name,
    wording,
)

CARDINAL_AXES = tuple(f"{high}_{low}" for low, high in AXIS_DIRECTIONS)
"""The patient axes that a picture can show: right_left, anterior_posterior, superior_inferior."""


@dataclass(frozen=True)
class Unit:
    """A fact asked in one way: what :func:`choose` picks from, before any text is made."""

    record: int  # index of the slice among the volume's slices
    fact: Fact
    prompt: Prompt
    register: Register
    convention: Convention
    frame: Frame

    @property
    def size(self) -> int:
        """How many rows it makes: 2 for a pair, 1 for a fact that stands alone."""
        return 2 if self.fact.inverse_structures else 1


@dataclass(frozen=True)
class Question:
    """One row of the data set but for its picture; fields are the columns of DESIGN.md section 4.

    ``boxes`` are ``(x0, y0, x1, y1)`` half-open and ``points`` ``(x, y)``, in pixels of the picture, in the order of
    ``structures``. ``window`` is how grey values were mapped.
    """

    id: str
    pair_id: str
    fact_id: str
    question: str
    options: tuple[str, ...]
    answer: str
    terminology: Terminology
    prompt: Prompt
    register: Register
    convention: Convention
    frame: Frame
    input: Input
    relation: str
    structures: tuple[str, ...]
    boxes: tuple[tuple[int, int, int, int], ...]
    points: tuple[tuple[int, int], ...]
    margin_mm: float
    window: Window

    @property
    def answer_index(self) -> int:
        """Position of the right option."""
        return self.options.index(self.answer)


def frames_of(fact: Fact) -> tuple[Frame, ...]:
    """Frames in which a fact can be asked: the picture has a word only for the patient's own three axes."""
    return ("patient", "image") if fact.axis in CARDINAL_AXES else ("patient",)


def fits(fact: Fact, prompt: Prompt) -> bool:
    """Whether a fact can be asked with a prompt: what is marked is named, what is not marked is looked for."""
    if fact.kind == "visible":
        return prompt == "none"
    return fact.kind != "naming" or prompt != "none"


def units(facts: Sequence[Sequence[Fact]], settings: Settings) -> Iterator[Unit]:
    """Every unit of a volume, in a fixed order; ``facts[i]`` are those of the i-th slice."""
    for record, of_slice in enumerate(facts):
        for fact in of_slice:
            if fact.terminology not in settings.terminologies:
                continue
            for prompt in settings.prompts:
                if not fits(fact, prompt):
                    continue
                for register in settings.registers:
                    for convention in settings.conventions:
                        for frame in frames_of(fact):
                            yield Unit(record, fact, prompt, register, convention, frame)


def choose(planes: Sequence[Plane], facts: Sequence[Sequence[Fact]], settings: Settings, identity: str) -> list[Unit]:
    """The units to ask of a volume: all, or a sample stratified over the cells.

    Cells (plane, terminology, prompt) are visited round after round in an order drawn for this volume, one unit each,
    until ``questions_per_volume`` rows are reached. All prompts of a plane and terminology follow the same series
    of facts and variants, so that the sample keeps items that differ in one factor only: a round changes either
    nothing but the register, nothing but the convention, nothing but the frame, or moves on to the next fact.

    Args:
        planes: plane of each slice.
        facts: facts of each slice.
        identity: what names the volume ("source/subject"); with the seed it decides every draw.
    """
    if settings.questions_per_volume is None:
        return list(units(facts, settings))
    series = {
        (plane, terminology): _series(plane, terminology, planes, facts, settings, identity)
        for plane in settings.planes
        for terminology in settings.terminologies
    }
    cells = [(*key, prompt) for key in series for prompt in settings.prompts]
    random.Random(digest("cells", settings.seed, identity)).shuffle(cells)
    streams = {
        (plane, terminology, prompt): _stream(series[plane, terminology], prompt)
        for plane, terminology, prompt in cells
    }
    chosen: list[Unit] = []
    room = settings.questions_per_volume
    while cells and room:
        for cell in list(cells):
            unit = next(streams[cell], None)
            if unit is None:
                cells.remove(cell)
            elif unit.size <= room:
                chosen.append(unit)
                room -= unit.size
    return chosen


def _stream(series: Sequence[tuple[int, Fact, tuple[Register, Convention, Frame]]], prompt: Prompt) -> Iterator[Unit]:
    """The units of one cell, in the order of its series."""
    return (Unit(record, fact, prompt, *variant) for record, fact, variant in series if fits(fact, prompt))


def _series(
    plane: Plane,
    terminology: Terminology,
    planes: Sequence[Plane],
    facts: Sequence[Sequence[Fact]],
    settings: Settings,
    identity: str,
) -> list[tuple[int, Fact, tuple[Register, Convention, Frame]]]:
    """The facts of one plane and terminology, kinds taking turns, each in variants that differ in one factor."""
    draw = random.Random(digest("series", settings.seed, identity, plane, terminology))
    by_kind: dict[tuple[str, str | None], list[tuple[int, Fact]]] = {}
    for record, of_slice in enumerate(facts):
        for fact in of_slice:
            if planes[record] == plane and fact.terminology == terminology:
                by_kind.setdefault((fact.kind, fact.axis), []).append((record, fact))
    kinds = sorted(by_kind, key=str)
    draw.shuffle(kinds)
    for kind in kinds:
        draw.shuffle(by_kind[kind])
    turns = max((len(found) for found in by_kind.values()), default=0)
    ordered = [by_kind[kind][turn] for turn in range(turns) for kind in kinds if turn < len(by_kind[kind])]
    series = []
    for record, fact in ordered:
        frames = frames_of(fact)
        register, convention = draw.choice(settings.registers), draw.choice(settings.conventions)
        frame = draw.choice(frames)
        variants = [(register, convention, frame)]
        variants += [(other, convention, frame) for other in settings.registers if other != register]
        variants += [(register, other, frame) for other in settings.conventions if other != convention]
        variants += [(register, convention, other) for other in frames if other != frame]
        series += [(record, fact, variant) for variant in variants]
    return series


def ask(unit: Unit, record: SliceRecord, settings: Settings, structures: Mapping[str, Structure]) -> list[Question]:
    """The one or two questions of a unit.

    Args:
        record: the slice that the unit's fact was measured in.
        structures: the vocabulary.
    """
    fact = unit.fact
    asked_about = ("/".join(names) for names in (fact.structures, fact.inverse_structures, fact.options))
    fact_id = digest(record.source, record.subject, record.plane, record.index, fact.kind, fact.axis, *asked_about)
    pair_id = digest(fact_id, unit.prompt, unit.register, unit.convention, unit.frame)
    draw = random.Random(digest("options", settings.seed, pair_id))
    where = placements(record, unit.convention, settings.image_size)
    members = [(fact.structures, fact.relation)]
    if fact.inverse_structures:
        members.append((fact.inverse_structures, fact.inverse_relation))
    options = _options(unit, record.plane, structures)
    draw.shuffle(options)
    # All members share one window, or it would tell which of a pair's structures is asked about.
    named = {name for names, _ in members for name in names} | set(fact.options)
    window = choose_window(record, sorted(named), structures)
    return [
        _question(
            unit, record, settings, structures, where, names, relation, tuple(options), window, pair_id, fact_id, i
        )
        for i, (names, relation) in enumerate(members)
    ]


def _options(unit: Unit, plane: Plane, structures: Mapping[str, Structure]) -> list[str]:
    """The words to choose from, in a fixed order."""
    fact = unit.fact
    if fact.terminology == "anatomical":
        return sorted(structure_name(structures[name], unit.register) for name in fact.options)
    return sorted(_term(unit, plane, relation) for relation in (fact.relation, opposites()[fact.relation]))


def _term(unit: Unit, plane: Plane, relation: str) -> str:
    if unit.frame == "image":
        return image_term(relation, plane, unit.convention)
    return relation_term(relation, unit.register)


def _template(unit: Unit, plane: Plane) -> str:
    fact = unit.fact
    key: str = fact.axis if fact.kind == "direction" and fact.axis else fact.kind
    if unit.frame == "image":
        first_in_plane = AXIS_DIRECTIONS[IN_PLANE_AXES[plane][0]]
        key = "image_horizontal" if fact.relation in first_in_plane else "image_vertical"
    return wording()["questions"][key][unit.register]


def _question(
    unit: Unit,
    record: SliceRecord,
    settings: Settings,
    structures: Mapping[str, Structure],
    where: Mapping[str, Placement],
    names: tuple[str, ...],
    relation: str,
    options: tuple[str, ...],
    window: Window,
    pair_id: str,
    fact_id: str,
    member: int,
) -> Question:
    fact, prompt, register = unit.fact, unit.prompt, unit.register
    boxes = tuple(where[name].box for name in names)
    points = tuple(where[name].point for name in names)
    refs = references(prompt, [structures[name] for name in names], register)
    if fact.terminology == "anatomical":
        answer = structure_name(structures[names[0]], register)
    else:
        answer = _term(unit, record.plane, relation)
    sentences = [
        context(record.modality, record.plane, unit.convention, register),
        marker_sentence(prompt, "ABC"[: len(names)], boxes, points, settings.image_size),
        fill(_template(unit, record.plane), refs, options),
    ]
    listed = wording()["options"].format(options="; ".join(options))
    return Question(
        id=f"{pair_id}-{member}",
        pair_id=pair_id if fact.inverse_structures else "",
        fact_id=fact_id,
        question=" ".join(filter(None, sentences)) + "\n" + listed,
        options=options,
        answer=answer,
        terminology=fact.terminology,
        prompt=prompt,
        register=register,
        convention=unit.convention,
        frame=unit.frame,
        input="slice",
        relation=relation,
        structures=names,
        boxes=boxes,
        points=points,
        margin_mm=fact.margin_mm,
        window=window,
    )
