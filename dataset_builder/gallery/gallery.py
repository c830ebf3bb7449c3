"""A page for browsing a data set: examples of every cell, in one file that needs no server and no network."""

import hashlib
import html
import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import resources
from itertools import groupby
from math import isfinite
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from dataset_builder.core.errors import BuildError, DatasetNotFoundError
from dataset_builder.core.factors import FACTORS
from dataset_builder.dataset.format import LATER_COLUMNS
from dataset_builder.dataset.parquet import stem_of_file
from dataset_builder.files.paths import PathLike
from dataset_builder.gallery import pages
from dataset_builder.gallery.pages import check_page, data_url, embed, write_page
from dataset_builder.pictures.render import MARKER_COLOURS

FILTERS: dict[str, Sequence[str]] = {**FACTORS, "relation": (), "source": ()}
"""Columns to filter by, with their values in order; further values follow in alphabetical order."""

CELL = ("modality", "plane", "terminology", "prompt", "input", "view", "statement", "option_form", "answer_type")
"""Columns whose values make a cell."""

_REQUIRED = {"id", "images", "question", "options", "answer", "answer_index", *FILTERS} - LATER_COLUMNS.keys()


def write_gallery(
    dataset: PathLike, out: PathLike, per_cell: int = 2, progress: Callable[[str, int, int], None] | None = None
) -> int:
    """Write a page with examples of every cell of a data set folder.

    Args:
        dataset: a data set folder, as ``mis-ground build`` makes it.
        out: the page; replaced as a whole at the end.
        per_cell: examples of each cell, as different in the other factors as possible.
        progress: called as ``progress(stage, done, total)``.

    Returns:
        The number of examples on the page.

    Raises:
        DatasetNotFoundError: if the folder holds no data set.
        BuildError: if a file cannot be read, or the page not be written: a file that is not a page of ours stays.
    """
    dataset, out = Path(dataset), Path(out)
    files = sorted((dataset / "data").rglob("*.parquet"))
    if not files:
        raise DatasetNotFoundError(
            "This is not a MIS-Ground data set.",
            file=dataset,
            remedy="Give the folder that `mis-ground build --out` or `mis-ground demo` made.",
        )
    check_page(out)
    seen: Counter[tuple[str, str]] = Counter()
    items: list[dict[str, Any]] = []
    images: dict[bytes, int] = {}
    encoded: list[str] = []
    rows = 0
    done = 0
    for _, series in groupby(files, key=lambda path: stem_of_file(str(path))):
        opened: dict[Path, pq.ParquetFile] = {}
        tables: list[pa.Table] = []
        for path in series:
            if progress:
                progress("gallery", done, len(files))
            with _naming(path):
                opened[path] = pq.ParquetFile(path, memory_map=True)
                _check_columns(opened[path], path)
                tables.append(_factors(opened[path]))
            done += 1
        factors = pa.concat_tables(tables)
        rows += factors.num_rows
        for row in _read_rows(opened, choose_examples(factors, per_cell, seen)):
            items.append(_item(row, images, encoded))
    if progress:
        progress("gallery", len(files), len(files))
    page = make_page(items, encoded, title=dataset.resolve().name, rows=rows)
    write_page(out, page)
    return len(items)


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Adds the name of the file to errors of reading it."""
    try:
        yield
    except (pa.ArrowException, OSError) as error:
        raise BuildError(
            "A file of the data set cannot be read.", file=path, value=error, remedy="Build the data set again."
        ) from error


def _check_columns(file: pq.ParquetFile, path: Path) -> None:
    missing = sorted(_REQUIRED - set(file.schema_arrow.names))
    if missing:
        raise BuildError(
            "A file of the data set lacks columns that every row has.",
            file=path,
            value=f"no {', '.join(missing)}",
            remedy="Give a folder that `mis-ground build` made.",
        )


def _factors(file: pq.ParquetFile) -> pa.Table:
    """The columns of ``FILTERS``; those that an older data set lacks, as its rows would have them."""
    there = [name for name in FILTERS if name in file.schema_arrow.names]
    table = file.read(columns=there)
    for name in FILTERS.keys() - set(there):
        table = table.append_column(name, pa.array([LATER_COLUMNS[name]] * table.num_rows, pa.string()))
    return table.select(list(FILTERS))


def choose_examples(factors: pa.Table, per_cell: int, seen: Counter[tuple[str, str]]) -> list[int]:
    """Row numbers of examples: for each cell those that show what has been seen least so far.

    Args:
        factors: the columns of ``FILTERS``.
        per_cell: how many of each cell, as far as there are.
        seen: how often each (column, value) is among the examples; added to.
    """
    # A fixed shuffle, or all examples would be of the first volumes.
    order = list(range(factors.num_rows))
    random.Random(0).shuffle(order)
    columns = [name for name in FILTERS if name not in CELL]
    grouped = factors.append_column("rank", pa.array(order, pa.int64())).group_by([*CELL, *columns], use_threads=False)
    kinds: dict[tuple[str, ...], list[tuple[tuple[str, ...], list[int]]]] = {}
    for group in grouped.aggregate([("rank", "list")]).to_pylist():
        cell = tuple(group[name] for name in CELL)
        kinds.setdefault(cell, []).append((tuple(group[name] for name in columns), sorted(group["rank_list"])))
    row_of = {rank: row for row, rank in enumerate(order)}
    chosen: list[int] = []
    for cell in sorted(kinds):
        left = sorted(kinds[cell], key=lambda kind: kind[1][0])
        here: Counter[tuple[str, str]] = Counter()
        for _ in range(per_cell):
            if not left:
                break

            def novelty(kind: tuple[tuple[str, ...], list[int]], here: Counter[tuple[str, str]] = here) -> float:
                values = list(zip(columns, kind[0], strict=True))
                return sum(1 / (1 + here[value]) + 1 / (1 + seen[value]) for value in values)

            best = max(left, key=novelty)  # the first of equals
            chosen.append(row_of[best[1].pop(0)])
            if not best[1]:
                left.remove(best)
            for value in zip(columns, best[0], strict=True):
                here[value] += 1
                seen[value] += 1
    return sorted(chosen)


def _read_rows(files: Mapping[Path, pq.ParquetFile], rows: Sequence[int]) -> Iterator[dict[str, Any]]:
    """The rows of a split's files by number (ascending); only the row groups that hold them are read."""
    start = 0
    for path, file in files.items():
        for group in range(file.num_row_groups):
            end = start + file.metadata.row_group(group).num_rows
            wanted = [row - start for row in rows if start <= row < end]
            if wanted:
                with _naming(path):
                    found = file.read_row_group(group).take(wanted).to_pylist()
                yield from (LATER_COLUMNS | row for row in found)
            start = end


