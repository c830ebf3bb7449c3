"""What the small model is trained on: images, and for each several questions with their answers.

Everything is asked with the builder's own functions about the bodies of the phantom source's training split, so that
words, markers and margins are the benchmark's. An image has two or three marked structures and all that is asked about
them along the axes of the image, or one marked structure and questions for its name. Some images are blank but for the
markers. Stacks have eight images to a question. Boxes, points and measures are asked by :mod:`quantities`.
"""

import math
import random
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from PIL import Image

from dataset_builder.core.factors import CONVENTIONS, DRAWN_PROMPTS, REGISTERS, Convention, Prompt, View
from dataset_builder.core.settings import Settings
from dataset_builder.imaging.geometry import DisplayTransform
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
from lm_eval_tasks.mis_ground.prompts import doc_to_text

SIDE = 168
"""Side in pixels that the model's processor scales images to."""
GRID = 24
"""Side of the coarse map of structures that goes with an image."""
BLANK_SHARE = 0.35


@dataclass(frozen=True)
class Turn:
    """A question.

    Args:
        prompt: as the harness words it.
        answer: the text; of a place what comes before it.
        place: box or point, as shares of the image's side; how it is said follows from it, also in an image that was
            moved.
        group: what the question is counted under.
    """

    prompt: str
    answer: str
    place: tuple[float, ...] = ()
    group: str = ""


@dataclass(frozen=True)
class Item:
    """Images and what is asked about them.

    Args:
        images: uint8 [n, SIDE, SIDE, 3]; n is 1, but for stacks.
        markers: float32 [n, 3, 2], where A, B and C are: x and y from 0 to 1, NaN for a letter that is not there.
        boxes: float32 [n, 3, 4], boxes of the structures that they mark, likewise.
        areas: float32 [n, 3], their areas as shares of the image's.
        map: uint8 [n, GRID, GRID], number of the structure that is seen there in the list that was given; 0 for none.
        marked: uint8 [3], numbers of the structures that are marked A, B and C; 0 for a letter that is not there.
        midline: x of the body's midline, from 0 to 1; NaN where the image does not show it.
        turns: the questions.
        kind: ``direction``, ``naming``, ``relation``, ``stack``, ``locate`` or ``measure``.
    """

    images: npt.NDArray[np.uint8]
    markers: npt.NDArray[np.float32]
    boxes: npt.NDArray[np.float32]
    areas: npt.NDArray[np.float32]
    map: npt.NDArray[np.uint8]
    marked: npt.NDArray[np.uint8]
    midline: float
    turns: tuple[Turn, ...]
    kind: str


@dataclass(frozen=True)
class Shown:
    """What a slice shows of its structures in one image; fields as of :class:`Item`, of one image."""

    markers: npt.NDArray[np.float32]
    boxes: npt.NDArray[np.float32]
    areas: npt.NDArray[np.float32]
    map: npt.NDArray[np.uint8]


