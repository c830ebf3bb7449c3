"""The queues of a build: its cases, and the volumes that it asks about; both in a fixed order."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from dataset_builder.building.worker import Listed
from dataset_builder.core.errors import BuildError
from dataset_builder.core.factors import MODALITIES
from dataset_builder.core.settings import Settings
from dataset_builder.files.disk_list import SizedIterable, Spool, in_order
from dataset_builder.questions.quotas import Mixture
from dataset_builder.slices.store import StoredVolume
from dataset_builder.sources.base import Source


class CaseList:
    """Every case of every source, sorted by source and subject; listed once, then read from a file.

    Args:
        sources: that list the cases.
        key: by which the workers have the sources.
        work: a folder for files.

    Raises:
        BuildError: if two cases have the same name.
    """

    def __init__(self, sources: Sequence[Source], key: str, work: Path) -> None:
        self._cases: Spool[Listed] = Spool(work / "cases")
        listed = (Listed(key, number, case) for number, source in enumerate(sources) for case in source.cases())
        before = None
        for item in in_order(listed, key=lambda item: (item.case.source, item.case.subject), folder=work):
            name = (item.case.source, item.case.subject)
            if name == before:
                raise BuildError(
                    "Two cases have the same source and subject.",
                    value="/".join(name),
                    remedy="Give each folder once; rename a case that is in two folders.",
                )
            self._cases.add(item)
            before = name

    def __len__(self) -> int:
        return len(self._cases)

    def __iter__(self) -> Iterator[Listed]:
        return iter(self._cases)


class AskQueue:
    """Number, volume and its own settings of every volume that is asked about."""

    def __init__(self, volumes: SizedIterable[StoredVolume], settings: Settings) -> None:
        self._volumes = volumes
        self._mixture = Mixture(settings)
        self._kinds = bytearray()  # of each volume; none if it does not matter
        if settings.ct_share is not None:
            for volume in volumes:
                modality = volume.modality
                self._kinds.append(MODALITIES.index(modality))
                self._mixture.count(volume.identity, modality)
        self._count = sum(1 for _ in self) if settings.ct_share is not None else len(volumes)

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[tuple[int, StoredVolume, Settings]]:
        for number, volume in enumerate(self._volumes):
            kind = MODALITIES[self._kinds[number]] if self._kinds else MODALITIES[0]
            settings = self._mixture.settings_of(volume.identity, kind)
            if settings is not None:
                yield number, volume, settings
