"""Kinds of defects, each to be planted in one row (or pair), in a whole cell, or everywhere, and what finds it.

The rows of a small data set are changed in memory; nothing is written.
"""

import copy
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from dataset_builder.check.maps import window_limits
from dataset_builder.core.factors import DRAWN_PROMPTS, TURNED_VIEWS
from dataset_builder.pictures import render
from dataset_builder.pictures.letters import LETTERS
from dataset_builder.slices.selection import SliceRecord, load_slices
from tests.helpers.defects import OPPOSITE, Ground, Row, decode, other_option, say

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


# Which rows can have what


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


# Answers


@kind(lambda row: bool(row["pair_id"]), answers="An answer is wrong.")
def the_other_answer(planting, rows):
    for row in rows[:1]:
        say(row, other_option(row))


@kind(lambda row: two(row) and row["frame"] == "patient" and row["relation"] in OPPOSITE, answers="wrong")
def both_answers_and_relations_of_a_pair_opposite(planting, rows):
    for row in rows:
        say(row, other_option(row))
        row["relation"] = OPPOSITE[row["relation"]]


@kind(lambda row: row["frame"] == "image", answers="An answer is wrong.")
def both_answers_in_the_frame_of_the_image_opposite(planting, rows):
    for row in rows:
        say(row, other_option(row))


@kind(lambda row: two(row) and row["frame"] == "patient", answers="An answer is wrong.")
def the_relation_of_the_inverse(planting, rows):
    for row in rows:
        row["relation"] = OPPOSITE.get(row["relation"], "proximal")


# Text


def _exchange(text: str, one: str, other: str) -> str:
    return text.replace(one, "\0").replace(other, one).replace("\0", other)


def _context(row: Row, change: Callable[[str], str]) -> None:
    """Change the first sentences of a question, up to the one that states the edges."""
    at = re.search(r"the top edge is [^.]*\.", row["question"]).end()
    row["question"] = change(row["question"][:at]) + row["question"][at:]


def _asked(row: Row, change: Callable[[str], str]) -> None:
    """Change the sentence that asks."""
    stem, options = row["question"].rsplit("\n", 1)
    context, dot, asked = stem.rpartition(". ")
    row["question"] = f"{context}{dot}{change(asked)}\n{options}"


@kind(lambda row: row["plane"] != "sagittal" and edges(row), text="other image edges")
def left_and_right_edge_exchanged_in_the_text(planting, rows):
    for row in rows:
        _context(row, lambda text: _exchange(text, "patient's right", "patient's left"))


@kind(lambda row: row["plane"] != "axial" and edges(row), text="other image edges")
def the_top_edge_exchanged_in_the_text(planting, rows):
    for row in rows:
        for one, other in (("is superior", "is inferior"), ("toward the head", "toward the feet")):
            _context(row, lambda text, one=one, other=other: _exchange(text, one, other))


@kind(edges, text="does not state the edges")
def the_edges_left_out_of_the_text(planting, rows):
    for row in rows:
        _context(row, lambda text: re.sub(r": the left edge.*", ".", text))


@kind(lambda row: row["statement"] != "none", text="does not state the convention")
def another_convention_in_the_text(planting, rows):
    for row in rows:
        _context(
            row, lambda text: re.sub(r"radiolog\w+|RAS", lambda m: "RAS" if m[0] != "RAS" else "radiological", text)
        )


@kind(anything, text="another plane")
def another_plane_in_the_text(planting, rows):
    for row in rows:
        other = "sagittal" if row["plane"] != "sagittal" else "coronal"
        _context(row, lambda text: text.replace(row["plane"], other))  # noqa: B023


@kind(anything, text="another modality")
def another_modality_in_the_text(planting, rows):
    for row in rows:
        _context(row, lambda text: re.sub(r"\b(CT|MRI)\b", lambda m: "MRI" if m[1] == "CT" else "CT", text))


@kind(turned, text="another view")
def the_view_left_out_of_the_text(planting, rows):
    for row in rows:
        row["question"] = re.sub(r"(?:After that|Then),? the image was [^.]*\. ", "", row["question"])


@kind(lambda row: row["view"] == "rotated90", text="another view")
def turned_the_other_way_in_the_text(planting, rows):
    for row in rows:
        row["question"] = row["question"].replace("clockwise", "counter-clockwise")


@kind(lambda row: row["view"] in ("mirrored", "rotated180"), text="another view")
def another_view_in_the_text(planting, rows):
    for row in rows:
        said = "rotated by 180 degrees" if row["view"] == "mirrored" else "mirrored left to right"
        row["question"] = re.sub(
            r"the image was (mirrored|flipped|rotated|turned)[^.]*", f"the image was {said}", row["question"]
        )


@kind(stated, text="another order")
def the_order_of_a_stack_reversed_in_the_text(planting, rows):
    for row in rows:
        pattern = r"(numbered 1 to \d+,?(?: going)? from )([^.]*?) to ([^.]*)\."
        row["question"] = re.sub(pattern, r"\1\3 to \2.", row["question"])


@kind(lambda row: stack(row) and row["stack_order"] == "unstated", text="another order")
def an_order_stated_that_is_not_to_be(planting, rows):
    for row in rows:
        ends = {"axial": "inferior to superior", "coronal": "posterior to anterior"}
        ends = ends.get(row["plane"], "the patient's left to the patient's right")
        row["question"] = re.sub(r"(numbered 1 to \d+) as they[^.]*\.", rf"\1 from {ends}.", row["question"])


