"""Measurements: known lengths of drawn organs, formulas worked out another way, and what is drawn to measure with."""

import re
from dataclasses import replace
from math import degrees

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataset_builder.check.measured import extent_and_widths
from dataset_builder.imaging.diameters import angle_between, diameters
from dataset_builder.imaging.masks import decode_mask
from dataset_builder.pictures.letters import Strokes
from dataset_builder.pictures.lines import draw_lines
from dataset_builder.pictures.render import MARKER_COLOURS
from dataset_builder.pictures.scale_bar import BAR_COLOUR, bar_length_mm, bar_pixels, place_bar
from dataset_builder.questions.facts import Scene, find_measures
from dataset_builder.questions.facts.measures import has_one_width
from dataset_builder.questions.measure import ask_for_number, measured_angle, measured_length, measured_ratio
from dataset_builder.questions.sampling import Unit
from dataset_builder.vocabulary import structures
from tests.helpers.pixel_oracle import measure
from tests.helpers.places_and_numbers import ASKED, HALVES, MIDDLES, records_of, rows, trunk, with_voxels_of

WORDS = structures()
SIZE = ASKED.image_size
RELATIONS = {"distance", "longest diameter", "perpendicular diameter", "body thickness", "angle"}


@pytest.fixture(scope="module")
def records():
    return records_of(trunk(), stack=False)


@pytest.fixture(scope="module")
def asked(records):
    return [row for row in rows(records) if row["answer_type"] == "number"]


def value_of(record, kind, names=(), prompt="mask", scale="text", build=ASKED):
    facts = find_measures(Scene.of(record, build.clarity, 0, WORDS), build.image_size)
    fact = next(f for f in facts if f.kind == kind and set(f.structures) == set(names) and len(f.options) <= 1)
    unit = Unit(0, fact, prompt, "clinical", "ras", "patient", answer_type="number", scale=scale)
    return ask_for_number(unit, record, build, WORDS)


def test_known_lengths(records):
    """In mm, as the organs were drawn; by a voxel."""
    axial, coronal, _ = records
    off = MIDDLES["kidney_right"] - MIDDLES["kidney_left"]
    assert value_of(coronal, "distance", ("kidney_left", "kidney_right")).value == pytest.approx(
        float(np.hypot(off[0], off[2])), abs=5
    )
    lengths = {"longest diameter": 2 * HALVES["kidney_left"][2], "perpendicular diameter": 2 * HALVES["kidney_left"][0]}
    for kind, wanted in lengths.items():
        assert value_of(coronal, kind, ("kidney_left",)).value == pytest.approx(wanted, abs=8)
    assert value_of(coronal, "perpendicular diameter", ("kidney_left",), scale="none").value == pytest.approx(
        HALVES["kidney_left"][2] / HALVES["kidney_left"][0], rel=0.15
    )
    # The body is an ellipse with half axes of 178 and 118 mm.
    facts = find_measures(Scene.of(axial, ASKED.clarity, 0, WORDS), SIZE)
    lines = [f for f in facts if f.kind == "body thickness" and len(f.options) == 1]
    assert {f.axis for f in lines} == {"right_left", "anterior_posterior"}
    for fact in lines:
        unit = Unit(0, fact, "none", "clinical", "ras", "patient", answer_type="number", scale="text")
        index, across = int(fact.options[0]), 1 if fact.axis == "right_left" else 0
        at = axial.affine[across, across] * index + axial.affine[across, 3]
        half, other = (178, 118) if fact.axis == "right_left" else (118, 178)
        wanted = 2 * half * np.sqrt(1 - (at / other) ** 2)
        assert ask_for_number(unit, axial, ASKED, WORDS).value == pytest.approx(wanted, abs=9)


def test_half_the_size_of_voxels_is_half_the_length_and_the_same_ratio_and_angle(asked, records):
    limits = replace(ASKED.clarity, min_length_mm=0, min_area_mm2=0, min_border_mm=0, max_body_slack_mm=40)
    halving = replace(ASKED, clarity=limits, measure_questions_per_volume=60, answer_types=("number",))
    whole = [row for row in rows(records, halving) if row["answer_type"] == "number"]
    halved = [row for row in rows([with_voxels_of(r, 0.5) for r in records], halving) if row["answer_type"] == "number"]
    by_id = {row["id"]: row for row in halved}
    both = [(row, by_id[row["id"]]) for row in whole if row["id"] in by_id]
    assert len(both) > 20
    assert {row["relation"] for row, _ in both} >= {"distance", "longest diameter", "body thickness"}
    for one, other in both:
        factor = 0.5 if one["unit"] == "mm" else 1
        assert other["value"] == pytest.approx(factor * one["value"], rel=1e-9)
        assert other["tolerance"] == pytest.approx(factor * one["tolerance"], rel=1e-9)
        assert other["points"] == one["points"]


