"""The scores of boxes, points and numbers, and of those who do not look."""

import math

import numpy as np
import pytest
from pycocotools import mask as coco

from dataset_builder.dataset.priors import box_priors, number_priors, random_box
from lm_eval_tasks.mis_ground.localization import decoded, overlap, score_box, score_point
from lm_eval_tasks.mis_ground.measurement import mean_relative_accuracy, score_number
from lm_eval_tasks.mis_ground.metrics import median, process_results


def encoded(mask):
    found = coco.encode(np.asfortranarray(mask.astype(np.uint8)))
    return {"size": list(found["size"]), "counts": found["counts"].decode()}


MASK = np.zeros((64, 64), dtype=bool)
MASK[10:20, 30:50] = True

PLACE = {
    "id": "p1",
    "question": "Where is the liver?",
    "options": [],
    "answer": "[30, 10, 50, 20]",
    "answer_type": "box",
    "answer_image": None,
    "prompt": "none",
    "boxes": [[30, 10, 50, 20]],
    "points": [[40, 15]],
    "masks": [encoded(MASK)],
    "pixel_mm": 2.0,
    "pair_id": "",
    "paired": False,
    "coordinates": {"form": "pixel", "width": 64, "height": 64},
    "prior": {"box": [30, 10, 50, 30], "random": [0, 0, 64, 64], "image": None},
}
NUMBER = PLACE | {"answer_type": "number", "unit": "mm", "value": 40.0, "tolerance": 4.0, "prior": {"value": 50.0}}
NUMBER.pop("coordinates")


def test_a_box():
    scores = process_results(PLACE, ["[30, 10, 50, 20]"])
    assert (scores["acc"], scores["iou"], scores["centre_mm"], scores["size_ratio"]) == (1, 1, 0, 1)
    assert (scores["prior_acc"], scores["prior_iou"]) == (1, 0.5)
    assert scores["random_iou"] == pytest.approx(200 / 4096)
    assert scores["invalid"] == 0
    shifted = process_results(PLACE, ["[40, 10, 60, 20]"])
    assert shifted["iou"] == pytest.approx(1 / 3)
    assert (shifted["acc"], shifted["centre_mm"]) == (0, 20)


def test_no_box_counts_as_none_and_says_why():
    scores = process_results(PLACE, ["I cannot see it."])
    assert (scores["acc"], scores["iou"], scores["invalid"], scores["refused"]) == (0, 0, 1, 1)
    assert "centre_mm" not in scores
    assert process_results(PLACE, ["[30, 10, 50, 70]"])["unread"] == 1


def test_a_point_counts_on_the_mask_and_not_on_its_box():
    hollow = MASK.copy()
    hollow[12:18, 34:46] = False
    doc = PLACE | {"answer_type": "point", "masks": [encoded(hollow)]}
    assert process_results(doc, ["[31, 11]"])["acc"] == 1
    middle = process_results(doc, ["[40, 15]"])
    assert (middle["acc"], middle["distance_mm"]) == (0, 3 * 2.0)
    assert process_results(doc, ["[60, 10]"])["distance_mm"] == 11 * 2.0
    assert process_results(doc, ["[31, 11]"])["prior_acc"] == 0
    corner = doc | {"prior": {"box": [30, 10, 36, 14], "random": None}}
    assert process_results(corner, ["[31, 11]"])["prior_acc"] == 1


def test_masks_of_coco_are_decoded_as_they_are():
    assert (decoded(encoded(MASK)) == MASK).all()


def test_a_position_in_the_wrong_image_is_wrong():
    doc = PLACE | {"answer_image": 1, "slice_index": [1, 2, 3]}
    right, wrong = (process_results(doc, [f"image {n}: [30, 10, 50, 20]"]) for n in (2, 3))
    assert (right["acc"], right["image_acc"]) == (1, 1)
    assert (wrong["acc"], wrong["iou"], wrong["image_acc"], wrong["invalid"]) == (0, 0, 0, 0)
    assert process_results(doc, ["[30, 10, 50, 20]"])["unread"] == 1


