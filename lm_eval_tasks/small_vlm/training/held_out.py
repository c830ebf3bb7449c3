"""Questions about phantoms that the small model has never seen, and its answers to them."""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from dataset_builder.building.rows import image_of
from dataset_builder.core.factors import CONVENTIONS, DRAWN_PROMPTS, REGISTERS, View
from dataset_builder.core.settings import Settings
from dataset_builder.pictures.render import draw
from dataset_builder.questions.facts import Fact, Scene, find_facts, find_measures, find_places
from dataset_builder.questions.locate import ask_for_place
from dataset_builder.questions.measure import ask_for_number
from dataset_builder.questions.question import Question
from dataset_builder.questions.sampling import CARDINAL_AXES, Unit
from dataset_builder.questions.slice_questions import ask
from dataset_builder.slices.selection import SliceRecord, choose_slices, cut
from dataset_builder.sources import open_source
from dataset_builder.vocabulary import structures
from lm_eval_tasks.mis_ground.metrics import extract_answer, read_reply
from lm_eval_tasks.mis_ground.prompts import doc_to_text
from lm_eval_tasks.mis_ground.reading import Reading
from lm_eval_tasks.small_vlm.training.quantities import document_of

SETTINGS = Settings(image_size=512)
BATCH = 32


@dataclass(frozen=True, eq=False)
class Asked:
    """A question, the slice that it is about, and the image that is shown with it."""

    question: Question
    record: SliceRecord
    letters: str = "AB"

    @cached_property
    def image(self) -> np.ndarray:
        """RGB or grey uint8 [512, 512(, 3)]."""
        question = self.question
        if question.answer_type != "choice":
            return image_of(question, self.record, SETTINGS)
        return draw(
            self.record,
            question.convention,
            question.prompt,
            question.structures,
            question.window,
            SETTINGS.image_size,
            view=question.view,
            blank=question.input == "blank",
            letters=self.letters,
        )

    @property
    def right(self) -> str:
        """The answer."""
        return self.question.answer

    @property
    def other(self) -> str:
        """Of two options the one that is not the answer."""
        (other,) = [option for option in self.question.options if option != self.right]
        return other


def held_out_slices(count: int = 6) -> list[SliceRecord]:
    """Slices of a torso in CT and one in MR, numbers 8 and 10 of the test split."""
    source, words = open_source("phantom:11"), structures(None)
    records = []
    for case in source.cases():
        if case.subject in ("torso_ct_0008", "torso_mri_0010"):
            volume = source.read(case)
            chosen = choose_slices(volume, SETTINGS.planes, count, 0)
            records += [cut(volume, plane, index, words) for plane, index in chosen]
    return records


@cache
def facts_of(record: SliceRecord) -> list[Fact]:
    """The directions along the patient's three axes that a slice shows."""
    facts = find_facts(record, SETTINGS.clarity, 0, structures(None))
    return [fact for fact in facts if fact.kind == "direction" and fact.axis in CARDINAL_AXES]


def directional(records: Sequence[SliceRecord], per_slice: int, seed: int = 0, **factors: Sequence[str]) -> list[Asked]:
    """Pairs of directional questions along the patient's three axes, drawn evenly.

    Args:
        per_slice: pairs of each slice.
        factors: values of ``prompt``, ``register``, ``convention``, ``frame`` and ``input`` to draw from.
    """
    draw_from, words, asked = random.Random(seed), structures(None), []
    values = {
        "prompt": ("point", "box", "mask"),
        "register": ("clinical", "lay"),
        "convention": ("radiological", "ras"),
        "frame": ("patient", "image"),
        "input": ("slice", "blank"),
        **factors,
    }
    for record in records:
        facts = facts_of(record)
        for fact in draw_from.sample(facts, min(per_slice, len(facts))):
            chosen: dict[str, Any] = {name: draw_from.choice(list(of)) for name, of in values.items()}
            unit = Unit(0, fact, **chosen)
            asked += [Asked(question, record) for question in ask(unit, record, SETTINGS, words)]
    return asked


def places(
    records: Sequence[SliceRecord], per_slice: int, views: Sequence[View] = ("plain",), seed: int = 0
) -> list[Asked]:
    """Questions for the boxes of named structures, each in these views."""
    draw_from, words, asked = random.Random(seed), structures(None), []
    for record in records:
        facts = [fact for fact in find_places(scene_of(record), SETTINGS.image_size) if fact.kind == "place"]
        for fact in draw_from.sample(facts, min(per_slice, len(facts))):
            register, convention = draw_from.choice(REGISTERS), draw_from.choice(CONVENTIONS)
            for view in views:
                unit = Unit(0, fact, "none", register, convention, "patient", "slice", view, None, "box")
                asked.append(Asked(ask_for_place(unit, record, SETTINGS, words), record))
    return asked


