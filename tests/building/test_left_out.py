"""Nothing is dropped in silence: files of no case, volumes without a row, builds of which nothing comes."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest

from dataset_builder.building.builder import build
from dataset_builder.building.quarantine import Quarantine
from dataset_builder.building.worker import Quarantined
from dataset_builder.core.errors import BuildError, SourceError
from dataset_builder.core.settings import Settings
from dataset_builder.dataset.manifest import read_record
from dataset_builder.slices.store import store_volume
from dataset_builder.sources import open_source
from dataset_builder.sources.base import remarks_of
from dataset_builder.sources.phantoms import torso, write_nnunet

SMALL = Settings(
    slices_per_volume=2,
    questions_per_volume=8,
    inputs=("slice",),
    views=("plain",),
    image_size=64,
    trust=("affine", "values", "labels", "orientation"),
    answer_types=("choice",),
)


@pytest.fixture(scope="module")
def body():
    return torso(0, spacing=6.0)


def only(body, names):
    values = [value for value, name in body.names.items() if name in names]
    return replace(body, labels=np.where(np.isin(body.labels, values), body.labels, 0).astype(body.labels.dtype))


def one_voxel(body):
    labels = np.zeros_like(body.labels)
    liver = next(value for value, name in body.names.items() if name == "liver")
    labels[tuple(np.argwhere(body.labels == liver)[0])] = liver
    spleen = next(value for value, name in body.names.items() if name == "spleen")
    labels[tuple(np.argwhere(body.labels == spleen)[0])] = spleen
    return replace(body, labels=labels)


def thin(body):
    middle = body.labels.shape[2] // 2
    return replace(body, image=body.image[..., middle : middle + 2], labels=body.labels[..., middle : middle + 2])


def nnunet(folder, subjects, keep_names=True):
    write_nnunet(folder, subjects)
    return open_source(f"nnunet:{folder}", keep_names=keep_names)


def test_files_of_no_case_volumes_without_rows_and_scans_of_two_names_are_told(tmp_path, body):
    subjects = {
        "whole": body,
        "twin": body,
        "liver": only(body, {"liver"}),
        "voxel": one_voxel(replace(body, image=body.image + np.int16(1))),
        "thin": thin(body),
    }
    source = nnunet(tmp_path / "scans", subjects)
    for name in ("imagesVb/x_0000.nii.gz", "y.NII.GZ", "imagesTr/deep/z.nii.gz", "imagesTr/w.png"):
        (tmp_path / "scans" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "scans" / name).write_bytes(b"")
    summary = build([source], tmp_path / "out", SMALL)
    note = read_record(tmp_path / "out").builds[0]
    named = {file for files in note.files_left_out.values() for file in files}
    assert named == {"imagesVb/x_0000.nii.gz", "y.NII.GZ", "imagesTr/deep/z.nii.gz", "imagesTr/w.png"}
    assert summary.files_left_out == note.files_left_out
    assert sum(note.left_out.values()) == 4
    without = dict(text.split(": ", 1) for text in note.without_rows)
    assert without.keys() == {"nnunet/liver", "nnunet/voxel"}
    assert "Only one structure is labelled (liver)" in without["nnunet/liver"]
    assert "the largest is" in without["nnunet/voxel"]
    assert "36 mm2" in without["nnunet/voxel"]
    assert summary.without_rows == note.without_rows
    warnings = "\n".join(note.warnings)
    assert "nnunet/whole: it is the same scan as nnunet/" in warnings
    assert "nnunet/thin: no coronal image is shown, it would be" in warnings
    assert summary.volumes == 5
    assert summary.scans == sum(source.volumes for source in note.sources) == 3  # whole, twin and liver are one scan


def test_of_private_scans_no_file_name_is_published(tmp_path, body, monkeypatch):
    monkeypatch.setenv("MIS_GROUND_PSEUDONYMS", str(tmp_path / "pseudonyms.json"))
    source = nnunet(tmp_path / "scans", {"miller": body}, keep_names=False)
    (tmp_path / "scans" / "jones.nii.gz").write_bytes(b"")
    summary = build([source], tmp_path / "out", SMALL)
    assert [*summary.files_left_out.values()] == [["jones.nii.gz"]]
    record = (tmp_path / "out" / "build.json").read_text()
    assert "jones" not in record
    note = read_record(tmp_path / "out").builds[0]
    ((name,),) = note.files_left_out.values()
    assert re.fullmatch(r"[0-9a-f]{12}\.nii\.gz", name)
    kept = json.loads((tmp_path / "pseudonyms.json").read_text())["pseudonyms"]
    assert kept[name] == {"source": "nnunet", "file": "jones.nii.gz"}


def test_labels_that_are_left_out_are_counted_and_decide_what_a_store_holds(tmp_path, body):
    """Whether they are left out by the option or by dataset.json; other labels are then read anew from the store."""
    write_nnunet(tmp_path / "scans", {"a": body, "b": only(body, {"liver", "spleen"})})
    file = tmp_path / "scans" / "dataset.json"
    table = json.loads(file.read_text())
    table["labels"] = {("Couch top" if name == "aorta" else name): value for name, value in table["labels"].items()}
    file.write_text(json.dumps(table))
    spec, store = f"nnunet:{tmp_path / 'scans'}", tmp_path / "store"
    first = build(
        [open_source(spec, ignore_labels=("couch_top", "colon"), keep_names=True)], tmp_path / "1", SMALL, store=store
    )
    assert first.labels_left_out == {"colon": 1, "couch_top": 1}
    assert read_record(tmp_path / "1").builds[0].labels_left_out == first.labels_left_out
    assert "colon" not in read_record(tmp_path / "1").builds[0].structures
    file.write_text(json.dumps(table | {"ignore_labels": ["Couch Top", "liver"]}))
    source = open_source(spec, keep_names=True)
    (said,) = remarks_of(source)
    assert "Couch top" in said
    assert "liver" in said
    assert [source.read(case).ignored for case in source.cases()] == [("couch_top", "liver"), ("liver",)]
    (case, _) = source.cases()
    kept = store / "nnunet" / "a.parquet"
    before = kept.read_bytes()
    file.write_text(json.dumps(table))
    store_volume(open_source(spec, ignore_labels=("couch_top", "colon"), keep_names=True), case, SMALL, store)
    store_volume(open_source(spec, ignore_labels=("couch_top",), keep_names=True), case, SMALL, store)
    assert kept.read_bytes() != before
    for wrong in ("couch", {"couch": 1}, [1]):
        file.write_text(json.dumps(table | {"ignore_labels": wrong}))
        with pytest.raises(SourceError, match="not a list of names"):
            open_source(spec)


def test_a_build_of_which_nothing_comes_says_why_and_keeps_the_reasons(tmp_path, body):
    empty = replace(body, labels=np.zeros_like(body.labels))
    source = nnunet(tmp_path / "scans", {"empty": empty, "liver": only(body, {"liver"})})
    with pytest.raises(BuildError) as caught:
        build([source], tmp_path / "out", SMALL)
    text = str(caught.value)
    for part in ("nnunet/empty", "empty_0000.nii.gz", "unlabelled scan", "nnunet/liver: Only one structure"):
        assert part in text
    kept = tmp_path / "out-quarantine.jsonl"
    assert str(kept) in text
    assert [json.loads(line)["subject"] for line in kept.read_text().splitlines()] == ["empty"]
    with pytest.raises(BuildError):
        build([source], tmp_path / "out", SMALL)
    assert len(kept.read_text().splitlines()) == 1  # its own is replaced


@pytest.mark.parametrize("content", ["", "my notes\n", '{"my": "notes"}\n'])
def test_a_file_of_the_users_under_the_name_of_the_quarantine_is_left(tmp_path, content):
    quarantine = Quarantine(tmp_path / "work")
    quarantine.add(Quarantined("source", "subject", "file", "reason", "problem", "found", "remedy"))
    (tmp_path / "kept").write_text(content)
    assert quarantine.keep_at(tmp_path / "kept") == tmp_path / "kept-2"
    assert (tmp_path / "kept").read_text() == content
    assert quarantine.keep_at(tmp_path / "kept-2") == tmp_path / "kept-2"
    quarantine.close()
