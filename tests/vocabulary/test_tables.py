"""The tables of structures: sides, pairs, midline, limbs, and how they are loaded."""

import pickle
import subprocess
import sys

import pytest

from dataset_builder.core.factors import REGISTERS
from dataset_builder.vocabulary import structures

ALL = structures()
SIDED = [s for s in ALL.values() if s.side]


def test_pairs_are_mutual_alike_and_differ_in_the_side_only():
    for structure in ALL.values():
        if structure.pair is None:
            continue
        twin = ALL[structure.pair]
        assert ALL[twin.pair] is structure
        assert {structure.side, twin.side} == {"left", "right"}
        for field in ("plural", "check_side", "region", "tissue", "limb"):
            assert getattr(structure, field) == getattr(twin, field), (structure.name, field)
        for register in REGISTERS:
            swapped = getattr(structure, register).replace(structure.side, twin.side)
            assert swapped == getattr(twin, register)
        assert len(structure.aliases) == len(twin.aliases)


def test_sided_structures_without_a_twin():
    assert {s.name for s in SIDED if s.pair is None} == {"lung_middle_lobe_right", "atrial_appendage_left"}


def test_sides_are_checked_where_a_structure_keeps_to_its_side():
    unchecked = {s.name for s in SIDED if not s.check_side}
    assert unchecked == {
        "atrial_appendage_left",
        *(f"heart_{chamber}_{side}" for chamber in ("atrium", "ventricle") for side in ("left", "right")),
        *(f"{stem}_{side}" for stem in ("brachiocephalic_vein", "common_carotid_artery") for side in ("left", "right")),
        *(f"{stem}_{side}" for stem in ("iliac_artery", "iliac_vena", "kidney_cyst") for side in ("left", "right")),
    }


def test_the_midline_is_told_by_the_spine_the_head_and_the_breastbone():
    reference = {s.name for s in ALL.values() if s.midline_reference}
    spine = {name for name in ALL if name.startswith("vertebrae")}
    inner_brain = {"third_ventricle", "fourth_ventricle", "brainstem", "corpus_callosum"}
    others = {"intervertebral_discs", "sacrum", "spinal_cord", "sternum", "brain", "skull"}
    assert reference == spine | inner_brain | others


def test_bilateral_structures_of_one_label_are_never_asked_medial_or_lateral():
    for name in ("pulmonary_vein", "costal_cartilages", "colon", "small_bowel", "heart", "aorta", "urinary_bladder"):
        assert ALL[name].midline
    for name in ("liver", "spleen", "kidney_left", "femur", "meniscus_medial", "lung_left"):
        assert not ALL[name].midline


def test_limbs():
    limbs = {name: s.limb for name, s in ALL.items() if s.limb}
    knee = {name for name, s in ALL.items() if s.region == "knee"}
    assert {name for name, limb in limbs.items() if limb == "upper"} == {"humerus_left", "humerus_right"}
    assert {name for name, limb in limbs.items() if limb == "lower"} == {"femur_left", "femur_right"} | knee
    assert len(knee) == 10


def test_the_vocabulary_is_read_only_and_structures_can_be_pickled():
    with pytest.raises(TypeError):
        structures()["spleen"] = None
    assert pickle.loads(pickle.dumps(ALL["spleen"])) == ALL["spleen"]


def test_importing_reads_no_file():
    code = (
        "import dataset_builder.vocabulary.tables as v, dataset_builder.vocabulary.label_maps as w;"
        "print(sum(table.cache_info().misses for table in (v._load, w._label_maps)))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "0"
