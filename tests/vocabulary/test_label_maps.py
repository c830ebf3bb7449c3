"""What the values of known label maps mean, and that the names of one map can be told apart."""

import ast
import itertools

import pytest

from dataset_builder.core.errors import SourceError
from dataset_builder.vocabulary import confusable, label_map, label_map_names, structures

ALL = structures()


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
