"""Rows and slices of all volumes put together: one Parquet file per cell and one for all slices; several if large.

Each file is made by itself, in whatever process: the images of one row group are all that is in memory. A file has
its name only when it is whole.
"""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from dataset_builder.building.engines import Engine, in_stage
from dataset_builder.building.parts import Parts
from dataset_builder.core.factors import (
    ANSWER_CONFIGS,
    INPUT_CONFIGS,
    MODALITIES,
    PLANES,
    PROMPTS,
    TERMINOLOGIES,
    TEST,
    Split,
    config_name,
    split_name,
)
from dataset_builder.dataset.format import ROW_SCHEMA
from dataset_builder.dataset.manifest import SLICES, Key
from dataset_builder.dataset.parquet import FileNote, cuts, note_file, open_writer, series
from dataset_builder.files.disk_list import Spool
from dataset_builder.files.progress import Progress
from dataset_builder.slices.selection import SLICE_SCHEMA, read_slices
from dataset_builder.slices.store import StoredVolume

ROW_GROUP_ROWS, ROW_GROUP_BYTES = 1000, 128 << 20
"""A row group is closed at whichever comes first: the Hub's viewer and streaming read whole groups."""

MAX_SLICE_GROUPS = 500
"""The file of slices has one row group per volume as long as that makes no more; then one for two volumes, and so on. A
writer holds some 50 KB of each until the end."""


def cells(split: Split = TEST) -> Iterator[Key]:
    """Config and split of every cell of a data set of that split, in a fixed order."""
    for modality, plane, terminology, prompt in product(MODALITIES, PLANES, TERMINOLOGIES, PROMPTS):
        yield config_name(modality, plane), split_name(terminology, prompt)
    for config in (*INPUT_CONFIGS, *dict.fromkeys(ANSWER_CONFIGS.values())):
        yield config, split


def stem_of(key: Key) -> str:
    """The path in a data set folder of the file of a cell, or of the slices, without its ending."""
    config, split = key
    return f"{SLICES}/{split}" if config == SLICES else f"data/{config}/{split}"


@dataclass(frozen=True)
class DataFile:
    """A file of a data set that is to be made.

    Args:
        key: config and split.
        path: in the folder.
        start, stop: the first and the last (exclusive) of the cell's batches that are in it, or of the volumes.
        size: about how many bytes.
    """

    key: Key
    path: str
    start: int
    stop: int
    size: int


def plan(parts: Parts, volumes: Spool[StoredVolume] | None, split: Split) -> list[DataFile]:
    """The files of a data set, in the order of its cells and rows; a large cell has several.

    Args:
        parts: the rows of the volumes, in their order.
        volumes: whose slices are put together, if any.
        split: purpose of the data set, ``test`` or ``train``.
    """
    files: list[DataFile] = []
    for cell in cells(split):
        if cell in parts.distinct:
            files += _files(cell, parts.distinct_of(cell), parts.distinct[cell])
    if volumes is not None and len(volumes):
        files += _files((SLICES, split), (volume.size for volume in volumes), sum(volume.size for volume in volumes))
    return files


def _files(key: Key, sizes: Iterable[int], total: int) -> list[DataFile]:
    pieces = list(cuts(sizes, total))
    names = series(stem_of(key), len(pieces))
    return [DataFile(key, name, *piece) for name, piece in zip(names, pieces, strict=True)]


@dataclass(frozen=True)
class Merge:
    """Makes the files of a data set, one per call.

    Args:
        parts: the rows of the volumes, in their order.
        volumes: whose slices are put together, if any.
        folder: the data set.
    """

    parts: Parts
    volumes: Spool[StoredVolume] | None
    folder: Path

    def __call__(self, file: DataFile) -> FileNote:
        """Write a file, and say what is in it."""
        path = self.folder / file.path
        with _whole(path) as unfinished:
            if file.key[0] == SLICES:
                self._slices(file, unfinished)
            else:
                self._cell(file, unfinished)
        return note_file(path)

    def _cell(self, file: DataFile, path: Path) -> None:
        with open_writer(path, ROW_SCHEMA) as opened:
            writer = _CellWriter(opened)
            for batch in self.parts.of(file.key, file.start, file.stop):
                with pa.memory_map(str(batch.path)) as part:
                    rows = pa.ipc.open_file(part).get_batch(batch.number)
                    writer.add(pa.Table.from_batches([rows]), batch.size)
            writer.flush()

    def _slices(self, file: DataFile, path: Path) -> None:
        assert self.volumes is not None
        count = file.stop - file.start
        together = max(1, -(-count // MAX_SLICE_GROUPS))
        waiting: list[pa.Table] = []
        size = 0
        with open_writer(path, SLICE_SCHEMA) as writer:
            for number, volume in enumerate(self.volumes.between(file.start, file.stop), 1):
                waiting.append(in_present_columns(read_slices(volume.path)))
                size += waiting[-1].nbytes
                if len(waiting) == together or size >= ROW_GROUP_BYTES or number == count:
                    writer.write_table(pa.concat_tables(waiting))
                    waiting, size = [], 0


def in_present_columns(table: pa.Table) -> pa.Table:
    """A whole table with the columns of `SLICE_SCHEMA`; those of earlier versions say nothing of patients."""
    if "patient" not in table.column_names:
        table = table.append_column(SLICE_SCHEMA.field("patient"), pa.nulls(table.num_rows, pa.string()))
    return table.select(SLICE_SCHEMA.names).cast(SLICE_SCHEMA)


@contextmanager
def _whole(path: Path) -> Iterator[Path]:
    """Where to write a file that gets its name at the end; on a cluster a lost worker's is written again elsewhere."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        yield unfinished
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


class _CellWriter:
    """Writes one cell's Parquet file, gathering rows of many volumes into row groups."""

    def __init__(self, writer: pq.ParquetWriter) -> None:
        self._writer = writer
        self._waiting: list[pa.Table] = []
        self._rows = self._bytes = 0

    def add(self, table: pa.Table, size: int) -> None:
        """Rows, and how many bytes they are."""
        self._waiting.append(table)
        self._rows += table.num_rows
        self._bytes += size
        if self._rows >= ROW_GROUP_ROWS or self._bytes >= ROW_GROUP_BYTES:
            self.flush()

    def flush(self) -> None:
        if self._waiting:
            self._writer.write_table(pa.concat_tables(self._waiting), row_group_size=ROW_GROUP_ROWS)
            self._waiting = []
            self._rows = self._bytes = 0


def merge_parts(
    parts: Parts, volumes: Spool[StoredVolume] | None, folder: Path, split: Split, engine: Engine, progress: Progress
) -> tuple[dict[Key, list[str]], dict[str, FileNote]]:
    """Put the volumes' rows together, and their slices; returns the files of each split, and what is in each file."""
    planned = plan(parts, volumes, split)
    files: dict[Key, list[str]] = {}
    for file in planned:
        files.setdefault(file.key, []).append(file.path)
    # The longest work first: where there are many processes, none is left with it at the end.
    planned.sort(key=lambda file: -file.size)
    notes = in_stage(Merge(parts, volumes, folder), planned, engine, "data set", progress)
    return files, {file.path: note for file, note in zip(planned, notes, strict=True)}
