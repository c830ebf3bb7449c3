"""Where every voxel of a slice ends up in an image, against the table of directions written out by hand."""

import itertools

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from dataset_builder.core.factors import CONVENTIONS, PLANES, TURNED_VIEWS
from dataset_builder.imaging.geometry import (
    AXIS_DIRECTIONS,
    IN_PLANE_AXES,
    PLANE_AXIS,
    DisplayTransform,
    image_edges,
    take_slice,
)

VIEWS = ("plain", *TURNED_VIEWS)

# What lies at the left and at the top of an image.
LEFT_AND_TOP = {
    ("axial", "radiological"): ("right", "anterior"),
    ("coronal", "radiological"): ("right", "superior"),
    ("sagittal", "radiological"): ("anterior", "superior"),
    ("axial", "ras"): ("left", "posterior"),
    ("coronal", "ras"): ("left", "inferior"),
    ("sagittal", "ras"): ("posterior", "inferior"),
}
OPPOSITE = {
    "right": "left",
    "left": "right",
    "anterior": "posterior",
    "posterior": "anterior",
    "superior": "inferior",
    "inferior": "superior",
}
TOWARD = {
    "right": np.array([1, 0, 0]),
    "anterior": np.array([0, 1, 0]),
    "superior": np.array([0, 0, 1]),
    "left": np.array([-1, 0, 0]),
    "posterior": np.array([0, -1, 0]),
    "inferior": np.array([0, 0, -1]),
}
EVERY_VIEW = list(itertools.product(PLANES, CONVENTIONS))


def test_the_table_is_of_every_view():
    assert set(LEFT_AND_TOP) == set(EVERY_VIEW)


@pytest.mark.parametrize(("plane", "convention"), EVERY_VIEW)
def test_directions_at_the_edges_of_the_image(plane, convention):
    left, top = LEFT_AND_TOP[plane, convention]
    wanted = {"left": left, "right": OPPOSITE[left], "top": top, "bottom": OPPOSITE[top]}
    assert image_edges(plane, convention) == wanted


def test_axes_and_directions_fit_each_other():
    for plane, through in PLANE_AXIS.items():
        assert sorted((through, *IN_PLANE_AXES[plane])) == [0, 1, 2]
    for axis, (low, high) in enumerate(AXIS_DIRECTIONS):
        assert TOWARD[high][axis] == 1
        assert TOWARD[low][axis] == -1


# A slice of a volume -------------------------------------------------------------------------------------------------

VOLUME = np.arange(1, 25, dtype=np.uint8).reshape(2, 3, 4)


@pytest.mark.parametrize("plane", PLANES)
def test_a_slice_keeps_the_order_of_the_arrays_axes(plane):
    taken = {
        "axial": lambda i, j, k: take_slice(VOLUME, "axial", k)[i, j],
        "coronal": lambda i, j, k: take_slice(VOLUME, "coronal", j)[i, k],
        "sagittal": lambda i, j, k: take_slice(VOLUME, "sagittal", i)[j, k],
    }[plane]
    for index in np.ndindex(VOLUME.shape):
        assert taken(*index) == VOLUME[index]


@pytest.mark.parametrize("plane", PLANES)
def test_a_slice_is_a_view(plane):
    assert np.shares_memory(take_slice(VOLUME, plane, 1), VOLUME)


