"""Writes scans as DICOM: series, multi-frame images, segmentations and structure sets, as other programs do.

pydicom writes series and structure sets, highdicom segmentations: the code under test has no part in it.
"""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from pathlib import Path

import cv2
import highdicom as hd
import numpy as np
from pydicom import Dataset
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code
from pydicom.uid import UID, ExplicitVRLittleEndian, generate_uid

LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
CT, MR, ENHANCED_CT, ENHANCED_MR = (f"1.2.840.10008.5.1.4.1.1.{ending}" for ending in ("2", "4", "2.1", "4.1"))
RTSTRUCT = "1.2.840.10008.5.1.4.1.1.481.3"
PATIENT = {
    "PatientName": "Musterfrau^Erika",
    "PatientID": "HOSP-4711-X",
    "PatientBirthDate": "19640812",
    "StudyDate": "20231107",
    "AccessionNumber": "ACC998877",
    "InstitutionName": "Klinikum Beispielstadt",
    "ReferringPhysicianName": "Doktor^Wilhelmina",
}
SIDES = {"left": Code("7771000", "SCT", "Left"), "right": Code("24028007", "SCT", "Right")}


def _file(kind: str, syntax: str = ExplicitVRLittleEndian, **attributes: object) -> FileDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = kind
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = UID(syntax)
    made = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    made.SOPClassUID, made.SOPInstanceUID = kind, meta.MediaStorageSOPInstanceUID
    made.SpecificCharacterSet = "ISO_IR 192"
    made.StudyTime, made.StudyID, made.PatientSex = "101112", "S1", "O"
    for name, value in {**PATIENT, **attributes}.items():
        setattr(made, name, value)
    return made


