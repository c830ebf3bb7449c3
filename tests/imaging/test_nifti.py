"""NIfTI files: equal to nibabel's own reading, in smaller types; damage is told by the file's name."""

import contextlib
import gzip
import struct
import tracemalloc

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataset_builder.core import errors
from dataset_builder.imaging import nifti
from dataset_builder.imaging.nifti import corner_distance, open_nifti

AFFINE = np.diag([2.0, 2, 2, 1])


def save(path, values, slope=None, intercept=None, kind=nib.Nifti1Image):
    """A file whose stored numbers are ``values`` as they are."""
    image = kind(values, AFFINE, dtype=values.dtype)
    image.set_sform(AFFINE, code=1)
    nib.save(image, path)
    if slope is not None:
        opener = gzip.open if path.suffix == ".gz" else open
        with opener(path, "rb") as file:
            data = bytearray(file.read())
        data[112:120] = struct.pack("<ff" if kind is nib.Nifti1Image else ">ff", slope, intercept)
        with opener(path, "wb") as file:
            file.write(data)
    return path


@given(
    kind=st.sampled_from(["u1", "i1", "i2", "u2", "i4", "u4", "i8", "f4", "f8", ">i2", ">f4"]),
    scale=st.sampled_from([(None, None), (1.0, -1024.0), (2.0, 0.0), (0.5, 3.25), (0.0, 0.0)]),
    suffix=st.sampled_from([".nii", ".nii.gz"]),
    seed=st.integers(0, 99),
)
@settings(max_examples=60, deadline=None)
def test_values_are_those_of_nibabel(tmp_path_factory, kind, scale, suffix, seed):
    random = np.random.default_rng(seed)
    shape = tuple(random.integers(1, 9, 3))
    kind = np.dtype(kind)
    if kind.kind == "f":
        values = random.normal(0, 300, shape).astype(kind)
    else:
        limits = np.iinfo(kind)
        values = random.integers(max(limits.min, -3000), min(limits.max, 3000), shape).astype(kind)
    if kind.byteorder == ">" and scale[0] is not None:
        scale = (None, None)
    path = save(tmp_path_factory.mktemp("n") / f"v{suffix}", values, *scale)
    ours = open_nifti(path).read()
    theirs = nib.load(path).get_fdata()
    assert ours.dtype.isnative
    assert ours.dtype.itemsize <= 4
    if ours.dtype.kind in "iu":
        np.testing.assert_array_equal(ours, theirs)
    else:
        np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-4)


def test_hounsfield_units_stay_small_whole_numbers(tmp_path):
    stored = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    values = open_nifti(save(tmp_path / "ct.nii", stored, 1.0, -1024.0)).read()
    assert values.dtype == np.int16
    np.testing.assert_array_equal(values, stored.astype(int) - 1024)


def test_slabs_come_in_order_and_cover_all(tmp_path, monkeypatch):
    monkeypatch.setattr(nifti, "SLAB_BYTES", 100)
    stored = np.arange(7 * 5 * 11, dtype=np.int16).reshape(7, 5, 11)
    opened = open_nifti(save(tmp_path / "v.nii.gz", stored))
    slabs = list(opened.slabs())
    assert len(slabs) > 3
    assert [start for start, _ in slabs] == list(np.cumsum([0, *(slab.shape[2] for _, slab in slabs[:-1])]))
    np.testing.assert_array_equal(np.concatenate([slab for _, slab in slabs], axis=2), stored)


def test_a_float64_file_never_stands_in_memory_as_such(tmp_path, monkeypatch):
    monkeypatch.setattr(nifti, "SLAB_BYTES", 1 << 20)
    stored = np.random.default_rng(0).normal(size=(128, 128, 200))
    path = save(tmp_path / "v.nii.gz", np.round(stored * 8))
    tracemalloc.start()
    values = open_nifti(path).read()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert values.dtype == np.float32
    assert peak < values.nbytes + 5 * nifti.SLAB_BYTES < stored.nbytes


def test_further_dimensions_may_only_be_one(tmp_path):
    assert open_nifti(save(tmp_path / "a.nii", np.ones((3, 4, 5, 1), np.int16))).read().shape == (3, 4, 5)
    for shape, reported in (((3, 4, 5, 2), "2 volumes of 3 x 4 x 5"), ((3, 4), "3 x 4")):
        path = save(tmp_path / "b.nii", np.ones(shape, np.int16))
        with pytest.raises(errors.DimensionError, match=reported):
            open_nifti(path)


def test_mgz_is_read_too(tmp_path):
    values = np.arange(60, dtype=np.float32).reshape(3, 4, 5)
    nib.save(nib.MGHImage(values, AFFINE), tmp_path / "v.mgz")
    opened = open_nifti(tmp_path / "v.mgz")
    np.testing.assert_array_equal(opened.read(), values)
    np.testing.assert_allclose(opened.affine, AFFINE)


