"""Kinds of defects in questions for places and numbers: texts, truths, masks, lines, scale bars."""

import re

import numpy as np

from dataset_builder.imaging.masks import decode_mask, encode_mask
from dataset_builder.pictures.scale_bar import BAR_COLOUR
from tests.helpers.defects import decode, encode
from tests.helpers.planting import anything, kind

BAR = BAR_COLOUR[::-1]
"""As OpenCV decodes it."""
SIDES = {"left": "right", "right": "left"}
LETTERS = {"A": "B", "B": "A", "C": "C"}

# Places ---------------------------------------------------------------------------------------------------------------


def told(*relations):
    return lambda row: row["relation"] in relations and row["input"] == "slice"


def by_name(row):
    return row["relation"] == row["structures"][0] and row["input"] == "slice"


def of_stack(row):
    return row["input"] == "stack"


def _say_place(row):
    place = row["boxes"][0] if row["answer_type"] == "box" else row["points"][0]
    image = "" if row["answer_image"] is None else f"image {row['answer_image'] + 1}: "
    row["answer"] = f"{image}{list(place)}"


def _replace(row, pattern, by):
    row["question"], count = re.subn(pattern, by, row["question"])
    assert count, row["question"]


@kind(by_name, wants="place", boxes="A mask is not that of its structure.")
def all_places_mirrored(planting, rows):
    """Left for right, consistently in every column."""
    for row in rows:
        size = decode(row).shape[0]
        row["boxes"] = [[size - x1, y0, size - x0, y1] for x0, y0, x1, y1 in row["boxes"]]
        row["points"] = [[size - 1 - x, y] for x, y in row["points"]]
        row["masks"] = [encode_mask(decode_mask(mask)[:, ::-1]) for mask in row["masks"]]
        _say_place(row)


@kind(by_name, wants="place", boxes="A box is not the box of its mask.")
def boxes_a_pixel_too_wide(planting, rows):
    for row in rows:
        row["boxes"][0][0] -= 1
        _say_place(row)


@kind(lambda row: by_name(row) and row["answer_type"] == "point", wants="place", boxes="A point does not lie on its")
def points_in_the_corner_of_their_box(planting, rows):
    for row in rows:
        mask = decode_mask(row["masks"][0])
        x0, y0, x1, y1 = row["boxes"][0]
        off = np.argwhere(~mask[y0:y1, x0:x1])
        row["points"][0] = [int(off[0][1]) + x0, int(off[0][0]) + y0] if len(off) else [x1, y1]
        _say_place(row)


@kind(anything, wants="place", boxes="A mask is not that of its structure.")
def masks_with_a_hole(planting, rows):
    for row in rows:
        mask = decode_mask(row["masks"][0]).copy()
        y, x = np.argwhere(mask).mean(axis=0).astype(int)
        inside = np.argwhere(mask)
        y, x = inside[np.abs(inside - (y, x)).sum(axis=1).argmin()]
        mask[y, x] = False
        row["masks"][0] = encode_mask(mask)


@kind(anything, wants="place", boxes="A mask has another size than its image.")
def masks_of_another_size(planting, rows):
    for row in rows:
        mask = decode_mask(row["masks"][0])
        row["masks"][0] = encode_mask(np.pad(mask, ((0, 2), (0, 2))))


@kind(anything, "row", wants="place", schema="There is not one mask for each structure.")
def a_mask_lost(planting, rows):
    for row in rows:
        row["masks"] = row["masks"][:-1]


@kind(anything, wants="place", answers="The answer is not the box or point of the row.")
def another_place_as_the_answer(planting, rows):
    for row in rows:
        row["answer"] = row["answer"].replace("[", "[1")


@kind(by_name, wants="place", text="describes something else")
def the_question_names_something_else(planting, rows):
    for row in rows:
        _replace(row, r"Where (is|are) the .*\?", "Where is the xiphoid process?")


@kind(told("left", "right"), wants="place", text="describes something else")
def the_other_side_in_the_question(planting, rows):
    for row in rows:
        pattern = r"(?<=own )(left|right)|(?<=on the patient's )(left|right)"
        if row["frame"] == "image":
            # In the frame of the image the place decides, not a column.
            row["frame"] = "patient"
        else:
            _replace(row, pattern, lambda found: SIDES[found[0]])


