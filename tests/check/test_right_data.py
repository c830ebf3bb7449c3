"""What is right is never condemned: whatever the builder makes of odd volumes, the audit accepts."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataset_builder.core.settings import ClarityLimits, Settings
from dataset_builder.imaging.volume import volume_from_arrays
from dataset_builder.vocabulary import structures
from tests.helpers.audit_volumes import audit_volumes

NAMES = {
    1: "liver",
    2: "spleen",
    3: "stomach",
    4: "heart",
    5: "aorta",
    6: "kidney_left",
    7: "kidney_right",
    8: "urinary_bladder",
    9: "lung_upper_lobe_left",
    10: "vertebrae_L1",
}
FEW = Settings(
    slices_per_volume=3,
    questions_per_volume=60,
    stack_size=4,
    stack_questions_per_volume=24,
    image_size=64,
    views=("plain", "rotated90"),
    answer_types=("choice",),
)


def scan(labels, *, spacing=(4, 4, 4), affine=None, names=NAMES, image=None, modality="ct", subject="one", **more):
    """A volume whose grey values differ by structure, with noise."""
    if image is None:
        noise = np.random.default_rng(1).normal(0, 8, labels.shape)
        image = np.where(labels > 0, -60 + 37 * (labels.astype(int) % 8), -400) + noise
    where = np.diag([*spacing, 1.0]) if affine is None else affine
    identity = {"source": "odd", "subject": subject, "modality": modality, "licence": "cc0-1.0"}
    return volume_from_arrays(np.asarray(image, np.int16), labels, names, where, **identity | more)


def blocks(shape=(40, 34, 30), count=10, seed=0):
    """Boxes of many sizes, one over the other; some reach the border."""
    draw = np.random.default_rng(seed)
    labels = np.zeros(shape, np.uint8)
    for value in range(1, count + 1):
        low = [int(draw.integers(0, size - 5)) for size in shape]
        high = [start + int(draw.integers(5, 14)) for start in low]
        labels[tuple(slice(start, stop) for start, stop in zip(low, high, strict=True))] = value
    return labels


def accepted(volumes, settings=FEW, at_least=1, **more):
    count, found = audit_volumes(volumes, settings, **more)
    assert found == {}
    assert count >= at_least
    return count


# Any labels ---------------------------------------------------------------------------------------------------------


@st.composite
def odd_labels(draw):
    """Few large blocks, single voxels, equal areas, structures on the border, slices without any label."""
    shape = draw(st.sampled_from([(30, 24, 20), (16, 30, 12), (24, 24, 40)]))
    labels = np.zeros(shape, np.uint8)
    equal = draw(st.booleans())
    for value in range(1, draw(st.integers(3, 10)) + 1):
        size = (7, 7, 7) if equal else tuple(draw(st.integers(1, 12)) for _ in range(3))
        low = [draw(st.integers(0, max(0, length - 1))) for length in shape]
        labels[tuple(slice(start, start + extent) for start, extent in zip(low, size, strict=True))] = value
    if draw(st.booleans()):  # a gap: no label in the middle of the body
        axis = draw(st.integers(0, 2))
        middle = [slice(None)] * 3
        middle[axis] = slice(shape[axis] // 2 - 2, shape[axis] // 2 + 2)
        labels[tuple(middle)] = 0
    return labels


@settings(max_examples=12, derandomize=True)
@given(
    odd_labels(),
    st.sampled_from([(4, 4, 4), (2, 3, 5), (6, 6, 6), (0.9, 0.9, 4)]),
    st.sampled_from(["ct", "mri"]),
    st.integers(0, 5),
)
def test_what_the_builder_makes_of_odd_labels_the_audit_accepts(labels, spacing, modality, seed):
    volume = scan(labels, spacing=spacing, modality=modality)
    accepted([volume], replace(FEW, seed=seed), at_least=0)


def test_a_structure_may_surround_others_at_a_distance():
    """The colon around a kidney: the centres of the two lie nearer to each other than their outlines."""
    labels = np.zeros((40, 40, 24), np.uint8)
    labels[4:36, 4:36] = 3
    labels[8:32, 8:32] = 0
    labels[4:12, 14:24] = 0  # open, so that nothing is enclosed
    labels[17:23, 17:23] = 6
    labels[34:39, 1:4] = 2
    volume = scan(labels, names={2: "spleen", 3: "colon", 6: "kidney_left"})
    asked = replace(FEW, questions_per_volume=None, prompts=("mask", "none"))
    accepted([volume], asked, at_least=20)


# Odd but right builds -----------------------------------------------------------------------------------------------


def oblique(degrees, spacing=4.0):
    a = np.deg2rad(degrees)
    turn = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
    affine = np.eye(4)
    affine[:3, :3] = turn * spacing
    return affine


def stored(axes, shape):
    """The affine of a volume whose axes lead toward these letters."""
    affine = np.zeros((4, 4))
    affine[3, 3] = 1
    for column, letter in enumerate(axes):
        row = "RAS".index(letter) if letter in "RAS" else "LPI".index(letter)
        affine[row, column] = 4 if letter in "RAS" else -4
    return affine


def twins(labels):
    """Two structures of equal area in every slice."""
    labels = labels.copy()
    labels[labels == 2] = 0
    labels[4:12, 4:12, 4:20], labels[20:28, 20:28, 4:20] = 1, 2
    return labels


def with_gap(labels):
    labels = labels.copy()
    labels[:, :, 12:17] = 0
    return labels


def speck(labels):
    labels = labels.copy()
    labels[labels == 3] = 0
    labels[1, 1, :] = 3
    return labels


def on_border(labels):
    labels = labels.copy()
    labels[:8, :, 3:20] = 1
    labels[-6:, :10, 3:20] = 2
    return labels


GREY = np.full((40, 34, 30), 30, np.int16)
ODD = {
    "one volume": lambda: [scan(blocks())],
    "MR only": lambda: [scan(blocks(), modality="mri")],
    "CT and MR": lambda: [scan(blocks()), scan(blocks(seed=3), modality="mri", subject="two")],
    "equal areas": lambda: [scan(twins(blocks()))],
    "a gap without labels": lambda: [scan(with_gap(blocks()))],
    "a structure of one voxel a slice": lambda: [scan(speck(blocks()))],
    "structures on the border": lambda: [scan(on_border(blocks()))],
    "a constant image": lambda: [scan(blocks(), image=GREY)],
    "a constant MR image": lambda: [scan(blocks(), image=GREY, modality="mri")],
    "labels of noise": lambda: [scan(blocks(), image=np.random.default_rng(0).normal(0, 300, (40, 34, 30)))],
    "oblique by 5 degrees": lambda: [scan(blocks(), affine=oblique(5))],
    "oblique by 25 degrees": lambda: [scan(blocks(), affine=oblique(25))],
    "stored as LPS": lambda: [scan(blocks(), affine=stored("LPS", None))],
    "stored as SAR": lambda: [scan(blocks(), affine=stored("SAR", None))],
    "voxels of 10 mm": lambda: [scan(blocks((24, 24, 24)), spacing=(10, 10, 10))],
    "voxels of 0.7 x 0.7 x 8 mm": lambda: [scan(blocks((120, 90, 12)), spacing=(0.7, 0.7, 8))],
    "a long body": lambda: [scan(blocks((20, 20, 220)), spacing=(6, 6, 6))],
    "one slice": lambda: [scan(blocks((40, 40, 6))[:, :, 3:4], spacing=(4, 4, 5))],
    "two structures": lambda: [scan(blocks(count=2, seed=5))],
    "many structures of one kind": lambda: [
        scan(blocks(count=10), names={value: f"vertebrae_T{value}" for value in range(1, 11)})
    ],
    "a limb of known side": lambda: [scan(blocks(), side="left")],
    "values beyond the window": lambda: [scan(blocks(), image=np.where(blocks() > 0, 3000, -3000))],
    "a subject of an odd name": lambda: [scan(blocks(), subject="Ünter/such ung 7")],
}


@pytest.mark.parametrize("name", ODD)
def test_an_odd_but_right_build_is_accepted(name):
    accepted(ODD[name](), at_least=0)


@pytest.mark.parametrize(
    "change",
    [
        {"image_size": 100},
        {"image_size": 300, "questions_per_volume": 20},
        {"prompts": ("none",)},
        {"prompts": ("mask",), "inputs": ("slice", "blank")},
        {"registers": ("lay",), "conventions": ("ras",)},
        {"planes": ("sagittal",), "stack_size": 7},
        {"questions_per_volume": 2, "stack_questions_per_volume": 2},
        {"clarity": ClarityLimits(min_ratio=1.0, min_gap_mm=0.0, apart_mm=0.0, min_marker_gap_mm=0.0)},
        {"clarity": ClarityLimits(min_area_mm2=0.0)},
    ],
    ids=str,
)
def test_odd_settings_are_accepted(change):
    accepted([scan(blocks(seed=2))], replace(FEW, **change))


def test_structures_called_by_ordinary_words_are_accepted():
    """A user's own vocabulary may call a structure what every question says anyway."""
    words = dict(structures())
    for name, called in (("spleen", "body"), ("stomach", "image"), ("heart", "right"), ("aorta", "slice")):
        words[name] = replace(words[name], clinical=called, lay=called)
    accepted([scan(blocks(seed=seed), subject=str(seed)) for seed in (0, 3)], words=words)


def test_a_flipped_label_map_is_found():
    """The builder cannot know: it makes its rows of what the slice store says."""

    def flipped(record):
        return replace(record, labels=np.ascontiguousarray(record.labels[::-1]))

    count, found = audit_volumes([scan(blocks(seed=4), spacing=(4, 4, 4))], FEW, change=flipped)
    assert count
    assert "flipped" in str(found.get("labels")), found


def test_structures_without_contrast_are_found():
    """A builder that asked about what cannot be seen."""
    settings = replace(FEW, clarity=ClarityLimits(min_contrast=0.0))
    image = np.random.default_rng(0).normal(40, 5, (40, 34, 30))
    count, found = audit_volumes([scan(blocks(seed=4), image=image)], settings, min_contrast=6.0)
    assert count
    assert "cannot be seen" in str(found.get("labels")), found


def test_there_are_enough_odd_builds():
    assert len(ODD) >= 20
