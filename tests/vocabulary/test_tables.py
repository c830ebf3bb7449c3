import ast
import itertools
import os
import pickle
import re
import subprocess
import sys
import textwrap
from importlib import resources

import pytest
import yaml

from dataset_builder.core.errors import BuildError, SourceError
from dataset_builder.core.factors import REGISTERS
from dataset_builder.vocabulary import (
    LIMBS,
    REGIONS,
    TISSUES,
    Structure,
    confusable,
    find,
    label_map,
    label_map_names,
    normalise,
    structures,
)

ALL = structures()
SIDED = [s for s in ALL.values() if s.side]


def words(wording):
    return f" {' '.join(re.findall('[a-z0-9]+', wording.lower()))} "


@pytest.fixture(scope="module")
def class_maps(sample_folder):
    """The class maps that TotalSegmentator itself uses, read without running its code."""
    module = ast.parse((sample_folder / "map_to_binary.py").read_text(encoding="utf-8"))
    (value,) = [
        node.value
        for node in module.body
        if isinstance(node, ast.Assign) and [ast.unparse(target) for target in node.targets] == ["class_map"]
    ]
    return ast.literal_eval(value)


# Label maps


@pytest.mark.parametrize(
    ("name", "task", "size"),
    [
        ("totalsegmentator_v2_ct", "total", 117),
        ("totalsegmentator_mri", "total_mr", 50),
        ("totalsegmentator_v1_ct", "total_v1", 104),
    ],
)
def test_label_maps_are_the_class_maps_of_totalsegmentator(class_maps, name, task, size):
    assert label_map(name) == class_maps[task]
    assert len(label_map(name)) == size


def test_knee_label_maps():
    assert label_map("oaizib_cm") == {
        1: "femur",
        2: "femoral_cartilage",
        3: "tibia",
        4: "tibial_cartilage_medial",
        5: "tibial_cartilage_lateral",
    }
    assert label_map("skm_tea") == {
        1: "patellar_cartilage",
        2: "femoral_cartilage",
        3: "tibial_cartilage_medial",
        4: "tibial_cartilage_lateral",
        5: "meniscus_medial",
        6: "meniscus_lateral",
    }


@pytest.mark.parametrize("name", label_map_names())
def test_label_maps_count_from_one_and_name_known_structures_once(name):
    table = label_map(name)
    assert set(table.values()) <= set(ALL)
    if name != "freesurfer_aparc_aseg":  # where several values are one structure; see sources/test_brain.py
        assert list(table) == list(range(1, len(table) + 1))
        assert len(set(table.values())) == len(table)


def test_the_brains_map_names_every_part_of_the_brain():
    assert set(label_map("freesurfer_aparc_aseg").values()) == {n for n, s in ALL.items() if s.part_of == "brain"}


def test_the_general_knee_map_continues_the_published_one_with_all_tissues_of_a_knee():
    general = label_map("knee")
    assert {value: general[value] for value in range(1, 6)} == label_map("oaizib_cm")
    assert set(label_map("skm_tea").values()) < set(general.values())
    assert set(general.values()) == {name for name, s in ALL.items() if s.region == "knee"}


def test_every_structure_is_in_a_label_map():
    mapped = {structure for name in label_map_names() for structure in label_map(name).values()}
    unmapped = {name for name, structure in ALL.items() if not structure.is_lesion} - mapped
    assert unmapped == {"kidney_tissue", "blood_vessels", "hepatic_vessels"}  # of KiTS and MSD, whose files name labels
    assert mapped <= set(ALL)


def test_a_label_map_is_a_copy():
    label_map("oaizib_cm")[1] = "spleen"
    assert label_map("oaizib_cm")[1] == "femur"


def test_unknown_label_map_lists_the_known_ones():
    with pytest.raises(SourceError, match="totalsegmentator_v2_ct") as error:
        label_map("totalsegmentator")
    assert error.value.value == "totalsegmentator"


# Rows


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


# Sides, pairs, midline


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


