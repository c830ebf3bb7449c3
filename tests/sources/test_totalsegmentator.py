import shutil
from pathlib import Path

import nibabel
import numpy as np
import pytest

from dataset_builder.core.errors import CaseError, EmptyLabelsError, MissingLabelsError, SourceError, UnknownLabelError
from dataset_builder.sources import open_source
from dataset_builder.sources.base import Case, left_out_of
from dataset_builder.sources.phantoms import store_as, torso, write_nifti, write_totalsegmentator
from dataset_builder.sources.sample import CT_MASKS
from dataset_builder.vocabulary import label_map

SHAPE = (5, 6, 7)
AFFINE = np.diag([2.0, 2.0, 2.0, 1.0])


def block(*where: slice) -> np.ndarray:
    mask = np.zeros(SHAPE, np.uint8)
    mask[where] = 1
    return mask


def write_subject(folder: Path, masks: dict[str, np.ndarray], image: str = "ct.nii.gz") -> Path:
    """A subject with an image of zeros."""
    write_nifti(folder / image, np.zeros(SHAPE, np.int16), AFFINE)
    for name, mask in masks.items():
        write_nifti(folder / "segmentations" / f"{name}.nii.gz", mask, AFFINE)
    return folder


def only_case(folder: Path, vocabulary: Path | None = None, name: str = "totalsegmentator"):
    source = open_source(f"{name}:{folder}", vocabulary, keep_names=True)
    (case,) = source.cases()
    return source, case


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Two CTs in the public layout, one of them stored LPS, and the same bodies in RAS+."""
    folder = tmp_path_factory.mktemp("public")
    bodies = {"s0001": torso(1, spacing=9.0, coverage="abdomen"), "s0000": torso(2, spacing=10.0, coverage="chest")}
    write_totalsegmentator(folder, {"s0001": bodies["s0001"], "s0000": store_as(bodies["s0000"], "LPS")})
    return folder, bodies


def test_subjects_come_sorted_with_all_that_is_known_of_them(written):
    folder, _ = written
    source = open_source(f"totalsegmentator:{folder}", keep_names=True)
    assert [case.subject for case in source.cases()] == ["s0000", "s0001"]
    for case in source.cases():
        assert case == Case(
            source="totalsegmentator",
            subject=case.subject,
            modality="ct",
            licence="unknown",
            paths=(folder / case.subject / "ct.nii.gz", folder / case.subject / "segmentations"),
        )
    assert (source.licence, source.citation, source.url) == ("unknown", "", "")


@pytest.mark.parametrize("subject", ["s0000", "s0001"])
def test_every_mask_is_found_under_its_name(written, subject):
    folder, bodies = written
    source = open_source(f"totalsegmentator:{folder}", keep_names=True)
    case = next(case for case in source.cases() if case.subject == subject)
    volume, body = source.read(case), bodies[subject]
    assert sorted(volume.names.values()) == sorted(body.names.values())
    for value, name in volume.names.items():
        assert np.array_equal(volume.labels == value, body.labels == body.value(name)), name
    assert np.array_equal(volume.image, body.image)
    assert volume.stored_axes == ("LPS" if subject == "s0000" else "RAS")
    assert volume.overlap_voxels == 0


@pytest.mark.parametrize("label_map_name", ["totalsegmentator_v1_ct", "totalsegmentator_v2_ct"])
def test_all_names_of_both_versions_mean_themselves(tmp_path, label_map_name):
    names = sorted(label_map(label_map_name).values())
    masks = {name: np.zeros(SHAPE, np.uint8) for name in names}
    for position, name in enumerate(names):
        masks[name].flat[position] = 1
    write_subject(tmp_path / "s0000", masks)
    source, case = only_case(tmp_path)
    volume = source.read(case)
    assert sorted(volume.names.values()) == names
    for position, name in enumerate(names):
        assert volume.names[volume.labels.flat[position]] == name


def test_the_last_of_overlapping_masks_has_the_voxel_and_parts_lie_above_their_wholes(tmp_path):
    everywhere = block(slice(None))
    masks = {
        "liver": everywhere,
        "aorta": block(slice(0, 2)),
        "spleen": block(slice(None), slice(0, 2)),
        "kidney_left": block(slice(3, 5), slice(3, 6)),
        "kidney_cyst_left": block(slice(4, 5), slice(4, 6)),
    }
    write_subject(tmp_path / "s0000", masks)
    source, case = only_case(tmp_path)
    volume = source.read(case)
    value = {name: number for number, name in volume.names.items()}
    # By hand: aorta < kidney_left < liver < spleen by name, then the cyst, a part of a kidney.
    expected = np.full(SHAPE, value["liver"])
    expected[:, 0:2] = value["spleen"]
    expected[4:5, 4:6] = value["kidney_cyst_left"]
    assert np.array_equal(volume.labels, expected)
    total = sum(int(mask.sum()) for mask in masks.values())
    assert 0 < volume.overlap_voxels <= total - everywhere.size
    assert volume.overlap_voxels == 2 * 6 * 7 + 2 * 3 * 7 + 5 * 2 * 7 + 1 * 2 * 7


def test_empty_masks_are_structures_that_are_absent(tmp_path):
    write_subject(tmp_path / "s0000", {"liver": block(slice(0, 2)), "spleen": np.zeros(SHAPE, np.uint8)})
    source, case = only_case(tmp_path)
    volume = source.read(case)
    assert set(volume.names.values()) == {"liver", "spleen"}
    assert len(np.unique(volume.labels)) == 2


def test_a_subject_with_empty_masks_only_is_refused(tmp_path):
    write_subject(tmp_path / "s0000", {"liver": np.zeros(SHAPE, np.uint8)})
    source, case = only_case(tmp_path)
    with pytest.raises(EmptyLabelsError):
        source.read(case)


def test_a_subject_without_segmentations_is_refused_and_the_others_are_read(tmp_path):
    write_subject(tmp_path / "s0000", {})
    write_subject(tmp_path / "s0001", {"liver": block(slice(0, 2))})
    write_subject(tmp_path / "s0002", {})
    (tmp_path / "s0002" / "segmentations").mkdir()
    source = open_source(f"totalsegmentator:{tmp_path}", keep_names=True)
    none, whole, empty = source.cases()
    assert source.read(whole).subject == "s0001"
    with pytest.raises(MissingLabelsError, match="no folder of masks") as caught:
        source.read(none)
    assert str(tmp_path / "s0000" / "segmentations") in str(caught.value)
    with pytest.raises(MissingLabelsError, match="folder of masks is empty"):
        source.read(empty)


def test_masks_without_an_image_are_refused_as_a_case(tmp_path):
    (write_subject(tmp_path / "s0000", {"liver": block(slice(0, 2))}) / "ct.nii.gz").unlink()
    source, case = only_case(tmp_path)
    with pytest.raises(CaseError, match=r"ct\.nii\.gz"):
        source.read(case)


def test_an_unknown_mask_is_refused_until_the_vocabulary_has_it(tmp_path):
    masks = {"plica": block(slice(0, 2)), "liver": block(slice(3, 5)), "zyst": block(slice(2, 3))}
    write_subject(tmp_path / "data" / "s0000", masks)
    source, case = only_case(tmp_path / "data")
    with pytest.raises(UnknownLabelError, match="--vocabulary") as caught:
        source.read(case)
    assert caught.value.value == "plica, zyst"
    assert "plica.nii.gz" in str(caught.value.file)
    own = tmp_path / "own.yaml"
    rows = [line for line in caught.value.remedy.splitlines() if "{" in line]
    own.write_text("\n".join(rows).replace("REGION", "knee") + "\n")
    source, case = only_case(tmp_path / "data", own)
    assert set(source.read(case).names.values()) == {"liver", "plica", "zyst"}


def test_two_masks_of_one_structure_are_refused(tmp_path):
    write_subject(tmp_path / "s0000", {"kidney_left": block(slice(0, 2)), "left_kidney": block(slice(3, 5))})
    source, case = only_case(tmp_path)
    with pytest.raises(CaseError, match=r"kidney_left\.nii\.gz and left_kidney\.nii\.gz"):
        source.read(case)


def test_other_files_beside_the_masks_are_passed_over(tmp_path):
    folder = write_subject(tmp_path / "s0000", {"liver": block(slice(0, 2))}) / "segmentations"
    (folder / "statistics.json").write_text("{}")
    (folder / "._liver.nii.gz").write_bytes(b"junk of another system")
    source, case = only_case(tmp_path)
    assert set(source.read(case).names.values()) == {"liver"}


# meta.csv


def test_a_subject_of_the_list_without_a_folder_is_a_case_that_says_so(tmp_path):
    write_subject(tmp_path / "s0001", {"liver": block(slice(0, 2))})
    (tmp_path / "meta.csv").write_text("image_id;age;split\ns0000;50;train\ns0001;60;test\n\n")
    source = open_source(f"totalsegmentator:{tmp_path}", keep_names=True)
    gone, there = source.cases()
    assert (gone.subject, there.subject) == ("s0000", "s0001")
    with pytest.raises(MissingLabelsError, match="s0000"):
        source.read(gone)


@pytest.mark.parametrize("text", [None, "image_id;split\ns0000;train\n", "\ufeffimage_id;split\ns0000;train\n"])
def test_the_list_may_be_absent_or_begin_with_a_mark(tmp_path, text):
    write_subject(tmp_path / "s0000", {"liver": block(slice(0, 2))})
    if text is not None:
        (tmp_path / "meta.csv").write_text(text, encoding="utf-8")
    assert [case.subject for case in open_source(f"totalsegmentator:{tmp_path}", keep_names=True).cases()] == ["s0000"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"image_id,split\ns0000,train\n", 'separated by ";"'),
        (b"", 'separated by ";"'),
        (b"image_id;split\n../s0000;train\n", "not the name of a folder"),
        (b"image_id;split\n..;train\n", "not the name of a folder"),
        (b"\xff\xfe\x00image_id", "cannot be read"),
    ],
)
def test_a_list_that_is_not_as_published_is_refused(tmp_path, content, message):
    write_subject(tmp_path / "s0000", {"liver": block(slice(0, 2))})
    (tmp_path / "meta.csv").write_bytes(content)
    with pytest.raises(SourceError, match=message) as caught:
        list(open_source(f"totalsegmentator:{tmp_path}", keep_names=True).cases())
    assert "meta.csv" in str(caught.value)
    assert caught.value.remedy


@pytest.mark.parametrize("name", ["totalsegmentator", "totalsegmentator_mri"])
def test_a_folder_without_subjects_is_refused(tmp_path, name):
    (tmp_path / "deeper").mkdir()
    write_subject(tmp_path / "deeper" / "s0000", {"liver": block(slice(0, 2))}, "other.nii.gz")
    with pytest.raises(SourceError, match="contains no subjects") as caught:
        list(open_source(f"{name}:{tmp_path}", keep_names=True).cases())
    assert str(tmp_path) in str(caught.value)


# Real masks


def test_real_masks_in_the_public_layout(sample_folder, tmp_path):
    """TotalSegmentator's own 117 masks of the sample CT."""
    (tmp_path / "s0000").mkdir()
    shutil.copy(sample_folder / "example_ct_sm.nii.gz", tmp_path / "s0000" / "ct.nii.gz")
    shutil.copytree(sample_folder / CT_MASKS, tmp_path / "s0000" / "segmentations")
    source, case = only_case(tmp_path)
    volume = source.read(case)
    assert set(volume.names.values()) == set(label_map("totalsegmentator_v2_ct").values())
    counted = overlap = 0
    for value, name in volume.names.items():
        mask = np.asarray(nibabel.load(sample_folder / CT_MASKS / f"{name}.nii.gz").dataobj)
        counted += int(mask.sum())
        overlap += int(mask.sum() - (volume.labels == value).sum())
        assert (mask[volume.labels == value] == 1).all()
    assert overlap == volume.overlap_voxels
    assert counted > 100_000


