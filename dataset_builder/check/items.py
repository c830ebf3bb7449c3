"""The rows of a data set folder as the audit keeps them: texts and factors in memory, images by their digest."""

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

from dataset_builder.core.factors import ANSWER_CONFIGS, INPUT_CONFIGS, MODALITIES, PLANES, config_name
from dataset_builder.dataset.format import COLUMNS
from dataset_builder.dataset.parquet import stem_of_file

FACTORS = (
    *("register", "convention", "frame", "prompt", "input", "view", "statement", "option_form", "stack_order"),
    *("answer_type", "scale"),
)
"""Columns in which rows of one fact may differ."""

STANDARD_CONFIGS = {config_name(m, p) for m in MODALITIES for p in PLANES}
STANDARD_CONFIGS |= {*INPUT_CONFIGS, *ANSWER_CONFIGS.values()}

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")

SliceKey = tuple[str, str, str, int]
"""Source, subject, plane and index: what a slice is found by."""


@dataclass(frozen=True)
class Item:
    """One row without its images; fields are columns of the data set, and where the row stands.

    Args:
        file: path in the folder.
        images: digest of each image; empty if the data set leaves images out.
    """

    file: str
    images: tuple[bytes, ...]
    id: str
    question: str
    options: tuple[str, ...]
    answer: str
    answer_index: int
    prior_answer: str
    modality: str
    plane: str
    terminology: str
    prompt: str
    register: str
    convention: str
    frame: str
    input: str
    view: str
    stack_order: str | None
    template: str
    relation: str
    structures: tuple[str, ...]
    boxes: tuple[tuple[int, ...], ...]
    points: tuple[tuple[int, ...], ...]
    box_images: tuple[int, ...]
    pair_id: str
    fact_id: str
    source: str
    subject: str
    slice_index: tuple[int, ...]
    pixel_mm: float
    oblique_degrees: float
    window: str
    margin_mm: float
    licence: str
    version: str
    statement: str = "edges"
    option_form: str = "listed"
    answer_type: str = "choice"
    scale: str | None = None
    masks: tuple[Mapping[str, Any], ...] = ()
    answer_image: int | None = None
    value: float | None = None
    unit: str | None = None
    tolerance: float | None = None
    patient: str = ""

    def __str__(self) -> str:
        return f"{self.file}, row {self.id}"

    @property
    def volume(self) -> tuple[str, str]:
        """What the rows of one volume share."""
        return self.source, self.subject

    @property
    def cell(self) -> str:
        """Name of the cell that the row is judged with: that of a harness leaf, controls apart."""
        kind = "" if self.input == "slice" else f"{self.input} "
        for control, is_one in (
            ("view", self.view != "plain"),
            ("statement", self.statement != "edges"),
            ("options", self.option_form != "listed"),
        ):
            kind = f"{control} " if is_one else kind
        return f"{kind}{self.modality}_{self.plane} {self.terminology}_{self.prompt}"

    @property
    def draw_id(self) -> str:
        """The pair, or the row itself if it has none: what was drawn together."""
        return self.pair_id or self.id

    @property
    def is_original(self) -> bool:
        """Whether controls are derived from it: a plain slice, asked about with all that is stated otherwise."""
        return (self.input, self.view, self.statement, self.option_form) == ("slice", "plain", "edges", "listed")

    @property
    def is_choice(self) -> bool:
        """Whether it offers options."""
        return self.answer_type == "choice"

    @property
    def unmarked(self) -> int:
        """How many of its structures, from the first on, no letter stands for: what a place is asked of."""
        return 1 if self.answer_type in ("point", "box") else 0

    @property
    def marked(self) -> tuple[str, ...]:
        """The structures that the letters A, B, C stand for, where there are markers."""
        return self.structures[self.unmarked :]

    @property
    def lines(self) -> tuple[tuple[tuple[int, ...], tuple[int, ...]], ...]:
        """The two ends of each line that is drawn to measure at, A first."""
        if self.answer_type != "number" or self.structures:
            return ()
        return tuple(zip(self.points[::2], self.points[1::2], strict=False))

    @property
    def stem(self) -> str:
        """The question without the line of options."""
        return self.question.rsplit("\n", 1)[0]

    def slice_keys(self) -> list[SliceKey]:
        """The slice behind each image."""
        return [(self.source, self.subject, self.plane, index) for index in self.slice_index]


def make_item(row: Mapping[str, Any], file: str, images: tuple[bytes, ...]) -> Item:
    """A row as Python values, its images known by their digests."""
    made: dict[str, Any] = {name: row[name] for name in COLUMNS if name != "images"}
    for name in ("options", "structures", "box_images", "slice_index", "masks"):
        made[name] = tuple(made[name])
    for name in ("boxes", "points"):
        made[name] = tuple(tuple(place) for place in made[name])
    return Item(file=file, images=images, **made)


def split_of(file: str) -> tuple[str, str]:
    """Config and split of a file of questions, whichever shard of it.

    >>> split_of("data/ct_axial/directional_box-00000-of-00002.parquet")
    ('ct_axial', 'directional_box')
    """
    *_, config, name = f"./{file}".split("/")
    return config, stem_of_file(name)


@dataclass(frozen=True)
class Items:
    """All rows that could be read, in the order of the files, and how they group."""

    rows: tuple[Item, ...]

    @cached_property
    def choices(self) -> "Items":
        """Those that offer options."""
        return Items(tuple(row for row in self.rows if row.is_choice))

    @cached_property
    def cells(self) -> dict[str, list[Item]]:
        """Rows by cell, cells in alphabetical order."""
        return dict(sorted(group((row.cell, row) for row in self.rows).items()))

    @cached_property
    def pairs(self) -> dict[str, list[Item]]:
        """Rows by pair."""
        return group((row.pair_id, row) for row in self.rows if row.pair_id)

    @cached_property
    def facts(self) -> dict[str, list[Item]]:
        """Rows by fact."""
        return group((row.fact_id, row) for row in self.rows)


def group(named: Iterable[tuple[Key, Value]]) -> dict[Key, list[Value]]:
    """Values by key, both in the order in which they come."""
    found: dict[Key, list[Value]] = {}
    for key, value in named:
        found.setdefault(key, []).append(value)
    return found
