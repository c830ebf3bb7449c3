"""The knee's anatomy on either side; positions are centroids in world mm."""

from functools import cache

import numpy as np
import pytest
from scipy import ndimage

from dataset_builder.core.errors import SwappedSidesError
from dataset_builder.imaging.laterality import check_sides, midline
from dataset_builder.imaging.volume import volume_from_arrays
from dataset_builder.sources.phantoms import knee
from dataset_builder.vocabulary import structures

SEEDS = (0, 1)
SIDES = ("left", "right")


@cache
def joint(seed, side):
    return knee(seed, side, spacing=1.4)


def centres(phantom):
    at = ndimage.center_of_mass(phantom.labels > 0, phantom.labels, list(phantom.names))
    world = np.array(at) @ phantom.affine[:3, :3].T + phantom.affine[:3, 3]
    return dict(zip(phantom.names.values(), world, strict=True))


EACH = pytest.mark.parametrize(("seed", "side"), [(seed, side) for seed in SEEDS for side in SIDES])


@EACH
def test_every_structure_is_there_and_known(seed, side):
    phantom = joint(seed, side)
    assert set(phantom.names.values()) == {name for name, row in structures().items() if row.region == "knee"}
    assert np.bincount(phantom.labels.ravel())[1:].min() > 200
    assert (phantom.modality, phantom.side) == ("mri", side)


@EACH
def test_lateral_faces_away_from_the_other_knee(seed, side):
    at = centres(joint(seed, side))
    outward = 1 if side == "right" else -1
    assert 80 < outward * at["femur"][0] < 110  # beside the body's midline
    assert outward * (at["fibula"][0] - at["tibia"][0]) > 20
    for name in ("tibial_cartilage", "meniscus"):
        assert outward * (at[f"{name}_lateral"][0] - at[f"{name}_medial"][0]) > 30


@EACH
def test_the_knee_is_upright_and_faces_forward(seed, side):
    at = centres(joint(seed, side))
    for lower, upper in (
        *(("fibula", "tibia"), ("tibia", "tibial_cartilage_medial"), ("tibia", "meniscus_lateral")),
        *(("meniscus_medial", "femoral_cartilage"), ("femoral_cartilage", "femur")),
    ):
        assert at[lower][2] < at[upper][2] - 2, (lower, upper)
    for back, front in (
        *(("fibula", "tibia"), ("tibia", "patellar_cartilage")),
        *(("femur", "patellar_cartilage"), ("patellar_cartilage", "patella")),
    ):
        assert at[back][1] < at[front][1] - 2, (back, front)


@pytest.mark.parametrize("seed", SEEDS)
def test_left_and_right_are_mirror_images(seed):
    left, right = joint(seed, "left"), joint(seed, "right")
    assert left.names == right.names
    np.testing.assert_array_equal(left.labels[::-1], right.labels)
    mirrored = [world * (-1, 1, 1) for world in centres(left).values()]
    np.testing.assert_allclose(mirrored, list(centres(right).values()), atol=1e-6)
    # The same tissues under another noise.
    assert (left.image[::-1] != right.image).mean() > 0.5
    assert np.corrcoef(left.image[::-1].ravel(), right.image.ravel())[0, 1] > 0.85


def test_a_knee_is_not_its_own_mirror_image():
    labels = joint(0, "left").labels
    assert (labels != labels[::-1]).mean() > 0.01


@EACH
def test_cartilage_lies_between_the_bones(seed, side):
    phantom = joint(seed, side)

    def mask(name):
        return phantom.labels == phantom.value(name)

    for cartilage, bone in (
        ("femoral_cartilage", "femur"),
        ("tibial_cartilage_medial", "tibia"),
        ("tibial_cartilage_lateral", "tibia"),
        ("patellar_cartilage", "patella"),
    ):
        near = ndimage.binary_dilation(mask(bone), iterations=3)
        assert (mask(cartilage) & near).sum() > 0.8 * mask(cartilage).sum(), (cartilage, bone)
    assert not (ndimage.binary_dilation(mask("femur")) & mask("tibia")).any()


@EACH
def test_dess_shows_cartilage_bright_and_bone_and_meniscus_dark(seed, side):
    phantom = joint(seed, side)
    typical = {name: np.median(phantom.image[phantom.labels == value]) for value, name in phantom.names.items()}
    dark = [typical[name] for name in typical if "cartilage" not in name]
    bright = [typical[name] for name in typical if "cartilage" in name]
    assert max(dark) < 150 < 350 < min(bright)
    assert np.percentile(phantom.image, 99.8) > 800  # the joint's fluid


@EACH
def test_the_builder_accepts_the_side_and_refuses_the_other(seed, side):
    phantom = joint(seed, side)

    def volume(stated):
        return volume_from_arrays(
            phantom.image, phantom.labels, phantom.names, phantom.affine,
            source="phantom", subject="x", modality="mri", licence="", side=stated,
        )  # fmt: skip

    check_sides(volume(side))
    assert midline(volume(side)) is None
    with pytest.raises(SwappedSidesError, match="meniscus_lateral"):
        check_sides(volume("left" if side == "right" else "right"))
