"""Masks and label maps against the same worked out voxel by voxel from nibabel's own reading."""

import gzip

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataset_builder.core import errors
from dataset_builder.imaging import label_volume as labels
from dataset_builder.imaging import nifti
from dataset_builder.imaging.label_volume import lay_masks, read_label_map
from dataset_builder.imaging.nifti import open_nifti

AFFINE = np.diag([2.0, 2, 2, 1])
TYPES = ("u1", "i1", "i2", ">i2", "u4", "i8", "f4", ">f4", "f8")


def save(path, values, kind=nib.Nifti1Image):
    image = kind(values, AFFINE, **({} if kind is nib.MGHImage else {"dtype": values.dtype}))
    if kind is not nib.MGHImage:
        image.header.set_data_dtype(values.dtype)
        image.set_sform(AFFINE, code=1)
    nib.save(image, path)
    return path


def expected_of(masks):
    """Label map and overlap, the slow way: the last mask has the voxel."""
    values = np.zeros(nib.load(masks[0]).shape, int)
    overlap = 0
    for number, path in enumerate(masks, 1):
        inside = nib.load(path).get_fdata() == 1
        overlap += int((inside & (values > 0)).sum())
        values[inside] = number
    return values, overlap


@given(
    shape=st.tuples(*[st.integers(1, 7)] * 3),
    kinds=st.lists(st.sampled_from(TYPES), min_size=1, max_size=6),
    suffix=st.sampled_from([".nii.gz", ".nii", ".mgz", ".img"]),
    share=st.sampled_from([0.0, 0.02, 0.5]),
    slab_bytes=st.sampled_from([1, 60, 1 << 20]),
    seed=st.integers(0, 99),
)
@settings(max_examples=60)
def test_masks_of_any_type_are_laid_as_by_hand(tmp_path_factory, shape, kinds, suffix, share, slab_bytes, seed):
    folder, random = tmp_path_factory.mktemp("m"), np.random.default_rng(seed)
    kind = {".mgz": nib.MGHImage, ".img": nib.Nifti1Pair}.get(suffix, nib.Nifti1Image)
    masks = []
    for number, stored in enumerate(kinds):
        stored = "u1" if suffix == ".mgz" else stored
        mask = (random.random(shape) < share).astype(stored)
        masks.append(save(folder / f"{number}{suffix}", mask, kind))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(nifti, "SLAB_BYTES", slab_bytes)
        found, overlap = lay_masks(open_nifti(masks[0]), masks)
    expected, of_expected = expected_of(masks)
    np.testing.assert_array_equal(found, expected)
    assert found.dtype == np.uint8
    assert overlap == of_expected


def test_a_mask_known_to_be_empty_is_not_inflated_again_and_others_are(tmp_path, monkeypatch):
    shape = (20, 20, 20)
    empty, full = np.zeros(shape, np.uint8), np.zeros(shape, np.uint8)
    full[3:5, 4, 4] = 1
    masks = [save(tmp_path / f"{n}.nii.gz", full if n in (2, 5) else empty) for n in range(7)]
    opened = []
    monkeypatch.setattr(labels, "open_nifti", lambda path: opened.append(path.name) or open_nifti(path))
    found, _ = lay_masks(open_nifti(masks[0]), masks)
    assert opened == ["0.nii.gz", "2.nii.gz", "5.nii.gz"]
    assert np.argwhere(found).tolist() == [[3, 4, 4], [4, 4, 4]]
    assert found[3, 4, 4] == 6


def test_the_size_of_an_empty_mask_proves_nothing(tmp_path):
    """Two masks compress to files of the same size, and one of them is not empty."""
    shape, at = (40, 40, 40), (7, 8, 9)
    empty, full = np.zeros(shape, np.uint8), np.zeros(shape, np.uint8)
    full[at] = 1
    one, other = save(tmp_path / "a.nii.gz", empty), save(tmp_path / "b.nii.gz", full)
    for path in (one, other):  # stored, not deflated: all of one size
        path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes()), 0))
    assert one.stat().st_size == other.stat().st_size
    assert lay_masks(open_nifti(one), [one, other])[0][at] == 2


def test_damage_of_a_mask_that_looks_empty_is_found(tmp_path):
    masks = [save(tmp_path / f"{n}.nii.gz", np.zeros((9, 9, 9), np.uint8)) for n in range(2)]
    data = bytearray(masks[1].read_bytes())
    data[-6] ^= 1
    masks[1].write_bytes(data)
    with pytest.raises(errors.UnreadableError, match="CRC") as caught:
        lay_masks(open_nifti(masks[0]), masks)
    assert caught.value.file == str(masks[1])


def test_files_of_the_same_header_are_each_read_and_each_checked(tmp_path):
    random = np.random.default_rng(0)
    values = [random.integers(0, 99, (9, 9, 9)).astype(np.int16) for _ in range(3)]
    paths = [save(tmp_path / f"{number}.nii.gz", array) for number, array in enumerate(values)]
    for path, array in zip(paths, values, strict=True):
        opened = open_nifti(path)
        assert opened.path == path
        np.testing.assert_array_equal(opened.read(), array)
    paths[2].write_bytes(gzip.compress(gzip.decompress(paths[2].read_bytes())[:352]))  # a header and nothing else
    with pytest.raises(errors.UnreadableError) as caught:
        open_nifti(paths[2]).read()
    assert caught.value.file == str(paths[2])


@pytest.mark.parametrize(
    ("kind", "odd"), [("u1", 2), ("u1", 255), ("i2", 2), ("i2", -1), ("f4", -1.0), ("f4", 0.5), ("f4", 3.0)]
)
def test_a_value_that_is_no_mask_is_named(tmp_path, kind, odd):
    mask = np.zeros((3, 4, 5), np.dtype(kind))
    mask[1, 2, 3] = odd
    path = save(tmp_path / "m.nii.gz", mask)
    with pytest.raises(errors.VoxelValueError, match=f"found: {mask[1, 2, 3]}"):
        lay_masks(open_nifti(path), [path])


@given(
    kind=st.sampled_from(TYPES),
    top=st.sampled_from([0, 9, 127, 255, 256, 65535]),
    slab_bytes=st.sampled_from([1, 1 << 20]),
)
@settings(max_examples=40)
def test_label_maps_come_in_the_smallest_type(tmp_path_factory, kind, top, slab_bytes):
    top = min(top, int(np.iinfo(kind).max) if np.dtype(kind).kind in "iu" else top)
    values = np.random.default_rng(top).integers(0, top + 1, (4, 5, 6)).astype(kind)
    values[0, 0, -1] = top  # in the last slab, so that the type changes on the way
    path = save(tmp_path_factory.mktemp("l") / "l.nii.gz", values)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(nifti, "SLAB_BYTES", slab_bytes)
        found, present, off = read_label_map(open_nifti(path))
    np.testing.assert_array_equal(found, nib.load(path).get_fdata())
    assert found.dtype == (np.uint8 if top < 256 else np.uint16)
    assert present.tolist() == sorted(set(values.astype(int).flat))
    assert off == 0
