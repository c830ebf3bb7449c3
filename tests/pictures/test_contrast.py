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