# Telling answers apart


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


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (
            "totalsegmentator_v2_ct",
            {
                ("duodenum", "small_bowel"),
                ("kidney_cyst_left", "kidney_left"),
                ("kidney_cyst_right", "kidney_right"),
                ("sacrum", "vertebrae_S1"),
                ("atrial_appendage_left", "heart"),
            },
        ),
        ("totalsegmentator_v1_ct", {("duodenum", "small_bowel")}),
        ("totalsegmentator_mri", {("duodenum", "small_bowel")}),
        ("oaizib_cm", set()),
        ("skm_tea", set()),
        ("knee", {("patella", "patellar_cartilage")}),
        ("freesurfer_aparc_aseg", set()),
    ],
)
def test_few_structures_of_a_label_map_are_confusable(name, expected):
    pairs = itertools.combinations(sorted(set(label_map(name).values())), 2)
    assert {pair for pair in pairs if confusable(*pair)} == expected


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ("femur", "femur_left", True),  # "femur" inside "left femur"
        ("patella", "patellar_cartilage", True),  # lay only: "kneecap" inside "kneecap cartilage"
        ("lung_left", "lung_upper_lobe_left", True),
        ("heart", "heart_atrium_left", True),
        ("atrial_appendage_left", "heart_atrium_left", True),
        ("vertebrae", "vertebrae_T4", True),
        ("spleen", "spleen", True),
        ("brain", "thalamus_left", True),
        ("brain", "brainstem", True),
        ("heart_ventricle_left", "lateral_ventricle_left", False),
        ("third_ventricle", "fourth_ventricle", False),
        ("vertebrae_T1", "vertebrae_T11", False),  # "T1" is no whole word of "T11"
        ("kidney_left", "kidney_right", False),
        ("lung_left", "lung_upper_lobe_right", False),
        ("femur", "femoral_cartilage", False),
        ("gallbladder", "urinary_bladder", False),  # "bladder" is no whole word of "gallbladder"
    ],
)
def test_confusable(a, b, expected):
    assert confusable(a, b) is confusable(b, a) is expected


def test_confusable_refuses_unknown_names():
    with pytest.raises(KeyError):
        confusable("spleen", "splean")


# Finding


def test_every_spelling_belongs_to_one_structure():
    spellings = [(normalise(text), s.name) for s in ALL.values() for text in {s.name, *s.aliases}]
    assert len(set(spellings)) == len({text for text, _ in spellings})
    for text, name in spellings:
        assert find(text).name == name
        assert find(text.replace("_", " ").title()).name == name


@pytest.mark.parametrize(
    ("spelling", "name"),
    [
        ("kidney_left", "kidney_left"),
        ("Left Kidney", "kidney_left"),
        ("left-kidney", "kidney_left"),
        ("VERTEBRAE_l5", "vertebrae_L5"),
        ("Tibial Cartilage - Medial", "tibial_cartilage_medial"),
        ("Medial Tibial Cartilage", "tibial_cartilage_medial"),
        ("Femoral Cartilage", "femoral_cartilage"),
        ("Femur", "femur"),
        ("postcava", "inferior_vena_cava"),
        ("oesophagus", "esophagus"),
        ("Left-Thalamus-Proper", "thalamus_left"),
        ("Right-Lateral-Ventricle", "lateral_ventricle_right"),
        ("3rd-Ventricle", "third_ventricle"),
        ("Brain-Stem", "brainstem"),
    ],
)
def test_find(spelling, name):
    assert find(spelling) is ALL[name]


@pytest.mark.parametrize(
    ("spelling", "name"),
    [
        # Medical Segmentation Decathlon, KiTS, BraTS, TotalSegmentator's lesion tasks
        ("cancer", "cancer"),
        ("Tumour", "tumour"),
        ("tumor", "tumour"),
        ("colon cancer primaries", "cancer"),
        ("edema", "edema"),
        ("non-enhancing tumor", "non_enhancing_tumour"),
        ("enhancing tumour", "enhancing_tumour"),
        ("whole tumor", "tumour"),
        ("tumor core", "tumour_core"),
        ("cyst", "cyst"),
        ("masses", "mass"),
        ("liver_lesions", "lesion"),
        ("lung_nodules", "nodule"),
        ("intracerebral_hemorrhage", "hemorrhage"),
        # an organ beside it, in any spelling and order
        ("Liver Tumour", "tumour"),
        ("LiverTumor", "tumour"),
        ("hepatic metastases", "metastasis"),
        ("pancreatic-cancer", "cancer"),
        ("lesion_liver", "lesion"),
        ("malignant renal mass", "mass"),
        ("kidney", "kidney_tissue"),
        ("Vessel", "blood_vessels"),
    ],
)
def test_names_of_lesions_are_found_whatever_organ_they_name(spelling, name):
    assert find(spelling) is ALL[name]
    assert find(spelling, dict(ALL)) is ALL[name]


