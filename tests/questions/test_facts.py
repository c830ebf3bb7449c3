"""Facts of hand-drawn slices with known answers, and of random ones against another way of working them out.

Slices are drawn with patient directions as they stand in the array: u and v grow toward right, anterior, superior.
"""

import itertools
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataset_builder.core.errors import BuildError
from dataset_builder.core.factors import CONVENTIONS
from dataset_builder.core.settings import ClarityLimits
from dataset_builder.imaging.geometry import AXIS_DIRECTIONS, IN_PLANE_AXES, PLANE_AXIS, DisplayTransform
from dataset_builder.pictures.placement import placements
from dataset_builder.questions.facts import find_facts
from dataset_builder.questions.facts.anatomical import series, tell_apart
from dataset_builder.questions.facts.directional import directional_facts
from dataset_builder.questions.facts.relational import relational_facts
from dataset_builder.questions.facts.scene import Scene
from dataset_builder.slices.selection import SliceRecord
from dataset_builder.vocabulary import confusable, structures

WORDS = structures()
OPPOSITES = [
    ("right", "left"),
    ("anterior", "posterior"),
    ("superior", "inferior"),
    ("medial", "lateral"),
    ("proximal", "distal"),
    ("adjacent", "apart"),
    ("between", "outside"),
    ("nearer", "farther"),
    ("larger", "smaller"),
    ("same side", "opposite sides"),
    ("encloses", "enclosed by"),
]
OPPOSITE = {term: other for pair in OPPOSITES for term, other in (pair, pair[::-1])}


def image_of(labels):
    """An image in which every structure stands out from what is around it, in every window."""
    return np.where(labels == 0, -160, labels.astype(np.int16) * 67 % 290 - 60).astype(np.int16)


def record_of(labels, names, plane="axial", spacing=(1.0, 1.0), midline=None, side=None, affine=None, subject="one"):
    return SliceRecord(
        source="test",
        subject=subject,
        modality="ct",
        licence="",
        side=side,
        plane=plane,
        index=7,
        image=image_of(labels),
        labels=labels,
        names=names,
        spacing=spacing,
        thickness_mm=2.0,
        affine=np.eye(4) if affine is None else affine,
        volume_shape=(64, 64, 64),
        midline_mm=midline,
        intensity_range=(0.0, 1.0),
    )


def draw(shape=(120, 120), absent=(), **rectangles):
    """A slice record with rectangles (u0, u1, v0, v1), half-open; later ones lie on top.

    Keyword ``record`` holds further arguments of :func:`record_of`.
    """
    options = rectangles.pop("record", {})
    labels = np.zeros(shape, np.uint8)
    names = {}
    for value, (name, parts) in enumerate(rectangles.items(), 1):
        names[value] = name
        for u0, u1, v0, v1 in parts if isinstance(parts, list) else [parts]:
            labels[u0:u1, v0:v1] = value
    names |= dict(enumerate(absent, len(names) + 1))
    return record_of(labels, names, **options)


def statements(facts, kind=None, axis=None):
    """Both items of every fact: {structures: relation}; an item said twice is an error."""
    said = {}
    for fact in facts:
        if (kind and fact.kind != kind) or (axis and fact.axis != axis):
            continue
        for names, relation in ((fact.structures, fact.relation), (fact.inverse_structures, fact.inverse_relation)):
            key = (fact.kind, fact.axis, names)
            assert key not in said
            said[key] = relation
    return {key[2]: relation for key, relation in said.items()}


def both_ways(a, b, relation):
    return {(a, b): relation, (b, a): OPPOSITE[relation]}


# Directions ----------------------------------------------------------------------------------------------------------


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


@pytest.mark.parametrize(("area", "asked"), [(100, True), (99, False)])
def test_what_is_smaller_than_a_hundred_square_millimetres_is_not_visible(area, asked):
    record = draw(spleen=(10, 10 + area, 10, 11), liver=(10, 110, 60, 80))
    assert bool(statements(find_facts(record), "direction")) == asked


