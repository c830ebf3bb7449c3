import json
import os
import stat
from dataclasses import replace

import numpy as np
import pytest
from typer.testing import CliRunner

from dataset_builder.cli.main import app
from dataset_builder.files.pseudonyms import VARIABLE
from dataset_builder.sources import open_source
from dataset_builder.sources.named_labels import suggestions
from dataset_builder.sources.phantoms import torso, write_nifti, write_nnunet
from dataset_builder.vocabulary import read_side, structures


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two cases whose files name patients, and one that is damaged."""
    place = tmp_path_factory.mktemp("scans")
    body = torso(1, spacing=14.0, coverage="abdomen")
    write_nnunet(place, {"Meier_Anna": body, "Huber_Max": body, "Kurz": body})
    (place / "labelsTr" / "Kurz.nii.gz").write_bytes(b"\x1f\x8b")
    return place


@pytest.fixture(autouse=True)
def pseudonyms(tmp_path, monkeypatch):
    file = tmp_path / "own" / "pseudonyms.json"
    monkeypatch.setenv(VARIABLE, str(file))
    return file


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)


def test_inspect_shows_cases_labels_and_what_is_wrong(folder):
    done = run("inspect", folder, "--json", "--keep-names")
    assert done.exit_code == 0
    found = json.loads(done.stdout)
    assert found["source"] == "nnunet"
    notes = {case["subject"]: case for case in found["cases"]}
    assert set(notes) == {"Meier_Anna", "Huber_Max", "Kurz"}
    assert notes["Kurz"]["problem"]
    assert notes["Huber_Max"]["structures"]["liver"] > 0
    assert notes["Huber_Max"]["spacing_mm"] == [14.0, 14.0, 14.0]
    assert {label["side"] for label in found["labels"] if label["structure"] == "kidney_left"} == {"left"}
    shown = run("inspect", f"nnunet:{folder}")
    assert "2 of 3 cases" in shown.output


def test_private_scans_have_pseudonyms_that_only_a_local_file_resolves(folder, pseudonyms):
    subjects = [case.subject for case in open_source(f"nnunet:{folder}").cases()]
    assert len(set(subjects)) == 3
    assert not any(name in subject for subject in subjects for name in ("Meier", "Huber", "Kurz"))
    assert subjects == [case.subject for case in open_source(f"nnunet:{folder}").cases()]
    known = json.loads(pseudonyms.read_text())["pseudonyms"]
    assert {entry["subject"] for entry in known.values()} == {"Meier_Anna", "Huber_Max", "Kurz"}
    if os.name == "posix":
        assert stat.S_IMODE(pseudonyms.stat().st_mode) == 0o600


def test_public_archives_keep_their_names(tmp_path):
    assert [case.subject for case in open_source("phantom:1").cases()] == ["torso_ct_0000"]


def test_unknown_labels_are_shown_with_what_they_may_be(tmp_path):
    image, affine = np.zeros((8, 8, 8), np.int16), np.diag([2.0, 2, 2, 1])
    write_nifti(tmp_path / "a_ct.nii.gz", image - 1000, affine)
    labels = np.zeros((8, 8, 8), np.uint8)
    labels[2:4, 2:4, 2:4], labels[5:7, 2:4, 2:4], labels[2:4, 5:7, 2:4] = 1, 2, 3
    write_nifti(tmp_path / "a_seg.nii.gz", labels, affine)
    (tmp_path / "p.yaml").write_text(
        "images: '{case}_ct.nii.gz'\nlabels: '{case}_seg.nii.gz'\nmodality: ct\n"
        "names: {1: Kidney_L, 2: livr, 3: 'plica, old'}\n"
    )
    found = json.loads(run("inspect", f"pairs:{tmp_path / 'p.yaml'}", "--json").stdout)
    labels = {label["label"]: (label["structure"], label["how"], label["side"]) for label in found["labels"]}
    assert labels == {
        "Kidney_L": ("kidney_left", "guessed", "left"),
        "livr": ("", "unknown", ""),
        "plica, old": ("", "unknown", ""),
    }


def test_lesion_labels_are_known_and_of_their_kind(tmp_path):
    image, affine = np.zeros((8, 8, 8), np.int16), np.diag([2.0, 2, 2, 1])
    write_nifti(tmp_path / "a_ct.nii.gz", image - 1000, affine)
    labels = np.zeros((8, 8, 8), np.uint8)
    labels[1:6, 1:6, 1:6], labels[2:4, 2:4, 2:4] = 1, 2
    write_nifti(tmp_path / "a_seg.nii.gz", labels, affine)
    (tmp_path / "p.yaml").write_text(
        "images: '{case}_ct.nii.gz'\nlabels: '{case}_seg.nii.gz'\nmodality: ct\nnames: {1: liver, 2: Liver Tumor}\n"
    )
    done = run("inspect", f"pairs:{tmp_path / 'p.yaml'}", "--json")
    labels = {
        label["label"]: (label["structure"], label["how"], label["kind"]) for label in json.loads(done.stdout)["labels"]
    }
    assert labels == {"liver": ("liver", "known", "anatomy"), "Liver Tumor": ("tumour", "known", "lesion")}
    assert "lesion" in run("inspect", f"pairs:{tmp_path / 'p.yaml'}").output


@pytest.mark.parametrize(
    ("word", "first"),
    [
        ("kidney", "kidney_"),
        ("Lt. kidney", "kidney_left"),
        ("lung", "lung_"),
        ("lungs", "lung_"),
        ("splean", "spleen"),
        ("LK", "kidney_left"),
        ("Niere", "kidney_"),
        ("riñon", "kidney_"),
        ("foie", "liver"),
    ],
)
def test_vocabulary_finds_structures(word, first):
    done = run("vocabulary", word, "--json")
    assert done.exit_code == 0
    assert json.loads(done.stdout)[0]["name"].startswith(first)


def test_labels_of_nnunet_are_shown_as_they_are_spelled(tmp_path):
    write_nnunet(tmp_path, {"one": torso(1, spacing=14.0, coverage="abdomen")})
    file = tmp_path / "dataset.json"
    table = json.loads(file.read_text())
    renamed = {"kidney_left": "Niere links", "kidney_right": "Rt. kidney", "aorta": "Couch", "spleen": "Milz"}
    table["labels"] = {renamed.get(name, name): value for name, value in table["labels"].items()}
    table["ignore_labels"] = ["couch"]
    file.write_text(json.dumps(table))
    labels = json.loads(run("inspect", f"nnunet:{tmp_path}", "--json").stdout)["labels"]
    found = {label["label"]: (label["structure"], label["how"], label["side"]) for label in labels}
    assert found["Rt. kidney"] == ("kidney_right", "guessed", "right")
    assert found["Couch"] == ("", "ignored", "")
    assert found["Niere links"] == ("kidney_left", "guessed", "left")
    assert found["Milz"] == ("spleen", "known", "")
    assert found["liver"] == ("liver", "known", "")
    assert "ignore" not in found


@pytest.mark.parametrize(
    ("word", "near"),
    [
        ("lungs", {"lung_left", "lung_right"}),
        ("kidny", {"kidney_left", "kidney_right"}),
        ("kidneys", {"kidney_left", "kidney_right"}),
        ("left kidny", {"kidney_left"}),
        ("Kindey_R", {"kidney_right"}),
        ("femurs", {"femur_left", "femur_right"}),
    ],
)
def test_a_name_that_is_not_known_gets_the_structures_that_it_may_mean(word, near):
    found = suggestions(word, structures())
    assert near <= set(found)
    if read_side(word)[1]:
        assert {structures()[name].side for name in found} <= {None, read_side(word)[1]}


def test_vocabulary_lists_all_and_says_when_nothing_is_near():
    assert len(json.loads(run("vocabulary", "--json").stdout)) > 100
    assert run("vocabulary", "qqqq").exit_code == 1


@pytest.fixture(scope="module")
def mirrored(tmp_path_factory):
    """A body whose labels named left lie on the right: as RTSTRUCT with German names, and in nnU-Net's layout."""
    from tests.helpers.ways_in import WAYS, Scan

    body = torso(1, spacing=12.0, coverage="abdomen")
    german = {
        "kidney_left": "Niere re.",
        "kidney_right": "li. Niere",
        "liver": "Leber Musterfrau",
        "spinal_cord": "Myelon",
    }
    kept = {value: german[name] for value, name in body.names.items() if name in german}
    labels = np.where(np.isin(body.labels, [*kept]), body.labels, 0).astype(np.uint8)
    scan = Scan(body.image.astype(np.int16), labels, kept, body.affine, "CT")
    place = tmp_path_factory.mktemp("mirrored")
    named = {value: name.replace(" Musterfrau", "") for value, name in kept.items()}
    return (
        WAYS["dicom RTSTRUCT"](place / "dicom", scan).partition(":")[2],
        WAYS["nnunet .nii.gz"](place / "nnunet", replace(scan, names=named)).partition(":")[2],
    )


