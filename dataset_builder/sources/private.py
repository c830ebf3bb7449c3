"""Private scans under pseudonyms: what is published of them holds no name of a patient, a case or a file."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from functools import cache
from pathlib import Path

from dataset_builder.core.errors import MISGroundError, SourceError, UnreadableError
from dataset_builder.files.pseudonyms import open_pseudonyms
from dataset_builder.imaging.scan_files import ending_of
from dataset_builder.imaging.volume import Volume
from dataset_builder.sources.base import Case, Source, SourceOf, folder_of
from dataset_builder.vocabulary import structures

ROLES = ("IMAGE", "LABELS")
"""What stands for the path of a case's image, and of its label file or folder of masks."""


@dataclass(frozen=True)
class PrivateCase(Case):
    """A case whose subject is a pseudonym.

    Args:
        original: the case under its own name.
        folder: that the source reads.
    """

    original: Case | None = None
    folder: Path | None = None


@dataclass(frozen=True)
class Private(SourceOf):
    """A source whose subjects are pseudonyms; which is whose stays in a local file of the user's."""

    def cases(self) -> Iterator[Case]:
        """As the source's, in the order of the pseudonyms.

        Raises:
            SourceError: if two cases have the same name, besides what the source raises.
        """
        pseudonyms = open_pseudonyms()
        renamed: dict[str, PrivateCase] = {}
        folder = folder_of(self)
        for case in self.source.cases():
            subject = pseudonyms.of(case.source, case.subject)
            if subject in renamed:
                raise SourceError(
                    "Two cases have the same source and subject.", value=subject, remedy="Rename one of them."
                )
            files = dict(zip(("image", "labels"), (_below(path, folder) for path in case.paths), strict=False))
            pseudonyms.note(subject, {"source": case.source, "subject": case.subject, **files})
            # The same pseudonym as a subject of that name has: data sets that know no patients are kept apart, too.
            patient = None if case.patient is None else pseudonyms.of(case.source, case.patient)
            if patient is not None and patient != subject:
                pseudonyms.note(f"patient {patient}", {"source": case.source, "patient": str(case.patient)})
            known = {field.name: getattr(case, field.name) for field in fields(Case)}
            changed = {"subject": subject, "patient": patient}
            renamed[subject] = PrivateCase(**known | changed, original=case, folder=folder)
        pseudonyms.save()
        yield from (renamed[subject] for subject in sorted(renamed))

    def read(self, case: Case) -> Volume:
        """As the source's; no error shows how files and folders are called."""
        assert isinstance(case, PrivateCase)
        assert case.original is not None
        try:
            return replace(self.source.read(case.original), subject=case.subject)
        except MISGroundError as error:
            reported = cleaned(error, case)
        except OSError as error:
            if error.filename is None:  # such as a full disk
                raise
            reported = UnreadableError(
                "The system cannot read a file.",
                file=without_names(str(error.filename), case),
                value=error.strerror,
                remedy="Repair the link or the permissions, or copy the file again from its source.",
            )
        raise reported from None


def cleaned(error: MISGroundError, case: Case) -> MISGroundError:
    """The same error without names of a private case's files."""
    if not isinstance(case, PrivateCase):
        return error
    file = None if error.file is None else f"{without_names(error.file, case)} of {case.subject}"
    value = None if error.value is None else without_names(str(error.value), case)
    return type(error)(
        without_names(error.problem, case), file=file, value=value, remedy=without_names(error.remedy, case)
    )


def without_names(text: str, case: Case) -> str:
    """A text without the names of a private case's files and folders, as far as they may name a patient."""
    if not isinstance(case, PrivateCase) or case.original is None:
        return text
    from dataset_builder.sources.dicom.identifiers import without_identifiers  # with OpenCV, which opening needs not

    paths = case.original.paths
    for path, role in zip(paths, (*ROLES, *("TABLE" for _ in paths)), strict=False):
        for said in (str(path), "/".join(path.parts[-2:]), path.name):
            text = re.sub(rf"(?<![^\s'\"\[(]){re.escape(said)}(?![\w-])", role, text)
    if case.folder is not None:
        text = text.replace(f"{case.folder}/", "")
    subject = case.original.subject
    if len(subject) > 2 and subject.lower() not in _plain_words():  # a case may be called "a"
        text = re.sub(rf"(?<![^\W_]){re.escape(subject)}(?![^\W_])", case.subject, text)
    return without_identifiers(text, frozenset(_telling(case)))


def _telling(case: PrivateCase) -> Iterator[str]:
    """Parts of names that may be a patient's: of the case, its files and the folders that they lie in."""
    assert case.original is not None
    names = [
        case.original.subject,
        case.original.patient or "",
        *(_below(path, case.folder) for path in case.original.paths),
    ]
    for name in names:
        for part in re.split(r"[\W_]+", name):
            if len(part) > 2 and part.lower() not in _plain_words() and not re.fullmatch(r"\d{1,3}|0{2,}\d*", part):
                yield part


def _below(path: Path, folder: Path | None) -> str:
    return str(path.relative_to(folder)) if folder is not None and path.is_relative_to(folder) else path.name


@cache
def _plain_words() -> frozenset[str]:
    """Words of file names that name nobody."""
    anatomy = {word for structure in structures().values() for word in structure.name.lower().split("_")}
    return frozenset(anatomy | set(_PLAIN.split()))


_PLAIN = """
    image images imagestr imagests imagesva imagesval img imgs scan scans volume volumes vol data dataset raw json yaml
    yml tsv csv txt label labels labelstr labelsts labelsva labelsval seg segs segmentation segmentations mask masks
    dseg derivatives anat sub ses run desc space orig native case cases patient patients subject subjects study series
    mri ct mr cta t1w t2w flair dess pdw nii nrrd nhdr mha mhd mgz mgh zip aparc aseg dktatlas norm brain image_0000
    pairs names table total body left right axial coronal sagittal dicom slicer nnunet bids
"""


def publishable_names(source: Source, files: Sequence[str]) -> list[str]:
    """How files of a source's folder may be called in what is published: those of private scans have pseudonyms.

    Which file a pseudonym stands for is noted in the user's local list.
    """
    if not is_private(source):
        return list(files)
    pseudonyms = open_pseudonyms()
    names = []
    for file in files:
        names.append(f"{pseudonyms.of(source.name, 'file', file)}{ending_of(file).lower()}")
        pseudonyms.note(names[-1], {"source": source.name, "file": file})
    pseudonyms.save()
    return names


def is_private(source: object) -> bool:
    """Whether the names of a source's files must not be published."""
    while isinstance(source, SourceOf):
        if isinstance(source, Private):
            return True
        source = source.source
    return False
