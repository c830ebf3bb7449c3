import json
from pathlib import Path

import numpy as np
import pytest

from dataset_builder.core.errors import CaseError, EmptyLabelsError, MissingLabelsError, SourceError, UnknownLabelError
from dataset_builder.core.settings import Settings
from dataset_builder.imaging.laterality import check_sides
from dataset_builder.questions.facts import find_facts
from dataset_builder.slices.selection import choose_slices, cut
from dataset_builder.slices.store import input_fingerprint
from dataset_builder.sources import open_source
from dataset_builder.sources.base import remarks_of
from dataset_builder.sources.phantoms import Phantom, knee, store_as, write_nifti, write_nnunet
from dataset_builder.vocabulary import label_map, structures

SHAPE = (4, 5, 6)
AFFINE = np.diag([1.5, 1.5, 2.0, 1.0])


def block(value: int = 1) -> np.ndarray:
    labels = np.zeros(SHAPE, np.uint8)
    labels[:2] = value
    return labels


def write(folder: Path, arrays: dict[str, np.ndarray], **description: object) -> Path:
    """Files by path below the folder, and a dataset.json for one CT channel and a liver unless stated otherwise."""
    for path, array in arrays.items():
        write_nifti(folder / path, array, AFFINE)
    folder.mkdir(parents=True, exist_ok=True)
    table = {"channel_names": {"0": "CT"}, "labels": {"background": 0, "liver": 1}, "file_ending": ".nii.gz"}
    (folder / "dataset.json").write_text(json.dumps({**table, **description}))
    return folder


def image(value: int = 0) -> np.ndarray:
    return np.full(SHAPE, value, np.int16)


PAIR = {"imagesTr/a_0000.nii.gz": image(), "labelsTr/a.nii.gz": block()}


def test_a_written_data_set_is_read_whole(tmp_path):
    body = knee(0, "right", spacing=5.0)
    known = {value: name for value, name in body.names.items() if name != "fibula"}
    body = Phantom(body.image, body.labels * np.isin(body.labels, list(known)), known, body.affine, "mri", "right")
    write_nnunet(tmp_path, {"knee_b": store_as(body, "AIR"), "knee_a": body})
    source = open_source(f"nnunet:{tmp_path}", keep_names=True)
    first, second = source.cases()
    assert (first.subject, second.subject) == ("knee_a", "knee_b")
    for case, stored in ((first, "RAS"), (second, "AIR")):
        volume = source.read(case)
        assert volume.stored_axes == stored
        assert np.array_equal(volume.image, body.image)
        assert np.array_equal(volume.labels, body.labels)
        assert volume.names == known
        assert (volume.source, volume.modality, volume.licence, volume.side) == ("nnunet", "mri", "unknown", None)


def test_the_side_and_origin_come_from_the_description(tmp_path):
    write(
        tmp_path,
        {**PAIR, "imagesTr/b_0000.nii.gz": image(), "labelsTr/b.nii.gz": block()},
        sides={"a": "left"},
        licence="CC-BY-SA 4.0",
        reference="Some  paper,\n2020",
    )
    source = open_source(f"nnunet:{tmp_path}", keep_names=True)
    assert [case.side for case in source.cases()] == ["left", None]
    assert source.licence == "CC-BY-SA 4.0"
    assert source.citation == "Some paper, 2020"
    case = next(iter(source.cases()))
    assert (source.read(case).side, source.read(case).licence) == ("left", "CC-BY-SA 4.0")


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("map_name", ["skm_tea", "knee"])
def test_knees_by_a_known_label_map_are_asked_medial_and_lateral(tmp_path, map_name, side):
    """Where lateral is, the phantom's own position beside the body's midline, x = 0, says."""
    body = knee(3, side, spacing=2.0)
    values = {name: value for value, name in label_map(map_name).items()}
    lookup = np.array([values.get(body.names.get(value), 0) for value in range(max(body.names) + 1)], np.uint8)
    arrays = {"imagesTr/a_0000.nii.gz": body.image, "labelsTr/a.nii.gz": lookup[body.labels]}
    for path, array in arrays.items():
        write_nifti(tmp_path / path, array, body.affine)
    write(tmp_path, {}, channel_names={"0": "DESS"}, labels=map_name, sides={"a": side})
    source = open_source(f"nnunet:{tmp_path}", keep_names=True)
    volume = source.read(next(iter(source.cases())))
    assert set(volume.names.values()) == set(values)
    check_sides(volume)
    checked = 0
    for plane, index in choose_slices(volume, ["axial", "coronal"], 6, seed=0):
        record = cut(volume, plane, index)
        for fact in find_facts(record):
            if fact.axis == "medial_lateral":
                a, b = (
                    np.abs(
                        np.argwhere(record.labels == values[name]) @ [record.spacing[0], 0] + body.affine[0, 3]
                    ).mean()
                    for name in fact.structures
                )
                assert fact.relation == ("lateral" if a > b else "medial")
                checked += 1
    assert checked > 3