def test_what_a_build_would_refuse_is_shown_before_it(mirrored):
    done = run("inspect", mirrored[1], "--json")
    (case,) = json.loads(done.stdout)["cases"]
    assert (done.exit_code, case["problem"]) == (1, "Structures named left or right lie on the other side.")
    assert case["structures"]["kidney_left"]  # it could be read


def test_labels_of_dicom_are_shown_as_they_are_spelled_without_the_patient(mirrored):
    done = run("inspect", mirrored[0], "--json", "--trust", "orientation")
    labels = {label["label"]: label for label in json.loads(done.stdout)["labels"]}
    assert "Musterfrau" not in done.output
    assert {name: (one["structure"], one["how"], one["side"]) for name, one in labels.items()} == {
        "Niere re.": ("kidney_right", "guessed", "right"),
        "li. Niere": ("kidney_left", "guessed", "left"),
        "Leber [removed]": ("", "unknown", ""),
        "Myelon": ("spinal_cord", "known", ""),
    }
    done = run("inspect", mirrored[0], "--json", "--ignore-labels", "Leber Musterfrau")
    found = json.loads(done.stdout)
    assert {label["label"]: label["how"] for label in found["labels"]}["Leber [removed]"] == "ignored"
    assert "other side" in found["cases"][0]["problem"]
