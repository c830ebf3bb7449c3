"""Every way in which a case can be bad, in one build: each is put aside under its reason, the sound one is used."""

import gzip
import json
import os
import shutil
import struct
from pathlib import Path

import nibabel
import numpy as np
import pytest

from dataset_builder.building.builder import build
from dataset_builder.building.quarantine import Quarantine
from dataset_builder.building.worker import Quarantined, lost_case, store_case
from dataset_builder.core.errors import CaseError
from dataset_builder.core.settings import Settings
from dataset_builder.sources import open_source
from dataset_builder.sources.base import Case
from dataset_builder.sources.phantoms import torso, write_nnunet, write_totalsegmentator

SMALL = Settings(
    slices_per_volume=2,
    questions_per_volume=4,
    inputs=("slice",),
    views=("plain",),
    image_size=64,
    answer_types=("choice",),
)


# --- what can be done to a case: image and labels as paths ----------------------------------------------------------


def edit(path: Path, change) -> None:
    """Change the bytes that a gzip file holds."""
    data = bytearray(gzip.decompress(path.read_bytes()))
    change(data)
    path.write_bytes(gzip.compress(data, 1))


def put(offset: int, layout: str, *values):
    return lambda data: struct.pack_into(layout, data, offset, *values)


def edit_file(path: Path, change) -> None:
    data = bytearray(path.read_bytes())
    change(data)
    path.write_bytes(data)


def resave(path: Path, values=None, affine=None, kind=None) -> None:
    image = nibabel.load(path)
    values = np.asarray(image.dataobj) if values is None else values
    affine = image.affine if affine is None else affine
    new = nibabel.Nifti1Image(values.astype(kind or values.dtype), affine)
    new.set_sform(affine, code=1)
    new.set_qform(None, code=0)
    nibabel.save(new, path)


def array_affine(path: Path) -> np.ndarray:
    return nibabel.load(path).affine


def array(path: Path) -> np.ndarray:
    return np.asarray(nibabel.load(path).dataobj)


def with_voxel(value):
    def change(image, labels):
        values = array(image).astype(np.float32)
        values[1, 2, 3] = value
        resave(image, values)

    return change


def sheared(image, labels):
    affine = nibabel.load(image).affine.copy()
    affine[:3, 2] += affine[:3, 1] * np.tan(np.radians(15))
    for path in (image, labels):
        resave(path, affine=affine)


def oblique(image, labels):
    affine, angle = nibabel.load(image).affine.copy(), np.radians(40)
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    affine[:3, :3] = turn @ affine[:3, :3]
    for path in (image, labels):
        resave(path, affine=affine)


def mirrored(image, labels):
    """The first axis of the file said to go the other way: left is right."""
    affine = nibabel.load(image).affine.copy()
    affine[:, 0] *= -1
    for path in (image, labels):
        resave(path, affine=affine)


def moved(image, labels):
    affine = nibabel.load(labels).affine.copy()
    affine[0, 3] += 9
    resave(labels, affine=affine)


def loop(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.name)


def bomb(image, labels):
    """A few kilobytes that promise 70 terabytes."""
    edit(image, put(42, "<3h", 32767, 32767, 32767))


def half_labels(image, labels):
    values = array(labels).astype(np.float32)
    values[values > 0] += np.float32(0.5)
    resave(labels, values)


