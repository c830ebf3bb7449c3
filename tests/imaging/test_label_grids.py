"""Labels of the image's grid in any storage order are brought to its order; any other grid is refused.

What the remedies say is done to the letter: it gives right data or another refusal.
"""

import itertools
import re
import shlex
import shutil

import nibabel as nib
import numpy as np
import pytest
from nibabel.orientations import apply_orientation, axcodes2ornt, inv_ornt_aff, ornt_transform

from dataset_builder.core import errors
from dataset_builder.imaging.volume import read_masks, read_volume, volume_from_arrays
from dataset_builder.sources.phantoms import write_nifti

SHAPE = (6, 5, 4)
AFFINE = np.array([[-2.0, 0.1, 0, 30], [0.1, 2, 0, -20], [0, 0, 3, 5], [0, 0, 0, 1]])
IMAGE = np.arange(np.prod(SHAPE), dtype=np.int16).reshape(SHAPE)
LABELS = (IMAGE % 3).astype(np.uint8)
NAMES = {1: "liver", 2: "spleen"}
IDENTITY = {"source": "test", "subject": "one", "modality": "ct", "licence": "none"}
ORDERS = [
    "".join(letters) for order in itertools.permutations(["RL", "AP", "SI"]) for letters in itertools.product(*order)
]


def save(path, values, affine, dtype=None):
    image = nib.Nifti1Image(values, affine, dtype=dtype)
    image.set_sform(affine, 1)
    image.set_qform(None, 0)
    path.parent.mkdir(exist_ok=True)
    nib.save(image, path)
    return path


def in_order(values, letters):
    """Values of the image's grid stored in another order, and the affine that says so."""
    turn = ornt_transform(nib.io_orientation(AFFINE), axcodes2ornt(letters))
    return apply_orientation(values, turn), AFFINE @ inv_ornt_aff(turn, values.shape)


def run_in(folder, remedy, monkeypatch):
    """Do in a folder what the line of Python in a remedy does."""
    python, option, code = shlex.split(remedy[remedy.index("python -c") :])
    assert (python, option) == ("python", "-c")
    monkeypatch.chdir(folder)
    exec(code, {})


@pytest.fixture
def image(tmp_path):
    return save(tmp_path / "imagesTr" / "one_0000.nii.gz", IMAGE, AFFINE)


@pytest.mark.parametrize("letters", ORDERS)
def test_labels_in_every_storage_order(image, tmp_path, letters):
    right = read_volume(image, save(tmp_path / "same.nii.gz", LABELS, AFFINE), NAMES, **IDENTITY)
    stored = save(tmp_path / "labelsTr" / "one.nii.gz", *in_order(LABELS, letters))
    found = read_volume(image, stored, NAMES, **IDENTITY)
    np.testing.assert_array_equal(found.labels, right.labels)
    assert bool(found.remarks) == (letters != "LAS")
    mask = save(tmp_path / "mask.nii.gz", *in_order((LABELS == 2).astype(np.uint8), letters))
    laid = read_masks(image, {"spleen": mask}, **IDENTITY)
    np.testing.assert_array_equal(laid.labels == 1, right.labels == 2)


def off(millimetres):
    affine = AFFINE.copy()
    affine[2, 3] += millimetres
    return affine


@pytest.mark.parametrize(
    ("values", "affine"),
    [
        (LABELS, off(1.5)),
        (LABELS[:, :, :3], AFFINE @ np.diag([1, 1, 1.2, 1])),
        (LABELS.repeat(2, axis=0), AFFINE @ np.diag([0.5, 1, 1, 1])),
    ],
)
def test_the_remedy_for_another_grid_gives_labels_that_are_read(image, tmp_path, monkeypatch, values, affine):
    labels = save(tmp_path / "labelsTr" / "one.nii.gz", values, affine)
    with pytest.raises((errors.ShapeMismatchError, errors.AffineMismatchError)) as caught:
        read_volume(image, labels, NAMES, **IDENTITY)
    remedy = caught.value.remedy
    assert "copy" not in remedy
    run_in(tmp_path, remedy, monkeypatch)
    target = tmp_path / re.search(r"'(\S+_resampled\S*)'", remedy)[1]
    shutil.move(target, labels)
    found = read_volume(image, labels, NAMES, **IDENTITY)
    world = nib.load(labels).affine
    assert np.allclose(world, AFFINE)
    assert found.labels.max() <= 2


