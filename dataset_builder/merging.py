"""The volumes' rows and slices put together: a Parquet file a cell, and one of all slices.

Each file is made by itself, in whatever process, cell after cell: the pictures of one row group are all that is in
memory. A file has its name only when it is whole.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from dataset_builder.factors import (
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
from dataset_builder.parquet import FileNote, note_file, open_writer
from dataset_builder.parts import Parts
from dataset_builder.record import SLICES, Key
from dataset_builder.rows import ROW_SCHEMA
from dataset_builder.slices import SLICE_SCHEMA, read_slices
from dataset_builder.spool import Long
from dataset_builder.store import StoredVolume

ROW_GROUP_ROWS, ROW_GROUP_BYTES = 1000, 128 << 20
"""A row group is closed at whichever comes first: the Hub's viewer and streaming read whole groups."""

MAX_SLICE_GROUPS = 500
"""The file of slices has a row group a volume as long as that makes no more; then one for two volumes, and so on. A
writer holds some 50 KB of each until the end."""


def cells(split: Split = TEST) -> Iterator[Key]:
    """Config and split of every cell of a data set of that split, in a fixed order."""
    for modality, plane, terminology, prompt in product(MODALITIES, PLANES, TERMINOLOGIES, PROMPTS):
        yield config_name(modality, plane), split_name(terminology, prompt)
    for config in INPUT_CONFIGS:
        yield config, split


def file_of(key: Key) -> str:
    """The path in a data set folder of the file of a cell, or of the slices."""
    config, split = key
    return f"{SLICES}/{split}.parquet" if config == SLICES else f"data/{config}/{split}.parquet"


@dataclass(frozen=True)
class Merge:
    """Makes the files of a data set, one a call.

    Args:
        parts: the rows of the volumes, in their order.
        volumes: whose slices are put together.
        folder: the data set.
    """

    parts: Parts
    volumes: Long[StoredVolume]
    folder: Path

    def __call__(self, key: Key) -> FileNote:
        """Write the file of a cell, or that of the slices, and say what is in it."""
        path = self.folder / file_of(key)
        with _whole(path) as unfinished:
            if key[0] == SLICES:
                self._slices(unfinished)
            else:
                self._cell(key, unfinished)
        return note_file(path)

    def _cell(self, key: Key, path: Path) -> None:
        with open_writer(path, ROW_SCHEMA) as opened:
            writer = _CellWriter(opened)
            for batch in self.parts.of(key):
                with pa.memory_map(str(batch.path)) as file:
                    rows = pa.ipc.open_file(file).get_batch(batch.number)
                    writer.add(pa.Table.from_batches([rows]), batch.size)
            writer.flush()

    def _slices(self, path: Path) -> None:
        together = max(1, -(-len(self.volumes) // MAX_SLICE_GROUPS))
        waiting: list[pa.Table] = []
        size = 0
        with open_writer(path, SLICE_SCHEMA) as writer:
            for number, volume in enumerate(self.volumes, 1):
                waiting.append(read_slices(volume.path).cast(SLICE_SCHEMA))
                size += waiting[-1].nbytes
                if len(waiting) == together or size >= ROW_GROUP_BYTES or number == len(self.volumes):
                    writer.write_table(pa.concat_tables(waiting))
                    waiting, size = [], 0


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