BAD = {
    "truncated": ("unreadable", lambda i, m: i.write_bytes(i.read_bytes()[:-2000])),
    "crc": ("unreadable", lambda i, m: edit_file(m, put(m.stat().st_size - 8, "<I", 7))),
    "no_nifti": ("unreadable", lambda i, m: i.write_bytes(gzip.compress(b"a letter, not a scan" * 99))),
    "empty_file": ("unreadable", lambda i, m: i.write_bytes(b"")),
    "a_folder": ("unreadable", lambda i, m: (i.unlink(), i.mkdir())),
    "loop_image": ("unreadable", lambda i, m: loop(i)),
    "bomb": ("unreadable", bomb),
    "four_dimensions": ("dimensions", lambda i, m: resave(i, np.stack([array(i)] * 2, axis=3))),
    "two_dimensions": ("dimensions", lambda i, m: resave(i, array(i)[:, :, 0])),
    "no_voxels": ("dimensions", lambda i, m: edit(i, put(42, "<h", 0))),
    "nan_affine": ("affine", lambda i, m: edit(i, put(280, "<f", float("nan")))),
    "infinite_affine": ("affine", lambda i, m: edit(i, put(280, "<f", float("inf")))),
    "no_affine": ("affine", lambda i, m: edit(i, put(252, "<2h", 0, 0))),
    "shear": ("affine", sheared),
    "nan_voxel": ("voxel_values", with_voxel(np.nan)),
    "infinite_voxel": ("voxel_values", with_voxel(np.inf)),
    "half_labels": ("voxel_values", half_labels),
    "negative_label": ("voxel_values", lambda i, m: resave(m, -array(m).astype(np.int16))),
    "other_shape": ("shape_mismatch", lambda i, m: resave(m, array(m)[:-1], array_affine(m) @ np.diag([1.1, 1, 1, 1]))),
    "other_place": ("affine_mismatch", moved),
    "forms_in_conflict": ("sform_qform_conflict", lambda i, m: edit(i, put(268, "<f", 999.0))),
    "tilted": ("oblique", oblique),
    "no_labels": ("missing_labels", lambda i, m: m.unlink()),
    "loop_labels": ("missing_labels", lambda i, m: loop(m)),
    "unknown_label": ("unknown_label", lambda i, m: resave(m, np.where(array(m) == 1, 250, array(m)))),
    "empty_labels": ("empty_labels", lambda i, m: resave(m, array(m) * 0)),
    "mirrored": ("swapped_sides", mirrored),
}


@pytest.fixture(scope="module")
def body():
    return torso(3, spacing=8.0)


@pytest.fixture(scope="module")
def put_aside(body, tmp_path_factory):
    """What a build of one sound and many bad cases says of each, by subject."""
    folder = tmp_path_factory.mktemp("someone") / "data"
    write_nnunet(folder, {"sound": body})
    image, labels = folder / "imagesTr" / "sound_0000.nii.gz", folder / "labelsTr" / "sound.nii.gz"
    for name, (_, harm) in BAD.items():
        paths = image.with_name(f"{name}_0000.nii.gz"), labels.with_name(f"{name}.nii.gz")
        shutil.copy(image, paths[0])
        shutil.copy(labels, paths[1])
        harm(*paths)
    latin = "m\udcfcller"  # in Latin-1 on the disk
    shutil.copy(image, image.with_name(f"{latin}_0000.nii.gz"))
    shutil.copy(labels, labels.with_name(f"{latin}.nii.gz"))
    out = folder.parent / "ground"
    summary = build([open_source(f"nnunet:{folder}", keep_names=True)], out, SMALL)
    assert summary.volumes == 1
    assert summary.total_rows > 0
    lines = (out / "quarantine.jsonl").read_text(encoding="utf-8").splitlines()
    assert "someone" not in "".join(lines)
    reported = {row["subject"]: row for row in map(json.loads, lines)}
    assert len(reported) == len(lines) == len(BAD) + 1
    return reported


@pytest.mark.parametrize("name", BAD)
def test_a_bad_case_is_put_aside_under_its_reason(put_aside, name):
    row = put_aside[name]
    assert row["reason"] == BAD[name][0]
    assert row["source"] == "nnunet"
    assert name in row["file"] or not row["file"]
    assert row["problem"]
    assert row["remedy"]


def test_a_name_that_is_no_text_is_put_aside(put_aside):
    row = put_aside["m\\udcfcller"]
    assert row["reason"] == "name_encoding"
    assert "Rename" in row["remedy"]


def test_a_bomb_says_what_it_promises(put_aside):
    assert "70,3" in put_aside["bomb"]["found"]
    assert "bytes declared" in put_aside["bomb"]["found"]


# --- folders of masks -------------------------------------------------------------------------------------------------


def masks_of(tmp_path, body, harm) -> dict[str, str]:
    write_totalsegmentator(tmp_path / "data", {"s0000": body})
    harm(tmp_path / "data" / "s0000" / "segmentations")
    source = open_source(f"totalsegmentator:{tmp_path / 'data'}")
    (case,) = source.cases()
    reported = store_case((source, case), SMALL, tmp_path / "store", None, False)
    assert isinstance(reported, Quarantined)
    assert not list((tmp_path / "store").rglob("*.parquet"))
    return vars(reported)


@pytest.fixture(scope="module")
def small_body():
    return torso(1, spacing=12.0)