def test_analyze_does_not_say_where_left_is(tmp_path):
    nib.save(nib.AnalyzeImage(np.ones((3, 4, 5), np.int16), AFFINE), tmp_path / "v.img")
    with pytest.raises(errors.UnreadableError, match="not a NIfTI image"):
        open_nifti(tmp_path / "v.img")


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_voxels_that_are_not_finite(tmp_path, bad):
    values = np.ones((3, 4, 5), np.float32)
    values[1, 2, 3] = bad
    opened = open_nifti(save(tmp_path / "v.nii", values))
    with pytest.raises(errors.VoxelValueError, match="not finite"):
        opened.read()


def test_colours_are_no_volume(tmp_path):
    values = np.zeros((3, 4, 5), np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")]))
    nib.save(nib.Nifti1Image(values, AFFINE), tmp_path / "v.nii")
    with pytest.raises(errors.VoxelValueError, match="not single numbers"):
        open_nifti(tmp_path / "v.nii")


def unreadable(path, match):
    with pytest.raises(errors.UnreadableError, match=match) as caught:
        open_nifti(path).read()
    assert caught.value.file == str(path)
    assert str(path.parent) not in str(caught.value.value)


def test_damaged_files(tmp_path):
    noise = np.random.default_rng(0).integers(0, 1000, (20, 20, 20)).astype(np.int16)
    unreadable(tmp_path / "absent.nii.gz", "file does not exist")
    (tmp_path / "text.nii.gz").write_text("this is no scan")
    unreadable(tmp_path / "text.nii.gz", "not gzip")
    (tmp_path / "empty.nii").write_bytes(b"")
    unreadable(tmp_path / "empty.nii", "is empty")

    whole = save(tmp_path / "whole.nii", noise).read_bytes()
    (tmp_path / "short.nii").write_bytes(whole[:-1])
    unreadable(tmp_path / "short.nii", "declares more")

    packed = save(tmp_path / "packed.nii.gz", noise).read_bytes()
    (tmp_path / "cut.nii.gz").write_bytes(packed[: len(packed) // 2])
    unreadable(tmp_path / "cut.nii.gz", "cannot be read")
    (tmp_path / "cut_short.nii.gz").write_bytes(gzip.compress(whole[:-10]))
    unreadable(tmp_path / "cut_short.nii.gz", "ends in slice 19 of 20")
    (tmp_path / "no_crc.nii.gz").write_bytes(packed[:-8])
    unreadable(tmp_path / "no_crc.nii.gz", "cannot be read")
    wrong = bytearray(packed)
    wrong[-6] ^= 1  # in the checksum
    (tmp_path / "crc.nii.gz").write_bytes(wrong)
    unreadable(tmp_path / "crc.nii.gz", "CRC")


def test_a_header_that_promises_terabytes(tmp_path):
    path = save(tmp_path / "bomb.nii", np.ones((2, 2, 2), np.int16))
    data = bytearray(path.read_bytes())
    data[42:48] = struct.pack("<hhh", 32767, 32767, 32767)
    path.write_bytes(data)
    with pytest.raises(errors.UnreadableError, match="declares more voxels"):
        open_nifti(path)
    packed = tmp_path / "bomb.nii.gz"
    packed.write_bytes(gzip.compress(data))
    with pytest.raises(errors.UnreadableError, match="declares more voxels"):
        open_nifti(packed)


@given(data=st.binary(max_size=600), where=st.integers(0, 360), suffix=st.sampled_from([".nii", ".nii.gz"]))
@settings(max_examples=150, deadline=None)
def test_a_mutated_header_gives_a_volume_or_a_named_error(tmp_path_factory, data, where, suffix):
    folder = tmp_path_factory.mktemp("fuzz")
    path = save(folder / "v.nii", np.arange(24, dtype=np.int16).reshape(2, 3, 4))
    mutated = bytearray(path.read_bytes())
    mutated[where : where + len(data)] = data[: len(mutated) - where]
    target = folder / f"mutated{suffix}"
    target.write_bytes(gzip.compress(mutated) if suffix.endswith("gz") else mutated)
    with contextlib.suppress(errors.CaseError):  # and nothing else
        assert open_nifti(target).read().ndim == 3


def test_corner_distance():
    one, other = np.eye(4), np.diag([1.0, 1, 1.01, 1])
    assert corner_distance(one, one, (9, 9, 9)) == 0
    assert corner_distance(one, other, (5, 5, 101)) == pytest.approx(1.0)
    other[0, 3] = 1
    assert corner_distance(one, other, (5, 5, 101)) == pytest.approx(np.sqrt(2))
