"""The torso's anatomy: what lies where and what it looks like, for several individuals.

Positions are centroids in world mm (Right, Anterior, Superior), worked out from the affine.
"""

from functools import cache
from itertools import pairwise

import numpy as np
import pytest
from scipy import ndimage
from scipy.spatial import KDTree

from dataset_builder.imaging.laterality import check_sides, midline
from dataset_builder.imaging.volume import volume_from_arrays
from dataset_builder.sources.phantoms import store_as, torso
from dataset_builder.vocabulary import structures

SEEDS = (1, 4)
T1, T2 = 0, 4
"""Seeds whose MR is weighted so."""
SPACING = 3.4


@cache
def body(seed, modality="ct"):
    return torso(seed, modality, spacing=SPACING)


@cache
def centres(seed, modality="ct"):
    """Centroid of every structure in world mm."""
    phantom = body(seed, modality)
    values = list(phantom.names)
    at = ndimage.center_of_mass(phantom.labels > 0, phantom.labels, values)
    world = np.array(at) @ phantom.affine[:3, :3].T + phantom.affine[:3, 3]
    return dict(zip(phantom.names.values(), world, strict=True))


def voxels(seed, modality="ct"):
    phantom = body(seed, modality)
    counts = np.bincount(phantom.labels.ravel(), minlength=256)
    return {name: int(counts[value]) for value, name in phantom.names.items()}


def typical(seed, modality, name):
    """Median grey value of a structure."""
    phantom = body(seed, modality)
    return float(np.median(phantom.image[phantom.labels == phantom.value(name)]))


@pytest.mark.parametrize(("seed", "modality"), [*((seed, "ct") for seed in SEEDS), (T1, "mri"), (T2, "mri")])
def test_every_structure_is_there(seed, modality):
    assert min(voxels(seed, modality).values()) >= 25


# Where it lies -------------------------------------------------------------------------------------------------------

RIGHT = (
    *("liver", "gallbladder", "inferior_vena_cava", "superior_vena_cava", "duodenum"),
    *("lung_middle_lobe_right", "brachiocephalic_trunk", "kidney_right"),
)
LEFT = ("spleen", "stomach", "heart", "atrial_appendage_left", "esophagus", "aorta", "kidney_left")
FROM_BELOW = (
    *("urinary_bladder", "small_bowel", "kidney_right", "liver", "heart", "brachiocephalic_trunk", "thyroid_gland"),
)
FROM_BEHIND = (
    ("autochthon_left", "vertebrae_T8", "heart", "sternum"),
    ("autochthon_right", "vertebrae_L3", "aorta", "colon"),
    ("vertebrae_L2", "pancreas", "stomach"),
    ("sacrum", "urinary_bladder"),
    ("spinal_cord", "esophagus", "trachea", "sternum"),
    ("gluteus_maximus_left", "femur_left"),
    ("lung_lower_lobe_right", "lung_upper_lobe_right"),
    ("scapula_left", "clavicula_left"),
    ("vertebrae_L1", "inferior_vena_cava"),
)
FROM_THE_MIDDLE = (
    ("vertebrae_L3", "iliopsoas", "gluteus_medius"),
    ("trachea", "clavicula", "scapula", "humerus"),
    ("sacrum", "hip", "femur"),
    ("spinal_cord", "autochthon", "kidney"),
    ("prostate", "hip", "femur"),
    ("trachea", "common_carotid_artery", "subclavian_artery"),
)


@pytest.mark.parametrize("seed", SEEDS)
def test_right_and_left_are_the_patients(seed):
    at = centres(seed)
    middle = np.mean([at[f"vertebrae_{level}"][0] for level in ("T6", "T12", "L3")])
    for name in RIGHT:
        assert at[name][0] > middle + 5, name
    for name in LEFT:
        assert at[name][0] < middle - 5, name
    for name in at:
        if structures()[name].check_side:
            outward = 1 if structures()[name].side == "right" else -1
            assert outward * (at[name][0] - middle) > 5, name