@pytest.mark.parametrize(
    ("reason", "harm"),
    [
        ("unusable", lambda f: shutil.copy(f / "liver.nii.gz", f / "Liver.nii.gz")),  # two of one structure
        ("unreadable", lambda f: (f / "aorta_two.nii.gz").symlink_to("aorta_two.nii.gz")),
        ("unreadable", lambda f: (f / "gone.nii.gz").symlink_to("nowhere")),
        ("missing_labels", lambda f: [path.unlink() for path in f.iterdir()]),
        ("unknown_label", lambda f: (f / "m\udcfcller.nii.gz").write_bytes(b"")),
        ("voxel_values", lambda f: resave(f / "liver.nii.gz", array(f / "liver.nii.gz") * 2)),
        ("voxel_values", lambda f: resave(f / "liver.nii.gz", array(f / "liver.nii.gz") * np.float32(0.4))),
    ],
)
def test_bad_masks(tmp_path, small_body, reason, harm):
    reported = masks_of(tmp_path, small_body, harm)
    assert reported["reason"] == reason
    assert reported["remedy"]
    "".join(reported.values()).encode("utf-8")


# --- whose fault it is ------------------------------------------------------------------------------------------------


class Failing:
    name = licence = citation = url = ""

    def __init__(self, error):
        self.error = error

    def read(self, case):
        raise self.error


def case_in(folder: Path) -> Case:
    (folder / "image.nii.gz").write_bytes(b"1")
    return Case("x", "one", "ct", "", (folder / "image.nii.gz",))


def test_a_file_that_the_system_cannot_read_is_the_cases_fault(tmp_path):
    case = case_in(tmp_path)
    error = PermissionError(13, "Permission denied", str(case.paths[0]))
    reported = store_case((Failing(error), case), SMALL, tmp_path / "store", None, False)
    assert (reported.reason, reported.found) == ("unreadable", "Permission denied")
    with pytest.raises(PermissionError):
        store_case((Failing(error), case), SMALL, tmp_path / "store", None, True)


@pytest.mark.parametrize(
    "error",
    [
        OSError(28, "No space left on device"),
        OSError(28, "No space left on device", "image.nii.gz"),
        PermissionError(13, "Permission denied", "/another/folder/image.nii.gz"),
    ],
)
def test_the_machines_trouble_is_not_the_cases(tmp_path, error):
    case = case_in(tmp_path)
    with pytest.raises(type(error)):
        store_case((Failing(error), case), SMALL, tmp_path / "store", None, False)


def test_a_case_that_ended_its_process_is_put_aside_or_stops_the_build_if_strict(tmp_path):
    case = case_in(tmp_path)
    reported = lost_case(case, strict=False)
    assert (reported.subject, reported.reason) == ("one", "memory")
    assert "MIS_GROUND_MEMORY" in reported.remedy
    with pytest.raises(CaseError, match="was killed each time"):
        lost_case(case, strict=True)


def test_no_folder_above_the_data_is_told(tmp_path):
    case = case_in(tmp_path)
    error = CaseError("Bad.", file=case.paths[0], value=f"in {case.paths[0]}", remedy=f"Look at {case.paths[0]}.")
    reported = Quarantined.of(case, error)
    assert (reported.found, reported.remedy) == ("in image.nii.gz", "Look at image.nii.gz.")
    reported = store_case((Failing(ValueError(f"oh: {case.paths[0]}")), case), SMALL, tmp_path / "store", None, False)
    assert reported.problem == "ValueError: oh: image.nii.gz"
    assert os.sep not in reported.found


# --- the list of them -------------------------------------------------------------------------------------------------


def test_the_list_is_read_from_its_file_wherever_that_was_moved(tmp_path):
    cases = [Quarantined("s", f"{number}", "", "r", 'a "line"\u2028\nof é', "", "") for number in range(4)]
    listed = Quarantine(tmp_path / "being-written.jsonl")
    assert list(listed) == []
    for case in cases:
        listed.add(case)
    assert (list(listed), len(listed)) == (cases, 4)
    listed.move_to(tmp_path / "whole.jsonl")
    assert [path.name for path in tmp_path.iterdir()] == ["whole.jsonl"]
    assert list(listed) == cases
    assert [listed[0], listed[3], listed[-1]] == [cases[0], cases[3], cases[3]]
    assert (listed[:2], listed[:10], listed[2:]) == (cases[:2], cases, cases[2:])
    assert cases[2] in listed
    with pytest.raises(IndexError):
        listed[4]
    assert [json.loads(line)["subject"] for line in listed.path.read_text().split("\n")[:-1]] == list("0123")
