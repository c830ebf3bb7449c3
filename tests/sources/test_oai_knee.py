"""Knee phantoms in OAIZIB-CM's public layout. Positions are recomputed here, in the world, by nibabel."""

import json
import tempfile
import zipfile
from pathlib import Path

import nibabel
import numpy as np
import pytest

from dataset_builder.building.builder import build
from dataset_builder.core.errors import (
    MissingLabelsError,
    SourceError,
    SwappedSidesError,
    UnknownLabelError,
    UnreadableError,
)
from dataset_builder.core.settings import Settings
from dataset_builder.imaging.laterality import check_sides
from dataset_builder.questions.facts import find_facts
from dataset_builder.slices.selection import choose_slices, cut
from dataset_builder.slices.store import store_volume
from dataset_builder.sources import open_source
from dataset_builder.sources.base import remarks_of
from dataset_builder.sources.phantoms import knee, store_as, write_nifti, write_oaizib_cm

FIVE = {
    1: "femur",
    2: "femoral_cartilage",
    3: "tibia",
    4: "tibial_cartilage_medial",
    5: "tibial_cartilage_lateral",
}
RIGHT, LEFT, TEST = (
    knee(0, "right", spacing=2.0),
    store_as(knee(1, "left", spacing=2.0), "AIR"),  # as sagittal scans are stored
    store_as(knee(2, "left", spacing=2.5), "LPS"),
)


def published(folder: Path, *, zipped: bool = False) -> Path:
    """Two training knees and a test knee."""
    write_oaizib_cm(folder, {"oaizib_001": RIGHT, "oaizib_003": LEFT}, zipped=zipped)
    write_oaizib_cm(folder, {"oaizib_002": TEST}, part="Ts", zipped=zipped)
    with (folder / "kneeSideInfo.csv").open("a") as file:  # as published, it lists every knee
        file.writelines(f"oaizib_{number:03}.nii.gz,right\n" for number in range(4, 508))
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return published(tmp_path_factory.mktemp("folders") / "oai")


@pytest.fixture(scope="module")
def archives(tmp_path_factory):
    return published(tmp_path_factory.mktemp("archives") / "oai", zipped=True)


def opened(folder: Path):
    source = open_source(f"oai_knee:{folder}", keep_names=True)
    return source, {case.subject: case for case in source.cases()}


def sides(folder: Path):
    return {case.subject: case.side for case in open_source(f"oai_knee:{folder}", keep_names=True).cases()}


def world_x(phantom, name):
    """Mean position of a structure toward the patient's right, mm, from the phantom as it is stored."""
    voxels = np.argwhere(phantom.labels == phantom.value(name))
    return nibabel.affines.apply_affine(phantom.affine, voxels).mean(axis=0)[0]


def test_training_knees_come_first_with_their_sides_and_where_they_are_from(folder):
    source, cases = opened(folder)
    assert list(cases) == ["oaizib_001", "oaizib_003", "oaizib_002"]
    assert [case.side for case in cases.values()] == ["right", "left", "left"]
    for case in cases.values():
        assert (case.source, case.modality, case.licence) == ("oai_knee", "mri", "CC-BY-NC-4.0")
        assert all(path.exists() for path in case.paths)
    assert cases["oaizib_002"].paths == (
        folder / "imagesTs" / "oaizib_002_0000.nii.gz",
        folder / "labelsTs" / "oaizib_002.nii.gz",
    )
    assert "CartiMorph" in source.citation
    assert "Ambellan" in source.citation
    assert source.url.endswith("YongchengYAO/OAIZIB-CM")


@pytest.mark.parametrize("layout", ["folder", "archives"])
def test_every_knee_is_read_with_the_five_published_labels(layout, request):
    source, cases = opened(request.getfixturevalue(layout))
    for subject, phantom in (("oaizib_001", RIGHT), ("oaizib_003", LEFT), ("oaizib_002", TEST)):
        volume = source.read(cases[subject])
        assert volume.names == FIVE
        assert (volume.side, volume.modality, volume.licence) == (phantom.side, "mri", "CC-BY-NC-4.0")
        as_stored = nibabel.Nifti1Image(phantom.labels, phantom.affine)
        truth = np.asarray(nibabel.as_closest_canonical(as_stored).dataobj)
        for value, name in FIVE.items():
            assert np.array_equal(volume.labels == value, truth == phantom.value(name)), name
        assert not volume.labels[truth == phantom.value("patella")].any()
        shown = nibabel.as_closest_canonical(nibabel.Nifti1Image(phantom.image, phantom.affine))
        assert np.array_equal(volume.image, np.asarray(shown.dataobj))
        assert np.allclose(volume.affine, shown.affine, atol=1e-4)
        check_sides(volume)


