"""Labels of a SEG: on the voxels where they were drawn, or refused."""

import copy
import random

import numpy as np
import pytest

from dataset_builder.core.errors import (
    AffineMismatchError,
    LabelConflictError,
    SlicePositionError,
    UnknownLabelError,
    UnreadableError,
)
from dataset_builder.sources import open_source
from tests.helpers import dicom_files as dicom
from tests.helpers.dicom_body import AFFINE, NAMES, SHAPE, laid


@pytest.mark.parametrize("kind", ["BINARY", "LABELMAP", "FRACTIONAL"])
def test_every_kind_of_segmentation(read, images, labels, segments, kind):
    laid(read(images, [dicom.segmentation(images, labels, segments, kind)]), labels)


def test_a_fractional_voxel_belongs_to_the_structure_from_a_half_on(read, images, labels, segments):
    shares = np.stack([labels == value for value in NAMES], axis=-1).astype(np.float32)
    shares[0, 0, 0, 0], shares[1, 0, 0, 0] = 0.49, 0.51
    expected = labels.copy()
    expected[1, 0, 0] = 1
    laid(read(images, [dicom.segmentation(images, shares, segments, "FRACTIONAL")]), expected)


def test_frames_in_any_order_and_only_on_some_slices(read, images, labels, seg, segments):
    assert len(seg.PerFrameFunctionalGroupsSequence) < 2 * SHAPE[2]
    frames = list(zip(seg.PerFrameFunctionalGroupsSequence, seg.pixel_array, strict=True))
    random.Random(0).shuffle(frames)
    seg.PerFrameFunctionalGroupsSequence = [group for group, _ in frames]
    seg.PixelData = np.packbits(np.concatenate([frame.ravel() for _, frame in frames]), bitorder="little").tobytes()
    laid(read(images, [seg]), labels)


def test_several_files_each_with_a_structure_and_two_segments_of_one_structure(read, images, labels):
    liver = np.stack([(labels == 1) & half for half in split_in_two(labels)], axis=-1)
    both = dicom.segmentation(images, liver, [dicom.segment(1, "liver"), dicom.segment(2, "Liver")])
    spleen = dicom.segmentation(images, labels, [dicom.segment(1, "spleen")], values=[2])
    volume = read(images, [both], [spleen])
    laid(volume, labels)
    assert volume.overlap_voxels == 0


