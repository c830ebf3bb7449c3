"""Directions (right, anterior, superior, medial, proximal) of drawn slices, and of random ones by another route."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataset_builder.core.settings import ClarityLimits
from dataset_builder.imaging.geometry import AXIS_DIRECTIONS, IN_PLANE_AXES, PLANE_AXIS, DisplayTransform
from dataset_builder.pictures.placement import placements
from dataset_builder.questions.facts import find_facts
from dataset_builder.vocabulary import structures
from tests.helpers.drawn_slices import BLOBS, OPPOSITE, ORGANS, blobs, both_ways, draw, record_of, statements

WORDS = structures()


@pytest.mark.parametrize(
    ("plane", "along_u", "along_v"),
    [
        ("axial", ("right_left", "right"), ("anterior_posterior", "anterior")),
        ("coronal", ("right_left", "right"), ("superior_inferior", "superior")),
        ("sagittal", ("anterior_posterior", "anterior"), ("superior_inferior", "superior")),
    ],
)
def test_directions_of_each_plane(plane, along_u, along_v):
    record = draw(spleen=(10, 30, 10, 30), liver=(70, 90, 10, 30), stomach=(10, 30, 70, 90), record={"plane": plane})
    facts = find_facts(record)
    axis, word = along_u
    assert statements(facts, "direction", axis) == both_ways("liver", "spleen", word) | both_ways(
        "liver", "stomach", word
    )
    axis, word = along_v
    assert statements(facts, "direction", axis) == both_ways("stomach", "spleen", word) | both_ways(
        "stomach", "liver", word
    )
    assert {fact.margin_mm for fact in facts if fact.kind == "direction"} == {60.0}


@pytest.mark.parametrize(
    ("gap", "spacing", "asked"),
    [(8, 1.0, True), (7, 1.0, False), (3, 8 / 3, True), (80, 0.1, True), (79, 0.1, False)],
)
def test_centroids_must_be_eight_millimetres_apart(gap, spacing, asked):
    record = draw(
        (200, 400),
        spleen=(10, 13, 0, 350),
        liver=(10 + gap, 13 + gap, 0, 350),
        record={"spacing": (spacing, 1.0)},
    )
    assert (("liver", "spleen") in statements(find_facts(record), "direction", "right_left")) == asked


@pytest.mark.parametrize(("overlap", "asked"), [(0, True), (1, False)])
def test_the_middle_halves_must_not_overlap(overlap, asked):
    # 41 columns each, 21 apart: quartiles of the one end at 40 (31st of 41 columns), of the other begin there.
    shift = 21 - overlap
    record = draw(spleen=(10, 51, 0, 20), liver=(10 + shift, 51 + shift, 30, 50))
    facts = find_facts(record, ClarityLimits(min_pair_share=0.5))
    assert (("liver", "spleen") in statements(facts, "direction", "right_left")) == asked


def test_a_box_that_says_otherwise_silences_the_fact():
    body, tail = (60, 80, 10, 30), (0, 60, 12, 13)
    clear = draw(spleen=(40, 60, 60, 80), liver=[body])
    tailed = draw(spleen=(40, 60, 60, 80), liver=[body, tail])
    assert ("liver", "spleen") in statements(find_facts(clear), "direction", "right_left")
    assert ("liver", "spleen") not in statements(find_facts(tailed), "direction", "right_left")


def test_a_point_that_says_otherwise_silences_the_fact():
    # The liver's mean lies right of the spleen's, its thickest part, which the point marks, left of it.
    thick, thin = (20, 40, 10, 30), [(u, u + 1, 0, 60) for u in range(60, 90, 2)]
    record = draw(spleen=(48, 52, 70, 100), liver=[thick, *thin])
    (point,) = placements(record, "ras", 480)["liver"].point[:1]
    assert point < 40 * 4
    assert ("liver", "spleen") not in statements(find_facts(record), "direction", "right_left")


def test_areas_and_distances_are_in_millimetres():
    record = draw(spleen=(10, 15, 10, 15), liver=(20, 25, 10, 15), record={"spacing": (2.0, 2.0)})
    (fact,) = [fact for fact in find_facts(record) if fact.kind == "direction"]
    assert fact.margin_mm == 20


def _share_ahead(one, other):
    """Share of the pairs of a pixel of each in which that of the first lies farther."""
    gaps = np.subtract.outer(one, other)
    return (gaps > 1e-6).mean() + 0.5 * (np.abs(gaps) <= 1e-6).mean()


@settings(max_examples=60, deadline=None)
@given(
    BLOBS,
    st.sampled_from(sorted(PLANE_AXIS)),
    st.tuples(st.sampled_from([1.0, 2.5]), st.sampled_from([1.0, 1.7]), st.sampled_from([2.0, 3.0])),
    st.tuples(st.integers(-300, 300), st.integers(-300, 300), st.integers(-300, 300)),
)
def test_directions_follow_from_the_voxels_world_coordinates(shapes, plane, spacing, origin):
    """All voxels of a structure through the affine, percentiles by numpy: exactly the clear directions are asked."""
    first, second = IN_PLANE_AXES[plane]
    labels = blobs(shapes)
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = origin
    in_plane = (spacing[first], spacing[second])
    record = record_of(labels, dict(enumerate(ORGANS, 1)), plane, in_plane, affine=affine)
    transform = DisplayTransform(record.shape, record.spacing, "ras", 1024)
    placed = placements(record, "ras", 1024)

    def world(pixels):
        index = np.zeros((len(pixels), 3))
        index[:, PLANE_AXIS[plane]] = record.index
        index[:, [first, second]] = pixels
        return index @ affine[:3, :3].T + affine[:3, 3]

    places = {}
    for value, name in record.names.items():
        pixels = np.argwhere(labels == value)
        if len(pixels) * in_plane[0] * in_plane[1] >= 100:
            point = np.round(transform.to_voxels(np.add(placed[name].point, 0.5)))
            places[name] = world(pixels), world(point[None])[0]
    slack, wanted = 1e-4, ({}, {})  # surely clear, and clear or on the edge
    for (a, (voxels_a, point_a)), (b, (voxels_b, point_b)) in itertools.permutations(places.items(), 2):
        for axis in (first, second):
            one, other = voxels_a[:, axis], voxels_b[:, axis]
            clearance = min(
                one.mean() - other.mean() - 8,
                np.percentile(one, 25) - np.percentile(other, 75),
                point_a[axis] - point_b[axis] - 2,
                (one.min() + one.max()) / 2 - (other.min() + other.max()) / 2 - 2,
                _share_ahead(one, other) - 0.9,
            )
            low, high = AXIS_DIRECTIONS[axis]
            for members, limit in zip(wanted, (slack, -slack), strict=True):
                if clearance >= limit:
                    members[f"{high}_{low}", a, b] = high
                    members[f"{high}_{low}", b, a] = low
    found = {
        (fact.axis, *names): relation
        for fact in find_facts(record)
        if fact.kind == "direction"
        for names, relation in ((fact.structures, fact.relation), (fact.inverse_structures, fact.inverse_relation))
    }
    sure, possible = wanted
    assert sure.items() <= found.items() <= possible.items()


TORSO = {
    "liver": (80, 110, 40, 60),
    "adrenal_gland_right": (64, 76, 20, 35),
    "spleen": (10, 30, 40, 60),
    "adrenal_gland_left": (44, 56, 20, 35),
    "aorta": (40, 54, 70, 84),  # on the midline by name, wherever it lies
}


@pytest.mark.parametrize("plane", ["axial", "coronal"])
def test_medial_is_nearer_to_the_midline_on_the_same_side(plane):
    facts = find_facts(draw(**TORSO, record={"plane": plane, "midline": 60.0}))
    assert statements(facts, "direction", "medial_lateral") == both_ways(
        "adrenal_gland_right", "liver", "medial"
    ) | both_ways("adrenal_gland_left", "spleen", "medial")


def test_no_midline_no_medial():
    assert statements(find_facts(draw(**TORSO)), "direction", "medial_lateral") == {}


def test_no_medial_in_a_sagittal_slice():
    record = draw(**TORSO, record={"plane": "sagittal", "midline": 60.0})
    assert statements(find_facts(record), "direction", "medial_lateral") == {}


def test_midline_structures_are_never_medial_or_lateral_nor_on_a_side():
    midline = [name for name, structure in WORDS.items() if structure.midline]
    for name in midline:
        record = draw(
            liver=(80, 110, 40, 60), spleen=(5, 25, 40, 60), **{name: (30, 45, 70, 90)}, record={"midline": 60.0}
        )
        for fact in find_facts(record):
            if fact.axis == "medial_lateral" or fact.kind == "side":
                assert name not in (*fact.structures, *fact.inverse_structures)


@pytest.mark.parametrize(("over", "asked"), [(2, True), (3, False)])
def test_who_straddles_the_midline_is_neither_medial_nor_lateral(over, asked):
    # 20 columns, of which some lie beyond the midline: 10 % may.
    record = draw(liver=(90, 110, 40, 60), stomach=(60 - over, 80 - over, 20, 30), record={"midline": 59.5})
    assert bool(statements(find_facts(record), "direction", "medial_lateral")) == asked


@pytest.mark.parametrize(
    ("side", "medial"), [("right", "tibial_cartilage_medial"), ("left", "tibial_cartilage_lateral")]
)
def test_medial_of_a_knee_is_toward_the_other_knee(side, medial):
    """The name's word is true only if the drawing shows a right knee; drawn the same as a left one it must turn."""
    other = {"tibial_cartilage_medial": "tibial_cartilage_lateral"}.get(medial, "tibial_cartilage_medial")
    record = draw(
        tibial_cartilage_medial=(20, 50, 60, 66),
        tibial_cartilage_lateral=(60, 90, 60, 66),
        record={"plane": "coronal", "side": side},
    )
    assert statements(find_facts(record), "direction", "medial_lateral") == both_ways(medial, other, "medial")


