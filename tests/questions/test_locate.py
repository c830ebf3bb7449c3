"""Boxes and points: where they are by hand, how they move with the image, whether a description fits one structure."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from dataset_builder.core.factors import CONVENTIONS, TURNED_VIEWS
from dataset_builder.imaging.masks import decode_mask, encode_mask
from dataset_builder.questions.facts import Fact, Scene, find_places
from dataset_builder.questions.locate import ask_for_place
from dataset_builder.questions.sampling import Unit
from dataset_builder.vocabulary import structures
from tests.helpers.places_and_numbers import (
    ASKED,
    box_at,
    index_at,
    records_of,
    rows,
    stored_in_every_order,
    trunk,
)

VIEWS = ("plain", *TURNED_VIEWS)

WORDS = structures()
SIZE = ASKED.image_size


@pytest.fixture(scope="module")
def volume():
    return trunk()


@pytest.fixture(scope="module")
def records(volume):
    return records_of(volume)


@pytest.fixture(scope="module")
def asked(records):
    """All rows for a place about the trunk."""
    return [row for row in rows(records) if row["answer_type"] in ("box", "point")]


def ask(record, fact, convention="radiological", view="plain", answer_type="box", **how):
    how = {"prompt": "none", "register": "clinical", "frame": "patient"} | how
    unit = Unit(0, fact, how["prompt"], how["register"], convention, how["frame"], "slice", view, None, answer_type)
    return ask_for_place(unit, record, ASKED, WORDS)


def fact_about(record, name, kind="place"):
    found = find_places(Scene.of(record, ASKED.clarity, 0, WORDS), ASKED.image_size)
    return next(fact for fact in found if fact.kind == kind and fact.structures[0] == name)


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("convention", CONVENTIONS)
def test_boxes_lie_where_the_organs_were_drawn(records, convention, view):
    looked = 0
    for record in records[:3]:
        pixel = max(n * step for n, step in zip(record.shape, record.spacing, strict=True)) / SIZE
        slack = 0.5 + 0.75 * record.spacing[0] / pixel  # of a voxel and of a pixel
        for fact in find_places(Scene.of(record, ASKED.clarity, 0, WORDS), ASKED.image_size):
            if fact.kind == "place" and not fact.structures[0].startswith("vertebrae"):
                question = ask(record, fact, convention, view)
                wanted = box_at(record, fact.structures[0], SIZE, convention, view)
                assert np.abs(np.subtract(question.boxes[0], wanted)).max() <= slack, fact.structures
                looked += 1
    assert looked >= 8


def test_the_patients_left_is_at_the_right_of_a_radiological_image(records):
    """The worst mistake that could be made."""
    axial = records[0]
    for convention, right_half in (("radiological", True), ("ras", False)):
        for name, kind in (("kidney_left", "place"), ("kidney_left", "place by side")):
            question = ask(axial, fact_about(axial, name, kind), convention)
            x0, _, x1, _ = question.boxes[0]
            assert ((x0 + x1) / 2 > SIZE / 2) == right_half
    assert "the kidney on the patient's left" in ask(axial, fact_about(axial, "kidney_left", "place by side")).question


def turned(box, view):
    x0, y0, x1, y1 = box
    return {
        "plain": (x0, y0, x1, y1),
        "mirrored": (SIZE - x1, y0, SIZE - x0, y1),
        "rotated90": (SIZE - y1, x0, SIZE - y0, x1),
        "rotated180": (SIZE - x1, SIZE - y1, SIZE - x0, SIZE - y0),
    }[view]


@pytest.mark.parametrize("view", VIEWS)
def test_a_mirrored_image_has_a_mirrored_box_point_and_mask(records, view):
    for record in records[:3]:
        for fact in find_places(Scene.of(record, ASKED.clarity, 0, WORDS), ASKED.image_size):
            prompt = "mask" if fact.kind in ("place beside", "place by neighbour") else "none"
            plain, moved = ask(record, fact, prompt=prompt), ask(record, fact, view=view, prompt=prompt)
            assert moved.boxes == tuple(turned(box, view) for box in plain.boxes)
            for one, other in zip(plain.masks, moved.masks, strict=True):
                mask = decode_mask(one)
                mask = {
                    "mirrored": mask[:, ::-1],
                    "rotated90": np.rot90(mask, -1),
                    "rotated180": np.rot90(mask, 2),
                }.get(view, mask)
                assert np.array_equal(mask, decode_mask(other))
            assert moved.answer == str(list(moved.boxes[0]))


def test_in_the_frame_of_the_image_the_words_turn_with_it(records):
    fact = fact_about(records[0], "kidney_left", "place by side")
    found = {}
    for convention in CONVENTIONS:
        for view in VIEWS:
            question = ask(records[0], fact, convention, view, frame="image")
            (word,) = re.findall(r"farther (?:to the )?(left|right|up|down) in", question.question)
            x0, y0, x1, y1 = question.boxes[0]
            u0, v0, u1, v1 = question.boxes[1]
            way = {"left": (u0 + u1) - (x0 + x1), "up": (v0 + v1) - (y0 + y1)}
            way |= {"right": -way["left"], "down": -way["up"]}
            assert way[word] == max(way.values()) > 0
            found[convention, view] = word
    assert found["radiological", "plain"] == "right"
    assert found["ras", "plain"] == "left"
    assert found["radiological", "rotated90"] == "down"


def test_every_order_of_storage_gives_the_same_questions():
    coarse = trunk(mm=12.0)
    seen = set()
    for stored in stored_in_every_order(coarse):
        record = records_of(stored, stack=False)[0]
        fact = Fact("directional", "place by side", None, ("kidney_left", "kidney_right"), "left", (), "", (), 1.0)
        question = ask(record, fact)
        seen.add((question.question, question.answer, record.index, json.dumps(question.masks)))
    assert len(seen) == 1
    assert json.loads(next(iter(seen))[1])[0] > SIZE / 2


def test_rows_agree_with_themselves(asked):
    assert {row["answer_type"] for row in asked} == {"box", "point"}
    assert {row["input"] for row in asked} == {"slice", "stack"}
    assert {row["view"] for row in asked} == set(VIEWS)
    assert {row["frame"] for row in asked} == {"patient", "image"}
    assert {row["convention"] for row in asked} == set(CONVENTIONS)
    assert len({row["id"] for row in asked}) == len(asked)
    for row in asked:
        assert (row["options"], row["answer_index"], row["pair_id"], row["value"]) == ((), -1, "", None)
        for box, point, mask in zip(row["boxes"], row["points"], row["masks"], strict=True):
            area = decode_mask(mask)
            lines, columns = np.flatnonzero(area.any(axis=1)), np.flatnonzero(area.any(axis=0))
            assert box == (columns[0], lines[0], columns[-1] + 1, lines[-1] + 1)  # half-open
            assert area[point[1], point[0]]
        place = row["boxes"][0] if row["answer_type"] == "box" else row["points"][0]
        assert row["answer"].endswith(str(list(place)))
        assert ("bounding box" in row["question"]) == (row["answer_type"] == "box")
        assert not re.search(r"JSON|\[|x0|pixels? \[", row["question"])  # the form is the run's


def test_a_description_names_nothing_of_what_it_asks_for(asked):
    kinds = {row["template"].split(".")[0] for row in asked}
    assert kinds == {
        "place",
        "place by side",
        "place by neighbour",
        "place beside",
        "place by size",
        "place in stack",
    } - (set() if any(row["relation"] == "larger" for row in asked) else {"place by size"})
    for row in asked:
        if row["relation"] != row["structures"][0]:
            target = WORDS[row["structures"][0]]
            name = target.clinical if row["register"] == "clinical" else target.lay
            assert name not in row["question"]


def test_of_several_vertebrae_none_is_asked_for_by_name(asked, records):
    sagittal = records[2]
    present = [name for value, name in sagittal.names.items() if (sagittal.labels == value).any()]
    assert sum(name.startswith("vertebrae") for name in present) > 3
    named = [row for row in asked if row["plane"] == "sagittal" and row["relation"] == row["structures"][0]]
    assert named
    assert not [row for row in named if row["relation"].startswith("vertebrae")]
    told = [row for row in asked if row["template"].startswith("place by neighbour")]
    assert told
    for row in told:
        numbers = [
            ("T10", "T11", "T12", "L1", "L2", "L3", "L4", "L5").index(n.split("_")[1]) for n in row["structures"]
        ]
        assert numbers[0] - numbers[1] == (1 if row["relation"] == "inferior" else -1)
        assert row["prompt"] != "none"


def test_what_touches_the_edge_of_the_scan_or_is_in_pieces_is_not_asked_for(volume):
    record = records_of(volume, stack=False)[0]
    value = next(value for value, name in record.names.items() if name == "kidney_left")
    assert fact_about(record, "kidney_left")
    for spoil in ("edge", "pieces"):
        labels = record.labels.copy()
        there = np.argwhere(labels == value)
        if spoil == "edge":
            labels[: there[:, 0].max(), there[0, 1]] = value
        else:
            labels[there[:, 0].mean().astype(int)] = 0
        names = {
            f.structures[0]
            for f in find_places(Scene.of(replace(record, labels=labels), ASKED.clarity, 0, WORDS), ASKED.image_size)
        }
        assert "kidney_left" not in names
        assert "kidney_right" in names


def test_the_image_of_a_stack_that_is_asked_for_shows_most(asked, records):
    of_stack = [row for row in asked if row["input"] == "stack"]
    assert {row["stack_order"] for row in of_stack} == {"ascending", "descending", "unstated"}
    for row in of_stack:
        slices = {record.index: record for record in records if record.stack}
        areas = []
        for index in row["slice_index"]:
            record = slices[index]
            value = next(value for value, name in record.names.items() if name == row["structures"][0])
            areas.append(int((record.labels == value).sum()))
        assert int(np.argmax(areas)) == row["answer_image"] == row["box_images"][0]
        assert sorted(areas)[-1] >= 1.15 * sorted(areas)[-2]
        assert row["answer"].startswith(f"image {row['answer_image'] + 1}: ")


def test_quotas_hold_and_the_same_questions_come_again(records):
    few = replace(ASKED, locate_questions_per_volume=9, measure_questions_per_volume=7, views=("plain",))
    made = rows(records, few)
    kinds = [row["answer_type"] == "number" for row in made]
    assert (kinds.count(False), kinds.count(True)) == (9, 7)
    assert [row["id"] for row in rows(records[::-1][8:] + records[3:], few)] != []
    assert [(row["id"], row["question"]) for row in rows(records, few)] == [
        (row["id"], row["question"]) for row in made
    ]
    only = rows(records, replace(few, answer_types=("point",), registers=("lay",), conventions=("ras",)))
    assert {(row["answer_type"], row["register"], row["convention"]) for row in only} == {("point", "lay", "ras")}


@settings(max_examples=40, deadline=None)
@given(arrays(np.bool_, st.tuples(st.integers(1, 20), st.integers(1, 20))))
def test_a_mask_survives_its_encoding(mask):
    encoded = encode_mask(mask)
    assert encoded["size"] == list(mask.shape)
    assert isinstance(encoded["counts"], str)
    assert np.array_equal(decode_mask(json.loads(json.dumps(encoded))), mask)


def test_the_slice_is_the_one_that_was_meant(volume):
    assert abs(volume.affine[2, 2] * index_at(volume, 2, -10.0) + volume.affine[2, 3] + 10) <= 2.01
