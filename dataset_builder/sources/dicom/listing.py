"""What a folder of DICOM files holds: image series, segmentations, and what is neither.

Every file is looked into once, its header only. Which folder a file lies in and how it is called do not matter.
"""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal

from dataset_builder.core.errors import CaseError
from dataset_builder.core.factors import Modality, Side
from dataset_builder.files.object_storage import is_remote
from dataset_builder.sources.dicom.files import LISTED, is_dicom, open_dicom, sop_class
from dataset_builder.sources.dicom.identifiers import unheard
from dataset_builder.sources.dicom.planes import Plane, planes_of

LabelKind = Literal["seg", "rtstruct"]

_STORAGE = "1.2.840.10008.5.1.4.1.1."
_CT, _MR = (tuple(f"{_STORAGE}{ending}" for ending in of) for of in (("2", "2.1", "2.2"), ("4", "4.1", "4.4")))
_IMAGES: dict[str, Modality] = {**dict.fromkeys(_CT, "ct"), **dict.fromkeys(_MR, "mri")}
"""CT, enhanced CT, legacy converted enhanced CT, and the same of MR."""
_LABELS: dict[str, LabelKind] = {f"{_STORAGE}66.4": "seg", f"{_STORAGE}66.7": "seg", f"{_STORAGE}481.3": "rtstruct"}
"""Segmentation, Label Map Segmentation, RT Structure Set."""
_DIRECTORY = "1.2.840.10008.1.3.10"
_MODALITIES: dict[str, Modality] = {"CT": "ct", "MR": "mri"}

_DAMAGED = "damaged DICOM files"

_LIMBS = frozenset(
    [
        "KNEE",
        "LEG",
        "THIGH",
        "CALF",
        "FOOT",
        "ANKLE",
        "TOE",
        "HAND",
        "WRIST",
        "FINGER",
        "ELBOW",
        "ARM",
        "FOREARM",
        "FEMUR",
        "TIBIA",
        "FIBULA",
        "HUMERUS",
        "RADIUS",
        "ULNA",
        "LOWERLEG",
        "UPPERARM",
    ]
)


@dataclass(eq=False)
class Series:
    """The files of one series.

    Args:
        uid: Series Instance UID; may be empty.
        modality: ``ct`` or ``mri``.
        patient: what identifies the patient.
        patient_id: Patient ID; may be empty.
        side: of the limb, if the series says that it shows one.
        files: numbers of the files.
        uids: SOP Instance UIDs of the files.
        planes: of all files.
        broken: whether the header of a file does not say where its slices lie.
        localizer: whether a file says that it is one.
    """

    uid: str
    modality: Modality
    patient: str
    patient_id: str
    side: Side | None
    files: list[int] = field(default_factory=list)
    uids: set[str] = field(default_factory=set)
    planes: list[Plane] = field(default_factory=list)
    broken: bool = False
    localizer: bool = False


@dataclass(frozen=True, eq=False)
class LabelFile:
    """A segmentation: what it says that it was drawn on.

    Args:
        file: number of the file.
        kind: ``seg`` or ``rtstruct``.
        frames_of_reference, series, images: UIDs that it refers to.
        patient, patient_id: as of a series.
    """

    file: int
    kind: LabelKind
    frames_of_reference: frozenset[str]
    series: frozenset[str]
    images: frozenset[str]
    patient: str
    patient_id: str


@dataclass(eq=False)
class Listing:
    """What was found.

    Args:
        files: paths of DICOM files; series and segmentations have their numbers.
        series, labels: found in them.
        left_out: files that were passed over, by what they are.
    """

    files: list[Path] = field(default_factory=list)
    series: dict[tuple[str, ...], Series] = field(default_factory=dict)
    labels: list[LabelFile] = field(default_factory=list)
    left_out: dict[str, list[Path]] = field(default_factory=dict)
    _known: dict[str, int] = field(default_factory=dict)  # SOP Instance UID -> number of its file


def list_folder(folder: Path, progress: Callable[[int, int], None] = lambda done, total: None) -> Listing:
    """Look into every file below a folder.

    Args:
        progress: called as ``progress(done, total)``.

    Raises:
        OSError: if the folder cannot be listed.
    """
    paths = sorted(_files_below(folder))
    found = Listing()
    progress(0, len(paths))
    with unheard():
        for done, path in enumerate(paths, 1):
            _look_into(path, folder, found)
            if done % 50 == 0 or done == len(paths):
                progress(done, len(paths))
    return found


def _files_below(folder: Path) -> Iterator[Path]:
    if is_remote(folder):
        yield from (path for path in folder.rglob("*") if path.is_file())
        return
    seen: set[tuple[int, int]] = set()
    for place, folders, files in os.walk(folder, followlinks=True):
        status = os.stat(place)
        if (status.st_dev, status.st_ino) in seen:  # a link that leads back
            folders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        yield from (Path(place) / file for file in files)


def _look_into(path: Path, folder: Path, found: Listing) -> None:
    try:
        if not is_dicom(path):
            found.left_out.setdefault("not DICOM", []).append(path)
            return
        header = open_dicom(path, LISTED, pixels=False)
        kind = sop_class(header)
        if kind == _DIRECTORY:
            found.left_out.setdefault("DICOMDIR", []).append(path)
        elif kind in _LABELS:
            _add_labels(header, _LABELS[kind], path, folder, found)
        elif modality := _IMAGES.get(kind) or (None if kind else _MODALITIES.get(str(header.get("Modality")))):
            _add_image(header, modality, path, folder, found)
        else:
            found.left_out.setdefault(_name_of(kind), []).append(path)
    except OSError:
        found.left_out.setdefault("unreadable files", []).append(path)
    except Exception:
        # Whatever a damaged header makes pydicom raise; its text may hold a value of the file.
        found.left_out.setdefault(_DAMAGED, []).append(path)


