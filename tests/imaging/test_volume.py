"""Volumes: every voxel goes where its affine says, and every doubt is a refusal with file, value and remedy."""

import gzip
import itertools
import pickle
import struct

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataset_builder.core import errors
from dataset_builder.imaging.volume import read_masks, read_volume, volume_from_arrays

IDENTITY = {"source": "test", "subject": "one", "modality": "ct", "licence": "none"}
NAMES = {1: "liver", 2: "spleen"}
LETTERS = {"R": (0, 1), "L": (0, -1), "A": (1, 1), "P": (1, -1), "S": (2, 1), "I": (2, -1)}
ORIENTATIONS = [
    "".join(letters) for order in itertools.permutations(["RL", "AP", "SI"]) for letters in itertools.product(*order)
]


def affine_of(orientation, steps=(1.0, 1.0, 1.0), origin=(-3.0, 5.0, 7.0)):
    """An affine whose array axes lead to the letters of an orientation."""
    affine = np.eye(4)
    affine[:3, :3] = 0
    for column, letter in enumerate(orientation):
        axis, sign = LETTERS[letter]
        affine[axis, column] = sign * steps[column]
    affine[:3, 3] = origin
    return affine


def turned(degrees, axis=2, steps=(2.0, 2.0, 2.0)):
    """An affine turned about a world axis."""
    angle = np.radians(degrees)
    first, second = [i for i in range(3) if i != axis]
    rotation = np.eye(3)
    rotation[first, first] = rotation[second, second] = np.cos(angle)
    rotation[first, second], rotation[second, first] = -np.sin(angle), np.sin(angle)
    affine = np.eye(4)
    affine[:3, :3] = rotation * steps
    return affine


def save(path, values, affine=None, sform=1, qform=0, qform_affine=None):
    """A file whose header says just this; nibabel would mend some of it."""
    affine = np.diag([2.0, 2, 2, 1]) if affine is None else affine
    image = nib.Nifti1Image(values, np.eye(4))
    if qform:
        image.set_qform(affine if qform_affine is None else qform_affine, code=qform)
    nib.save(image, path)
    data = bytearray(gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes())
    data[252:256] = struct.pack("<hh", qform, sform)
    data[280:328] = affine[:3].astype("<f4").tobytes()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def grid(shape=(6, 5, 4)):
    image = np.arange(np.prod(shape), dtype=np.int16).reshape(shape)
    labels = np.zeros(shape, np.uint8)
    labels[0], labels[-1] = 1, 2
    return image, labels


@pytest.fixture
def pair(tmp_path):
    """Paths of an image and its label map, and the arrays."""
    image, labels = grid()
    return save(tmp_path / "image.nii.gz", image), save(tmp_path / "labels.nii.gz", labels), image, labels


# --- where voxels go -------------------------------------------------------------------------------------------------


def test_there_are_48_orientations():
    assert len(set(ORIENTATIONS)) == 48


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_every_voxel_keeps_its_place_in_the_world(orientation, tmp_path):
    shape = (2, 3, 4)
    affine = affine_of(orientation, steps=(1.5, 2.5, 4.0))
    image = np.arange(1, 25, dtype=np.int16).reshape(shape)
    labels = (image % 3).astype(np.uint8)
    where = {int(image[index]): affine @ (*index, 1) for index in np.ndindex(shape)}
    volumes = [
        volume_from_arrays(image, labels, NAMES, affine, **IDENTITY),
        read_volume(
            save(tmp_path / "i.nii", image, affine), save(tmp_path / "l.nii", labels, affine), NAMES, **IDENTITY
        ),
    ]
    for volume in volumes:
        assert volume.stored_axes == orientation
        seen = set()
        for index in np.ndindex(volume.image.shape):
            value = int(volume.image[index])
            np.testing.assert_allclose(volume.affine @ (*index, 1), where[value], atol=1e-4)
            assert volume.labels[index] == value % 3
            seen.add(value)
        assert seen == set(where)
        # RAS+: a step along an array axis is a step of that many millimetres along the patient's axis, and no other.
        np.testing.assert_allclose(volume.affine[:3, :3], np.diag(volume.spacing), atol=1e-6)
        steps = dict(zip([LETTERS[letter][0] for letter in orientation], (1.5, 2.5, 4.0), strict=True))
        np.testing.assert_allclose(volume.spacing, [steps[axis] for axis in range(3)], atol=1e-6)