@pytest.mark.parametrize("seed", SEEDS)
def test_the_body_is_upright_in_the_world(seed):
    at = centres(seed)
    spine = ["sacrum", *(f"vertebrae_L{n}" for n in range(5, 0, -1)), *(f"vertebrae_T{n}" for n in range(12, 0, -1))]
    for lower, upper in (*pairwise(spine), ("vertebrae_T1", "vertebrae_C7"), *pairwise(FROM_BELOW)):
        assert at[lower][2] + 5 < at[upper][2], (lower, upper)


@pytest.mark.parametrize("seed", SEEDS)
def test_front_is_in_front(seed):
    at = centres(seed)
    for row in FROM_BEHIND:
        for back, front in pairwise(row):
            assert at[back][1] + 3 < at[front][1], (back, front)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(("side", "outward"), [("right", 1), ("left", -1)])
def test_lateral_is_away_from_the_middle(seed, side, outward):
    at = centres(seed)
    for middle, *rest in FROM_THE_MIDDLE:
        row = [at[middle][0], *(at[f"{name}_{side}"][0] for name in rest)]
        for inner, outer in pairwise(row):
            assert outward * (outer - inner) > 3, (middle, rest)


@pytest.mark.parametrize(("seed", "modality"), [(1, "ct"), (T2, "mri")])
def test_the_builder_finds_the_midline_and_the_sides_right(seed, modality):
    phantom = store_as(body(seed, modality), "PIL")
    volume = volume_from_arrays(
        phantom.image, phantom.labels, phantom.names, phantom.affine,
        source="phantom", subject="x", modality=modality, licence="",
    )  # fmt: skip
    check_sides(volume)
    assert midline(volume) + volume.affine[0, 3] == pytest.approx(0, abs=3)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("lung_upper_lobe_left", "lung_lower_lobe_left"),
        ("lung_upper_lobe_right", "lung_middle_lobe_right"),
        ("lung_lower_lobe_right", "lung_middle_lobe_right"),
        ("vertebrae_T8", "vertebrae_T9"),
        ("liver", "gallbladder"),
        ("femur_left", "hip_left"),
        ("heart", "pulmonary_vein"),
        ("aorta", "iliac_artery_left"),
        ("inferior_vena_cava", "iliac_vena_right"),
        ("sternum", "costal_cartilages"),
        ("stomach", "esophagus"),
        ("brachiocephalic_trunk", "subclavian_artery_right"),
    ],
)
def test_parts_fit_into_each_other(one, other):
    labels = body(1).labels
    these, those = (np.argwhere(labels == body(1).value(name)) for name in (one, other))
    steps, _ = KDTree(those).query(these, distance_upper_bound=2.5)
    assert np.isfinite(steps).sum() > 5


@pytest.mark.parametrize("level", ["T3", "T8", "T12"])
def test_the_cord_runs_between_a_vertebras_body_and_its_arch(level):
    labels, names = body(1).labels, body(1)
    bone = np.argwhere(labels == names.value(f"vertebrae_{level}"))
    cord = np.argwhere(labels == names.value("spinal_cord"))
    height = int(bone[:, 2].mean())
    x, y = cord[cord[:, 2] == height][:, :2].mean(axis=0)
    assert bone[:, 0].min() < x < bone[:, 0].max()
    assert bone[:, 1].min() < y - 1
    assert y + 1 < bone[:, 1].max()


def test_ribs_are_drawn_and_have_no_label():
    """Bone beside the lungs that has no label: the ribs."""
    phantom = body(1)
    bone = (phantom.image > 300) & (phantom.labels == 0)
    lungs = np.isin(phantom.labels, [value for value, name in phantom.names.items() if name.startswith("lung_")])
    assert (bone & ndimage.binary_dilation(lungs, iterations=3)).sum() > 500


