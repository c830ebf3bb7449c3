"""Rows of the data set: questions with their images, for one stored volume at a time."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from dataset_builder.core.factors import DRAWN_PROMPTS, TEST, Convention, Prompt, View, cell_of
from dataset_builder.core.settings import Settings
from dataset_builder.dataset.format import COLUMNS, VERSION
from dataset_builder.imaging.geometry import obliquity_deg
from dataset_builder.imaging.masks import decode_mask
from dataset_builder.pictures.letters import LETTERS
from dataset_builder.pictures.measured import draw_measured
from dataset_builder.pictures.placement import too_close
from dataset_builder.pictures.render import Window, draw, encode_png, show
from dataset_builder.questions.controls import controls
from dataset_builder.questions.facts import (
    Fact,
    Scene,
    apart_enough,
    facts_of,
    find_measures,
    find_places,
    find_places_in_stack,
    find_stack_facts,
)
from dataset_builder.questions.locate import ask_for_place, ask_for_place_in_stack, choose_places, turned_views
from dataset_builder.questions.measure import ask_for_number, choose_measures
from dataset_builder.questions.question import Names, Question
from dataset_builder.questions.sampling import Unit, choose, choose_of_stacks
from dataset_builder.questions.slice_questions import ask
from dataset_builder.questions.stack_questions import ask_of_stack, marked_in, shown_order
from dataset_builder.questions.swaps import OtherSlice, choose_swaps
from dataset_builder.slices.selection import SliceRecord
from dataset_builder.slices.stacks import group_stacks
from dataset_builder.slices.store import StoredVolume
from dataset_builder.vocabulary import Structure, structures

SHOWN_BYTES = 8 << 20
"""How many bytes of images without markers are kept: a slice's questions, and a stack's, follow each other."""


@dataclass
class Unmatched:
    """How many questions were tried in vain with other subjects' slices (view ``swapped``)."""

    count: int = 0


Load = Callable[[], Sequence[SliceRecord]]


def volume_rows(
    volume: StoredVolume,
    settings: Settings,
    vocabulary: Path | None = None,
    only: str | None = None,
    excluded: list[str] | None = None,
    others: Sequence[StoredVolume] = (),
    unmatched: Unmatched | None = None,
) -> Iterator[dict[str, Any]]:
    """The rows of one volume: a pure function of its slices, the other volumes' and the settings.

    Args:
        volume: a finished volume of a slice store.
        settings: of the build.
        vocabulary: the user's own structures beside the package's, if any.
        only: the config whose rows are wanted; the images of others are not drawn.
        excluded: added to: the fact of each row that is left out because the settings exclude it.
        others: volumes whose slices may be shown in place of this one's, the first that fits.
        unmatched: counts the questions for which none does.
    """
    options: dict[str, Any] = {"excluded": excluded, "others": [other.load for other in others], "unmatched": unmatched}
    yield from rows_of(volume.load(), settings, structures(vocabulary), only, **options)


def rows_of(
    records: Sequence[SliceRecord],
    settings: Settings,
    words: Mapping[str, Structure],
    only: str | None = None,
    encode: Callable[[npt.NDArray[np.uint8]], Any] = encode_png,
    excluded: list[str] | None = None,
    others: Sequence[Load] = (),
    unmatched: Unmatched | None = None,
) -> Iterator[dict[str, Any]]:
    """The rows of one volume, from its slices in memory.

    Args:
        records: the volume's slices, and those of its stacks.
        settings: of the build.
        words: the vocabulary.
        only: the config whose rows are wanted.
        encode: makes of an image what stands in the column ``images`` under ``bytes``.
        excluded: added to: the fact of each row that is left out because the settings exclude it.
        others: give the slices of other volumes, which may be shown in place of this one's.
        unmatched: counts the questions for which none of them fits.
    """
    drawn = _Images(settings, encode)
    facts = frozenset(settings.exclude)
    others = others if only in (None, "view") else ()
    for question, shown in volume_questions(records, settings, words, others, unmatched):
        if only is not None and _cell(question)[0] != only:
            continue
        if question.fact_id in facts:
            if excluded is not None:
                excluded.append(question.fact_id)
            continue
        yield _row(question, shown, [drawn.of(question, record) for record in shown], settings)


