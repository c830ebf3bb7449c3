"""The rows of each volume, and where among them those of a cell are: its file is made without a look at the others."""

from array import array
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from dataset_builder.dataset.manifest import Key

WAITING = 1 << 16
"""How many entries are held before they are written: some megabytes."""

_ENTRY = 4 * array("Q").itemsize


@dataclass(frozen=True)
class Part:
    """The rows of one volume: an Arrow file with one record batch per cell.

    Args:
        number: of the volume, in the order of the data set.
        cells: config and split of each batch, in their order.
        rows: of each batch.
        sizes: of each batch, in bytes.
        distinct: of each batch, bytes of its images, those that many rows show counted once: about what a data file
            takes.
        names: canonical names of the structures that are asked about.
        excluded: the fact of each row that the settings exclude.
        unmatched: how many questions were tried in vain with other subjects' slices.
    """

    number: int
    cells: tuple[Key, ...]
    rows: tuple[int, ...]
    sizes: tuple[int, ...]
    distinct: tuple[int, ...]
    names: tuple[str, ...]
    excluded: tuple[str, ...] = ()
    unmatched: int = 0


def part_path(folder: Path, number: int) -> Path:
    """The file with the rows of the volume of that number."""
    return folder / f"{number:08d}.arrow"


class Batch(NamedTuple):
    """Rows of one cell and volume: the file, which of its batches, its size and that of its distinct images."""

    path: Path
    number: int
    size: int
    distinct: int


class Parts:
    """The parts of a data set, by cell. Survives pickling, the files staying where they are.

    Of each part and cell four numbers are kept, in one file per cell: of 100,000 volumes 3.2 MB each.

    Args:
        folder: of the parts' files, and of these.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.names: set[str] = set()
        """Canonical names of the structures that are asked about."""
        self.excluded: Counter[str] = Counter()
        """How many rows were left out of each fact that the settings exclude."""
        self.unmatched = 0
        """How many questions were tried in vain with other subjects' slices."""
        self.distinct: dict[Key, int] = {}
        """Bytes of each cell's distinct images."""
        self._waiting: dict[Key, array[int]] = {}
        self._entries = 0

    def add(self, part: Part) -> None:
        """The next volume's part, whose file is there."""
        self.names.update(part.names)
        self.excluded.update(part.excluded)
        self.unmatched += part.unmatched
        for number, (cell, size, distinct) in enumerate(zip(part.cells, part.sizes, part.distinct, strict=True)):
            self.distinct[cell] = self.distinct.get(cell, 0) + distinct
            self._waiting.setdefault(cell, array("Q")).extend((part.number, number, size, distinct))
            self._entries += 1
        if self._entries >= WAITING:
            self._write()

    def of(self, cell: Key, start: int = 0, stop: int | None = None) -> Iterator[Batch]:
        """The batches of a cell, or those of these numbers, in the order in which their parts were added."""
        self._write()
        with self._path(cell).open("rb") as file:
            file.seek(start * _ENTRY)
            left = -1 if stop is None else stop - start
            while left and (entry := file.read(_ENTRY)):
                part, *rest = array("Q", entry)
                yield Batch(part_path(self.folder, part), *rest)
                left -= 1

    def distinct_of(self, cell: Key) -> "array[int]":
        """Bytes of the distinct images of each batch of a cell."""
        self._write()
        path = self._path(cell)
        entries = array("Q")
        with path.open("rb") as file:
            entries.fromfile(file, path.stat().st_size // entries.itemsize)
        return entries[3::4]

    def _write(self) -> None:
        for cell, entries in self._waiting.items():
            with self._path(cell).open("ab") as file:
                entries.tofile(file)
        self._waiting = {}
        self._entries = 0

    def _path(self, cell: Key) -> Path:
        return self.folder / f"{'.'.join(cell)}.index"

    def __bool__(self) -> bool:
        return bool(self.distinct)

    def __getstate__(self) -> dict[str, Any]:
        self._write()
        return self.__dict__
