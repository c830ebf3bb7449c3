"""What the small model is trained on: pictures, and for each several questions with their answers.

Everything is asked with the builder's own functions about the bodies of the phantom source's training split, so that
words, markers and margins are the benchmark's. A picture has two or three marked structures and all that is asked about
them along the axes of the image, or one marked structure and questions for its name. Some pictures are blank but for
the markers. Stacks have eight pictures to a question.
"""

import math
import random
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from PIL import Image

from dataset_builder.core.factors import CONVENTIONS, DRAWN_PROMPTS, PLANES, REGISTERS, Convention, Prompt
from dataset_builder.core.settings import Settings
from dataset_builder.imaging.geometry import DisplayTransform
from dataset_builder.pictures.letters import LETTERS
from dataset_builder.pictures.placement import placements
from dataset_builder.pictures.render import choose_window, draw
from dataset_builder.questions.facts import Fact, find_facts, find_stack_facts
from dataset_builder.questions.question import Question
from dataset_builder.questions.sampling import STACK_PROMPTS, Unit, frames_of, stack_orders_of
from dataset_builder.questions.slice_questions import ask
from dataset_builder.questions.stack_questions import ask_of_stack, marked_in, shown_order
from dataset_builder.slices.selection import SliceRecord
from dataset_builder.slices.stacks import group_stacks
from dataset_builder.vocabulary import Structure
from lm_eval_tasks.mis_ground.utils import doc_to_text

SIDE = 168
"""Side in pixels that the model's processor scales pictures to."""
GRID = 12
"""Side of the coarse map of structures that goes with a picture."""
BLANK_SHARE = 0.35


@dataclass(frozen=True)
class Item:
    """Pictures and what is asked about them.

    Args:
        pictures: uint8 [n, SIDE, SIDE, 3]; n is 1, but for stacks.
        places: float32 [3, 2], where A, B and C are: x and y from 0 to 1, NaN for a letter that is not there.
        map: uint8 [GRID, GRID], number of the structure that is seen there in the list that was given; 0 for none.
        marked: uint8 [3], numbers of the structures that are marked A, B and C; 0 for a letter that is not there.
        midline: x of the body's midline, from 0 to 1; NaN where the picture does not show it.
        images: int8 [3, 3], of A, B and C in a stack the images that show it first, largest and last, from 0; else -1.
        turns: (prompt as the harness words it, answer).
        kind: ``direction``, ``naming``, ``relation`` or ``stack``.
    """

    pictures: npt.NDArray[np.uint8]
    places: npt.NDArray[np.float32]
    map: npt.NDArray[np.uint8]
    marked: npt.NDArray[np.uint8]
    midline: float
    images: npt.NDArray[np.int8]
    turns: tuple[tuple[str, str], ...]
    kind: str