def split_in_two(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    left = np.zeros(labels.shape, bool)
    left[: labels.shape[0] // 2] = True
    return left, ~left


def test_a_part_lies_on_its_whole_and_overlaps_are_counted(read, images, labels):
    masks = np.stack([labels == 1, labels == 1], axis=-1)
    masks[8:, ..., 1] = False
    volume = read(
        images, [dicom.segmentation(images, masks, [dicom.segment(1, "duodenum"), dicom.segment(2, "small_bowel")])]
    )
    assert volume.overlap_voxels == masks[..., 1].sum()
    values = {name: value for value, name in volume.names.items()}
    assert (volume.labels == values["duodenum"]).sum() == (labels == 1).sum()


def test_the_same_structure_in_two_files(read, images, labels, segments, seg):
    laid(read(images, [seg], [dicom.segmentation(images, labels, segments, "LABELMAP")]), labels)
    other = labels.copy()
    other[2, 3, 2] = 0
    with pytest.raises(LabelConflictError, match=r"differently.*liver"):
        read(images, [seg], [dicom.segmentation(images, other, segments)])


def test_a_segmentation_is_taken_rather_than_contours_of_the_same(read, images, labels, seg):
    contours = dicom.structure_set(images, np.roll(labels, 1, axis=0), AFFINE, {**NAMES, 3: "stomach"})
    volume = read(images, [seg], [contours])
    laid(volume, labels)
    assert set(volume.names.values()) == {"liver", "spleen"}  # nothing was drawn of the stomach


def stored_otherwise(image, labels, turn, segments, images):
    """A segmentation of the same space whose frames are stored along other axes, without references."""
    affine = AFFINE @ turn
    axes = np.abs(turn[:3, :3]).argmax(axis=0)
    flipped = [axis for axis in range(3) if turn[:3, axis].sum() < 0]
    moved = np.flip(labels.transpose(axes), flipped)
    sources = dicom.series(np.zeros(moved.shape, np.int16), affine, frame_of_reference=images[0].FrameOfReferenceUID)
    made = dicom.segmentation(sources, moved, segments)
    del made.ReferencedSeriesSequence
    for group in made.PerFrameFunctionalGroupsSequence:
        if "DerivationImageSequence" in group:
            del group.DerivationImageSequence
    return made


TURNS = {
    "upside down": np.array([[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, -1, 11], [0, 0, 0, 1]]),
    "mirrored": np.array([[-1, 0, 0, 23], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]),
    "sagittal": np.array([[0, 0, 1, 0], [1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 1]]),
    "coronal": np.array([[1, 0, 0, 0], [0, 0, 1, 0], [0, -1, 0, 11], [0, 0, 0, 1]]),
}


@pytest.mark.parametrize("name", TURNS)
def test_frames_along_other_axes_of_the_same_voxels_come_without_loss(read, image, images, labels, segments, name):
    laid(read(images, [stored_otherwise(image, labels, TURNS[name], segments, images)]), labels)


@pytest.mark.parametrize("shift", [0.004, 0.05, 0.5])
def test_voxels_that_do_not_coincide_are_refused_with_the_command_that_resamples(read, images, seg, labels, shift):
    for group in seg.PerFrameFunctionalGroupsSequence:
        place = group.PlanePositionSequence[0]
        x, y, z = place.ImagePositionPatient
        place.ImagePositionPatient = [float(x) + 2 * shift, y, z]
    if shift < 0.01:
        laid(read(images, [seg]), labels)
        return
    with pytest.raises(AffineMismatchError, match=r"another grid.*sitkNearestNeighbor"):
        read(images, [seg])


def test_another_voxel_size_is_refused(read, images, seg):
    measures = seg.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    measures.PixelSpacing = ["1.52", "2"]
    with pytest.raises(AffineMismatchError, match="another grid"):
        read(images, [seg])


def test_labels_on_slices_that_the_series_lacks_are_refused(read, images, seg):
    with pytest.raises(SlicePositionError, match="slices that the series lacks"):
        read(images[:8], [seg])


def test_a_smaller_extent_is_laid_where_it_lies(read, images, labels, segments):
    part = dicom.series(
        np.zeros((14, 12, 9), np.int16), AFFINE @ shifted(1, 2, 2), frame_of_reference=images[0].FrameOfReferenceUID
    )
    cut = labels[1:15, 2:14, 2:11]
    expected = np.zeros_like(labels)
    expected[1:15, 2:14, 2:11] = np.where(cut == 1, 1, 0)
    made = dicom.segmentation(part, np.where(cut == 1, 1, 0), segments[:1])
    del made.ReferencedSeriesSequence
    for group in made.PerFrameFunctionalGroupsSequence:
        if "DerivationImageSequence" in group:
            del group.DerivationImageSequence
    volume = read(images, [made])
    assert np.array_equal(volume.labels[::-1, ::-1], expected)


def shifted(*by: float) -> np.ndarray:
    made = np.eye(4)
    made[:3, 3] = by
    return made


def test_rounded_slice_positions_are_those_of_the_segmentation_as_well(read, image, labels, segments):
    """Positions rounded to 0.1 mm, as some scanners do: a frame lies on its slice, not on the even grid."""
    images = dicom.series(image, AFFINE @ np.diag([1, 1, 1.25 / 3, 1]))
    for one in images:
        one.ImagePositionPatient = [*one.ImagePositionPatient[:2], f"{float(one.ImagePositionPatient[2]):.1f}"]
    laid(read(images, [dicom.segmentation(images, labels, segments)]), labels)


def test_a_segmentation_goes_to_the_series_that_it_refers_to(study, image, images, labels, segments, seg):
    same = {"study": images[0].StudyInstanceUID, "frame_of_reference": images[0].FrameOfReferenceUID}
    others = [dicom.series(image + number, AFFINE, **same) for number in (1, 2)]
    source = study(*others, images, [seg])
    (case,) = source.cases()
    assert np.array_equal(source.read(case).image[::-1, ::-1], image)


def test_a_segmentation_whose_images_are_not_here_or_not_named_is_a_case_that_says_so(
    study, image, images, seg, labels, segments
):
    frame = images[0].FrameOfReferenceUID
    other = dicom.series(image, AFFINE, frame_of_reference=frame)
    source = study(other, [seg])
    (case,) = source.cases()
    with pytest.raises(LabelConflictError, match="drawn on are not in the folder"):
        source.read(case)
    for group in [seg, *seg.PerFrameFunctionalGroupsSequence]:
        for name in ("ReferencedSeriesSequence", "DerivationImageSequence"):
            if name in group:
                delattr(group, name)
    source = study(other, images, [seg])
    (case,) = source.cases()
    with pytest.raises(LabelConflictError, match="which of several volumes"):
        source.read(case)


def test_another_frame_of_reference_is_refused(read, images, seg):
    seg.FrameOfReferenceUID = dicom.generate_uid()
    with pytest.raises(AffineMismatchError, match="another frame of reference"):
        read(images, [seg])


def test_damaged_segmentations_are_named(read, images, seg):
    broken = copy.deepcopy(seg)
    broken.PixelData = broken.PixelData[:40]
    with pytest.raises(UnreadableError, match="truncated"):
        read(images, [broken])
    for group in seg.PerFrameFunctionalGroupsSequence:
        group.SegmentIdentificationSequence[0].ReferencedSegmentNumber = 9
    with pytest.raises(UnknownLabelError, match="not in its list of segments"):
        read(images, [seg])


def test_the_source_is_one_of_the_known_ones(tmp_path):
    assert open_source(f"dicom:{tmp_path}").name == "dicom"
