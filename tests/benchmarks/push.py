"""What a second push moves: ``python tests/benchmarks/push.py``. Prints a Markdown table.

Two builds that differ in one volume (one more in the second, in the middle of the order) are compared as the Hub's
storages do: by whole files (LFS), and by chunks of some 64 KiB whose borders the content decides (Xet), with Parquet
pages cut by content (as shipped) and without. The chunker is of Xet's kind and sizes, not Xet's own.
"""

import argparse
import hashlib
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from dataset_builder.building.builder import build
from dataset_builder.core.settings import Settings
from dataset_builder.dataset.parquet import writer_options
from dataset_builder.sources.base import Case
from dataset_builder.sources.phantom import Phantoms

MIN_CHUNK, MAX_CHUNK, MASK_BITS = 8 << 10, 128 << 10, 16
GEAR = np.random.default_rng(0).integers(0, 1 << 63, 256, dtype=np.uint64)


@dataclass(frozen=True)
class Some(Phantoms):
    """Phantoms of some numbers only."""

    numbers: tuple[int, ...] = ()

    def cases(self) -> Iterator[Case]:
        yield from (case for number, case in enumerate(Phantoms.cases(self)) if number in self.numbers)


def chunks(content: bytes) -> Iterator[bytes]:
    """Pieces of a content, cut where a rolling hash of the last 64 bytes ends in zeros."""
    values = GEAR[np.frombuffer(content, np.uint8)]
    rolling = np.zeros(len(values), np.uint64)
    for back in range(64):
        rolling[back:] += values[: len(values) - back] << np.uint64(back)
    borders = np.flatnonzero(rolling >> np.uint64(64 - MASK_BITS) == 0) + 1
    start, at = 0, 0
    while start < len(content):
        at = int(np.searchsorted(borders, start + MIN_CHUNK))
        end = int(borders[at]) if at < len(borders) else len(content)
        end = min(end, start + MAX_CHUNK, len(content))
        yield content[start:end]
        start = end


def without_content_defined_pages(folder: Path, target: Path) -> Path:
    """The same Parquet files, their pages cut by size."""
    for path in folder.rglob("*.parquet"):
        there = target / path.relative_to(folder)
        there.parent.mkdir(parents=True, exist_ok=True)
        found = pq.ParquetFile(path)
        schema = found.schema_arrow
        options = {**writer_options(schema), "use_content_defined_chunking": False}
        with pq.ParquetWriter(there, schema, **options) as writer:
            for number in range(found.num_row_groups):
                writer.write_table(found.read_row_group(number))
    return target


def moved(before: Path, after: Path) -> tuple[int, int, int]:
    """Bytes of the second build: all, in files that are new, in chunks that are new."""
    old = [path.read_bytes() for path in sorted(before.rglob("*.parquet"))]
    new = [path.read_bytes() for path in sorted(after.rglob("*.parquet"))]
    files = {hashlib.sha256(content).digest() for content in old}
    pieces = {hashlib.sha256(piece).digest() for content in old for piece in chunks(content)}
    in_files = in_chunks = 0
    for content in new:
        if hashlib.sha256(content).digest() in files:
            continue
        in_files += len(content)
        for piece in chunks(content):
            name = hashlib.sha256(piece).digest()
            in_chunks += len(piece) * (name not in pieces)
            pieces.add(name)
    return sum(map(len, new)), in_files, in_chunks


def main() -> None:
    """Build, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--volumes", type=int, default=8, help="of the first build")
    parser.add_argument("--num-proc", type=int, default=2)
    arguments = parser.parse_args()
    every = list(range(arguments.volumes + 1))
    middle = arguments.volumes // 2
    with tempfile.TemporaryDirectory() as work:
        root = Path(work)
        for name, numbers in (("before", [n for n in every if n != middle]), ("after", every)):
            source = Some(len(every), numbers=tuple(numbers))
            build([source], root / name, Settings(), store=root / "store", num_proc=arguments.num_proc)
            without_content_defined_pages(root / name, root / "plain" / name)
        print(f"{arguments.volumes} volumes, then one more in the middle of their order\n")
        print("| pages | second build, MB | new files, MB | new chunks, MB | share |")
        print("|---|---|---|---|---|")
        for kind, folder in (("cut by content", root), ("cut by size", root / "plain")):
            total, in_files, in_chunks = moved(folder / "before", folder / "after")
            sizes = " | ".join(f"{size / 1e6:.1f}" for size in (total, in_files, in_chunks))
            print(f"| {kind} | {sizes} | {100 * in_chunks / total:.0f} % |")
        one_more = 1 / len(every)
        print(f"\nThe added volume is {100 * one_more:.0f} % of the volumes.")


if __name__ == "__main__":
    main()