def image_of(question: Question, record: SliceRecord, settings: Settings) -> npt.NDArray[np.uint8]:
    """The image of a question that shows a slice: uint8 [S, S], or [S, S, 3] if something is drawn on it."""
    image: npt.NDArray[np.uint8] = _Images(settings, lambda shown: shown).of(question, record)
    return image


def markers_of(question: Question, record: SliceRecord, settings: Settings) -> npt.NDArray[np.uint8]:
    """What is drawn on the image of a question, without the slice: uint8 [S, S, 4], RGB and opacity.

    Drawn on black and on white, what covers a pixel by the share a differs by 255 (1 - a).
    """
    black, white = (
        np.asarray(_OnCanvas(settings, value).of(question, record), np.float32).reshape(
            settings.image_size, settings.image_size, -1
        )
        for value in (0, 255)
    )
    opacity = 1 - (white - black).mean(axis=2, keepdims=True) / 255
    colour = np.where(opacity > 0, black / np.maximum(opacity, 1 / 255), 0)
    colour = np.broadcast_to(colour, (*colour.shape[:2], 3))
    return np.rint(np.clip(np.concatenate([colour, opacity * 255], axis=2), 0, 255)).astype(np.uint8)


def _cell(question: Question) -> tuple[str, str]:
    of = (question.modality, question.plane, question.terminology, question.prompt, question.input, question.view)
    how = (question.answer_type, question.statement, question.option_form)
    return cell_of(*of, TEST, *how)


def volume_questions(
    records: Sequence[SliceRecord],
    settings: Settings,
    words: Mapping[str, Structure],
    others: Sequence[Load] = (),
    unmatched: Unmatched | None = None,
) -> Iterator[tuple[Question, Sequence[SliceRecord]]]:
    """The questions of one volume, and the slices that each is to show, in order.

    Args:
        records: the volume's slices, and those of its stacks.
        settings: of the build.
        words: the vocabulary.
    """
    identity = "/".join(records[0].drawn_by) if records else ""
    slices = [record for record in records if not record.stack]
    stacks = group_stacks(records) if "stack" in settings.inputs else []
    scenes = [Scene.of(record, settings.clarity, settings.seed, words) for record in slices]
    if "choice" in settings.answer_types:
        swaps = _Swaps(others, settings, words, unmatched or Unmatched())
        yield from _choices(slices, scenes, stacks, settings, words, identity, swaps)
    if "slice" not in settings.inputs:
        slices, scenes = [], []
    if {"point", "box"} & set(settings.answer_types):
        yield from _places(slices, scenes, stacks, settings, words, identity)
    if "number" in settings.answer_types and "plain" in settings.views:
        facts = [find_measures(scene, settings.image_size) for scene in scenes]
        for unit in choose_measures([record.plane for record in slices], facts, settings, identity):
            number = ask_for_number(unit, slices[unit.position], settings, words)
            if number is not None:
                yield number, [slices[unit.position]]


def _choices(
    slices: Sequence[SliceRecord],
    scenes: Sequence[Scene],
    stacks: Sequence[Sequence[SliceRecord]],
    settings: Settings,
    words: Mapping[str, Structure],
    identity: str,
    swaps: "_Swaps",
) -> Iterator[tuple[Question, Sequence[SliceRecord]]]:
    """Questions with options."""
    if {"slice", "blank"} & set(settings.inputs):
        facts = [_told_apart(facts_of(scene), [record], settings) for scene, record in zip(scenes, slices, strict=True)]
        units = choose([record.plane for record in slices], facts, settings, identity)
        exchanged = swaps.of(units, slices, identity)
        for number, (unit, derived) in enumerate(zip(units, controls(units, settings, identity), strict=True)):
            record = slices[unit.position]
            shown = [unit] if "slice" in settings.inputs and "plain" in settings.views else []
            for each in (*shown, *derived):
                for question in ask(each, record, settings, words):
                    yield question, [record]
            if number in exchanged:
                asked, other = exchanged[number]
                names = Names.of(replace(unit, view="swapped"), record, settings)
                for question in ask(asked, other, settings, words, names):
                    yield question, [other]
    if stacks:
        facts = [
            _told_apart(find_stack_facts(stack, settings.clarity, settings.seed, words), stack, settings)
            for stack in stacks
        ]
        for unit in choose_of_stacks([stack[0].plane for stack in stacks], facts, settings, identity):
            in_order = shown_order(unit, stacks[unit.position], settings)
            for question in ask_of_stack(unit, stacks[unit.position], settings, words):
                yield question, in_order


