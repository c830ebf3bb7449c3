"""What stands out from its surroundings is visible; noise alone makes nothing visible."""

import numpy as np
import pytest

from dataset_builder.core.settings import ClarityLimits
from dataset_builder.pictures.contrast import border_contrast, contrasts, noise_of
from dataset_builder.questions.facts import find_facts
from dataset_builder.slices.selection import cut
from tests.helpers.small_body import NAMES, affine_of, draw, volume_of

MASK = np.zeros((60, 50), bool)
MASK[20:40, 15:35] = True
LIMIT = ClarityLimits().min_contrast


@pytest.mark.parametrize("spacing", [(1.0, 1.0), (3.0, 3.0), (0.8, 5.0)])
@pytest.mark.parametrize("step", [0, 10, 60])
@pytest.mark.parametrize("noise", [0, 10, 25])
def test_contrast_is_the_step_whatever_the_noise(step, noise, spacing):
    grain = np.random.default_rng(0).normal(0, noise, MASK.shape)
    grey = (100 + step * MASK + grain).astype(np.float32)
    found = border_contrast(grey, noise, MASK, spacing)
    assert found == pytest.approx(step, abs=1 + noise / 2)
    if not step:
        assert found < max(LIMIT, noise / 2)


def test_noise_is_measured_across_edges():
    labels = np.where(MASK, 1, 2)
    grey = (100 + 90 * MASK + np.random.default_rng(0).normal(0, 12, MASK.shape)).astype(np.float32)
    assert noise_of(grey, labels) == pytest.approx(12, rel=0.1)
    assert noise_of(grey, labels * 0) == 0


@pytest.mark.parametrize("level", [0, 255])
def test_where_the_window_ends_nothing_is_learnt_of_noise(level):
    """Gas and bone are black and white in the window of soft tissue, without any noise."""
    labels = np.where(MASK, 1, 2)
    grey = (100 + np.random.default_rng(0).normal(0, 12, MASK.shape)).astype(np.float32)
    grey[:, 20:] = level
    assert noise_of(grey, labels) == pytest.approx(12, rel=0.1)


def test_a_mask_that_fills_the_slice_has_no_border():
    assert border_contrast(np.ones((5, 5), np.float32), 0, np.ones((5, 5), bool), (1.0, 1.0)) == 0


def test_nothing_is_asked_about_what_cannot_be_seen():
    affine = affine_of()
    image, labels = draw(affine)
    bladder = labels == 9
    image[bladder] = 40 + np.random.default_rng(1).normal(0, 8, bladder.sum())  # as the muscle around it
    volume = volume_of(image, labels, affine)
    record = cut(volume, "coronal", 22)
    assert np.any(record.labels == 9)
    assert contrasts(record, [9])[0] < LIMIT < contrasts(record, [1])[0]
    asked = {name for fact in find_facts(record) for name in fact.structures}
    assert NAMES[9] not in asked
    assert NAMES[1] in asked


def test_a_slice_without_contrast_asks_nothing():
    affine = affine_of()
    _, labels = draw(affine)
    for image in (np.full(labels.shape, 40), np.random.default_rng(0).normal(40, 10, labels.shape)):
        record = cut(volume_of(image.astype(np.int16), labels, affine), "coronal", 22)
        assert find_facts(record) == []


@pytest.mark.parametrize(
    ("share", "seen"),
    [(0.0, False), (0.1, False), (0.2, False), (0.5, True), (1.0, True)],
    ids=lambda value: str(value),
)
@pytest.mark.parametrize("noise", [0, 8])
def test_a_border_that_stands_out_on_a_short_stretch_only_is_not_seen(share, seen, noise):
    """The structure melts into its surroundings; beside a part of its border there is bone."""
    grey = 100 + np.random.default_rng(0).normal(0, noise, MASK.shape)
    around = np.zeros(MASK.shape, bool)
    around[15:45, 10:40] = True
    angle = np.arctan2(*np.meshgrid(np.arange(60) - 29.5, np.arange(50) - 24.5, indexing="ij"))
    grey[around & ~MASK & (angle < -np.pi + 2 * np.pi * share)] += 120
    found = border_contrast(grey.astype(np.float32), noise, MASK, (1.0, 1.0))
    assert (found >= LIMIT) == seen


def test_a_weak_border_all_round_is_not_seen_either():
    assert border_contrast((100 + (LIMIT - 1) * MASK).astype(np.float32), 0, MASK, (1.0, 1.0)) < LIMIT
    assert border_contrast((100 + (LIMIT + 1) * MASK).astype(np.float32), 0, MASK, (1.0, 1.0)) > LIMIT
