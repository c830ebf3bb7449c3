"""A body that lies the wrong way round is told by its anatomy, whichever structures are labelled."""

import itertools
import re

import numpy as np
import pytest

from dataset_builder.core.errors import OrientationError
from dataset_builder.imaging.orientation import AXES, anatomy_order, check_orientation
from dataset_builder.vocabulary import structures
from tests.helpers.small_body import NAMES, affine_of, draw

AFFINE = affine_of()
SPACING = (6.0, 6.0, 6.0)
_, LABELS = draw(AFFINE)
VALUES = {name: value for value, name in NAMES.items()}


def reversed_along(*axes):
    affine = AFFINE.copy()
    for axis in axes:
        affine[axis] *= -1
    return affine


def only(*names):
    return np.where(np.isin(LABELS, [VALUES[name] for name in names]), LABELS, 0).astype(np.uint8)


def test_a_body_as_it_should_lie_is_accepted():
    assert check_orientation(LABELS, NAMES, AFFINE, SPACING) == []
    for tilt in (10, 29):
        affine = affine_of(tilt_deg=tilt)
        assert check_orientation(draw(affine)[1], NAMES, affine, SPACING) == []


@pytest.mark.parametrize("axes", [a for n in (1, 2, 3) for a in itertools.combinations(range(3), n)])
def test_reversed_axes_are_named(axes):
    with pytest.raises(OrientationError) as caught:
        check_orientation(LABELS, NAMES, reversed_along(*axes), SPACING)
    words = ("left to right", "front to back", "head to foot")
    assert [word in str(caught.value) for word in words] == [axis in axes for axis in range(3)]
    assert "--trust-orientation" in caught.value.remedy


@pytest.mark.parametrize(
    ("names", "axis"),
    [
        (("liver", "spleen"), 0),
        (("vertebrae_L1", "vertebrae_L4"), 2),
        (("heart", "urinary_bladder"), 2),
        (("aorta", "vertebrae_L1"), 1),
        (("lung_left", "kidney_left"), 2),
        (("liver", "urinary_bladder"), 2),
    ],
)
def test_two_decisive_structures_are_enough(names, axis):
    assert check_orientation(only(*names), NAMES, AFFINE, SPACING) == []
    with pytest.raises(OrientationError):
        check_orientation(only(*names), NAMES, reversed_along(axis), SPACING)


@pytest.mark.parametrize("names", [("kidney_left", "kidney_right"), ("liver",), ("stomach", "urinary_bladder")])
def test_what_says_nothing_is_accepted(names):
    for axes in ((0,), (1,)):
        check_orientation(only(*names), NAMES, reversed_along(*axes), SPACING)


def test_parts_of_a_body_are_never_refused():
    draws = np.random.default_rng(1)
    for _ in range(60):
        some = [NAMES[int(v)] for v in draws.choice(list(NAMES), draws.integers(2, 9), replace=False)]
        low = [int(draws.integers(0, size // 2)) for size in LABELS.shape]
        high = [int(start + draws.integers(size // 4, size)) for start, size in zip(low, LABELS.shape, strict=True)]
        part = tuple(slice(*ends) for ends in zip(low, high, strict=True))
        affine = AFFINE.copy()
        affine[:3, 3] += AFFINE[:3, :3] @ low
        check_orientation(only(*some)[part], NAMES, affine, SPACING)


def test_one_odd_vertebra_among_many_is_told_or_passed_over():
    names = {**NAMES, VALUES["vertebrae_L1"]: "vertebrae_L2", VALUES["vertebrae_L2"]: "vertebrae_L1"}
    check_orientation(LABELS, names, AFFINE, SPACING)


def test_the_table_knows_only_what_the_vocabulary_knows():
    table, words = anatomy_order(), structures()
    groups = table["groups"]
    named = [name for axis in AXES for row in table[axis] for side in ("first", "second") for name in row[side]]
    patterns = [pattern for members in groups.values() for pattern in members]
    patterns += [name for name in named if name not in groups]
    patterns += [
        name for chain in table["chains"] for name in chain["names"] if name not in ("vertebrae_L6", "vertebrae_T13")
    ]
    for pattern in patterns:
        found = re.compile(pattern.replace("*", ".*"))
        assert any(found.fullmatch(name) for name in words), pattern
    assert not set(groups) - {name for name in named if name in groups}
    for axis in AXES:
        for row in table[axis]:
            assert set(row) <= {"first", "second", "level", "weight", "gap_mm"}
            assert row["weight"] in (1, 1.5, 2)
            assert row["gap_mm"] >= 5
