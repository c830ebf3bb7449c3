"""Kinds of defects in images: markers, letters, slices, stacks, blank canvases. See :mod:`tests.helpers.planting`."""

from dataclasses import replace

import numpy as np
import pytest

from dataset_builder.core.factors import DRAWN_PROMPTS
from dataset_builder.pictures import render
from tests.helpers.defects import decode, encode
from tests.helpers.planting import blank, clean, drawn, drawn_two, kind, stack, stack_clean

DIFFERS = "An image differs from its slice outside the markers."


def _other_letters(planting, rows, letter_of):
    """Letters of other shapes, in the tint and at the marker of the right ones; '' erases them."""
    original = render.draw_letter

    def drawn_otherwise(shown, letter, rectangle, image_size):
        shape = letter_of(letter)
        if not shape:
            return
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(render, "LETTER_COLOURS", render.LETTER_COLOURS | {shape: render.LETTER_COLOURS[letter]})
            original(shown, shape, rectangle, image_size)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(render, "draw_letter", drawn_otherwise)
        for row in rows:
            row["images"] = [planting.draw(row, planting.record(row), row["structures"])]


@kind(drawn_two, markers="A marker has the letter of another one.")
def letters_exchanged_in_the_image(planting, rows):
    _other_letters(planting, rows, {"A": "B", "B": "A", "C": "C"}.get)


@kind(drawn, markers="A marker has no letter.")
def letters_erased_in_the_image(planting, rows):
    _other_letters(planting, rows, {}.get)


@kind(drawn_two, markers="colour")
def markers_exchanged_in_the_image(planting, rows):
    """Colour, letter and place: B's marker is at A."""
    for row in rows:
        row["images"] = [planting.draw(row, planting.record(row), row["structures"][::-1])]


def _elsewhere(planting, row):
    """Another structure of the slice in place of the first."""
    record = planting.record(row)
    there = {record.names[value] for value in np.unique(record.labels) if value}
    other = next(name for name in sorted(there) if name not in row["structures"])
    return [other, *row["structures"][1:]]


def _at(*prompts):
    return lambda row: drawn(row) and row["prompt"] in prompts


@kind(_at("mask"), markers="An overlay")
def the_overlay_of_another_structure(planting, rows):
    for row in rows:
        row["images"] = [planting.draw(row, planting.record(row), _elsewhere(planting, row))]


@kind(_at("box"), markers="A box does not surround its structure.")
def the_box_of_another_structure(planting, rows):
    for row in rows:
        row["images"] = [planting.draw(row, planting.record(row), _elsewhere(planting, row))]


@kind(_at("box"), markers="A box does not surround its structure.")
def boxes_a_little_aside(planting, rows):
    """By a twelfth of the image, inwards where there is no room."""
    original = render._frame

    def aside(target, box, *rest):
        off = target.shape[0] // 12
        off = off if box[2] + off < target.shape[0] - 4 else -off
        original(target, (box[0] + off, box[1], box[2] + off, box[3]), *rest)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(render, "_frame", aside)
        for row in rows:
            row["images"] = [planting.draw(row, planting.record(row), row["structures"])]


@kind(_at("point", "label"), markers="A dot does not lie on its structure.")
def the_dot_of_another_structure(planting, rows):
    for row in rows:
        row["images"] = [planting.draw(row, planting.record(row), _elsewhere(planting, row))]


@kind(drawn, markers="A marker is missing.")
def no_marker_drawn(planting, rows):
    for row in rows:
        row["images"] = [planting.draw(row | {"prompt": "none"}, planting.record(row), [])]


@kind(clean, markers="An image has a marker, but its question has none.")
def a_marker_drawn_where_none_is_to_be(planting, rows):
    for row in rows:
        row["images"] = [planting.draw(row | {"prompt": "box"}, planting.record(row), row["structures"][:1])]


# Slices


def _neighbour(planting, row):
    """The record of a row with the image of the nearest other slice of its plane; moved, if there is none."""
    record = planting.record(row)
    of = record.source, record.subject, record.plane
    same = [other for key, other in planting.records.items() if key[:3] == of and other.index != record.index]
    if not same:
        return replace(record, image=np.roll(record.image, 3, axis=1))
    return replace(record, image=min(same, key=lambda other: abs(other.index - record.index)).image)


@kind(drawn, pixels=DIFFERS)
def the_image_of_another_slice(planting, rows):
    """Markers are where they were."""
    for row in rows:
        row["images"] = [planting.draw(row, _neighbour(planting, row), row["structures"])]


@kind(clean, pixels=DIFFERS)
def the_image_of_a_slice_nearby(planting, rows):
    for row in rows:
        row["images"] = [planting.draw(row, _neighbour(planting, row), [])]


@kind(clean, pixels=DIFFERS)
def a_slice_a_voxel_aside(planting, rows):
    for row in rows:
        record = planting.record(row)
        row["images"] = [planting.draw(row, replace(record, image=np.roll(record.image, 1, axis=0)), [])]


@kind(lambda row: row["prompt"] == "none" and row["input"] == "slice", pixels=DIFFERS)
def the_image_of_another_subject(planting, rows):
    other = next(
        row
        for _, row in planting.ground.rows()
        if row["subject"] != rows[0]["subject"] and row["prompt"] == "none" and row["input"] == "slice"
    )
    images = [dict(image) for image in other["images"]]
    for row in rows:
        row["images"] = images


