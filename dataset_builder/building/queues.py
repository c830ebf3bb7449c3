"""The queues of a build: its cases, and the volumes that it asks about; both in a fixed order."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple, TypeVar

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


NEXT = 4
"""So many volumes that follow a volume may lend it a slice (view ``swapped``)."""


class Asked(NamedTuple):
    """A volume that is asked about.

    Args:
        number: in the order of the data set.
        settings: its own.
        others: the volumes with slices that follow it; after the last one comes the first.
    """

    number: int
    volume: StoredVolume
    settings: Settings
    others: tuple[StoredVolume, ...] = ()


T = TypeVar("T")


def followers(items: Iterable[T], count: int, is_one: Callable[[T], bool]) -> Iterator[tuple[T, tuple[T, ...]]]:
    """Each item with the next ones of a kind, in a circle.

    >>> list(followers([1, 2, 3, 4], 2, lambda item: item != 3))
    [(1, (2, 4)), (2, (4, 1)), (3, (4, 1)), (4, (1, 2))]
    """
    first = tuple(islice((item for item in items if is_one(item)), count + 1))
    waiting: deque[T] = deque()
    ahead = 0

    def next_ones() -> tuple[T, ...]:
        """Those of the kind behind the item that waits longest, and from the beginning."""
        behind = [item for item in islice(waiting, 1, None) if is_one(item)]
        around = [item for item in first if item is not waiting[0] and item != waiting[0]]
        found = behind + [item for item in around if item not in behind]
        return tuple(found[:count])

    for item in items:
        waiting.append(item)
        ahead += is_one(item)
        while ahead - is_one(waiting[0]) >= count:
            found = waiting[0], next_ones()
            ahead -= is_one(waiting.popleft())
            yield found
    while waiting:
        found = waiting[0], next_ones()
        waiting.popleft()
        yield found


class AskQueue:
    """Every volume that is asked about."""

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

    def __iter__(self) -> Iterator[Asked]:
        for number, (volume, others) in enumerate(followers(self._volumes, NEXT, lambda one: one.slices > 0)):
            kind = MODALITIES[self._kinds[number]] if self._kinds else MODALITIES[0]
            settings = self._mixture.settings_of(volume.identity, kind)
            if settings is not None:
                yield Asked(number, volume, settings, others)