def test_images_of_twice_the_size_give_the_same_mm(records):
    large = replace(ASKED, image_size=2 * SIZE)
    for kind in ("longest diameter", "perpendicular diameter"):
        small, big = (value_of(records[1], kind, ("kidney_left",), build=each) for each in (ASKED, large))
        assert big.value == pytest.approx(small.value, abs=2.5 * 4)
    distances = [
        value_of(records[1], "distance", ("kidney_left", "kidney_right"), build=each).value for each in (ASKED, large)
    ]
    assert distances[0] == pytest.approx(distances[1], abs=6)


def test_rows_say_what_their_columns_do(asked):
    assert {row["relation"] for row in asked} >= RELATIONS - {"angle"}
    assert {row["scale"] for row in asked} >= {"text", "bar", "none"}
    for row in asked:
        assert (row["options"], row["answer_index"], row["view"]) == ((), -1, "plain")
        assert row["unit"] == {"text": "mm", "bar": "mm", "none": "ratio", None: "degree"}[row["scale"]]
        assert float(re.match(r"[\d.]+", row["answer"])[0]) == pytest.approx(row["value"], abs=0.5001)
        assert row["tolerance"] >= 0.1 * row["value"] - 1e-9
        if row["unit"] == "mm":
            assert row["tolerance"] >= 2 * row["pixel_mm"] - 1e-9
        if row["scale"] == "text":
            assert f"each pixel is {row['pixel_mm']:.4g} mm" in row["question"]
        if row["relation"] in ("body thickness", "angle"):
            assert (row["structures"], row["boxes"], row["masks"]) == ((), (), ())
            assert len(row["points"]) == (4 if row["unit"] != "mm" else 2)
        else:
            assert len(row["masks"]) == len(row["structures"]) == len(row["points"]) > 0
            assert (row["prompt"] == "mask") or row["relation"] == "distance"


def test_tolerances():
    assert measured_length(100, 1.0).tolerance == 10
    assert measured_length(10, 1.5).tolerance == 3.0  # two pixels
    assert measured_ratio(200, 100).tolerance == pytest.approx(0.2)
    assert measured_ratio(20, 10).tolerance == pytest.approx(2 * (2 / 20 + 2 / 10))
    line = ((0, 0), (100, 0))
    right = measured_angle(line, ((0, 0), (0, 100)))
    assert (right.value, right.tolerance) == (pytest.approx(90), pytest.approx(9))
    slight = measured_angle(line, ((0, 0), (100, 18)))
    turn = degrees(np.arctan(2 / 100)) + degrees(np.arctan(2 / np.hypot(100, 18)))
    assert slight.tolerance == pytest.approx(turn)


# Lengths of areas


def two_diagonals():
    """An area that reaches equally far along two lines, with another width at right angles to each."""
    mask = np.zeros((16, 34), np.uint8)
    cv2.fillPoly(mask, [np.array([(1, 5), (13, 1), (31, 4), (29, 13), (19, 13)], np.int32)], 1)
    return mask > 0


@pytest.mark.parametrize("turn", [lambda mask: mask, np.fliplr, np.flipud, np.rot90])
def test_a_width_that_depends_on_which_of_two_lines_is_the_longest_is_not_asked_for(turn):
    mask = turn(two_diagonals())
    found = diameters(mask)
    assert found.longest**2 == pytest.approx(31**2 + 2**2)
    assert found.widths == pytest.approx((12.91, 14.13), abs=0.01)
    assert not has_one_width(found)
    # The audit takes both for right.
    longest, widths = extent_and_widths(mask)
    assert longest == pytest.approx(found.longest, abs=1e-3)
    assert sorted(widths) == pytest.approx(found.widths, abs=0.01)


@pytest.mark.parametrize("turn", [0, 20, 45, 77, 120])
def test_a_long_area_has_one_width(turn):
    mask = np.zeros((96, 96), np.uint8)
    cv2.ellipse(mask, (48, 48), (40, 18), turn, 0, 360, 1, -1)
    found = diameters(mask > 0)
    longest, widths = extent_and_widths(mask > 0)
    assert has_one_width(found)
    assert longest == pytest.approx(found.longest, abs=1e-3)
    assert min(abs(width - found.width) for width in widths) < 0.005 * found.width