@kind(stack, columns="another distance")
def another_distance_of_images_in_the_text(planting, rows):
    for row in rows:
        row["question"] = re.sub(r"(\d+) mm apart", lambda m: f"{int(m[1]) + 2} mm apart", row["question"])


@kind(stack, text="another number of images")
def another_number_of_images_in_the_text(planting, rows):
    for row in rows:
        row["question"] = re.sub(r"numbered 1 to (\d+)", lambda m: f"numbered 1 to {int(m[1]) + 1}", row["question"])


@kind(lambda row: drawn_two(row) or (two(row) and row["prompt"] in DRAWN_PROMPTS), text="other roles")
def the_question_asks_the_inverse(planting, rows):
    for row in rows:
        _asked(row, lambda text: _exchange(text, "marked A", "marked B"))


@kind(lambda row: two(row) and row["prompt"].startswith("text_"), text="other roles")
def coordinates_question_asks_the_inverse(planting, rows):
    for row in rows:
        _asked(row, lambda text: _exchange(text, "structure A", "structure B"))


@kind(lambda row: two(row) and row["prompt"] == "none" and row["input"] == "slice", text="other roles")
def the_names_of_a_question_exchanged(planting, rows):
    """Each of a pair has the question of the other."""
    texts = [row["question"] for row in rows]
    for row, text in zip(rows, reversed(texts), strict=True):
        row["question"] = text


@kind(lambda row: row["relation"] in ("nearer", "farther") and row["prompt"] != "none", text="other roles")
def the_third_structure_in_another_role(planting, rows):
    for row in rows:
        for form in ("marked ", "structure "):
            _asked(row, lambda text, form=form: _exchange(text, f"{form}B", f"{form}C"))


@kind(lambda row: row["relation"] in ("between", "outside") and row["prompt"] != "none", text="other roles")
def the_ends_in_another_role(planting, rows):
    for row in rows:
        for form in ("marked ", "structure "):
            _asked(row, lambda text, form=form: _exchange(text, f"{form}A", f"{form}C"))


@kind(lambda row: two(row) and row["frame"] == "patient" and row["prompt"] != "none", text="another frame")
def asked_in_the_frame_of_the_image(planting, rows):
    for row in rows:
        a, b = ("the structure marked A", "the structure marked B")
        if row["prompt"] not in DRAWN_PROMPTS:
            a, b = "structure A", "structure B"
        said = f"As displayed in the image, is {a} {row['options'][0]} or {row['options'][1]} to {b}?"
        _asked(row, lambda _, said=said: said)


@kind(lambda row: row["frame"] == "image", text="another frame")
def asked_in_the_frame_of_the_patient(planting, rows):
    for row in rows:
        pattern = r"As displayed in the image|In the image as displayed|By position in the image alone"
        pattern += r"|Looking only at the image|In the image itself|Going only by where things are in the image"
        _asked(row, lambda text: re.sub(pattern, "For the patient", text))  # noqa: B023


@kind(
    lambda row: two(row) and row["frame"] == "patient" and row["register"] == "clinical",
    text="other words than its options",
)
def other_words_asked_for(planting, rows):
    for row in rows:
        for option in row["options"]:
            _asked(row, lambda text, option=option: text.replace(option, f"more {option[::-1]}"))


@kind(lambda row: row["relation"].startswith(("first", "last")), text="something other than the column relation")
def the_last_image_asked_for_and_not_the_first(planting, rows):
    for row in rows:
        _asked(row, lambda text: _exchange(text, "first", "last"))


@kind(lambda row: stack(row) and len(row["structures"]) == 3, text="something other than the column relation")
def an_order_asked_for_from_the_other_end(planting, rows):
    for row in rows:
        pattern = r"\b([Ff]rom) ([^,?]+?) to ([^,?]+)"
        _asked(row, lambda text: re.sub(pattern, r"\1 \3 to \2", text))  # noqa: B023


@kind(drawn, text="another kind of marker")
def another_marker_in_the_text(planting, rows):
    for row in rows:
        said = "A dot marks" if row["prompt"] != "point" else "A box marks"
        row["question"] = re.sub(
            r"\b(?:A|An|Letters?|Dots?|Box(?:es)?|Coloured)\b[^.]*?\bmarks? (structures? [A-C])",
            rf"{said} \1",
            row["question"],
            count=1,
        )


@kind(lambda row: row["prompt"] == "text_point", text="coordinates")
def other_coordinates_in_the_text(planting, rows):
    for row in rows:
        row["question"] = re.sub(
            r"pixel \((\d+), (\d+)\)", lambda m: f"pixel ({m[2]}, {int(m[1]) + 1})", row["question"]
        )


@kind(lambda row: row["prompt"].startswith("text_"), text="another size of the image")
def another_size_in_the_text(planting, rows):
    for row in rows:
        row["question"] = re.sub(r"image is \d+ x \d+", "image is 512 x 512", row["question"])


@kind(lambda row: row["prompt"] in DRAWN_PROMPTS, text="another register")
def another_register_in_the_column(planting, rows):
    for row in rows:
        row["register"] = "lay" if row["register"] == "clinical" else "clinical"
