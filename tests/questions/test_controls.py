"""Rows that are not plain slices: blank twins, turned pictures and stacks, in a built data set of phantoms."""

import io
import re
from collections import defaultdict

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from dataset_builder.building.builder import build
from dataset_builder.core.factors import DRAWN_PROMPTS
from dataset_builder.core.settings import Settings
from dataset_builder.pictures.render import DARK, LETTER_COLOURS, MARKER_COLOURS
from dataset_builder.slices.selection import load_slices
from dataset_builder.sources import open_source
from dataset_builder.vocabulary import structures

SETTINGS = Settings(
    slices_per_volume=3,
    questions_per_volume=200,
    stacks_per_volume=3,
    stack_size=5,
    stack_questions_per_volume=180,
    image_size=160,
    answer_types=("choice",),
)
# The ends of the axis that runs through the slices: (low, high).
THROUGH = {"sagittal": ("left", "right"), "coronal": ("posterior", "anterior"), "axial": ("inferior", "superior")}
WORDS = structures()


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Rows by config, the slices' included under "slice", and the store."""
    folder = tmp_path_factory.mktemp("controls")
    build([open_source("phantom:2")], folder / "mis-ground", SETTINGS, store=folder / "store")
    rows = defaultdict(list)
    for path in sorted((folder / "mis-ground" / "data").rglob("*.parquet")):
        config = path.parent.name if path.name == "test.parquet" else "slice"
        rows[config] += pq.read_table(path).to_pylist()
    return rows, folder / "store"


def pixels(image):
    return np.asarray(Image.open(io.BytesIO(image["bytes"])).convert("RGB"), int)


def asked(row):
    """What a row asks, and how, whatever picture it shows."""
    return (*(row[name] for name in ("fact_id", "prompt", "register", "convention", "frame")), row["id"][-1])


# --- blank -----------------------------------------------------------------------------------------------------------


def test_a_blank_twin_is_its_slice_row_but_for_the_picture(built):
    rows, _ = built
    marked = {asked(row): row for row in rows["slice"] if row["prompt"] in DRAWN_PROMPTS}
    assert len(rows["blank"]) == len(marked) > 100
    for blank in rows["blank"]:
        twin = marked[asked(blank)]
        different = {name for name in twin if twin[name] != blank[name]}
        assert different == {"id", "pair_id", "input", "images"}


def test_a_blank_canvas_has_markers_and_nothing_of_the_scan(built):
    rows, _ = built
    allowed = [DARK, (0, 0, 0), *MARKER_COLOURS.values(), *LETTER_COLOURS.values()]
    for row in rows["blank"][::7]:
        shown = pixels(row["images"][0])
        coloured = shown.reshape(-1, 3)[(shown.reshape(-1, 3) > 0).any(axis=1)]
        assert len(coloured)
        # Edges are blended and fills are light: every pixel is dark, or a mixture of marker colours and black.
        colour = np.array(allowed)
        direction = colour / np.maximum(np.linalg.norm(colour, axis=1, keepdims=True), 1)
        bright = coloured[coloured.max(axis=1) > 60]
        cosine = (bright / np.linalg.norm(bright, axis=1, keepdims=True)) @ direction.T
        assert cosine.max(axis=1).min() > 0.97


# --- views -----------------------------------------------------------------------------------------------------------


def test_turned_rows_ask_the_same_fact_of_a_turned_picture(built):
    rows, _ = built
    plain = {asked(row): row for row in rows["slice"]}
    shown = [row for row in rows["view"] if row["view"] not in ("occluded", "swapped")]
    assert {row["view"] for row in shown} == {"mirrored", "rotated90", "rotated180"}
    turn = {
        "mirrored": lambda p: p[:, ::-1],
        "rotated90": lambda p: np.rot90(p, -1),
        "rotated180": lambda p: np.rot90(p, 2),
    }
    compared = 0
    for row in shown:
        twin = plain[asked(row)]
        assert row["structures"] == twin["structures"]
        assert row["relation"] == twin["relation"]
        if row["prompt"] not in DRAWN_PROMPTS:
            np.testing.assert_array_equal(pixels(row["images"][0]), turn[row["view"]](pixels(twin["images"][0])))
            compared += 1
        said = {"mirrored": "left to right", "rotated90": "clockwise", "rotated180": "180 degrees|half a turn"}
        assert re.search(said[row["view"]], row["question"])
    assert compared > 10


def test_answers_in_the_image_frame_are_what_the_turned_points_show(built):
    rows, _ = built
    seen = set()
    for row in rows["view"]:
        if row["frame"] == "image":
            (ax, ay), (bx, by) = row["points"]
            truth = {"left": ax < bx, "right": ax > bx, "above": ay < by, "below": ay > by}
            assert truth[row["answer"]]
            seen.add((row["answer"], row["view"]))
    assert len(seen) >= 6


