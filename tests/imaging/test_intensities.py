"""Values that cannot be what they are said to be are refused; all that can be is accepted."""

import numpy as np
import pytest

from dataset_builder.core.errors import IntensityError
from dataset_builder.imaging.intensities import check_intensities
from tests.helpers.small_body import NAMES, affine_of, draw

CT, LABELS = draw(affine_of())
MR, _ = draw(affine_of(), modality="mri")
F = CT.astype(np.float32)


def check(image, modality="ct", labels=LABELS, names=NAMES):
    return check_intensities(image, labels, names, modality)


def cut(image, *part):
    return image[part], LABELS[part]


LIVER = np.s_[35:50, 20:30, 38:50]
WRONG = {
    "unit": ((F + 1000) / 2000).clip(0, 1),
    "plus and minus 1": (F / 2000).clip(-1, 1),
    "z-scored": (F - F.mean()) / F.std(),
    "z-scored inside": np.where(F > -500, (F - 40) / 60, 0),
    "1024 too high": (F.clip(-1024) + 1024).astype(np.uint16),
    "1024 too low": F - 1024,
    "8 bit": ((F.clip(-160, 240) + 160) / 400 * 255).astype(np.uint8),
    "8 bit of the whole range": ((F.clip(-1000, 1000) + 1000) / 2000 * 255).astype(np.uint8),
    "soft tissue window": F.clip(-160, 240),
    "wide window": F.clip(-450, 450),
    "percent": ((F + 1000) / 20).clip(0, 100),
    "16 bit of the whole range": ((F.clip(-1000, 1000) + 1000) / 2000 * 65535).astype(np.uint16),
    "500 too high": F + 500,
    "constant": np.full(CT.shape, 40, np.int16),
    "nothing but padding": np.full(CT.shape, -2048, np.int16),
    "nothing but air": np.random.default_rng(0).normal(-1000, 10, CT.shape),
    "MR": MR,
    "MR of 8 bit": (MR / MR.max() * 255).astype(np.uint8),
    "MR, z-scored": (MR - MR.mean()) / MR.std(),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_no_ct_is_refused(name):
    with pytest.raises(IntensityError) as caught:
        check(WRONG[name])
    assert caught.value.value
    assert caught.value.remedy


def padded(value):
    image = CT.copy()
    i, j = np.meshgrid(*map(np.arange, CT.shape[:2]), indexing="ij")
    image[(i - 33) ** 2 + (j - 22) ** 2 > 30**2] = value
    return image


def with_metal():
    image = CT.copy()
    image[30:34, 10:14, 20:40] = 3071
    return image


def enhanced():
    image = F.copy()
    for value, name in NAMES.items():
        if name in ("aorta", "heart"):
            image[value == LABELS] += 350
    return image


RIGHT = {
    "plain": (CT, LABELS),
    "float": (F, LABELS),
    "resampled": (F + np.float32(0.37), LABELS),
    "low noise": (draw(affine_of(), noise=0)[0], LABELS),
    "noisy": (draw(affine_of(), noise=60)[0], LABELS),
    "clipped at -1024 and 3071": (CT.clip(-1024, 3071), LABELS),
    "clipped at -1000 and 1000": (CT.clip(-1000, 1000), LABELS),
    "padding -2048": (padded(-2048), LABELS),
    "padding -3024": (padded(-3024), LABELS),
    "padding -1024": (padded(-1024), LABELS),
    "padding 0": (padded(0), LABELS),
    "metal": (with_metal(), LABELS),
    "contrast agent": (enhanced(), LABELS),
    "cropped to the body": cut(CT, np.s_[10:56], np.s_[8:36], slice(None)),
    "cropped to the abdomen, no air": cut(CT, np.s_[12:54], np.s_[10:34], np.s_[10:50]),
    "cropped to an organ": cut(CT, *LIVER),
    "lungs only": cut(CT, np.s_[35:60], np.s_[10:34], np.s_[58:80]),
    "one slab": cut(CT, slice(None), slice(None), np.s_[40:46]),
}


@pytest.mark.parametrize("name", RIGHT)
def test_what_can_be_ct_is_accepted(name):
    image, labels = RIGHT[name]
    check(image, labels=labels)


@pytest.mark.parametrize("scale", [1e-3, 0.25, 1, 30])
@pytest.mark.parametrize("shift", [0, -1, 500])
def test_mr_may_have_any_scale(scale, shift):
    assert check(MR * np.float32(scale) + np.float32(shift), "mri") == []
    assert check((MR - MR.mean()) / MR.std(), "mri") == []


def test_ct_called_mr_is_told():
    with pytest.raises(IntensityError, match="values of a CT"):
        check(CT, "mri")


def test_noise_around_zero_is_no_ct():
    """A phase image has values on both sides of 0."""
    phase = np.random.default_rng(0).uniform(-4096, 4095, CT.shape)
    assert check(phase, "mri") == []


def test_a_void_under_labels_is_refused():
    void = CT.copy()
    void[:, :, 50:] = -1024
    with pytest.raises(IntensityError, match="labelled where the image shows air"):
        check(void)


def test_labels_on_other_tissues_are_refused():
    names = {**NAMES, **{value: "liver" for value, name in NAMES.items() if name.startswith("lung")}}
    names |= {value: "lung_left" for value, name in NAMES.items() if name in ("spleen", "kidney_left")}
    with pytest.raises(IntensityError):
        check(CT, names=names)


def test_lungs_without_air_are_told_and_accepted():
    image = CT.copy()
    image[np.isin(LABELS, [1, 2])] = 20
    assert "lungs" in " ".join(check(image))
