"""What TotalSegmentator writes, on the real sample: --ml with names in the file, and masks beside any image."""

import shutil

import numpy as np
import pytest

from dataset_builder.core.errors import SourceError
from dataset_builder.sources import open_source
from dataset_builder.sources.base import remarks_of
from dataset_builder.sources.phantoms import torso, write_totalsegmentator
from dataset_builder.sources.sample import Sample
from dataset_builder.sources.totalsegmentator_output import label_table


@pytest.fixture(scope="module")
def reference(sample_folder):
    """The sample's CT as its own source reads it."""
    source = Sample()
    case = next(case for case in source.cases() if case.modality == "ct")
    return source.read(case)


def masks(volume):
    return {name: volume.labels == value for value, name in volume.names.items() if (volume.labels == value).any()}


def test_a_multi_label_file_beside_its_image(tmp_path, sample_folder, reference):
    (tmp_path / "a").mkdir()
    shutil.copy(sample_folder / "example_ct_sm.nii.gz", tmp_path / "a" / "scan.nii.gz")
    shutil.copy(sample_folder / "example_seg.nii.gz", tmp_path / "a" / "seg.nii.gz")
    assert label_table(tmp_path / "a" / "seg.nii.gz")[1] == "spleen"
    assert label_table(tmp_path / "a" / "scan.nii.gz") == {}
    for spec in (f"totalsegmentator:{tmp_path}", f"auto:{tmp_path}", f"totalsegmentator:{tmp_path / 'a'}"):
        source = open_source(spec, keep_names=True)
        (case,) = source.cases()
        assert (case.modality, case.licence) == ("ct", "unknown")
        assert case.subject in ("a", "scan")
        volume = source.read(case)
        np.testing.assert_array_equal(volume.image, reference.image)
        found, expected = masks(volume), masks(reference)
        assert found.keys() == expected.keys()
        assert all((found[name] == expected[name]).all() for name in found)


def test_several_cases_in_one_folder(tmp_path, sample_folder):
    for name in ("p1", "p2"):
        shutil.copy(sample_folder / "example_ct_sm.nii.gz", tmp_path / f"{name}.nii.gz")
        shutil.copy(sample_folder / "example_seg.nii.gz", tmp_path / f"{name}_seg.nii.gz")
    shutil.copy(sample_folder / "example_ct_sm.nii.gz", tmp_path / "lone.nii.gz")
    source = open_source(f"totalsegmentator:{tmp_path}", keep_names=True)
    assert [case.subject for case in source.cases()] == ["p1", "p2"]
    assert [one.file for one in source.left_out()] == ["lone.nii.gz"]


def test_masks_beside_any_image(tmp_path):
    body = torso(1, spacing=12.0, coverage="abdomen")
    write_totalsegmentator(tmp_path / "there", {"s0001": body})
    (tmp_path / "mine").mkdir()
    shutil.move(tmp_path / "there" / "s0001" / "ct.nii.gz", tmp_path / "mine" / "CT_thorax.nii.gz")
    shutil.move(tmp_path / "there" / "s0001" / "segmentations", tmp_path / "mine" / "out")
    source = open_source(f"totalsegmentator:{tmp_path / 'mine'}", keep_names=True)
    (case,) = source.cases()
    assert (case.subject, case.licence) == ("CT_thorax", "unknown")
    assert "liver" in source.read(case).names.values()


HEADER = "image_id;age;gender;institute;study_type;split"
OWN_LISTS = {
    "none": None,
    "of its own": "image_id;split\ns0001;train\n",
    "with the public columns": f"{HEADER}\ns0001;50;m;A;ct abdomen;train\n",
    "of another length": f"{HEADER}\n" + "".join(f"s{number:04};50;m;A;ct;train\n" for number in range(101)),
    "of other names": f"{HEADER}\ns0001;50;m;A;ct;train\n" + "".join(f"p{n};5;m;A;ct;train\n" for n in range(101)),
    "that cannot be read": b"\xff\xfe\x00",
}


@pytest.mark.parametrize("kind", OWN_LISTS)
@pytest.mark.parametrize("source", ["totalsegmentator", "totalsegmentator_mri"])
def test_a_private_folder_in_the_public_layout_has_no_public_licence(source, kind, tmp_path):
    (tmp_path / "s0001" / "segmentations").mkdir(parents=True)
    if (own := OWN_LISTS[kind]) is not None:
        (tmp_path / "meta.csv").write_bytes(own if isinstance(own, bytes) else own.encode())
    opened = open_source(f"{source}:{tmp_path}")
    assert (opened.licence, opened.citation, opened.url) == ("unknown", "", "")
    assert bool(remarks_of(opened)) == (own is not None)
    if not isinstance(own, bytes):
        cases = list(opened.cases())
        assert {case.licence for case in cases} == {"unknown"}
        assert "s0001" not in {case.subject for case in cases}


@pytest.mark.parametrize(("source", "count"), [("totalsegmentator", 102), ("totalsegmentator_mri", 616)])
def test_the_whole_public_list_tells_the_archive_and_one_more_scan_makes_it_private(source, count, tmp_path):
    (tmp_path / "s0001" / "segmentations").mkdir(parents=True)
    rows = "".join(f"s{number:04};50;m;A;ct;train\r\n" for number in range(count))
    (tmp_path / "meta.csv").write_text(f"\ufeff{HEADER}\r\n{rows}", encoding="utf-8")
    public = open_source(f"{source}:{tmp_path}")
    assert public.licence.startswith("CC-BY")
    assert "10.5281/zenodo" in public.url
    assert {case.licence for case in public.cases()} == {public.licence}
    assert "s0001" in {case.subject for case in public.cases()}
    for stranger in ("s9999", "MILLER_JOHN"):
        (tmp_path / stranger / "segmentations").mkdir(parents=True)
        mixed = open_source(f"{source}:{tmp_path}")
        assert {case.licence for case in mixed.cases()} == {"unknown"}
        assert not {stranger, "s0001"} & {case.subject for case in mixed.cases()}
        assert "private" in remarks_of(mixed)[0]
        shutil.rmtree(tmp_path / stranger)


def test_a_folder_with_nothing_of_it_is_refused(tmp_path):
    with pytest.raises(SourceError, match="no scan with a segmentation"):
        list(open_source(f"totalsegmentator:{tmp_path}").cases())


def test_masks_in_a_folder_called_segmentations_beside_an_image_of_any_name(tmp_path):
    """What ``TotalSegmentator -i scan.nii.gz -o segmentations`` leaves; a case without its image is named."""
    body = torso(1, "mri", spacing=12.0, coverage="abdomen")
    write_totalsegmentator(tmp_path, {"p1": body, "p2": body})
    (tmp_path / "meta.csv").unlink()
    for name in ("p1", "p2"):
        shutil.move(tmp_path / name / "mri.nii.gz", tmp_path / name / "T2_axial.nii.gz")
    (tmp_path / "p2" / "T2_axial.nii.gz").unlink()
    for spec in (f"totalsegmentator_mri:{tmp_path}", f"totalsegmentator:{tmp_path}", f"auto:{tmp_path}"):
        source = open_source(spec, keep_names=True)
        (case,) = source.cases()
        assert (case.subject, case.modality, case.licence) == ("p1", "mri", "unknown")
        assert source.read(case).image.shape == body.image.shape
        assert [one.file for one in source.left_out()] == ["p2/segmentations"]
