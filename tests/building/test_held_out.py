import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from datasets import load_dataset
from typer.testing import CliRunner

from dataset_builder.building.builder import build
from dataset_builder.building.datasets_builder import FEATURES
from dataset_builder.building.held_out import SplitGuard, write_taken
from dataset_builder.cli.main import app
from dataset_builder.core.errors import BuildError, HeldOutError
from dataset_builder.core.settings import Settings
from dataset_builder.imaging.volume import volume_from_arrays
from dataset_builder.sources import open_source
from dataset_builder.sources.base import Case
from dataset_builder.sources.phantom import make_body
from lm_eval_tasks.mis_ground.rows import Rows

SMALL = Settings(
    slices_per_volume=3,
    questions_per_volume=12,
    stack_size=4,
    stack_questions_per_volume=4,
    image_size=128,
    answer_types=("choice",),
)


class Scans:
    """A source of knees under a name that is not the phantoms'."""

    name, licence, citation, url = "clinic", "CC0-1.0", "", ""

    def __init__(self, *subjects: str) -> None:
        self._subjects = subjects

    def cases(self):
        return [Case(self.name, subject, "mri", self.licence, side="left") for subject in self._subjects]

    def read(self, case):
        body = make_body(1)
        own = {"source": case.source, "subject": case.subject, "modality": case.modality, "licence": case.licence}
        return volume_from_arrays(body.image, body.labels, body.names, body.affine, side=case.side, **own)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A test and a training split of two knees each, and the store of the training split."""
    root = tmp_path_factory.mktemp("splits")

    def knees(split):
        source = open_source("phantom:4", split=split)
        cases = [case for case in source.cases() if "knee" in case.subject]
        source = type("Knees", (), {"cases": lambda _: cases, "read": lambda _, case: made(case)})()
        made = open_source("phantom:4", split=split).read
        source.name, source.citation, source.url, source.licence = "phantom", "", "", "CC0-1.0"
        return source

    build([knees("test")], root / "test", SMALL)
    build([knees("train")], root / "train", SMALL, store=root / "store", split="train", held_out=[root / "test"])
    return root


def subjects(folder: Path) -> set[str]:
    return {
        subject
        for file in folder.rglob("*.parquet")
        for subject in pq.read_table(file, columns=["subject"])["subject"].to_pylist()
    }


def test_load_dataset_reads_the_training_split_with_the_same_columns(folders, tmp_path):
    train = load_dataset(str(folders / "train"), split="train", cache_dir=str(tmp_path))
    assert train.features == FEATURES
    assert {row.partition("_")[0] for row in train["subject"]} == {"knee"}
    stacks = load_dataset(str(folders / "train"), "stack", split="train", cache_dir=str(tmp_path))
    assert set(stacks["input"]) == {"stack"}
    slices = load_dataset(str(folders / "train"), "slices", split="train", cache_dir=str(tmp_path))
    assert len(slices) > 0
    with pytest.raises(ValueError, match="test"):
        load_dataset(str(folders / "train"), split="test", cache_dir=str(tmp_path))


def test_held_out_subjects_are_looked_up_in_a_file_that_is_made_anew(folders, tmp_path):
    bodies, taken = sorted(subjects(folders / "test")), tmp_path / "a ?%# folder" / "taken"
    taken.parent.mkdir()
    write_taken([folders / "test", folders / "test"], taken)
    apart = SplitGuard("test", taken)
    for body in bodies:
        with pytest.raises(HeldOutError, match=f"phantom/{body} in test"):
            apart("phantom", body)
        apart("another source", body)
    write_taken([], taken)
    for body in bodies:
        apart("phantom", body)


def test_no_body_is_in_both_splits(folders):
    test, train = subjects(folders / "test"), subjects(folders / "train")
    assert test
    assert train
    assert not test & train
    assert not np.array_equal(make_body(1).labels, make_body(1_000_001).labels)


def test_a_subject_of_the_held_out_data_set_goes_into_quarantine_or_stops_a_strict_build(tmp_path):
    build([Scans("p1", "p2")], tmp_path / "test", SMALL)
    made = build([Scans("p2", "p3")], tmp_path / "train", SMALL, split="train", held_out=[tmp_path / "test"])
    assert subjects(made.out) == {"p3"}
    (line,) = (made.out / "quarantine.jsonl").read_text().splitlines()
    assert (json.loads(line)["subject"], json.loads(line)["reason"]) == ("p2", "held_out")
    with pytest.raises(HeldOutError, match=r"clinic/p2 in test"):
        build([Scans("p2")], tmp_path / "other", SMALL, split="train", held_out=[tmp_path / "test"], strict=True)


def test_a_test_split_can_hold_out_the_subjects_of_a_training_split(tmp_path):
    build([Scans("p1")], tmp_path / "first", SMALL)
    made = build([Scans("p1", "p4")], tmp_path / "second", SMALL, held_out=[tmp_path / "first"])
    assert subjects(made.out) == {"p4"}


def test_phantoms_of_the_other_split_are_refused_also_out_of_a_store(folders, tmp_path):
    with pytest.raises(BuildError, match="No question"):
        build([], tmp_path / "test", SMALL, store=folders / "store")
    again = build([], tmp_path / "train", SMALL, store=folders / "store", split="train")
    assert subjects(again.out) == subjects(folders / "train")
    with pytest.raises(HeldOutError, match="knee_left_1000001"):
        build([], tmp_path / "strict", SMALL, store=folders / "store", strict=True)


def test_a_training_split_of_scans_must_say_what_is_held_out(tmp_path):
    with pytest.raises(BuildError, match=r"clinic.*--held-out"):
        build([Scans("p1")], tmp_path / "train", SMALL, split="train")


def test_one_split_does_not_take_the_place_of_the_other(folders):
    with pytest.raises(BuildError, match="split 'test'; a 'train' split"):
        build([open_source("phantom:1", split="train")], folders / "test", SMALL, split="train")


def test_the_card_of_a_training_split_says_what_it_is_for(folders):
    card = (folders / "train" / "README.md").read_text()
    assert 'split="train"' in card
    assert "no subject of it is in the test split" in card
    assert "mis-ground eval" not in card
    assert "mis-ground eval" in (folders / "test" / "README.md").read_text()


def test_the_harness_warns_of_rows_for_training(folders, caplog):
    Rows(str(folders / "test"))
    assert "for training" not in caplog.text
    Rows(str(folders / "train"))
    assert "for training" in caplog.text


def test_the_command_line_names_the_split(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    options = ["--slices-per-volume", "1", "--inputs", "slice", "--image-size", "64", "--questions-per-volume", "8"]
    result = CliRunner().invoke(app, ["build", "--split", "train", "--source", "phantom:2", *options])
    assert result.exit_code == 0, result.output
    assert subjects(tmp_path / "mis-ground-train") == {"torso_ct_1000000", "knee_left_1000001"}
    wrong = CliRunner().invoke(app, ["build", "--split", "dev", "--source", "phantom:1"])
    assert wrong.exit_code == 2
    assert "'test', 'train'" in wrong.output


def test_a_patient_is_in_one_split_only_with_whichever_series(tmp_path, monkeypatch):
    """Of DICOM, subjects are series: another series of a patient who is held out is refused as well."""
    from dataset_builder.building import held_out

    taken = [("dicom", "aaaa-01", None), ("dicom", "aaaa-02", None), ("nnunet", "bbbb-01", None)]
    monkeypatch.setattr(held_out, "subjects_of", lambda folder: iter(taken))
    held_out.write_taken([tmp_path], tmp_path / "taken")
    refuse = held_out.SplitGuard("train", tmp_path / "taken")
    for source, subject in (("dicom", "aaaa-03"), ("dicom", "aaaa-01"), ("nnunet", "bbbb-01")):
        with pytest.raises(HeldOutError):
            refuse(source, subject)
    refuse("dicom", "cccc-01")
    refuse("nnunet", "bbbb-02")
