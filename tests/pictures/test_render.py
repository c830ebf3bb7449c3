"""Images: grey values, and markers that say exactly where a structure is."""

import io
import itertools

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy import ndimage

from dataset_builder.core.factors import CONVENTIONS, DRAWN_PROMPTS
from dataset_builder.pictures import render
from dataset_builder.pictures.letters import Mark, Strokes
from dataset_builder.pictures.placement import placements
from dataset_builder.pictures.render import (
    LETTER_COLOURS,
    MARKER_COLOURS,
    Window,
    choose_window,
    draw,
    draw_markers,
    encode_png,
)
from dataset_builder.slices.selection import SliceRecord
from tests.helpers.marker_pixels import centre_of, of_colour

SOFT = Window("soft tissue", -160, 240)


def record(labels, names, image=None, spacing=(2.0, 2.0), modality="ct", intensity_range=(0.0, 100.0)):
    """An axial slice with these labels [U, V]."""
    labels = np.asarray(labels, np.uint8)
    return SliceRecord(
        source="test",
        subject="one",
        modality=modality,
        licence="",
        side=None,
        plane="axial",
        index=0,
        image=np.zeros(labels.shape, np.int16) if image is None else image,
        labels=labels,
        names=names,
        spacing=spacing,
        thickness_mm=2.0,
        affine=np.diag([*spacing, 2.0, 1.0]),
        volume_shape=(*labels.shape, 1),
        midline_mm=None,
        intensity_range=intensity_range,
    )


@pytest.fixture
def two_organs():
    labels = np.zeros((64, 48), np.uint8)
    labels[5:20, 8:30] = 1
    labels[40:50, 20:28] = 2
    return record(labels, {1: "liver", 2: "spleen"}, image=np.where(labels > 0, 100, 0).astype(np.int16))


def test_letters_and_colours_belong_to_the_order_not_to_the_side(two_organs):
    for prompt in DRAWN_PROMPTS:
        there = draw(two_organs, "ras", prompt, ("liver", "spleen"), SOFT, 256)
        back = draw(two_organs, "ras", prompt, ("spleen", "liver"), SOFT, 256)
        np.testing.assert_allclose(centre_of(of_colour(there, "A")), centre_of(of_colour(back, "B")), atol=1)
        np.testing.assert_allclose(centre_of(of_colour(there, "B")), centre_of(of_colour(back, "A")), atol=1)


@st.composite
def boxes(draw, size=160):
    """One to three boxes, anywhere in the picture, each with a point in it."""
    found = []
    for _ in range(draw(st.integers(1, 3))):
        x0, y0 = draw(st.integers(0, size - 12)), draw(st.integers(0, size - 12))
        x1, y1 = draw(st.integers(x0 + 12, size)), draw(st.integers(y0 + 12, size))
        point = (draw(st.integers(x0, x1 - 1)), draw(st.integers(y0, y1 - 1)))
        found.append(((x0, y0, x1, y1), point))
    return found


def filled(box, size):
    mask = np.zeros((size, size), bool)
    mask[box[1] : box[3], box[0] : box[2]] = True
    return mask


@given(layout=boxes())
@example(layout=[((20, 20, 60, 60), (30, 30)), ((20, 20, 60, 60), (50, 50))])
@settings(max_examples=60, deadline=None)
def test_box_lines_enclose_the_boxes(layout):
    size, line = 160, Strokes.of(160).line
    assume(all(box != (0, 0, size, size) for box, _ in layout))  # around the whole image there is no room for a line
    marks = [Mark(box, point, filled(box, size)) for box, point in layout]
    picture = draw_markers(np.full((size, size, 3), 90, np.uint8), "box", marks)
    for letter, mark in zip("ABC", marks, strict=False):
        rows, columns = np.nonzero(of_colour(picture, letter))
        x0, y0, x1, y1 = mark.box
        # No pixel of the line lies in the box, none farther out than the line is wide.
        inside = (columns >= x0) & (columns < x1) & (rows >= y0) & (rows < y1)
        assert not inside.any()
        assert columns.min() >= x0 - line
        assert columns.max() < x1 + line
        assert rows.min() >= y0 - line
        assert rows.max() < y1 + line
        # Each side within the picture is there, also where other lines run along it.
        if x0 >= line:
            assert (columns < x0).any()
        if x1 + line <= size:
            assert (columns >= x1).any()
        if y0 >= line:
            assert (rows < y0).any()
        if y1 + line <= size:
            assert (rows >= y1).any()


def test_lone_box_is_decoded_exactly():
    box = (50, 70, 131, 120)
    picture = draw_markers(np.zeros((256, 256, 3), np.uint8), "box", [Mark(box, (60, 80), filled(box, 256))])
    rows, columns = np.nonzero(of_colour(picture, "A"))
    line = Strokes.of(256).line
    assert (columns.min() + line, rows.min() + line, columns.max() + 1 - line, rows.max() + 1 - line) == box
    assert not picture[box[1] : box[3], box[0] : box[2]].any()