def test_the_remedy_for_several_volumes_makes_files_that_are_read(tmp_path, monkeypatch):
    frames = np.stack([IMAGE, IMAGE + 1, IMAGE + 2], axis=-1)
    series = save(tmp_path / "series.nii.gz", frames, AFFINE)
    labels = save(tmp_path / "labels.nii.gz", LABELS, AFFINE)
    with pytest.raises(errors.DimensionError, match="3 volumes of 6 x 5 x 4, numbered 0 to 2") as caught:
        read_volume(series, labels, NAMES, **IDENTITY)
    run_in(tmp_path, caught.value.remedy, monkeypatch)
    for number in range(3):
        volume = read_volume(tmp_path / f"series_frame{number}.nii.gz", labels, NAMES, **IDENTITY)
        assert sorted(volume.image.flat) == sorted((IMAGE + number).flat)


@pytest.mark.parametrize(("name", "packed"), [("one.nii.gz", False), ("one.nii", True)])
def test_the_remedy_for_a_wrong_ending_is_a_name_that_is_read(tmp_path, name, packed):
    written = save(tmp_path / ("w.nii.gz" if packed else "w.nii"), IMAGE, AFFINE)
    wrong = tmp_path / name
    shutil.copy(written, wrong)
    labels = save(tmp_path / "labels.nii.gz", LABELS, AFFINE)
    with pytest.raises(errors.UnreadableError, match="gzip") as caught:
        read_volume(wrong, labels, NAMES, **IDENTITY)
    right = tmp_path / re.search(r"Rename it to ([\w.]+?)[.,]?( or|$)", caught.value.remedy)[1]
    wrong.rename(right)
    read_volume(right, labels, NAMES, **IDENTITY)


UNITS = {"meter": 1000.0, "mm": 1.0, "micron": 0.001}


def with_unit(path, values, unit, scale):
    affine = AFFINE.copy()
    affine[:3] /= scale
    image = nib.Nifti1Image(values, affine)
    image.set_sform(affine, 1)
    image.set_qform(None, 0)
    image.header["xyzt_units"] = {"unknown": 0, "meter": 1, "mm": 2, "micron": 3}[unit]
    nib.save(image, path)
    return path


@pytest.mark.parametrize("unit", UNITS)
def test_units_are_converted(tmp_path, unit):
    image = with_unit(tmp_path / "i.nii.gz", IMAGE, unit, UNITS[unit])
    labels = with_unit(tmp_path / "l.nii.gz", LABELS, unit, UNITS[unit])
    assert read_volume(image, labels, NAMES, **IDENTITY).spacing == pytest.approx((2.0025, 2.0025, 3), abs=1e-3)


@pytest.mark.parametrize(
    ("said", "true"), [("meter", "mm"), ("micron", "mm"), ("mm", "micron"), ("unknown", "meter"), ("mm", "meter")]
)
def test_the_remedy_for_a_unit_that_cannot_be_is_the_one_that_is_read(tmp_path, said, true):
    files = [with_unit(tmp_path / f"{n}.nii.gz", v, said, UNITS[true]) for n, v in (("i", IMAGE), ("l", LABELS))]
    with pytest.raises(errors.SizeError, match="impossible size") as caught:
        read_volume(*files, NAMES, **IDENTITY)
    code = int(re.search(r"set xyzt_units to (\d)", caught.value.remedy)[1])
    for file in files:
        image = nib.load(file)
        image = nib.Nifti1Image(np.asarray(image.dataobj), image.affine, image.header)
        image.header["xyzt_units"] = code
        nib.save(image, file)
    assert read_volume(*files, NAMES, **IDENTITY).spacing == pytest.approx((2.0025, 2.0025, 3), abs=1e-3)