# Every voxel's place -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("plane", "convention"), EVERY_VIEW)
@pytest.mark.parametrize(
    ("shape", "spacing"),
    [((2, 3, 4), (1, 2, 3)), ((4, 3, 2), (3, 1, 2)), ((5, 2, 3), (1, 1, 4)), ((3, 3, 3), (1, 1, 1))],
)
def test_every_voxel_lands_where_the_table_says(plane, convention, shape, spacing):
    """The image is painted voxel by voxel from positions in mm and the directions of the image's edges."""
    volume = np.arange(1, np.prod(shape) + 1, dtype=np.uint16).reshape(shape)
    left, top = LEFT_AND_TOP[plane, convention]
    through = {"sagittal": 0, "coronal": 1, "axial": 2}[plane]
    size = 2 * max(shape[axis] * spacing[axis] for axis in range(3) if axis != through)  # pixels of half a millimetre
    for index in range(shape[through]):
        wanted = np.zeros((size, size), np.uint16)
        for voxel in np.ndindex(shape):
            if voxel[through] != index:
                continue
            from_centre = (np.array(voxel) - (np.array(shape) - 1) / 2) * spacing
            x, y = (size / 2 - 2 * from_centre @ TOWARD[direction] for direction in (left, top))
            half_x, half_y = (np.abs(spacing @ TOWARD[direction]) for direction in (left, top))
            rows = slice(int(y - half_y), int(y + half_y))
            columns = slice(int(x - half_x), int(x + half_x))
            assert not wanted[rows, columns].any()
            wanted[rows, columns] = volume[voxel]
        in_plane = [axis for axis in range(3) if axis != through]
        transform = DisplayTransform(
            tuple(shape[axis] for axis in in_plane), tuple(spacing[axis] for axis in in_plane), convention, size
        )
        assert transform.pixel_mm == 0.5
        shown = transform.show_labels(take_slice(volume, plane, index))
        assert shown.dtype == volume.dtype
        np.testing.assert_array_equal(shown, wanted)


def test_radiological_is_the_stored_array_turned_by_half():
    labels = np.arange(1, 13, dtype=np.uint8).reshape(3, 4)
    stored, viewed = (
        DisplayTransform((3, 4), (2.0, 1.0), name, 48).show_labels(labels) for name in ("ras", "radiological")
    )
    assert stored[24, 0] == 1 + 4 * 0 + 2  # first column: u = 0; the middle row: v = 2
    np.testing.assert_array_equal(viewed, stored[::-1, ::-1])


# Any slice -----------------------------------------------------------------------------------------------------------

STEPS = st.floats(0.3, 6.0)
TRANSFORMS = st.builds(
    DisplayTransform,
    st.tuples(st.integers(1, 40), st.integers(1, 40)),
    st.tuples(STEPS, STEPS),
    st.sampled_from(CONVENTIONS),
    st.integers(16, 200),
)
PLACES = st.tuples(st.floats(-50, 50), st.floats(-50, 50))


@given(TRANSFORMS, PLACES)
def test_voxels_and_pixels_are_each_others_inverse(transform, place):
    there = transform.to_pixels(place)
    np.testing.assert_allclose(transform.to_voxels(there), place, atol=1e-9)
    np.testing.assert_allclose(transform.to_pixels(transform.to_voxels(place)), place, atol=1e-9)


@given(TRANSFORMS, st.lists(PLACES, min_size=1, max_size=4))
def test_places_are_transformed_one_by_one(transform, places):
    together = transform.to_pixels([places])
    assert together.shape == (1, len(places), 2)
    for place, found in zip(places, together[0], strict=True):
        np.testing.assert_array_equal(transform.to_pixels(place), found)


@given(TRANSFORMS)
def test_the_whole_slice_is_in_the_middle_of_the_image_and_fills_it_one_way(transform):
    corners = [-0.5, -0.5], np.array(transform.shape) - 0.5
    low, high = np.sort([transform.to_pixels(corner) for corner in corners], axis=0)
    np.testing.assert_allclose(low + high, transform.image_size)
    assert (high - low).max() == pytest.approx(transform.image_size)
    np.testing.assert_allclose((high - low) * transform.pixel_mm, np.array(transform.shape) * transform.spacing)


@given(TRANSFORMS, PLACES, PLACES)
def test_millimetres_are_the_same_in_both_directions(transform, one, other):
    in_voxels = (np.array(one) - other) * transform.spacing
    in_pixels = (transform.to_pixels(one) - transform.to_pixels(other)) * transform.pixel_mm
    sign = 1 if transform.convention == "ras" else -1
    np.testing.assert_allclose(sign * in_pixels, in_voxels, atol=1e-6)


@settings(max_examples=60)
@given(TRANSFORMS)
def test_labels_are_those_of_the_voxel_under_each_pixels_centre(transform):
    labels = np.arange(1, np.prod(transform.shape) + 1, dtype=np.uint16).reshape(transform.shape)
    shown = transform.show_labels(labels)
    y, x = np.mgrid[: transform.image_size, : transform.image_size] + 0.5
    place = transform.to_voxels(np.stack([x, y], axis=-1))
    voxel = np.round(place).astype(int)
    inside = np.all((voxel >= 0) & (voxel < transform.shape), axis=-1)
    wanted = np.zeros_like(shown)
    wanted[inside] = labels[voxel[inside][:, 0], voxel[inside][:, 1]]
    # On the border of two voxels either is right.
    clear = np.all(np.abs(place - np.floor(place) - 0.5) > 1e-6, axis=-1)
    np.testing.assert_array_equal(shown[clear], wanted[clear])