@pytest.mark.parametrize("plane", ["coronal", "sagittal"])
def test_up_a_leg_is_proximal(plane):
    record = draw(femur=(30, 60, 70, 110), tibia=(30, 60, 10, 50), record={"plane": plane, "side": "left"})
    facts = find_facts(record)
    assert statements(facts, "direction", "proximal_distal") == both_ways("femur", "tibia", "proximal")
    assert statements(facts, "direction", "superior_inferior") == both_ways("femur", "tibia", "superior")


def test_no_proximal_of_a_limb_of_unknown_side():
    record = draw(femur=(30, 60, 70, 110), tibia=(30, 60, 10, 50), record={"plane": "coronal"})
    facts = find_facts(record)
    assert statements(facts, "direction", "proximal_distal") == {}
    assert statements(facts, "direction", "superior_inferior") == both_ways("femur", "tibia", "superior")


def test_no_proximal_in_an_axial_slice():
    record = draw(femur=(30, 60, 70, 110), tibia=(30, 60, 10, 50), record={"side": "left"})
    assert statements(find_facts(record), "direction", "proximal_distal") == {}


def test_two_legs_are_not_compared():
    record = draw(femur_left=(10, 40, 70, 110), femur_right=(60, 90, 10, 50), record={"plane": "coronal"})
    assert statements(find_facts(record), "direction", "proximal_distal") == {}


def test_arms_may_be_raised():
    record = draw(humerus_left=(10, 25, 70, 110), liver=(70, 100, 10, 50), record={"plane": "coronal", "midline": 60.0})
    assert {fact.axis for fact in find_facts(record) if fact.kind == "direction"} == {"right_left"}


def test_exchanged_structures_exchange_their_words():
    one = draw(liver=(10, 30, 10, 30), spleen=(70, 90, 50, 70))
    other = draw(spleen=(10, 30, 10, 30), liver=(70, 90, 50, 70))
    before, after = (statements(find_facts(record), "direction", "right_left") for record in (one, other))
    assert after == {names: OPPOSITE[relation] for names, relation in before.items()}