def _item(row: dict[str, Any], images: dict[bytes, int], encoded: list[str]) -> dict[str, Any]:
    """A row for the page: each image by its number in ``encoded``, where it stands once."""
    numbers = []
    for image in row.pop("images"):
        data = image["bytes"] or b""
        key = hashlib.sha256(data).digest()
        if key not in images:
            images[key] = len(encoded)
            encoded.append(data_url(data))
        numbers.append(images[key])
    # JSON knows no NaN.
    finite = {name: None if isinstance(value, float) and not isfinite(value) else value for name, value in row.items()}
    return {**finite, "images": numbers}


def make_page(items: Sequence[dict[str, Any]], images: Sequence[str], title: str, rows: int) -> str:
    """The page as HTML.

    Args:
        items: rows whose ``images`` are numbers in ``images``.
        images: images as data URLs.
        title: name of the data set.
        rows: how many questions the whole data set has.
    """
    order = {name: {value: i for i, value in enumerate(values)} for name, values in FILTERS.items()}
    found = {
        name: sorted(
            {item[name] for item in items} - {None}, key=lambda value: (order[name].get(value, len(order[name])), value)
        )
        for name in FILTERS
    }
    ranks = [{value: rank for rank, value in enumerate(found[name])} for name in CELL]

    def in_cell_order(item: dict[str, Any]) -> list[int]:
        return [rank[item[name]] for name, rank in zip(CELL, ranks, strict=True)]

    data = {
        "title": title,
        "rows": rows,
        "factors": found,
        "colours": list(MARKER_COLOURS.values()),
        "items": sorted(items, key=in_cell_order),
    }
    template = resources.files("dataset_builder.gallery").joinpath("gallery.html").read_text(encoding="utf-8")
    parts = {"title": html.escape(title), "data": embed(data), "images": embed(images)}
    return pages.make_page(template, code={}, parts=parts)
