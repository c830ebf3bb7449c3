"""Boxes and points of structures in an image."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from dataset_builder.core.factors import CONVENTIONS
from dataset_builder.imaging.geometry import DisplayTransform
from dataset_builder.pictures.placement import placements
from dataset_builder.questions.facts import find_facts
from tests.helpers.drawn_slices import BLOBS, ORGANS, blobs, body, draw, record_of


@settings(max_examples=60, deadline=None)
@given(
    BLOBS,
    st.sampled_from([(1.0, 1.0), (0.7, 2.1), (3.0, 1.0)]),
    st.sampled_from(CONVENTIONS),
    st.sampled_from([64, 100, 512]),
)
def test_boxes_are_tight_and_points_lie_on_their_structures(shapes, spacing, convention, image_size):
    record = record_of(blobs(shapes), dict(enumerate(ORGANS, 1)), spacing=spacing)
    shown = DisplayTransform(record.shape, spacing, convention, image_size).show_labels(record.labels)
    placed = placements(record, convention, image_size)
    present = {name for value, name in record.names.items() if (record.labels == value).any()}
    assert set(placed) == present
    for value, name in record.names.items():
        rows, columns = np.nonzero(shown == value)
        if name in placed and len(rows):
            x, y = placed[name].point
            assert shown[y, x] == value
            assert placed[name].box == (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
            assert all(type(number) is int for number in (*placed[name].box, *placed[name].point))


def test_the_point_is_the_same_voxel_in_both_conventions():
    record = body()
    found = {}
    for convention in CONVENTIONS:
        transform = DisplayTransform(record.shape, record.spacing, convention, 512)
        found[convention] = {
            name: tuple(np.round(transform.to_voxels(np.add(place.point, 0.5))))
            for name, place in placements(record, convention, 512).items()
        }
    assert found["ras"] == found["radiological"]


def test_a_known_place():
    # 120 voxels of 1 mm on 240 pixels; the liver's centre is voxel (19.5, 49.5), the lower of the two is taken.
    record = draw(liver=(10, 30, 40, 60))
    assert placements(record, "ras", 240)["liver"].box == (20, 80, 60, 120)
    assert placements(record, "ras", 240)["liver"].point == (39, 99)
    assert placements(record, "radiological", 240)["liver"].box == (180, 120, 220, 160)
    assert placements(record, "radiological", 240)["liver"].point == (201, 141)


def test_what_falls_between_the_pixels_still_has_a_place():
    labels = np.zeros((600, 600), np.uint8)
    labels[301, :] = 1
    record = record_of(labels, {1: "liver"})
    place = placements(record, "ras", 64)["liver"]
    x, y = place.point
    assert place.box[0] <= x < place.box[2]
    assert place.box[1] <= y < place.box[3]
    assert abs(x - 301 * 64 / 600) <= 1


def test_a_directions_points_and_boxes_show_it():
    """Point and box items: each marker alone gives the answer."""
    for seed in range(6):
        record = body(seed)
        for convention in CONVENTIONS:
            placed = placements(record, convention, 512)
            turn = 1 if convention == "ras" else -1
            for fact in find_facts(record):
                if fact.axis != "right_left":
                    continue
                a, b = (placed[name] for name in fact.structures)
                sign = turn * (1 if fact.relation == "right" else -1)
                assert sign * (a.point[0] - b.point[0]) > 0
                assert sign * (a.box[0] + a.box[2] - b.box[0] - b.box[2]) > 0
