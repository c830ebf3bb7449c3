"""Reproduction: every row made again from the slice store inside the data set and the settings in ``build.json``.

A build is a pure function of slices, settings and seed, so that a row is either what it makes, in every column and
every pixel, or was changed afterwards: by hand, by a program, by a disk. What a fault of the builder itself makes is
made again here; that is for the other checks, which go a way of their own.
"""

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from dataset_builder.building.engines import Processes
from dataset_builder.building.queues import NEXT, followers
from dataset_builder.building.rows import rows_of
from dataset_builder.building.worker import CELL_COLUMNS
from dataset_builder.check.findings import Findings
from dataset_builder.check.images import Images, pixels_digest
from dataset_builder.check.items import Item, Items, group, split_of
from dataset_builder.core.errors import MISGroundError
from dataset_builder.core.factors import MODALITIES, Modality, cell_of
from dataset_builder.core.settings import Settings
from dataset_builder.core.version import package_version
from dataset_builder.dataset.format import COLUMNS, VERSION
from dataset_builder.dataset.manifest import BuildNote, Record, is_slices, settings_of
from dataset_builder.questions.quotas import Mixture
from dataset_builder.slices.selection import records_of
from dataset_builder.vocabulary import structures

CHECK = "reproduction"
MISSING = "A row that the build produces is missing."
FOREIGN = "The build produces no row with this id."
PIXELS = "An image is not the one that the build draws."
FILE = "A row is in another file than the build writes it to."
ORDER = "Rows are in another order than the build writes them."

Volume = tuple[str, str]
Problem = tuple[str, str, str]
"""What is wrong, where, and what was found."""


@dataclass(frozen=True)
class _Task:
    """One volume to make again.

    Args:
        volume: source and subject.
        groups: (file, row group) of the slice store that hold it.
        rows: its rows as they are in the data set, in the order of the files.
        pixels: digests of each row's pixels, empty for an image that cannot be decoded; none if images are left out.
        others: volumes that may lend it slices, and what holds them.
        cells: (config, split) of the build that are in the data set; none of a user's own is that of a made row.
    """

    volume: Volume
    settings: Settings | None
    groups: tuple[tuple[str, int], ...]
    rows: tuple[Item, ...]
    pixels: tuple[tuple[bytes, ...] | None, ...]
    cells: frozenset[tuple[str, str]]
    split: str
    others: tuple[tuple[Volume, tuple[tuple[str, int], ...]], ...] = ()


@dataclass
class _Store:
    """Where the slices of each volume are, and of what modality they are."""

    groups: dict[Volume, list[tuple[str, int]]] = field(default_factory=dict)
    modality: dict[Volume, Modality] = field(default_factory=dict)
    lends: set[Volume] = field(default_factory=set)
    """Volumes with slices that are asked about by themselves."""

    @classmethod
    def of(cls, files: Sequence[Path]) -> "_Store":
        found = cls()
        for file in files:
            opened = pq.ParquetFile(file)
            for number in range(opened.num_row_groups):
                table = opened.read_row_group(number, columns=["source", "subject", "modality", "stack"])
                alone = table.filter(pc.equal(table["stack"], ""))
                found.lends |= set(zip(alone["source"].to_pylist(), alone["subject"].to_pylist(), strict=True))
                table = table.drop_columns("stack")
                for row in dict.fromkeys(zip(*(table[name].to_pylist() for name in table.column_names), strict=True)):
                    found.groups.setdefault(row[:2], []).append((str(file), number))
                    if row[2] not in MODALITIES:
                        raise ValueError(f"the slice store has the modality {row[2]}")
                    found.modality[row[:2]] = row[2]
        return found


