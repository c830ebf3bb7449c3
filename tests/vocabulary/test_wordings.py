"""What each structure is called, clinically and in lay words."""

import itertools
import re
from importlib import resources

import pytest
import yaml

from dataset_builder.core.factors import REGISTERS
from dataset_builder.vocabulary import LIMBS, REGIONS, TISSUES, label_map, label_map_names, structures

ALL = structures()


def words(wording):
    return f" {' '.join(re.findall('[a-z0-9]+', wording.lower()))} "


def without_explanation(wording: str) -> str:
    """The name alone, as an answer may give it."""
    return re.sub(r" \([^()]+\)$", "", wording)


@pytest.mark.parametrize("structure", ALL.values(), ids=ALL.keys())
def test_row(structure):
    assert ALL[structure.name] is structure
    assert structure.region in ((*REGIONS, None) if structure.is_lesion else REGIONS)
    assert structure.tissue in TISSUES
    assert structure.limb in (None, *LIMBS)
    assert structure.side in (None, "left", "right")
    assert not structure.check_side or structure.side
    assert not structure.midline_reference or structure.midline
    for wording in (structure.clinical, without_explanation(structure.lay)):
        assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9 -]*[A-Za-z0-9]", wording)
        assert not re.match("(the|an?) ", wording)
        assert "_" not in wording
    assert structure.lay == structure.lay.lower()
    assert structure.clinical == structure.clinical.lower() or re.match(r"[CTLS]\d+ vertebra$", structure.clinical)


@pytest.mark.parametrize("register", REGISTERS)
def test_side_is_stated_in_words_exactly_where_the_name_states_one(register):
    for structure in ALL.values():
        in_name = [side for side in ("left", "right") if side in structure.name.split("_")]
        in_words = [side for side in ("left", "right") if f" {side} " in words(getattr(structure, register))]
        assert in_name == in_words == ([structure.side] if structure.side else []), structure.name


# How the last word before "of", "on", "from" or "to" tells singular from plural.
PLURAL = {"vessels", "vertebrae", "discs", "veins", "cartilages", "bones", "muscles"}
SINGULAR_IN_S = {
    *("abscess", "calculus", "mass", "metastasis", "necrosis", "pus"),
    *("pancreas", "esophagus", "humerus", "meniscus"),
    *("thalamus", "nucleus", "pallidus", "accumbens", "hippocampus"),
}


@pytest.mark.parametrize("register", REGISTERS)
def test_plural_agrees_with_the_wording(register):
    for structure in ALL.values():
        name = without_explanation(getattr(structure, register))
        head = re.split(r" (?:of|on|from|to|at) ", name)[0].split()[-1]
        assert structure.plural == (head in PLURAL), structure.name
        assert head in PLURAL | SINGULAR_IN_S or not head.endswith("s"), f"{head}: singular or plural?"


@pytest.mark.parametrize("register", REGISTERS)
def test_no_two_structures_share_a_wording_with_or_without_its_explanation(register):
    wordings = [without_explanation(getattr(s, register)) for s in ALL.values()]
    assert len(set(wordings)) == len(wordings)


def test_lay_is_a_register_of_its_own():
    different = [s for s in ALL.values() if s.lay != s.clinical]
    assert len(different) > 0.8 * len(ALL)
    # Words of which none needs an explanation: everyday English has its own.
    jargon = {
        *("clavicle", "scapula", "humerus", "femur", "tibia", "patella", "sternum", "sacrum", "vertebra", "vertebrae"),
        *("trachea", "esophagus", "duodenum", "colon", "renal", "costal", "atrium", "femoral", "tibial"),
        *("gluteus", "iliopsoas", "medial", "lateral", "cerebral", "myocardium", "intervertebral", "common"),
    }
    explained = [s for s in ALL.values() if s.lay != without_explanation(s.lay)]
    assert len(explained) < 0.3 * len(ALL)
    for structure in ALL.values():
        # A clinical word stands in lay English only where the words after it say what it is.
        clinical = {"lateral"} if structure.name.startswith("lateral_ventricle") else set()
        assert not (jargon - clinical) & set(words(structure.lay).split()), structure.name


CLINICAL_ONLY = {
    *("aorta", "vena", "cava", "iliac", "carotid", "subclavian", "brachiocephalic", "splenoportal", "ventricle"),
    *("frontal", "parietal", "temporal", "occipital", "insula", "cingulate", "cortex", "cerebellum"),
    *("thalamus", "nucleus", "putamen", "pallidus", "hippocampus", "amygdala", "callosum"),
}


