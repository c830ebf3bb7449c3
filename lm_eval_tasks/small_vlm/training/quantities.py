"""What the small model is trained on, second part: boxes, points and measures, asked with the builder's own functions.

An image without markers, or with what a description refers to, and several questions for boxes of and points on what it
shows, plain and in the views; stacks, and the image in which a structure is largest; and images to measure in. Lengths
are asked with pixel sizes and scale bars drawn at random, so that the answer cannot be told without them.
"""

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from dataset_builder.building.rows import image_of
from dataset_builder.core.factors import (
    CONVENTIONS,
    DRAWN_PROMPTS,
    REGISTERS,
    STACK_ORDERS,
    AnswerType,
    Prompt,
    View,
)
from dataset_builder.core.settings import Settings
from dataset_builder.imaging.geometry import DisplayTransform
from dataset_builder.questions.facts import Fact, Scene, find_measures, find_places, find_places_in_stack
from dataset_builder.questions.locate import ask_for_place, ask_for_place_in_stack, frames_of
from dataset_builder.questions.measure import ask_for_number, prompts_of, scales_of
from dataset_builder.questions.question import Question
from dataset_builder.questions.sampling import Unit
from dataset_builder.questions.stack_questions import shown_order
from dataset_builder.slices.selection import SliceRecord
from dataset_builder.slices.stacks import group_stacks
from dataset_builder.vocabulary import Structure
from lm_eval_tasks.mis_ground.coordinates import Form, Space
from lm_eval_tasks.mis_ground.prompts import doc_to_text
from lm_eval_tasks.small_vlm.training.items import (
    Item,
    Turn,
    midline_in,
    numbers_of,
    one_image_item,
    small,
    what_is_shown,
)
from lm_eval_tasks.small_vlm.training.words import LENGTHS, said_angle, said_length, said_ratio

FORM: Form = "norm1000"
"""The form of coordinates that the model is trained with."""
VIEWS: Mapping[View, float] = {"plain": 0.6, "mirrored": 0.2, "rotated180": 0.1, "rotated90": 0.1}
"""How often an image is shown in each view."""
BOX_SHARE = 0.75
"""Of the questions for a place, those that ask for a box."""
KINDS = {
    "distance": 0.5,
    "longest diameter": 0.14,
    "perpendicular diameter": 0.08,
    "body thickness": 0.14,
    "angle": 0.14,
}
"""How often each is measured."""
FACTORS = (0.25, 2.5)
"""By how much the stated size of a pixel is made smaller or larger."""
BARS_MM = (5, 10, 15, 20, 25, 30, 40, 50, 60, 80, 100, 150, 200)
"""Lengths that a scale bar is stated to have."""


def quantities_of_volume(
    records: Sequence[SliceRecord],
    settings: Settings,
    words: Mapping[str, Structure],
    numbers: Mapping[str, int],
    seed: object,
) -> Iterator[Item]:
    """All training items about one volume whose answers are boxes, points or numbers; as ``items.items_of_volume``."""
    draw_from = random.Random(str(seed))
    for record in records:
        if not record.stack:
            scene = Scene.of(record, settings.clarity, settings.seed, words)
            make = Maker(record, settings, words, numbers, draw_from)
            places = find_places(scene, settings.image_size)
            yield from make.located(places, 3)
            yield from make.referred(places, 1)
            yield from make.measured(find_measures(scene, settings.image_size), 5)
    for stack in group_stacks(records):
        yield from located_in_stack(stack, settings, words, numbers, draw_from, 3)


