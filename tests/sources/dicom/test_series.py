"""What a series' files make: the volume that SimpleITK makes of them, or a refusal by name."""

import copy
import io
import random
import re
import struct
from collections import Counter
from contextlib import nullcontext

import numpy as np
import pydicom
import pytest
import SimpleITK

from dataset_builder.core.errors import (
    AffineError,
    BurnedInTextError,
    CaseError,
    DimensionError,
    GantryTiltError,
    MissingDecoderError,
    ObliqueError,
    SlicePositionError,
    SourceError,
    UnreadableError,
)
from dataset_builder.sources import open_source
from dataset_builder.sources.dicom.pixels import check_length
from dataset_builder.sources.download.package_index import fetch_members
from dataset_builder.sources.sample import _ROOT, _SHA256, _VERSION
from tests.helpers import dicom_files as dicom
from tests.sources.dicom.conftest import AFFINE


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


def rotated(degrees: float, axis: int) -> np.ndarray:
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    a, b = [other for other in range(3) if other != axis]
    turn = np.eye(4)
    turn[a, a], turn[a, b], turn[b, a], turn[b, b] = c, -s, s, c
    return turn


SAGITTAL = AFFINE @ np.array([[0, 0, 1, 0], [1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 1.0]])
CORONAL = AFFINE @ np.array([[1, 0, 0, 0], [0, 0, 1, 0], [0, -1, 0, 11], [0, 0, 0, 1.0]])


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


# --- refused by name --------------------------------------------------------------------------------------------------


def without_a_slice(images):
    del images[5]


def with_a_slice_twice(images):
    images.append(copy.deepcopy(images[4]))
    images[-1].SOPInstanceUID += ".1"


def uneven(images):
    for index, one in enumerate(images[6:], 6):
        one.ImagePositionPatient = [*one.ImagePositionPatient[:2], float(one.ImagePositionPatient[2]) + index / 3]


def tilted(images):
    for index, one in enumerate(images):
        one.ImagePositionPatient = [0, float(one.ImagePositionPatient[1]) + index, one.ImagePositionPatient[2]]


def one_slice(images):
    del images[1:]


def without_position(images):
    del images[3].ImagePositionPatient


def without_orientation(images):
    del images[3].ImageOrientationPatient


def with_a_flat_orientation(images):
    for one in images:
        one.ImageOrientationPatient = [1, 0, 0, 1, 0, 0]


def without_spacing(images):
    images[0].PixelSpacing = [0, 1]


def in_colour(images):
    for one in images:
        one.SamplesPerPixel, one.PhotometricInterpretation, one.PlanarConfiguration = 3, "RGB", 0
        one.PixelData = one.PixelData * 3


def with_text(images):
    images[0].BurnedInAnnotation = "YES"


def without_pixels(images):
    del images[7].PixelData


def cut_short(images):
    images[7].PixelData = images[7].PixelData[:100]


def in_frames_of_reference_of_their_own(images):
    for one in images:
        one.FrameOfReferenceUID = dicom.generate_uid()


def radial(images):
    for index, one in enumerate(images):
        c, s = np.cos(index / 4), np.sin(index / 4)
        one.ImageOrientationPatient = [f"{c:.6f}", f"{s:.6f}", 0, 0, 0, 1]


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        (without_a_slice, SlicePositionError, "1 missing, the first between slices 5 and 6"),
        (with_a_slice_twice, SlicePositionError, "same position"),
        (uneven, SlicePositionError, "unevenly spaced"),
        (tilted, GantryTiltError, "18.4 degrees"),
        (one_slice, DimensionError, "single slice"),
        (without_position, AffineError, "Image Position"),
        (without_orientation, AffineError, "Image Orientation"),
        (with_a_flat_orientation, AffineError, "not perpendicular"),
        (without_spacing, AffineError, "not positive"),
        (in_colour, CaseError, "in colour"),
        (with_text, BurnedInTextError, "burned into"),
        (without_pixels, UnreadableError, "contains no pixels"),
        (cut_short, UnreadableError, "960 bytes promised, 100 there"),
        (radial, AffineError, "several directions"),
        (in_frames_of_reference_of_their_own, AffineError, "12 frames of reference"),
    ],
)
def test_a_series_that_is_no_volume_is_refused_by_name(read, images, seg, change, error, said):
    change(images)
    with pytest.raises(error, match=said):
        read(images, [seg])


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2", "1.2.840.10008.1.2.1"])
def test_bytes_lost_or_added_in_the_pixels_show_behind_them(study, tmp_path, image, images, seg, syntax):
    for one in images:
        one.file_meta.TransferSyntaxUID = syntax
    source = study(images, [seg])
    (case,) = source.cases()
    file, sound = case.paths[1], case.paths[1].read_bytes()
    at = len(sound) - 100  # in the pixels
    kind = b"OB\0\0" if syntax.endswith(".2.1") else b""
    padding = struct.pack("<HH", 0xFFFC, 0xFFFC) + kind + struct.pack("<I", 4) + b"abcd"
    for changed in (sound, sound + bytes(512), sound + padding):
        file.write_bytes(changed)
        assert np.array_equal(source.read(case).image[::-1, ::-1], image)
    for changed in (sound[:at] + b"\1\2\3" + sound[at:], sound[:at] + b"x" * 64 + sound[at:], sound + b"\r\n"):
        file.write_bytes(changed)
        with pytest.raises(UnreadableError, match="behind its pixels"):
            source.read(case)
    for extra, refused in ((bytes(64), False), (b"\1\2", True)):
        one = pydicom.dcmread(io.BytesIO(sound))
        one.PixelData += extra
        one.save_as(file, enforce_file_format=True)
        with pytest.raises(UnreadableError, match="longer") if refused else nullcontext():
            source.read(case)


