"""Which structure a segment is, by code and by name."""

import numpy as np
import pytest

from dataset_builder.core.errors import LabelConflictError, MissingLabelsError, UnknownLabelError
from tests.helpers import dicom_files as dicom

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