def small(image: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """An image as the model's processor scales it: uint8 [SIDE, SIDE, 3]."""
    shown = Image.fromarray(image).convert("RGB").resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    return np.asarray(shown, np.uint8)


def turn(question: Question) -> Turn:
    """A question as the harness asks it, and its answer."""
    images = 8 if question.input == "stack" else 1
    document = {"images": [None] * images, "question": question.question, "options": question.options}
    if question.input == "stack":
        group = f"stack, {question.template.partition('.')[0]}"
    elif question.terminology == "directional":
        group = f"{question.frame}, {question.input}, {'label' if question.prompt == 'label' else 'marker'}"
    else:
        group = "naming" if question.terminology == "anatomical" else question.template.partition(".")[0]
    return Turn(doc_to_text(document), question.answer, (), group)


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
        record: the slice.
        settings: of the build.
        words: the vocabulary of structures.
        numbers: of structures, for the coarse map.
        draw_from: all that is random.
        counts: how many images to draw about directions, names and relations of three.
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
        turns: list[Turn] = []
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
        image = draw(record, convention, prompt, shown, window, settings.image_size, blank=blank)
        at = what_is_shown(record, convention, settings, numbers, shown, prompt)
        return one_image_item(
            small(image),
            replace(at, map=np.zeros_like(at.map)) if blank else at,
            numbers_of(shown, numbers),
            math.nan if blank else midline_in(record, convention),
            tuple(turns[:most]),
            kind,
        )

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
        turns: list[Turn] = []
        shown, window = list(stack), None
        for fact in by_marked[member]:
            for register in REGISTERS:
                unit = Unit(0, fact, prompt, register, convention, "patient", "stack", stack_order=order)
                # Another seed draws another wording and another order of the options.
                seeded = replace(settings, seed=draw_from.randrange(1 << 30))
                shown = shown_order(unit, stack, seeded)
                asked = [q for q in ask_of_stack(unit, stack, seeded, words) if q.structures == member]
                turns += [turn(question) for question in asked]
                window = window or next((question.window for question in asked), None)
        if not turns or window is None:
            continue
        draw_from.shuffle(turns)
        images, places = [], []
        for record in shown:
            names, letters = marked_in(record, member)
            drawn = draw(record, convention, prompt, names, window, settings.image_size, letters=letters)
            images.append(small(drawn))
            places.append(what_is_shown(record, convention, settings, numbers, member, prompt))
        yield Item(
            np.stack(images),
            np.stack([at.markers for at in places]),
            np.stack([at.boxes for at in places]),
            np.stack([at.areas for at in places]),
            np.stack([at.map for at in places]),
            numbers_of(member, numbers),
            math.nan,
            tuple(turns[:6]),
            "stack",
        )


def one_image_item(
    image: npt.NDArray[np.uint8],
    shown: Shown,
    marked: npt.NDArray[np.uint8],
    midline: float,
    turns: tuple[Turn, ...],
    kind: str,
) -> Item:
    """An item of a single image, uint8 [SIDE, SIDE, 3]."""
    arrays = (shown.markers[None], shown.boxes[None], shown.areas[None], shown.map[None])
    return Item(image[None], *arrays, marked, midline, turns, kind)


def what_is_shown(
    record: SliceRecord,
    convention: Convention,
    settings: Settings,
    numbers: Mapping[str, int],
    marked: Sequence[str],
    prompt: Prompt,
    view: View = "plain",
) -> Shown:
    """Where an image shows the marked structures, and which structures it shows where.

    Args:
        marked: those with letters, A first; one that the slice does not show has no place.
    """
    size = settings.image_size
    where = placements(record, convention, size, view)
    values = {name: value for value, name in record.names.items()}
    shown = DisplayTransform(record.shape, record.spacing, convention, size, view).show_labels(record.labels)
    markers, boxes = np.full((3, 2), np.nan, np.float32), np.full((3, 4), np.nan, np.float32)
    areas = np.zeros(3, np.float32)
    for row, name in enumerate(marked):
        if name in where:
            x0, y0, x1, y1 = where[name].box
            exact = ((x0 + x1) / 2, (y0 + y1) / 2) if prompt in ("box", "mask") else where[name].point
            markers[row], boxes[row] = np.array(exact) / size, np.array((x0, y0, x1, y1)) / size
            areas[row] = np.count_nonzero(shown[y0:y1, x0:x1] == values[name]) / size**2
    at = ((np.arange(GRID) + 0.5) * size / GRID).astype(int)
    lookup = np.zeros(int(record.labels.max()) + 1, np.uint8)
    for value, name in record.names.items():
        if value < len(lookup):
            lookup[value] = numbers.get(name, 0)
    return Shown(markers, boxes, areas, lookup[shown[np.ix_(at, at)]])


def numbers_of(marked: Sequence[str], numbers: Mapping[str, int]) -> npt.NDArray[np.uint8]:
    """Numbers of the marked structures: uint8 [3]."""
    found = np.zeros(3, np.uint8)
    found[: len(marked)] = [numbers.get(name, 0) for name in marked]
    return found


def midline_in(record: SliceRecord, convention: Convention, view: View = "plain") -> float:
    """Where an image shows the body's midline: x from 0 to 1; NaN in sagittal ones and where it is not known."""
    if record.midline_mm is None or record.plane == "sagittal" or view == "rotated90":
        return math.nan
    transform = DisplayTransform(record.shape, record.spacing, convention, SIDE, view)
    return float(transform.to_pixels([record.midline_mm / record.spacing[0], 0])[0]) / SIDE


def items_of_volume(
    records: Sequence[SliceRecord],
    settings: Settings,
    words: Mapping[str, Structure],
    numbers: Mapping[str, int],
    seed: object,
    counts: tuple[int, int, int] = (6, 4, 1),
    stack_items: int = 8,
) -> Iterator[Item]:
    """All training items about one volume of a slice store whose answers are choices.

    Args:
        records: its slices and those of its stacks.
        settings: of the build.
        words: the vocabulary of structures.
        numbers: of structures, for the coarse map.
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
