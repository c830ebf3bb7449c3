"""The cases that a build could not use: ``quarantine.jsonl``, one line per case, written as they come."""

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any, TextIO, overload

from dataset_builder.building.worker import Quarantined
from dataset_builder.files.atomic import write_atomically
from dataset_builder.files.own_files import free_name


class Quarantine(Sequence[Quarantined]):
    """The cases of a ``quarantine.jsonl``, read from disk on demand: there may be very many.

    Args:
        path: of the file; an existing one is overwritten.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._count = 0
        self._file: TextIO | None = path.open("w", encoding="utf-8", newline="\n")

    def add(self, case: Quarantined) -> None:
        """Append a case."""
        assert self._file is not None
        self._file.write(json.dumps(asdict(case), ensure_ascii=False) + "\n")
        self._file.flush()  # readable while the build is running
        self._count += 1

    def move_to(self, path: Path) -> None:
        """Move the finished file to its place, durably."""
        if self._file is not None:
            os.fsync(self._file.fileno())
            self.close()
        os.replace(self.path, path)
        self.path = path

    def keep_at(self, path: Path) -> Path:
        """Copy what was written so far to a place where it is found after a build that made nothing.

        Args:
            path: of the copy; where a file of something else is there, another name is taken.

        Returns:
            The copy's path.
        """
        if not _is_quarantine(path):
            path = free_name(path)
        write_atomically(path, self.path.read_bytes())
        return path

    def close(self) -> None:
        """End writing."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Quarantined]:
        with self.path.open(encoding="utf-8") as file:
            for line in islice(file, self._count):
                yield Quarantined(**json.loads(line))

    @overload
    def __getitem__(self, index: int) -> Quarantined: ...

    @overload
    def __getitem__(self, index: slice) -> list[Quarantined]: ...

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [*islice(self, *index.indices(self._count))]
        number = range(self._count)[index]
        return next(islice(self, number, None))


def _is_quarantine(path: Path) -> bool:
    """Whether every line of a file is the record of a case."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
        return not path.is_symlink() and bool(lines) and all(Quarantined(**json.loads(line)) for line in lines)
    except (OSError, ValueError, TypeError):
        return False