@pytest.mark.parametrize(
    ("image", "mask"), [("ct.nii", "liver.nii"), ("CT.NII.GZ", "LIVER.Nii.Gz"), ("ct.nii.gz", "Liver.NII")]
)
def test_endings_may_be_spelled_otherwise(tmp_path, image, mask):
    write_subject(tmp_path / "s0000", {"liver": block(slice(0, 2)), "spleen": block(slice(2, 3))})
    for usual, name in (("ct.nii.gz", image), ("segmentations/liver.nii.gz", mask)):
        path = tmp_path / "s0000" / usual
        packed = name.lower().endswith(".gz")
        data = nibabel.load(path)
        array = nibabel.Nifti1Image(np.asarray(data.dataobj), data.affine, data.header)
        path.unlink()
        plain = path.with_name("x.nii.gz" if packed else "x.nii")
        nibabel.save(array, plain)
        plain.rename(path.with_name(name))
    source, case = only_case(tmp_path)
    assert set(source.read(case).names.values()) == {"liver", "spleen"}
    assert not list(left_out_of(source))


def test_scans_that_are_no_image_and_no_mask_are_named(tmp_path):
    write_subject(tmp_path / "s0000", {"liver": block(slice(0, 2))})
    lying_about = ["stray.nii.gz", "s0000/pet.nii.gz", "s0000/segmentations/more.nrrd", "s0001/t1.NII"]
    for name in (*lying_about, "s0000/notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    source, _ = only_case(tmp_path)
    assert [one.file for one in left_out_of(source)] == lying_about
