import json
from pathlib import Path

import pytest

from dataset_builder.core.errors import SourceError
from dataset_builder.sources.dataset_json import modality_of, read_description
from dataset_builder.vocabulary import structures


def write(folder: Path, **changes: object) -> Path:
    """A right description with some keys changed; ``None`` leaves a key out."""
    table = {"channel_names": {"0": "CT"}, "labels": {"background": 0, "liver": 1}, "file_ending": ".nii.gz"}
    file = folder / "dataset.json"
    kept = {key: value for key, value in {**table, **changes}.items() if value is not None}
    file.write_text(json.dumps(kept, ensure_ascii=False), encoding="utf-8")
    return file


def read(folder: Path, **changes: object):
    return read_description(write(folder, **changes), structures())


@pytest.mark.parametrize(
    ("channel", "modality"),
    [
        *((name, "ct") for name in ("CT", "ct", "CTA", "ncCT", "CT portal venous", "computed tomography", "CBCT")),
        *(
            (name, "mri")
            for name in ("MR", "MRI", "mri", "T1", "T2", "T1w", "T2w", "T1-weighted", "T1CE", "t1c", "t1gd")
        ),
        *((name, "mri") for name in ("FLAIR", "T2-FLAIR", "DESS", "PD", "PDw", "DWI", "ADC", "magnetic resonance")),
        *((name, "mri") for name in ("MRI_T1", "T2 fs", "T2star", "dixon in-phase")),
        *((name, None) for name in ("SUV registered to CT", "PET/CT", "dose on CT", "CT mask", "MR-CT", "SPECT/CT")),
        *((name, "ct") for name in ("CT registered to MR", "low-dose CT", "CT from PET/CT", "CT of the chest")),
        *((name, "mri") for name in ("T1 registered to CT", "MRI in CT space")),
        *((name, None) for name in ("PET", "noNorm", "zscore", "rescale_0_1", "US", "", "T3", "reactor", "octet", "0")),
    ],
)
def test_the_modality_is_read_from_the_channels_name(channel, modality):
    assert modality_of(channel) == modality


def test_names_are_found_however_they_are_spelled(tmp_path):
    labels = {"Background": 0, "Left Kidney": 3, "kidney-right": 1, "femoral cartilage": 300, "ignore": 7}
    description = read(tmp_path, labels=labels)
    assert description.names == {3: "kidney_left", 1: "kidney_right", 300: "femoral_cartilage"}
    assert description.nothing == (7,)


def test_a_known_label_map_may_be_named_instead_of_labels(tmp_path):
    assert read(tmp_path, labels="skm_tea").names == {
        1: "patellar_cartilage",
        2: "femoral_cartilage",
        3: "tibial_cartilage_medial",
        4: "tibial_cartilage_lateral",
        5: "meniscus_medial",
        6: "meniscus_lateral",
    }


def test_what_may_be_left_out(tmp_path):
    description = read(tmp_path, file_ending=None)
    assert (description.ending, description.licence, description.citation, description.url) == (
        ".nii.gz",
        "unknown",
        "",
        "",
    )
    assert dict(description.sides) == {}
    assert (description.modality, description.channel, description.channels) == ("ct", 0, 1)


@pytest.mark.parametrize("key", ["licence", "license"])
def test_the_licence_in_either_spelling(tmp_path, key):
    found = read(tmp_path, **{key: " CC-BY-4.0 "})
    assert found.licence == "CC-BY-4.0"
    assert "nothing checks it" in found.remarks[-1]
    assert read(tmp_path).remarks == read(tmp_path, **{key: "unknown"}).remarks == ()


@pytest.mark.parametrize("text", ["", "{", "[1, 2]", '{"labels": {"liver": 1, "liver": 2}}', "\x00"])
def test_a_file_that_is_no_table_is_refused(tmp_path, text):
    file = tmp_path / "dataset.json"
    file.write_text(text)
    with pytest.raises(SourceError, match=r"dataset\.json") as caught:
        read_description(file, structures())
    assert caught.value.file == str(file)


