"""auto:DIR as a new user tries it: each kind of folder, several kinds in one, archives, and what is no data at all."""

import zipfile

import numpy as np
import pytest
from typer.testing import CliRunner

from dataset_builder.cli.main import app
from dataset_builder.core.errors import SourceError
from dataset_builder.sources import open_source, recognised
from dataset_builder.vocabulary import structures
from tests.helpers import small_brain
from tests.helpers.ways_in import WAYS, Scan


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A folder of each kind, by the source that reads it."""
    image, labels, names, affine = small_brain.draw()
    low = slice(None, None, 4)
    kept = {value: name for value, name in names.items() if (labels[low, low, low] == value).any()}
    part = np.where(np.isin(labels, list(kept)), labels, 0).astype(np.uint8)[low, low, low]
    scan = Scan(image[low, low, low].copy(), part, kept, affine @ np.diag([4, 4, 4, 1]), "MR")
    root = tmp_path_factory.mktemp("kinds")
    ways = {"nnunet": "nnunet .mha", "dicom": "dicom SEG binary", "slicer": "slicer .seg.nrrd", "pairs": "pairs"}
    ways |= {"bids": "bids", "freesurfer": "freesurfer", "totalsegmentator": "totalsegmentator --ml"}
    for source, way in ways.items():
        WAYS[way](root / source, scan)
    return root


KINDS = ("nnunet", "dicom", "slicer", "bids", "freesurfer", "totalsegmentator", "pairs")


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_of_folder_is_recognised_and_read(folders, kind, monkeypatch):
    found = recognised(str(folders / kind))
    assert found.source == kind
    assert found.also == ()
    assert f"read as {kind}:" in found.said
    source = open_source(f"auto:{folders / kind}")
    assert source.name == kind
    assert len(list(source.cases())) == 1
    monkeypatch.chdir(folders)  # a folder that is called as a source is
    shown = CliRunner().invoke(app, ["inspect", kind])
    assert f"read as {kind}:{kind}" in shown.output
    assert f"Source {kind}: " in shown.output


@pytest.mark.parametrize(
    "named", ["nnunet", "dicom", "slicer", "bids", "freesurfer", "totalsegmentator_mri", "oai_knee"]
)
@pytest.mark.parametrize("kind", ["dicom", "slicer", "bids", "freesurfer"])
def test_a_folder_that_is_not_what_was_named_says_what_it_is(folders, kind, named):
    if named == kind:
        return
    with pytest.raises(SourceError) as refused:
        list(open_source(f"{named}:{folders / kind}").cases())
    assert f": use {kind}:{folders / kind}" in refused.value.remedy


def test_what_else_a_folder_contains_is_said(folders, tmp_path):
    for kind in ("dicom", "slicer"):
        (tmp_path / kind).symlink_to(folders / kind)
    import shutil

    shutil.copytree(folders / "dicom", tmp_path / "both" / "a")
    shutil.copytree(folders / "slicer", tmp_path / "both" / "b")
    found = recognised(str(tmp_path / "both"))
    assert found.source == "slicer"
    assert "It also contains DICOM" in found.said
    assert found.said.endswith("not read.")


def test_files_are_recognised_too(folders):
    assert recognised(str(folders / "pairs" / "pairs.yaml")).spec == f"pairs:{folders / 'pairs' / 'pairs.yaml'}"
    assert recognised(str(folders / "nnunet" / "dataset.json")).spec == f"nnunet:{folders / 'nnunet'}"
    with pytest.raises(SourceError, match="Give the folder that contains it"):
        recognised(str(folders / "bids" / "dataset_description.json"))


def test_what_cannot_be_read_is_described(folders, tmp_path):
    for name in ("empty", "notes", "packed", "raw/Dataset001_A", "raw/Dataset002_B"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "notes" / "a.txt").write_text("x")
    with zipfile.ZipFile(tmp_path / "packed" / "study.zip", "w") as archive:
        archive.writestr("a/b.zip", b"x")
    for name in ("Dataset001_A", "Dataset002_B"):
        (tmp_path / "raw" / name / "dataset.json").write_text("{}")
    for place, said in (
        ("empty", "no files"),
        ("notes", "0 images or label maps, 1 other files"),
        ("packed", r"unpacked first: study\.zip.*Unpack the archives"),
        ("packed/study.zip", "Unpack it"),
        ("raw", "several data sets of nnU-Net.*Dataset001_A, Dataset002_B"),
        ("absent", "does not exist"),
    ):
        with pytest.raises(SourceError, match=said):
            recognised(str(tmp_path / place))


def test_a_folder_that_is_not_known_is_described(tmp_path):
    (tmp_path / "x.nii.gz").write_bytes(b"")
    (tmp_path / "y.txt").write_text("")
    with pytest.raises(SourceError, match="1 images or label maps, 1 other files"):
        open_source(f"auto:{tmp_path}")
    assert structures()["liver"].name == "liver"