@given(
    orientation=st.sampled_from(ORIENTATIONS),
    degrees=st.floats(-29, 29),
    axis=st.integers(0, 2),
    steps=st.tuples(*[st.floats(0.3, 6)] * 3),
)
@settings(max_examples=80, deadline=None)
def test_oblique_volumes_snap_to_the_nearest_axes(orientation, degrees, axis, steps):
    affine = turned(degrees, axis, (1, 1, 1)) @ affine_of(orientation, steps)
    image, labels = grid((3, 4, 5))
    volume = volume_from_arrays(image, labels, NAMES, affine, **IDENTITY)
    assert volume.stored_axes == orientation
    assert volume.obliquity_deg == pytest.approx(abs(degrees), abs=1e-3)
    for i in range(3):
        direction = volume.affine[:3, i] / volume.spacing[i]
        assert direction[i] == np.abs(direction).max() > 0.86


def test_nothing_is_copied_in_memory():
    image, labels = grid()
    volume = volume_from_arrays(image, labels, NAMES, affine_of("LPS"), **IDENTITY)
    assert np.shares_memory(volume.image, image)
    assert np.shares_memory(volume.labels, labels)


def test_more_than_thirty_degrees_is_refused():
    image, labels = grid()
    with pytest.raises(errors.ObliqueError, match=r"30 degrees.*31\.0 degrees.*Resample"):
        volume_from_arrays(image, labels, NAMES, turned(31), **IDENTITY)


# --- what a file may not say -----------------------------------------------------------------------------------------


def refuse(error, match, image, labels, names=NAMES):
    with pytest.raises(error, match=match) as caught:
        read_volume(image, labels, names, **IDENTITY)
    reported = pickle.loads(pickle.dumps(caught.value))
    assert str(reported) == str(caught.value)
    return caught.value


def test_a_missing_label_file(pair, tmp_path):
    error = refuse(errors.MissingLabelsError, "no label file", pair[0], tmp_path / "none.nii.gz")
    assert error.file.endswith("none.nii.gz")


def test_sform_and_qform_apart(pair, tmp_path):
    moved = np.diag([2.0, 2, 2, 1])
    moved[0, 3] = 1.5
    image = save(tmp_path / "c.nii", pair[2], qform=1, qform_affine=moved)
    error = refuse(errors.TransformConflictError, r"1\.50 mm apart", image, pair[1])
    assert error.file == str(image)
    moved[0, 3] = 0.9
    near = save(tmp_path / "near.nii", pair[2], qform=1, qform_affine=moved)
    assert read_volume(near, pair[1], NAMES, **IDENTITY).affine[0, 3] == 0  # the sform counts


def test_a_qform_that_mirrors_the_sform(pair, tmp_path):
    image = save(tmp_path / "c.nii", pair[2], qform=1, qform_affine=np.diag([-2.0, 2, 2, 1]))
    refuse(errors.TransformConflictError, "disagree", image, pair[1])


def test_the_qform_alone_is_enough_and_none_is_not(pair, tmp_path):
    affine = affine_of("LPS", (2, 2, 2))
    image = save(tmp_path / "q.nii", pair[2], affine, sform=0, qform=1)
    labels = save(tmp_path / "ql.nii", pair[3], affine, sform=0, qform=1)
    assert read_volume(image, labels, NAMES, **IDENTITY).stored_axes == "LPS"
    unknown = save(tmp_path / "u.nii", pair[2], sform=0)
    refuse(errors.AffineError, "sform_code and qform_code are both 0", unknown, pair[1])


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_an_affine_that_is_not_finite(pair, tmp_path, bad):
    affine = np.diag([2.0, 2, 2, 1])
    affine[0, 0] = bad
    path = save(tmp_path / "n.nii", pair[2], affine)
    refuse(errors.AffineError, "not finite", path, pair[1])


def test_a_singular_affine(pair, tmp_path):
    refuse(errors.AffineError, "singular", save(tmp_path / "s.nii", pair[2], np.diag([2.0, 2, 0, 1])), pair[1])
    same = np.diag([2.0, 2, 2, 1])
    same[:3, 1] = same[:3, 0]
    image, labels = grid()
    with pytest.raises(errors.AffineError, match="singular"):
        volume_from_arrays(image, labels, NAMES, same, **IDENTITY)


def test_a_sheared_affine(pair, tmp_path):
    sheared = np.diag([2.0, 2, 2, 1])
    sheared[1, 2] = 2 * np.tan(np.radians(15))  # a tilted gantry
    refuse(errors.AffineError, "not perpendicular.*15.0 degrees", save(tmp_path / "s.nii", pair[2], sheared), pair[1])