def test_areas_and_distances_are_in_millimetres():
    record = draw(spleen=(10, 15, 10, 15), liver=(20, 25, 10, 15), record={"spacing": (2.0, 2.0)})
    (fact,) = [fact for fact in find_facts(record) if fact.kind == "direction"]
    assert fact.margin_mm == 20


def test_limits_are_settable():
    record = draw(spleen=(10, 15, 10, 15), liver=(17, 22, 10, 15))
    assert find_facts(record) == []
    loose = ClarityLimits(min_area_mm2=25, min_gap_mm=7)
    assert statements(find_facts(record, loose), "direction") == both_ways("liver", "spleen", "right")


@pytest.mark.parametrize(
    ("name", "value"), [("min_ratio", 0.9), ("min_gap_mm", -1.0), ("min_side_share", 0.4), ("min_between_deg", 200.0)]
)
def test_limits_that_make_no_sense_are_refused(name, value):
    with pytest.raises(BuildError, match=name):
        ClarityLimits(**{name: value})


def test_a_structure_that_the_vocabulary_lacks_is_never_asked_about():
    record = draw(spleen=(10, 30, 10, 30), liver=(70, 90, 10, 30), moon=(40, 60, 40, 60), stomach=(5, 30, 90, 110))
    names = {name for fact in find_facts(record) for name in (*fact.structures, *fact.options)}
    assert names == {"spleen", "liver", "stomach"}


def test_a_vocabulary_can_be_given():
    record = draw(spleen=(10, 30, 10, 30), liver=(70, 90, 10, 30))
    assert find_facts(record, vocabulary={"liver": WORDS["liver"]}) == []


BLOBS = st.lists(
    st.tuples(st.integers(0, 47), st.integers(0, 39), st.integers(2, 14), st.integers(2, 14), st.booleans()),
    min_size=2,
    max_size=7,
)
ORGANS = ("liver", "spleen", "stomach", "kidney_left", "kidney_right", "gallbladder", "adrenal_gland_left")


def blobs(shapes, shape=(48, 40)):
    """Random ellipses and rectangles, later ones on top of earlier ones."""
    u, v = np.mgrid[: shape[0], : shape[1]]
    labels = np.zeros(shape, np.uint8)
    for value, (at_u, at_v, half_u, half_v, ellipse) in enumerate(shapes, 1):
        du, dv = (u - at_u) / half_u, (v - at_v) / half_v
        labels[(du**2 + dv**2 <= 1) if ellipse else (np.maximum(abs(du), abs(dv)) <= 1)] = value
    return labels


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


# Medial and lateral, proximal and distal -----------------------------------------------------------------------------

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


# Relations -----------------------------------------------------------------------------------------------------------


def test_adjacent_and_apart():
    record = draw(liver=(60, 90, 20, 60), gallbladder=(45, 60, 30, 45), spleen=(10, 25, 80, 100))
    (fact,) = [fact for fact in find_facts(record) if fact.kind == "adjacency"]
    assert statements([fact]) in (
        {("gallbladder", "liver"): "adjacent", ("gallbladder", "spleen"): "apart"},
        {("liver", "gallbladder"): "adjacent", ("liver", "spleen"): "apart"},
    )
    assert fact.margin_mm == 15  # of border


@pytest.mark.parametrize(
    ("gap", "height", "asked"),
    [(0, 15, True), (0, 5, True), (0, 4, False), (1, 15, False)],
)
def test_adjacent_means_a_shared_border(gap, height, asked):
    record = draw(liver=(60, 90, 20, 60), gallbladder=(30 - gap, 60 - gap, 30, 30 + height), spleen=(2, 15, 90, 110))
    assert bool(statements(find_facts(record), "adjacency")) == asked


@pytest.mark.parametrize(("gap", "asked"), [(15, True), (14, False)])
def test_apart_means_fifteen_millimetres(gap, asked):
    # Nearest pixel centres of liver and spleen, in mm.
    record = draw(liver=(60, 90, 20, 60), gallbladder=(90, 110, 20, 60), spleen=(30, 61 - gap, 20, 60))
    shared = ("liver", "spleen") in statements(find_facts(record), "adjacency")
    assert shared or not asked
    pairs = {tuple(sorted(names)) for names in statements(find_facts(record, seed=1), "adjacency")}
    assert (("liver", "spleen") in pairs) <= asked