def distances(records: Sequence[SliceRecord], per_slice: int, seed: int = 0) -> list[Asked]:
    """Questions for the distance of two marked structures, with the size of a pixel stated."""
    draw_from, words, asked = random.Random(seed), structures(None), []
    for record in records:
        facts = find_measures(scene_of(record), SETTINGS.image_size)
        facts = [fact for fact in facts if fact.kind == "distance" and len(fact.structures) == 2]
        for fact in draw_from.sample(facts, min(per_slice, len(facts))):
            prompt, register = draw_from.choice(DRAWN_PROMPTS[1:]), draw_from.choice(REGISTERS)
            convention = draw_from.choice(CONVENTIONS)
            unit = Unit(0, fact, prompt, register, convention, "patient", answer_type="number", scale="text")
            question = ask_for_number(unit, record, SETTINGS, words)
            assert question is not None
            asked.append(Asked(question, record))
    return asked


@cache
def scene_of(record: SliceRecord) -> Scene:
    """A slice, measured."""
    return Scene.of(record, SETTINGS.clarity, 0, structures(None))


def otherwise(asked: Asked, **changes: str) -> Asked:
    """The same fact asked with another register, input, ...: the question of the pair with the same structures."""
    words = structures(None)
    old = asked.question
    (fact,) = [
        f
        for f in facts_of(asked.record)
        if old.structures in (f.structures, f.inverse_structures) and old.relation in (f.relation, f.inverse_relation)
    ]
    factors: dict[str, Any] = {
        name: getattr(old, name) for name in ("prompt", "register", "convention", "frame", "input")
    }
    unit = Unit(0, fact, **{**factors, **changes})
    (question,) = [q for q in ask(unit, asked.record, SETTINGS, words) if q.structures == old.structures]
    return Asked(question, asked.record)


class Reader:
    """The small model, loaded once; as the harness runs it: chat template, greedy, the harness's reading of replies."""

    def __init__(self, folder: Path) -> None:
        from transformers import AutoModelForImageTextToText, AutoProcessor

        self.processor = AutoProcessor.from_pretrained(folder)
        self.model = AutoModelForImageTextToText.from_pretrained(folder, dtype="auto").eval()

    def answers(
        self,
        asked: Sequence[Asked],
        image: Callable[[int], np.ndarray] | None = None,
        text: Callable[[Question], str] = lambda question: question.question,
    ) -> list[str | None]:
        """An option for each question, or None.

        Args:
            image: the image to show with the question of that number; its own if not given.
            text: the wording of a question.
        """
        shown = image or (lambda number: asked[number].image)
        prompts = [doc_to_text({"images": [None], "question": text(one.question), "options": ()}) for one in asked]
        return self._options(asked, self._replies(prompts, shown))

    def blind_answers(self, asked: Sequence[Asked]) -> list[str | None]:
        """An option for each question without its image, or None."""
        prompts = [doc_to_text({"images": [], "question": one.question.question, "options": ()}) for one in asked]
        return self._options(asked, self._replies(prompts, None))

    def readings(
        self,
        asked: Sequence[Asked],
        image: Callable[[int], np.ndarray] | None = None,
        text: Callable[[str], str] = str,
    ) -> list[Reading]:
        """What is read from the replies to questions for boxes, points and numbers; arguments as of `answers`.

        Args:
            asked: the questions.
            image: the image to show with the question of that number.
            text: changes a prompt.
        """
        documents = [document_of(one.question, SETTINGS) for one in asked]
        shown = image or (lambda number: asked[number].image)
        replies = self._replies([text(doc_to_text(document)) for document in documents], shown)
        return [read_reply(document, reply) for document, reply in zip(documents, replies, strict=True)]

    def _options(self, asked: Sequence[Asked], replies: Sequence[str]) -> list[str | None]:
        return [
            extract_answer(reply, one.question.options, one.question.question)
            for one, reply in zip(asked, replies, strict=True)
        ]

    def _replies(self, prompts: Sequence[str], shown: Callable[[int], np.ndarray] | None) -> list[str]:
        replies: list[str] = []
        for first in range(0, len(prompts), BATCH):
            numbers = range(first, min(first + BATCH, len(prompts)))
            images = [Image.fromarray(shown(number)).convert("RGB") for number in numbers] if shown else None
            texts = [prompts[number] for number in numbers]
            given: Mapping = self.processor(images=images, text=texts, padding=True, return_tensors="pt")
            with torch.inference_mode():
                written = self.model.generate(**given, do_sample=False, max_new_tokens=8)
            new = written[:, given["input_ids"].shape[1] :]
            replies += self.processor.batch_decode(new, skip_special_tokens=True)
        return replies


def share(flags: Sequence[bool]) -> float:
    """The share that is true."""
    return sum(flags) / len(flags)


def relettered(asked: Asked) -> Asked:
    """With the letters (and their colours) of the two markers exchanged in the image."""
    return replace(asked, letters="BA")