@settings(max_examples=40, deadline=None)
@given(st.integers(6, 30), st.integers(4, 20), st.integers(0, 179))
def test_diameters_of_an_ellipse(long, short, turn):
    if long < 1.3 * short:
        long = 2 * short
    mask = np.zeros((140, 140), np.uint8)
    cv2.ellipse(mask, (70, 70), (long, short), turn, 0, 360, 1, -1)
    found = diameters(mask > 0)
    # All 76,500 of these ellipses are within the bounds: what a shape of few pixels can be off by.
    assert found.longest == pytest.approx(2 * long + 1, abs=1.9)
    assert found.width == pytest.approx(2 * short + 1, abs=2.5)
    assert found.chord <= found.width + 1e-9
    assert found.chord >= 0.8 * found.width
    assert found.convexity > 0.8
    turned = diameters(np.rot90(mask > 0))
    assert turned.longest == pytest.approx(found.longest)
    mirrored = diameters(mask[:, ::-1] > 0)
    assert mirrored.longest == pytest.approx(found.longest)


def test_an_area_reaches_to_the_outer_edges_of_its_pixels():
    mask = np.zeros((20, 30), bool)
    mask[4:8, 5:25] = True
    found = diameters(mask)
    assert found.longest == pytest.approx(np.hypot(20, 4))
    assert {tuple(end) for end in found.ends} in ({(5, 4), (25, 8)}, {(5, 8), (25, 4)})


@given(st.floats(0, 180), st.floats(0, 180))
def test_the_smaller_angle_between_two_lines(one, other):
    lines = []
    for angle in (one, other):
        x, y = (round(10_000 * part) for part in (np.cos(np.radians(angle)), np.sin(np.radians(angle))))
        lines.append(((0, 0), (x, y)))
    apart = abs(one - other) % 180
    assert angle_between(*lines) == pytest.approx(min(apart, 180 - apart), abs=0.05)


# What is drawn


@pytest.mark.parametrize("size", [64, 128, 256, 512])
def test_a_line_runs_between_its_ends_in_the_colour_of_its_letter(size):
    lines = [((size // 8, size // 4), (size - 9, size // 3)), ((size // 2, size - 5), (size - 20, size // 2))]
    image = draw_lines(np.full((size, size, 3), 90, np.uint8), lines)
    for letter, ((x0, y0), (x1, y1)) in zip("AB", lines, strict=True):
        drawn = np.argwhere((image == MARKER_COLOURS[letter]).all(axis=2))[:, ::-1]
        wide = Strokes.of(size).line // 2 + 1
        assert np.abs(drawn.min(axis=0) - (min(x0, x1), min(y0, y1))).max() <= wide
        assert np.abs(drawn.max(axis=0) - (max(x0, x1), max(y0, y1))).max() <= wide
        assert (image[y0, x0] == MARKER_COLOURS[letter]).all()
        assert (image[y1, x1] == MARKER_COLOURS[letter]).all()


def test_a_scale_bar_is_as_long_as_stated_and_covers_nothing_that_is_asked_about(asked):
    bars = [row for row in asked if row["scale"] == "bar"]
    assert bars
    for row in bars:
        (image,) = (each["bytes"] for each in row["images"])
        there = (image == BAR_COLOUR).all(axis=2)
        lines, columns = np.flatnonzero(there.any(axis=1)), np.flatnonzero(there.any(axis=0))
        assert there.sum() == len(lines) * len(columns)
        stated = int(re.search(r"bar in the image is (\d+) mm", row["question"])[1])
        assert len(columns) == round(stated / row["pixel_mm"])
        assert not any((decode_mask(mask) & there).any() for mask in row["masks"])
    for row in asked:
        if row["scale"] != "bar":
            (image,) = (each["bytes"] for each in row["images"])
            assert image.ndim == 2 or not (image == BAR_COLOUR).all(axis=2).any()


@given(st.floats(0.1, 5), st.sampled_from([64, 128, 256, 512, 1024]))
def test_bars_have_usual_lengths_and_fit(pixel_mm, size):
    length = bar_length_mm(pixel_mm, size)
    assert length in (5, 10, 20, 50, 100, 200)
    if length > 5:
        assert bar_pixels(length, pixel_mm) <= 0.3 * size + 1


def test_where_nothing_is_free_there_is_no_place_for_a_bar():
    assert place_bar(20, np.ones((128, 128), bool)) is None
    covered = np.zeros((128, 128), bool)
    covered[64:] = True
    x0, _, x1, y1 = place_bar(20, covered)
    assert y1 <= 64
    assert x1 - x0 == 20


# Whoever sees only the image and the question


def test_an_oracle_that_reads_pixels_and_text_is_always_right(asked):
    for row in asked:
        (image,) = (each["bytes"] for each in row["images"])
        said = measure(image, row["question"])
        assert abs(said - row["value"]) <= row["tolerance"], (row["relation"], row["scale"], row["prompt"])
    assert len(asked) > 60
