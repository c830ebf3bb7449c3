"""Small data sets in which every cell has the same number of questions: what is kept of the rows that volumes gave.

A cell is a modality, plane, terminology and prompt; of stacks, positions and measurements also what kind they are.
Each cell takes facts of one volume after the other, those first that were used least so far, and of each fact two
variants, until it has its rows. All prompts of a plane and terminology take the facts in the same order, those first
that are asked with most prompts, so that what is kept differs in one factor only as often as can be. Pairs stay whole,
and a control stays with the question that it is derived from.
"""

import heapq
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa

from dataset_builder.building.parts import Part, part_path
from dataset_builder.core.hashing import digest
from dataset_builder.dataset.format import ROW_SCHEMA

T = TypeVar("T")

VARIANTS = 2
"""Of each fact a cell takes up to so many variants: one, and one that differs from it in one factor."""

_KIND = ("input", "view", "statement", "option_form")
_CELL = ("modality", "plane", "terminology", "prompt", "answer_type", "scale")
_ASKED = ("prompt", "register", "convention", "frame", "stack_order", "answer_type", "scale")
_READ = ("id", "fact_id", *dict.fromkeys((*_CELL, *_ASKED, *_KIND)))

_Key = tuple[Any, ...]


@dataclass(frozen=True)
class _Unit:
    """The one or two rows of a fact, asked in one way.

    Args:
        of: what it shares with its controls.
        kind: input, view, and what is stated and offered how.
        cell: which it counts for.
        fact: part and fact.
        ids: of its rows.
    """

    of: _Key
    kind: _Key
    cell: _Key
    fact: tuple[int, str]
    ids: tuple[str, ...]


def draw_volumes(named: Iterable[tuple[T, tuple[str, str, str]]], per_modality: int) -> list[T]:
    """So many items of each modality, drawn by their names alone; in their order.

    Builds with other seeds ask about the same volumes: what they differ in is the choice of slices and wordings.

    Args:
        named: cases or stored volumes, each with its modality, source and subject.
        per_modality: how many of each modality at most.
    """
    smallest: dict[str, list[tuple[int, int, T]]] = {}
    for number, (item, (modality, *name)) in enumerate(named):
        kept = smallest.setdefault(modality, [])
        heapq.heappush(kept, (-int(digest("volumes", *name), 16), -number, item))
        if len(kept) > per_modality:
            heapq.heappop(kept)
    drawn = [(-number, item) for kept in smallest.values() for _, number, item in kept]
    return [item for _, item in sorted(drawn, key=lambda each: each[0])]


def balance(parts: Sequence[Part], folder: Path, most: int, seed: int) -> list[Part]:
    """The parts with so many rows of each cell at most; their files are written anew.

    Args:
        parts: of all volumes, in their order.
        folder: of their files.
        most: rows of a cell.
        seed: of the build.
    """
    units = [unit for part in parts for unit in _units(part, folder)]
    kept = {identity for unit in chosen(units, most, seed) for identity in unit.ids}
    return [part for each in parts if (part := _rewritten(each, folder, kept)) is not None]


def chosen(units: Sequence[_Unit], most: int, seed: int) -> Iterator[_Unit]:
    """The units that are kept: those of each cell, and their controls."""
    first: dict[_Key, _Key] = {}  # the question itself, or if there are only controls, one kind of these
    for unit in units:
        if unit.of not in first or (_is_control(first[unit.of]) and not _is_control(unit.kind)):
            first[unit.of] = unit.kind
    groups: dict[_Key, dict[tuple[int, str], list[_Unit]]] = {}
    for unit in units:
        if unit.kind == first[unit.of]:
            modality, plane, terminology, *_ = unit.cell
            groups.setdefault((*unit.kind, modality, plane, terminology), {}).setdefault(unit.fact, []).append(unit)
    rows: Counter[_Key] = Counter()
    used: Counter[int] = Counter()
    kept: set[_Key] = set()
    for group, facts in groups.items():
        open_cells = {unit.cell for of_fact in facts.values() for unit in of_fact}
        for limit in (VARIANTS, len(units)):  # what facts are too few for, more of their variants fill
            for fact in _in_turns(facts, used, digest(seed, *group)):
                open_cells = {cell for cell in open_cells if rows[cell] < most}
                if not open_cells:
                    break
                before = len(kept)
                variants: Counter[_Key] = Counter()
                for unit in facts[fact]:
                    if unit.of in kept:
                        variants[unit.cell] += 1
                    elif variants[unit.cell] < limit and rows[unit.cell] + len(unit.ids) <= most:
                        variants[unit.cell] += 1
                        rows[unit.cell] += len(unit.ids)
                        kept.add(unit.of)
                used[fact[0]] += len(kept) > before
    return (unit for unit in units if unit.of in kept)