def test_the_channel_that_says_its_modality_is_read(tmp_path):
    arrays = {f"imagesTr/a_{number:04d}.nii.gz": image(number) for number in range(3)}
    write(
        tmp_path,
        {**arrays, "labelsTr/a.nii.gz": block()},
        channel_names={"2": "T2", "1": "T1w", "0": "mask of fat"},
    )
    source = open_source(f"nnunet:{tmp_path}", keep_names=True)
    (case,) = source.cases()
    assert case.paths[0].name == "a_0001.nii.gz"
    volume = source.read(case)
    assert volume.modality == "mri"
    assert (volume.image == 1).all()


def test_test_images_count_if_they_have_labels(tmp_path):
    extra = {"imagesTs/c_0000.nii.gz": image(3), "labelsTs/c.nii.gz": block(), "imagesTs/d_0000.nii.gz": image()}
    source = open_source(f"nnunet:{write(tmp_path, {**PAIR, **extra})}", keep_names=True)
    assert [case.subject for case in source.cases()] == ["a", "c"]
    assert (source.read(list(source.cases())[1]).image == 3).all()


def test_the_older_form_of_the_decathlon(tmp_path):
    arrays = {"imagesTr/liver_0001.nii.gz": image(), "labelsTr/liver_0001.nii.gz": block(2)}
    write(tmp_path, arrays, labels={"0": "background", "1": "spleen", "2": "liver"})
    table = json.loads((tmp_path / "dataset.json").read_text())
    table["modality"] = table.pop("channel_names")
    del table["file_ending"]
    (tmp_path / "dataset.json").write_text(json.dumps(table))
    source = open_source(f"nnunet:{tmp_path}", keep_names=True)
    (case,) = source.cases()
    assert case.subject == "liver_0001"
    volume = source.read(case)
    assert volume.names == {1: "spleen", 2: "liver"}
    assert set(np.unique(volume.labels)) == {0, 2}


def test_brats_as_the_decathlon_has_it_four_channels_in_one_file(tmp_path):
    """Task01: FLAIR, T1w, T1gd and T2w as the fourth dimension, and parts of a tumour as labels."""
    rng = np.random.default_rng(0)
    affine = np.diag([-1.0, -1.0, 1.0, 1.0])
    channels = rng.integers(0, 900, (9, 8, 7, 4)).astype(np.float32)
    labels = np.zeros(channels.shape[:3], np.uint8)
    labels[2:7, 2:6, 1:6], labels[3:6, 3:5, 2:5], labels[4, 4, 3] = 1, 2, 3
    write_nifti(tmp_path / "imagesTr" / "BRATS_001.nii.gz", channels, affine)
    write_nifti(tmp_path / "labelsTr" / "BRATS_001.nii.gz", labels, affine)
    table = {
        "name": "BRATS",
        "tensorImageSize": "4D",
        "reference": "https://www.med.upenn.edu/sbia/brats2017.html",
        "licence": "CC-BY-SA 4.0",
        "modality": {"0": "FLAIR", "1": "T1w", "2": "t1gd", "3": "T2w"},
        "labels": {"0": "background", "1": "edema", "2": "non-enhancing tumor", "3": "enhancing tumour"},
        "numTraining": 1,
        "training": [{"image": "./imagesTr/BRATS_001.nii.gz", "label": "./labelsTr/BRATS_001.nii.gz"}],
    }
    (tmp_path / "dataset.json").write_text(json.dumps(table))
    (tmp_path / "imagesTr" / "._BRATS_001.nii.gz").write_bytes(b"Mac OS X")  # as in the archives
    for chosen, number in ((None, 0), ("1", 1), ("T1gd", 2), ("t2w", 3)):
        source = open_source(f"nnunet:{tmp_path}", keep_names=True, channel=chosen)
        (case,) = source.cases()
        volume = source.read(case)
        assert (case.subject, case.modality) == ("BRATS_001", "mri")
        assert np.array_equal(volume.image, channels[::-1, ::-1, :, number])
        names = {value: structures()[name] for value, name in volume.names.items()}
        assert [names[value].kind for value in sorted(names)] == ["lesion"] * 3
        assert np.array_equal(volume.labels, labels[::-1, ::-1])
        assert any(table["modality"][str(number)] in remark for remark in remarks_of(source))


