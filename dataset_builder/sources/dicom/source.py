"""The source ``dicom``: studies as scanners, archives and radiotherapy planning write them.

A case is a volume of one series with the segmentations (SEG, RTSTRUCT) that refer to it. Which of a series' files are
one volume follows from their geometry (:mod:`dataset_builder.sources.dicom.stack`), which segmentation belongs to it
from the UIDs that the segmentation refers to: images first, then series, then the frame of reference alone.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import ClassVar

from dataset_builder.core.errors import CaseError, LabelConflictError, MISGroundError, SourceError, UnreadableError
from dataset_builder.files.progress import report
from dataset_builder.files.pseudonyms import Pseudonyms, open_pseudonyms
from dataset_builder.imaging.volume import Volume
from dataset_builder.sources.base import Case, LeftOut
from dataset_builder.sources.dicom.files import check_installed
from dataset_builder.sources.dicom.identifiers import cleaned, unheard, without_identifiers
from dataset_builder.sources.dicom.listing import LabelFile, Listing, Series, list_folder
from dataset_builder.sources.dicom.planes import Plane
from dataset_builder.sources.dicom.reading import Identifiers, read_case
from dataset_builder.sources.dicom.stack import split_series
from dataset_builder.sources.recognise import hint
from dataset_builder.vocabulary import normalise

NAME = "dicom"


@dataclass(frozen=True)
class DicomCase(Case):
    """A volume of a series and its segmentations, or a segmentation whose volume could not be told.

    Args:
        slices: of the volume, from one end to the other: number of the file in ``paths``, number of the frame in it.
        images: so many of ``paths``, from the first on, are images; the others are segmentations.
        problem: why there is no volume; empty if there is one.
    """

    slices: tuple[tuple[int, int], ...] = ()
    images: int = 0
    problem: str = ""


@dataclass(eq=False)
class _Stack:
    """A volume of a series, before it has a name."""

    series: Series
    number: int
    planes: list[Plane]
    uids: frozenset[str]
    frame_of_reference: str
    labels: list[LabelFile] = field(default_factory=list)


@dataclass
class DicomStudies:
    """The source ``dicom``.

    Args:
        folder: with everything in it.
        vocabulary: a user's own structures, if any.
        ignored: normalised names of labels to leave out.
        keep_names: whether subjects are Patient IDs, not pseudonyms.
    """

    folder: Path
    vocabulary: Path | None = None
    ignored: frozenset[str] = frozenset()
    keep_names: bool = False
    name: str = NAME
    licence: str = "unknown"
    citation: str = ""
    url: str = ""
    public: ClassVar[bool] = False
    labels_read: dict[str, tuple[str | None, str]] = field(default_factory=dict)
    """Of the cases read so far, label by label without identifiers: the structure, or why it is left out, if it is."""
    _left_out: list[LeftOut] = field(default_factory=list)

    def cases(self) -> Iterator[Case]:
        """Every volume that a segmentation refers to, and every segmentation whose volume is not here, by subject.

        Series without a segmentation are listed in :meth:`left_out`.
        """
        check_installed()
        try:
            listing = list_folder(self.folder, partial(report, "files"))
        except OSError as error:
            raise SourceError(
                "The folder cannot be read.", file=self.folder, value=error.strerror, remedy="Look at its permissions."
            ) from None
        if not listing.files:
            raise SourceError(
                "This folder contains no DICOM image or segmentation.",
                file=self.folder,
                value=_counted({kind: len(files) for kind, files in listing.left_out.items()}) or "no file",
                remedy=f"{hint(self.folder, NAME)}Give the folder with the exported studies; zip files have to be "
                "unpacked.",
            )
        stacks = _stacks_of(listing)
        orphans = _associate(listing, stacks)
        labelled = [stack for stack in stacks if stack.labels]
        unlabelled = list(_unlabelled(listing, stacks))
        if not labelled and not orphans:
            kinds = Counter({kind: len(files) for kind, files in listing.left_out.items()})
            kinds.update(kind for kind, _ in unlabelled)
            raise SourceError(
                "This folder contains no segmentation, so no structure can be located.",
                file=self.folder,
                value=_counted(kinds),
                remedy="Put the DICOM SEG or RTSTRUCT objects beside the images. Labels in other formats: convert the "
                "series with dcm2niix and use nnunet:DIR or pairs:FILE; see docs/own-scans.md.",
            )
        pseudonyms = open_pseudonyms()
        cases = [self._case(stack, listing, pseudonyms) for stack in labelled]
        cases += [self._orphan(labels, problem, listing, pseudonyms) for labels, problem in orphans]
        self._left_out = [LeftOut(self._subject_of(stack, listing, pseudonyms), kind) for kind, stack in unlabelled]
        for kind, files in listing.left_out.items():
            self._left_out += (LeftOut(self._name_of(path, pseudonyms), kind) for path in files)
        pseudonyms.save()
        yield from sorted(cases, key=lambda case: case.subject)

    def left_out(self) -> Iterator[LeftOut]:
        """Files and series that were passed over when the cases were listed, by pseudonyms; no paths."""
        yield from sorted(self._left_out, key=lambda one: (one.reason, one.file))

    def _name_of(self, path: Path, pseudonyms: Pseudonyms) -> str:
        """The pseudonym of a file that belongs to no case."""
        place = path.relative_to(self.folder).as_posix()
        name = pseudonyms.of(NAME, "file", place)
        pseudonyms.note(name, {"source": NAME, "file": place})
        return name

    def _subject_of(self, stack: _Stack, listing: Listing, pseudonyms: Pseudonyms) -> str:
        """The name of a volume, whether it has a segmentation or not."""
        series = stack.series
        files = sorted({plane.file for plane in stack.planes} or series.files)
        telling = "|".join(sorted(stack.uids)) if not series.uid else series.uid
        identity = (series.patient, telling, stack.frame_of_reference, str(stack.number))
        return self._subject(series.patient, series.patient_id, identity, listing.files[files[0]].parent, pseudonyms)

    def _case(self, stack: _Stack, listing: Listing, pseudonyms: Pseudonyms) -> DicomCase:
        series = stack.series
        files = sorted({plane.file for plane in stack.planes} or series.files)
        of_file = {file: number for number, file in enumerate(files)}
        labels = [listing.files[labels.file] for labels in stack.labels]
        images = [listing.files[file] for file in files]
        return DicomCase(
            self.name,
            self._subject_of(stack, listing, pseudonyms),
            series.modality,
            self.licence,
            (*images, *labels),
            series.side,
            patient=self._patient(series.patient, series.patient_id, pseudonyms),
            slices=tuple((of_file[plane.file], plane.frame) for plane in stack.planes),
            images=len(files),
        )

    def _orphan(self, labels: LabelFile, problem: str, listing: Listing, pseudonyms: Pseudonyms) -> DicomCase:
        path = listing.files[labels.file]
        identity = (labels.patient, "labels", *sorted(labels.images or labels.series), str(path.name))
        subject = self._subject(labels.patient, labels.patient_id, identity, path.parent, pseudonyms)
        patient = self._patient(labels.patient, labels.patient_id, pseudonyms)
        return DicomCase(self.name, subject, "ct", self.licence, (path,), patient=patient, problem=problem)

    def _patient(self, patient: str, patient_id: str, pseudonyms: Pseudonyms) -> str:
        """The pseudonym of a patient, or the Patient ID where names are kept."""
        return patient_id if self.keep_names and patient_id else pseudonyms.of(NAME, patient)

    def _subject(
        self, patient: str, patient_id: str, identity: tuple[str, ...], folder: Path, pseudonyms: Pseudonyms
    ) -> str:
        """Patient and series: those of one patient begin alike, so that patients can be kept apart."""
        of_patient = pseudonyms.of(NAME, patient)
        of_series = pseudonyms.of(NAME, *identity, length=8)
        subject = f"{of_patient}-{of_series}"
        place = str(folder.relative_to(self.folder))
        pseudonyms.note(subject, {"source": NAME, "patient": patient, "folder": place, "identity": identity[1]})
        return f"{patient_id}-{of_series}" if self.keep_names and patient_id else subject

    def reads_as(self, case: Case) -> object:
        """The labels that are left out."""
        return sorted(self.ignored)

    def read(self, case: Case) -> Volume:
        """One volume with the labels of all its segmentations; no error shows who the patient is."""
        assert isinstance(case, DicomCase)
        if case.problem:
            raise LabelConflictError(
                _PROBLEMS[case.problem], file=f"segmentation {case.subject}", remedy=_REMEDIES[case.problem]
            )
        identifiers = Identifiers()
        place = f"series {case.subject}"
        with unheard():
            try:
                return read_case(case, case.slices, case.images, self.vocabulary, self.ignored, identifiers)
            except MISGroundError as error:
                reported = cleaned(error, identifiers.known, f"{place}{identifiers.place}")
            except OSError as error:
                reported = UnreadableError(
                    "The system cannot read a file of the series.",
                    file=place,
                    value=error.strerror,
                    remedy="Copy the series again from its source.",
                )
            except (MemoryError, KeyboardInterrupt):
                raise
            except Exception as error:  # of a damaged file; what pydicom says may hold a value of it
                reported = UnreadableError(
                    "A file of the series is damaged.",
                    file=f"{place}{identifiers.place}",
                    value=type(error).__name__,
                    remedy="Export the series and its segmentation again from their archive.",
                )
            finally:
                for region in identifiers.regions:
                    label = without_identifiers(region.label, identifiers.known)
                    self.labels_read[label] = region.structure, region.ignored
        raise reported from None


_PROBLEMS = {
    "absent": "The images that the segmentation was drawn on are not in the folder.",
    "several": "The segmentation does not say which of several volumes it was drawn on.",
}
_REMEDIES = {
    "absent": "Put the series that it refers to into the folder.",
    "several": "Leave only the series that it was drawn on in the folder, or export the segmentation anew with "
    "references to its images.",
}


def _counted(kinds: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} x {kind}" for kind, count in sorted(kinds.items()))


def _stacks_of(listing: Listing) -> list[_Stack]:
    stacks = []
    for series in listing.series.values():
        # Of a series with a file that does not say where it lies, nothing is told apart: reading it says what is wrong.
        split = [series.planes] if series.broken else split_series(series.planes)
        for number, planes in enumerate(split):
            # In order: reading fills an array slice by slice.
            uids = frozenset(series.uids if series.broken else (plane.uid for plane in planes)) - {""}
            frame_of_reference = planes[0].frame_of_reference if planes else ""
            stacks.append(_Stack(series, number, [] if series.broken else _in_order(planes), uids, frame_of_reference))
    return stacks


def _in_order(planes: list[Plane]) -> list[Plane]:
    from dataset_builder.sources.dicom.stack import stack_of

    try:
        return list(stack_of(planes).planes)
    except CaseError:
        return planes


def _associate(listing: Listing, stacks: list[_Stack]) -> list[tuple[LabelFile, str]]:
    """Give each segmentation to its volumes; returns those that have none, and why."""
    orphans = []
    by_image: dict[str, list[_Stack]] = defaultdict(list)
    for stack in stacks:
        for uid in stack.uids:
            by_image[uid].append(stack)
    for labels in listing.labels:
        counts: dict[int, int] = defaultdict(int)
        of = {}
        for uid in labels.images:
            for stack in by_image.get(uid, ()):
                counts[id(stack)] += 1
                of[id(stack)] = stack
        if counts:
            most = max(counts.values())
            chosen = [of[key] for key, count in counts.items() if count == most]
        elif labels.series:
            chosen = [stack for stack in stacks if stack.series.uid in labels.series]
        elif labels.images:
            chosen = []
        else:
            chosen = [stack for stack in stacks if stack.frame_of_reference in labels.frames_of_reference]
        if not counts and len(chosen) > 1:
            orphans.append((labels, "several"))
        elif not chosen:
            orphans.append((labels, "absent"))
        else:
            for stack in chosen:
                stack.labels.append(labels)
    return orphans


def _unlabelled(listing: Listing, stacks: list[_Stack]) -> Iterator[tuple[str, _Stack]]:
    """The series, and further volumes of labelled series, that have no segmentation, and what they are."""
    labelled = {id(stack.series) for stack in stacks if stack.labels}
    told: set[int] = set()  # series
    for stack in stacks:
        series = stack.series
        if id(series) in labelled and not stack.labels:
            yield "further volumes of a series, without a segmentation", stack
        elif id(series) not in labelled and id(series) not in told:
            told.add(id(series))
            kind = "CT" if series.modality == "ct" else "MR"
            yield "localizer series" if series.localizer else f"{kind} series without a segmentation", stack


def open_dicom_studies(
    folder: Path, vocabulary: Path | None = None, ignore_labels: tuple[str, ...] = (), keep_names: bool = False
) -> DicomStudies:
    """The source of that folder.

    Args:
        folder: with studies in any nesting and naming.
        vocabulary: a user's own structures, if any.
        ignore_labels: names of labels to leave out.
        keep_names: whether subjects are Patient IDs, not pseudonyms.

    Raises:
        SourceError: if pydicom is not installed.
    """
    check_installed()
    return DicomStudies(folder, vocabulary, frozenset(map(normalise, ignore_labels)), keep_names)
