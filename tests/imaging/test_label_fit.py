"""Labels that were flipped, turned or shifted against their image are refused; those that lie on it are not."""

import itertools

import numpy as np
import pytest

from dataset_builder.core.errors import LabelFitError
from dataset_builder.imaging.label_fit import Placed, borders, check_label_fit, edge_ranks
from tests.helpers.small_body import NAMES, affine_of, draw

SPACING = (6.0, 6.0, 6.0)
PAIRS = {"ct": draw(affine_of()), "mri": draw(affine_of(), modality="mri", noise=20.0)}
UNSIDED = [value for value, name in NAMES.items() if not name.endswith(("left", "right"))]
FLIPS = [axes for count in (1, 2, 3) for axes in itertools.combinations(range(3), count)]


@pytest.mark.parametrize("modality", PAIRS)
@pytest.mark.parametrize("axes", FLIPS)
def test_flipped_labels_are_refused(modality, axes):
    image, labels = PAIRS[modality]
    with pytest.raises(LabelFitError, match="flipped"):
        check_label_fit(image, np.flip(labels, axes), SPACING, modality)


@pytest.mark.parametrize("modality", PAIRS)
@pytest.mark.parametrize("axis", range(3))
def test_shifted_labels_are_refused(modality, axis):
    image, labels = PAIRS[modality]
    for voxels in (-5, 4):
        with pytest.raises(LabelFitError, match=r"mm"):
            check_label_fit(image, np.roll(labels, voxels, axis), SPACING, modality)


def test_flipped_labels_without_a_side_are_refused():
    image, labels = PAIRS["ct"]
    kept = np.where(np.isin(labels, UNSIDED), labels, 0)
    with pytest.raises(LabelFitError, match="left-right and front-back"):
        check_label_fit(image, kept[::-1, ::-1], SPACING, "ct")


def test_labels_with_exchanged_axes_are_refused():
    image, labels = (array[10:54, :, 20:64] for array in PAIRS["ct"])  # as long along all axes
    with pytest.raises(LabelFitError, match="axes exchanged"):
        check_label_fit(image, labels.transpose(1, 0, 2), SPACING, "ct")


@pytest.mark.parametrize("modality", PAIRS)
def test_right_labels_are_accepted_whichever_there_are(modality):
    image, labels = PAIRS[modality]
    check_label_fit(image, labels, SPACING, modality)
    draws = np.random.default_rng(3)
    for _ in range(12):
        some = draws.choice(list(NAMES), draws.integers(1, 7), replace=False)
        check_label_fit(image, np.where(np.isin(labels, some), labels, 0), SPACING, modality)
        check_label_fit(image[:, :, 20:60], np.where(np.isin(labels, some), labels, 0)[:, :, 20:60], SPACING, modality)


def test_a_symmetric_label_map_is_accepted_also_mirrored():
    image, labels = PAIRS["ct"]
    spine = np.isin(labels, [value for value, name in NAMES.items() if name.startswith("vertebrae")]).astype(np.uint8)
    check_label_fit(np.maximum(image, image[::-1]), np.maximum(spine, spine[::-1]), SPACING, "ct")


def test_one_voxel_off_is_no_shift():
    image, labels = PAIRS["ct"]
    check_label_fit(image, np.roll(labels, 1, 0), SPACING, "ct")


def test_strength_is_the_mean_rank_of_the_edges_under_the_borders():
    image, labels = PAIRS["ct"]
    placed = Placed.of(image, labels, SPACING, "ct")
    ranks, at = edge_ranks(image, SPACING, "ct"), borders(labels)
    step = -(-int(at.sum()) // 12000)
    assert placed.strength() == pytest.approx(float(ranks[tuple(np.argwhere(at)[::step].T)].mean()))
    assert placed.sharpness() > 0.02


def test_borders_are_voxels_beside_another_label():
    labels = np.zeros((4, 4), np.uint8)
    labels[1:3, 1] = 1
    assert borders(labels).tolist() == [[0, 1, 0, 0], [1, 1, 1, 0], [1, 1, 1, 0], [0, 1, 0, 0]]