def test_adjacency_says_nothing_twice_and_is_balanced():
    names = ("liver", "spleen", "stomach", "kidney_left", "kidney_right", "gallbladder", "colon", "pancreas")
    grid = {name: (15 * i, 15 * i + 15, 0, 30) for i, name in enumerate(names)}
    said = statements(find_facts(draw(**grid)), "adjacency")
    assert len({frozenset(pair) for pair in said}) == len(said)
    assert Counter(said.values()) == {"adjacent": 7, "apart": 7}
    for (a, b), relation in said.items():
        assert (abs(names.index(a) - names.index(b)) == 1) == (relation == "adjacent")


def test_between_and_outside():
    record = draw(liver=(5, 25, 40, 60), stomach=(50, 70, 45, 65), spleen=(95, 115, 40, 60))
    (fact,) = [fact for fact in find_facts(record) if fact.kind == "between"]
    said = statements([fact])
    middle = {names: relation for names, relation in said.items() if relation == "between"}
    ((names, _),) = middle.items()
    assert names[0] == "stomach"
    assert set(names[1:]) == {"liver", "spleen"}
    end, far = names[1:]
    assert said == {names: "between", (end, "stomach", far): "outside"}
    assert fact.margin_mm == 45


def test_a_corner_of_a_triangle_is_not_between():
    record = draw(liver=(5, 25, 10, 30), stomach=(50, 70, 80, 100), spleen=(95, 115, 10, 30))
    assert statements(find_facts(record), "between") == {}


def test_between_up_and_down_too():
    record = draw(
        liver=(40, 60, 5, 25), stomach=(45, 65, 50, 70), spleen=(40, 60, 95, 115), record={"plane": "coronal"}
    )
    assert {
        names[0] for names, relation in statements(find_facts(record), "between").items() if relation == "between"
    } == {"stomach"}


def test_nearer_and_farther():
    record = draw(liver=(5, 25, 40, 60), stomach=(40, 60, 40, 60), spleen=(80, 100, 40, 60))
    facts = find_facts(record)
    assert statements(facts, "nearer") == {
        ("stomach", "spleen", "liver"): "nearer",
        ("spleen", "stomach", "liver"): "farther",
        ("stomach", "liver", "spleen"): "nearer",
        ("liver", "stomach", "spleen"): "farther",
    }


@pytest.mark.parametrize(("far", "asked"), [(30, True), (29, False)])
def test_nearer_by_half_at_least(far, asked):
    # Lines one voxel wide: the nearest pixels are as far apart as the centroids.
    near = 20
    lines = {
        "liver": (50, 51, 0, 110),
        "stomach": (50 - near, 51 - near, 0, 110),
        "spleen": (50 + far, 51 + far, 0, 110),
    }
    said = statements(find_facts(draw(**lines)), "nearer")
    assert (("stomach", "spleen", "liver") in said) == asked


def test_near_by_its_rim_only_is_not_nearer():
    # The stomach comes close with a thin arm; its centroid is farther away than the spleen's.
    record = draw(liver=(0, 20, 40, 60), spleen=(45, 65, 40, 60), stomach=[(100, 119, 70, 110), (22, 100, 80, 81)])
    said = statements(find_facts(record), "nearer")
    assert not any(names[2] == "liver" for names in said)


@pytest.mark.parametrize(("side", "asked"), [(15, True), (14, False)])
def test_larger_by_half_at_least(side, asked):
    record = draw(liver=(0, 10, 0, 15), spleen=(50, 60, 50, 50 + side + 8))
    said = statements(find_facts(record), "size")
    assert said == (both_ways("spleen", "liver", "larger") if asked else {})


def test_larger_by_mask_but_not_by_box_is_not_asked():
    frame = [(60, 110, 0, 2), (60, 110, 48, 50), (60, 62, 0, 50), (108, 110, 0, 50)]
    record = draw(liver=(0, 30, 0, 30), spleen=frame)
    assert statements(find_facts(record), "size") == {}


