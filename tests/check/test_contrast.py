"""Contrast across a border, worked out anew: a step of grey is found, noise and melting borders are not."""

import numpy as np
import pytest

from dataset_builder.check.contrast import contrast
from dataset_builder.check.maps import Map

LOW, HIGH = -160.0, 240.0


def square(step, noise=0.0, spacing=(1.0, 1.0), modality="ct", width=30):
    """A square of one structure in another one, brighter by ``step``."""
    labels = np.ones((90, 80), np.uint8)
    labels[20 : 20 + width, 25 : 25 + width] = 2
    grey = 40.0 + step * (labels == 2) + np.random.default_rng(0).normal(0, noise, labels.shape)
    return Map(
        ("a", "b", "axial", 0), None, labels, grey, {"liver": 1, "spleen": 2}, spacing, None, "", {}, modality=modality
    )


@pytest.mark.parametrize("noise", [0.0, 5.0, 20.0])
@pytest.mark.parametrize("spacing", [(1.0, 1.0), (0.7, 2.0)])
def test_a_step_of_grey_is_measured_without_its_noise(noise, spacing):
    for step in (20.0, 60.0, -60.0):
        expected = abs(step) * 255 / (HIGH - LOW)
        found = contrast(square(step, noise, spacing), "spleen", LOW, HIGH)
        assert 0.9 * expected - 1 <= found <= 1.25 * expected + 1.5 + noise / 2


@pytest.mark.parametrize("noise", [0.0, 5.0, 20.0])
def test_what_melts_into_its_surroundings_has_none(noise):
    assert contrast(square(0.0, noise), "spleen", LOW, HIGH) <= noise / 2


def test_a_wide_window_is_no_excuse_in_ct_and_the_window_counts_in_mr():
    assert contrast(square(20.0), "spleen", -1000, 1000) == contrast(square(20.0), "spleen", LOW, HIGH)
    assert contrast(square(20.0, modality="mri"), "spleen", 0, 2000) < contrast(square(20.0), "spleen", LOW, HIGH)


def test_of_few_pixels_nothing_is_said():
    assert contrast(square(50.0, width=1), "spleen", LOW, HIGH) is None
