"""How defects are planted: in one row (or pair), in a whole cell, or everywhere, and what finds them.

The rows of a small data set are changed in memory; nothing is written. Modules ``planted*`` add their kinds.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from dataset_builder.check.maps import window_limits
from dataset_builder.core.factors import DRAWN_PROMPTS, TURNED_VIEWS
from dataset_builder.pictures import render
from dataset_builder.pictures.letters import LETTERS
from dataset_builder.slices.selection import SliceRecord, load_slices
from tests.helpers.defects import Ground, Row, decode

Change = Callable[["Planting", list[Row]], None]


@dataclass(frozen=True)
class Kind:
    """A kind of defect.

    Args:
        name: of the kind.
        found: check -> part of the problem that the meaning alone must name; empty if only reproduction can.
        fits: whether a row can have it.
        change: changes rows in place; rows come by pairs.
        scopes: of ``row``, ``cell``, ``everywhere``.
        made_again: whether reproduction finds it.
        answers: what its rows want: ``choice``, ``place`` or ``number``.
    """

    name: str
    found: dict[str, str]
    fits: Callable[[Row], bool]
    change: Change
    scopes: tuple[str, ...]
    made_again: bool
    answers: str = "choice"


KINDS: dict[str, Kind] = {}
WANTED = {"choice": "choice", "box": "place", "point": "place", "number": "number"}


def kind(
    fits: Callable[[Row], bool], *scopes: str, made_again: bool = True, wants: str = "choice", **found: str
) -> Callable[[Change], Change]:
    def add(change: Change) -> Change:
        places = scopes or ("row", "cell", "everywhere")
        KINDS[change.__name__] = Kind(change.__name__, found, fits, change, places, made_again, wants)
        return change

    return add


@dataclass
class Planting:
    """The rows of a data set in memory, and its slices."""

    ground: Ground
    records: dict[tuple[str, str, str, int], SliceRecord] = field(default_factory=dict)

    @classmethod
    def of(cls, folder: Path) -> "Planting":
        ground = Ground.read(folder)
        found = load_slices(next((folder / "slices").glob("*.parquet")))
        return cls(ground, {(r.source, r.subject, r.plane, r.index): r for r in found})

    def fresh(self) -> "Planting":
        """A copy to be changed; image bytes are shared."""
        files = {name: [_copied(row) for row in rows] for name, rows in self.ground.files.items()}
        return Planting(Ground(self.ground.folder, files, self.ground.schemas), self.records)

    def units(self, kind: Kind, used: set[str]) -> dict[str, list[list[Row]]]:
        """The pairs (or single rows) that can have a defect and have none yet, by file."""
        found: dict[str, dict[str, list[Row]]] = {}
        for name, row in self.ground.rows():
            unit = row["pair_id"] or row["id"]
            if WANTED[row["answer_type"]] == kind.answers and unit not in used and not used & {row["fact_id"], name}:
                found.setdefault(name, {}).setdefault(unit, []).append(row)
        fitting = {name: [rows for rows in of.values() if kind.fits(rows[0])] for name, of in found.items()}
        return {name: units for name, units in fitting.items() if units}

    def plant(self, kind: Kind, scope: str, used: set[str]) -> set[str] | None:
        """Plant a defect in rows that have none; returns the ids of these rows, nothing if there are none.

        Args:
            used: pairs, facts and files that have a defect; these are added.
        """
        units = self.units(kind, used)
        if not units:
            return None
        largest = max(units, key=lambda name: len(units[name]))
        chosen = {"row": units[largest][:1], "cell": units[largest]}.get(scope) or [
            u for us in units.values() for u in us
        ]
        marks = {row[name] for rows in chosen for row in rows for name in ("id", "pair_id", "fact_id")} - {""}
        used |= {rows[0]["pair_id"] or rows[0]["id"] for rows in chosen}
        if scope == "row":
            used.add(chosen[0][0]["fact_id"])  # what is wrong with a fact has one cause
        if scope == "cell":
            used.add(largest)
        for rows in chosen:
            kind.change(self, rows)
        return marks | {row["id"] for rows in chosen for row in rows}

    def record(self, row: Row, number: int = 0) -> SliceRecord:
        return self.records[row["source"], row["subject"], row["plane"], row["slice_index"][number]]

    def draw(self, row: Row, record: SliceRecord, names: list[str], letters: str = LETTERS) -> Row:
        """The image of a row, drawn anew with other markers or another slice."""
        low, high = window_limits(row["window"])
        window = render.Window("", low, high)
        options = {"view": row["view"], "blank": row["input"] == "blank", "letters": letters}
        size = decode(row).shape[0]
        return encode_rgb(render.draw(record, row["convention"], row["prompt"], names, window, size, **options))


def _copied(row: Row) -> Row:
    images = row["images"]
    other = copy.deepcopy({name: value for name, value in row.items() if name != "images"})
    return other | {"images": [dict(image) for image in images]}


def encode_rgb(image: np.ndarray) -> Row:
    return {"bytes": render.encode_png(image), "path": None}


def anything(row: Row) -> bool:
    return True


def edges(row: Row) -> bool:
    return row["statement"] == "edges"


def two(row: Row) -> bool:
    """Two structures that are not asked the same of."""
    return len(row["structures"]) == 2 and row["terminology"] == "directional"


def drawn(row: Row) -> bool:
    return row["prompt"] in DRAWN_PROMPTS and _is_own(row)


def drawn_two(row: Row) -> bool:
    return drawn(row) and two(row)


def clean(row: Row) -> bool:
    return row["prompt"] not in DRAWN_PROMPTS and _is_own(row)


def _is_own(row: Row) -> bool:
    """Shows its own slice, and all of it."""
    return row["input"] == "slice" and row["modality"] == "ct" and row["view"] not in ("occluded", "swapped")


def stack(row: Row) -> bool:
    return row["input"] == "stack"


def stated(row: Row) -> bool:
    return stack(row) and row["stack_order"] != "unstated"


def stack_clean(row: Row) -> bool:
    return stack(row) and row["prompt"] == "none" and row["modality"] == "ct"


def blank(row: Row) -> bool:
    return row["input"] == "blank"


def turned(row: Row) -> bool:
    return row["view"] in TURNED_VIEWS
