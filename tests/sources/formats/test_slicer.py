"""What 3D Slicer saves: segments in a box, in layers, under names."""

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813 - its usual name

from dataset_builder.core.errors import LabelConflictError, SourceError, UnknownLabelError, UnreadableError
from dataset_builder.sources import open_source
from tests.helpers.scan_files import KEPT, by_name, itk, same, save, segmentation


@pytest.mark.parametrize("layers", [False, True])
def test_slicer(tmp_path, body, expected, layers):
    save(itk(body[0], body[2]), tmp_path / "case7" / "Vol.nrrd")
    segmentation(body, tmp_path / "case7" / "Segmentation.seg.nrrd", layers=layers)
    source = open_source(f"slicer:{tmp_path}", keep_names=True)
    assert same(source, expected).subject == "case7"
    assert [case.subject for case in open_source(f"auto:{tmp_path}", keep_names=True).cases()] == ["case7"]


def test_slicer_labels_that_can_be_left_out(tmp_path, body):
    save(itk(body[0], body[2]), tmp_path / "scan.nrrd")
    segmentation(body, tmp_path / "scan.seg.nrrd")
    source = open_source(f"slicer:{tmp_path}", ignore_labels=["Aorta", "stomach"])
    (case,) = source.cases()
    assert sorted(source.read(case).names.values()) == sorted(set(KEPT) - {"aorta", "stomach"})
    assert source.read(case).ignored == ("aorta", "stomach")


SEGMENTS = {"kidney": (1, 0, "kidney right"), "whole": (1, 1, "liver"), "target": (1, 2, "PTV")}


def overlapping(tmp_path, body, **changes):
    """A kidney, a liver that covers it in the next layer, and a target that covers everything in the last one."""
    image, labels, affine = body
    save(itk(image, affine), tmp_path / "one" / "scan.nrrd")
    keys, stacked = {}, np.zeros((*labels.shape, 3), np.uint8)
    for number, (value, layer, name) in enumerate(SEGMENTS.values()):
        keys |= {f"Segment{number}_ID": f"Segment_{number}", f"Segment{number}_Name": name}
        keys |= {f"Segment{number}_LabelValue": value, f"Segment{number}_Layer": layer}
    stacked[10:14, 10:14, 4:8, 0], stacked[12:20, 10:20, 4:8, 1], stacked[..., 2] = 1, 1, 1
    segmentation = sitk.GetImageFromArray(np.ascontiguousarray(stacked.transpose(2, 1, 0, 3)), isVector=True)
    segmentation.CopyInformation(itk(labels, affine))
    save(segmentation, tmp_path / "one" / "scan.seg.nrrd", **(keys | changes))
    return open_source(f"slicer:{tmp_path}", keep_names=True, ignore_labels=["PTV"])


def test_slicer_segments_that_overlap_follow_the_rule_of_masks_and_one_left_out_covers_nothing(tmp_path, body):
    source = overlapping(tmp_path, body)
    (case,) = source.cases()
    volume = source.read(case)
    counts = {name: int((volume.labels == value).sum()) for value, name in volume.names.items()}
    # kidney_right comes before liver by name, so that the liver lies on it, as it would as two masks
    assert counts == {"kidney_right": 2 * 4 * 4, "liver": 8 * 10 * 4}
    assert volume.overlap_voxels == 2 * 4 * 4
    assert volume.ignored == ("ptv",)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"Segment1_Layer": "99999999999"}, "no layer or no label value"),
        ({"Segment1_Layer": "-1"}, "no layer or no label value"),
        ({"Segment0_LabelValue": "one"}, "no layer or no label value"),
        ({"Segment0_LabelValue": "0"}, "no layer or no label value"),
        ({"Segment1_Layer": "0"}, "same label value in the same layer"),
    ],
)
def test_slicer_headers_that_contradict_themselves_are_refused(tmp_path, body, changes, said):
    with pytest.raises(SourceError, match=said):  # the only case; of several the others would be read
        overlapping(tmp_path, body, **changes)


def test_slicer_voxels_of_no_segment_are_refused(tmp_path, body):
    source = overlapping(tmp_path, body, Segment1_LabelValue=7)
    (case,) = source.cases()
    with pytest.raises(UnknownLabelError):
        source.read(case)


def test_a_damaged_segmentation_among_sound_ones_costs_one_case(tmp_path, body, expected):
    for name in ("a", "b", "c"):
        save(itk(body[0], body[2]), tmp_path / name / "Vol.nrrd")
        segmentation(body, tmp_path / name / "Segmentation.seg.nrrd")
    (tmp_path / "a" / "Segmentation.seg.nrrd").write_bytes(b"NRRD0004\n# nothing\n")
    save(itk(body[0], body[2]), tmp_path / "c" / "Other.nrrd")  # two images: which one?
    source = open_source(f"slicer:{tmp_path}", keep_names=True)
    first, second, third = source.cases()
    with pytest.raises(UnreadableError):
        source.read(first)
    assert by_name(source.read(second))[1].keys() == expected[1].keys()
    with pytest.raises(LabelConflictError, match="unclear which image"):
        source.read(third)


def test_a_source_that_was_not_named_right_is_named(tmp_path, body):
    save(itk(body[0], body[2]), tmp_path / "Vol.nrrd")
    segmentation(body, tmp_path / "Segmentation.seg.nrrd")
    with pytest.raises(SourceError, match=f"3D Slicer's files.*use slicer:{tmp_path}"):
        open_source(f"nnunet:{tmp_path}")