@settings(max_examples=60)
@given(TRANSFORMS, st.data())
def test_a_shown_box_is_the_voxels_box_to_the_nearest_pixel(transform, data):
    u, v = (sorted(data.draw(st.lists(st.integers(0, size - 1), min_size=2, max_size=2))) for size in transform.shape)
    labels = np.zeros(transform.shape, np.uint8)
    labels[u[0] : u[1] + 1, v[0] : v[1] + 1] = 1
    edges = np.sort(
        [transform.to_pixels((u[0] - 0.5, v[0] - 0.5)), transform.to_pixels((u[1] + 0.5, v[1] + 0.5))], axis=0
    )
    assume((edges[1] - edges[0]).min() > 1)
    rows, columns = np.nonzero(transform.show_labels(labels))
    found = [[columns.min(), rows.min()], [columns.max() + 1, rows.max() + 1]]
    np.testing.assert_allclose(found, edges, atol=0.5 + 1e-9)


@settings(max_examples=80)
@given(TRANSFORMS, st.integers(0, 255))
def test_an_image_covers_what_the_labels_cover(transform, grey):
    shown = transform.show_image(np.full(transform.shape, grey, np.uint8))
    assert shown.dtype == np.uint8
    np.testing.assert_array_equal(shown, grey * transform.show_labels(np.ones(transform.shape, np.uint8)))


def centre_of(image):
    """Centre of the grey values in pixel coordinates (x, y)."""
    y, x = np.mgrid[: image.shape[0], : image.shape[1]] + 0.5
    return np.array([(x * image).sum(), (y * image).sum()]) / image.sum()


@settings(max_examples=80)
@given(
    st.tuples(st.integers(30, 90), st.integers(30, 90)),
    st.tuples(st.floats(0.5, 2.0), st.floats(0.5, 2.0)),
    st.sampled_from(CONVENTIONS),
    st.integers(40, 400),
    st.data(),
)
def test_images_and_labels_lie_on_each_other(shape, spacing, convention, image_size, data):
    """A bright spot, pixels larger or smaller than voxels: half a voxel off would show."""
    transform = DisplayTransform(shape, spacing, convention, image_size)
    u, v = (data.draw(st.integers(10, size - 11)) for size in shape)
    grey = np.zeros(shape, np.uint8)
    grey[u - 6 : u + 7, v - 6 : v + 7] = 255
    shown = transform.show_image(grey)
    limit = 0.06 * max(1.0, *(np.array(spacing) / transform.pixel_mm))
    assert np.abs(centre_of(shown.astype(float)) - transform.to_pixels((u, v))).max() < limit
    # As much light as there was, in mm2.
    light = shown.sum(dtype=float) * transform.pixel_mm**2
    assert light == pytest.approx(grey.sum(dtype=float) * np.prod(spacing), rel=0.05)


@pytest.mark.parametrize("convention", CONVENTIONS)
@pytest.mark.parametrize("image_size", [60, 120, 333])
def test_a_ramp_stays_a_ramp(convention, image_size):
    transform = DisplayTransform((100, 80), (1.0, 1.5), convention, image_size)
    u, v = np.mgrid[:100, :80]
    shown = transform.show_image((u + 1.5 * v).astype(np.uint8))
    y, x = np.mgrid[:image_size, :image_size] + 0.5
    place = transform.to_voxels(np.stack([x, y], axis=-1))
    inner = np.all((place > 2) & (place < np.array([97, 77])), axis=-1)
    off = shown - (place @ [1, 1.5])
    assert np.abs(off[inner]).max() < 1.3
    assert abs(off[inner].mean() + 0.25) < 0.2  # values were cut to whole ones: a quarter less on average


