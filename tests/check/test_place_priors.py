"""Blind baselines of places and numbers, worked out by hand for a few rows."""

from dataclasses import replace

import numpy as np
import pytest

from dataset_builder.check.place_priors import overlap, place_priors
from dataset_builder.dataset.priors import COLUMNS, random_box
from dataset_builder.imaging.masks import encode_mask
from lm_eval_tasks.mis_ground.metrics import baselines_of
from lm_eval_tasks.mis_ground.rows import priors_of
from tests.helpers.audit_items import item


def place(subject, box, answer_type="box"):
    mask = np.zeros((100, 100), bool)
    x0, y0, x1, y1 = box
    mask[y0:y1, x0:x1] = True
    row = item(subject=subject, structures=("liver",), boxes=(box,), points=((x0, y0),), box_images=(0,))
    return _without_options(row, answer_type=answer_type, masks=(encode_mask(mask),))


def number(subject, value):
    return _without_options(
        item(subject=subject), answer_type="number", relation="distance", unit="mm", value=value, tolerance=0.1 * value
    )


def _without_options(row, **changes):
    return replace(row, options=(), answer_index=-1, pair_id="", **changes)


def test_the_mean_box_of_the_other_volumes_is_said():
    rows = [place("one", (10, 10, 30, 30)), place("two", (10, 10, 30, 34)), place("three", (60, 60, 90, 90))]
    (prior,) = place_priors([*rows, item()])
    assert (prior.name, prior.rows) == ("ct, box", 3)
    # Said of one: the mean of the other two, (35, 35, 60, 62); of three: (10, 10, 30, 32), far from where it is.
    assert prior.baselines["mean"].value == 0
    near = [place("one", (10, 10, 30, 30)), place("two", (10, 10, 30, 34))]
    (prior,) = place_priors(near)
    assert prior.overlap == pytest.approx(20 / 24)
    assert prior.baselines["mean"].value == 1


def test_of_a_point_the_centre_of_the_mean_box_is_said():
    (prior,) = place_priors([place("one", (10, 10, 30, 30), "point"), place("two", (12, 12, 30, 30), "point")])
    assert (prior.overlap, prior.baselines["mean"].value) == (None, 1)


def test_the_mean_of_the_measurement_in_other_volumes_is_said():
    (prior,) = place_priors([number("one", 100.0), number("two", 105.0), number("three", 300.0)])
    # Said of one 202.5, of two 200, of three 102.5.
    assert (prior.name, prior.baselines["mean"].value) == ("ct, distance", 0)
    assert "random" not in prior.baselines
    (prior,) = place_priors([number("one", 100.0), number("two", 105.0)])
    assert prior.baselines["mean"].value == 1


def test_of_a_stack_nothing_is_right_in_a_wrong_image():
    def stack(subject, image):
        return replace(place(subject, (10, 10, 30, 30)), input="stack", answer_image=image, box_images=(image,))

    (prior,) = place_priors([stack("one", 2), stack("two", 2)])
    assert (prior.overlap, prior.baselines["mean"].value) == (1, 1)
    (prior,) = place_priors([stack("one", 2), stack("two", 5)])
    assert (prior.overlap, prior.baselines["mean"].value) == (0, 0)


def test_the_tasks_report_the_same_baselines():
    """They score them by a way of their own."""
    drawn = np.random.default_rng(7)
    items = []
    for subject in ("one", "two", "three"):
        for structure in ("liver", "spleen"):
            for kind in ("box", "point"):
                for image in (None, 0, int(drawn.integers(3))):
                    x, y = drawn.integers(10, 30, 2)
                    made = place(subject, (int(x), int(y), int(x) + 30, int(y) + 40), kind)
                    other = {} if image is None else {"input": "stack", "answer_image": image}
                    items.append(replace(made, structures=(structure,), **other))
        items += [number(subject, float(value)) for value in drawn.integers(80, 120, 6)]
    rows = [
        {name: getattr(one, name) for name in (*COLUMNS, "masks", "tolerance", "pixel_mm")} | {"options": ()}
        for one in items
    ]
    priors = priors_of(rows)
    scores = {}
    for row in rows:
        prior = priors[row["id"]] | {"random": random_box(row["id"], 100, 100)}
        kind = row["relation"] if row["answer_type"] == "number" else row["answer_type"]
        for name, score in baselines_of(row | {"prior": prior}).items():
            scores.setdefault(f"ct, {kind}", {}).setdefault(name, []).append(score)
    found = place_priors(items)
    assert [prior.name for prior in found] == ["ct, box", "ct, distance", "ct, point"]
    for prior in found:
        expected = {name: np.mean(values) for name, values in scores[prior.name].items()}
        assert prior.baselines["mean"].value == pytest.approx(expected["prior_acc"])
        assert 0 < expected["prior_acc"] < 1
        assert ("random" in prior.baselines) == ("random_acc" in expected)
        if "random" in prior.baselines:
            assert prior.baselines["random"].value == pytest.approx(expected["random_acc"])
        if prior.overlap is not None:
            assert prior.overlap == pytest.approx(expected["prior_iou"])


def test_overlap():
    assert overlap((0, 0, 10, 10), (0, 0, 10, 10)) == 1
    assert overlap((0, 0, 10, 10), (10, 0, 20, 10)) == 0
    assert overlap((0, 0, 10, 10), (5, 0, 15, 10)) == pytest.approx(1 / 3)