@pytest.mark.parametrize(
    "spelling",
    ["tumour bed", "left lung nodule", "Tumor_R", "linker Tumor", "cancer of something", "tumor 1", "no tumor"],
)
def test_a_side_or_any_other_word_makes_a_lesion_another_one(spelling):
    assert find(spelling) is None


def test_a_lesion_with_a_side_of_its_own_is_found_by_it():
    assert find("Left renal cyst") is ALL["kidney_cyst_left"]
    assert find("kidney_cyst_R") is ALL["kidney_cyst_right"]


def test_wordings_of_lesions_name_no_organ():
    """So that the question where one lies is not answered by its own words."""
    organs = {word for s in ALL.values() if not s.is_lesion for word in words(s.clinical).split() if len(word) > 3}
    for structure in ALL.values():
        if structure.is_lesion and structure.part_of is None:
            said = {*words(structure.clinical).split(), *words(structure.lay).split()}
            assert not said & organs - {"blood", "part", "tissue"}, structure.name


@pytest.mark.parametrize("spelling", ["", "lung", "prostate/uterus", "left_hip", "tibial_cartilage", "vertebrae_body"])
def test_what_means_something_else_is_not_found(spelling):
    assert find(spelling) is None


def test_v1_names_that_look_like_v2_names():
    v1, v2 = set(label_map("totalsegmentator_v1_ct").values()), set(label_map("totalsegmentator_v2_ct").values())
    chambers = {f"heart_{part}" for part in ("atrium_left", "atrium_right", "ventricle_left", "ventricle_right")}
    assert v1 - v2 == chambers | {"heart_myocardium", "pulmonary_artery", "face"}
    assert ALL["pulmonary_artery"] is not ALL["pulmonary_vein"]
    assert find("heart_myocardium").part_of == "heart"


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


# A user's own file


def write(folder, text):
    path = folder / "mine.yaml"
    path.write_text(textwrap.dedent(text), encoding="utf-8")
    return path


def test_a_users_file_adds_and_overrides(tmp_path):
    path = write(
        tmp_path,
        """
        gonad_left: {clinical: left ovary, lay: left ovary, side: left, region: pelvis, aliases: [Left Ovary]}
        uterus: {clinical: uterus, lay: womb, midline: true, region: pelvis}
        sacrum: {lay: sacral bone}
        spleen: {lay: milt}
        """,
    )
    mine = structures(path)
    assert len(mine) == len(ALL) + 2
    assert mine["gonad_left"] == Structure(
        name="gonad_left",
        clinical="left ovary",
        lay="left ovary",
        same_word=True,
        plural=False,
        side="left",
        check_side=True,
        midline=False,
        midline_reference=False,
        pair=None,
        region="pelvis",
        tissue="soft",
        limb=None,
        aliases=("Left Ovary",),
        part_of=None,
    )
    assert not mine["uterus"].check_side
    assert (ALL["spleen"].same_word, mine["spleen"].same_word) == (True, False)
    assert mine["sacrum"].lay == "sacral bone"
    assert mine["sacrum"].tissue == "bone"
    assert mine["sacrum"].midline_reference
    assert find("left ovary", mine) is mine["gonad_left"]
    assert find("left ovary") is None
    assert not confusable("gonad_left", "uterus", mine)
    assert ALL["sacrum"].lay == structures()["sacrum"].lay == "bone at the base of the spine"


def test_an_edited_file_is_read_again(tmp_path):
    path = write(tmp_path, "uterus: {clinical: uterus, lay: womb, region: pelvis}")
    assert structures(path) is structures(path)
    first = path.stat().st_mtime_ns
    write(tmp_path, "uterus: {clinical: uterus, lay: matrix, region: pelvis}")
    os.utime(path, ns=(first + 10**9, first + 10**9))
    assert structures(path)["uterus"].lay == "matrix"


GOOD = {"clinical": "left ovary", "lay": "left ovary", "side": "left", "region": "pelvis"}


