"""The forms of coordinates: written and read back, asked for in words, and taken from a model's name."""

import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataset_builder.questions.wording import marker_sentence
from lm_eval_tasks.mis_ground.coordinates import (
    FORMS,
    CoordinatesError,
    Space,
    automatic_form,
    family_of,
    in_form,
    resized28,
    table,
)
from lm_eval_tasks.mis_ground.localization import overlap
from lm_eval_tasks.mis_ground.reading.places import read_place
from lm_eval_tasks.mis_ground.settings import RunSettings, RunSettingsError

SIDES = st.integers(0, 511)


@st.composite
def boxes(draw):
    xs, ys = (sorted(draw(st.tuples(SIDES, SIDES).filter(lambda pair: abs(pair[0] - pair[1]) > 7))) for _ in range(2))
    return xs[0], ys[0], xs[1] + 1, ys[1] + 1


@pytest.mark.parametrize("form", FORMS)
@settings(max_examples=40, deadline=None)
@given(box=boxes())
def test_a_box_that_is_written_is_read_back(form, box):
    space = Space(form, 512, 512)
    found = read_place(space.write_box(box), "box", space)
    assert found.status == "read"
    assert max(abs(a - b) for a, b in zip(found.values, box, strict=True)) <= 0.52
    swapped = (box[2], box[3], box[0], box[1])
    assert read_place(space.write_box(swapped), "box", space).values == found.values


@pytest.mark.parametrize("form", FORMS)
@settings(max_examples=40, deadline=None)
@given(point=st.tuples(SIDES, SIDES))
def test_a_point_that_is_written_is_read_back(form, point):
    space = Space(form, 512, 512)
    found = read_place(space.write_point(point), "point", space).values
    reach = 1 if form == "pixel28" else 0  # an image made smaller has fewer pixels
    assert max(abs(a - b) for a, b in zip(found, point, strict=True)) <= reach


@pytest.mark.parametrize("form", FORMS)
def test_a_position_on_a_sheet_is_one_in_its_panel(form):
    space = Space(form, 128, 128, sent=(256, 312), origins=((0, 28), (128, 28), (0, 184), (128, 184)))
    box = (30, 40, 70, 90)
    found = read_place(f"image 4: {space.write_box(box, 3)}", "box", space, images=4)
    assert found.image == 3
    assert overlap(found.values, box) > 0.95
    assert Space.from_json(json.loads(json.dumps(space.to_json()))) == space
    if form != "pixel28":
        elsewhere = read_place(f"image 1: {space.write_box(box, 3)}", "box", space, images=4)
        assert overlap(elsewhere.values, box) == 0


@settings(max_examples=60, deadline=None)
@given(st.integers(29, 3000), st.integers(29, 3000))
def test_the_size_that_qwen_sees_is_that_of_its_own_processor(width, height):
    from transformers.models.qwen2_vl.image_processing_qwen2_vl import smart_resize

    for fewest, most in ((3136, 12845056), (56 * 56, 1003520), (256 * 784, 1280 * 784)):
        down, across = smart_resize(height, width, 28, fewest, most)
        assert resized28(width, height, fewest, most) == (across, down)


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet="[](){}<>,;:.0123456789 -x=yloc\n\"'", max_size=60), st.sampled_from(FORMS))
def test_any_reply_is_read_or_said_to_be_unread_and_never_outside_the_image(reply, form):
    for kind in ("box", "point"):
        found = read_place(reply, kind, Space(form, 512, 512))
        assert (found.option is None) == (found.status != "read")
        assert all(math.isfinite(number) and 0 <= number <= 512 for number in found.values)
        if kind == "box" and found.values:
            assert found.values[0] < found.values[2]
            assert found.values[1] < found.values[3]


# ------------------------------------------------------------------------------------------------------------- words


QUESTION = "This is an axial CT slice. {} Is structure A right or left of structure B?\nOptions: right; left"
TWO = ((10, 20, 110, 220), (256, 256, 512, 512)), ((60, 120), (384, 384))