def _directions(affine: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of an affine in RAS+, as DICOM has it: LPS affine, sizes of steps."""
    lps = LPS @ affine
    return lps, np.linalg.norm(lps[:3, :3], axis=0)


def _numbers(values: Sequence[float]) -> list[str]:
    return [f"{value:.10g}"[:16] for value in values]


def series(
    image: np.ndarray,
    affine: np.ndarray,
    modality: str = "CT",
    *,
    slope: float = 1,
    intercept: float = 0,
    signed: bool = True,
    study: str | None = None,
    frame_of_reference: str | None = None,
    **attributes: object,
) -> list[FileDataset]:
    """Single-frame images of a scan [I, J, K], the first index along the rows, in the order of the last index."""
    lps, steps = _directions(affine)
    stored = np.rint((image.astype(np.float64) - intercept) / slope).astype(np.int16 if signed else np.uint16)
    uids = generate_uid(), study or generate_uid(), frame_of_reference or generate_uid()
    made = []
    for index in range(image.shape[2]):
        one = _file(CT if modality == "CT" else MR, Modality=modality, **attributes)
        one.SeriesInstanceUID, one.StudyInstanceUID, one.FrameOfReferenceUID = uids
        one.SeriesNumber, one.InstanceNumber = 1, index + 1
        one.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
        one.ImagePositionPatient = _numbers(lps[:3] @ (0, 0, index, 1))
        one.ImageOrientationPatient = _numbers(np.concatenate([lps[:3, 0] / steps[0], lps[:3, 1] / steps[1]]))
        one.PixelSpacing = _numbers((steps[1], steps[0]))
        one.SliceThickness = f"{steps[2]:.6g}"
        one.PatientPosition = "HFS"
        one.RescaleSlope, one.RescaleIntercept = f"{slope:.10g}", f"{intercept:.10g}"
        _pixels(one, stored[:, :, index].T, signed)
        made.append(one)
    return made


def _pixels(one: Dataset, stored: np.ndarray, signed: bool) -> None:
    one.Rows, one.Columns = stored.shape[-2:]
    one.SamplesPerPixel, one.PhotometricInterpretation = 1, "MONOCHROME2"
    one.BitsAllocated = one.BitsStored = 16
    one.HighBit, one.PixelRepresentation = 15, int(signed)
    one.PixelData = np.ascontiguousarray(stored).tobytes()


def save(images: Sequence[Dataset], folder: Path, names: Sequence[str] | None = None) -> list[Path]:
    """Write files; their names say nothing unless given."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / (names[number] if names else f"{number:04d}") for number in range(len(images))]
    for one, path in zip(images, paths, strict=True):
        one.save_as(path, enforce_file_format=True)
    return paths


def multiframe(images: Sequence[Dataset], order: Sequence[int] | None = None) -> FileDataset:
    """The same scan as one enhanced image, its frames in any order."""
    order = list(order if order is not None else range(len(images)))
    first = images[0]
    made = _file(
        ENHANCED_CT if first.Modality == "CT" else ENHANCED_MR,
        Modality=first.Modality,
        SeriesInstanceUID=first.SeriesInstanceUID,
        StudyInstanceUID=first.StudyInstanceUID,
        FrameOfReferenceUID=first.FrameOfReferenceUID,
        SeriesNumber=1,
        InstanceNumber=1,
        ImageType=["ORIGINAL", "PRIMARY", "VOLUME", "NONE"],
        NumberOfFrames=len(order),
    )
    shared = Dataset()
    orientation, measures = Dataset(), Dataset()
    orientation.ImageOrientationPatient = first.ImageOrientationPatient
    measures.PixelSpacing, measures.SliceThickness = first.PixelSpacing, first.SliceThickness
    shared.PlaneOrientationSequence, shared.PixelMeasuresSequence = [orientation], [measures]
    made.SharedFunctionalGroupsSequence = [shared]
    made.PerFrameFunctionalGroupsSequence = []
    for number in order:
        one, position, values, content = Dataset(), Dataset(), Dataset(), Dataset()
        position.ImagePositionPatient = images[number].ImagePositionPatient
        values.RescaleSlope, values.RescaleIntercept = images[number].RescaleSlope, images[number].RescaleIntercept
        values.RescaleType = "HU"
        content.StackID, content.InStackPositionNumber = "1", number + 1
        one.PlanePositionSequence, one.PixelValueTransformationSequence = [position], [values]
        one.FrameContentSequence = [content]
        made.PerFrameFunctionalGroupsSequence.append(one)
    signed = bool(first.PixelRepresentation)
    _pixels(made, np.stack([images[number].pixel_array for number in order]), signed)
    return made


def segment(number: int, label: str, code: Code | None = None, side: str | None = None) -> hd.seg.SegmentDescription:
    """A segment's description; without a code of its structure it is coded as just some tissue."""
    made = hd.seg.SegmentDescription(
        segment_number=number,
        segment_label=label,
        segmented_property_category=codes.SCT.AnatomicalStructure if code else codes.SCT.Tissue,
        segmented_property_type=code or codes.SCT.Tissue,
        algorithm_type=hd.seg.SegmentAlgorithmTypeValues.MANUAL,
    )
    if side is not None:
        modifier = Dataset()
        modifier.CodeValue, modifier.CodingSchemeDesignator = SIDES[side].value, SIDES[side].scheme_designator
        modifier.CodeMeaning = SIDES[side].meaning
        made.SegmentedPropertyTypeCodeSequence[0].SegmentedPropertyTypeModifierCodeSequence = [modifier]
    return made


def renumbered(segments: Sequence[hd.seg.SegmentDescription]) -> list[hd.seg.SegmentDescription]:
    """Copies of descriptions, numbered from 1."""
    made = [deepcopy(one) for one in segments]
    for number, one in enumerate(made, 1):
        one.SegmentNumber = number
    return made


def segmentation(
    images: Sequence[Dataset],
    labels: np.ndarray,
    segments: Sequence[hd.seg.SegmentDescription],
    kind: str = "BINARY",
    values: Sequence[int] | None = None,
    **options: object,
) -> hd.seg.Segmentation:
    """A segmentation of labels [I, J, K] of the images' grid (or of masks [I, J, K, segments]).

    Args:
        values: label value of each segment; its number if not given.
    """
    if labels.ndim == 3:
        values = values or [one.SegmentNumber for one in segments]
        labels = np.stack([labels == value for value in values], axis=-1)
    frames = labels.transpose(2, 1, 0, 3)
    if kind == "LABELMAP":
        numbers = np.arange(1, frames.shape[-1] + 1)
        frames = (frames * numbers).max(axis=-1).astype(np.uint8)
    elif frames.dtype == bool:
        frames = frames.astype(np.uint8 if kind == "BINARY" else np.float32)
    made = hd.seg.Segmentation(
        source_images=list(images),
        pixel_array=frames,
        segmentation_type=kind,
        segment_descriptions=list(segments),
        series_instance_uid=hd.UID(),
        series_number=100,
        sop_instance_uid=hd.UID(),
        instance_number=1,
        manufacturer="Test",
        manufacturer_model_name="Test",
        software_versions="1",
        device_serial_number="SN12345",
        **options,
    )
    for name, value in PATIENT.items():
        setattr(made, name, value)
    return made


def structure_set(
    images: Sequence[Dataset],
    labels: np.ndarray,
    affine: np.ndarray,
    names: Mapping[int, str],
    types: Mapping[int, str] | None = None,
    every: int = 1,
    keyhole: bool = False,
) -> FileDataset:
    """A structure set whose contours run through the outermost voxel centres, holes as contours of their own.

    Args:
        types: RT ROI Interpreted Type by label value.
        every: contours only on each so-manieth slice.
        keyhole: holes are joined to the outline by a channel of no width, not contours of their own.
    """
    first = images[0]
    made = _file(
        RTSTRUCT,
        Modality="RTSTRUCT",
        StudyInstanceUID=first.StudyInstanceUID,
        SeriesInstanceUID=generate_uid(),
        StructureSetLabel="STRUCTURES",
        StructureSetDate="20231108",
        StructureSetTime="120000",
    )
    frame, study, referenced = Dataset(), Dataset(), Dataset()
    frame.FrameOfReferenceUID = first.FrameOfReferenceUID
    study.ReferencedSOPClassUID, study.ReferencedSOPInstanceUID = "1.2.840.10008.3.1.2.3.1", first.StudyInstanceUID
    referenced.SeriesInstanceUID = first.SeriesInstanceUID
    referenced.ContourImageSequence = [_reference(one) for one in images]
    study.RTReferencedSeriesSequence, frame.RTReferencedStudySequence = [referenced], [study]
    made.ReferencedFrameOfReferenceSequence = [frame]
    made.StructureSetROISequence, made.ROIContourSequence, made.RTROIObservationsSequence = [], [], []
    lps = LPS @ affine
    for number, (value, name) in enumerate(names.items(), 1):
        roi, region, observation = Dataset(), Dataset(), Dataset()
        roi.ROINumber, roi.ROIName, roi.ReferencedFrameOfReferenceUID = number, name, first.FrameOfReferenceUID
        roi.ROIGenerationAlgorithm = "MANUAL"
        region.ReferencedROINumber, region.ContourSequence = number, []
        observation.ObservationNumber = observation.ReferencedROINumber = number
        observation.RTROIInterpretedType, observation.ROIInterpreter = (types or {}).get(value, "ORGAN"), ""
        for index in range(0, labels.shape[2], every):
            for outline in outlines(labels[:, :, index] == value, keyhole):
                contour = Dataset()
                contour.ContourGeometricType, contour.NumberOfContourPoints = "CLOSED_PLANAR", len(outline)
                points = np.column_stack([outline, np.full(len(outline), index), np.ones(len(outline))]) @ lps[:3].T
                contour.ContourData = [f"{value:.6g}" for value in points.ravel()]
                region.ContourSequence.append(contour)
        made.StructureSetROISequence.append(roi)
        made.ROIContourSequence.append(region)
        made.RTROIObservationsSequence.append(observation)
    return made


def _reference(image: Dataset) -> Dataset:
    made = Dataset()
    made.ReferencedSOPClassUID, made.ReferencedSOPInstanceUID = image.SOPClassUID, image.SOPInstanceUID
    return made


def outlines(mask: np.ndarray, keyhole: bool = False) -> list[np.ndarray]:
    """Contours [n, 2] (first, second index) of a mask [I, J], holes among them."""
    found, tree = cv2.findContours(mask.T.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    contours = [contour[:, 0].astype(float) for contour in found]
    if not keyhole:
        return contours
    joined = []
    for number, contour in enumerate(contours):
        if tree[0][number][3] >= 0:
            continue
        for inner, hole in enumerate(contours):
            if tree[0][inner][3] == number:
                far = np.abs(contour[:, None] - hole[None]).sum(axis=-1)
                at, into = np.unravel_index(far.argmin(), far.shape)
                channel = np.roll(hole, -into, axis=0)
                contour = np.concatenate([contour[: at + 1], channel, channel[:1], contour[at:]])
        joined.append(contour)
    return joined


def write_study(
    folder: Path, image: np.ndarray, labels: np.ndarray, names: Mapping[int, str], affine: np.ndarray
) -> None:
    """A CT and its segmentation as a folder of files."""
    images = series(np.rint(image).astype(np.int16), affine)
    present = [value for value in names if (labels == value).any()]
    segments = [segment(number, names[value]) for number, value in enumerate(present, 1)]
    save(images, folder / "1")
    save([segmentation(images, labels, segments, values=present)], folder / "2")