class _Swaps:
    """The questions of a volume that are asked of other volumes' slices, too, which are read when they are needed."""

    def __init__(
        self, others: Sequence[Load], settings: Settings, words: Mapping[str, Structure], unmatched: Unmatched
    ) -> None:
        self._settings, self._words, self._unmatched = settings, words, unmatched
        self._left = iter(others)
        self._known: list[OtherSlice] = []

    def of(
        self, units: Sequence[Unit], slices: Sequence[SliceRecord], identity: str
    ) -> dict[int, tuple[Unit, SliceRecord]]:
        """By the number of the unit what is asked, and of which slice."""
        if not {"swapped", "plain"} <= set(self._settings.views) or "slice" not in self._settings.inputs:
            return {}  # there would be nothing to compare with
        found, missed = choose_swaps(units, slices, self, self._settings, identity)
        self._unmatched.count += missed
        return found

    def __iter__(self) -> Iterator[OtherSlice]:
        yield from tuple(self._known)
        for load in self._left:
            records = [record for record in load() if not record.stack]
            new = [OtherSlice(record, self._settings, self._words, self._facts) for record in records]
            self._known += new
            yield from new

    def _facts(self, scene: Scene) -> Sequence[Fact]:
        return _told_apart(facts_of(scene), [scene.record], self._settings)


def _told_apart(facts: Sequence[Fact], records: Sequence[SliceRecord], settings: Settings) -> list[Fact]:
    """The facts, those without markers whose markers would be one in images of this size."""
    close = frozenset(
        pair for record in records for pair in too_close(record, settings.conventions, settings.image_size)
    )
    return [apart_enough(fact, close) for fact in facts]


def _places(
    slices: Sequence[SliceRecord],
    scenes: Sequence[Scene],
    stacks: Sequence[Sequence[SliceRecord]],
    settings: Settings,
    words: Mapping[str, Structure],
    identity: str,
) -> Iterator[tuple[Question, Sequence[SliceRecord]]]:
    """Questions for a point or a box."""
    facts = [find_places(scene, settings.image_size) for scene in scenes]
    in_stacks = [
        find_places_in_stack(stack, settings.clarity, settings.seed, settings.image_size, words) for stack in stacks
    ]
    planes = [record.plane for record in (*slices, *(stack[0] for stack in stacks))]
    for unit in choose_places(planes, facts, in_stacks, settings, identity):
        if unit.input == "stack":
            in_order = shown_order(unit, stacks[unit.position], settings)
            yield ask_for_place_in_stack(unit, stacks[unit.position], settings, words), in_order
            continue
        record = slices[unit.position]
        shown = [unit] if "plain" in settings.views else []
        for each in (*shown, *turned_views(unit, settings, identity)):
            yield ask_for_place(each, record, settings, words), [record]