def test_a_clinical_word_in_the_lay_register_is_explained():
    said = {s.name: set(words(without_explanation(s.lay)).split()) & CLINICAL_ONLY for s in ALL.values()}
    assert set().union(*said.values()) == CLINICAL_ONLY
    assert [name for name, clinical in said.items() if clinical and "(" not in ALL[name].lay] == []


@pytest.mark.parametrize(
    ("name", "clinical", "lay"),
    [
        ("kidney_left", "left kidney", "left kidney"),
        ("clavicula_left", "left clavicle", "left collarbone"),
        ("atrial_appendage_left", "left atrial appendage", "small pouch on the left side of the heart"),
        ("vertebrae_T12", "T12 vertebra", "twelfth spinal bone of the chest"),
        ("vertebrae_L5", "L5 vertebra", "fifth spinal bone of the lower back"),
        ("rib_right_11", "right eleventh rib", "eleventh rib on the right"),
        ("iliac_vena_right", "right common iliac vein", "right iliac vein (main vein from the leg)"),
        ("femur_right", "right femur", "right thigh bone"),
        ("femur", "femur", "thigh bone"),
        ("meniscus_medial", "medial meniscus", "inner meniscus"),
        ("hippocampus_left", "left hippocampus", "left hippocampus (involved in memory)"),
        (
            "lateral_ventricle_right",
            "right lateral ventricle",
            "right lateral ventricle (fluid-filled space in the brain)",
        ),
    ],
)
def test_wordings(name, clinical, lay):
    assert (ALL[name].clinical, ALL[name].lay) == (clinical, lay)


ORDINALS = [
    *("first", "second", "third", "fourth", "fifth", "sixth"),
    *("seventh", "eighth", "ninth", "tenth", "eleventh", "twelfth"),
]


def test_numbered_structures_say_their_number():
    for name, structure in ALL.items():
        if match := re.fullmatch(r"rib_(left|right)_(\d+)", name):
            ordinal = ORDINALS[int(match[2]) - 1]
            assert structure.clinical == f"{match[1]} {ordinal} rib"
            assert structure.lay == f"{ordinal} rib on the {match[1]}"
        if match := re.fullmatch(r"vertebrae_([CTLS])(\d+)", name):
            part = {"C": "neck", "T": "chest", "L": "lower back", "S": None}[match[1]]
            assert structure.clinical == f"{match[1]}{match[2]} vertebra"
            number = ORDINALS[int(match[2]) - 1]
            assert structure.lay == f"{number} spinal bone of the {part}" or part is None


@pytest.mark.parametrize("name", label_map_names())
@pytest.mark.parametrize("register", REGISTERS)
def test_in_a_label_map_no_wording_stands_inside_another_but_that_of_a_whole_in_its_part(name, register):
    for a, b in itertools.permutations(dict.fromkeys(label_map(name).values()), 2):
        if words(getattr(ALL[a], register)) in words(getattr(ALL[b], register)):
            assert (a, b) in {
                ("kidney_left", "kidney_cyst_left"),
                ("kidney_right", "kidney_cyst_right"),
                ("heart", "atrial_appendage_left"),
                ("small_bowel", "duodenum"),  # lay only: "small intestine" inside "first part of the small intestine"
                ("sacrum", "vertebrae_S1"),  # lay only, as well
                ("patella", "patellar_cartilage"),  # lay only: "kneecap" inside "kneecap cartilage"
            }


def test_wordings_of_lesions_name_no_organ():
    """So that the question where one lies is not answered by its own words."""
    organs = {word for s in ALL.values() if not s.is_lesion for word in words(s.clinical).split() if len(word) > 3}
    for structure in ALL.values():
        if structure.is_lesion and structure.part_of is None:
            said = {*words(structure.clinical).split(), *words(structure.lay).split()}
            assert not said & organs - {"blood", "part", "tissue"}, structure.name


def test_the_column_that_says_where_lay_and_clinical_are_the_same_word():
    folder = resources.files("dataset_builder.vocabulary")
    said, equal = set(), set()
    for file in folder.iterdir():
        if file.name.startswith("structures_"):
            for name, row in yaml.safe_load(file.read_text(encoding="utf-8")).items():
                said |= {name} if row.get("same_word") else set()
                equal |= {name} if words(row["clinical"]) == words(row["lay"]) else set()
    assert said == equal == {structure.name for structure in ALL.values() if structure.same_word}
    assert {"liver", "spleen", "kidney_left"} <= said
    assert not {"sternum", "femur_left", "trachea"} & said
