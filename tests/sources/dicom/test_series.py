"""A series' values and affine are those that SimpleITK reads."""

import random

import numpy as np
import pydicom
import pytest
import SimpleITK

from dataset_builder.sources import open_source
from dataset_builder.sources.download.package_index import fetch_members
from dataset_builder.sources.sample import _ROOT, _SHA256, _VERSION
from tests.helpers import dicom_files as dicom
from tests.helpers.dicom_body import AFFINE, CORONAL, SAGITTAL, rotated


def by_itk(folder) -> tuple[np.ndarray, np.ndarray]:
    """Values [I, J, K] and affine in RAS+ of the one series in a folder, as SimpleITK reads it."""
    (uid,) = SimpleITK.ImageSeriesReader.GetGDCMSeriesIDs(str(folder))
    files = SimpleITK.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder), uid)
    found = SimpleITK.ReadImage(files)
    affine = np.eye(4)
    affine[:3, :3] = np.array(found.GetDirection()).reshape(3, 3) * found.GetSpacing()
    affine[:3, 3] = found.GetOrigin()
    return SimpleITK.GetArrayFromImage(found).T, dicom.LPS @ affine


def as_stored(volume, affine) -> tuple[np.ndarray, np.ndarray]:
    """A volume's values and affine in the storage order of another affine with the same axes."""
    turn = np.rint(np.linalg.inv(volume.affine[:3, :3]) @ affine[:3, :3]).astype(int)
    axes = np.abs(turn).argmax(axis=0)
    values = volume.image.transpose(axes)
    back = np.zeros((4, 4))
    back[3, 3] = 1
    for axis, (of, sign) in enumerate(zip(axes, turn.sum(axis=0), strict=True)):
        back[of, axis] = sign
        if sign < 0:
            values = np.flip(values, axis)
            back[of, 3] = volume.image.shape[of] - 1
    return values, volume.affine @ back


@pytest.mark.parametrize(
    ("affine", "options"),
    [
        (AFFINE, {}),
        (AFFINE @ np.diag([1, 1, -1, 1.0]), {}),
        (rotated(9, 2) @ rotated(6, 0) @ AFFINE, {}),
        (SAGITTAL, {}),
        (CORONAL, {}),
        (AFFINE, {"signed": False, "intercept": -1024}),
        (AFFINE, {"slope": 2.0, "intercept": -1000}),
        (AFFINE, {"slope": 0.5}),
    ],
    ids=["axial", "downward", "oblique", "sagittal", "coronal", "unsigned", "slope 2", "slope a half"],
)
def test_values_and_affine_are_those_of_simpleitk(tmp_path, read, image, affine, options):
    images = dicom.series(image, affine, **options)
    random.Random(1).shuffle(images)
    dicom.save(images, tmp_path / "itk")
    values, itk_affine = by_itk(tmp_path / "itk")
    ordered = dicom.series(image, affine, **options)
    for one, other in zip(ordered, sorted(images, key=lambda one: one.InstanceNumber), strict=True):
        assert one.ImagePositionPatient == other.ImagePositionPatient
    mask = np.ones(image.shape, np.uint8)
    seg = dicom.segmentation(sorted(images, key=lambda one: one.InstanceNumber), mask, [dicom.segment(1, "liver")])
    volume = read(images, [seg])
    found, found_affine = as_stored(volume, itk_affine)
    assert np.allclose(found_affine, itk_affine, atol=1e-4)
    assert np.array_equal(found, values)
    assert volume.image.dtype == (np.float32 if options.get("slope") == 0.5 else np.int16)
    assert (volume.labels > 0).all()


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2", "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99"])
def test_every_way_to_write_a_data_set(study, tmp_path, image, images, seg, syntax):
    """Implicit, big-endian, deflated."""
    source = study(images, [seg])
    for path in sorted((tmp_path / "study").rglob("0*")):
        if path.is_file():
            one = pydicom.dcmread(path)
            if syntax.endswith(".2.2") and one.BitsAllocated == 16:
                one.PixelData = one.pixel_array.byteswap().tobytes()
            one.file_meta.TransferSyntaxUID = dicom.UID(syntax)
            one.walk(lambda _, element: element.value)  # to have read all of it before it is written otherwise
            written = {"implicit_vr": syntax.endswith("1.2"), "little_endian": not syntax.endswith(".2.2")}
            pydicom.dcmwrite(path, one, force_encoding=True, **written)
    (case,) = source.cases()
    volume = source.read(case)
    assert np.array_equal(volume.image[::-1, ::-1], image)
    assert (volume.labels > 0).any()