@pytest.mark.parametrize(("prompt", "size"), [*itertools.product(("point", "label"), (128, 512, 1024))])
def test_dots_are_centred_on_the_points(prompt, size):
    structures = [(size // 4, size // 3), (size // 2 + 7, size // 2), (size - 30, size - 40)]
    marks = [
        Mark((x - 9, y - 9, x + 10, y + 10), (x, y), filled((x - 9, y - 9, x + 10, y + 10), size))
        for x, y in structures
    ]
    picture = draw_markers(np.full((size, size, 3), 128, np.uint8), prompt, marks)
    for letter, mark in zip("ABC", marks, strict=True):
        rows, columns = np.nonzero(of_colour(picture, letter))
        assert (columns.mean(), rows.mean()) == mark.point
        radius = Strokes.of(size).dot if prompt == "point" else Strokes.of(size).tip
        assert len(rows) >= 2 * radius**2


@pytest.mark.parametrize("prompt", ["point", "label"])
@given(layout=boxes())
@settings(max_examples=40, deadline=None)
def test_points_are_never_covered(prompt, layout):
    marks = [Mark(box, point, filled(box, 160)) for box, point in layout]
    pairs = itertools.combinations([mark.point for mark in marks], 2)
    assume(all(np.hypot(a[0] - b[0], a[1] - b[1]) >= 4 for a, b in pairs))
    picture = draw_markers(np.full((160, 160, 3), 90, np.uint8), prompt, marks)
    for letter, (_, (x, y)) in zip("ABC", layout, strict=False):
        assert tuple(picture[y, x]) == MARKER_COLOURS[letter]


@given(seed=st.integers(0, 10_000))
@settings(max_examples=30, deadline=None)
def test_mask_contour_is_the_border_of_the_structure(seed):
    size = 256
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=(size, size)), 14)
    parts, _ = ndimage.label(ndimage.binary_fill_holes(noise > np.quantile(noise, 0.8)))
    mask = parts == 1 + np.argmax(np.bincount(parts.ravel())[1:])
    rows, columns = np.nonzero(mask)
    box = (int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1)
    grey = np.full((size, size, 3), 100, np.uint8)
    picture = draw_markers(grey, "mask", [Mark(box, (int(columns[0]), int(rows[0])), mask)])
    contour = of_colour(picture, "A")
    assert not (contour & ~mask).any()
    # Where no letter lies, contour and light fill are the mask, pixel for pixel.
    light = np.round(0.75 * 100 + 0.25 * np.array(MARKER_COLOURS["A"])).astype(np.uint8)
    fill = (picture == light).all(axis=2)
    assert not (fill & ~mask).any()
    outside = (picture == 100).all(axis=2)
    assert not (outside & mask).any()
    touched = ~(contour | fill | outside)  # the letter
    width, height = Strokes.of(size).letter
    assert touched.sum() <= width * height
    if not (touched & mask).any():
        np.testing.assert_array_equal(ndimage.binary_fill_holes(contour), mask)


def test_real_pictures_hold_the_letters_in_their_own_colours(two_organs):
    for prompt in DRAWN_PROMPTS:
        picture = draw(two_organs, "radiological", prompt, ("liver", "spleen"), SOFT, 512)
        for letter, colour in LETTER_COLOURS.items():
            seen = (picture == colour).all(axis=2).sum()
            assert (seen > 80) == (letter in "AB"), (prompt, letter)


def test_boxes_and_points_of_the_rows_are_those_of_the_picture(two_organs):
    for convention in CONVENTIONS:
        where = placements(two_organs, convention, 512)["liver"]
        dot = of_colour(draw(two_organs, convention, "point", ("liver",), SOFT, 512), "A")
        assert (np.argwhere(dot).mean(axis=0) == where.point[::-1]).all()
        line = Strokes.of(512).line
        rows, columns = np.nonzero(of_colour(draw(two_organs, convention, "box", ("liver",), SOFT, 512), "A"))
        found = (columns.min() + line, rows.min() + line, columns.max() + 1 - line, rows.max() + 1 - line)
        assert found == where.box


@pytest.mark.parametrize("prompt", ["none", "text_point", "text_box"])
def test_prompts_that_draw_nothing_leave_the_picture_grey(two_organs, prompt):
    picture = draw(two_organs, "ras", prompt, ("liver", "spleen"), SOFT, 200)
    assert picture.shape == (200, 200)
    assert picture.dtype == np.uint8
    np.testing.assert_array_equal(picture, draw(two_organs, "ras", "none", (), SOFT, 200))