@pytest.mark.parametrize(
    ("bits", "shape", "frames", "there", "sound"),
    [
        (8, (3, 3), 1, b"x" * 9 + b"0", True),  # highdicom fills up with "0"
        (8, (3, 3), 1, b"x" * 9, True),
        (8, (3, 3), 1, b"x" * 9 + bytes(300), True),
        (8, (3, 3), 1, b"x" * 12, False),
        (8, (3, 3), 1, b"x" * 8, False),
        (1, (3, 3), 3, b"x" * 4, True),  # 27 bits
        (1, (5, 5), 9, b"x" * 29 + b"0", True),  # 225 bits
        (1, (5, 5), 9, b"x" * 29 + b"000", False),
        (16, (2, 3), 1, b"x" * 12, True),
        (16, (2, 3), 1, b"x" * 14, False),
    ],
)
def test_how_long_pixels_may_be(bits, shape, frames, there, sound):
    image = pydicom.Dataset()
    image.Rows, image.Columns = shape
    image.NumberOfFrames, image.BitsAllocated, image.PixelData = frames, bits, there
    with nullcontext() if sound else pytest.raises(UnreadableError, match=r"truncated|longer"):
        check_length(image)


def test_a_missing_decoder_is_named_with_the_command_that_installs_it(read, images, seg, monkeypatch):
    from pydicom.pixels.decoders import RLELosslessDecoder

    for one in images:
        one.compress("1.2.840.10008.1.2.5", generate_instance_uid=False)
    monkeypatch.setattr(RLELosslessDecoder, "_available", {})
    with pytest.raises(MissingDecoderError, match=r"RLE Lossless.*pip install 'mis-ground\[dicom\]'"):
        read(images, [seg])