class Maker:
    """Makes the items about one slice; arguments as of ``items.items_of_slice``."""

    def __init__(
        self,
        record: SliceRecord,
        settings: Settings,
        words: Mapping[str, Structure],
        numbers: Mapping[str, int],
        draw_from: random.Random,
    ) -> None:
        self.record, self.settings, self.words, self.numbers = record, settings, words, numbers
        self.draw = draw_from

    def located(self, facts: Sequence[Fact], count: int) -> Iterator[Item]:
        """Boxes and points of what is named or described, several in an image without markers."""
        named = [fact for fact in facts if fact.kind == "place"]
        described = [fact for fact in facts if fact.kind in ("place by side", "place by size", "place beside")]
        if not named:
            return
        for _ in range(count):
            convention = self.draw.choice(CONVENTIONS)
            (view,) = self.draw.choices(list(VIEWS), list(VIEWS.values()))
            asked: list[Question] = []
            chosen = self.draw.sample(named, min(6, len(named))) + self.draw.sample(described, min(3, len(described)))
            self.draw.shuffle(chosen)
            for fact in chosen:
                register, frame = self.draw.choice(REGISTERS), self.draw.choice(frames_of(fact))
                unit = Unit(0, fact, "none", register, convention, frame, "slice", view, None, self._wanted())
                question = ask_for_place(unit, self.record, self.settings, self.words)
                if not asked or question.window == asked[0].window:
                    asked.append(question)
            yield self._item(asked, "locate")

    def referred(self, facts: Sequence[Fact], count: int) -> Iterator[Item]:
        """Boxes and points of what is told from a marked structure."""
        facts = [fact for fact in facts if fact.kind in ("place beside", "place by neighbour")]
        for _ in range(count if facts else 0):
            fact, convention = self.draw.choice(facts), self.draw.choice(CONVENTIONS)
            prompt: Prompt = self.draw.choice(DRAWN_PROMPTS)
            asked = []
            for register in REGISTERS:
                for wanted in ("box", "point"):
                    unit = Unit(0, fact, prompt, register, convention, "patient", "slice", "plain", None, wanted)
                    asked.append(ask_for_place(unit, self.record, self.settings, self.words))
            yield self._item(asked, "locate")

    def measured(self, facts: Sequence[Fact], count: int) -> Iterator[Item]:
        """Lengths, ratios and angles."""
        by_kind = {kind: [fact for fact in facts if fact.kind == kind] for kind in KINDS}
        there = {kind: share for kind, share in KINDS.items() if by_kind[kind]}
        for _ in range(count if there else 0):
            (kind,) = self.draw.choices(list(there), list(there.values()))
            fact, convention = self.draw.choice(by_kind[kind]), self.draw.choice(CONVENTIONS)
            prompt, scale = self.draw.choice(prompts_of(fact)), self.draw.choice(scales_of(fact))
            asked = []
            for register in REGISTERS:
                unit = Unit(0, fact, prompt, register, convention, "patient", "slice", "plain", None, "number", scale)
                question = ask_for_number(unit, self.record, self.settings, self.words)
                if question is not None:
                    asked.append(question)
            if not asked:
                continue
            item = self._item(asked, "measure")
            if scale in ("text", "bar"):
                turns = [self._rescaled(question) for question in asked for _ in range(2)]
                item = replace(item, turns=(*turns, *item.turns))
            yield item

    def _wanted(self) -> AnswerType:
        return "box" if self.draw.random() < BOX_SHARE else "point"

    def _rescaled(self, question: Question) -> Turn:
        """A question about a length with another stated scale, and the answer by it."""
        assert question.value is not None
        pixel = f"{_pixel_mm(self.record, self.settings):.4g}"
        if question.bar_mm is not None:
            stated = self.draw.choice([mm for mm in BARS_MM if mm * question.value <= question.bar_mm * LENGTHS[-1]])
            factor = stated / question.bar_mm
            old, new = f"bar in the image is {question.bar_mm} mm", f"bar in the image is {stated} mm"
        else:
            low, high = FACTORS[0], min(FACTORS[1], LENGTHS[-1] / question.value)
            stated_mm = float(f"{float(pixel) * low * (high / low) ** self.draw.random():.4g}")
            factor = stated_mm / float(pixel)
            old, new = f"each pixel is {pixel} mm", f"each pixel is {stated_mm:.4g} mm"
        assert question.question.count(old) == 1, question.question
        scaled = replace(question, question=question.question.replace(old, new), value=question.value * factor)
        return turn(scaled, self.settings)

    def _item(self, asked: Sequence[Question], kind: str) -> Item:
        first = asked[0]
        marked = first.marked if first.prompt in DRAWN_PROMPTS else ()
        image = image_of(first, self.record, self.settings)
        shown = what_is_shown(
            self.record, first.convention, self.settings, self.numbers, marked, first.prompt, first.view
        )
        return one_image_item(
            small(image),
            shown,
            numbers_of(marked, self.numbers),
            midline_in(self.record, first.convention, first.view),
            tuple(turn(question, self.settings) for question in asked),
            kind,
        )