@kind(told("left", "right"), wants="place", answers="What a question asks for is not there, or not alone.")
def the_other_one_of_a_pair(planting, rows):
    for row in rows:
        for name in ("structures", "boxes", "points", "masks"):
            row[name] = row[name][::-1]
        _say_place(row)


@kind(told("superior", "inferior"), wants="place", answers="What a question asks for is not there, or not alone.")
def the_neighbour_on_the_other_side(planting, rows):
    swap = {"superior": "inferior", "inferior": "superior", "head": "feet", "feet": "head"}
    for row in rows:
        row["relation"] = swap[row["relation"]]
        head, where, asked = row["question"].rpartition("Where ")
        row["question"] = head + where + re.sub("superior|inferior|head|feet", lambda found: swap[found[0]], asked)


@kind(told("superior", "inferior"), wants="place", text="describes something else")
def the_neighbour_on_the_other_side_in_the_question(planting, rows):
    swap = {"superior": "inferior", "inferior": "superior", "head": "feet", "feet": "head"}
    for row in rows:
        head, where, asked = row["question"].rpartition("Where ")
        row["question"] = head + where + re.sub("superior|inferior|head|feet", lambda found: swap[found[0]], asked)


@kind(
    told("same side", "opposite sides"), wants="place", answers="What a question asks for is not there, or not alone."
)
def the_other_half_of_the_body(planting, rows):
    swap = {"same side": "opposite sides", "opposite sides": "same side"}
    words = {"on the same side of the body as": "on the other side of the body from"}
    words |= {"in the same half of the body as": "in the other half of the body, away from"}
    words |= {other: one for one, other in words.items()}
    for row in rows:
        row["relation"] = swap[row["relation"]]
        _replace(row, "|".join(words), lambda found: words[found[0]])


@kind(told("larger", "smaller"), wants="place", answers="What a question asks for is not there, or not alone.")
def the_smaller_one_for_the_larger(planting, rows):
    swap = {"larger": "smaller", "smaller": "larger", "bigger": "smaller"}
    for row in rows:
        _replace(row, "larger|bigger|smaller", lambda found: swap[found[0]])
        row["relation"] = swap[row["relation"]]


@kind(anything, wants="place", text="wants something else")
def a_point_is_wanted_for_a_box(planting, rows):
    for row in rows:
        row["answer_type"] = "point" if row["answer_type"] == "box" else "box"
        _say_place(row)


@kind(told("superior", "inferior", "left", "right"), wants="place", text="names a structure that it describes or marks")
def what_is_described_is_named(planting, rows):
    for row in rows:
        word = row["structures"][0]
        row["question"] = row["question"].replace("Where", f"It is the {word.replace('_', ' ')}. Where")


@kind(of_stack, wants="place", answers="An image that is asked for is wrong.")
def another_image_of_a_stack(planting, rows):
    for row in rows:
        row["answer_image"] = (row["answer_image"] + 1) % len(row["images"])
        _say_place(row)


@kind(of_stack, "row", wants="place", schema="The image that is asked for is none of the row's images.")
def an_image_that_a_stack_has_not(planting, rows):
    for row in rows:
        row["answer_image"] = len(row["images"])


@kind(by_name, wants="place", columns="The margin differs from that of the structures.")
def a_margin_of_a_place_too_large(planting, rows):
    for row in rows:
        row["margin_mm"] += 500


# Numbers --------------------------------------------------------------------------------------------------------------


def measured(*relations, scale=None):
    return lambda row: row["relation"] in relations and (scale is None or row["scale"] in scale)


def at_structures(row):
    return bool(row["structures"])


def at_lines(row):
    return not row["structures"]


def _say_value(row, value):
    unit = {"mm": " mm", "degree": " degrees", "ratio": ""}[row["unit"]]
    digits = 2 if row["unit"] == "ratio" else 0 if value >= 10 else 1
    row["value"] = value
    row["answer"] = f"{value:.{digits}f}{unit}"


@kind(at_structures, wants="number", answers="The measurement is wrong.")
def measurements_a_twentieth_too_long(planting, rows):
    for row in rows:
        _say_value(row, 1.05 * row["value"])