def _name_of(kind: str) -> str:
    """What the standard calls this kind of file, such as "X-Ray Radiation Dose SR"."""
    from pydicom.uid import UID

    name = UID(kind).name if kind else ""
    return "other DICOM files" if not name or name == kind else name.removesuffix(" Storage")


def _add_image(header: Any, modality: Modality, path: Path, folder: Path, found: Listing) -> None:
    if not header.get("Rows"):
        found.left_out.setdefault(_DAMAGED, []).append(path)
        return
    uid = str(header.get("SOPInstanceUID") or "")
    if uid and uid in found._known and _same_bytes(path, found.files[found._known[uid]]):
        found.left_out.setdefault("duplicate files", []).append(path)
        return
    series_uid, place = str(header.get("SeriesInstanceUID") or ""), str(path.parent.relative_to(folder))
    patient = _patient(header, place)
    # Where anonymisation emptied the UIDs, a series is what lies in one folder.
    key = (patient, series_uid or f"in {place}", modality)
    series = found.series.get(key)
    if series is None:
        series = Series(series_uid, modality, patient, str(header.get("PatientID") or ""), _side_of(header))
        found.series[key] = series
    number = len(found.files)
    found.files.append(path)
    if uid:
        found._known.setdefault(uid, number)
        series.uids.add(uid)
    series.files.append(number)
    series.localizer |= "LOCALIZER" in [str(word).upper() for word in header.get("ImageType") or ()]
    try:
        series.planes += planes_of(header, number)
    except CaseError:
        series.broken = True  # whoever reads the series says what is wrong with it


def _same_bytes(first: Path, second: Path) -> bool:
    return sha256(first.read_bytes()).digest() == sha256(second.read_bytes()).digest()


def _patient(header: Any, place: str) -> str:
    """What identifies the patient; without an ID the name and date of birth, else the study, else the folder."""
    number = str(header.get("PatientID") or "").strip()
    if number:
        return f"ID {number} {header.get('IssuerOfPatientID') or ''}".strip()
    name = f"{header.get('PatientName') or ''} {header.get('PatientBirthDate') or ''}".strip()
    if name:
        return f"name {name}"
    study = str(header.get("StudyInstanceUID") or "")
    return f"study {study}" if study else f"folder {place}"


def _side_of(header: Any) -> Side | None:
    part = str(header.get("BodyPartExamined") or "").upper().replace(" ", "")
    said = str(header.get("ImageLaterality") or header.get("Laterality") or "").upper()
    return {"L": "left", "R": "right"}.get(said) if part in _LIMBS else None  # type: ignore[return-value]


def _add_labels(header: Any, kind: LabelKind, path: Path, folder: Path, found: Listing) -> None:
    uid = str(header.get("SOPInstanceUID") or "")
    if uid and uid in found._known and _same_bytes(path, found.files[found._known[uid]]):
        found.left_out.setdefault("duplicate files", []).append(path)
        return
    frames, series, images = (_references_of_seg if kind == "seg" else _references_of_rtstruct)(header)
    if kind == "rtstruct" and not (series | images) - {""}:  # only the contours themselves may say more
        images = _images_of_contours(open_dicom(path, ("ROIContourSequence",), pixels=False))
    place = str(path.parent.relative_to(folder))
    found.labels.append(
        LabelFile(
            len(found.files),
            kind,
            frozenset(frames - {""}),
            frozenset(series - {""}),
            frozenset(images - {""}),
            _patient(header, place),
            str(header.get("PatientID") or ""),
        )
    )
    if uid:
        found._known.setdefault(uid, len(found.files))
    found.files.append(path)


References = tuple[set[str], set[str], set[str]]
"""UIDs of frames of reference, series and images."""


def _references_of_seg(header: Any) -> References:
    series: set[str] = set()
    images: set[str] = set()
    for one in header.get("ReferencedSeriesSequence") or ():
        series.add(str(one.get("SeriesInstanceUID") or ""))
        instances = one.get("ReferencedInstanceSequence") or ()
        images.update(str(image.get("ReferencedSOPInstanceUID") or "") for image in instances)
    groups = [
        *(header.get("SharedFunctionalGroupsSequence") or ()),
        *(header.get("PerFrameFunctionalGroupsSequence") or ()),
    ]
    for group in groups:
        for derivation in group.get("DerivationImageSequence") or ():
            sources = derivation.get("SourceImageSequence") or ()
            images.update(str(image.get("ReferencedSOPInstanceUID") or "") for image in sources)
    return {str(header.get("FrameOfReferenceUID") or "")}, series, images


def _references_of_rtstruct(header: Any) -> References:
    frames = {str(header.get("FrameOfReferenceUID") or "")}
    series: set[str] = set()
    images: set[str] = set()
    for frame in header.get("ReferencedFrameOfReferenceSequence") or ():
        frames.add(str(frame.get("FrameOfReferenceUID") or ""))
        for study in frame.get("RTReferencedStudySequence") or ():
            for one in study.get("RTReferencedSeriesSequence") or ():
                series.add(str(one.get("SeriesInstanceUID") or ""))
                contoured = one.get("ContourImageSequence") or ()
                images.update(str(image.get("ReferencedSOPInstanceUID") or "") for image in contoured)
    for roi in header.get("StructureSetROISequence") or ():
        frames.add(str(roi.get("ReferencedFrameOfReferenceUID") or ""))
    return frames, series, images


def _images_of_contours(header: Any) -> set[str]:
    return {
        str(image.get("ReferencedSOPInstanceUID") or "")
        for roi in header.get("ROIContourSequence") or ()
        for contour in roi.get("ContourSequence") or ()
        for image in contour.get("ContourImageSequence") or ()
    }
