"""Whose scan a case is: by BIDS, and by a user's own table; under pseudonyms, and in one split only."""

import json

import pyarrow.parquet as pq
import pytest

from dataset_builder.building.builder import build
from dataset_builder.building.held_out import SplitGuard, subjects_of, write_taken
from dataset_builder.building.merge import in_present_columns
from dataset_builder.core.errors import HeldOutError, SourceError
from dataset_builder.core.settings import Settings
from dataset_builder.dataset.manifest import read_record
from dataset_builder.imaging.volume import volume_from_arrays
from dataset_builder.slices.selection import SLICE_SCHEMA, load_slices, read_slices
from dataset_builder.slices.store import volumes_in
from dataset_builder.sources import open_source
from dataset_builder.sources.base import Case
from dataset_builder.sources.patients import patients_of
from dataset_builder.sources.phantom import make_body
from lm_eval_tasks.power.counts import sheet_of

SETTINGS = Settings(
    slices_per_volume=1,
    questions_per_volume=6,
    inputs=("slice",),
    views=("plain",),
    image_size=64,
    answer_types=("choice",),
)


def touch(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def pairs(folder, text):
    touch(folder, *(f"{case}/{name}.nii.gz" for case in ("first", "second", "other") for name in ("ct", "seg")))
    file = folder / "pairs.yaml"
    lines = ["images: '{case}/ct.nii.gz'", "labels: '{case}/seg.nii.gz'", "modality: ct", "names: {1: liver}"]
    file.write_text("\n".join([*lines, text]) + "\n")
    return f"pairs:{file}"


def nnunet(folder, patients):
    cases = ("first", "second", "other")
    touch(folder, *(f"imagesTr/{case}_0000.nii.gz" for case in cases), *(f"labelsTr/{case}.nii.gz" for case in cases))
    table = {"channel_names": {"0": "CT"}, "labels": {"background": 0, "liver": 1}, "file_ending": ".nii.gz"}
    (folder / "dataset.json").write_text(json.dumps(table | ({"patients": patients} if patients else {})))
    return f"nnunet:{folder}"


def bids(folder):
    names = [f"sub-{sub}/ses-{ses}/anat/sub-{sub}_ses-{ses}" for sub, ses in (("1", "a"), ("1", "b"), ("2", "a"))]
    touch(folder, *(f"{name}_T1w.nii.gz" for name in names), *(f"derivatives/x/{name}_dseg.nii.gz" for name in names))
    (folder / "derivatives" / "dseg.tsv").write_text("index\tname\n1\tleft hippocampus\n")
    return f"bids:{folder}"


def patients(spec, **options):
    return {case.subject: case.patient for case in open_source(spec, **options).cases()}


@pytest.mark.parametrize("keep_names", [True, False])
def test_bids_sessions_are_of_one_subject(tmp_path, keep_names):
    found = patients(bids(tmp_path), keep_names=keep_names)
    assert len(found) == 3
    assert len(set(found.values())) == 2
    if keep_names:
        assert found == {"sub-1_ses-a": "sub-1", "sub-1_ses-b": "sub-1", "sub-2_ses-a": "sub-2"}
    else:
        assert "sub" not in str(found)


@pytest.mark.parametrize("way", ["pairs", "nnunet"])
def test_a_table_says_which_cases_are_of_one_person(tmp_path, way):
    mapping = {"first": "Meier Anna", "second": "Meier Anna"}
    spec = pairs(tmp_path, f"patients: {json.dumps(mapping)}") if way == "pairs" else nnunet(tmp_path, mapping)
    assert patients(spec, keep_names=True) == mapping | {"other": None}
    found = sorted(patients(spec).values(), key=lambda patient: (patient is None, patient))
    assert found[0] == found[1] is not None
    assert "Meier" not in str(patients(spec))
    assert found[2] is None  # the subject's own


def test_without_a_table_every_case_is_of_somebody_else(tmp_path):
    assert set(patients(pairs(tmp_path, "")).values()) == {None}
    assert set(patients(nnunet(tmp_path / "n", None)).values()) == {None}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("patients: [first, second]", "does not map cases to patients"),
        ("patients: {first: ''}", "does not give every case a name"),
        ("patients: {first: [a]}", "does not give every case a name"),
        ("patients: {frist: p7}", "names cases that are not there"),
    ],
)
def test_a_table_that_cannot_be_meant_is_refused(tmp_path, text, said):
    with pytest.raises(SourceError, match=said) as caught:
        open_source(pairs(tmp_path, text))
    assert "pairs.yaml" in str(caught.value)


