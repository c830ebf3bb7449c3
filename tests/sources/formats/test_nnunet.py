"""nnU-Net's data sets in every format and layout; what else is said of them is in sources/test_nnunet.py."""

import json

import nibabel
import numpy as np
import pytest

from dataset_builder.core.errors import SourceError
from dataset_builder.sources import open_source
from dataset_builder.sources.base import remarks_of
from dataset_builder.sources.phantoms import write_nifti
from tests.helpers.scan_files import KEPT, itk, same, save, segmentation


def nnunet(folder, body, files, **table):
    """A data set of nnU-Net: ``files`` are pairs of path and 'image', 'labels' or 'channels'."""
    image, labels, affine = body
    arrays = {"image": image, "labels": labels, "channels": np.stack([image * 0, image], axis=-1)}
    for path, kind in files:
        ending = "." + path.split(".", 1)[1]
        if ending.lower() in (".nii", ".nii.gz"):
            plain = folder / "t.nii.gz" if ending.lower().endswith("gz") else folder / "t.nii"
            write_nifti(plain, arrays[kind], affine)
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            plain.rename(folder / path)
        elif ending == ".mgz":
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            nibabel.save(nibabel.MGHImage(arrays[kind].astype(np.int32), affine), folder / path)
        else:
            save(itk(arrays[kind], affine), folder / path)
    labels_table = {"background": 0, **{name: value for value, name in enumerate(KEPT, 1)}}
    (folder / "dataset.json").write_text(
        json.dumps({"channel_names": {"0": "CT"}, "labels": labels_table, "file_ending": ".nii.gz", **table})
    )
    return open_source(f"nnunet:{folder}", keep_names=True)


@pytest.mark.parametrize(
    ("image", "labels", "ending"),
    [
        ("imagesTr/a_0000.NII.GZ", "labelsTr/a.nii", ".nii.gz"),
        ("imagesTr/a_0000.Nii.Gz", "labelsTr/a.NII.GZ", ".nii.gz"),
        ("imagesTr/a_0000.nrrd", "labelsTr/a.nrrd", ".nrrd"),
        ("imagesTr/a_0000.mha", "labelsTr/a.nii.gz", ".mha"),
        ("imagesTr/a.mgz", "labelsTr/a.mgz", ".mgz"),
        ("imagesVa/a_0000.nii.gz", "labelsVa/a.nii.gz", ".nii.gz"),
    ],
)
def test_nnunet_in_every_format_and_spelling(tmp_path, body, expected, image, labels, ending):
    source = nnunet(tmp_path, body, [(image, "image"), (labels, "labels")], file_ending=ending)
    assert same(source, expected).subject == "a"


def test_nnunet_with_a_table_of_files(tmp_path, body, expected):
    listed = {"x": {"images": ["scans/one.nii.gz"], "label": "truth/uno.nii.gz"}}
    source = nnunet(tmp_path, body, [("scans/one.nii.gz", "image"), ("truth/uno.nii.gz", "labels")], dataset=listed)
    assert same(source, expected).subject == "x"


def test_nnunet_decathlon_s_channels_in_one_file(tmp_path, body, expected):
    files = [("imagesTr/BRATS_001.nii.gz", "channels"), ("labelsTr/BRATS_001.nii.gz", "labels")]
    nnunet(tmp_path, body, files, channel_names={"0": "FLAIR", "1": "CT"})
    same(open_source(f"nnunet:{tmp_path}", channel="1"), expected)
    same(open_source(f"nnunet:{tmp_path}", channel="ct"), expected)
    (case,) = open_source(f"nnunet:{tmp_path}").cases()
    assert case.modality == "mri"
    with pytest.raises(SourceError, match=r"0 \(FLAIR\), 1 \(CT\)"):
        open_source(f"nnunet:{tmp_path}", channel="T2")


def test_nnunet_raw_folder_and_several_data_sets_in_it(tmp_path, body, expected):
    files = [("imagesTr/a_0000.nii.gz", "image"), ("labelsTr/a.nii.gz", "labels")]
    (tmp_path / "Dataset001_Torso").mkdir()
    nnunet(tmp_path / "Dataset001_Torso", body, files)
    same(open_source(f"nnunet:{tmp_path}"), expected)
    same(open_source(f"auto:{tmp_path}"), expected)
    (tmp_path / "Dataset002_More").mkdir()
    nnunet(tmp_path / "Dataset002_More", body, files)
    with pytest.raises(SourceError, match="Dataset001_Torso, Dataset002_More"):
        open_source(f"nnunet:{tmp_path}")


def test_nnunet_regions_a_voxel_s_own_value_decides(tmp_path, body, expected):
    table = {"background": 0, "abdomen": [1, 2, 3, 4, 5, 6], **{name: value for value, name in enumerate(KEPT, 1)}}
    files = [("imagesTr/a_0000.nii.gz", "image"), ("labelsTr/a.nii.gz", "labels")]
    same(nnunet(tmp_path, body, files, labels=table), expected)
    nested = {"background": 0, "liver": [1, 2, 3], "spleen": [2, 3], "aorta": [3], "stomach": 4, "kidney_left": 5}
    source = nnunet(tmp_path, body, files, labels={**nested, "kidney_right": 6})
    (case,) = source.cases()
    assert [source.read(case).names[value] for value in (1, 2, 3)] == ["liver", "spleen", "aorta"]


def test_nnunet_numbers_of_cases_are_no_channels_and_nothing_vanishes(tmp_path, body):
    files = [
        ("imagesTr/amos_0005.nii.gz", "image"),
        ("imagesTr/amos_0007.nii.gz", "image"),
        ("labelsTr/amos_0001.nii.gz", "labels"),
        ("imagesTr/amos_0001.nii.gz", "image"),
        ("imagesTs/test_0000.nii.gz", "image"),
        ("imagesTr/amos_0001.nii", "image"),
    ]
    source = nnunet(tmp_path, body, files)
    (tmp_path / "imagesTr" / "notes.pdf").write_bytes(b"x")
    assert [case.subject for case in source.cases()] == ["amos_0001", "amos_0005", "amos_0007"]
    left = {one.file: one.reason for one in source.left_out()}
    assert set(left) == {"imagesTr/amos_0001.nii.gz", "imagesTr/notes.pdf", "imagesTs/test_0000.nii.gz"}


def test_which_channel_is_read_and_which_labels_are_left_out_is_said(tmp_path, body):
    files = [("imagesTr/a_0000.nii.gz", "image"), ("imagesTr/a_0001.nii.gz", "image"), ("labelsTr/a.nii.gz", "labels")]
    nnunet(tmp_path / "n", body, files, channel_names={"0": "CT", "1": "T2w"})
    source = open_source(f"nnunet:{tmp_path / 'n'}", ignore_labels=["Aorta"])
    assert remarks_of(source) == (
        "Channel 0 (CT) of 2 is read; --channel chooses another: 0 (CT), 1 (T2w).",
        "1 label(s) are left out: aorta.",
    )
    save(itk(body[0], body[2]), tmp_path / "s" / "scan.nrrd")
    segmentation(body, tmp_path / "s" / "scan.seg.nrrd")
    assert remarks_of(open_source(f"slicer:{tmp_path / 's'}", ignore_labels=["spleen"])) == (
        "1 label(s) are left out: spleen.",
    )
    with pytest.raises(SourceError, match="does not know channels by name"):
        open_source(f"slicer:{tmp_path / 's'}", channel="T2")