def test_a_number():
    scores = process_results(NUMBER, ["4.4 cm"])
    assert (scores["acc"], scores["bias"]) == (1, pytest.approx(0.1))
    assert scores["mra"] == 0.8
    assert (scores["prior_acc"], scores["prior_mra"]) == (0, 0.5)
    assert process_results(NUMBER, ["44.1 mm"])["acc"] == 0
    assert process_results(NUMBER, ["30 mm"])["bias"] == -0.25
    assert process_results(NUMBER, ["no idea"])["mra"] == 0


@pytest.mark.parametrize(
    ("said", "share"), [(100, 1.0), (104.9, 1.0), (105, 0.9), (95, 0.9), (110, 0.8), (149, 0.1), (150, 0.0), (0, 0.0)]
)
def test_mean_relative_accuracy_as_in_vsi_bench(said, share):
    thresholds = [0.5 + 0.05 * step for step in range(10)]
    by_definition = np.mean([abs(said - 100) / 100 < 1 - threshold - 1e-12 for threshold in thresholds])
    assert mean_relative_accuracy(said, 100) == pytest.approx(share) == pytest.approx(by_definition)


def test_overlap_of_boxes():
    assert overlap((0, 0, 10, 10), (10, 0, 20, 10)) == 0
    assert overlap((0, 0, 10, 10), (2, 2, 8, 8)) == 0.36
    assert score_box((0, 0, 5, 10), (0, 0, 10, 10), 1.0)["size_ratio"] == 0.5


def test_a_point_outside_the_mask_has_a_distance():
    assert score_point((30, 9), MASK, 0.5)["distance_mm"] == 0.5
    assert math.isnan(score_point((30, 9), np.zeros((64, 64), bool), 0.5)["distance_mm"])


def test_an_error_of_a_million_does_not_move_the_middle():
    assert median([0.1, -0.1, 1e6]) == 0.1
    assert score_number(1e9, 40.0, 4.0)["mra"] == 0


# ------------------------------------------------------------------------------------------------------------ priors


def row(subject, box=None, value=None, structure="liver", **more):
    columns = {"id": subject, "source": "phantom", "subject": subject, "structures": [structure], "modality": "ct"}
    columns |= {"plane": "axial", "convention": "ras", "view": "plain", "input": "slice", "answer_image": None}
    columns |= {"answer_type": "box" if box else "number", "boxes": [box] if box else [], "value": value, "unit": "mm"}
    return columns | {"relation": "distance"} | more


def test_the_prior_of_a_box_is_the_mean_over_the_other_volumes():
    rows = [row("a", [0, 0, 10, 10]), row("a", [20, 0, 30, 10]), row("b", [4, 4, 8, 8]), row("c", [8, 8, 12, 12])]
    priors = box_priors(rows)
    assert priors[0] == priors[1] == (6, 6, 10, 10)
    assert priors[2] == (9, 4, 16, 11)  # volume a counts once, with the mean of its two
    assert box_priors([row("a", [0, 0, 10, 10]), row("a", [2, 2, 4, 4])]) == [None, None]


def test_a_structure_that_no_other_volume_has_takes_the_mean_of_all():
    rows = [row("a", [0, 0, 10, 10]), row("b", [4, 4, 8, 8], structure="spleen")]
    assert box_priors(rows) == [(4, 4, 8, 8), (0, 0, 10, 10)]


def test_the_prior_of_a_number():
    rows = [row("a", value=10.0), row("b", value=20.0), row("c", value=40.0), row("c", value=1.5, unit="ratio")]
    assert number_priors(rows) == [30.0, 25.0, 15.0, None]


def test_a_random_box_lies_in_the_image_and_stays_the_same():
    found = [random_box(str(n), 512, 256) for n in range(200)]
    assert found == [random_box(str(n), 512, 256) for n in range(200)]
    assert all(0 <= x0 < x1 <= 512 and 0 <= y0 < y1 <= 256 for x0, y0, x1, y1 in found)
    assert len(set(found)) == 200