def test_archives_stay_packed_and_nothing_is_left_behind(archives, tmp_path, monkeypatch):
    before = sorted(path.name for path in archives.rglob("*"))
    assert before == ["imagesTr.zip", "imagesTs.zip", "kneeSideInfo.csv", "labelsTr.zip", "labelsTs.zip"]
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    source, cases = opened(archives)
    for case in cases.values():
        assert source.read(case).labels.any()
        assert case.paths[0].suffix == case.paths[1].suffix == ".zip"
    assert sorted(path.name for path in archives.rglob("*")) == before
    assert list(tmp_path.iterdir()) == []


def test_medial_of_each_knee_is_toward_the_other_one_and_proximal_is_up(folder):
    """The phantom's own affine is the judge: what is farther from the body's midline, x = 0, is lateral."""
    source, cases = opened(folder)
    for subject, phantom in (("oaizib_001", RIGHT), ("oaizib_003", LEFT)):
        volume = source.read(cases[subject])
        asked = set()
        for plane, index in choose_slices(volume, ["axial", "coronal"], 8, seed=0):
            for fact in find_facts(cut(volume, plane, index)):
                if fact.axis in ("medial_lateral", "right_left", "proximal_distal"):
                    names = set(fact.structures)
                    if names == {"tibial_cartilage_medial", "tibial_cartilage_lateral"}:
                        a, b = (world_x(phantom, name) for name in fact.structures)
                        wanted = "lateral" if abs(a) > abs(b) else "medial"
                        assert fact.relation == (
                            wanted if fact.axis == "medial_lateral" else "right" if a > b else "left"
                        )
                        asked.add(fact.axis)
                    if names == {"femur", "tibia"} and fact.axis == "proximal_distal":
                        assert fact.relation == ("proximal" if fact.structures[0] == "femur" else "distal")
                        asked.add(fact.axis)
        assert asked == {"medial_lateral", "right_left", "proximal_distal"}


# Whose knees they are


@pytest.mark.parametrize("layout", ["folder", "archives"])
def test_the_published_list_of_sides_tells_the_public_archive(layout, request):
    source = open_source(f"oai_knee:{request.getfixturevalue(layout)}")
    assert source.licence == "CC-BY-NC-4.0"
    assert {case.subject: case.licence for case in source.cases()} == {
        f"oaizib_00{number}": "CC-BY-NC-4.0" for number in (1, 2, 3)
    }


@pytest.mark.parametrize(
    ("listed", "subject"),
    [
        (["miller"], "miller"),
        (["oaizib_001"], "oaizib_001"),  # the archive's name, in a list of one's own
        ([f"oaizib_{number:03}" for number in range(1, 507)], "oaizib_001"),  # one is missing
        ([f"oaizib_{number:03}" for number in range(1, 508)], "miller"),  # not in the archive's list
        ([f"oaizib_{number:03}" for number in range(1, 508)] + ["miller"], "miller"),
        ([f"knee_{number}" for number in range(507)], "knee_0"),
    ],
)
def test_other_knees_in_this_layout_have_no_known_licence_and_pseudonyms(listed, subject, tmp_path):
    names = [f"{subject}_0000.nii.gz", "oaizib_002_0000.nii.gz"]
    labels = [name.replace("_0000", "") for name in names]
    csv = "".join(f"{name}.nii.gz,left\n" for name in listed).encode()
    source = open_source(f"oai_knee:{small(tmp_path, csv, imagesTr=names, labelsTr=labels)}")
    assert (source.licence, source.citation, source.url) == ("unknown", "", "")
    assert "private" in remarks_of(source)[0]
    found = list(source.cases())
    assert {case.licence for case in found} == {"unknown"}
    assert not {subject, "oaizib_002"} & {case.subject for case in found}
    assert source.read(found[0]).licence == "unknown"


# Sides


def test_a_knee_of_unknown_side_is_asked_right_and_left_but_not_medial_and_lateral(folder, tmp_path):
    published(tmp_path)
    (tmp_path / "kneeSideInfo.csv").write_text("oaizib_001.nii.gz,\noaizib_002.nii.gz,left\n")
    source, cases = opened(tmp_path)
    assert {subject: case.side for subject, case in cases.items()} == {
        "oaizib_001": None,  # listed without a side
        "oaizib_003": None,  # not listed
        "oaizib_002": "left",
    }
    for subject, phantom in (("oaizib_001", RIGHT), ("oaizib_003", LEFT)):
        volume = source.read(cases[subject])
        check_sides(volume)
        right_left = set()
        for plane, index in choose_slices(volume, ["axial", "coronal"], 6, seed=0):
            record = cut(volume, plane, index)
            assert record.side is None
            assert record.midline_mm is None
            for fact in find_facts(record):
                assert fact.axis not in ("medial_lateral", "proximal_distal")
                assert fact.kind != "side"
                if set(fact.structures) == {"tibial_cartilage_medial", "tibial_cartilage_lateral"}:
                    a, b = (world_x(phantom, name) for name in fact.structures)
                    if fact.axis == "right_left":
                        assert fact.relation == ("right" if a > b else "left")
                        right_left.add(fact.relation)
        assert right_left


