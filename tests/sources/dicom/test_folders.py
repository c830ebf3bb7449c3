"""What the files of a folder make: several volumes in one series, files that are no scan, links in a circle."""

import copy
import re
from collections import Counter

import numpy as np
import pytest

from dataset_builder.core.errors import SlicePositionError, SourceError
from tests.helpers import dicom_files as dicom
from tests.helpers.dicom_body import AFFINE, SAGITTAL


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
