"""Which questions to ask: a fact becomes *units*, and a sample of them is chosen for each volume.

One unit is a fact asked with one prompt, register, convention and frame (of a stack: order). It holds a pair of
questions (A and B swapped, or the opposite case; see :class:`dataset_builder.questions.facts.Fact`) with the same
options in the same order, so that a constant answer gets one of the two and never both. Only ``visible`` facts stand
alone.

From chosen units controls are derived that differ in one thing (:mod:`dataset_builder.questions.controls`).
"""

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

from dataset_builder.core.factors import (
    DRAWN_PROMPTS,
    STACK_ORDERS,
    AnswerType,
    Convention,
    Frame,
    Input,
    OptionForm,
    Plane,
    Prompt,
    Register,
    Scale,
    StackOrder,
    Statement,
    View,
)
from dataset_builder.core.settings import Settings, digest
from dataset_builder.imaging.geometry import AXIS_DIRECTIONS
from dataset_builder.questions.facts import Fact

CARDINAL_AXES = tuple(f"{high}_{low}" for low, high in AXIS_DIRECTIONS)
"""The patient axes that an image can show: right_left, anterior_posterior, superior_inferior."""

STACK_PROMPTS: tuple[Prompt, ...] = ("none", *DRAWN_PROMPTS)
"""Prompts of stacks; coordinates in the text would need a list of images for every structure."""


@dataclass(frozen=True)
class Unit:
    """A fact asked in one way: what is picked from, before any text is made."""

    # Of the slice among the volume's slices, or of the stack among its stacks.
    position: int
    fact: Fact
    prompt: Prompt
    register: Register
    convention: Convention
    frame: Frame
    input: Input = "slice"
    view: View = "plain"
    stack_order: StackOrder | None = None
    answer_type: AnswerType = "choice"
    scale: Scale | None = None
    statement: Statement = "edges"
    option_form: OptionForm = "listed"

    def __str__(self) -> str:
        """What views are drawn by: the text of data version 2.0, so that a field renamed or added changes no data."""
        return (
            f"Unit(record={self.position!r}, fact={self.fact!r}, prompt={self.prompt!r}, register={self.register!r}, "
            f"convention={self.convention!r}, frame={self.frame!r}, input={self.input!r}, view={self.view!r}, "
            f"stack_order={self.stack_order!r})"
        )

    @property
    def size(self) -> int:
        """How many rows it makes: 2 for a pair, 1 for a fact that stands alone."""
        return 2 if self.fact.inverse_structures else 1


def frames_of(fact: Fact) -> tuple[Frame, ...]:
    """Frames in which a fact can be asked: the image has a word only for the patient's own three axes."""
    if fact.kind == "image_half":
        return ("image",)
    return ("patient", "image") if fact.axis in CARDINAL_AXES else ("patient",)


def fits(fact: Fact, prompt: Prompt) -> bool:
    """Whether a fact can be asked with a prompt: what is marked is named, what is not marked is looked for."""
    if not (fact.nameable if prompt == "none" else fact.markable):
        return False
    if fact.kind == "visible":
        return prompt == "none"
    return fact.kind not in ("naming", "belonging") or prompt != "none"


def units(facts: Sequence[Sequence[Fact]], settings: Settings) -> Iterator[Unit]:
    """Every unit of a volume's slices, in a fixed order; ``facts[i]`` are those of the i-th slice."""
    for position, of_slice in enumerate(facts):
        for fact in of_slice:
            if fact.terminology not in settings.terminologies:
                continue
            for prompt in settings.prompts:
                if fits(fact, prompt):
                    for variant in product(settings.registers, settings.conventions, frames_of(fact)):
                        yield Unit(position, fact, prompt, *variant)


def choose(planes: Sequence[Plane], facts: Sequence[Sequence[Fact]], settings: Settings, identity: str) -> list[Unit]:
    """The units to ask of a volume's slices: all, or a sample stratified over the cells.

    Cells (plane, terminology, prompt) are visited round after round in an order drawn for this volume, one unit each,
    until ``questions_per_volume`` rows are reached. All prompts of a plane and terminology follow the same series
    of facts and variants, so that the sample keeps items that differ in one factor only: every second round changes
    nothing but the register, nothing but the convention or nothing but the frame, the others move on to the next fact.

    Args:
        planes: plane of each slice.
        facts: facts of each slice.
        identity: what names the volume ("source/subject", or its hash); with the seed it decides every draw.
    """
    if settings.questions_per_volume is None:
        return list(units(facts, settings))
    cells = []
    for plane, terminology in product(settings.planes, settings.terminologies):
        found = [
            (position, fact)
            for position, of_slice in enumerate(facts)
            for fact in of_slice
            if planes[position] == plane and fact.terminology == terminology
        ]
        draw = random.Random(digest("series", settings.seed, identity, plane, terminology))
        series = series_of(found, lambda fact: (settings.registers, settings.conventions, frames_of(fact)), draw)
        cells += [(series, prompt) for prompt in settings.prompts]
    random.Random(digest("cells", settings.seed, identity)).shuffle(cells)
    return take_turns([_stream(series, prompt) for series, prompt in cells], settings.questions_per_volume)


def _stream(series: Sequence[tuple[int, Fact, tuple]], prompt: Prompt) -> Iterator[Unit]:
    return (Unit(position, fact, prompt, *variant) for position, fact, variant in series if fits(fact, prompt))