def test_a_disc_is_round_whatever_the_voxels():
    for spacing in ((0.5, 3.0), (3.0, 0.5), (1.0, 1.0)):
        shape = tuple(int(120 / step) for step in spacing)
        u, v = np.mgrid[: shape[0], : shape[1]]
        disc = np.hypot((u + 0.5) * spacing[0] - 60, (v + 0.5) * spacing[1] - 60) < 40
        rows, columns = np.nonzero(
            DisplayTransform(shape, spacing, "radiological", 240).show_labels(disc.astype(np.uint8))
        )
        assert np.ptp(columns) + 1 == pytest.approx(160, abs=6)
        assert np.ptp(rows) + 1 == pytest.approx(160, abs=6)


def test_showing_leaves_its_input_alone():
    labels = np.arange(12, dtype=np.uint8).reshape(3, 4)
    before = labels.copy()
    transform = DisplayTransform((3, 4), (1.0, 2.0), "ras", 32)
    transform.show_labels(labels)[:] = 99
    transform.show_image(labels)[:] = 99
    np.testing.assert_array_equal(labels, before)


def test_real_sizes():
    """The sample's axial slice at 512 pixels: 122 x 101 voxels of 3 mm, 366 mm wide."""
    transform = DisplayTransform((122, 101), (3.0, 3.0), "radiological", 512)
    assert transform.pixel_mm == pytest.approx(366 / 512)
    x, y = transform.to_pixels((0, 0))  # the patient's left back corner
    assert x == pytest.approx(512 - 0.5 * 512 / 122)
    assert y == pytest.approx(256 + 50 * 512 / 122)


# Views ---------------------------------------------------------------------------------------------------------------


def shown_in(view, labels, convention="radiological"):
    """The image in a view, and the plain one, each pixel a voxel."""
    size = max(labels.shape)
    transforms = [DisplayTransform(labels.shape, (1.0, 1.0), convention, size, each) for each in ("plain", view)]
    return [transform.show_labels(labels) for transform in transforms]


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_a_view_turns_the_plain_image(convention):
    """Written out by pixel: mirrored, each row runs backward; turned clockwise, the left column becomes the top row."""
    labels = np.arange(1, 10, dtype=np.uint8).reshape(3, 3)
    plain, mirrored = shown_in("mirrored", labels, convention)
    assert mirrored.tolist() == [row[::-1] for row in plain.tolist()]
    plain, turned = shown_in("rotated90", labels, convention)
    assert turned[0].tolist() == plain[::-1, 0].tolist()
    assert turned[:, -1].tolist() == plain[0].tolist()
    plain, turned = shown_in("rotated180", labels, convention)
    assert turned.tolist() == [row[::-1] for row in plain.tolist()[::-1]]


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize(("plane", "convention"), EVERY_VIEW)
def test_every_voxel_is_where_the_transform_says_in_every_view(plane, convention, view):
    shape = {"axial": (5, 7), "coronal": (5, 9), "sagittal": (7, 9)}[plane]
    labels = np.arange(1, shape[0] * shape[1] + 1, dtype=np.uint8).reshape(shape)
    transform = DisplayTransform(shape, (2.0, 3.0), convention, 96, view)
    shown = transform.show_labels(labels)
    for index in np.ndindex(shape):
        x, y = transform.to_pixels(index)
        assert shown[int(y), int(x)] == labels[index]
        np.testing.assert_allclose(transform.to_voxels((x, y)), index, atol=1e-9)
    # A step toward a patient direction is a step toward the edge that is said to show it.
    edges = {direction: edge for edge, direction in image_edges(plane, convention, view).items()}
    for axis in (0, 1):
        step = [0, 0]
        step[axis] = 1
        dx, dy = transform.to_pixels(step) - transform.to_pixels((0, 0))
        toward = AXIS_DIRECTIONS[IN_PLANE_AXES[plane][axis]][1]
        assert {"left": dx < 0, "right": dx > 0, "top": dy < 0, "bottom": dy > 0}[edges[toward]]


@pytest.mark.parametrize("view", VIEWS)
def test_grey_values_turn_with_the_labels(view):
    grey = np.zeros((6, 4), np.uint8)
    grey[1, 2] = 255
    transform = DisplayTransform(grey.shape, (1.0, 1.0), "ras", 60, view)
    image = transform.show_image(grey)
    row, column = np.unravel_index(np.argmax(image), image.shape)
    assert transform.show_labels((grey > 0).astype(np.uint8))[row, column] == 1