@pytest.mark.parametrize(
    ("change", "field", "found", "remedy"),
    [
        ({"region": "belly"}, "region", "belly", "abdomen"),
        ({"region": None}, "region", None, "clinical, lay, region"),
        ({"side": "both"}, "side", "both", "left, right"),
        ({"tissue": "fat"}, "tissue", "fat", "soft, bone, lung"),
        ({"limb": "arm"}, "limb", "arm", "upper, lower"),
        ({"plural": "no"}, "plural", "no", "true, false"),
        ({"same_word": False}, "same_word", "False", "if clinical and lay are equal"),
        ({"lay": "left egg store", "same_word": True}, "same_word", "True", "if clinical and lay are equal"),
        ({"colour": "red"}, "colour", "red", "clinical, lay, same_word"),
        ({"clinical": "ovary"}, "clinical", "ovary", "side"),
        ({"lay": "the left ovary"}, "lay", "the left ovary", "Leave it out"),
        ({"lay": "left ovary; egg store"}, "lay", "egg store", "letters, digits"),
        ({"lay": "left {a} ovary"}, "lay", "{a}", "letters, digits"),
        ({"lay": "left (egg store) ovary"}, "lay", "(egg store)", "letters, digits"),
        ({"lay": "left ovary ()"}, "lay", "()", "letters, digits"),
        ({"clinical": "left ovary (gonad)"}, "clinical", "(gonad)", "letters, digits"),
        ({"lay": 7}, "lay", "7", "letters, digits"),
        ({"aliases": "ovary_l"}, "aliases", "ovary_l", "[left_kidney"),
        ({"side": None, "check_side": True}, "check_side", "True", "Give 'side'"),
        ({"midline_reference": True}, "midline_reference", "True", "midline: true"),
        ({"pair": ["a"]}, "pair", "a", "canonical name"),
        ({"pair": "gonad_right"}, "pair", "gonad_right", "Add a row"),
        ({"pair": "kidney_right"}, "pair", "kidney_left", "each names the other"),
        ({"part_of": "gonads"}, "part_of", "gonads", "Add a row"),
        ({"part_of": "gonad_left"}, "part_of", "gonad_left", "No structure is part of itself"),
        ({"clinical": "left kidney"}, "clinical", "left kidney", "one of its own"),
        ({"lay": "left collarbone"}, "lay", "left collarbone", "one of its own"),
        ({"aliases": ["Left Kidney"]}, "aliases", "left_kidney", "one of its own"),
        ({"aliases": ["SPLEEN"]}, "aliases", "spleen", "one of its own"),
    ],
)
def test_a_wrong_row_is_refused_with_file_row_field_and_remedy(tmp_path, change, field, found, remedy):
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump({"gonad_left": GOOD | change}), encoding="utf-8")
    with pytest.raises(BuildError) as error:
        structures(path)
    assert error.value.file == str(path)
    assert "'gonad_left'" in str(error.value)
    assert f"'{field}'" in error.value.problem
    assert remedy in error.value.remedy
    if found is not None:
        assert found in str(error.value.value)


def test_a_broken_pair_of_the_packages_own_is_the_users_file(tmp_path):
    path = write(tmp_path, "kidney_left: {pair: null}")
    with pytest.raises(BuildError, match="kidney_right") as error:
        structures(path)
    assert error.value.file == str(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- spleen", "table of rows"),
        ("", "table of rows"),
        ("uterus: womb", "'uterus' is not a table"),
        ("uterus: {clinical: uterus", "not valid YAML"),
        ("left ovary: {clinical: left ovary}", "name starts with a letter"),
        ("7: {clinical: left ovary}", "name starts with a letter"),
        ("uterus: {lay: womb, lay: uterus}", "'lay' is given twice"),
        ("uterus: {lay: womb}\nuterus: {lay: womb}", "'uterus' is given twice"),
        ("uterus: {lay: womb, region: pelvis}", "'clinical': is missing"),
    ],
)
def test_a_file_of_another_form_is_refused(tmp_path, text, message):
    path = write(tmp_path, text)
    with pytest.raises(BuildError, match=message) as error:
        structures(path)
    assert error.value.file == str(path)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(BuildError, match="cannot be read") as error:
        structures(tmp_path / "none.yaml")
    assert error.value.file == str(tmp_path / "none.yaml")


# Loading


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
