"""A series that makes no volume, or has damaged pixels, is refused by name."""

import copy
import io
import struct
from contextlib import nullcontext

import numpy as np
import pydicom
import pytest

from dataset_builder.core.errors import (
    AffineError,
    BurnedInTextError,
    CaseError,
    DimensionError,
    GantryTiltError,
    MissingDecoderError,
    ObliqueError,
    SlicePositionError,
    UnreadableError,
)
from dataset_builder.sources.dicom.pixels import check_length
from tests.helpers import dicom_files as dicom
from tests.helpers.dicom_body import AFFINE, rotated


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