@pytest.mark.parametrize("prompt", DRAWN_PROMPTS)
def test_drawing_is_repeatable_and_leaves_its_input_alone(two_organs, prompt):
    before = two_organs.image.copy(), two_organs.labels.copy()
    first = draw(two_organs, "ras", prompt, ("liver", "spleen"), SOFT, 200)
    assert first.shape == (200, 200, 3)
    assert first.dtype == np.uint8
    np.testing.assert_array_equal(first, draw(two_organs, "ras", prompt, ("liver", "spleen"), SOFT, 200))
    np.testing.assert_array_equal(before[0], two_organs.image)
    np.testing.assert_array_equal(before[1], two_organs.labels)


def test_a_structure_that_is_not_there_is_refused(two_organs):
    with pytest.raises(ValueError, match="pancreas is not visible in this slice; visible are: liver, spleen"):
        draw(two_organs, "ras", "box", ("pancreas",), SOFT, 200)


def test_four_structures_are_refused():
    mark = Mark((10, 10, 20, 20), (15, 15), filled((10, 10, 20, 20), 128))
    with pytest.raises(ValueError, match="4 structures to mark"):
        draw_markers(np.zeros((128, 128, 3), np.uint8), "box", [mark] * 4)


def test_a_prompt_that_draws_nothing_has_no_markers():
    with pytest.raises(ValueError, match="'text_box' draws nothing"):
        draw_markers(np.zeros((128, 128, 3), np.uint8), "text_box", [])


# Machado, Oliveira and Fernandes (2009), severity 1.0: linear RGB as seen by normal and by three colour-blind readers.
SEEN_BY = {
    "normal": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.3039]],
}


def lab(rgb, reader):
    linear = np.array(rgb) / 255
    linear = np.where(linear <= 0.04045, linear / 12.92, ((linear + 0.055) / 1.055) ** 2.4)
    linear = np.clip(np.array(SEEN_BY[reader]) @ linear, 0, 1)
    xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]) @ linear
    xyz = xyz / [0.9505, 1, 1.089]
    f = np.where(xyz > 216 / 24389, np.cbrt(xyz), (24389 / 27 * xyz + 16) / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("reader", SEEN_BY)
def test_marker_colours_are_told_apart_by_every_reader(reader):
    for one, other in itertools.combinations(MARKER_COLOURS.values(), 2):
        assert np.linalg.norm(lab(one, reader) - lab(other, reader)) > 30
    for colour in MARKER_COLOURS.values():
        nearest = min(np.linalg.norm(lab(colour, reader) - lab((grey,) * 3, reader)) for grey in range(256))
        assert nearest > 15


@pytest.mark.parametrize(
    ("names", "shown"),
    [
        (("liver", "spleen"), "soft tissue W400 L40"),
        (("vertebrae_L1", "rib_left_7"), "bone W1800 L400"),
        (("lung_upper_lobe_left", "lung_lower_lobe_left"), "lung W1500 L-600"),
        (("vertebrae_L1", "liver"), "soft tissue W400 L40"),
        (("vertebrae_L1", "lung_upper_lobe_left"), "soft tissue W400 L40"),
        (("a structure of the user's own",), "soft tissue W400 L40"),
        ((), "soft tissue W400 L40"),
    ],
)
def test_ct_window_is_what_all_structures_need(names, shown):
    slice_ = record(np.zeros((4, 4)), {})
    assert str(choose_window(slice_, names)) == shown


def test_windows_cover_every_tissue_of_the_vocabulary():
    assert set(render.ct_windows()) == {"soft", "bone", "lung"}


def test_mri_window_is_the_range_of_the_volume():
    slice_ = record(np.zeros((4, 4)), {}, modality="mri", intensity_range=(12.0, 830.0))
    window = choose_window(slice_, ("liver",))
    assert str(window) == "percentiles 0.5-99.5 (12-830)"
    assert (window.low, window.high) == (12, 830)


def test_grey_values_follow_the_window():
    values = np.array([[-3000, -160, 40, 240, 3000]], np.int16)
    np.testing.assert_array_equal(render.to_grey(values, SOFT), [[0, 0, 128, 255, 255]])
    np.testing.assert_array_equal(render.to_grey(values.astype(np.float32), SOFT), [[0, 0, 128, 255, 255]])
    big = np.array([[0, 30000, 60000]], np.uint16)
    np.testing.assert_array_equal(render.to_grey(big, Window("percentiles 0.5-99.5", 0, 60000)), [[0, 128, 255]])


def test_an_image_of_one_value_is_black():
    assert not render.to_grey(np.full((3, 3), 7, np.uint8), Window("percentiles 0.5-99.5", 7, 7)).any()


def test_png_is_lossless_and_repeatable(two_organs):
    for prompt, mode in (("none", "L"), ("box", "RGB"), ("mask", "RGB")):
        picture = draw(two_organs, "radiological", prompt, ("liver", "spleen"), SOFT, 256)
        data = encode_png(picture)
        assert data == encode_png(picture.copy())
        with Image.open(io.BytesIO(data)) as image:
            assert (image.format, image.mode) == ("PNG", mode)
            np.testing.assert_array_equal(np.asarray(image), picture)