def test_size_margin_is_that_of_squares_of_equal_area():
    record = draw(liver=(0, 40, 0, 10), spleen=(50, 60, 50, 60))
    (fact,) = [fact for fact in find_facts(record) if fact.kind == "size"]
    assert fact.margin_mm == pytest.approx(10)


def test_same_and_opposite_sides():
    record = draw(
        liver=(80, 110, 40, 60), kidney_right=(75, 95, 5, 25), spleen=(10, 30, 40, 60), record={"midline": 60.0}
    )
    (fact,) = [fact for fact in find_facts(record) if fact.kind == "side"]
    said = statements([fact])
    for (a, b), relation in said.items():
        assert relation == ("opposite sides" if "spleen" in (a, b) else "same side")
    assert len({names[0] for names in said}) == 1
    assert sorted(said.values()) == ["opposite sides", "same side"]


@pytest.mark.parametrize("how", [{}, {"midline": 60.0, "plane": "sagittal"}, {"side": "left", "plane": "coronal"}])
def test_no_sides_without_a_midline_in_the_picture(how):
    record = draw(liver=(80, 110, 40, 60), kidney_right=(75, 95, 5, 25), spleen=(10, 30, 40, 60), record=how)
    assert statements(find_facts(record), "side") == {}


@pytest.mark.parametrize(("start", "asked"), [(63, True), (62, False)])
def test_a_side_is_eight_millimetres_from_the_midline(start, asked):
    record = draw(
        liver=(start, start + 11, 40, 60),
        kidney_right=(90, 110, 5, 25),
        spleen=(10, 30, 40, 60),
        record={"midline": 60.0},
    )
    names = {name for names in statements(find_facts(record), "side") for name in names}
    assert ("liver" in names) == asked


def test_enclosed():
    ring = [(20, 80, 20, 30), (20, 80, 70, 80), (20, 30, 20, 80), (70, 80, 20, 80)]
    record = draw(skull=ring, brain=(40, 60, 40, 60), liver=(90, 110, 90, 110))
    (fact,) = [fact for fact in find_facts(record) if fact.kind == "enclosure"]
    assert statements([fact]) == both_ways("skull", "brain", "encloses")
    assert fact.margin_mm == 21


# Names ---------------------------------------------------------------------------------------------------------------