def test_no_file_at_all_shows_how_to_write_one(tmp_path):
    with pytest.raises(SourceError, match="no dataset") as caught:
        read_description(tmp_path / "dataset.json", structures())
    example = caught.value.remedy.removeprefix("Write one: ").removesuffix(".")
    (tmp_path / "dataset.json").write_text(example)
    assert read_description(tmp_path / "dataset.json", structures()).names == {1: "liver"}


@pytest.mark.parametrize(
    ("changes", "message", "value"),
    [
        ({"channel_names": None}, "what the channels are", None),
        ({"channel_names": {}}, "what the channels are", "{}"),
        ({"channel_names": ["CT"]}, "what the channels are", "CT"),
        ({"channel_names": {"first": "CT"}}, "not a JSON object that maps numbers to names", "first"),
        ({"channel_names": {"0": 1}}, "not a JSON object that maps numbers to names", "0"),
        ({"channel_names": {"0": "PET", "1": "US"}}, "called CT or MR", "PET"),
        ({"file_ending": ".png"}, "of this format", ".png"),
        ({"file_ending": ".jpg"}, "of this format", ".jpg"),
        ({"file_ending": 3}, "of this format", "3"),
        ({"labels": None}, "what the labels are", None),
        ({"labels": ["liver"]}, "what the labels are", "liver"),
        ({"labels": "skm-tea"}, "an unknown label map", "skm-tea"),
        ({"labels": {}}, "names no structure", "{}"),
        ({"labels": {"background": 0}}, "names no structure", "background"),
        ({"labels": {"background": 0, "whole": [1, 2]}}, "combines several values", "whole"),
        ({"labels": {"background": 0, "liver": "one"}}, "no whole number", "one"),
        ({"labels": {"background": 0, "liver": 1.5}}, "no whole number", "1.5"),
        ({"labels": {"background": 0, "liver": True}}, "no whole number", "liver"),
        ({"labels": {"background": 0, "liver": -1}}, "no whole number", "-1"),
        ({"labels": {"liver": 0, "spleen": 1}}, "0 is the value of the background", "liver"),
        ({"labels": {"background": 0, "liver": 1, "spleen": 1}}, "have the same value", "liver and spleen: 1"),
        ({"labels": {"0": "background", "1": "liver", "01": "spleen"}}, "have the same value", "liver and spleen: 1"),
        ({"labels": {"background": 0, "kidney_left": 1, "Left kidney": 2}}, "same structure", "kidney_left and Left"),
        ({"labels": {"0": "background", "1": "liver", "2": "Liver"}}, "same structure", "liver and Liver"),
        ({"sides": ["left"]}, "does not map cases to left or right", "sides"),
        ({"sides": {"a": "left", "b": "L"}}, "does not map cases to left or right", "b"),
        ({"sides": {"a": None}}, "does not map cases to left or right", "a"),
    ],
)
def test_what_is_wrong_is_named_with_its_value_and_a_remedy(tmp_path, changes, message, value):
    with pytest.raises(SourceError, match=message) as caught:
        read(tmp_path, **changes)
    assert caught.value.file == str(tmp_path / "dataset.json")
    assert caught.value.remedy
    if value is not None:
        assert value in str(caught.value.value)


def test_unknown_labels_are_named_and_what_to_do_about_them(tmp_path):
    with pytest.raises(SourceError, match="--vocabulary") as caught:
        read(tmp_path, labels={"background": 0, "plica": 1, "liver": 2, "Hoffa's fat pad": 3})
    assert caught.value.value == "plica, Hoffa's fat pad"
    rows = [line for line in caught.value.remedy.splitlines() if "{" in line]
    own = tmp_path / "own.yaml"
    own.write_text("\n".join(rows).replace("REGION", "knee") + "\n", encoding="utf-8")
    known = read_description(tmp_path / "dataset.json", structures(own)).names
    assert known[2] == "liver"
    assert known[1] == "plica"
    assert structures(own)[known[3]].region == "knee"