def check_reproduction(
    folder: Path,
    record: Record | None,
    items: Items,
    images: Images,
    findings: Findings,
    progress: Callable[[str, int, int], None],
    num_proc: int = 1,
) -> None:
    """Make all rows again, volume by volume, and compare them.

    Args:
        folder: the data set.
        record: its ``build.json``; without one nothing says how it was made.
        num_proc: worker processes.
    """
    if record is None:
        findings.skip(CHECK, "There is no build.json, so it is unknown how the rows were made.")
        return
    processes = Processes(num_proc)
    try:
        for build in record.builds:
            if reason := _cannot(build):
                findings.skip(CHECK, reason)
                findings.note(CHECK, reason)
                continue
            try:
                _reproduce(folder, build, items, images, findings, progress, processes)
            except (MISGroundError, pa.ArrowException, OSError, ValueError, KeyError, TypeError) as error:
                reported = error.problem if isinstance(error, MISGroundError) else error
                findings.looked(CHECK)
                findings.violation(CHECK, "The rows cannot be rebuilt.", "build.json", reported)
    finally:
        processes.close()


def _cannot(build: BuildNote) -> str:
    """Why a build's rows cannot be made again; empty if they can."""
    if build.package != package_version() or build.version != VERSION:
        return (
            f"Made by MIS-Ground {build.package} (data {build.version}), this is {package_version()} (data {VERSION}): "
            "rows are not rebuilt, only their meaning is checked."
        )
    if not any(is_slices(key) for key in build.splits):
        return "The data set has no slices to rebuild its rows from: only their meaning is checked."
    return ""


def _reproduce(
    folder: Path,
    build: BuildNote,
    items: Items,
    images: Images,
    findings: Findings,
    progress: Callable[[str, int, int], None],
    processes: Processes,
) -> None:
    files = {file for key, note in build.splits.items() if not is_slices(key) for file in note.files}
    store = _Store.of([folder / file for key, note in build.splits.items() if is_slices(key) for file in note.files])
    made = [item for item in items.rows if item.file in files]
    home = {item.fact_id: item.volume for item in made if item.view != "swapped"}  # those are made with their originals
    own = [(item, home.get(item.fact_id, item.volume) if item.view == "swapped" else item.volume) for item in made]
    rows = group((volume, item) for item, volume in own)
    for volume in sorted(rows.keys() - store.groups.keys()):
        findings.violation(CHECK, "The slices of a row's volume are not in the data set.", str(rows[volume][0]))
    tasks = list(_tasks(build, store, rows, images))
    work = partial(compare_volume, vocabulary=build.vocabulary)
    for done, (task, problems) in enumerate(zip(tasks, processes.each(work, tasks), strict=True), 1):
        findings.looked(CHECK, len(task.rows))
        for problem, where, found in problems:
            findings.violation(CHECK, problem, where, found)
        progress("rows rebuilt", done, len(tasks))


def _tasks(build: BuildNote, store: _Store, rows: Mapping[Volume, Sequence[Item]], images: Images) -> Iterator[_Task]:
    mixture = Mixture(settings_of(build))
    for volume, modality in store.modality.items():
        mixture.count("/".join(volume), modality)
    questions = frozenset(key for key in build.splits if not is_slices(key))
    for (volume, groups), others in followers(list(store.groups.items()), NEXT, lambda one: one[0] in store.lends):
        settings = mixture.settings_of("/".join(volume), store.modality[volume])
        of_volume = tuple(rows.get(volume, ()))
        shown = tuple(
            tuple(images.seen[one].pixels if one in images.seen else b"" for one in item.images)
            if item.images and all(one in images.seen for one in item.images)
            else None
            for item in of_volume
        )
        lending = tuple((name, tuple(held)) for name, held in others)
        yield _Task(volume, settings, tuple(groups), of_volume, shown, questions, build.split, lending)


@lru_cache(maxsize=2)
def _words(vocabulary: str) -> Mapping[str, Any]:
    """The package's structures, and those of a YAML text."""
    if not vocabulary:
        return structures()
    with tempfile.TemporaryDirectory() as folder:
        own = Path(folder) / "vocabulary.yaml"
        own.write_text(vocabulary, encoding="utf-8")
        return structures(own)