@kind(clean, pixels=DIFFERS)
def two_slices_mixed(planting, rows):
    for row in rows:
        record, other = planting.record(row), _neighbour(planting, row)
        mixed = (0.7 * record.image + 0.3 * other.image).astype(record.image.dtype)
        row["images"] = [planting.draw(row, replace(record, image=mixed), [])]


@kind(clean, pixels=DIFFERS)
def a_part_of_the_image_painted_over(planting, rows):
    for row in rows:
        image = decode(row).copy()
        image[60:70, 60:70] = 255 - image[60:70, 60:70]
        row["images"] = [encode(image)]


@kind(clean, pixels=DIFFERS)
def another_window_shown(planting, rows):
    for row in rows:
        other = "W1800 L400" if "W400" in row["window"] else "W400 L40"
        row["images"] = [planting.draw(row | {"window": f"other {other}"}, planting.record(row), [])]


@kind(clean, orientation="mirrored otherwise")
def the_image_mirrored(planting, rows):
    for row in rows:
        row["images"] = [encode(decode(row)[:, ::-1])]


@kind(clean, orientation="mirrored otherwise")
def the_other_convention_shown(planting, rows):
    for row in rows:
        row["images"] = [encode(decode(row)[::-1, ::-1])]


@kind(lambda row: row["view"] == "rotated90" and row["prompt"] not in DRAWN_PROMPTS, orientation="mirrored otherwise")
def turned_the_other_way_in_the_image(planting, rows):
    for row in rows:
        row["images"] = [encode(decode(row)[::-1, ::-1])]


# Stacks


@kind(stack_clean, pixels=DIFFERS)
def a_stack_reversed(planting, rows):
    for row in rows:
        row["images"] = row["images"][::-1]


@kind(stack_clean, pixels=DIFFERS)
def two_images_of_a_stack_exchanged(planting, rows):
    for row in rows:
        row["images"][1], row["images"][2] = row["images"][2], row["images"][1]


@kind(stack_clean, pixels=DIFFERS)
def an_image_of_a_stack_twice(planting, rows):
    for row in rows:
        row["images"][2] = dict(row["images"][1])


@kind(stack_clean, pictures="not one image for each slice")
def an_image_of_a_stack_lost(planting, rows):
    for row in rows:
        row["images"] = row["images"][:-1]


def stack_of_boxes(row):
    return stack(row) and row["prompt"] == "box" and row["modality"] == "ct"


@kind(stack_of_boxes, markers="A marker is missing.")
def a_marker_of_a_stack_left_out(planting, rows):
    """In an image that is not the one in which the structure is largest."""
    for row in rows:
        for number in range(len(row["images"])):
            record = planting.record(row, number)
            values = {name: value for value, name in record.names.items()}
            there = [name for name in row["structures"] if (record.labels == values[name]).any()]
            if there and number not in row["box_images"]:
                row["images"][number] = planting.draw(row | {"prompt": "none"}, record, [])


# Blank canvases


@kind(blank, blanks="shows more than markers")
def the_scan_faintly_on_a_blank_canvas(planting, rows):
    for row in rows:
        record = planting.record(row)
        scan = planting.draw(row | {"input": "slice", "prompt": "none"}, record, [])
        image, faint = decode(row).copy(), decode({"images": [scan]}) // 60
        dark = (image == 0).all(axis=2)
        image[dark] = faint[dark][:, None] if faint.ndim == 2 else faint[dark]
        row["images"] = [encode(image)]


@kind(blank, blanks="shows more than markers")
def a_gradient_on_a_blank_canvas(planting, rows):
    for row in rows:
        image = decode(row).copy()
        dark = (image == 0).all(axis=2)
        steps = np.arange(len(image))[:, None] // 32 * np.ones(len(image), int)
        image[dark] = steps[dark][:, None]
        row["images"] = [encode(image)]


@kind(blank, "everywhere", "cell", blanks="Blank canvases have different greys.")
def blank_canvases_of_a_grey_that_tells_the_answer(planting, rows):
    for row in rows:
        image = decode(row).copy()
        image[(image == 0).all(axis=2)] = 3 * row["answer_index"]
        row["images"] = [encode(image)]


# What only a program sees


@kind(drawn_two, pixels="differ")  # from the slice or, where that is too little to tell, from its other images
def brightness_that_tells_the_answer(planting, rows):
    for row in rows:
        image = decode(row).astype(int)
        grey = (image.max(axis=2) == image.min(axis=2)) & (image[..., 0] < 255)
        image[grey] += row["answer_index"]
        row["images"] = [encode(image.astype(np.uint8))]


@kind(drawn_two, pixels="Images of one slice differ")
def the_lowest_bit_of_a_pixel_that_tells_the_answer(planting, rows):
    for row in rows:
        image = decode(row).copy()
        image[0, :8] = image[0, :8] // 2 * 2 + row["answer_index"]
        row["images"] = [encode(image)]


@kind(clean, pixels="Images of one slice differ")
def the_lowest_bits_of_unmarked_images_that_tell_the_answer(planting, rows):
    for row in rows:
        image = decode(row).copy()
        image[0, :8] = image[0, :8] // 2 * 2 + (row["answer_index"] >> np.arange(8) & 1).astype(np.uint8)
        row["images"] = [encode(image)]