def test_a_real_series_in_jpeg_2000_is_read_as_simpleitk_reads_it(tmp_path):
    """TotalSegmentator's own, whose anonymisation emptied every UID but that of the frame of reference."""
    folder = fetch_members(
        "sample-dicom",
        f"TotalSegmentator=={_VERSION}",
        _SHA256,
        {f"{_ROOT}/tests/reference_files/example_ct_dicom/{_SERIES}{number}": f"{number}" for number in range(73, 79)},
        source_archive=True,
    )
    images = [pydicom.dcmread(path) for path in sorted(folder.iterdir()) if path.name.isdecimal()]
    images.sort(key=lambda one: float(one.ImagePositionPatient[2]))
    files = tmp_path / "series"
    paths = dicom.save(images, files)
    found = SimpleITK.ReadImage([str(path) for path in paths])
    affine = np.eye(4)
    affine[:3, :3] = np.array(found.GetDirection()).reshape(3, 3) * found.GetSpacing()
    affine[:3, 3] = found.GetOrigin()
    values, affine = SimpleITK.GetArrayFromImage(found).T, dicom.LPS @ affine
    labels = np.zeros(values.shape, np.uint8)
    labels[200:260, 210:250, 1:5] = 1
    contours = dicom.structure_set(images, labels, affine, {1: "liver"})
    dicom.save([contours], tmp_path / "contours")
    source = open_source(f"dicom:{tmp_path}")
    (case,) = source.cases()
    volume = source.read(case)
    image, own = as_stored(volume, affine)
    assert np.allclose(own, affine, atol=1e-4)
    assert np.array_equal(image, values)
    assert (volume.labels == 1).sum() == labels.sum()


_SERIES = "CT.1.3.12.2.1107.5.1.4.60064.300000221208081134280000165"


def test_a_series_without_a_single_uid(tmp_path, read, image, seg, images):
    """Anonymisation emptied SOP, series and study UIDs: the files of a folder are the series."""
    for one in images:
        one.SOPInstanceUID = one.SeriesInstanceUID = one.StudyInstanceUID = ""
        one.PatientID = one.PatientName = one.PatientBirthDate = ""
    del seg.ReferencedSeriesSequence
    for group in [*seg.SharedFunctionalGroupsSequence, *seg.PerFrameFunctionalGroupsSequence]:
        if "DerivationImageSequence" in group:
            del group.DerivationImageSequence
    volume = read(images, [seg])
    assert np.array_equal(np.sort(volume.image, axis=None), np.sort(image, axis=None))


def test_each_slice_has_its_own_rescale(read, image, seg, images):
    for index, one in enumerate(images):
        one.RescaleSlope = f"{1 + index / 4}"
        one.RescaleIntercept = f"{-index}"
    volume = read(images, [seg])
    scales = 1 + np.arange(12) / 4
    assert volume.image.dtype == np.float32
    assert np.allclose(volume.image[::-1, ::-1], image * scales - np.arange(12))


@pytest.mark.parametrize("signed", [True, False])
def test_padding_is_air_in_a_ct(read, image, labels, segments, signed):
    outside = np.zeros(image.shape, bool)
    outside[:3] = True
    shown = np.where(outside, -1024, image)
    stored = dicom.series(shown, AFFINE, signed=signed, intercept=0 if signed else -1024)
    for index, one in enumerate(stored):
        pixels = one.pixel_array.copy()
        padding = -2000 if signed else 63536
        pixels[outside[:, :, index].T] = padding
        one.PixelData = pixels.tobytes()
        one.add_new("PixelPaddingValue", "SS" if signed else "US", padding)
    volume = read(stored, [dicom.segmentation(stored, labels, segments)])
    assert np.array_equal(volume.image[::-1, ::-1], shown)


def test_values_beyond_two_bytes_are_kept(read, image, labels, segments):
    stored = dicom.series(image, AFFINE, "MR", slope=1, intercept=-32000, signed=False)
    for one in stored:
        one.RescaleIntercept = "0"
    stored[3].RescaleSlope = "7"
    volume = read(stored, [dicom.segmentation(stored, labels, segments)])
    expected = image.astype(int) + 32000
    expected[..., 3] *= 7
    assert volume.image.dtype == np.int32
    assert np.array_equal(volume.image[::-1, ::-1], expected)


def test_a_padding_value_that_tissue_has_too_is_left_alone(read, image, labels, segments):
    shown = image.copy()
    shown[4:9] = 0
    stored = dicom.series(shown, AFFINE)
    for one in stored:
        one.add_new("PixelPaddingValue", "SS", 0)
    assert np.array_equal(read(stored, [dicom.segmentation(stored, labels, segments)]).image[::-1, ::-1], shown)


def test_twelve_stored_bits_with_a_sign_and_another_thing_in_the_other_four(read, image, labels, segments):
    shown = np.clip(image, -1000, 1000)
    stored = dicom.series(shown, AFFINE)
    for one in stored:
        pixels = one.pixel_array.astype(np.uint16) & 0x0FFF | 0x5000
        one.PixelData, one.BitsStored, one.HighBit = pixels.tobytes(), 12, 11
    assert np.array_equal(read(stored, [dicom.segmentation(stored, labels, segments)]).image[::-1, ::-1], shown)


def test_a_knee_says_its_side(read, image, labels, segments):
    images = dicom.series(image, AFFINE, "MR", BodyPartExamined="KNEE", Laterality="L")
    assert read(images, [dicom.segmentation(images, labels, segments)]).side == "left"
