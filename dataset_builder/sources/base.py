"""What every source is: cases that can be listed without reading a voxel, and a way to read one.

Sources and cases travel to worker processes: both survive pickling.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from dataset_builder.core.factors import Modality, Side
from dataset_builder.imaging.volume import Volume


@dataclass(frozen=True)
class Case:
    """One labelled scan that a source offers; whether it can be used shows when it is read.

    Args:
        source: name of the source.
        subject: the source's own identifier of the scan, unique in the source.
        modality: ``ct`` or ``mri``.
        licence: of the scan, as an SPDX identifier where there is one.
        paths: the files that the case is made of, whether they exist or not; a folder of masks counts as one.
        side: of the limb, for a scan of one limb; else ``None``.
        patient: whose scan it is, where the source knows that several may be of one person; ``None``: the subject's.
    """

    source: str
    subject: str
    modality: Modality
    licence: str
    paths: tuple[Path, ...] = ()
    side: Side | None = None
    patient: str | None = None

    def __post_init__(self) -> None:
        if any(isinstance(path, str) for path in self.paths):
            object.__setattr__(self, "paths", tuple(map(Path, self.paths)))


class Source(Protocol):
    """Where labelled volumes come from."""

    @property
    def name(self) -> str:
        """Short name, as in ``--source NAME`` and in the column ``source``."""

    @property
    def licence(self) -> str:
        """Licence of the scans, as an SPDX identifier where there is one."""

    @property
    def citation(self) -> str:
        """How to cite the scans; empty if not known."""

    @property
    def url(self) -> str:
        """Where the scans are from; empty if not known."""

    def cases(self) -> Iterable[Case]:
        """All cases, usable or not, in an order of their own that does not change.

        Raises:
            SourceError: if the folder does not have the layout it should have, or no case.
            FetchError: if the scans have to be fetched and cannot be.
        """

    def read(self, case: Case) -> Volume:
        """One case of this source as a volume.

        Raises:
            CaseError: if the case cannot be used.
        """


@dataclass(frozen=True)
class LeftOut:
    """A file of a source's folder that looks like an image or labels, and is part of no case.

    Args:
        file: its path in the folder, as it may be published; of private scans a pseudonym, or nothing.
        reason: why; one sentence that is the same for all files of the same kind, which are shown together.
        remedy: what to do to have it read, if anything.
        count: how many files, where they are counted by kind; ``file`` is then an example, or empty.
    """

    file: str
    reason: str
    remedy: str = ""
    count: int = 1


@runtime_checkable
class LeavesOut(Protocol):
    """A source that can tell what of its folder it does not read."""

    def left_out(self) -> Iterable[LeftOut]:
        """What is part of no case; asked for in the main process, after ``cases`` was read to its end."""


def left_out_of(source: object) -> Iterable[LeftOut]:
    """What a source does not read, if it can tell."""
    while isinstance(source, SourceOf):
        source = source.source
    return source.left_out() if isinstance(source, LeavesOut) else ()


@dataclass(frozen=True)
class SourceOf:
    """A source that stands before another one: what is said of the scans is said by that one."""

    source: Source

    @property
    def name(self) -> str:
        """As the source's."""
        return self.source.name

    @property
    def licence(self) -> str:
        """As the source's."""
        return self.source.licence

    @property
    def citation(self) -> str:
        """As the source's."""
        return self.source.citation

    @property
    def url(self) -> str:
        """As the source's."""
        return self.source.url


def remarks_of(source: object) -> tuple[str, ...]:
    """What the user should know of how a source is read, such as the channel; sentences for the summary."""
    while isinstance(source, SourceOf):
        source = source.source
    return tuple(getattr(source, "remarks", ()))


def reading_of(source: object, case: Case) -> object:
    """What decides how a case is read beside its files, such as the channel and the labels that are left out."""
    while isinstance(source, SourceOf):
        source, case = source.source, getattr(case, "original", None) or case
    reads_as = getattr(source, "reads_as", None)
    return None if reads_as is None else reads_as(case)


def is_public(source: object) -> bool:
    """Whether the scans are published ones, whose names are the archive's; others are somebody's own."""
    while isinstance(source, SourceOf):
        source = source.source
    return bool(getattr(source, "public", True))


def folder_of(source: object) -> Path | None:
    """The folder that a source reads; ``None`` if it reads none."""
    while isinstance(source, SourceOf):
        source = source.source
    folder = getattr(source, "folder", None)
    return folder if isinstance(folder, Path) else None


_SERIES_OF_PATIENTS = frozenset({"dicom"})
"""Sources whose subjects are a patient's name or pseudonym, a hyphen, and what tells the patient's scans apart."""


def patient_of(source: str, subject: str) -> str:
    """Whose scan it is: no patient may be in two splits, with whichever scan.

    >>> patient_of("dicom", "5f0c9a31e2b4-77ad01c9")
    '5f0c9a31e2b4'
    >>> patient_of("nnunet", "case-1")
    'case-1'
    """
    return subject.rpartition("-")[0] or subject if source in _SERIES_OF_PATIENTS else subject