def test_plain_nifti_files(tmp_path):
    arrays = {"imagesTr/a_0000.nii": image(), "labelsTr/a.nii": block()}
    source = open_source(f"nnunet:{write(tmp_path, arrays, file_ending='.nii')}", keep_names=True)
    (case,) = source.cases()
    assert source.read(case).names == {1: "liver"}


# Cases that cannot be used are cases all the same


def test_a_case_without_labels_or_without_image_stops_nobody(tmp_path):
    write(tmp_path, {**PAIR, "imagesTr/b_0000.nii.gz": image(), "labelsTr/c.nii.gz": block()})
    source = open_source(f"nnunet:{tmp_path}", keep_names=True)
    whole, unlabelled, unseen = source.cases()
    assert source.read(whole).subject == "a"
    with pytest.raises(MissingLabelsError, match=r"labelsTr/b\.nii\.gz"):
        source.read(unlabelled)
    with pytest.raises(CaseError, match=r"imagesTr/c_0000\.nii\.gz"):
        source.read(unseen)


def test_a_missing_channel_is_named(tmp_path):
    write(tmp_path, PAIR, channel_names={"0": "PET", "1": "CT"})
    source = open_source(f"nnunet:{tmp_path}", keep_names=True)
    (case,) = source.cases()
    with pytest.raises(CaseError, match=r"a_0001\.nii\.gz"):
        source.read(case)


def test_a_value_that_nothing_names_is_refused(tmp_path):
    source = open_source(f"nnunet:{write(tmp_path, {**PAIR, 'labelsTr/a.nii.gz': block(7)})}", keep_names=True)
    (case,) = source.cases()
    with pytest.raises(UnknownLabelError, match="7"):
        source.read(case)


def test_voxels_to_be_ignored_are_nothing(tmp_path):
    labels = block()
    labels[3] = 9
    write(
        tmp_path,
        {**PAIR, "labelsTr/a.nii.gz": labels, "imagesTr/b_0000.nii.gz": image(), "labelsTr/b.nii.gz": block(9)},
        labels={"background": 0, "liver": 1, "Ignore": 9},
    )
    source = open_source(f"nnunet:{tmp_path}", keep_names=True)
    mixed, all_ignored = source.cases()
    volume = source.read(mixed)
    assert volume.names == {1: "liver"}
    assert np.array_equal(volume.labels, block())
    with pytest.raises(EmptyLabelsError, match="only ignored voxels"):
        source.read(all_ignored)


def test_a_changed_description_cuts_the_slices_again(tmp_path):
    def fingerprint() -> str:
        (case,) = open_source(f"nnunet:{tmp_path}", keep_names=True).cases()
        return input_fingerprint(case, Settings())

    write(tmp_path, PAIR)
    before = fingerprint()
    assert fingerprint() == before
    write(tmp_path, {}, labels={"background": 0, "spleen": 1})
    assert fingerprint() != before


def test_hidden_and_other_files_are_passed_over(tmp_path):
    write(tmp_path, PAIR)
    (tmp_path / "imagesTr" / "._a_0000.nii.gz").write_bytes(b"junk of another system")
    (tmp_path / "labelsTr" / "notes.txt").write_text("")
    assert [case.subject for case in open_source(f"nnunet:{tmp_path}", keep_names=True).cases()] == ["a"]


def test_a_folder_without_cases_is_told_where_to_put_them(tmp_path):
    write(tmp_path, {"imagesTs/a_0000.nii.gz": image()}, channel_names={"0": "PET", "1": "CT"})
    with pytest.raises(SourceError, match=r"imagesTr/CASE_0001\.nii\.gz"):
        list(open_source(f"nnunet:{tmp_path}", keep_names=True).cases())