def located_in_stack(
    stack: Sequence[SliceRecord],
    settings: Settings,
    words: Mapping[str, Structure],
    numbers: Mapping[str, int],
    draw_from: random.Random,
    count: int,
) -> Iterator[Item]:
    """The image of a stack in which a structure is largest, and its place there."""
    facts = find_places_in_stack(stack, settings.clarity, settings.seed, settings.image_size, words)
    for _ in range(count if facts else 0):
        convention, order = draw_from.choice(CONVENTIONS), draw_from.choice(STACK_ORDERS[:2])
        asked: list[Question] = []
        images: list[SliceRecord] = []
        for fact in draw_from.sample(facts, min(6, len(facts))):
            wanted: AnswerType = "box" if draw_from.random() < BOX_SHARE else "point"
            register = draw_from.choice(REGISTERS)
            unit = Unit(0, fact, "none", register, convention, "patient", "stack", "plain", order, wanted)
            question = ask_for_place_in_stack(unit, stack, settings, words)
            if not asked or question.window == asked[0].window:
                images = images or list(shown_order(unit, stack, settings))
                asked.append(question)
        shown = [what_is_shown(record, convention, settings, numbers, (), "none") for record in images]
        yield Item(
            np.stack([small(image_of(asked[0], record, settings)) for record in images]),
            np.stack([at.markers for at in shown]),
            np.stack([at.boxes for at in shown]),
            np.stack([at.areas for at in shown]),
            np.stack([at.map for at in shown]),
            numbers_of((), numbers),
            np.nan,
            tuple(turn(question, settings) for question in asked),
            "locate in stack",
        )


def turn(question: Question, settings: Settings) -> Turn:
    """A question as the harness asks it, and its answer."""
    size, is_stack, prompt = (
        settings.image_size,
        question.input == "stack",
        doc_to_text(document_of(question, settings)),
    )
    if question.answer_type == "number":
        assert question.value is not None
        say = {"mm": said_length, "degree": said_angle, "ratio": said_ratio}[question.unit or "mm"]
        return Turn(prompt, say(question.value), (), f"{question.relation}, {question.unit}")
    box, (x, y) = question.boxes[0], question.points[0]
    place = box if question.answer_type == "box" else (x + 0.5, y + 0.5)
    before = f"image {question.answer_image + 1}: " if question.answer_image is not None else ""
    kind = "stack" if is_stack else question.template.partition(".")[0]
    return Turn(prompt, before, tuple(at / size for at in place), f"{question.answer_type}, {kind}, {question.view}")


def document_of(question: Question, settings: Settings) -> dict[str, Any]:
    """What the harness would have of a question for a box, a point or a number."""
    document = {
        "images": [None] * (8 if question.input == "stack" else 1),
        "question": question.question,
        "options": (),
        "prompt": question.prompt,
        "answer_type": question.answer_type,
        "unit": question.unit,
        "answer_image": question.answer_image,
    }
    if question.answer_type == "number":
        return document
    return document | {"coordinates": Space(FORM, settings.image_size, settings.image_size).to_json()}


def _pixel_mm(record: SliceRecord, settings: Settings) -> float:
    return DisplayTransform(record.shape, record.spacing, "ras", settings.image_size).pixel_mm