def test_numbers_are_names_too(tmp_path):
    assert patients_of({"patients": {1: 7, "b": " x "}}, tmp_path) == {"1": "7", "b": "x"}


class Scans:
    """Knees of one body, as scans of a clinic."""

    name, licence, citation, url = "clinic", "CC0-1.0", "", ""

    def __init__(self, **patients):
        self._patients = patients

    def cases(self):
        for subject, patient in self._patients.items():
            yield Case(self.name, subject, "mri", self.licence, side="left", patient=patient)

    def read(self, case):
        body = make_body(1)
        own = {"source": case.source, "subject": case.subject, "modality": case.modality, "licence": case.licence}
        return volume_from_arrays(body.image, body.labels, body.names, body.affine, side=case.side, **own)


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    folder = tmp_path_factory.mktemp("patients")
    build([Scans(a="p1", b="p1", c=None)], folder / "test", SETTINGS, store=folder / "store")
    return folder


def test_rows_and_slices_say_whose_they_are(built, tmp_path):
    rows = {}
    for file in (built / "test" / "data").rglob("*.parquet"):
        for row in pq.read_table(file, columns=["subject", "patient"]).to_pylist():
            rows.setdefault(row["subject"], set()).add(row["patient"])
    assert rows == {"a": {"p1"}, "b": {"p1"}, "c": {"c"}}
    assert {volume.subject: volume.patient for volume in volumes_in(built / "store")} == {
        "a": "p1",
        "b": "p1",
        "c": None,
    }
    build([], tmp_path / "again", SETTINGS, store=built / "store")
    assert set(subjects_of(tmp_path / "again")) >= {("clinic", "a", "p1"), ("clinic", "c", "c")}
    asked = sheet_of(tmp_path / "again")
    assert len(set(asked.volumes)) == 3
    assert len(set(asked.patients)) == 2


def test_slices_of_earlier_versions_are_read_and_say_nothing_of_patients(built, tmp_path):
    path = volumes_in(built / "store")[0].path
    old = read_slices(path).drop_columns(["patient"])
    pq.write_table(old, tmp_path / "old.parquet")
    assert {record.patient for record in load_slices(tmp_path / "old.parquet")} == {None}
    assert in_present_columns(old).schema.names == SLICE_SCHEMA.names
    with pytest.raises(KeyError):
        in_present_columns(old.drop_columns(["subject"]))


def test_a_patient_is_in_one_split_only_with_whichever_scan(built, tmp_path):
    made = build(
        [Scans(x="p1", y="p2", a=None, z="c")], tmp_path / "train", SETTINGS, split="train", held_out=[built / "test"]
    )
    assert {subject for _, subject, _ in subjects_of(made.out)} == {"y"}
    assert sorted(case.subject for case in made.quarantined) == ["a", "x", "z"]
    assert read_record(made.out).builds[0].split == "train"


def test_a_data_set_that_knows_no_patients_is_kept_apart_by_subject(tmp_path, monkeypatch):
    from dataset_builder.building import held_out

    monkeypatch.setattr(held_out, "subjects_of", lambda _: iter([("pairs", "p1", None), ("dicom", "aa-01", "aa")]))
    write_taken([tmp_path], tmp_path / "taken")
    refuse = SplitGuard("test", tmp_path / "taken")
    for names in (("pairs", "other", "p1"), ("pairs", "p1", None), ("dicom", "aa-02", "aa"), ("dicom", "aa-02", None)):
        with pytest.raises(HeldOutError):
            refuse(*names)
    refuse("pairs", "other", "p2")
    refuse("dicom", "bb-01", "bb")