def stack_orders_of(fact: Fact, plane: Plane) -> tuple[StackOrder, ...]:
    """Orders in which a fact can be asked: unstated only where anatomy tells head from feet or front from back.

    What a sagittal stack runs along, from left to right or back, no image tells for certain. Questions that only
    count images do not turn on the order.
    """
    turns_on_order = fact.kind in ("direction", "order")
    return STACK_ORDERS[:2] if plane == "sagittal" and turns_on_order else STACK_ORDERS


def choose_of_stacks(
    planes: Sequence[Plane], facts: Sequence[Sequence[Fact]], settings: Settings, identity: str
) -> list[Unit]:
    """As :func:`choose`, of a volume's stacks: cells are (plane, prompt), the order of images is one more factor."""
    prompts = [prompt for prompt in settings.prompts if prompt in STACK_PROMPTS]
    everything = settings.stack_questions_per_volume is None
    streams = []
    for plane in settings.planes:
        found = [
            (position, fact)
            for position, of_stack in enumerate(facts)
            for fact in of_stack
            if planes[position] == plane and fact.terminology in settings.terminologies
        ]

        def axes(fact: Fact, plane: Plane = plane) -> tuple[Sequence, ...]:
            return settings.registers, settings.conventions, stack_orders_of(fact, plane)

        if everything:
            series = [(position, fact, variant) for position, fact in found for variant in product(*axes(fact))]
        else:
            series = series_of(found, axes, random.Random(digest("stack series", settings.seed, identity, plane)))
        streams += [_stack_stream(series, prompt) for prompt in prompts]
    random.Random(digest("stack cells", settings.seed, identity)).shuffle(streams)
    return take_turns(streams, settings.stack_questions_per_volume)


def _stack_stream(series: Sequence[tuple[int, Fact, tuple]], prompt: Prompt) -> Iterator[Unit]:
    return (
        Unit(position, fact, prompt, register, convention, "patient", "stack", stack_order=order)
        for position, fact, (register, convention, order) in series
        if fits(fact, prompt)
    )


def series_of(
    found: Sequence[tuple[int, Fact]], axes_of: Callable[[Fact], Sequence[Sequence]], draw: random.Random
) -> list[tuple[int, Fact, tuple]]:
    """Facts, kinds taking turns, each in a drawn variant and in those that differ from it in one factor only."""
    by_kind: dict[tuple[str, str | None], list[tuple[int, Fact]]] = {}
    for position, fact in found:
        by_kind.setdefault((fact.kind, fact.axis), []).append((position, fact))
    kinds = sorted(by_kind, key=str)
    draw.shuffle(kinds)
    for kind in kinds:
        draw.shuffle(by_kind[kind])
    turns = max((len(of_kind) for of_kind in by_kind.values()), default=0)
    ordered = [by_kind[kind][turn] for turn in range(turns) for kind in kinds if turn < len(by_kind[kind])]
    first_round, later = [], []
    for position, fact in ordered:
        axes = axes_of(fact)
        first = tuple(draw.choice(values) for values in axes)
        others = [
            (*first[:factor], other, *first[factor + 1 :])
            for factor, values in enumerate(axes)
            for other in values
            if other != first[factor]
        ]
        draw.shuffle(others)
        variants = [(position, fact, variant) for variant in (first, *others)]
        # A small sample should hold many facts, each with one to compare it with; all variants come when facts run out.
        first_round += variants[:2]
        later += variants[2:]
    return first_round + later


def units_by_kind(
    found: Mapping[tuple, Sequence[tuple[int, Fact]]],
    axes_of: Callable[[Fact], Sequence[Sequence]],
    unit_of: Callable[[int, Fact, tuple], Unit],
    settings: Settings,
    rows: int | None,
    drawn_as: tuple[str, str],
    identity: str,
) -> list[Unit]:
    """Units of every kind of fact, kinds taking turns.

    Args:
        found: facts with the position of their slice or stack, by plane, kind and so on.
        axes_of: the values that each factor may have for a fact.
        unit_of: a unit from a position, a fact and a value of each factor.
        settings: of the build.
        rows: how many at most; every variant of every fact if ``None``.
        drawn_as: names of the draws of variants and of the order of kinds.
        identity: of the volume.
    """
    of_variants, of_kinds = drawn_as
    streams = []
    for key, of_kind in sorted(found.items()):
        if rows is None:
            chosen = [(position, fact, variant) for position, fact in of_kind for variant in product(*axes_of(fact))]
        else:
            chosen = series_of(of_kind, axes_of, random.Random(digest(of_variants, settings.seed, identity, *key)))
        streams.append(unit_of(*each) for each in chosen)
    random.Random(digest(of_kinds, settings.seed, identity)).shuffle(streams)
    return take_turns(streams, rows)


def take_turns(streams: Sequence[Iterator[Unit]], rows: int | None) -> list[Unit]:
    """A unit of each stream, round after round, until there are that many rows; all if ``None``."""
    chosen: list[Unit] = []
    left = list(streams)
    room = float("inf") if rows is None else rows
    while left and room:
        for stream in list(left):
            unit = next(stream, None)
            if unit is None:
                left.remove(stream)
            elif unit.size <= room:
                chosen.append(unit)
                room -= unit.size
    return chosen