@pytest.mark.parametrize("layout", ["folder", "archives"])
def test_a_wrong_side_is_found_by_the_labels_and_the_build_goes_on(layout, tmp_path):
    data = published(tmp_path / "oai", zipped=layout == "archives")
    csv = data / "kneeSideInfo.csv"
    csv.write_text(csv.read_text().replace("oaizib_003.nii.gz,left", "oaizib_003.nii.gz,right"))
    source, cases = opened(data)
    settings = Settings(
        slices_per_volume=1, questions_per_volume=4, inputs=("slice",), image_size=64, answer_types=("choice",)
    )
    with pytest.raises(SwappedSidesError, match="lateral lie medial, for a right limb"):
        store_volume(source, cases["oaizib_003"], settings, tmp_path / "store")
    if layout == "folder":
        summary = build([open_source(f"oai_knee:{data}")], tmp_path / "out", settings)
        assert summary.volumes == 2
        lines = (tmp_path / "out" / "quarantine.jsonl").read_text().splitlines()
        assert [(line["subject"], line["reason"]) for line in map(json.loads, lines)] == [
            ("oaizib_003", "swapped_sides")
        ]


@pytest.mark.parametrize("place", ["info/kneeSideInfo.csv", "info.zip"])
def test_the_list_of_sides_may_lie_with_the_other_information(place, tmp_path):
    published(tmp_path)
    text = (tmp_path / "kneeSideInfo.csv").read_bytes()
    (tmp_path / "kneeSideInfo.csv").unlink()
    if place.endswith(".zip"):
        with zipfile.ZipFile(tmp_path / place, "w") as archive:
            archive.writestr("info/README.md", "x")
            archive.writestr("info/kneeSideInfo.csv", text)
    else:
        (tmp_path / "info").mkdir()
        (tmp_path / place).write_bytes(text)
    assert sides(tmp_path) == {"oaizib_001": "right", "oaizib_003": "left", "oaizib_002": "left"}


def test_without_a_list_of_sides_nothing_is_read(tmp_path):
    published(tmp_path)
    (tmp_path / "kneeSideInfo.csv").unlink()
    with pytest.raises(SourceError, match=r"no kneeSideInfo\.csv") as caught:
        sides(tmp_path)
    assert "oaizib_001.nii.gz,right" in caught.value.remedy
    assert str(tmp_path) == caught.value.file


SMALL = np.zeros((3, 4, 5), np.uint8)
SMALL[:2] = 1


def small(folder: Path, csv: bytes | None = b"", **files: np.ndarray) -> Path:
    """Blocks instead of knees: ``images=...`` and ``labels=...`` as names of the files in imagesTr and labelsTr."""
    for place, names in (files or {"imagesTr": ["a_0000.nii.gz"], "labelsTr": ["a.nii.gz"]}).items():
        for name in names:
            write_nifti(folder / place / name, SMALL, np.diag([2.0, 2.0, 2.0, 1.0]))
    if csv is not None:
        (folder / "kneeSideInfo.csv").write_bytes(csv)
    return folder


@pytest.mark.parametrize(
    ("csv", "side"),
    [
        (b"a.nii.gz,right\r\nb.nii.gz,right\r\n", "right"),  # as published
        (b"\xef\xbb\xbfa.nii.gz,left", "left"),
        (b"a, LEFT \n\n", "left"),
        (b"a;R\n", "right"),
        (b"a_0000.nii.gz\tl\n", "left"),
        (b"imagesTr/a_0000.nii.gz,1\n", "right"),
        (b"filename,side\na.nii.gz,2\n", "left"),
        (b"subject,age,KneeSide\na,60,1\n", "right"),
        (b"knee side,file\nleft,a.nii.gz\n", "left"),
        (b"a,unknown\n", None),
        (b"a\n", None),
        (b"a.nii.gz,right\na.nii.gz,right\n", "right"),
    ],
)
def test_spellings_of_the_list_of_sides(csv, side, tmp_path):
    assert sides(small(tmp_path, csv)) == {"a": side}