def test_the_prior_is_the_answer_of_the_picture_as_radiologists_show_it(built):
    """Mirrored: left and right are the other way round, above and below are not; a quarter turn has no such answer."""
    rows, _ = built
    opposite = {"left": "right", "right": "left", "above": "below", "below": "above"}
    counts = defaultdict(int)
    for row in [*rows["slice"], *rows["view"]]:
        if row["terminology"] == "anatomical" or row["relation"] not in ("right", "left", "anterior", "posterior"):
            continue
        if row["frame"] == "patient":
            assert row["prior_answer"] == row["answer"]
            continue
        turned_by_half = (row["convention"] == "ras") != (row["view"] == "rotated180")
        if row["view"] == "rotated90":
            assert row["prior_answer"] == ""
        elif row["view"] == "mirrored" and row["answer"] in ("left", "right"):
            wanted = row["answer"] if turned_by_half else opposite[row["answer"]]
            assert row["prior_answer"] == wanted
        else:
            wanted = opposite[row["answer"]] if turned_by_half else row["answer"]
            assert row["prior_answer"] == wanted
        counts[row["view"], row["prior_answer"] == row["answer"]] += 1
    assert counts["mirrored", False] > 0
    assert counts["plain", True] > 0


# --- stacks ----------------------------------------------------------------------------------------------------------


def test_the_images_follow_each_other_as_said(built):
    rows, _ = built
    orders = set()
    for row in rows["stack"]:
        assert len(row["images"]) == len(row["slice_index"]) == SETTINGS.stack_size
        rising = row["slice_index"] == sorted(row["slice_index"])
        assert rising or row["slice_index"] == sorted(row["slice_index"], reverse=True)
        if row["stack_order"] != "unstated":
            assert rising == (row["stack_order"] == "ascending")
            low, high = THROUGH[row["plane"]]
            if row["register"] == "clinical":
                words = {"left": "the patient's left", "right": "the patient's right"}
                first, last = (words.get(end, end) for end in ((low, high) if rising else (high, low)))
                assert f"from {first} to {last}." in row["question"]
        orders.add((row["stack_order"], rising))
    assert orders == {("ascending", True), ("descending", False), ("unstated", True), ("unstated", False)}


def areas_of(row, name, store):
    """Pixels of a structure in each image of a row, in the order shown, counted in the store's label maps."""
    records = {
        record.index: record
        for record in load_slices(store / row["source"] / f"{row['subject']}.parquet")
        if record.stack and record.plane == row["plane"]
    }
    first = next(iter(records.values()))
    value = next(value for value, of_value in first.names.items() if of_value == name)
    return [int((records[index].labels == value).sum()) for index in row["slice_index"]]


def test_every_answer_about_a_stack_is_what_its_label_maps_show(built):
    rows, store = built
    counts = defaultdict(int)
    for row in rows["stack"]:
        areas = {name: areas_of(row, name, store) for name in row["structures"]}
        centre = {name: np.average(row["slice_index"], weights=of) for name, of in areas.items()}
        kind = row["template"].split(".")[0]
        counts[kind] += 1
        if kind in ("largest", "first", "last"):
            (area,) = areas.values()
            options = [int(option.split()[1]) for option in row["options"]]
            answer = int(row["answer"].split()[1])
            shown = [number for number, of in enumerate(area, 1) if of]
            wanted = {
                "largest": max(options, key=lambda number: area[number - 1]),
                "first": min(shown),
                "last": max(shown),
            }
            assert answer == wanted[kind]
            assert answer in options
        elif kind == "order":
            low, high = THROUGH[row["plane"]]
            ascending = sorted(row["structures"], key=centre.get)
            ordered = ascending if row["relation"] == high else ascending[::-1]
            if row["prompt"] == "none":
                reported = [getattr(WORDS[name], row["register"]) for name in ordered]
            else:
                reported = ["ABC"[row["structures"].index(name)] for name in ordered]
            assert row["answer"] == ", ".join(reported)
        else:
            a, b = (centre[name] for name in row["structures"])
            low, high = THROUGH[row["plane"]]
            assert row["relation"] == (high if a > b else low)
    assert set(counts) >= {"largest", "first", "last", "order"}
    assert len(set(counts) & {"right_left", "anterior_posterior", "superior_inferior"}) >= 2


def test_a_marker_keeps_its_letter_and_is_where_its_structure_is(built):
    rows, store = built
    checked = 0
    for row in rows["stack"]:
        if row["prompt"] not in ("box", "mask") or len(row["structures"]) < 2:
            continue
        areas = [areas_of(row, name, store) for name in row["structures"]]
        for number, image in enumerate(row["images"]):
            shown = pixels(image)
            for letter, area in zip("ABC", areas, strict=False):
                there = (shown == MARKER_COLOURS[letter]).all(axis=2).any()
                assert there == (area[number] > 0)
                checked += 1
        for letter, box, number, area in zip("ABC", row["boxes"], row["box_images"], areas, strict=False):
            assert area[number] == max(area)
            if row["prompt"] == "mask":
                ys, xs = np.nonzero((pixels(row["images"][number]) == MARKER_COLOURS[letter]).all(axis=2))
                assert box[0] <= xs.min() <= xs.max() < box[2]
                assert box[1] <= ys.min() <= ys.max() < box[3]
    assert checked > 50