def test_other_shapes_and_places(pair, tmp_path):
    other = save(tmp_path / "shape.nii", pair[3][:, :, :3], np.diag([2, 2, 3.3, 1]))
    refuse(errors.ShapeMismatchError, r"\(6, 5, 4\).*\(6, 5, 3\)", pair[0], other)
    moved = np.diag([2.0, 2, 2, 1])
    moved[2, 3] = 1.2
    refuse(errors.AffineMismatchError, r"1\.20 mm", pair[0], save(tmp_path / "moved.nii", pair[3], moved))
    moved[2, 3] = 0.01  # rounding, as in the public data
    assert read_volume(pair[0], save(tmp_path / "near.nii", pair[3], moved), NAMES, **IDENTITY).affine[2, 3] == 0
    mirrored = affine_of("LAS", (2, 2, 2), (11, 0, 0))  # half a voxel off the image's grid
    refuse(errors.AffineMismatchError, "mm apart", pair[0], save(tmp_path / "mirrored.nii", pair[3], mirrored))


def test_label_maps(pair, tmp_path):
    labels = pair[3].astype(np.float32)
    whole = read_volume(pair[0], save(tmp_path / "whole.nii", labels), NAMES, **IDENTITY)
    assert whole.labels.dtype == np.uint8
    assert whole.labels[0, 0, 0] == 1
    labels[2, 2, 2] = 1.5
    refuse(errors.VoxelValueError, "not whole numbers", pair[0], save(tmp_path / "half.nii", labels))
    negative = save(tmp_path / "negative.nii", pair[3].astype(np.int16) - 1)
    refuse(errors.VoxelValueError, "outside 0 to 65535.*-1", pair[0], negative)
    refuse(errors.UnknownLabelError, "does not name.*found: 2", pair[0], pair[1], {1: "liver"})
    refuse(errors.EmptyLabelsError, "No structure", pair[0], save(tmp_path / "empty.nii", pair[3] * 0))
    many = save(tmp_path / "many.nii", pair[3].astype(np.uint16) * 300)
    volume = read_volume(pair[0], many, {300: "liver", 600: "spleen"}, **IDENTITY)
    assert volume.labels.dtype == np.uint16


# --- masks -----------------------------------------------------------------------------------------------------------


def test_masks_are_laid_on_top_of_each_other_in_order(pair, tmp_path):
    liver, spleen, empty = (np.zeros((6, 5, 4), np.uint8) for _ in range(3))
    liver[:4], spleen[3:] = 1, 1
    masks = {
        name: save(tmp_path / f"{name}.nii.gz", mask)
        for name, mask in (("liver", liver), ("spleen", spleen), ("heart", empty))
    }
    volume = read_masks(pair[0], masks, **IDENTITY)
    assert volume.names == {1: "liver", 2: "spleen", 3: "heart"}
    assert volume.overlap_voxels == 5 * 4
    np.testing.assert_array_equal(volume.labels, np.where(spleen, 2, liver))
    turned_round = read_masks(pair[0], dict(reversed(masks.items())), **IDENTITY)
    assert turned_round.names[2] == "spleen"
    np.testing.assert_array_equal(turned_round.labels == 3, liver == 1)


def test_masks_that_are_none(pair, tmp_path):
    image, labels = pair[0], pair[1]
    with pytest.raises(errors.MissingLabelsError, match="no mask"):
        read_masks(image, {}, **IDENTITY)
    with pytest.raises(errors.VoxelValueError, match=r"other than 0 and 1.*found: 2") as caught:
        read_masks(image, {"liver": labels}, **IDENTITY)
    assert caught.value.file == str(labels)
    with pytest.raises(errors.EmptyLabelsError):
        read_masks(image, {"liver": save(tmp_path / "e.nii", pair[3] * 0)}, **IDENTITY)
    with pytest.raises(errors.ShapeMismatchError):
        read_masks(image, {"liver": save(tmp_path / "s.nii", pair[3][:5], np.diag([2.4, 2, 2, 1]))}, **IDENTITY)


def test_more_than_255_masks(pair, tmp_path):
    path = save(tmp_path / "m.nii", (pair[3] == 1).astype(np.uint8))
    volume = read_masks(pair[0], {f"s{number}": path for number in range(300)}, **IDENTITY)
    assert volume.labels.max() == 300


def test_arrays_of_different_shapes():
    image, labels = grid()
    with pytest.raises(errors.ShapeMismatchError):
        volume_from_arrays(image[:5], labels, NAMES, np.eye(4), **IDENTITY)
