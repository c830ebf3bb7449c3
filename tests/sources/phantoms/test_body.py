"""Phantoms as whole scans: the same body however it is scanned and stored, another one for another seed."""

import hashlib
import itertools
import os
import subprocess
import sys
from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest

from dataset_builder.imaging.volume import volume_from_arrays
from dataset_builder.sources.phantoms import COVERAGES, ORIENTATIONS, Phantom, knee, store_as, torso
from dataset_builder.vocabulary import label_map, structures

COARSE = 7.0
"""mm; a torso of such voxels takes a moment."""


def world(phantom, index):
    return (phantom.affine @ (*index, 1))[:3]


def centre(phantom, structure):
    """Centroid of a structure in world mm."""
    index = np.argwhere(phantom.labels == phantom.value(structure)).mean(axis=0)
    return world(phantom, index)


def small():
    """A phantom of 24 voxels, no two alike."""
    image = np.arange(1, 25, dtype=np.int16).reshape(2, 3, 4)
    affine = np.diag([1.5, 2.5, 4.0, 1.0])
    affine[:3, 3] = (-7, 11, 300)
    return Phantom(image, (image + 100).astype(np.uint8), {101: "liver"}, affine, "ct")


# How it is stored ----------------------------------------------------------------------------------------------------


def places(phantom):
    """World position of each value of the image; labels must have moved with it."""
    found = {}
    for index in np.ndindex(phantom.image.shape):
        assert phantom.labels[index] == phantom.image[index] + 100
        found[int(phantom.image[index])] = world(phantom, index)
    return found


def assert_same_places(one, other):
    assert set(one) == set(other)
    for value, place in one.items():
        np.testing.assert_allclose(other[value], place, atol=1e-9)


def test_orientations_are_48_half_of_them_left_handed():
    assert len(ORIENTATIONS) == len(set(ORIENTATIONS)) == 48
    assert {"RAS", "LPS", "LAS", "AIR", "SPL"} <= set(ORIENTATIONS)
    handed = [np.linalg.det(store_as(small(), orientation).affine[:3, :3]) > 0 for orientation in ORIENTATIONS]
    assert sum(handed) == 24


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_every_voxel_keeps_its_place_in_every_orientation(orientation):
    stored = store_as(small(), orientation)
    assert "".join(nib.aff2axcodes(stored.affine)) == orientation
    assert_same_places(places(small()), places(stored))
    steps = {"R": 1.5, "L": 1.5, "A": 2.5, "P": 2.5, "S": 4.0, "I": 4.0}
    np.testing.assert_allclose(stored.spacing, [steps[letter] for letter in orientation])
    assert stored.image.flags.c_contiguous
    assert stored.labels.flags.c_contiguous
    # Stored again, from where it is: still nothing has moved.
    assert_same_places(places(small()), places(store_as(stored, "PIR")))


def test_storing_leaves_the_phantom_alone():
    phantom = small()
    stored = store_as(phantom, "LPI")
    stored.image[:] = 0
    assert_same_places(places(phantom), places(small()))


