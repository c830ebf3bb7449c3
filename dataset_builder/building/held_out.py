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

    def __call__(self, source: str, subject: str, patient: str | None = None) -> None:
        """Raises :class:`HeldOutError` if the subject, or whose scan it is, may not be in the split."""
        if source == PHANTOM and split_of_phantom(subject) != self.split:
            raise HeldOutError(
                f"This phantom does not belong to the split '{self.split}'.",
                value=subject,
                remedy=f"Make phantoms for it: --split {self.split} --source phantom:N.",
            )
        folder = None if self.taken is None else _folder_of(self.taken, source, subject, patient)
        if folder is not None:
            whose = "" if patient in (None, subject, patient_of(source, subject)) else f" of patient {patient}"
            raise HeldOutError(
                "The subject is in a held-out data set.",
                value=f"{source}/{subject}{whose} in {folder}",
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
            patients = (name for names in subjects_of(folder) for name in names_of(*names))
            connection.executemany(_ADD, ((*identity, folder.name) for identity, _ in groupby(patients)))
        connection.commit()
    except sqlite3.OperationalError as error:
        number = errno.ENOSPC if error.sqlite_errorcode == sqlite3.SQLITE_FULL else errno.EIO
        raise OSError(number, str(error), str(path)) from error
    finally:
        connection.close()


def names_of(source: str, subject: str, patient: str | None = None) -> Iterator[tuple[str, str]]:
    """What a scan is taken by: the subject, without what tells a patient's scans apart, and the patient.

    Both, since one data set may know patients of whom another one knows the subjects only.
    """
    known = patient_of(source, subject)
    yield source, known
    if patient and patient != known:
        yield source, patient


def _folder_of(taken: Path, source: str, subject: str, patient: str | None) -> str | None:
    """The data set that a subject is in, or another scan of the same patient, if it is in one."""
    status = taken.stat()
    opened = _opened(taken, status.st_ino, status.st_mtime_ns)
    found = (opened.execute(_FIND, name).fetchone() for name in names_of(source, subject, patient))
    return next((str(row[0]) for row in found if row is not None), None)


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


def subjects_of(folder: Path) -> Iterator[tuple[str, str, str | None]]:
    """(source, subject, patient) of everything that a data set asks about or keeps slices of, again and again the same.

    The patient is ``None`` where the data set names none.

    Raises:
        DatasetNotFoundError: if the folder is not a data set.
    """
    for note in read_record(folder).splits.values():
        for file in note.files:
            opened = pq.ParquetFile(folder / file)
            names = [name for name in ("source", "subject", "patient") if name in opened.schema_arrow.names]
            for batch in opened.iter_batches(columns=names):
                columns = [batch[name].to_pylist() for name in names]
                columns += [[None] * batch.num_rows] * (3 - len(columns))
                yield from zip(*columns, strict=True)


def split_of_record(record: Record) -> str:
    """What the data set's builds are for."""
    return record.builds[0].split if record.builds else TEST
