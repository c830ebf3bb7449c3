"""Measurements against the same things worked out by pixel lists, and by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from dataset_builder.imaging.measurements import (
    contact_lengths,
    enclosures,
    mask_distances,
    measure,
    percentile,
    present,
    representative,
    shares_above,
)

SPACINGS = st.sampled_from([(1.0, 1.0), (0.8, 0.8), (0.36, 0.7), (0.75, 5.0), (3.0, 1.5)])
LABELS = arrays.arrays(
    np.uint8, st.tuples(st.integers(1, 14), st.integers(1, 14)), elements=st.sampled_from([0, 0, 1, 2, 7, 255])
)


def drawn(*rows):
    """Labels [U, V] from a drawing: columns = u, rows = v, growing down; a dot is nothing."""
    return np.array([[int(mark.replace(".", "0")) for mark in row] for row in rows], np.uint8).T


@given(
    st.lists(st.lists(st.integers(0, 5), min_size=9, max_size=9).filter(any), min_size=1, max_size=4),
    st.floats(0, 1),
)
def test_percentile_is_that_of_numpy(profiles, share):
    found = percentile(np.array(profiles), share)
    wanted = [np.percentile(np.repeat(np.arange(9), profile), 100 * share) for profile in profiles]
    np.testing.assert_allclose(found, wanted, atol=1e-9)


@given(LABELS, SPACINGS)
def test_measures_are_those_of_the_pixel_lists(labels, spacing):
    values = present(labels)
    assert values.tolist() == sorted({int(value) for value in labels.flat} - {0})
    measured = measure(labels, spacing, values)
    for i, value in enumerate(values):
        pixels = np.argwhere(labels == value)
        places = pixels * spacing
        assert measured.area[i] == pytest.approx(len(pixels) * spacing[0] * spacing[1])
        np.testing.assert_allclose(measured.centroid[i], places.mean(axis=0))
        np.testing.assert_allclose(measured.quartile_low[i], np.percentile(places, 25, axis=0), atol=1e-9)
        np.testing.assert_allclose(measured.quartile_high[i], np.percentile(places, 75, axis=0), atol=1e-9)
        np.testing.assert_allclose(measured.box_low[i], places.min(axis=0) - np.array(spacing) / 2, atol=1e-9)
        np.testing.assert_allclose(measured.box_high[i], places.max(axis=0) + np.array(spacing) / 2, atol=1e-9)
        assert labels[tuple(measured.point_voxel[i])] == value


def test_a_value_that_is_not_there_is_named():
    with pytest.raises(ValueError, match=r"\[3\]"):
        measure(drawn("11", "2."), (1, 1), [1, 3])


def test_nothing_to_measure_is_measured():
    assert measure(np.zeros((3, 4), np.uint8), (1, 1), ()).area.shape == (0,)


@given(LABELS, SPACINGS)
def test_the_point_is_well_inside(labels, spacing):
    """No voxel is more than twice as deep; depth is worked out voxel by voxel."""
    padded = np.pad(labels, 1)
    for value in present(labels):
        mask = labels == value
        outside = np.argwhere(padded != value) - 1
        inside = np.argwhere(mask)
        depths = np.sqrt((((inside[:, None] - outside[None]) * spacing) ** 2).sum(axis=2)).min(axis=1)
        point, depth = representative(mask, spacing, inside.mean(axis=0))
        assert depth == pytest.approx(depths[(inside == point).all(axis=1)].item())
        assert depth >= depths.max() / 2 - 1e-9


def test_the_point_of_a_disc_is_its_centre_and_of_a_crescent_in_its_thick_part():
    u, v = np.mgrid[:41, :41]
    disc = np.hypot(u - 20, v - 20) < 15
    assert representative(disc, (1, 1), np.array([20.0, 20.0]))[0].tolist() == [20, 20]
    crescent = disc & (np.hypot(u - 26, v - 20) >= 13)
    point, _ = representative(crescent, (1, 1), np.argwhere(crescent).mean(axis=0))
    assert crescent[tuple(point)]
    assert 7 <= point[0] <= 11
    assert 14 <= point[1] <= 26


def test_depth_counts_millimetres_not_voxels():
    mask = np.zeros((9, 9), bool)
    mask[2:7, 2:7] = True
    assert representative(mask, (1, 4), np.array([4.0, 4.0]))[1] == 3
    assert representative(mask, (4, 1), np.array([4.0, 4.0]))[1] == 3
    assert representative(mask, (4, 5), np.array([4.0, 4.0]))[1] == 12


def test_shares_of_a_line():
    profile = np.array([[1, 1, 2, 0], [0, 0, 0, 4]])
    np.testing.assert_allclose(shares_above(profile, 2.0, 3.0), [0.5, 1])
    np.testing.assert_allclose(shares_above(profile, 2.0, 4.0), [0.25, 1])  # a pixel on the line counts half


@settings(max_examples=60)
@given(LABELS, SPACINGS, st.randoms(use_true_random=False))
def test_distances_are_those_of_all_pixels(labels, spacing, draw):
    values = [int(value) for value in present(labels)]
    draw.shuffle(values)
    found = mask_distances(labels, spacing, values)
    for i, one in enumerate(values):
        for j, other in enumerate(values):
            steps = np.argwhere(labels == one)[:, None] - np.argwhere(labels == other)[None]
            assert found[i, j] == pytest.approx(np.sqrt(((steps * spacing) ** 2).sum(axis=2)).min())


def test_distances_of_some_structures_only():
    labels = drawn("1.3.2", "..3..")
    np.testing.assert_allclose(mask_distances(labels, (2, 1), (2, 1)), [[0, 8], [8, 0]])


def test_contact_is_the_length_of_the_shared_border():
    labels = drawn(
        "1122",
        "1122",
        "33.2",
    )
    contact = contact_lengths(labels, (0.5, 3.0), (1, 2, 3))
    assert contact[0, 1] == contact[1, 0] == 2 * 3.0  # two upright edges
    assert contact[0, 2] == contact[2, 0] == 2 * 0.5  # two level edges
    assert contact[1, 2] == 0
    assert np.diag(contact).tolist() == [0, 0, 0]
    assert contact_lengths(labels, (0.5, 3.0), (3, 1)).tolist() == [[0, 1.0], [1.0, 0]]


def test_touching_at_a_corner_is_no_contact():
    assert contact_lengths(drawn("1.", ".2"), (1, 1), (1, 2))[0, 1] == 0


def found_in(*rows, spacing=(1.0, 1.0)):
    labels = drawn(*rows)
    values = present(labels)
    measured = measure(labels, spacing, values)
    return {
        (int(values[inner]), int(values[outer])): thickness
        for inner, outer, thickness in enclosures(labels, spacing, values, measured.box_low, measured.box_high)
    }


def test_what_lies_in_a_hole_is_enclosed():
    assert found_in(
        "11111",
        "1...1",
        "1.2.1",
        "1...1",
        "11111",
    ) == {(2, 1): 3.0}


def test_thickness_is_in_millimetres():
    rows = ("11111", "1...1", "1.2.1", "1...1", "11111")
    assert found_in(*rows, spacing=(2.0, 7.0)) == {(2, 1): 6.0}


def test_an_open_ring_encloses_nothing():
    assert (
        found_in(
            "11111",
            "1...1",
            "1.2..",
            "1...1",
            "11111",
        )
        == {}
    )


def test_a_ring_of_corners_is_closed():
    assert (2, 1) in found_in(
        "..1..",
        ".1.1.",
        "1.2.1",
        ".1.1.",
        "..1..",
    )


def test_partly_in_the_hole_is_not_enclosed():
    assert (
        found_in(
            "111111.",
            "1....1.",
            "1.22.22",
            "1....1.",
            "111111.",
        )
        == {}
    )


def test_rings_in_rings():
    found = found_in(
        "1111111",
        "1.....1",
        "1.222.1",
        "1.232.1",
        "1.222.1",
        "1.....1",
        "1111111",
    )
    assert set(found) == {(2, 1), (3, 1), (3, 2)}


def test_two_structures_that_fill_a_hole_are_both_enclosed():
    assert set(found_in("1111", "1231", "1111")) == {(2, 1), (3, 1)}
