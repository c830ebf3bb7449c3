"""How the data set's Parquet files are written, and cut into files of a size that the Hub likes.

Images are PNG, which no codec makes smaller; their column is stored as it is. That matters for a second push: the
Hub's storage finds byte ranges that it has already, and a codec would change all bytes after the first new image.
Each image stands once in a row group, however many rows show it: in the column's dictionary page.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from dataset_builder.core.errors import naming
from dataset_builder.files.atomic import sha256_of

SHARD_BYTES, MAX_SHARD_BYTES = 400_000_000, 500_000_000
"""A split larger than the second is cut into files of about the first."""

MAX_GROUP_BYTES = 300_000_000
"""The Hub's viewer does not read larger row groups (uncompressed)."""

GROUP_ROWS = 1000


def writer_options(schema: pa.Schema) -> dict[str, Any]:
    """Arguments of ``pyarrow.parquet.ParquetWriter`` for a table of this schema."""
    return {
        "compression": {column: "none" if column.endswith("bytes") else "zstd" for column in _columns(schema)},
        "dictionary_pagesize_limit": 1 << 30,
        "write_page_index": True,
        "use_content_defined_chunking": True,
    }


@contextmanager
def open_writer(path: Path, schema: pa.Schema) -> Iterator[pq.ParquetWriter]:
    """A writer of a Parquet file; folders are made.

    Raises:
        OSError: with the file's name, if it cannot be written.
    """
    with naming(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        writer = pq.ParquetWriter(path, schema, **writer_options(schema))
        try:
            yield writer
            writer.close()
        except BaseException:
            writer.is_open = False  # it would try again when it is deleted, and print a stack trace
            raise


def _columns(schema: pa.Schema) -> list[str]:
    """Names of the columns as Parquet has them: ``images.list.element.bytes``."""

    def leaves(name: str, kind: pa.DataType) -> Iterator[str]:
        if pa.types.is_struct(kind):
            for field in kind:
                yield from leaves(f"{name}.{field.name}", field.type)
        elif pa.types.is_list(kind) or pa.types.is_large_list(kind):
            yield from leaves(f"{name}.list.element", kind.value_type)
        else:
            yield name

    return [leaf for field in schema for leaf in leaves(field.name, field.type)]


@dataclass(frozen=True)
class FileNote:
    """What is in a data file.

    Args:
        rows: how many.
        file_bytes, memory_bytes: size of the file, and of the rows in memory.
        sha256: of the file, in hexadecimal.
    """

    rows: int
    file_bytes: int
    memory_bytes: int
    sha256: str


NOTHING_KNOWN: Mapping[str, FileNote] = MappingProxyType({})
"""Nothing was noted of any file yet."""


def note_file(path: Path) -> FileNote:
    """Look at a file: all of it is read."""
    # In small batches, whose images find memory that is in use already: fresh memory takes most of the time.
    with pq.ParquetFile(path, memory_map=True) as file:
        memory = sum(batch.nbytes for batch in file.iter_batches(batch_size=16))
    return FileNote(pq.read_metadata(path).num_rows, path.stat().st_size, memory, sha256_of(path))


def series(stem: str, count: int) -> list[str]:
    """Names of a split's files in order, as the Hub has them; of a single one its plain name."""
    if count == 1:
        return [f"{stem}.parquet"]
    return [f"{stem}-{number:05d}-of-{count:05d}.parquet" for number in range(count)]


def stem_of_file(path: str) -> str:
    """The path of a data file without its ending: of all files of a series the same.

    >>> stem_of_file("data/stack/test-00000-of-00002.parquet")
    'data/stack/test'
    """
    return re.sub(r"(-\d{5}-of-\d{5})?\.parquet$", "", path)


def cuts(sizes: Iterable[int], total: int) -> Iterator[tuple[int, int, int]]:
    """Which items go together into a file, so that files are about equally large: first, last (exclusive), their size.

    Args:
        sizes: of the items in order, in bytes.
        total: their sum.
    """
    count = 1 if total <= MAX_SHARD_BYTES else -(-total // SHARD_BYTES)
    start = number = here = before = 0
    aim = 1  # how many parts of `count`
    for number, size in enumerate(sizes, 1):
        here += size
        before += size
        if before * count >= total * aim and before < total:
            yield start, number, here
            start, here, aim = number, 0, before * count // total + 1
    yield start, number, here


def fits(path: Path) -> bool:
    """Whether a file can go to the Hub as it is: its size, its row groups, and an index of its pages."""
    if path.stat().st_size > MAX_SHARD_BYTES:
        return False
    found = pq.read_metadata(path)
    groups = [found.row_group(number) for number in range(found.num_row_groups)]
    return all(
        group.total_byte_size <= MAX_GROUP_BYTES and (group.num_columns == 0 or group.column(0).has_offset_index)
        for group in groups
    )


def shard(files: Sequence[Path], stem: str, folder: Path, shard_bytes: int = SHARD_BYTES) -> dict[str, Path]:
    """The files of a split as they go to the Hub: one that fits stays as it is, others are rewritten.

    Args:
        files: in the order of the rows, all with the same columns.
        stem: path in the data set without an ending, such as ``data/ct_axial/directional_box``.
        folder: for files that are written.
        shard_bytes: about the size of a file that is written.

    Returns:
        Path in the data set -> file here; the same for the same files.
    """
    names = series(stem, len(files))
    named = len(files) == 1 or [file.name for file in files] == [Path(name).name for name in names]
    if named and all(fits(file) for file in files):
        return dict(zip(names, files, strict=True))
    plan: list[list[tuple[Path, int]]] = [[]]
    size = 0
    for file in files:
        found = pq.read_metadata(file)
        for number in range(found.num_row_groups):
            group = found.row_group(number)
            bytes_here = sum(group.column(column).total_compressed_size for column in range(group.num_columns))
            if plan[-1] and size + bytes_here > shard_bytes:
                plan.append([])
                size = 0
            plan[-1].append((file, number))
            size += bytes_here
    made = {}
    for name, groups in zip(series(stem, len(plan)), plan, strict=True):
        made[name] = folder / name
        _write(groups, folder / name)
    return made


def _write(groups: Sequence[tuple[Path, int]], target: Path) -> None:
    schema = pq.read_schema(groups[0][0])
    waiting: list[pa.Table] = []
    with open_writer(target, schema) as writer:
        for file, number in groups:
            table = pq.ParquetFile(file).read_row_group(number)
            rows = sum(part.num_rows for part in waiting) + table.num_rows
            size = sum(part.nbytes for part in waiting) + table.nbytes
            if waiting and (rows > GROUP_ROWS or size > MAX_GROUP_BYTES):
                _write_groups(writer, pa.concat_tables(waiting))
                waiting = []
            waiting.append(table)
        _write_groups(writer, pa.concat_tables(waiting))


def _write_groups(writer: pq.ParquetWriter, table: pa.Table) -> None:
    """Row groups that the viewer accepts, judged by the rows in memory: on disk they are smaller."""
    pieces = max(1, -(-table.nbytes // MAX_GROUP_BYTES))
    writer.write_table(table, row_group_size=max(1, min(GROUP_ROWS, -(-table.num_rows // pieces))))