@pytest.mark.parametrize(
    ("csv", "message"),
    [
        (b"a.nii.gz,both\n", "neither left nor right"),
        (b"a.nii.gz,3\n", "neither left nor right"),
        (b"name,knee\na.nii.gz,left\n", "neither left nor right"),
        (b",left\n", "neither left nor right"),
        (b"a,left\na.nii.gz,right\n", "two sides for one knee"),
        (b"", "names none of the knees"),
        (b"b.nii.gz,left\n", "names none of the knees"),
        (b"\xff\xfe\x00", "cannot be read as text"),
    ],
)
def test_a_list_of_sides_that_cannot_be_understood_is_refused(csv, message, tmp_path):
    with pytest.raises(SourceError, match=message) as caught:
        sides(small(tmp_path, csv))
    assert str(tmp_path) in str(caught.value.file)


# Files that are missing or damaged


def test_a_missing_file_is_told_for_its_case_and_the_others_are_read(tmp_path):
    files = {"imagesTr": ["a_0000.nii.gz", "b_0000.nii.gz", "d.nii.gz"], "labelsTr": [f"{s}.nii.gz" for s in "acd"]}
    source, cases = opened(small(tmp_path, b"a,left\n", **files))
    assert list(cases) == ["a", "b", "c", "d"]
    assert source.read(cases["a"]).names == FIVE
    assert source.read(cases["d"]).side is None
    with pytest.raises(MissingLabelsError, match="no label file") as caught:
        source.read(cases["b"])
    assert caught.value.file == str(tmp_path / "labelsTr" / "b.nii.gz")
    with pytest.raises(UnreadableError, match="file does not exist") as caught:
        source.read(cases["c"])
    assert caught.value.file == str(tmp_path / "imagesTr" / "c_0000.nii.gz")


def pack(folder: Path, name: str, files: dict[str, bytes]) -> None:
    with zipfile.ZipFile(folder / f"{name}.zip", "w") as archive:
        for member, content in files.items():
            archive.writestr(member, content)


def test_a_file_that_an_archive_lacks_is_told_for_its_case(tmp_path):
    small(tmp_path, b"a,left\n")
    content = (tmp_path / "imagesTr" / "a_0000.nii.gz").read_bytes()
    data = tmp_path / "packed"
    data.mkdir()
    (data / "kneeSideInfo.csv").write_text("a,left\n")
    pack(data, "imagesTr", {f"deep/er/{s}_0000.nii.gz": content for s in "ab"} | {"__MACOSX/imagesTr/._x.nii.gz": b""})
    pack(data, "labelsTr", {"a.nii.gz": content, "../c.nii.gz": content})
    source, cases = opened(data)
    assert list(cases) == ["a", "b", "c"]
    assert source.read(cases["a"]).labels.any()
    with pytest.raises(MissingLabelsError, match="no labels for this knee") as caught:
        source.read(cases["b"])
    assert (caught.value.file, caught.value.value) == (str(data / "labelsTr.zip"), "b")
    with pytest.raises(UnreadableError, match="no image for this knee"):
        source.read(cases["c"])


def test_damaged_archives(tmp_path):
    data = published(tmp_path, zipped=True)
    whole = (data / "imagesTr.zip").read_bytes()
    # A bit of a member is turned: the archive's own checksum tells.
    (data / "imagesTr.zip").write_bytes(whole[:2000] + bytes([whole[2000] ^ 1]) + whole[2001:])
    source, cases = opened(data)
    with pytest.raises(UnreadableError, match="file in the archive") as caught:
        source.read(cases["oaizib_001"])
    assert "oaizib_001_0000.nii.gz" in caught.value.value
    assert source.read(cases["oaizib_003"]).labels.any()
    (data / "imagesTr.zip").write_bytes(whole[:5000])
    with pytest.raises(SourceError, match="archive cannot be read") as caught:
        sides(data)
    assert caught.value.file == str(data / "imagesTr.zip")


def test_an_unpacked_folder_is_preferred_and_parts_without_images_are_passed_over(tmp_path):
    small(tmp_path, b"a,left\n", imagesTr=["a_0000.nii.gz"], labelsTr=["a.nii.gz"], labelsTs=["t.nii.gz"])
    (tmp_path / "imagesTr.zip").write_bytes(b"cut off")
    assert sides(tmp_path) == {"a": "left"}


def test_labels_without_a_name_are_refused(tmp_path):
    small(tmp_path, b"a,left\n")
    write_nifti(tmp_path / "labelsTr" / "a.nii.gz", SMALL * 6, np.diag([2.0, 2.0, 2.0, 1.0]))
    source, cases = opened(tmp_path)
    with pytest.raises(UnknownLabelError, match="does not name"):
        source.read(cases["a"])


def test_a_folder_without_knees_is_refused(tmp_path):
    (tmp_path / "labelsTr").mkdir()
    with pytest.raises(SourceError, match="contains no knees") as caught:
        sides(tmp_path)
    assert "imagesTr" in caught.value.remedy
