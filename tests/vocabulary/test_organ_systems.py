"""The table of organ systems: every structure of the package has one, and like is with like."""

import pytest

from dataset_builder.vocabulary import organ_system, structures
from dataset_builder.vocabulary.organ_systems import organ_systems


def test_every_structure_has_a_system():
    without = [name for name, row in structures().items() if not row.is_lesion and organ_system(name) is None]
    assert without == []


def test_every_pattern_fits_a_structure():
    import re

    names = list(structures())
    idle = [
        pattern
        for patterns in organ_systems().values()
        for pattern in patterns
        if not any(re.fullmatch(pattern, name) for name in names)
    ]
    assert idle == []


@pytest.mark.parametrize(
    ("one", "other", "alike"),
    [
        ("kidney_left", "urinary_bladder", True),
        ("vertebrae_L1", "rib_left_12", True),
        ("femur", "tibia", True),
        ("femur", "femoral_cartilage", False),
        ("iliac_artery_left", "iliac_vena_left", True),
        ("heart_ventricle_left", "aorta", True),
        ("lateral_ventricle_left", "thalamus_left", True),
        ("lateral_ventricle_left", "heart_ventricle_left", False),
        ("liver", "spleen", False),
    ],
)
def test_like_is_with_like(one, other, alike):
    assert (organ_system(one) == organ_system(other)) == alike


def test_a_structure_of_a_users_own_has_none():
    assert organ_system("my_implant") is None