def small(picture: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """A picture as the model's processor scales it: uint8 [SIDE, SIDE, 3]."""
    shown = Image.fromarray(picture).convert("RGB").resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    return np.asarray(shown, np.uint8)


def turn(question: Question) -> tuple[str, str]:
    """A question as the harness asks it, and its answer."""
    images = 8 if question.input == "stack" else 1
    return doc_to_text({"images": [None] * images, "question": question.question}), question.answer


def items_of_slice(
    record: SliceRecord,
    settings: Settings,
    words: Mapping[str, Structure],
    numbers: Mapping[str, int],
    draw_from: random.Random,
    counts: tuple[int, int, int],
) -> Iterator[Item]:
    """Training items about one slice.

    Args:
        numbers: of structures, for the coarse map.
        draw_from: all that is random.
        counts: how many pictures to draw about directions, names and relations of three.
    """
    facts = find_facts(record, settings.clarity, settings.seed, words)
    directions: dict[str, list[Fact]] = defaultdict(list)
    by_pair: dict[frozenset[str], list[Fact]] = defaultdict(list)
    by_marked: dict[str, list[Fact]] = defaultdict(list)
    threes: dict[str, list[Fact]] = defaultdict(list)
    for fact in facts:
        if fact.kind == "direction" and fact.axis:
            directions[fact.axis].append(fact)
        if fact.kind in ("direction", "size", "adjacency", "side", "enclosure"):
            # The inverse of an adjacency or a side is about other structures: each is listed under both.
            for key in {frozenset(fact.structures), frozenset(fact.inverse_structures)}:
                by_pair[key].append(fact)
        if fact.kind == "naming":
            for name in (*fact.structures, *fact.inverse_structures):
                by_marked[name].append(fact)
        if fact.kind in ("between", "nearer"):
            threes[fact.kind].append(fact)

    def item(shown: Sequence[str], about: Sequence[Fact], kind: str, most: int) -> Item:
        prompt: Prompt = draw_from.choice(DRAWN_PROMPTS)
        convention: Convention = draw_from.choice(CONVENTIONS)
        blank = kind == "direction" and draw_from.random() < BLANK_SHARE
        turns = []
        for fact in about:
            for frame in frames_of(fact):
                register = draw_from.choice(REGISTERS)
                unit = Unit(0, fact, prompt, register, convention, frame, "blank" if blank else "slice")
                # Another seed draws another wording and another order of the options.
                seeded = replace(settings, seed=draw_from.randrange(1 << 30))
                turns += [turn(q) for q in ask(unit, record, seeded, words) if q.structures == tuple(shown)]
        draw_from.shuffle(turns)
        window = choose_window(
            record, sorted({n for f in about for n in (*f.structures, *f.inverse_structures)}), words
        )
        picture = draw(record, convention, prompt, shown, window, settings.image_size, blank=blank)
        where = placements(record, convention, settings.image_size)
        places = np.full((3, 2), np.nan, np.float32)
        for row, name in enumerate(shown):
            x0, y0, x1, y1 = where[name].box
            exact = ((x0 + x1) / 2, (y0 + y1) / 2) if prompt in ("box", "mask") else where[name].point
            places[row] = np.array(exact) / settings.image_size
        seen = np.zeros((GRID, GRID), np.uint8) if blank else coarse_map(record, convention, settings, numbers)
        middle = math.nan if blank else midline_in(record, convention)
        marked = numbers_of(shown, numbers)
        return Item(small(picture)[None], places, seen, marked, middle, NO_IMAGES, tuple(turns[:most]), kind)

    number_of_directions, number_of_names, number_of_threes = counts
    for _ in range(number_of_directions if directions else 0):
        fact = draw_from.choice(directions[draw_from.choice(sorted(directions))])
        shown = draw_from.choice([fact.structures, fact.inverse_structures])
        yield item(shown, by_pair[frozenset(shown)], "direction", 6)
    for _ in range(number_of_names if by_marked else 0):
        name = draw_from.choice(sorted(by_marked))
        about = by_marked[name]
        yield item((name,), draw_from.sample(about, min(4, len(about))), "naming", 4)
    for _ in range(number_of_threes if threes else 0):
        fact = draw_from.choice(threes[draw_from.choice(sorted(threes))])
        shown = draw_from.choice([fact.structures, fact.inverse_structures])
        about = [f for kind in threes for f in threes[kind] if shown in (f.structures, f.inverse_structures)]
        yield item(shown, about, "relation", 4)


def items_of_stack(
    stack: Sequence[SliceRecord],
    settings: Settings,
    words: Mapping[str, Structure],
    numbers: Mapping[str, int],
    draw_from: random.Random,
    count: int,
) -> Iterator[Item]:
    """Training items about one stack; arguments as of :func:`items_of_slice`, ``count`` items in all."""
    by_kind: dict[str, list[Fact]] = defaultdict(list)
    by_marked: dict[tuple[str, ...], list[Fact]] = defaultdict(list)
    for fact in find_stack_facts(stack, settings.clarity, settings.seed, words):
        by_kind[fact.kind].append(fact)
        for member in {fact.structures, fact.inverse_structures} - {()}:
            by_marked[member].append(fact)
    for _ in range(count if by_kind else 0):
        chosen = draw_from.choice(by_kind[draw_from.choice(sorted(by_kind))])
        member = draw_from.choice(sorted({chosen.structures, chosen.inverse_structures} - {()}))
        prompt: Prompt = draw_from.choice([prompt for prompt in STACK_PROMPTS if prompt in DRAWN_PROMPTS])
        convention: Convention = draw_from.choice(CONVENTIONS)
        order = draw_from.choice(stack_orders_of(chosen, stack[0].plane)[:2])
        turns, shown, window = [], list(stack), None
        for fact in by_marked[member]:
            for register in REGISTERS:
                unit = Unit(0, fact, prompt, register, convention, "patient", "stack", stack_order=order)
                # Another seed draws another wording and another order of the options.
                seeded = replace(settings, seed=draw_from.randrange(1 << 30))
                shown = shown_order(unit, stack, seeded)
                asked = [q for q in ask_of_stack(unit, stack, seeded, words) if q.structures == member]
                turns += [turn(question) for question in asked]
                window = window or next((question.window for question in asked), None)
        draw_from.shuffle(turns)
        pictures = []
        for record in shown:
            names, letters = marked_in(record, member)
            drawn = draw(record, convention, prompt, names, window, settings.image_size, letters=letters)
            pictures.append(small(drawn))
        yield Item(
            np.stack(pictures),
            np.full((3, 2), np.nan, np.float32),
            np.zeros((GRID, GRID), np.uint8),
            numbers_of(member, numbers),
            math.nan,
            images_of(member, shown),
            tuple(turns[:6]),
            "stack",
        )


NO_IMAGES = np.full((3, 3), -1, np.int8)


def images_of(marked: Sequence[str], shown: Sequence[SliceRecord]) -> npt.NDArray[np.int8]:
    """First, largest and last image of each marked structure: int8 [3, 3], -1 for a letter that is not there."""
    found = NO_IMAGES.copy()
    values = {name: value for value, name in shown[0].names.items()}
    for row, name in enumerate(marked):
        areas = np.array([np.count_nonzero(record.labels == values[name]) for record in shown])
        there = np.flatnonzero(areas)
        found[row] = there[0], areas.argmax(), there[-1]
    return found


def numbers_of(marked: Sequence[str], numbers: Mapping[str, int]) -> npt.NDArray[np.uint8]:
    """Numbers of the marked structures: uint8 [3]."""
    found = np.zeros(3, np.uint8)
    found[: len(marked)] = [numbers.get(name, 0) for name in marked]
    return found


def midline_in(record: SliceRecord, convention: Convention) -> float:
    """Where a picture shows the body's midline: x from 0 to 1; NaN in sagittal ones and where it is not known."""
    if record.midline_mm is None or record.plane == "sagittal":
        return math.nan
    transform = DisplayTransform(record.shape, record.spacing, convention, SIDE)
    return float(transform.to_pixels([record.midline_mm / record.spacing[0], 0])[0]) / SIDE


def coarse_map(
    record: SliceRecord, convention: Convention, settings: Settings, numbers: Mapping[str, int]
) -> npt.NDArray[np.uint8]:
    """Which structure is seen at each of GRID x GRID places of the picture: uint8, 0 for none."""
    size = settings.image_size
    shown = DisplayTransform(record.shape, record.spacing, convention, size).show_labels(record.labels)
    at = ((np.arange(GRID) + 0.5) * size / GRID).astype(int)
    lookup = np.zeros(int(record.labels.max()) + 1, np.uint8)
    for value, name in record.names.items():
        if value < len(lookup):
            lookup[value] = numbers.get(name, 0)
    return lookup[shown[np.ix_(at, at)]]


def items_of_volume(
    records: Sequence[SliceRecord],
    settings: Settings,
    words: Mapping[str, Structure],
    numbers: Mapping[str, int],
    seed: object,
    counts: tuple[int, int, int] = (6, 4, 1),
    stack_items: int = 12,
) -> Iterator[Item]:
    """All training items about one volume of a slice store.

    Args:
        records: its slices and those of its stacks.
        seed: what every draw follows from.
        counts: as of :func:`items_of_slice`.
        stack_items: how many items about each stack.
    """
    draw_from = random.Random(str(seed))
    for record in records:
        if not record.stack:
            yield from items_of_slice(record, settings, words, numbers, draw_from, counts)
    for stack in group_stacks(records):
        yield from items_of_stack(stack, settings, words, numbers, draw_from, stack_items)


__all__ = ["GRID", "LETTERS", "PLANES", "SIDE", "Item", "items_of_volume"]