@pytest.mark.parametrize("name", ["liver", "spleen", "heart", "kidney_left", "urinary_bladder", "sternum", "hip_right"])
def test_an_organ_is_in_one_piece(name):
    for seed in SEEDS:
        value = body(seed).value(name)
        organ = body(seed).labels[ndimage.find_objects(body(seed).labels)[value - 1]] == value
        pieces, _ = ndimage.label(organ, np.ones((3, 3, 3)))
        sizes = np.bincount(pieces.ravel())[1:]
        assert sizes.max() > 0.97 * sizes.sum()


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [
        ("liver", 900, 2500),
        ("spleen", 50, 350),
        ("kidney_left", 100, 300),
        ("kidney_right", 100, 300),
        ("heart", 250, 1000),
        ("urinary_bladder", 60, 700),
        ("pancreas", 20, 130),
        ("vertebrae_L3", 30, 110),
    ],
)
def test_organs_have_the_size_of_organs(name, low, high):
    for seed in SEEDS:
        assert low < voxels(seed)[name] * SPACING**3 / 1000 < high  # millilitres


# What it looks like --------------------------------------------------------------------------------------------------

HOUNSFIELD = {
    "lung_upper_lobe_left": (-950, -700),
    "lung_lower_lobe_right": (-950, -700),
    "trachea": (-1024, -500),
    "liver": (45, 130),
    "spleen": (35, 140),
    "urinary_bladder": (-15, 40),
    "gallbladder": (-15, 60),
    "autochthon_left": (30, 80),
    "gluteus_maximus_right": (30, 80),
    "aorta": (30, 260),
    "heart": (30, 200),
    "spinal_cord": (15, 70),
    "vertebrae_L3": (150, 700),
    "hip_left": (150, 700),
    "femur_right": (100, 700),
    "sternum": (150, 700),
}


@pytest.mark.parametrize("seed", SEEDS)
def test_ct_values_are_those_of_the_tissue(seed):
    for name, (low, high) in HOUNSFIELD.items():
        assert low < typical(seed, "ct", name) < high, name
    image = body(seed).image
    assert np.median(image[:, -2:]) == pytest.approx(-1000, abs=5)  # air in front of the body
    fat = (image > -140) & (image < -60)
    assert 0.05 < fat.mean() < 0.5


def test_contrast_agent_shows_in_vessels_and_not_in_muscle():
    """Seeds 1 and 3: with little and with much of it."""
    plain, dosed = torso(1, spacing=6.0, coverage="chest"), torso(3, spacing=6.0, coverage="chest")

    def values(name):
        return [float(np.median(scan.image[scan.labels == scan.value(name)])) for scan in (plain, dosed)]

    without, with_agent = values("aorta")
    assert with_agent - without > 40
    without, with_agent = values("autochthon_left")
    assert abs(with_agent - without) < 20


@pytest.mark.parametrize(
    ("seed", "brighter"),
    [
        (T1, [("liver", "spleen"), ("spleen", "urinary_bladder"), ("pancreas", "liver"), ("sacrum", "spinal_cord")]),
        (T2, [("urinary_bladder", "spleen"), ("gallbladder", "liver"), ("spleen", "liver"), ("liver", "aorta")]),
        (T1, [("liver", "lung_left"), ("autochthon_left", "lung_left")]),
        (T2, [("liver", "lung_left"), ("kidney_left", "autochthon_left")]),
    ],
)
def test_mr_weighting(seed, brighter):
    for bright, dark in brighter:
        assert typical(seed, "mri", bright) > 1.1 * typical(seed, "mri", dark), (bright, dark)
    assert body(seed, "mri").image.min() >= 0


def test_ct_shows_a_couch_under_the_body_and_mr_does_not():
    def layers(seed, modality, air):
        """Runs of voxels that are not air, from the back to the middle of the body, along a line in its middle."""
        image = body(seed, modality).image
        shown = image[image.shape[0] // 2, : image.shape[1] // 3, image.shape[2] // 2] > air
        return np.count_nonzero(np.diff(shown.astype(int)) == 1)

    assert layers(1, "ct", -800) == 2
    assert layers(T2, "ct", -800) == 2
    assert layers(T1, "mri", 60) == 1
