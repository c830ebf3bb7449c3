"""Labels from SEG and RTSTRUCT: on the voxels where they were drawn, or refused."""

import copy
import random

import numpy as np
import pytest

from dataset_builder.core.errors import (
    AffineMismatchError,
    LabelConflictError,
    MissingLabelsError,
    SlicePositionError,
    UnknownLabelError,
    UnreadableError,
)
from dataset_builder.sources import open_source
from tests.helpers import dicom_files as dicom
from tests.sources.dicom.conftest import AFFINE, NAMES, SHAPE

OBLIQUE = np.array([[0.98, -0.17, -0.08, 5], [0.17, 0.98, -0.02, 0], [0.08, 0.01, 0.99, 9], [0, 0, 0, 1]])
OBLIQUE[:3, :3] = np.linalg.qr(OBLIQUE[:3, :3])[0] @ np.diag(np.sign(np.diag(np.linalg.qr(OBLIQUE[:3, :3])[1])))


def laid(volume, labels: np.ndarray) -> None:
    """Whether the volume has these labels: 1 liver, 2 spleen, as they were stored."""
    values = {name: value for value, name in volume.names.items()}
    for value, name in NAMES.items():
        found = volume.labels[::-1, ::-1] == values[name]
        assert np.array_equal(found, labels == value), name


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


# --- another grid -----------------------------------------------------------------------------------------------------


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


# --- which image ------------------------------------------------------------------------------------------------------


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


# --- contours ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("keyhole", [False, True])
@pytest.mark.parametrize("affine", [AFFINE, AFFINE @ np.diag([1, 1, -1, 1.0]), OBLIQUE @ AFFINE])
def test_holes_and_islands_on_voxels_that_are_not_square(read, image, labels, keyhole, affine):
    images = dicom.series(image, affine)
    volume = read(images, [dicom.structure_set(images, labels, affine, NAMES, keyhole=keyhole)])
    found = volume.labels[::-1, ::-1, :: int(np.sign(affine[2, 2]))]
    assert np.array_equal(found == 1, labels == 1)
    assert np.array_equal(found == 2, labels == 2)


def circle(centre: tuple[float, float], radius: float, z: float, count: int = 180) -> list[str]:
    angle = np.linspace(0, 2 * np.pi, count, endpoint=False)
    points = np.column_stack(
        [centre[0] + radius * np.cos(angle), centre[1] + radius * np.sin(angle), np.full(count, z)]
    )
    return [f"{value:.4f}" for value in points.ravel()]


def drawn(images, *planes: tuple[float, list[list[str]]]):
    """A structure set of a liver with these contours, in mm (LPS)."""
    made = dicom.structure_set(images, np.zeros(SHAPE, np.uint8), AFFINE, {1: "liver"})
    for _, contours in planes:
        for data in contours:
            contour = dicom.Dataset()
            contour.ContourGeometricType, contour.ContourData = "CLOSED_PLANAR", data
            made.ROIContourSequence[0].ContourSequence.append(contour)
    return made


def test_a_circle_has_its_area_and_its_centre(read, images):
    """True outlines, not through voxel centres: 12 mm around a point between voxels, of 2 x 1.5 mm voxels."""
    volume = read(images, [drawn(images, *((z, [circle((-5.3, -5.6), 12, z)]) for z in (-91, -88, -85)))])
    mask = volume.labels == 1
    assert mask.any(axis=(0, 1)).nonzero()[0].tolist() == [3, 4, 5]
    assert mask[..., 4].sum() * 3.0 == pytest.approx(np.pi * 144, rel=0.02)
    centre = volume.affine @ [*np.argwhere(mask[..., 4]).mean(axis=0), 4, 1]
    assert centre[:2] == pytest.approx([5.3, 5.6], abs=0.15)


def test_a_hole_has_its_area_too(read, images):
    volume = read(images, [drawn(images, (-88, [circle((-7, -6), 14, -88), circle((-7, -6), 8, -88)]))])
    assert (volume.labels == 1).sum() * 3.0 == pytest.approx(np.pi * (196 - 64), rel=0.03)


def test_contours_that_touch_or_overlap_are_joined_and_one_given_twice_counts_once(read, images):
    one = circle((-4, 0), 8, -88)
    volume = read(images, [drawn(images, (-88, [one, circle((4, 0), 8, -88), one]))])
    row = (volume.labels[:, 10 - 1, 4] == 1).nonzero()[0]
    assert len(row) == row[-1] - row[0] + 1 >= 11


def test_contours_between_slices_and_on_every_third_slice(read, images, labels):
    """Planes 9 mm apart, none on a slice: each slice takes the nearest one, none beyond half of their distance."""
    volume = read(images, [drawn(images, *((z, [circle((0, 0), 10, z)]) for z in (-93.2, -84.2, -75.2)))])
    filled = (volume.labels == 1).any(axis=(0, 1)).nonzero()[0]
    assert filled.tolist() == [*range(1, 10)]  # from -97 to -71 mm


def test_regions_that_are_no_organs_are_left_out_and_points_count_as_nothing(read, images, labels):
    names = {**NAMES, 3: "PTV 54Gy", 4: "BODY", 5: "Couch"}
    types = {3: "PTV", 4: "EXTERNAL", 5: "SUPPORT"}
    body = labels.copy()
    body[20:, 15:] = 3
    made = dicom.structure_set(images, body, AFFINE, names, types)
    point = dicom.Dataset()
    point.ContourGeometricType, point.ContourData = "POINT", ["0", "0", "-88"]
    made.ROIContourSequence[0].ContourSequence.append(point)
    volume = read(images, [made])
    laid(volume, labels)
    assert volume.ignored == ("EXTERNAL region", "PTV region", "SUPPORT region")


