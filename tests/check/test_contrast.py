"""Contrast across a border, worked out anew: a step of grey is found, noise and melting borders are not."""

import numpy as np
import pytest

from dataset_builder.check.contrast import SHARE, contrast
from dataset_builder.check.maps import Map
from dataset_builder.core.settings import ClarityLimits
from dataset_builder.pictures.contrast import border_contrast, noise_of

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


def beside_bone(share, noise=0.0, spacing=(1.0, 1.0)):
    """A square that melts into what is around it, but for bone along a share of its border."""
    here = square(0.0, noise, spacing)
    rows, columns = np.meshgrid(np.arange(90) - 34.5, np.arange(80) - 39.5, indexing="ij")
    bone = (here.labels == 1) & (np.arctan2(rows, columns) < -np.pi + 2 * np.pi * share)
    here.grey[bone & (np.abs(rows) < 20) & (np.abs(columns) < 20)] += 300
    return here


@pytest.mark.parametrize("noise", [0.0, 10.0])
def test_a_border_that_stands_out_on_a_tenth_only_is_reported_and_one_on_a_third_is_not(noise):
    least = SHARE * ClarityLimits().min_contrast
    assert contrast(beside_bone(0.0, noise), "spleen", LOW, HIGH) < least + noise / 2
    assert contrast(beside_bone(0.1, noise), "spleen", LOW, HIGH) < least + noise / 2
    assert contrast(beside_bone(0.4, noise), "spleen", LOW, HIGH) > 5 * least


def test_the_texture_of_lung_hides_nothing_in_the_window_of_soft_tissue():
    here = square(25.0, 3.0)
    lung = np.s_[:, 60:]
    here.labels[lung] = 3
    here.grey[lung] = np.random.default_rng(1).normal(-800, 150, here.grey[lung].shape)
    assert contrast(here, "spleen", LOW, HIGH) > 10


@pytest.mark.parametrize("spacing", [(1.0, 1.0), (3.0, 3.0)])
@pytest.mark.parametrize("noise", [0.0, 6.0, 15.0])
@pytest.mark.parametrize("step", [0.0, 8.0, 12.0, 20.0, 60.0])
@pytest.mark.parametrize("share", [0.3, 0.36, 0.5, 1.0])
def test_what_a_build_asks_about_is_never_reported(share, step, noise, spacing):
    """A part of the border has a step of grey; if the builder's rule sees it, so does the audit's."""
    here = square(0.0, noise, spacing)
    rows, columns = np.meshgrid(np.arange(90) - 34.5, np.arange(80) - 39.5, indexing="ij")
    here.grey[(here.labels == 1) & (np.arctan2(rows, columns) < -np.pi + 2 * np.pi * share)] += step
    shown = np.round(np.clip((here.grey - LOW) * 255 / (HIGH - LOW), 0, 255)).astype(np.float32)
    built = border_contrast(shown, noise_of(shown, here.labels), here.labels == 2, spacing[::-1])
    least = ClarityLimits().min_contrast
    assert built < least or contrast(here, "spleen", LOW, HIGH) >= SHARE * least