class _Images:
    """The encoded images of one volume: each is drawn once, however many questions show it."""

    def __init__(self, settings: Settings, encode: Callable[[npt.NDArray[np.uint8]], Any] = encode_png) -> None:
        self._settings, self._encode = settings, encode
        self._known: dict[tuple[object, ...], Any] = {}
        self._shown: dict[tuple[object, ...], npt.NDArray[np.uint8]] = {}

    def of(self, question: Question, record: SliceRecord) -> Any:
        """The image of a question that shows a slice."""
        if question.answer_type == "number":
            return self.of_number(question, record)
        return self.of_stack(question, record) if question.input == "stack" else self.of_slice(question, record)

    def of_slice(self, question: Question, record: SliceRecord) -> Any:
        names = question.marked if question.prompt in DRAWN_PROMPTS else ()
        return self._of(question, record, names, LETTERS[: len(names)])

    def of_number(self, question: Question, record: SliceRecord) -> Any:
        """The image of a question for a number: markers or lines, and the scale bar."""
        names = question.marked if question.prompt in DRAWN_PROMPTS else ()
        if question.bar_mm is None and question.marked:
            return self._of(question, record, names, LETTERS[: len(names)])
        lines = () if question.marked else tuple(zip(question.points[::2], question.points[1::2], strict=True))
        key = (id(record), question.convention, question.prompt, names, lines, question.bar_mm, str(question.window))
        if key not in self._known:
            grey = self._grey(record, question.convention, "plain", question.window)
            size = self._settings.image_size
            picture = draw(
                record, question.convention, question.prompt, names, question.window, size, view="plain", grey=grey
            )
            masks = [decode_mask(mask) for mask in question.masks]
            self._known[key] = self._encode(
                draw_measured(picture, lines, question.bar_mm, masks, _pixel_mm(record, size))
            )
        return self._known[key]

    def of_stack(self, question: Question, record: SliceRecord) -> Any:
        if question.prompt in DRAWN_PROMPTS:
            return self._of(question, record, *marked_in(record, question.structures))
        return self._of(question, record, (), ())

    def _of(self, question: Question, record: SliceRecord, names: Sequence[str], letters: Sequence[str]) -> Any:
        prompt: Prompt = question.prompt if question.prompt in DRAWN_PROMPTS else "none"
        blank = question.input == "blank"
        convention, view, window = question.convention, question.view, question.window
        hidden = tuple(sorted(question.structures)) if view == "occluded" else ()
        key = (id(record), convention, view, prompt, blank, tuple(names), tuple(letters), str(window), hidden)
        if key not in self._known:
            size = self._settings.image_size
            grey = None if blank else self._grey(record, convention, view, window, hidden)
            options: dict[str, Any] = {"view": view, "blank": blank, "letters": letters, "grey": grey}
            image = draw(record, convention, prompt, names, window, size, **options)
            self._known[key] = self._encode(image)
        return self._known[key]

    def _grey(
        self, record: SliceRecord, convention: Convention, view: View, window: Window, hidden: Sequence[str] = ()
    ) -> npt.NDArray[np.uint8]:
        """The image without markers, which a slice's questions share one after the other."""
        key = (id(record), convention, view, str(window), hidden)
        if key not in self._shown:
            size = self._settings.image_size
            while self._shown and (len(self._shown) + 1) * size**2 > SHOWN_BYTES:
                del self._shown[next(iter(self._shown))]
            self._shown[key] = show(record, convention, window, size, view, hidden)
        return self._shown[key]


class _OnCanvas(_Images):
    """Images with one grey value in place of the slice."""

    def __init__(self, settings: Settings, value: int) -> None:
        super().__init__(settings, lambda shown: shown)
        self._canvas = np.full((settings.image_size, settings.image_size), value, np.uint8)

    def _grey(
        self, record: SliceRecord, convention: Convention, view: View, window: Window, hidden: Sequence[str] = ()
    ) -> npt.NDArray[np.uint8]:
        return self._canvas


def _row(
    question: Question, records: Sequence[SliceRecord], images: Sequence[Any], settings: Settings
) -> dict[str, Any]:
    first = records[0]
    of_slices = {
        "images": [{"bytes": image, "path": None} for image in images],
        "answer_index": question.answer_index,
        "source": first.source,
        "subject": first.subject,
        "patient": first.patient or first.subject,
        "slice_index": [record.index for record in records],
        "pixel_mm": _pixel_mm(first, settings.image_size),
        "oblique_degrees": round(obliquity_deg(first.affine), 2),
        "window": str(question.window),
        "licence": first.licence,
        "version": VERSION,
    }
    row = {**vars(question), **of_slices}
    return {column: row[column] for column in COLUMNS}


def _pixel_mm(record: SliceRecord, image_size: int) -> float:
    return max(size * step for size, step in zip(record.shape, record.spacing, strict=True)) / image_size
