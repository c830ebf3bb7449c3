"""The midline and the sides of labels, on volumes small enough to work them out by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from dataset_builder.core.errors import SwappedSidesError
from dataset_builder.imaging.laterality import MAX_ASTRAY_MM, check_sides, label_profiles, midline, profiles_of
from dataset_builder.imaging.volume import volume_from_arrays
from dataset_builder.vocabulary import structures

MM = 2.0
"""Voxel size of what is drawn here."""


def drawn(side=None, flipped=False, size=60, spacing=MM, **columns):
    """A volume with structures as slabs across the R axis: name=(first, last + 1) or (first, last + 1, rows).

    Args:
        flipped: the array is stored from the patient's right to left; the body is the same.
    """
    labels = np.zeros((size, 12, 12), np.uint8)
    names = {}
    for value, (name, (first, stop, *rows)) in enumerate(columns.items(), 1):
        names[value] = name
        labels[first:stop, : rows[0] if rows else 12, value % 12] = value
    affine = np.diag([spacing, spacing, spacing, 1.0])
    if flipped:
        labels, affine[0] = labels[::-1], [-spacing, 0, 0, (size - 1) * spacing]
    return volume_from_arrays(
        np.zeros(labels.shape, np.int16), labels, names, affine,
        source="test", subject="one", modality="ct", licence="", side=side,
    )  # fmt: skip


# Profiles ------------------------------------------------------------------------------------------------------------


@settings(max_examples=50)
@given(
    arrays.arrays(np.uint8, st.tuples(*[st.integers(1, 7)] * 3), elements=st.sampled_from([0, 0, 1, 2, 9])),
    st.permutations(range(3)),
    st.tuples(*[st.sampled_from([1, -1])] * 3),
)
def test_profiles_count_the_voxels_of_each_slice(labels, order, steps):
    labels.flat[0] = 9
    view = labels.transpose(order)[tuple(slice(None, None, step) for step in steps)]
    names = {1: "liver", 2: "spleen", 9: "heart"}
    volume = volume_from_arrays(
        np.zeros(view.shape, np.int16), view, names, np.eye(4), source="", subject="", modality="ct", licence=""
    )
    profiles = label_profiles(volume)
    for axis, profile in enumerate(profiles):
        assert profile.shape == (10, view.shape[axis])
        for index in range(view.shape[axis]):
            for value in (1, 2, 9):
                assert profile[value, index] == np.count_nonzero(np.take(view, index, axis) == value)


@settings(max_examples=100)
@given(
    arrays.arrays(np.uint16, st.tuples(*[st.integers(1, 9)] * 3), elements=st.sampled_from([0, 0, 2, 2, 2, 300])),
    st.permutations(range(3)),
    st.tuples(*[st.sampled_from([1, -1, 2, -2])] * 3),
    st.sampled_from([1, 20, 1 << 20]),
)
def test_slabs_and_parts_of_arrays_are_counted_alike(labels, order, steps, slab_voxels):
    """Labels that lie on both sides of the array, and arrays that do not lie in memory as one piece."""
    view = labels.transpose(order)[tuple(slice(None, None, step) for step in steps)]
    for axis, profile in enumerate(profiles_of(view, slab_voxels)):
        of_slices = [np.bincount(plane.ravel(), minlength=len(profile)) for plane in np.moveaxis(view, axis, 0)]
        assert not profile[0].any()
        assert np.array_equal(profile[1:].T, np.array(of_slices)[:, 1:])


# The midline ---------------------------------------------------------------------------------------------------------


def test_one_vertebra_marks_the_midline():
    assert midline(drawn(vertebrae_L1=(20, 27), liver=(40, 55))) == 23 * MM  # voxels 20 to 26


def test_an_even_number_of_voxels_puts_it_between_two():
    assert midline(drawn(vertebrae_L1=(20, 26))) == 22.5 * MM


def test_the_spacing_counts():
    assert midline(drawn(vertebrae_L1=(20, 27), spacing=0.8)) == pytest.approx(23 * 0.8)


def test_a_large_one_outweighs_small_ones():
    # 10 columns of 12 voxels around 25.5 against two of 3 columns each.
    volume = drawn(vertebrae_L1=(21, 31), vertebrae_T5=(40, 43), vertebrae_T6=(44, 47))
    assert midline(volume) == 25.5 * MM


def test_of_three_equals_it_is_the_middle_one():
    assert midline(drawn(vertebrae_L1=(20, 25), vertebrae_L2=(23, 28), sternum=(40, 45))) == 25 * MM


def test_two_equals_meet_half_way():
    assert midline(drawn(vertebrae_L1=(20, 25), vertebrae_L2=(30, 35))) == (22 + 32) / 2 * MM


@pytest.mark.parametrize("flipped", [False, True])
def test_how_the_volume_is_stored_does_not_move_it(flipped):
    volume = drawn(flipped=flipped, vertebrae_L1=(20, 27), liver=(40, 55))
    assert midline(volume) == 23 * MM
    assert midline(volume) + volume.affine[0, 3] == pytest.approx(23 * MM)


def test_without_such_structures_it_lies_between_twins():
    assert midline(drawn(kidney_left=(5, 12), kidney_right=(40, 45), liver=(45, 60))) == (8 + 42) / 2 * MM


def test_a_twin_alone_says_nothing():
    assert midline(drawn(kidney_left=(5, 12), lung_middle_lobe_right=(40, 45))) is None


def test_several_twins_are_weighed_by_the_smaller_of_the_two():
    # Kidneys: centre 25, weight 3 columns; femurs: centre 30, weight 5; hips: centre 31, weight 1.
    volume = drawn(
        kidney_left=(5, 14), kidney_right=(40, 43), femur_left=(10, 15), femur_right=(46, 51),
        hip_left=(18, 21), hip_right=(43, 44),
    )  # fmt: skip
    assert midline(volume) == (12 + 48) / 2 * MM


def test_spread_out_midline_structures_do_not_mark_it():
    """The colon lies on both sides, but nobody would draw the midline through it."""
    assert midline(drawn(colon=(20, 60), small_bowel=(30, 50), heart=(10, 20))) is None


def test_a_limb_has_no_midline():
    assert midline(drawn(side="left", vertebrae_L1=(20, 27))) is None


def test_names_that_the_vocabulary_lacks_mark_nothing():
    assert midline(drawn(moon=(20, 27))) is None
    assert midline(drawn(vertebrae_L1=(20, 27)), {"liver": structures()["liver"]}) is None


# Sides ---------------------------------------------------------------------------------------------------------------

BODY = {"vertebrae_L1": (28, 33), "kidney_left": (10, 18), "kidney_right": (42, 50), "liver": (40, 58)}


def test_labels_on_their_sides_are_accepted():
    check_sides(drawn(**BODY))
    check_sides(drawn(**BODY, flipped=True))


def test_swapped_names_are_refused():
    swapped = {**BODY, "kidney_left": BODY["kidney_right"], "kidney_right": BODY["kidney_left"]}
    with pytest.raises(SwappedSidesError, match=r"kidney_right by 33 mm, kidney_left by 31 mm.*Remedy: .*mirrored"):
        check_sides(drawn(**swapped))


def test_a_mirrored_array_is_refused():
    volume = drawn(**BODY)
    mirrored = volume_from_arrays(
        volume.image, volume.labels[::-1], volume.names, volume.affine,
        source="test", subject="one", modality="ct", licence="",
    )  # fmt: skip
    with pytest.raises(SwappedSidesError, match="kidney_left"):
        check_sides(mirrored)


def test_one_wrong_structure_is_enough():
    with pytest.raises(SwappedSidesError) as caught:
        check_sides(drawn(**BODY, adrenal_gland_left=(40, 50)))
    assert "adrenal_gland_left by 29 mm" in str(caught.value)
    assert "kidney" not in str(caught.value.value)
    assert caught.value.reason == "swapped_sides"


def test_many_wrong_structures_are_not_all_listed():
    wrong = {f"rib_left_{n}": (40 + n, 48 + n) for n in range(1, 8)}
    with pytest.raises(SwappedSidesError, match=r"rib_left_7 by .*, rib_left_3 by \d+ mm \.\.\."):
        check_sides(drawn(**{**BODY, **wrong}))


@pytest.mark.parametrize(("columns", "accepted"), [(2, True), (3, False)])
def test_the_midline_is_not_exact_to_the_millimetre(columns, accepted):
    # The spine's centre is voxel 30; the kidney's is so many voxels beyond.
    volume = drawn(vertebrae_L1=(28, 33), kidney_left=(25 + columns, 36 + columns))
    assert (columns * MM <= MAX_ASTRAY_MM) == accepted
    if accepted:
        check_sides(volume)
    else:
        with pytest.raises(SwappedSidesError):
            check_sides(volume)


@pytest.mark.parametrize(("rows", "accepted"), [(6, True), (7, False)])
def test_crumbs_do_not_count(rows, accepted):
    volume = drawn(**BODY, adrenal_gland_left=(40, 50, rows))  # 10 * rows voxels of 8 mm3
    assert (rows * 10 * MM**3 < 500) == accepted
    if accepted:
        check_sides(volume)
    else:
        with pytest.raises(SwappedSidesError):
            check_sides(volume)


def test_vessels_that_may_cross_the_midline_are_not_checked():
    check_sides(drawn(**BODY, brachiocephalic_vein_left=(40, 50), iliac_artery_right=(5, 15)))


def test_without_a_midline_nothing_can_be_said():
    check_sides(drawn(kidney_left=(40, 50), liver=(5, 20)))


def test_kidneys_alone_swapped_have_a_midline_between_them():
    with pytest.raises(SwappedSidesError):
        check_sides(drawn(kidney_left=(40, 50), kidney_right=(10, 20)))


KNEE = {"femur": (10, 50), "tibial_cartilage_medial": (12, 25), "tibial_cartilage_lateral": (32, 45)}


def test_lateral_is_outward_of_medial_in_a_limb():
    check_sides(drawn(side="right", **KNEE))
    with pytest.raises(SwappedSidesError, match=r"for a left limb.*tibial_cartilage_lateral by 40 mm"):
        check_sides(drawn(side="left", **KNEE))
    check_sides(drawn(side="right", flipped=True, **KNEE))


def test_the_vocabulary_says_what_is_checked():
    swapped = {**BODY, "kidney_left": BODY["kidney_right"], "kidney_right": BODY["kidney_left"]}
    words = {name: row for name, row in structures().items() if not name.startswith("kidney")}
    check_sides(drawn(**swapped), words)
