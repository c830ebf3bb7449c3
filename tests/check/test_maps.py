"""The audit's own geometry against the builder's, which it shares nothing with."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataset_builder.check.maps import Map
from dataset_builder.core.factors import CONVENTIONS, TURNED_VIEWS
from dataset_builder.imaging.geometry import DisplayTransform

VIEWS = ("plain", *TURNED_VIEWS)

NAMES = {"liver": 1, "spleen": 2}


def map_of(labels, spacing, **changes):
    """A slice from labels [u, v]; the store's images have rows = v, columns = u."""
    fields = {
        "key": ("test", "one", "axial", 7),
        "side": None,
        "labels": np.ascontiguousarray(labels.T),
        "grey": np.zeros(labels.T.shape),
        "values": NAMES,
        "spacing": spacing,
        "midline_mm": None,
        "stack": "",
        "through": {},
    }
    return Map(**fields | changes)


@st.composite
def slices(draw):
    shape = draw(st.tuples(st.integers(2, 24), st.integers(2, 24)))
    labels = np.random.default_rng(draw(st.integers(0, 1000))).integers(0, 3, shape[0] * shape[1])
    labels[labels == 2] *= draw(st.booleans())
    spacing = draw(st.tuples(st.sampled_from([0.5, 0.7, 1, 3]), st.sampled_from([0.5, 0.9, 1, 2])))
    return labels.reshape(shape).astype(np.uint8), spacing


@settings(max_examples=60)
@given(slices(), st.sampled_from(CONVENTIONS), st.sampled_from(VIEWS), st.sampled_from([8, 64, 100]))
def test_boxes_and_points_are_where_the_builder_shows_them(slice_, convention, view, size):
    labels, spacing = slice_
    shown = map_of(labels, spacing).shown(size, convention, view)
    image = DisplayTransform(labels.shape, spacing, convention, size, view).show_labels(labels)
    for name, value in NAMES.items():
        rows, columns = np.nonzero(image == value)
        if not len(rows):
            continue
        tight = int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1
        assert shown.has_box(name, tight)
        if shown.pixel_mm < min(spacing):  # nothing falls between the pixels
            assert np.allclose(shown.box(name), tight, atol=0.51)
            assert not shown.has_box(name, (tight[0] - 3, *tight[1:]))
            assert not shown.has_box(name, (*tight[:3], tight[3] + 3))
        for x, y in zip(columns[::7].tolist(), rows[::7].tolist(), strict=True):
            assert shown.touches(name, (x, y))


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("convention", CONVENTIONS)
def test_a_pixel_away_from_a_structure_does_not_touch_it(convention, view):
    labels = np.zeros((20, 10), np.uint8)
    labels[15:18, 1:3] = 1
    shown = map_of(labels, (1, 1)).shown(80, convention, view)
    image = DisplayTransform((20, 10), (1, 1), convention, 80, view).show_labels(labels)
    grown = np.zeros((82, 82), bool)
    for dy in range(3):
        for dx in range(3):
            grown[dy : dy + 80, dx : dx + 80] |= image == 1
    away = np.argwhere(~grown[1:-1, 1:-1])
    assert len(away) > 5000
    assert not any(shown.touches("liver", (int(x), int(y))) for y, x in away[::11])


def test_structures_are_measured_in_mm_from_the_corner():
    labels = np.zeros((6, 4), np.uint8)
    labels[2:4, 1] = 1
    found = map_of(labels, (2, 3)).structures
    assert found.keys() == {"liver"}
    assert found["liver"].area_mm2 == 2 * 2 * 3
    assert found["liver"].centre == (3 * 2, 1.5 * 3)
    assert found["liver"].voxels == (2, 1, 4, 2)


def test_a_structure_between_the_pixels_has_a_box_of_one():
    """Eight voxels a pixel: the middles of pixels are at voxel 4, 12, 20 ..."""
    labels = np.zeros((64, 64), np.uint8)
    labels[17, 17] = 1
    labels[24:48, 24:56] = 2
    shown = map_of(labels, (1, 1)).shown(8, "ras", "plain")
    assert shown.has_box("liver", (2, 2, 3, 3))
    assert not shown.has_box("liver", (1, 1, 4, 4))
    assert shown.has_box("spleen", (3, 3, 6, 7))
    assert not shown.has_box("spleen", (3, 3, 8, 7))
    assert not shown.has_box("spleen", (3, 3, 4, 4))


def test_a_slice_without_any_label_holds_no_structure():
    assert map_of(np.zeros((5, 4), np.uint8), (1, 1)).structures == {}