def test_contours_across_the_slices_beyond_the_image_or_damaged_are_refused(read, images):
    across = [f"{v}" for point in ((0, 0, -95), (0, 5, -80), (0, -5, -75)) for v in point]
    with pytest.raises(AffineMismatchError, match="across the slices"):
        read(images, [drawn(images, (0, [across]))])
    with pytest.raises(AffineMismatchError, match="beyond the image"):
        read(images, [drawn(images, (0, [circle((60, 0), 10, -88)]))])
    with pytest.raises(UnreadableError, match="not made of points"):
        read(images, [drawn(images, (0, [["1", "2", "3", "4"]]))])


# --- names ------------------------------------------------------------------------------------------------------------


KIDNEY, LIVER, FEMUR = (
    dicom.Code(value, "SCT", meaning)
    for value, meaning in (("64033007", "Kidney"), ("10200004", "Liver"), ("71341001", "Femur"))
)


@pytest.mark.parametrize(
    ("label", "code", "side", "structure"),
    [
        ("Segment_1", KIDNEY, "left", "kidney_left"),
        ("Niere", KIDNEY, "right", "kidney_right"),
        ("Segment_1", LIVER, None, "liver"),
        ("spleen", LIVER, None, "liver"),  # codes go before names
        ("left kidney", KIDNEY, None, "kidney_left"),
        ("Segment_1", FEMUR, "left", "femur_left"),
        ("liver", None, None, "liver"),
        ("Segment_1", dicom.Code("T-62000", "SRT", "Liver"), None, "liver"),
        ("Segment_1", dicom.Code("9846003", "SCT", "Right kidney"), None, "kidney_right"),
    ],
)
def test_codes_go_to_the_vocabulary_before_names(read, images, labels, label, code, side, structure):
    seg = dicom.segmentation(images, (labels == 1).astype(np.uint8), [dicom.segment(1, label, code, side)])
    assert set(read(images, [seg]).names.values()) == {structure}


@pytest.mark.parametrize(
    ("label", "code", "side", "error", "said"),
    [
        ("right kidney", KIDNEY, "left", LabelConflictError, "code says left"),
        ("Segment_1", KIDNEY, None, UnknownLabelError, "Kidney|kidney, no side stated"),
        ("Niere", None, None, UnknownLabelError, "Niere"),
        ("Segment_1", LIVER, "right", UnknownLabelError, "Segment_1"),
    ],
)
def test_a_segment_that_is_not_clear_is_refused(read, images, labels, label, code, side, error, said):
    seg = dicom.segmentation(images, (labels == 1).astype(np.uint8), [dicom.segment(1, label, code, side)])
    with pytest.raises(error, match=said):
        read(images, [seg])


def test_a_lesion_in_an_organ_is_not_the_organ(read, images, labels):
    """A cyst whose region is the kidney, and whose name says nothing."""
    seg = dicom.segmentation(images, (labels == 1).astype(np.uint8), [dicom.segment(1, "Segment_1", KIDNEY, "left")])
    seg.SegmentSequence[0].SegmentedPropertyCategoryCodeSequence[0].CodeValue = "49755003"
    with pytest.raises(UnknownLabelError, match="Segment_1"):
        read(images, [seg])


@pytest.mark.parametrize(
    ("label", "code", "side", "structure"),
    [
        ("Segment_1", dicom.Code("367643001", "SCT", "Cyst"), None, "cyst"),
        ("Segment_1", dicom.Code("108369006", "SCT", "Neoplasm"), "left", "tumour"),  # the side of its organ
        ("kidney_cyst_left", dicom.Code("367643001", "SCT", "Cyst"), "left", "kidney_cyst_left"),
        ("liver tumor", LIVER, None, "tumour"),
    ],
)
def test_lesions_are_known_by_code_and_name(read, images, labels, label, code, side, structure):
    seg = dicom.segmentation(images, (labels == 1).astype(np.uint8), [dicom.segment(1, label, code, side)])
    seg.SegmentSequence[0].SegmentedPropertyCategoryCodeSequence[0].CodeValue = "49755003"
    assert set(read(images, [seg]).names.values()) == {structure}


def test_labels_to_be_ignored_are_left_out(tmp_path, images, labels, seg, segments):
    seg.SegmentSequence[1].SegmentLabel = "my own thing"
    for number, group in enumerate((images, [seg])):
        dicom.save(group, tmp_path / str(number))
    from dataset_builder.sources.dicom import open_dicom_studies

    source = open_dicom_studies(tmp_path, ignore_labels=("My own  thing", "other"))
    (case,) = source.cases()
    assert set(source.read(case).names.values()) == {"liver"}
    assert source.read(case).ignored == ("my_own_thing",)
    source = open_dicom_studies(tmp_path, ignore_labels=("my own thing", "liver"))
    with pytest.raises(MissingLabelsError, match="no structure"):
        source.read(case)


def test_every_row_of_the_table_of_codes_is_of_the_vocabulary():
    from dataset_builder.vocabulary import structures
    from dataset_builder.vocabulary.snomed import snomed_codes

    words = structures()
    for code, row in snomed_codes().items():
        assert code.isdecimal()
        assert row.names, code
        assert row.names <= words.keys(), code
        for side in ("left", "right"):
            assert row.of(side) is None or words[row.of(side)].side == side, code


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
