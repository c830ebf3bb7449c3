"""The rewards earn what the benchmark would score, in the signature that TRL calls."""

import numpy as np
import pytest

from dataset_builder.imaging.masks import encode_mask
from lm_eval_tasks import rewards
from lm_eval_tasks.mis_ground.coordinates import Space

SIZE = 200


def masked(x0, y0, x1, y1) -> dict:
    pixels = np.zeros((SIZE, SIZE), bool)
    pixels[y0:y1, x0:x1] = True
    return encode_mask(pixels)


BOX = (40, 60, 80, 120)
PLACE = {
    "question": "Where is the liver?",
    "options": [],
    "answer": "",
    "boxes": [list(BOX)],
    "masks": [masked(*BOX)],
    "pixel_mm": 0.5,
    "answer_image": None,
    "coordinates": Space("norm1000", SIZE, SIZE).to_json(),
}
CHOICE = {"answer_type": "choice", "question": "Is A left or right of B?\nOptions: left; right"}
CHOICE |= {"options": ["left", "right"], "answer": "left"}
NUMBER = {"answer_type": "number", "question": "How far?", "value": 100.0, "unit": "mm", "tolerance": 10.0}
ROWS = {
    "choice": CHOICE,
    "box": PLACE | {"answer_type": "box"},
    "point": PLACE | {"answer_type": "point"},
    "number": NUMBER,
}


def called(reward, rows, completions):
    """As TRL calls it: columns of equal length, ``None`` where a row has no value, and its own extras."""
    names = sorted({name for row in rows for name in row})
    columns = {name: [row.get(name) for row in rows] for name in names}
    extras = {"trainer_state": object(), "log_extra": lambda *_: None, "log_metric": lambda *_: None}
    prompts = ["..."] * len(rows)
    return reward(prompts=prompts, completions=completions, completion_ids=[[1]] * len(rows), **columns, **extras)


def one(reward, row, text) -> float | None:
    return called(reward, [row], [text])[0]


@pytest.mark.parametrize(
    ("kind", "text", "earned"),
    [
        ("choice", "left", 1.0),
        ("choice", "right", 0.0),
        ("choice", "no idea", 0.0),
        ("box", "[200, 300, 400, 600]", 1.0),
        ("box", "[200, 300, 400, 450]", 0.5),  # the upper half of it: shows half, and overlaps by half
        ("box", "[200, 300, 400, 440]", 0.0),  # less than half of it is no box of it
        ("box", "[600, 700, 900, 900]", 0.0),
        ("box", "[40, 60, 80, 120]", 0.0),  # pixels, where thousandths were asked for
        ("box", "the liver", 0.0),
        ("point", "[300, 450]", 1.0),
        ("point", "[900, 450]", 0.5 * 0.5**5),  # half of the image's width away from it, but for a pixel
        ("point", "nowhere", 0.0),
        ("number", "100 mm", 1.0),
        ("number", "10 cm", 1.0),
        ("number", "112 mm", 0.8),
        ("number", "300 mm", 0.0),
        ("number", "far", 0.0),
    ],
)
def test_each_answer_type_earns_its_score_and_nothing_from_the_others(kind, text, earned):
    by_kind = {"choice": rewards.choice_reward, "box": rewards.box_reward}
    by_kind |= {"point": rewards.point_reward, "number": rewards.number_reward}
    for name, reward in by_kind.items():
        found = one(reward, ROWS[kind], text)
        assert (found is None) if name != kind else found == pytest.approx(earned, abs=0.003)


def test_a_box_of_the_reference_earns_nothing_however_much_it_overlaps():
    """The structure asked for lies at the edge of a large box that has all of the reference, and only half of it."""
    row = ROWS["box"] | {"masks": [masked(*BOX), masked(60, 60, 100, 120)]}
    assert one(rewards.box_reward, row, "[300, 300, 500, 600]") == 0.0
    assert one(rewards.box_reward, row, "[200, 300, 400, 600]") == 1.0


def test_a_box_in_the_wrong_image_of_a_stack_earns_nothing():
    row = ROWS["box"] | {"answer_image": 2, "slice_index": list(range(8))}
    assert one(rewards.box_reward, row, "image 3: [200, 300, 400, 600]") == 1.0
    assert one(rewards.box_reward, row, "image 4: [200, 300, 400, 600]") == 0.0


@pytest.mark.parametrize("kind", ROWS)
def test_the_form_earns_more_without_other_words(kind):
    bare = {"choice": "right", "box": "[1, 2, 3, 4]", "point": "[1, 2]", "number": "7 mm"}[kind]
    assert one(rewards.format_reward, ROWS[kind], bare) == 1.0
    assert one(rewards.format_reward, ROWS[kind], f"I think so.\nAnswer: {bare}") == rewards.WORDY
    assert one(rewards.format_reward, ROWS[kind], "I cannot see anything.") == 0.0


def test_rows_of_all_types_together_and_messages_as_well_as_texts():
    rows = list(ROWS.values())
    texts = ["left", "[200, 300, 400, 600]", "[300, 450]", "100 mm"]
    messages = [[{"role": "assistant", "content": text}] for text in texts]
    parts = [[{"role": "assistant", "content": [{"type": "text", "text": text}]}] for text in texts]
    for completions in (texts, messages, parts):
        table = [called(reward, rows, completions) for reward in rewards.REWARDS]
        assert [list(of) for of in table] == [
            [1.0, None, None, None],
            [None, 1.0, None, None],
            [None, None, 1.0, None],
            [None, None, None, 1.0],
            [1.0, 1.0, 1.0, 1.0],
        ]


def test_they_are_pure():
    row = ROWS["box"]
    before = repr(row)
    assert one(rewards.box_reward, row, "[200, 300, 400, 600]") == one(rewards.box_reward, row, "[200, 300, 400, 600]")
    assert repr(row) == before
