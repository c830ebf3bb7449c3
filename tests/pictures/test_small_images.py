"""In small images structures fall between the pixels or onto neighbouring ones: each marker is there all the same."""

import random
from itertools import permutations

import numpy as np
import pytest

from dataset_builder.building.rows import volume_questions
from dataset_builder.core.factors import DRAWN_PROMPTS
from dataset_builder.core.settings import Settings
from dataset_builder.imaging.volume import volume_from_arrays
from dataset_builder.pictures.letters import LETTERS
from dataset_builder.pictures.placement import placements, too_close
from dataset_builder.pictures.render import MARKER_COLOURS, Window, draw
from dataset_builder.slices.selection import SliceRecord, cut
from dataset_builder.sources.phantoms import torso
from dataset_builder.vocabulary import structures

SOFT = Window("soft tissue", -160, 240)


@pytest.fixture(scope="module")
def slices() -> list[SliceRecord]:
    body = torso(1, "ct", spacing=(6.0, 6.0, 6.0))
    identity = {"source": "test", "subject": "one", "modality": "ct", "licence": "CC0-1.0"}
    volume = volume_from_arrays(body.image, body.labels, body.names, body.affine, **identity)
    middle = np.array(volume.labels.shape) // 2
    return [cut(volume, plane, int(middle[axis]), structures()) for plane, axis in PLANES]


PLANES = (("sagittal", 0), ("coronal", 1), ("axial", 2))


def missing(image: np.ndarray, prompt: str, record: SliceRecord, names: tuple[str, ...], size: int) -> list[str]:
    """The letters whose marker is not where box and point say."""
    where, lost = placements(record, "radiological", size), []
    for letter, name in zip(LETTERS, names, strict=False):
        own = (image == MARKER_COLOURS[letter]).all(axis=2)
        (x0, y0, x1, y1), (x, y) = where[name].box, where[name].point
        if prompt in ("label", "point"):
            there = own[y, x]
        elif prompt == "box":
            there = own.any()
        else:
            there = own[y0:y1, x0:x1].any()
        if not there:
            lost.append(letter)
    return lost


@pytest.mark.parametrize("size", [64, 96])
def test_every_marker_is_there(slices, size):
    draws, vanished = random.Random(size), 0
    for record in slices:
        where, close = placements(record, "radiological", size), too_close(record, ("radiological",), size)
        boxes = [placement.box for placement in where.values()]
        vanished += sum((x1 - x0) * (y1 - y0) == 1 for x0, y0, x1, y1 in boxes)
        together = [*draws.sample(list(permutations(sorted(where), 2)), 12), *((name,) for name in where)]
        for names, prompt in ((names, prompt) for names in together for prompt in DRAWN_PROMPTS):
            if not any(pair <= set(names) for pair in close):
                image = draw(record, "radiological", prompt, names, SOFT, size)
                assert missing(image, prompt, record, names, size) == [], (prompt, names)
    assert vanished, "the test's bodies no longer show what it is about"


def two_at(step: int) -> SliceRecord:
    """A slice of 640 x 640 mm at 1 mm with two thin structures, so many mm apart."""
    labels = np.zeros((640, 640, 1), np.uint8)
    labels[300, 300:420], labels[300 + step, 300:420] = 1, 2
    identity = {"source": "test", "subject": "one", "modality": "ct", "licence": "CC0-1.0"}
    names = {1: "liver", 2: "spleen"}
    volume = volume_from_arrays(np.zeros(labels.shape, np.int16), labels, names, np.eye(4), **identity)
    return cut(volume, "axial", 0, structures())


@pytest.mark.parametrize(("step", "size", "close"), [(4, 64, True), (10, 64, False), (4, 128, True), (4, 320, False)])
def test_what_one_pixel_would_hold_is_too_close_to_mark(step, size, close):
    found = too_close(two_at(step), ("radiological", "ras"), size)
    assert found == (frozenset({frozenset({"liver", "spleen"})}) if close else frozenset())


@pytest.mark.parametrize("prompt", DRAWN_PROMPTS)
def test_markers_of_neighbouring_pixels_are_both_there(prompt):
    record = two_at(10)
    image = draw(record, "radiological", prompt, ("liver", "spleen"), SOFT, 64)
    assert missing(image, prompt, record, ("liver", "spleen"), 64) == []


def test_structures_too_close_are_asked_about_by_name_only(slices):
    """Of every question with markers the images can show each."""
    settings = Settings(
        image_size=64, questions_per_volume=400, inputs=("slice",), views=("plain",), answer_types=("choice",)
    )
    marked = 0
    for question, (record,) in volume_questions(slices, settings, structures()):
        if question.prompt != "none" and len(question.structures) > 1:
            points = [placements(record, question.convention, 64)[name].point for name in question.structures]
            assert len(set(points)) == len(points)
            marked += 1
    assert marked > 100