def turn_matrix(degrees, axis):
    """Right-handed rotation about a world axis, written out."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array(
        {
            "x": [[1, 0, 0], [0, c, -s], [0, s, c]],
            "y": [[c, 0, s], [0, 1, 0], [-s, 0, c]],
            "z": [[c, -s, 0], [s, c, 0], [0, 0, 1]],
        }[axis]
    )


@pytest.mark.parametrize("orientation", ["RAS", "LPS", "AIR", "SLP"])
@pytest.mark.parametrize("degrees", [(20, 0, 0), (0, -15, 0), (0, 0, 12), (10, -8, 5)])
def test_a_tilt_turns_the_body_about_the_volumes_centre(orientation, degrees):
    phantom = small()
    middle = world(phantom, (np.array(phantom.image.shape) - 1) / 2)
    turn = turn_matrix(degrees[2], "z") @ turn_matrix(degrees[1], "y") @ turn_matrix(degrees[0], "x")
    tilted = places(store_as(phantom, orientation, degrees))
    for value, place in places(phantom).items():
        np.testing.assert_allclose(tilted[value], turn @ (place - middle) + middle, atol=1e-9)


@pytest.mark.parametrize("orientation", ["RAS", "LPS", "AIR"])
def test_the_builder_sees_the_tilt_and_the_orientation(orientation):
    phantom = replace(small(), names={value: f"s{value}" for value in range(101, 125)})
    stored = store_as(phantom, orientation, (0, 9, 0))
    volume = volume_from_arrays(
        stored.image, stored.labels, stored.names, stored.affine, source="x", subject="y", modality="ct", licence=""
    )
    assert volume.obliquity_deg == pytest.approx(9)
    assert volume.stored_axes == orientation
    np.testing.assert_array_equal(volume.image, phantom.image)


@pytest.mark.parametrize("orientation", ["", "RA", "RAR", "ras", "XYZ", "RASS"])
def test_an_unknown_orientation_is_refused(orientation):
    with pytest.raises(ValueError, match=f"one each of R/L, A/P and S/I, not '{orientation}'"):
        store_as(small(), orientation)


# How it is scanned ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def coarse():
    return torso(0, spacing=COARSE)


def test_values_and_names_are_those_of_the_published_label_maps(coarse):
    assert coarse.names.items() <= label_map("totalsegmentator_v2_ct").items()
    magnetic = torso(0, "mri", spacing=COARSE)
    assert magnetic.names.items() <= label_map("totalsegmentator_mri").items()
    assert len(coarse.names) > 75
    assert len(magnetic.names) > 45
    for phantom in (coarse, magnetic, knee(0, "left", spacing=4)):
        assert set(phantom.names.values()) <= set(structures())
        assert set(np.unique(phantom.labels)) - {0} <= set(phantom.names)


def test_types_and_shapes(coarse):
    assert coarse.image.dtype == np.int16
    assert coarse.labels.dtype == np.uint8
    assert coarse.image.shape == coarse.labels.shape
    assert coarse.spacing == (COARSE,) * 3
    assert (coarse.modality, coarse.side) == ("ct", None)
    np.testing.assert_array_equal(coarse.affine[:3, :3], np.eye(3) * COARSE)


def test_the_value_of_a_structure(coarse):
    assert coarse.names[coarse.value("liver")] == "liver"
    with pytest.raises(KeyError, match="moon"):
        coarse.value("moon")


FIXED_PLACES = ("heart", "liver", "spleen", "kidney_left", "vertebrae_L1", "urinary_bladder")


@pytest.mark.parametrize(
    "scan",
    [
        {"spacing": (4.0, 9.0, 6.0), "shape": (100, 36, 120)},
        {"coverage": "abdomen_pelvis"},
        {"modality": "mri"},
    ],
    ids=str,
)
def test_a_body_stays_the_same_however_it_is_scanned(coarse, scan):
    other = torso(0, **{"spacing": COARSE, **scan})
    seen = 0
    for name in FIXED_PLACES:
        if name not in other.names.values():
            continue
        voxels = np.argwhere(other.labels == other.value(name))
        cut = len(voxels) == 0 or (voxels[:, 2].min() == 0) or (voxels[:, 2].max() == other.labels.shape[2] - 1)
        if not cut:
            seen += 1
            np.testing.assert_allclose(centre(other, name), centre(coarse, name), atol=2.5)
            volume = len(voxels) * np.prod(other.spacing)
            assert volume == pytest.approx((coarse.labels == coarse.value(name)).sum() * COARSE**3, rel=0.12)
    assert seen >= 3


def test_the_shape_is_what_was_asked_for_around_the_same_middle(coarse):
    shaped = torso(0, spacing=(9.0, 8.0, 7.0), shape=(40, 37, 50))
    assert shaped.image.shape == (40, 37, 50)
    middle, wanted = (world(phantom, (np.array(phantom.image.shape) - 1) / 2) for phantom in (shaped, coarse))
    np.testing.assert_allclose(middle, wanted, atol=1e-6)


EXTENT = {  # structures that a scan must show, and those that it must not
    "trunk": ({"trachea", "heart", "liver", "prostate", "femur_left"}, set()),
    "chest": ({"trachea", "heart", "sternum", "vertebrae_T5"}, {"prostate", "vertebrae_L4", "urinary_bladder"}),
    "abdomen": ({"liver", "kidney_left", "vertebrae_L3"}, {"trachea", "prostate", "vertebrae_T4"}),
    "pelvis": ({"prostate", "urinary_bladder", "hip_left", "sacrum"}, {"spleen", "heart", "vertebrae_T12"}),
    "chest_abdomen": ({"trachea", "heart", "liver", "kidney_left"}, {"prostate", "femur_left"}),
    "abdomen_pelvis": ({"liver", "kidney_left", "prostate"}, {"trachea", "vertebrae_T4"}),
}


@pytest.mark.parametrize("coverage", COVERAGES)
def test_coverage_is_what_is_scanned(coverage, coarse):
    seen, unseen = EXTENT[coverage]
    phantom = torso(0, spacing=COARSE, coverage=coverage)
    shown = {phantom.names[value] for value in np.unique(phantom.labels) if value}
    assert seen <= shown
    assert not unseen & shown
    assert phantom.names == coarse.names


def test_the_field_of_view_is_filled_by_the_spacing():
    fine, tall = torso(3, spacing=8.0), torso(3, spacing=(8.0, 8.0, 16.0))
    assert fine.image.shape[:2] == tall.image.shape[:2]
    assert abs(fine.image.shape[2] - 2 * tall.image.shape[2]) <= 1


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: torso(0, coverage="head"), "coverage must be one of trunk, chest.*not 'head'"),
        (lambda: torso(0, spacing=0.0), "spacing must be one or three positive numbers in mm, not 0.0"),
        (lambda: torso(0, spacing=(1.0, -1.0, 1.0)), "spacing must be one or three positive"),
        (lambda: torso(0, spacing=(1.0, float("nan"), 1.0)), "spacing must be one or three positive"),
        (lambda: torso(0, spacing=(1.0, 1.0)), "spacing must be one or three positive"),
        (lambda: torso(0, shape=(10, 0, 10)), "shape must be three positive whole numbers"),
        (lambda: torso(-1), "seed must not be negative, not -1"),
        (lambda: knee(0, "both"), "side must be left or right, not 'both'"),
    ],
)
def test_what_makes_no_sense_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


# Chance --------------------------------------------------------------------------------------------------------------

MADE = """
import hashlib
from dataset_builder.sources.phantoms import knee, torso
for body in (torso(3, spacing=9.0), torso(3, "mri", spacing=9.0), knee(3, "left", spacing=4.0)):
    print(hashlib.sha256(body.image.tobytes() + body.labels.tobytes() + body.affine.tobytes()).hexdigest())
