"""The images of README.md, of a phantom: ``python -m tests.helpers.readme_images docs``. A test keeps them so."""

import sys
from pathlib import Path

from dataset_builder.core.factors import Frame, Input, Prompt, View
from dataset_builder.core.settings import Settings
from dataset_builder.pictures.render import draw, encode_png
from dataset_builder.questions.facts import find_facts
from dataset_builder.questions.question import Question
from dataset_builder.questions.sampling import Unit
from dataset_builder.questions.slice_questions import ask
from dataset_builder.slices.selection import choose_slices, cut
from dataset_builder.sources.phantom import Phantoms
from dataset_builder.vocabulary import structures

SETTINGS = Settings(slices_per_volume=1, image_size=224, answer_types=("choice",))
STRUCTURES = {"kidney_left", "kidney_right"}
SHOWN: dict[str, tuple[Prompt, Input, View, Frame]] = {
    "none": ("none", "slice", "plain", "patient"),
    "point": ("point", "slice", "plain", "patient"),
    "box": ("box", "slice", "plain", "patient"),
    "mask": ("mask", "slice", "plain", "patient"),
    "blank": ("mask", "blank", "plain", "patient"),
    "mirrored": ("mask", "slice", "mirrored", "image"),
}
"""File name -> prompt, input, view and frame of what it shows."""


def make(folder: Path) -> dict[str, Question]:
    """Write the images; returns the question that each of them is shown with."""
    source, words = Phantoms(1), structures()
    volume = source.read(next(source.cases()))
    (place,) = choose_slices(volume, ("coronal",), 1, SETTINGS.seed)
    record = cut(volume, *place, words)
    (fact,) = (
        fact
        for fact in find_facts(record, SETTINGS.clarity, SETTINGS.seed, words)
        if set(fact.structures) == STRUCTURES and fact.axis == "right_left"
    )
    folder.mkdir(parents=True, exist_ok=True)
    asked = {}
    for name, (prompt, input_, view, frame) in SHOWN.items():
        unit = Unit(0, fact, prompt, "clinical", "radiological", frame, input_, view)
        (question,) = (one for one in ask(unit, record, SETTINGS, words) if one.relation == "right")
        image = draw(
            record,
            question.convention,
            prompt,
            question.structures,
            question.window,
            SETTINGS.image_size,
            view=view,
            blank=input_ == "blank",
        )
        (folder / f"{name}.png").write_bytes(encode_png(image))
        asked[name] = question
    return asked


if __name__ == "__main__":
    for name, question in make(Path(sys.argv[1])).items():
        print(f"{name}: {question.question} -> {question.answer} (anatomy alone: {question.prior_answer})")
