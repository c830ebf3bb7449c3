"""Which structure a name means, and which structures must not be options of one question."""

import pytest

from dataset_builder.vocabulary import confusable, find, label_map, normalise, structures

ALL = structures()


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


@pytest.mark.parametrize("spelling", ["", "lung", "prostate/uterus", "left_hip", "tibial_cartilage", "vertebrae_body"])
def test_what_means_something_else_is_not_found(spelling):
    assert find(spelling) is None


def test_v1_names_that_look_like_v2_names():
    v1, v2 = set(label_map("totalsegmentator_v1_ct").values()), set(label_map("totalsegmentator_v2_ct").values())
    chambers = {f"heart_{part}" for part in ("atrium_left", "atrium_right", "ventricle_left", "ventricle_right")}
    assert v1 - v2 == chambers | {"heart_myocardium", "pulmonary_artery", "face"}
    assert ALL["pulmonary_artery"] is not ALL["pulmonary_vein"]
    assert find("heart_myocardium").part_of == "heart"
