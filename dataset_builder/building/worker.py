"""What is done for one volume, in whatever process or on whatever machine; imports no more than that needs."""

import errno
import os
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import pyarrow as pa

from dataset_builder.building.engines import shared
from dataset_builder.building.parts import Part, part_path
from dataset_builder.building.rows import Unmatched, volume_rows
from dataset_builder.core.errors import (
    CaseError,
    MISGroundError,
    NameEncodingError,
    TooLargeError,
    UnreadableError,
    naming,
)
from dataset_builder.core.factors import TEST, Split, cell_of
from dataset_builder.core.settings import Settings
from dataset_builder.dataset.format import ROW_SCHEMA
from dataset_builder.files.object_storage import Place
from dataset_builder.imaging.memory_limit import REMEDY, too_large
from dataset_builder.slices.store import StoredVolume, store_volume
from dataset_builder.sources.base import Case, Source
from dataset_builder.sources.private import without_names

CELL_COLUMNS = (
    "modality",
    "plane",
    "terminology",
    "prompt",
    "input",
    "view",
    "answer_type",
    "statement",
    "option_form",
)
"""The columns that decide a row's config and split."""


@dataclass(frozen=True)
class Quarantined:
    """A case that cannot be used: what, why, and what to do about it."""

    source: str
    subject: str
    file: str
    reason: str
    problem: str
    found: str
    remedy: str

    @classmethod
    def of(cls, case: Case, error: Exception) -> "Quarantined":
        """The record of an error in a case; paths are shortened to their last parts, which hold no user's name."""
        if isinstance(error, CaseError):
            file = Path(without_names(error.file, case)) if error.file else None
            reported = (
                "/".join(file.parts[-2:]) if file else "",
                error.reason,
                error.problem,
                "" if error.value is None else str(error.value),
                error.remedy,
            )
        else:
            where = traceback.extract_tb(error.__traceback__)[-1]
            reported = (
                "",
                "internal_error",
                f"{type(error).__name__}: {error}",
                f"{Path(where.filename).name}:{where.lineno}",
                "This is a bug in MIS-Ground: please report it with this line.",
            )
        return cls(*(_printable(text, case) for text in (case.source, case.subject, *reported)))


def _printable(text: str, case: Case) -> str:
    """Text that any file can hold, without the folders above the case's files."""
    text = without_names(text, case)
    for path in case.paths:
        text = text.replace(f"{path.parent}{os.sep}", "")
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


@contextmanager
def _on_one_thread() -> Iterator[None]:
    """OpenCV's threads gain nothing on images of this size, and on many cores they burn a half more time in all."""
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(before)


class Listed(NamedTuple):
    """A case of a source that the workers have: its engine's key, the source's number there, and the case."""

    key: str
    source: int
    case: Case


def store_listed(item: Listed, **options: Any) -> StoredVolume | Quarantined:
    """As :func:`store_case`."""
    return store_case((shared(item.key)[item.source], item.case), **options)


@_on_one_thread()
def store_case(
    item: tuple[Source, Case],
    settings: Settings,
    store: Place,
    vocabulary: Path | None,
    strict: bool,
    verify_content: bool = False,
    refuse: Callable[[str, str, str | None], None] | None = None,
) -> StoredVolume | Quarantined:
    """Cut a case's slices into the store, or say why it cannot be used.

    ``refuse`` raises an error if a source's subject may not be in this data set.
    """
    source, case = item
    try:
        _check_name(case)
        if refuse is not None:
            refuse(case.source, case.subject, case.patient)
        return store_volume(source, case, settings, store, vocabulary, verify_content)
    except MISGroundError as error:
        if strict or not isinstance(error, CaseError):
            raise
        return Quarantined.of(case, error)
    except MemoryError as error:
        reported = None if strict else too_large(error)
        if reported is None:
            raise  # the machine's trouble, not the case's
        return Quarantined.of(case, reported)
    except OSError as error:
        if strict or not _is_of_input(error, case):
            raise  # such as a full disk
        return Quarantined.of(case, _unreadable(error))
    except Exception as error:
        if strict:
            raise
        return Quarantined.of(case, error)


def lost_case(case: Case, strict: bool) -> Quarantined:
    """The record of a case whose worker process was ended from outside whenever it read it."""
    error = TooLargeError(
        "The process that read the case was killed each time, most likely because memory ran out.", remedy=REMEDY
    )
    if strict:
        raise error
    return Quarantined.of(case, error)


def _check_name(case: Case) -> None:
    try:
        case.subject.encode("utf-8")
    except UnicodeEncodeError as error:
        raise NameEncodingError(
            "The name of the case is not valid UTF-8.",
            file=case.paths[0] if case.paths else None,
            value=ascii(case.subject),
            remedy="Rename its files (convmv -f latin1 -t utf8 --notest DIR), or leave the case out.",
        ) from error


def _is_of_input(error: OSError, case: Case) -> bool:
    """Whether the system could not read one of the case's files (a loop of links, no permission, a bad sector)."""
    if not isinstance(error.filename, str) or error.errno in _FULL:
        return False
    file = Path(error.filename)
    return any(file == path or path in file.parents for path in case.paths)


_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EMFILE, errno.ENFILE)


def _unreadable(error: OSError) -> UnreadableError:
    return UnreadableError(
        "The system cannot read a file.",
        file=error.filename,
        value=error.strerror,
        remedy="Repair the link or the permissions, or copy the file again from its source.",
    )


@_on_one_thread()
def write_part(
    item: tuple[int, StoredVolume, Settings, tuple[StoredVolume, ...]],
    vocabulary: Path | None,
    folder: Path,
    split: Split = TEST,
    only: str | None = None,
) -> Part | None:
    """The rows of one volume, or those of one config, as an Arrow file; ``None`` if there are none.

    The file has its name only when it is whole: on a cluster a lost worker's volume is done again by another one.
    """
    number, volume, settings, others = item
    unmatched = Unmatched()
    of_cells: dict[tuple[str, str], list[dict[str, Any]]] = {}
    names: set[str] = set()
    excluded: list[str] = []
    for row in volume_rows(volume, settings, vocabulary, only, excluded, others, unmatched):
        of_cells.setdefault(cell_of(**{column: row[column] for column in CELL_COLUMNS}, split=split), []).append(row)
        names.update(row["structures"])
    if not of_cells:
        return Part(number, (), (), (), (), (), tuple(excluded)) if excluded else None
    path = part_path(folder, number)
    unfinished = folder / f".{path.name}.{os.getpid()}"
    sizes, distinct = [], []
    with naming(path), pa.OSFile(str(unfinished), "wb") as file, pa.ipc.new_file(file, ROW_SCHEMA) as writer:
        for rows in of_cells.values():
            batch = pa.RecordBatch.from_pylist(rows, schema=ROW_SCHEMA)
            writer.write_batch(batch)
            sizes.append(batch.nbytes)
            images = {image["bytes"] for row in rows for image in row["images"]}
            distinct.append(sum(map(len, images)))
    unfinished.replace(path)
    rows_of = tuple(map(len, of_cells.values()))
    noted = (tuple(sorted(names)), tuple(excluded), unmatched.count)
    return Part(number, tuple(of_cells), rows_of, tuple(sizes), tuple(distinct), *noted)