def test_a_compression_that_the_standard_does_not_know_is_refused(study, tmp_path, images, seg):
    source = study(images, [seg])
    for path in (tmp_path / "study" / "0").iterdir():
        path.write_bytes(path.read_bytes().replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.9\0", 1))
    (case,) = source.cases()
    with pytest.raises(MissingDecoderError, match="non-standard way"):
        source.read(case)


def test_slices_tilted_too_far_are_refused_as_in_any_other_format(read, image, labels, segments):
    images = dicom.series(image, rotated(35, 0) @ AFFINE)
    with pytest.raises(ObliqueError):
        read(images, [dicom.segmentation(images, labels, segments)])


# --- told apart -------------------------------------------------------------------------------------------------------


def left_out(source) -> dict[str, int]:
    files = [one.file for one in source.left_out()]
    assert all(re.fullmatch(r"[0-9a-f]{12}(-[0-9a-f]{8})?", file) for file in files)  # pseudonyms
    assert len(set(files)) == len(files)
    return dict(Counter(one.reason for one in source.left_out()))


def joined(first: list, second: list) -> list:
    """Two scans as one series."""
    for number, one in enumerate(second):
        one.SeriesInstanceUID, one.StudyInstanceUID = first[0].SeriesInstanceUID, first[0].StudyInstanceUID
        one.FrameOfReferenceUID, one.InstanceNumber = first[0].FrameOfReferenceUID, 100 + number
    return first + second


@pytest.mark.parametrize(
    ("keyword", "values"),
    [
        ("EchoTime", ("2.3", "4.6")),
        ("TemporalPositionIdentifier", ("1", "2")),
        ("AcquisitionNumber", ("1", "2")),
        ("DiffusionBValue", (0, 800)),
        ("ImageType", (["ORIGINAL", "PRIMARY", "M"], ["ORIGINAL", "PRIMARY", "P"])),
    ],
)
def test_two_volumes_in_one_series_are_told_apart(study, image, labels, segments, keyword, values):
    first, second = dicom.series(image, AFFINE, "MR"), dicom.series(image[::-1], AFFINE, "MR")
    for images, value in ((first, values[0]), (second, values[1])):
        for one in images:
            setattr(one, keyword, value)
    both = joined(first, second)
    source = study(both, [dicom.segmentation(second, labels, segments)])
    (case,) = source.cases()
    assert np.array_equal(source.read(case).image[::-1, ::-1], image[::-1])
    assert left_out(source) == {"further volumes of a series, without a segmentation": 1}


def test_two_volumes_that_nothing_tells_apart_are_refused(read, image, labels, segments):
    first, second = dicom.series(image, AFFINE, "MR"), dicom.series(image[::-1], AFFINE, "MR")
    with pytest.raises(SlicePositionError, match="same position"):
        read(joined(first, second), [dicom.segmentation(first, labels, segments)])


def test_two_directions_in_one_series_are_two_volumes(study, image, labels, segments):
    first, second = dicom.series(image, AFFINE), dicom.series(image, SAGITTAL)
    source = study(joined(first, second), [dicom.segmentation(first, labels, segments)])
    (case,) = source.cases()
    assert np.array_equal(source.read(case).image[::-1, ::-1], image)


def test_what_is_no_scan_is_counted_and_named_by_its_kind(study, tmp_path, images, seg, image):
    localizer = dicom.series(image[:, :, :3], SAGITTAL)
    for one in localizer:
        one.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
    report, capture = (copy.deepcopy(images[0]) for _ in range(2))
    for one, kind in ((report, "1.2.840.10008.5.1.4.1.1.88.67"), (capture, "1.2.840.10008.5.1.4.1.1.7")):
        one.SOPClassUID = one.file_meta.MediaStorageSOPClassUID = kind
        one.SeriesInstanceUID = one.SOPInstanceUID = dicom.generate_uid()
    other = dicom.series(image, AFFINE)
    (tmp_path / "study").mkdir()
    (tmp_path / "study" / "Musterfrau_letter.pdf").write_bytes(b"%PDF")
    source = study(images, [seg], localizer, [report, capture], other, images[:2])
    assert len(list(source.cases())) == 1
    assert left_out(source) == {
        "localizer series": 1,
        "X-Ray Radiation Dose SR": 1,
        "Secondary Capture Image": 1,
        "CT series without a segmentation": 1,
        "duplicate files": 2,
        "not DICOM": 1,
    }


def test_files_without_a_preamble_and_links_in_a_circle(tmp_path, study, images, seg):
    source = study(images, [seg])
    for path in (tmp_path / "study" / "0").iterdir():
        path.write_bytes(path.read_bytes()[132:])
    (tmp_path / "study" / "0" / "circle").symlink_to(tmp_path / "study", target_is_directory=True)
    (case,) = source.cases()
    assert source.read(case).image.shape == (24, 20, 12)


def test_a_folder_without_dicom_or_without_a_segmentation_says_what_it_holds(study, tmp_path, images):
    (tmp_path / "study").mkdir()
    (tmp_path / "study" / "a.txt").write_text("x")
    with pytest.raises(SourceError, match=r"no DICOM image.*1 x not DICOM"):
        list(study().cases())
    with pytest.raises(SourceError, match=r"no segmentation.*1 x CT series"):
        list(study(images).cases())


def test_a_knee_says_its_side(read, image, labels, segments):
    images = dicom.series(image, AFFINE, "MR", BodyPartExamined="KNEE", Laterality="L")
    assert read(images, [dicom.segmentation(images, labels, segments)]).side == "left"


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.5"])
def test_damaged_compressed_pixels_are_refused_and_end_no_process(read, image, labels, segments, syntax):
    """JPEG-LS, JPEG 2000, RLE: gdcm would abort, and the decoder of RLE panics, which is no Exception."""
    large = np.kron(image, np.ones((4, 4, 1), np.int16))
    images = dicom.series(large, AFFINE @ np.diag([0.25, 0.25, 1, 1]))
    seg = dicom.segmentation(images, np.kron(labels, np.ones((4, 4, 1), np.uint8)), segments)
    for one in images:
        one.compress(syntax, generate_instance_uid=False)
    damaged = bytearray(images[5].PixelData)
    damaged[40:400] = bytes(range(256)) + bytes(104)
    images[5].PixelData = bytes(damaged)
    with pytest.raises(UnreadableError, match="damaged"):
        read(images, [seg])