def _is_control(kind: _Key) -> bool:
    return bool(kind[0] == "blank" or kind[1:] != ("plain", "edges", "listed"))


def _in_turns(
    facts: Mapping[tuple[int, str], Sequence[_Unit]], used: Counter[int], drawn: str
) -> Iterator[tuple[int, str]]:
    """The facts of a plane and terminology: those asked with most prompts, of volumes that were used least so far.

    Args:
        facts: by number of the volume, and the fact; those of a volume in their order.
        used: how often each volume was used; looked at again for every fact.
        drawn: decides between volumes.
    """
    turns: Counter[int] = Counter()
    waiting: list[tuple[int, int, int, str, tuple[int, str]]] = []
    for fact, of_fact in facts.items():
        turns[fact[0]] += 1
        asked = sum(min(VARIANTS, count) for count in Counter(unit.cell for unit in of_fact).values())
        waiting.append((-asked, used[fact[0]], turns[fact[0]], digest("turn", drawn, fact[0]), fact))
    heapq.heapify(waiting)
    while waiting:
        asked, known, turn, place, fact = heapq.heappop(waiting)
        if known < used[fact[0]]:
            heapq.heappush(waiting, (asked, used[fact[0]], turn, place, fact))
        else:
            yield fact


def _units(part: Part, folder: Path) -> Iterator[_Unit]:
    found: dict[_Key, list[dict[str, Any]]] = {}
    with pa.memory_map(str(part_path(folder, part.number))) as file:
        opened = pa.ipc.open_file(file)
        for number in range(opened.num_record_batches):
            for row in opened.get_batch(number).select(list(_READ)).to_pylist():
                key = (part.number, row["fact_id"], *(row[name] for name in _ASKED))
                found.setdefault((key, tuple(row[name] for name in _KIND)), []).append(row)
    for (key, kind), rows in found.items():
        cell = (*(rows[0][name] for name in _CELL), kind[0] == "stack")
        yield _Unit(key, kind, cell, (part.number, rows[0]["fact_id"]), tuple(row["id"] for row in rows))


def _rewritten(part: Part, folder: Path, kept: set[str]) -> Part | None:
    """The part with the rows that are kept; ``None`` if there are none."""
    path = part_path(folder, part.number)
    batches: dict[Any, pa.RecordBatch] = {}
    with pa.memory_map(str(path)) as file:
        opened = pa.ipc.open_file(file)
        for number, cell in enumerate(part.cells):
            batch = opened.get_batch(number)
            wanted = batch.filter(pa.array([identity in kept for identity in batch["id"].to_pylist()], pa.bool_()))
            if wanted.num_rows:
                batches[cell] = wanted
        if batches:
            unfinished = path.with_name(f".{path.name}.balanced")
            with pa.OSFile(str(unfinished), "wb") as target, pa.ipc.new_file(target, ROW_SCHEMA) as writer:
                for batch in batches.values():
                    writer.write_batch(batch)
    if not batches:
        path.unlink()
        return None
    unfinished.replace(path)
    return replace(part_of(part.number, batches), unmatched=part.unmatched)


def part_of(number: int, batches: Mapping[Any, pa.RecordBatch]) -> Part:
    """What is noted of a volume's rows, one batch for each cell."""
    distinct: list[int] = []
    names: set[str] = set()
    for batch in batches.values():
        images = {image["bytes"] for row in batch["images"].to_pylist() for image in row}
        distinct.append(sum(map(len, images)))
        names.update(name for of_row in batch["structures"].to_pylist() for name in of_row)
    rows, sizes = zip(*((batch.num_rows, batch.nbytes) for batch in batches.values()), strict=True)
    return Part(number, tuple(batches), rows, sizes, tuple(distinct), tuple(sorted(names)))