"""


def test_another_process_makes_the_same_bytes():
    environment = {**os.environ, "PYTHONHASHSEED": "77", "OMP_NUM_THREADS": "2"}
    reported = subprocess.run([sys.executable, "-c", MADE], env=environment, capture_output=True, text=True, check=True)
    np.random.seed(5)  # the global generator must not matter
    made = [torso(3, spacing=9.0), torso(3, "mri", spacing=9.0), knee(3, "left", spacing=4.0)]
    wanted = [
        hashlib.sha256(body.image.tobytes() + body.labels.tobytes() + body.affine.tobytes()).hexdigest()
        for body in made
    ]
    assert reported.stdout.split() == wanted


def test_every_seed_is_another_body():
    bodies = [torso(seed, spacing=10.0, shape=(42, 30, 70)) for seed in range(3)]
    for one, other in itertools.combinations(bodies, 2):
        assert (one.labels != other.labels).mean() > 0.02
        assert np.linalg.norm(centre(one, "spleen") - centre(other, "spleen")) > 0.5
    sizes = [np.count_nonzero(body.labels == body.value("stomach")) for body in bodies]
    assert len(set(sizes)) == len(sizes)


def test_knees_of_other_seeds_are_other_knees():
    one, other = (knee(seed, "right", spacing=3.0, shape=(40, 50, 50)) for seed in (0, 1))
    assert (one.labels != other.labels).mean() > 0.01