@kind(at_lines, wants="number", answers="The measurement is wrong.")
def thicknesses_a_tenth_too_long(planting, rows):
    for row in rows:
        _say_value(row, 1.1 * row["value"])


@kind(anything, wants="number", answers="The tolerance")
def tolerances_twice_as_wide(planting, rows):
    for row in rows:
        row["tolerance"] *= 2


@kind(anything, wants="number", answers="The answer is not the measurement, rounded.")
def another_number_as_the_answer(planting, rows):
    for row in rows:
        row["answer"] = f"1{row['answer']}"


@kind(measured("distance", "longest diameter", scale=("text",)), wants="number", text="states another size of a pixel")
def another_size_of_a_pixel_in_the_question(planting, rows):
    for row in rows:
        _replace(row, r"each pixel is [\d.]+", f"each pixel is {row['pixel_mm'] * 1.02:.4g}")


@kind(lambda row: row["scale"] == "bar", wants="number", markers="The scale bar is not as long as the question says.")
def another_length_of_the_scale_bar_in_the_question(planting, rows):
    for row in rows:
        _replace(row, r"image is (\d+) mm", lambda found: f"image is {int(int(found[1]) * 1.5)} mm")


@kind(lambda row: row["scale"] == "bar", wants="number", markers="The scale bar is not as long as the question says.")
def a_scale_bar_too_short(planting, rows):
    for row in rows:
        image = decode(row).copy()
        there = np.argwhere((image == BAR).all(axis=2))
        image[there[:, 0], there[:, 1].max()] = 16
        image[there[:, 0], there[:, 1].max() - 1] = 16
        row["images"] = [encode(image)]


@kind(
    lambda row: row["scale"] == "bar" and at_structures(row),
    wants="number",
    markers="The scale bar covers what is asked about.",
)
def a_scale_bar_on_the_structure(planting, rows):
    for row in rows:
        image = decode(row).copy()
        there = np.argwhere((image == BAR).all(axis=2))
        low, high = there.min(axis=0), there.max(axis=0) + 1
        image[low[0] : high[0], low[1] : high[1]] = 16
        mask = np.argwhere(decode_mask(row["masks"][0]))
        start = np.minimum(mask[len(mask) // 2], np.array(image.shape[:2]) - (high - low) - 1)
        image[start[0] : start[0] + high[0] - low[0], start[1] : start[1] + high[1] - low[1]] = BAR
        row["images"] = [encode(image)]


@kind(lambda row: row["scale"] in ("text", "bar"), wants="number", text="gives another scale than the row")
def the_other_scale_in_the_column(planting, rows):
    for row in rows:
        row["scale"] = "bar" if row["scale"] == "text" else "text"


@kind(
    lambda row: row["unit"] == "mm", "row", wants="number", schema="The scale of a question does not go with its unit."
)
def millimetres_as_a_ratio(planting, rows):
    for row in rows:
        row["unit"] = "ratio"


@kind(
    measured("longest diameter", "perpendicular diameter"),
    wants="number",
    text="The question asks for something other than the column relation.",
)
def another_measure_in_the_column(planting, rows):
    swap = {"longest diameter": "perpendicular diameter", "perpendicular diameter": "longest diameter"}
    for row in rows:
        row["relation"] = swap[row["relation"]]


@kind(
    lambda row: row["unit"] == "ratio" and (len(row["structures"]) > 1 or len(row["points"]) == 4),
    wants="number",
    text="The question measures other structures than the row, or in another order.",
)
def what_is_divided_by_what_exchanged(planting, rows):
    for row in rows:
        head, dot, asked = row["question"].rpartition(". ")
        asked = re.sub(r"(?<=marked )[ABC]\b|(?<=line )[AB]\b", lambda found: LETTERS[found[0]], asked)
        row["question"] = head + dot + asked


@kind(
    lambda row: row["relation"] == "distance" and row["prompt"] == "mask",
    wants="number",
    text="takes other centres than its markers show",
)
def centres_of_boxes_for_centroids(planting, rows):
    for row in rows:
        _replace(row, "the centroid of its coloured area", "the centre of its box")


@kind(at_lines, wants="number", markers="A line does not run between the points of its row.")
def lines_drawn_elsewhere(planting, rows):
    for row in rows:
        row["points"] = [[x, y - 3] if y > 20 else [x, y + 3] for x, y in row["points"]]
