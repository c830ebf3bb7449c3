"""Long lists on disk: a build of any number of volumes holds a few of them in memory at a time.

A list lives in the hidden folder that a build works in, or in a temporary file, and is made again by each build: what
is done already is known from the slice store, never from these.

They are files of pickles and no SQLite tables: items are read in order, and sorted by keys that only Python can work
out; a table of pickles would need a column for each key beside the same code.
"""

import heapq
import pickle
import tempfile
from array import array
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, Generic, Protocol, TypeVar

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

MARKED = 1_000
"""Of every n-th item it is known where in the file it begins."""
MANY = 5_000
"""How many items are sorted in memory."""
MAX_FILES = 64
"""How many sorted pieces may lie on disk, each an open file, before they are merged."""


class SizedIterable(Protocol[T_co]):
    """What can be gone through from the start as often as wanted, and whose length is known: a list, a spool."""

    def __iter__(self) -> Iterator[T_co]: ...

    def __len__(self) -> int: ...


class Spool(Generic[T]):
    """Items in a file, in the order in which they were added. Survives pickling, the file staying where it is.

    Args:
        path: of the file; an existing one is overwritten.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._count = 0
        self._marks = array("Q")  # where each MARKED-th item begins
        self._file: BinaryIO | None = path.open("wb")

    def add(self, item: T) -> None:
        """Append an item."""
        if self._file is None:
            self._file = self.path.open("ab")
        if self._count % MARKED == 0:
            self._marks.append(self._file.tell())
        pickle.dump(item, self._file, pickle.HIGHEST_PROTOCOL)
        self._count += 1

    def _close(self) -> None:
        """Whoever opens the file, on whatever machine, finds all of it."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[T]:
        return self.between(0, self._count)

    def between(self, start: int, stop: int) -> Iterator[T]:
        """The items of these numbers, those before hardly looked at."""
        self._close()
        if start >= stop:
            return
        with self.path.open("rb") as file:
            file.seek(self._marks[start // MARKED])
            for number in range(start // MARKED * MARKED, stop):
                item = pickle.load(file)
                if number >= start:
                    yield item

    def __getstate__(self) -> dict[str, Any]:
        self._close()
        return self.__dict__


def in_order(
    items: Iterable[T],
    key: Callable[[T], Any],
    folder: Path | None = None,
    many: int = MANY,
    max_files: int = MAX_FILES,
) -> Iterator[T]:
    """As ``sorted(items, key=key)``, with a limited number of items in memory; the others wait in unnamed files.

    Args:
        items: that survive pickling.
        key: to sort by.
        folder: where the files are made; by default where temporary files are.
        many: how many items are sorted in memory.
        max_files: how many files may be open at once.
    """
    pieces: list[BinaryIO] = []
    waiting: list[T] = []
    try:
        for item in items:
            waiting.append(item)
            if len(waiting) == many:
                pieces.append(_laid_down(sorted(waiting, key=key), folder))
                waiting = []
            if len(pieces) == max_files:
                one = _laid_down(_merged(pieces, key), folder)
                _close(pieces)
                pieces = [one]
        waiting.sort(key=key)
        yield from heapq.merge(*map(_taken_up, pieces), waiting, key=key)  # of equal ones the earlier comes first
    finally:
        _close(pieces)


def _merged(pieces: list[BinaryIO], key: Callable[[T], Any]) -> Iterator[T]:
    return heapq.merge(*map(_taken_up, pieces), key=key)


def _laid_down(items: Iterable[Any], folder: Path | None) -> BinaryIO:
    file: BinaryIO = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - closed by who called, gone when closed
    try:
        for item in items:
            pickle.dump(item, file, pickle.HIGHEST_PROTOCOL)
        file.seek(0)
    except BaseException:
        file.close()
        raise
    return file


def _taken_up(file: BinaryIO) -> Iterator[Any]:
    while True:
        try:
            yield pickle.load(file)
        except EOFError:
            return


def _close(files: Iterable[BinaryIO]) -> None:
    for file in files:
        file.close()
