"""One case read: voxels, labels of all its segmentations, and everything that is checked on the way."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from dataset_builder.core.errors import (
    AffineMismatchError,
    LabelConflictError,
    MissingLabelsError,
    UnreadableError,
)
from dataset_builder.imaging.memory_limit import check_fits
from dataset_builder.imaging.volume import Volume, volume_from_arrays
from dataset_builder.sources.base import Case
from dataset_builder.sources.dicom.contours import Points, contours_of, lay_contours
from dataset_builder.sources.dicom.files import READ, READ_FIRST, open_dicom, sop_class
from dataset_builder.sources.dicom.grid import Grid
from dataset_builder.sources.dicom.identifiers import identifiers_in
from dataset_builder.sources.dicom.labels import Region, check_known, regions_of_rtstruct, regions_of_seg
from dataset_builder.sources.dicom.pixels import Voxels, check_end, check_pixels, frames_of
from dataset_builder.sources.dicom.planes import Plane, planes_of
from dataset_builder.sources.dicom.segmentation import lay_segments
from dataset_builder.sources.dicom.stack import Stack, stack_of
from dataset_builder.sources.overlap import in_laying_order
from dataset_builder.vocabulary import Structure, structures


@dataclass
class Identifiers:
    """What identifies the patient, gathered while files are read, which file is being read, and its labels."""

    known: frozenset[str] = frozenset()
    place: str = ""
    regions: list[Region] = field(default_factory=list)

    def of(self, dataset: Any) -> None:
        """Add those of a file."""
        self.known |= identifiers_in(dataset)


@dataclass(frozen=True)
class _Size:
    """What a volume will be, for the check of memory."""

    shape: tuple[int, int, int]
    value_type: np.dtype
    path: Path | None = None


def read_case(
    case: Case,
    slices: Sequence[tuple[int, int]],
    images: int,
    vocabulary: Path | None,
    ignored: frozenset[str],
    identifiers: Identifiers,
) -> Volume:
    """The volume of a case.

    Args:
        case: its paths are the files of the images, then those of the segmentations.
        slices: file and frame of each slice, in order as far as that is known.
        images: so many of the paths are images.
        vocabulary: a user's own structures, if any.
        ignored: normalised names of labels to leave out.
        identifiers: notified of every file that is opened.

    Raises:
        CaseError: a subclass for each reason why it cannot be used.
        Exception: whatever pydicom raises of a damaged file.
    """
    words = structures(vocabulary)
    if len(case.paths) <= images:
        raise MissingLabelsError("The series has no segmentation.", remedy="Add it, or leave the series out.")
    segmentations = []
    for path in case.paths[images:]:
        identifiers.place = ", its segmentation"
        segmentations.append(_Labels.opened(path, words, ignored, identifiers))
    voxels, stack, frame_of_reference = read_images(case, slices, images, identifiers)
    identifiers.place = ", its segmentation"
    for labels in segmentations:
        labels.check_frame_of_reference(frame_of_reference)
    names = _names(segmentations, words)
    laid = np.zeros(stack.shape[::-1], np.uint8 if len(names) < 256 else np.uint16).T
    overlap = _lay_all(segmentations, names, stack, laid)
    identifiers.place = ""
    volume = volume_from_arrays(
        voxels,
        laid,
        {value: name for name, value in names.items()},
        stack.affine,
        source=case.source,
        subject=case.subject,
        modality=case.modality,
        licence=case.licence,
        side=case.side,
    )
    left_out = {region.ignored for labels in segmentations for region in labels.regions if region.ignored}
    return replace(volume, overlap_voxels=overlap, ignored=tuple(sorted(left_out)))


# Images --------------------------------------------------------------------------------------------------------------


def read_images(
    case: Case, slices: Sequence[tuple[int, int]], images: int, identifiers: Identifiers
) -> tuple[npt.NDArray, Stack, str]:
    """Voxels [I, J, K], their grid, and the UID of the frame of reference."""
    where = {slice_: index for index, slice_ in enumerate(slices)}
    planes: dict[int, Plane] = {}
    voxels: Voxels | None = None
    frame_of_reference = ""
    for number, path in enumerate(case.paths[:images]):
        identifiers.place = f", image {number + 1} of {images}"
        image = open_dicom(path, READ if number else READ_FIRST)
        if number == 0:
            identifiers.of(image)
            frame_of_reference = frame_of_reference or str(image.get("FrameOfReferenceUID") or "")
        if not image.get("Rows"):  # it had some when the folder was listed: the file ends too early for pydicom
            raise UnreadableError(
                "A file of the series is truncated or damaged.", remedy="Copy the series again from its source."
            )
        here = {
            where[number, plane.frame]: plane
            for plane in planes_of(image, number, tags=False)
            if (number, plane.frame) in where
        }
        if not where:
            continue  # not known yet where a slice lies: the image that does not say it is still to come
        check_pixels(image)
        check_end(image, path)
        if voxels is None:
            shape = (int(image.Columns), int(image.Rows), len(slices))
            check_fits(_Size(shape, np.dtype(np.int16)), 1)
            voxels = Voxels(shape, case.modality)
        order = sorted(here, key=lambda index: here[index].frame)
        for index, stored in zip(order, frames_of(image, [here[at].frame for at in order]), strict=True):
            voxels.put(index, stored, here[index], image)
        planes |= here
    if voxels is None or len(planes) != len(slices):
        raise UnreadableError("The series has changed since it was listed.", remedy="Give the same command again.")
    identifiers.place = ""
    stack = stack_of([planes[index] for index in range(len(slices))])
    at = {(plane.file, plane.frame): index for index, plane in planes.items()}
    order_now = np.array([at[plane.file, plane.frame] for plane in stack.planes])
    return voxels.array(None if (order_now == np.arange(len(slices))).all() else order_now), stack, frame_of_reference


# Labels --------------------------------------------------------------------------------------------------------------


@dataclass(eq=False)
class _Labels:
    """An opened segmentation."""

    dataset: Any
    is_seg: bool
    regions: list[Region]
    contours: dict[int, list[tuple[bool, Points]]] | None = field(default=None)

    @classmethod
    def opened(
        cls, path: Path, words: Mapping[str, Structure], ignored: frozenset[str], identifiers: Identifiers
    ) -> "_Labels":
        dataset = open_dicom(path)
        identifiers.of(dataset)
        is_seg = not sop_class(dataset).endswith("481.3")
        regions = (regions_of_seg if is_seg else regions_of_rtstruct)(dataset, words, ignored)
        identifiers.regions += regions
        check_known(regions, words)
        return cls(dataset, is_seg, regions)

    def check_frame_of_reference(self, uid: str) -> None:
        if self.is_seg:
            stated = {str(self.dataset.get("FrameOfReferenceUID") or "")}
        else:
            stated = {
                str(roi.get("ReferencedFrameOfReferenceUID") or "")
                for roi in self.dataset.get("StructureSetROISequence") or ()
            }
        if uid and stated - {""} and uid not in stated:
            raise AffineMismatchError(
                "The segmentation has another frame of reference than the image: positions cannot be compared.",
                remedy="Give the series that it was drawn on, or register the two and export the segmentation again.",
            )

    def names(self) -> set[str]:
        """Structures that it tells about: a region without a contour was not drawn, a segment may well be empty."""
        drawn = None if self.contours is None else {number for number, found in self.contours.items() if found}
        return {
            region.structure
            for region in self.regions
            if region.structure and (drawn is None or region.number in drawn)
        }

    def lay(self, values: Mapping[str, int], stack: Stack, labels: npt.NDArray) -> int:
        """Lay those structures that have a value."""
        of_regions = {region.number: values.get(region.structure or "", 0) for region in self.regions}
        if self.contours is not None:
            return lay_contours(self.contours, of_regions, labels)
        return lay_segments(self.dataset, of_regions, Grid(stack), labels)


def _names(segmentations: Sequence[_Labels], words: Mapping[str, Structure]) -> dict[str, int]:
    """Label value of each structure, in the order in which they are laid."""
    names: set[str] = set()
    for labels in segmentations:
        names |= {region.structure for region in labels.regions if region.structure}
    if not names:
        raise MissingLabelsError(
            "The segmentation of the series contains no structure.",
            remedy="Check its segments; those ignored with --ignore-labels do not count.",
        )
    return {name: value for value, name in enumerate(in_laying_order(names, words), 1)}


def _lay_all(segmentations: Sequence[_Labels], names: dict[str, int], stack: Stack, laid: npt.NDArray) -> int:
    """Lay all segmentations; a structure is taken from one of them alone, and from a SEG rather than from contours."""
    for labels in segmentations:
        if not labels.is_seg:
            labels.contours = contours_of(labels.dataset, stack)
    taken: dict[str, _Labels] = {}
    overlap = 0
    for labels in sorted(segmentations, key=lambda labels: not labels.is_seg):
        own = labels.names()
        for name in sorted(own & taken.keys()):
            if taken[name].is_seg == labels.is_seg and not _alike(name, taken[name], labels, stack):
                raise LabelConflictError(
                    "Two segmentations of the series show the same structure differently.",
                    value=name,
                    remedy="Keep only the right one in the folder.",
                )
        new = {name: names[name] for name in own - taken.keys()}
        if new:
            overlap += labels.lay(new, stack, laid)
        taken |= dict.fromkeys(new, labels)
    for name in names.keys() - taken.keys():
        del names[name]
    return overlap


def _alike(name: str, first: _Labels, second: _Labels, stack: Stack) -> bool:
    masks = [np.zeros(stack.shape[::-1], np.uint8).T for _ in range(2)]
    for mask, labels in zip(masks, (first, second), strict=True):
        labels.lay({name: 1}, stack, mask)
    return bool(np.array_equal(masks[0], masks[1]))