def compare_volume(task: _Task, vocabulary: str) -> list[Problem]:
    """What differs between the rows of a volume and those that its slices and the settings make."""
    cv2.setNumThreads(1)
    made: dict[str, dict[str, Any]] = {}
    if task.settings is not None:
        records = _all_records(task.groups, task.volume)
        others = [partial(_all_records, groups, volume) for volume, groups in task.others]
        for row in rows_of(records, task.settings, _words(vocabulary), encode=pixels_digest, others=others):
            made[row["id"]] = row
    return list(_differences(task, made))


def _all_records(groups: Sequence[tuple[str, int]], volume: Volume) -> list[Any]:
    return [record for file, number in groups for record in _records(file, number, volume)]


def _records(file: str, number: int, volume: Volume) -> Iterator[Any]:
    table = pq.ParquetFile(file).read_row_group(number, use_threads=False)
    of = zip(table["source"].to_pylist(), table["subject"].to_pylist(), strict=True)
    return iter(records_of(table.take([i for i, row in enumerate(of) if row == volume])))


def _differences(task: _Task, made: Mapping[str, dict[str, Any]]) -> Iterator[Problem]:
    seen: set[str] = set()
    for item, pixels in zip(task.rows, task.pixels, strict=True):
        row = made.get(item.id)
        if row is None:
            yield FOREIGN, where(item), f"column id: {item.id}"
            continue
        seen.add(item.id)
        cell = _cell(row, task.split)
        if cell in task.cells and cell != split_of(item.file):
            yield FILE, where(item), "/".join(cell)
        for name in COLUMNS:
            if name == "images":
                continue
            is_float = COLUMNS[name] == pa.float32()
            wanted, found = _plain(row[name], is_float), _plain(getattr(item, name), is_float)
            if wanted != found:
                yield f"The column {name} is not what the build produces.", where(item), f"{found!r}, not {wanted!r}"
        if pixels is not None and pixels != tuple(image["bytes"] for image in row["images"]):
            numbers = [
                str(number)
                for number, (one, other) in enumerate(zip(pixels, row["images"], strict=False), 1)
                if one != other["bytes"]
            ]
            yield PIXELS, where(item), f"column images: image {', '.join(numbers) or 'missing'}"
    if task.settings is not None and task.settings.questions_per_cell:
        yield from _order(task, made)
        return  # what is missing was left out to balance the cells
    for name, row in made.items():
        key = _cell(row, task.split)
        if name not in seen and key in task.cells:
            yield MISSING, f"{'/'.join(key)}, row {name}", ""
    yield from _order(task, made)


def _cell(row: Mapping[str, Any], split: str) -> tuple[str, str]:
    """Config and split of the file that a row is written to."""
    return cell_of(**{column: row[column] for column in CELL_COLUMNS}, split=split)  # type: ignore[arg-type]


def _order(task: _Task, made: Mapping[str, object]) -> Iterator[Problem]:
    """Whether the rows of each file follow each other as they are made."""
    rank = {name: number for number, name in enumerate(made)}
    for rows in group((item.file, item) for item in task.rows if item.id in rank).values():
        ranks = [rank[item.id] for item in rows]
        for before, after, item in zip(ranks, ranks[1:], rows[1:], strict=False):
            if after < before:
                yield ORDER, where(item), "after a row that comes later"
                break


def where(item: Item) -> str:
    """Config, split and id of a row."""
    return f"{'/'.join(split_of(item.file))}, row {item.id}"


def _plain(value: Any, is_float: bool) -> Any:
    """A value as it comes out of Arrow: sequences as tuples, 32-bit floats."""
    if is_float and value is not None:
        return float(np.float32(value))
    if isinstance(value, Mapping):
        return tuple((key, _plain(part, False)) for key, part in sorted(value.items()))
    if isinstance(value, list | tuple):
        return tuple(_plain(part, False) for part in value)
    return value
