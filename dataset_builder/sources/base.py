"""What every source is: cases that can be listed without reading a voxel, and a way to read one.

Sources and cases travel to worker processes: both survive pickling.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

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
    """

    source: str
    subject: str
    modality: Modality
    licence: str
    paths: tuple[Path, ...] = ()
    side: Side | None = None


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