def test_the_two_of_a_pair_have_other_answers_and_the_same_options(built):
    rows, _ = built
    for config in ("stack", "blank", "view"):
        pairs = defaultdict(list)
        for row in rows[config]:
            if row["pair_id"]:
                pairs[row["pair_id"]].append(row)
        assert pairs
        for one, other in pairs.values():
            assert one["options"] == other["options"]
            assert one["answer"] != other["answer"]


def test_ids_are_unique_over_all_configs(built):
    rows, _ = built
    ids = [row["id"] for of_config in rows.values() for row in of_config]
    assert len(set(ids)) == len(ids)


# --- statement and options -------------------------------------------------------------------------------------------

AXES = {"axial": ("right", "anterior"), "coronal": ("right", "superior"), "sagittal": ("anterior", "superior")}
CLAIMS = {
    "to the right of": "right",
    "to the left of": "left",
    "anterior to": "anterior",
    "in front of": "anterior",
    "posterior to": "posterior",
    "behind": "posterior",
    "superior to": "superior",
    "closer to the head than": "superior",
    "inferior to": "inferior",
    "closer to the feet than": "inferior",
    "above": "above",
    "below": "below",
}


def originals(rows):
    return {asked(row): row for row in rows["slice"]}


@pytest.mark.parametrize("statement", ["name", "none"])
def test_a_question_that_says_less_of_the_convention_is_the_same_otherwise(built, statement):
    rows, _ = built
    known = originals(rows)
    found = [row for row in rows["statement"] if row["statement"] == statement]
    assert found
    for row in found:
        original = known[asked(row)]
        different = {name for name in row if row[name] != original[name]}
        assert different - {"pair_id"} == {"question", "statement", "id"}
        assert row["frame"] == "patient"
        assert row["question"].rsplit(". ", 1)[1] == original["question"].rsplit(". ", 1)[1]
        assert "edge of the image is" not in row["question"]
        assert ("radiolog" in row["question"]) == (statement == "name" and row["convention"] == "radiological")
        assert ("RAS" in row["question"]) == (row["convention"] == "ras")
    assert statement == "name" or {row["convention"] for row in found} == {"radiological"}


def test_shifted_options_bring_each_option_once_to_each_place(built):
    rows, _ = built
    known = originals(rows)
    forms = defaultdict(list)
    for row in rows["options"]:
        if row["option_form"] != "yes_no":
            forms[asked(row)].append(row)
            different = {name for name in row if row[name] != known[asked(row)][name]}
            assert different - {"pair_id"} == {"question", "options", "answer_index", "option_form", "id"}
    assert {len(known[key]["options"]) for key in forms} == {2, 4}
    for key, shifted in forms.items():
        offered = [known[key], *shifted]
        for place in range(len(offered[0]["options"])):
            assert sorted(row["options"][place] for row in offered) == sorted(offered[0]["options"])
        assert sorted(row["answer_index"] for row in offered) == list(range(len(offered)))


def test_yes_is_right_where_the_markers_lie_as_the_question_says(built):
    """By the places in the image, which no measure of the builder's has a part in."""
    rows, _ = built
    found = [row for row in rows["options"] if row["option_form"] == "yes_no"]
    pairs, judged = defaultdict(list), 0
    for row in found:
        assert sorted(row["options"]) == ["no", "yes"]
        pairs[row["pair_id"]].append(row["answer"])
        claims = [said for phrase, said in CLAIMS.items() if f" {phrase} " in row["question"].rsplit(". ", 1)[1]]
        if not claims:
            continue  # medial, proximal: not along an axis of the image
        (a, b), (claim,) = row["points"], claims
        across, up = AXES[row["plane"]]
        sign = 1 if row["convention"] == "radiological" else -1
        if row["frame"] == "image":
            lies = {"left": b[0] - a[0], "right": a[0] - b[0], "above": b[1] - a[1], "below": a[1] - b[1]}
        else:
            lies = {across: sign * (b[0] - a[0]), up: sign * (b[1] - a[1])}
            lies |= {{"right": "left", "anterior": "posterior", "superior": "inferior"}[k]: -v for k, v in lies.items()}
        assert lies[claim] != 0
        assert row["answer"] == ("yes" if lies[claim] > 0 else "no"), row["question"]
        judged += 1
    assert judged >= 10
    assert all(sorted(answers) == ["no", "yes"] for answers in pairs.values())
