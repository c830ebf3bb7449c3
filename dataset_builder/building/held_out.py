"""Training and test split: which subjects may be in which, and the refusal of those that may not.

A data set folder has one split. Phantoms belong to a split by their number. A training split from any other source
needs the data sets that it must be disjoint from (``--held-out``): their subjects go to quarantine, or stop a strict
build.
"""

import errno
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from pathlib import Path

import pyarrow.parquet as pq

from dataset_builder.core.errors import BuildError, HeldOutError
from dataset_builder.core.factors import TEST, Split
from dataset_builder.dataset.manifest import Record, read_record
from dataset_builder.sources.base import patient_of
from dataset_builder.sources.phantom import Phantoms, split_of_phantom

PHANTOM = Phantoms.name


@dataclass(frozen=True)
class SplitGuard:
    """Refuses a subject that may not be in a split; called as ``apart(source, subject)``.

    Args:
        split: the split that is being built.
        taken: file of the subjects that are held out (:func:`write_taken`); ``None`` if there are none.
    """

    split: Split
    taken: Path | None = None

    def __call__(self, source: str, subject: str) -> None:
        """Raises :class:`HeldOutError` if the subject may not be in the split."""
        if source == PHANTOM and split_of_phantom(subject) != self.split:
            raise HeldOutError(
                f"This phantom does not belong to the split '{self.split}'.",
                value=subject,
                remedy=f"Make phantoms for it: --split {self.split} --source phantom:N.",
            )
        folder = None if self.taken is None else _folder_of(self.taken, source, subject)
        if folder is not None:
            raise HeldOutError(
                "The subject is in a held-out data set.",
                value=f"{source}/{subject} in {folder}",
                remedy="Nothing needs to be done: it is left out. To use it here, remove it from the other data set.",
            )


_MAKE = "CREATE TABLE taken (source TEXT, subject TEXT, folder TEXT, PRIMARY KEY (source, subject)) WITHOUT ROWID"
_ADD = "INSERT OR IGNORE INTO taken VALUES (?, ?, ?)"
_FIND = "SELECT folder FROM taken WHERE source = ? AND subject = ?"


def write_taken(held_out: Sequence[Path], path: Path) -> None:
    """The subjects of data sets as a file to look them up in; each with the first data set that it is in.

    Raises:
        OSError: if it cannot be written.
    """
    path.unlink(missing_ok=True)
    connection = sqlite3.connect(f"{path.as_uri()}?nolock=1", uri=True)  # a file of this build alone
    try:
        connection.execute("PRAGMA journal_mode = OFF")
        connection.execute(_MAKE)
        for folder in held_out:
            patients = ((source, patient_of(source, subject)) for source, subject in subjects_of(folder))
            connection.executemany(_ADD, ((*identity, folder.name) for identity, _ in groupby(patients)))
        connection.commit()
    except sqlite3.OperationalError as error:
        number = errno.ENOSPC if error.sqlite_errorcode == sqlite3.SQLITE_FULL else errno.EIO
        raise OSError(number, str(error), str(path)) from error
    finally:
        connection.close()


def _folder_of(taken: Path, source: str, subject: str) -> str | None:
    """The data set that a subject is in, if it is in one."""
    status = taken.stat()
    identity = source, patient_of(source, subject)
    found = _opened(taken, status.st_ino, status.st_mtime_ns).execute(_FIND, identity).fetchone()
    return None if found is None else str(found[0])


@lru_cache(maxsize=1)
def _opened(taken: Path, number: int, changed: int) -> sqlite3.Connection:
    """The file, which is finished: it is read without a lock, which not every file system knows."""
    return sqlite3.connect(f"{taken.as_uri()}?immutable=1", uri=True, check_same_thread=False)


def check_held_out(split: Split, held_out: Sequence[Path], sources: Iterable[str]) -> None:
    """Check that it is known what must not be in a new data set.

    Args:
        split: of the new data set.
        held_out: folders of data sets whose subjects must not be in it.
        sources: names of the new data set's sources.

    Raises:
        BuildError: if a training split of scans is to be made and no held-out data set is given.
        DatasetNotFoundError: if a folder is not a data set.
    """
    scans = sorted(set(sources) - {PHANTOM})
    if split != TEST and scans and not held_out:
        raise BuildError(
            "A training split of scans needs a data set that it must be disjoint from.",
            value=", ".join(scans),
            remedy="Build the test split first, and give its folder: --held-out DIR.",
        )
    for folder in held_out:
        read_record(folder)


def subjects_of(folder: Path) -> Iterator[tuple[str, str]]:
    """(source, subject) of everything that a data set asks about or keeps slices of; the same ones again and again.

    Raises:
        DatasetNotFoundError: if the folder is not a data set.
    """
    for note in read_record(folder).splits.values():
        for file in note.files:
            for batch in pq.ParquetFile(folder / file).iter_batches(columns=["source", "subject"]):
                yield from zip(batch["source"].to_pylist(), batch["subject"].to_pylist(), strict=True)


def split_of_record(record: Record) -> str:
    """What the data set's builds are for."""
    return record.builds[0].split if record.builds else TEST