@pytest.mark.parametrize("prompt", ["text_point", "text_box"])
def test_a_text_prompt_is_put_into_each_form(prompt):
    stored = QUESTION.format(marker_sentence(prompt, "AB", *TWO, 512))
    row = {"question": stored, "prompt": prompt, "boxes": TWO[0], "points": TWO[1]}
    assert in_form(**row, space=Space("pixel", 512, 512)) == stored
    for form in FORMS[1:]:
        space = Space(form, 512, 512)
        asked = in_form(**row, space=space)
        write = space.write_point if prompt == "text_point" else space.write_box
        if form != "pixel28":
            assert "pixel" not in asked
            assert all(write(position) in asked for position in (TWO[1] if prompt == "text_point" else TWO[0]))
        else:
            assert "504 x 504 pixels" in asked
            assert ("(59, 118)" if prompt == "text_point" else "from (10, 20) to (108, 217)") in asked
        assert asked.startswith("This is an axial CT slice. ")
        assert asked.endswith(" Is structure A right or left of structure B?\nOptions: right; left")


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: text.replace("pixel (60, 120)", "pixel (61, 120)"),
        lambda text: text.replace("Structure B is", "Structure B lies"),
        lambda text: text + " " + text,
        lambda text: text.replace("512 x 512", "640 x 640"),
    ],
)
def test_a_question_without_the_sentences_of_its_row_is_an_error(spoil):
    stored = spoil(QUESTION.format(marker_sentence("text_point", "AB", *TWO, 512)))
    with pytest.raises(CoordinatesError, match="question"):
        in_form(stored, "text_point", *TWO, Space("norm1", 512, 512))


def test_other_prompts_stay_as_they_are():
    assert in_form("Where?", "none", *TWO, Space("norm1", 512, 512)) == "Where?"


def test_every_form_says_which_number_comes_first():
    for form in FORMS:
        words = table()["forms"][form]["counts"]
        assert (words.index(" y ") < words.index(" x ")) == (table()["forms"][form]["order"] == "yx")


# ------------------------------------------------------------------------------------------------------------ models


@pytest.mark.parametrize(
    ("model", "form"),
    [
        ("Qwen/Qwen2-VL-7B-Instruct", "norm1000"),
        ("Qwen/Qwen2.5-VL-72B-Instruct-AWQ", "pixel28"),
        ("qwen2.5vl:7b", "pixel28"),
        ("Qwen/Qwen3-VL-32B-Instruct", "norm1000"),
        ("OpenGVLab/InternVL3-8B-hf", "norm1000"),
        ("OpenGVLab/InternVL2_5-8B", "norm1000"),
        ("gemini-2.5-flash", "yx1000"),
        ("models/gemini-3-pro-preview", "yx1000"),
        ("google/paligemma2-3b-mix-448", "loc1024"),
        ("allenai/Molmo-7B-D-0924", "percent"),
        ("google/medgemma-1.5-4b-it", "yx1000"),
        ("zai-org/GLM-4.5V", "norm1000"),
        ("zai-org/GLM-4.1V-9B-Thinking", "norm1000"),
    ],
)
def test_the_form_is_taken_from_the_models_name(model, form):
    assert automatic_form(model) == form
    found = RunSettings.from_metadata({"coordinates": "auto", "pretrained": model})
    assert found.coordinates == form
    assert found.as_dict()["coordinates"] == form
    assert "http" in found.notes()["coordinates_from"]


@pytest.mark.parametrize(
    "model",
    [
        "moonshotai/Kimi-VL-A3B-Instruct",
        "google/medgemma-4b-it",
        "google/medgemma-27b-it",
        "google/gemma-3-4b-it",
        "microsoft/llava-med-v1.5-mistral-7b",
        "someone/new-vlm",
        "gpt-5",
        "/data/gemini/other",
        None,
    ],
)
def test_a_family_without_a_documented_form_is_refused_with_the_remedy(model):
    with pytest.raises(RunSettingsError, match=r"Declare one: --metadata '\{\"coordinates\": \"norm1000\"\}'"):
        RunSettings.from_metadata({"coordinates": "auto"} | ({"pretrained": model} if model else {}))


def test_a_folder_is_known_by_its_models_type(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "qwen3_vl"}')
    assert automatic_form(str(tmp_path)) == "norm1000"


def test_the_small_model_has_a_form():
    from lm_eval_tasks.small_vlm import CHECKPOINT

    assert family_of(str(CHECKPOINT)).form in FORMS


def test_every_family_names_its_source():
    for row in table()["families"]:
        assert set(row) - {"remedy"} == {"name", "pattern", "types", "form", "source"}
        assert row["form"] in (*FORMS, None)
        assert row["source"]
        assert row["form"] is not None or row["remedy"]


def test_an_unknown_form_is_refused():
    with pytest.raises(RunSettingsError, match="'coordinates' is 'normalised', but takes one of: pixel, "):
        RunSettings.from_metadata({"coordinates": "normalised"})


def test_the_default_is_pixel_and_says_nothing_more():
    assert RunSettings().as_dict() == {"style": "direct", "letters": False, "stack": "images", "coordinates": "pixel"}
    assert RunSettings().notes() == {}
