"""Phantoms written as data sets, read back by nibabel and by the builder."""

import csv
import json

import nibabel as nib
import numpy as np
import pytest

from dataset_builder.imaging.volume import read_masks, read_volume
from dataset_builder.sources.phantoms import Phantom, store_as, write_nifti, write_nnunet, write_totalsegmentator

IDENTITY = {"source": "x", "subject": "y", "modality": "ct", "licence": ""}


def small(names=None, modality="ct"):
    image = np.arange(60, dtype=np.int16).reshape(3, 4, 5) - 30
    labels = np.zeros((3, 4, 5), np.uint8)
    labels[0], labels[2] = 5, 1
    affine = np.diag([1.5, 2.5, 4.0, 1.0])
    affine[:3, 3] = (-7, 11, 300)
    phantom = Phantom(image, labels, names or {1: "spleen", 5: "liver", 9: "heart"}, affine, modality)
    return store_as(phantom, "LIP", (5, 0, 0))


def test_a_nifti_file_says_the_same_in_both_affines(tmp_path):
    phantom = small()
    path = tmp_path / "new" / "scan.nii.gz"
    write_nifti(path, phantom.image, phantom.affine)
    image = nib.load(path)
    np.testing.assert_array_equal(np.asanyarray(image.dataobj), phantom.image)
    for affine, code in (image.get_sform(coded=True), image.get_qform(coded=True)):
        assert code == 1
        np.testing.assert_allclose(affine, phantom.affine, atol=1e-4)
    assert image.header.get_xyzt_units()[0] == "mm"


def test_totalsegmentator_layout(tmp_path):
    subjects = {"s0001": small(), "s0002": small(modality="mri")}
    write_totalsegmentator(tmp_path, subjects)
    files = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    masks = {f"segmentations/{name}.nii.gz" for name in ("spleen", "liver", "heart")}
    assert files == {
        "meta.csv",
        *(f"s0001/{name}" for name in {"ct.nii.gz", *masks}),
        *(f"s0002/{name}" for name in {"mri.nii.gz", *masks}),
    }
    with (tmp_path / "meta.csv").open(encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream, delimiter=";"))
    assert [row["image_id"] for row in rows] == ["s0001", "s0002"]
    assert "split" in rows[0]
    folder = tmp_path / "s0001"
    volume = read_masks(
        folder / "ct.nii.gz",
        {name: folder / "segmentations" / f"{name}.nii.gz" for name in ("spleen", "liver", "heart")},
        **IDENTITY,
    )
    wanted = small()
    by_name = {name: (volume.labels == value).sum() for value, name in volume.names.items()}
    assert by_name == {"spleen": (wanted.labels == 1).sum(), "liver": (wanted.labels == 5).sum(), "heart": 0}
    assert volume.stored_axes == "LIP"


def test_nnunet_layout(tmp_path):
    write_nnunet(tmp_path, {"case_a": small(), "case_b": small()})
    description = json.loads((tmp_path / "dataset.json").read_text(encoding="utf-8"))
    assert description["labels"] == {"background": 0, "spleen": 1, "liver": 5, "heart": 9}
    assert description["channel_names"] == {"0": "CT"}
    assert description["numTraining"] == 2
    files = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.nii.gz")}
    assert files == {f"imagesTr/case_{c}_0000.nii.gz" for c in "ab"} | {f"labelsTr/case_{c}.nii.gz" for c in "ab"}
    names = {value: name for name, value in description["labels"].items() if value}
    volume = read_volume(
        tmp_path / "imagesTr" / "case_a_0000.nii.gz", tmp_path / "labelsTr" / "case_a.nii.gz", names, **IDENTITY
    )
    np.testing.assert_array_equal(np.sort(volume.image[volume.labels == 5]), np.arange(20) - 30)


def test_nnunet_needs_subjects_of_one_kind(tmp_path):
    with pytest.raises(ValueError, match="at least one phantom"):
        write_nnunet(tmp_path, {})
    with pytest.raises(ValueError, match="'b' differs"):
        write_nnunet(tmp_path, {"a": small(), "b": small(modality="mri")})
    with pytest.raises(ValueError, match="'c' differs"):
        write_nnunet(tmp_path, {"a": small(), "c": small(names={1: "liver", 5: "spleen"})})


def test_nnunet_magnetic_resonance(tmp_path):
    write_nnunet(tmp_path, {"a": small(modality="mri")})
    assert json.loads((tmp_path / "dataset.json").read_text())["channel_names"] == {"0": "MRI"}