def body(seed=0, absent=()):
    """A slice with ten organs in places that depend on the seed."""
    names = [
        "liver",
        "spleen",
        "stomach",
        "kidney_left",
        "kidney_right",
        "aorta",
        "vertebrae_L1",
        "rib_left_9",
        "rib_left_10",
        "duodenum",
    ]
    order = np.random.default_rng(seed).permutation(12)
    spots = {
        name: (40 * (at % 4), 40 * (at % 4) + 15 + i, 40 * (at // 4), 40 * (at // 4) + 16)
        for i, (name, at) in enumerate(zip(names, order, strict=False))
    }
    return draw((160, 120), absent, **spots, record={"midline": 75.0, "subject": f"body {seed}"})


ABSENT = ("small_bowel", "vertebrae_L2", "pancreas", "colon", "gallbladder", "rib_left_11", "rib_right_9", "heart")


def test_naming_asks_for_two_of_the_same_four_options():
    record = body(absent=ABSENT)
    facts = [fact for fact in find_facts(record) if fact.kind == "naming"]
    shown = {name for value, name in record.names.items() if (record.labels == value).any()}
    assert {name for fact in facts for name in (fact.relation, fact.inverse_relation)} == shown
    for fact in facts:
        assert fact.structures == (fact.relation,)
        assert fact.inverse_structures == (fact.inverse_relation,)
        assert len(set(fact.options)) == 4
        assert list(fact.options) == sorted(fact.options)
        assert {fact.relation, fact.inverse_relation} <= set(fact.options)
        assert fact.relation != fact.inverse_relation
        assert fact.margin_mm > 5


def test_naming_asks_nothing_twice():
    facts = [fact for fact in find_facts(body(absent=ABSENT)) if fact.kind == "naming"]
    items = [(name, fact.options) for fact in facts for name in (fact.relation, fact.inverse_relation)]
    assert len(set(items)) == len(items)


@pytest.mark.parametrize("seed", range(5))
def test_options_can_be_told_apart(seed):
    facts = [fact for fact in find_facts(body(seed, ABSENT), seed=seed) if fact.options]
    assert {fact.kind for fact in facts} == {"naming", "visible"}
    for fact in facts:
        for one, other in itertools.combinations(fact.options, 2):
            assert not confusable(one, other)
            assert series(one) is None or series(one) != series(other)


def test_visible_shows_one_and_no_pixel_of_the_others_nor_of_their_like():
    record = body(absent=ABSENT)
    shown = {name for value, name in record.names.items() if (record.labels == value).any()}
    facts = [fact for fact in find_facts(record) if fact.kind == "visible"]
    assert {fact.relation for fact in facts} == shown
    for fact in facts:
        assert (fact.inverse_structures, fact.inverse_relation) == ((), "")
        assert set(fact.options) & shown == {fact.relation}
        # small_bowel: the duodenum, a part of it, is there; vertebrae_L2, rib_left_11: like ones are.
        assert not set(fact.options) & {"small_bowel", "vertebrae_L2", "rib_left_11"}


def test_a_speck_is_neither_visible_nor_absent():
    record = body(absent=ABSENT)
    record.labels[159, 119] = next(value for value, name in record.names.items() if name == "pancreas")
    for fact in find_facts(record):
        if fact.kind == "visible":
            assert "pancreas" not in fact.options
        assert "pancreas" not in (*fact.structures, *fact.inverse_structures)


def test_options_come_from_the_region():
    """The liver beside what else the abdomen holds, not beside the brain."""
    record = draw(
        liver=(10, 40, 10, 40),
        spleen=(60, 90, 10, 40),
        absent=("brain", "skull", "stomach", "pancreas", "gallbladder", "kidney_left", "femur_left"),
    )
    facts = [fact for fact in find_facts(record) if fact.options]
    assert facts
    assert {WORDS[name].region for fact in facts for name in fact.options} == {"abdomen"}


def test_a_box_that_fits_two_is_not_named():
    ring = [(20, 60, 20, 24), (20, 60, 56, 60), (20, 24, 20, 60), (56, 60, 20, 60)]
    record = draw(liver=ring, spleen=(25, 55, 25, 55), stomach=(80, 100, 5, 25), colon=(80, 100, 60, 80))
    facts = [fact for fact in find_facts(record) if fact.kind == "naming"]
    assert facts
    for fact in facts:
        marked = {fact.relation, fact.inverse_relation}
        assert not (marked & {"liver", "spleen"} and {"liver", "spleen"} <= set(fact.options))


def test_fewer_than_four_names_make_no_options():
    assert not [fact for fact in find_facts(draw(liver=(0, 30, 0, 30), spleen=(60, 90, 0, 30))) if fact.options]


def test_series_are_those_of_numbered_names():
    assert series("vertebrae_T12") == series("vertebrae_S1") == "vertebrae"
    assert series("rib_left_1") == "rib_left" != series("rib_right_1")
    assert series("kidney_left") is None
    assert tell_apart("rib_left_1", "rib_right_1")
    assert not tell_apart("rib_left_1", "rib_left_12")
    assert not tell_apart("heart", "atrial_appendage_left")


# All kinds -----------------------------------------------------------------------------------------------------------


def test_no_item_is_said_twice_and_each_has_its_opposite():
    for seed in range(4):
        for fact in find_facts(body(seed, ABSENT), seed=seed):
            if fact.terminology != "anatomical":
                assert OPPOSITE[fact.relation] == fact.inverse_relation
                assert fact.margin_mm > 0
            if fact.kind in ("direction", "size", "enclosure"):
                assert fact.inverse_structures == fact.structures[::-1]
            if fact.kind in ("between", "nearer"):
                a, b, c = fact.structures
                assert set(fact.inverse_structures) == {a, b, c}
                assert fact.inverse_structures[2] == c
                assert fact.inverse_structures[0] == b
            if fact.kind in ("adjacency", "side"):
                assert fact.inverse_structures[0] == fact.structures[0]
        statements(fact for fact in find_facts(body(seed), seed=seed) if fact.terminology != "anatomical")


def test_no_word_is_favoured_as_the_first_item():
    first = Counter()
    for seed in range(12):
        first.update(fact.relation for fact in find_facts(body(seed), seed=seed) if fact.terminology != "anatomical")
    for term, other in OPPOSITES:
        total = first[term] + first[other]
        assert abs(first[term] - total / 2) <= 4 * (total / 4) ** 0.5, (term, first[term], other, first[other])
    assert sum(first[term] > 0 for term in OPPOSITE) == 14  # of 22: neither up nor along a limb, none touch


def test_facts_are_the_same_every_time_and_other_with_another_seed():
    assert find_facts(body(absent=ABSENT)) == find_facts(body(absent=ABSENT))
    assert find_facts(body(absent=ABSENT), seed=1) != find_facts(body(absent=ABSENT))


def test_the_seed_does_not_change_what_is_true():
    one, other = (statements(find_facts(body(), seed=seed), "direction") for seed in (0, 1))
    assert one == other


def test_facts_of_three_are_capped():
    few = ClarityLimits(max_facts=5)
    count = Counter(fact.kind for fact in find_facts(body(), few))
    whole = Counter(fact.kind for fact in find_facts(body()))
    assert whole["nearer"] > 5
    assert count["nearer"] == count["between"] == 5
    assert count["direction"] == whole["direction"]


def test_an_empty_slice_has_no_facts():
    assert find_facts(draw(absent=("liver", "spleen", "stomach", "colon"))) == []


def mirrored(record):
    """The same slice of a patient with left and right exchanged."""
    width = record.shape[0] * record.spacing[0]
    return record_of(
        record.labels[::-1].copy(),
        record.names,
        record.plane,
        record.spacing,
        midline=width - record.spacing[0] - record.midline_mm,
        subject=record.subject,
    )


@pytest.mark.parametrize("plane", ["axial", "coronal"])
def test_a_mirrored_patient_has_right_and_left_exchanged_and_nothing_else(plane):
    # Odd sizes, so that every centroid is a voxel and stays one.
    places = {
        "liver": (80, 111, 40, 61),
        "adrenal_gland_right": (66, 77, 20, 35),
        "spleen": (5, 26, 40, 61),
        "adrenal_gland_left": (42, 53, 20, 35),
        "stomach": (27, 46, 40, 59),
        "aorta": (47, 60, 70, 83),
        "kidney_left": (10, 33, 90, 113),
    }
    record = draw((121, 121), **places, record={"plane": plane, "midline": 60.0})

    def meaning(facts):
        return {
            (fact.kind, fact.axis, *pair, round(fact.margin_mm, 6))
            for fact in facts
            for pair in ((fact.structures, fact.relation), (fact.inverse_structures, fact.inverse_relation))
        }

    def exchange(item):
        kind, axis, names, relation, margin = item
        return (kind, axis, names, OPPOSITE[relation] if axis == "right_left" else relation, margin)

    before, after = meaning(find_facts(record)), meaning(find_facts(mirrored(record)))
    assert {kind for kind, *_ in before} >= {"direction", "between", "nearer", "size", "side"}
    assert {exchange(item) for item in before} == after


def test_exchanged_structures_exchange_their_words():
    one = draw(liver=(10, 30, 10, 30), spleen=(70, 90, 50, 70))
    other = draw(spleen=(10, 30, 10, 30), liver=(70, 90, 50, 70))
    before, after = (statements(find_facts(record), "direction", "right_left") for record in (one, other))
    assert after == {names: OPPOSITE[relation] for names, relation in before.items()}


# Places in a picture -------------------------------------------------------------------------------------------------


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


def test_terminologies_of_kinds():
    scene = Scene.of(body(absent=ABSENT), ClarityLimits(), 0)
    assert {fact.terminology for fact in directional_facts(scene)} == {"directional"}
    assert {fact.terminology for fact in relational_facts(scene)} == {"relational"}
    kinds = {(fact.terminology, fact.kind) for fact in find_facts(body(absent=ABSENT))}
    assert {kind for terminology, kind in kinds if terminology == "anatomical"} == {"naming", "visible"}
