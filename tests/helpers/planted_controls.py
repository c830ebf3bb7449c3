"""Kinds of defects in controls: what is stated, how options are offered, hidden structures, other subjects' slices."""

import numpy as np

from tests.helpers.defects import decode
from tests.helpers.planted_texts import change_asked, exchange
from tests.helpers.planting import encode_rgb, kind

FORMS = "differs from its original in more"
SEEN = "A structure that is to be hidden is seen."


def _yes_no(row):
    return row["option_form"] == "yes_no"


def _hidden(row):
    """Of a size that fills some blocks of an image as small as these."""
    boxes = [(x1 - x0, y1 - y0) for x0, y0, x1, y1 in row["boxes"]]
    return row["view"] == "occluded" and all(min(box) >= 12 for box in boxes)


def _original(planting, row):
    """The row that a control is derived from, of the other answer if it shows another slice."""
    how = ("fact_id", "prompt", "register", "convention", "frame")
    for _, other in planting.ground.rows():
        plain = (other["input"], other["view"], other["statement"], other["option_form"])
        is_one = plain == ("slice", "plain", "edges", "listed") and all(other[name] == row[name] for name in how)
        if is_one and (other["answer"] == row["answer"]) == (row["view"] != "swapped"):
            return other
    raise LookupError(row["id"])


@kind(lambda row: row["statement"] != "edges", text="which its row leaves out")
def the_edges_stated_that_are_not_to_be(planting, rows):
    for row in rows:
        first, dot, rest = row["question"].partition(". ")
        row["question"] = f"{first}: the left edge of the image is anterior, the top edge is superior{dot}{rest}"


@kind(lambda row: row["statement"] == "none", text="does not state the convention, or states another")
def the_convention_named_that_is_not_to_be(planting, rows):
    for row in rows:
        row["question"] = row["question"].replace(" slice", " slice in radiological convention", 1)


@kind(lambda row: row["statement"] == "name" and row["convention"] == "radiological", forms=FORMS)
def another_direction_asked_than_by_the_original(planting, rows):
    for row in rows:
        stem, options = row["question"].rsplit("\n", 1)
        row["question"] = f"{stem.removesuffix('?')}, would you say?\n{options}"


@kind(_yes_no, answers="An answer is wrong.")
def the_opposite_to_be_confirmed(planting, rows):
    pairs = (
        *(("to the left of", "to the right of"), ("anterior to", "posterior to"), ("in front of", "behind")),
        *(("superior to", "inferior to"), ("closer to the head", "closer to the feet"), ("above", "below")),
        *(("medial to", "lateral to"), ("closer to the middle", "farther from the middle")),
        *(("proximal to", "distal to"), ("closer to the trunk", "farther from the trunk")),
    )
    for row in rows:
        for one, other in pairs:
            change_asked(row, lambda text, one=one, other=other: exchange(text, one, other))


@kind(_yes_no, text="does not ask to confirm one direction")
def nothing_to_be_confirmed(planting, rows):
    for row in rows:
        change_asked(row, lambda text: text.split(",")[0] + ", is it so?")


@kind(_yes_no, answers="An answer is wrong.")
def yes_for_no(planting, rows):
    for row in rows:
        row["answer_index"] = 1 - row["answer_index"]
        row["answer"] = row["options"][row["answer_index"]]


@kind(lambda row: row["option_form"] in ("shifted2", "shifted3"), "row", forms="not its original's, shifted")
def options_shifted_by_less_than_said(planting, rows):
    for row in rows:
        options = row["options"][-1:] + row["options"][:-1]
        row["question"] = row["question"].replace("; ".join(row["options"]), "; ".join(options))
        row["options"], row["answer_index"] = options, options.index(row["answer"])


@kind(_hidden, "row", occluded="shows its original's image")
def nothing_hidden(planting, rows):
    for row in rows:
        row["images"] = [dict(image) for image in _original(planting, row)["images"]]


@kind(_hidden, occluded=SEEN)
def the_hidden_structures_faintly_seen(planting, rows):
    """A third of their contrast is left."""
    for row in rows:
        plain = planting.draw(row, planting.record(row), row["structures"])
        was = np.asarray(decode(row | {"images": [plain]}), float)
        shown = np.asarray(decode(row), float)
        if was.shape != shown.shape:
            was = was[..., 0] if was.ndim > shown.ndim else np.repeat(was[..., None], 3, axis=2)
        row["images"] = [encode_rgb(np.round(0.2 * shown + 0.8 * was).astype(np.uint8))]


@kind(_hidden)
def hidden_under_white(planting, rows):
    for row in rows:
        shown = np.array(decode(row))
        for x0, y0, x1, y1 in row["boxes"]:
            shown[y0:y1, x0:x1] = 255
        row["images"] = [encode_rgb(shown)]


@kind(lambda row: row["view"] == "occluded", "row", occluded="differs from its original in more than the image")
def hidden_and_another_prior(planting, rows):
    for row in rows:
        row["margin_mm"] += 0.5


@kind(lambda row: row["view"] == "swapped", "row", swapped="shows the slice of the same subject")
def swapped_with_itself(planting, rows):
    """What the original's inverse asks, under the name of a swapped row."""
    kept = ("id", "pair_id", "view")
    for row in rows:
        original = _original(planting, row)
        pair = [other for _, other in planting.ground.rows() if other["pair_id"] == original["pair_id"]]
        other = next((each for each in pair if each["id"] != original["id"]), original)
        row |= {name: value for name, value in other.items() if name not in kept}


@kind(lambda row: row["view"] == "swapped" and row["prompt"] != "none", "row", swapped="does not have exactly one")
def swapped_and_of_no_original(planting, rows):
    for row in rows:
        row["fact_id"] = row["fact_id"][::-1]


@kind(lambda row: row["view"] == "swapped" and row["prompt"] != "none", "row", swapped="in more than the slice")
def swapped_in_other_words(planting, rows):
    for row in rows:
        stem, options = row["question"].rsplit("\n", 1)
        row["question"] = f"{stem.removesuffix('?')}, please?\n{options}"