@pytest.mark.parametrize("mm", [1000.0, 1e-3])
def test_voxels_that_cannot_be(tmp_path, mm):
    affine = np.diag([mm, mm, mm, 1])
    image, labels = (save(tmp_path / f"{n}.nii", v, affine) for n, v in (("i", IMAGE), ("l", LABELS)))
    with pytest.raises(errors.SizeError, match=f"voxels of {mm:g}"):
        read_volume(image, labels, NAMES, **IDENTITY)


@pytest.mark.parametrize("top", [19, 117])
def test_labels_that_lost_digits_by_a_scale_are_rounded_and_told(image, tmp_path, top):
    labels = LABELS.copy()
    labels[0, 0, 0] = top
    path = tmp_path / "scaled.nii.gz"
    scaled = nib.Nifti1Image(labels.astype(np.float32), AFFINE)
    scaled.set_sform(AFFINE, 1)
    scaled.header.set_data_dtype(np.int16)
    nib.save(scaled, path)
    assert not np.array_equal(nib.load(path).get_fdata(), labels)
    found = read_volume(image, path, {**NAMES, top: "stomach"}, **IDENTITY)
    assert sorted(found.labels.flat) == sorted(labels.flat)
    assert "rounded" in found.remarks[0]


def test_interpolated_labels_are_not_rounded(image, tmp_path):
    blurred = save(tmp_path / "b.nii.gz", LABELS * np.float32(0.98), AFFINE)
    with pytest.raises(errors.VoxelValueError, match="not whole numbers"):
        read_volume(image, blurred, NAMES, **IDENTITY)


@pytest.mark.parametrize(
    ("content", "reported"),
    [
        (b"", "is empty"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 3\n", "git lfs pull"),
        (b"<!DOCTYPE html><html>Not found</html>", "web page"),
        (b"no scan at all", "not gzip"),
    ],
)
def test_what_stands_in_a_scans_place_is_named(image, tmp_path, content, reported):
    path = tmp_path / "stand_in.nii.gz"
    path.write_bytes(content)
    with pytest.raises(errors.UnreadableError, match=reported):
        read_volume(image, path, NAMES, **IDENTITY)


@pytest.mark.parametrize("flip", [False, True])
def test_labels_that_cover_a_part_of_the_image_are_laid_where_they_lie(tmp_path, flip):
    """As a cropped label file or mask in nnU-Net's layout; half a voxel off, or outside, they are refused."""
    values = np.arange(10 * 9 * 8, dtype=np.int16).reshape(10, 9, 8)
    affine = np.array([[-2.0, 0, 0, 5], [0, -2, 0, 7], [0, 0, 3, -9], [0, 0, 0, 1]])
    labels = np.zeros(values.shape, np.uint8)
    labels[3:6, 2:5, 4:7] = 1
    part, placed = labels[2:8, 1:6, 3:8], affine.copy()
    placed[:3, 3] = (affine @ [2, 1, 3, 1])[:3]
    if flip:
        part, placed = np.flip(part, 0), placed @ np.array([[-1, 0, 0, 5], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]])
    write_nifti(tmp_path / "image.nii.gz", values, affine)
    write_nifti(tmp_path / "part.nii.gz", np.ascontiguousarray(part), placed)
    identity = {"source": "s", "subject": "s", "modality": "ct", "licence": ""}
    whole = volume_from_arrays(values, labels, {1: "liver"}, affine, **identity)
    for read in (
        read_volume(tmp_path / "image.nii.gz", tmp_path / "part.nii.gz", {1: "liver"}, **identity),
        read_masks(tmp_path / "image.nii.gz", {"liver": tmp_path / "part.nii.gz"}, **identity),
    ):
        np.testing.assert_array_equal(read.labels, whole.labels)
    for shift, error in ((0.5, errors.ShapeMismatchError), (4.0, errors.AffineMismatchError)):
        moved = placed.copy()
        moved[:3, 3] += affine[:3, :3] @ [0, 0, shift]
        write_nifti(tmp_path / "moved.nii.gz", np.ascontiguousarray(part), moved)
        with pytest.raises(error):
            read_volume(tmp_path / "image.nii.gz", tmp_path / "moved.nii.gz", {1: "liver"}, **identity)
