"""A data set folder with defects, each in rows of its own, and what an audit must say of each."""

import shutil
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from dataset_builder.core.factors import TURNED_VIEWS

Row = dict[str, Any]

OPPOSITE = {"right": "left", "anterior": "posterior", "superior": "inferior", "medial": "lateral"}
OPPOSITE |= {other: one for one, other in OPPOSITE.items()}


@dataclass
class Ground:
    """The rows of a data set folder, to be changed and written back; a pair is given out once."""

    folder: Path
    files: dict[str, list[Row]]
    schemas: dict[str, pa.Schema]
    used: set[str] = field(default_factory=set)

    @classmethod
    def read(cls, folder: Path) -> "Ground":
        files, schemas = {}, {}
        for path in sorted((folder / "data").rglob("*.parquet")):
            table = pq.read_table(path)
            name = path.relative_to(folder).as_posix()
            files[name], schemas[name] = table.to_pylist(), table.schema
        return cls(folder, files, schemas)

    def write(self) -> None:
        for name, rows in self.files.items():
            pq.write_table(pa.Table.from_pylist(rows, schema=self.schemas[name]), self.folder / name)

    def rows(self) -> Iterator[tuple[str, Row]]:
        for name, rows in self.files.items():
            for row in rows:
                yield name, row

    def take(self, wanted: Callable[[Row], bool]) -> list[Row]:
        """The rows of a pair not given out yet, or one row without a pair, of which the first fits."""
        for _, row in self.rows():
            unit = row["pair_id"] or row["id"]
            if unit not in self.used and wanted(row):
                self.used.add(unit)
                return [other for _, other in self.rows() if (other["pair_id"] or other["id"]) == unit]
        raise LookupError("no such row is left")

    def file_of(self, row: Row) -> str:
        return next(name for name, other in self.rows() if other is row)

    def twin(self, row: Row) -> Row:
        """The row of the input ``slice`` that a blank canvas was made from."""
        same = ("fact_id", "structures", "relation", "prompt", "register", "convention", "frame")
        return next(
            other
            for _, other in self.rows()
            if other["input"] == "slice" and other["view"] == "plain" and all(other[n] == row[n] for n in same)
        )


def plain(row: Row, *prompts: str, terminology: str = "directional", frame: str = "patient") -> bool:
    shown = row["input"] == "slice" and row["view"] == "plain"
    return shown and row["prompt"] in prompts and row["terminology"] == terminology and row["frame"] == frame


def drawn(row: Row, *prompts: str) -> bool:
    """A marked row of two structures that no blank canvas goes with: it is turned."""
    return row["view"] in TURNED_VIEWS and row["prompt"] in (prompts or ("label", "point", "box", "mask"))


def other_option(row: Row) -> str:
    return next(option for option in row["options"] if option != row["answer"])


def say(row: Row, answer: str) -> None:
    row["answer"], row["answer_index"] = answer, row["options"].index(answer)


def decode(row: Row, number: int = 0) -> np.ndarray:
    return cv2.imdecode(np.frombuffer(row["images"][number]["bytes"], np.uint8), cv2.IMREAD_UNCHANGED)


def encode(image: np.ndarray) -> Row:
    return {"bytes": cv2.imencode(".png", np.ascontiguousarray(image))[1].tobytes(), "path": None}


# Each defect changes rows and returns their ids; NOTED says what the audit must find, by check.

NOTED: dict[str, dict[str, str]] = {}
DEFECTS: dict[str, Callable[[Ground], list[str]]] = {}


def defect(**noted: str) -> Callable[[Callable[[Ground], list[str]]], Callable[[Ground], list[str]]]:
    def add(function: Callable[[Ground], list[str]]) -> Callable[[Ground], list[str]]:
        DEFECTS[function.__name__] = function
        NOTED[function.__name__] = noted
        return function

    return add


def ids(rows: list[Row]) -> list[str]:
    return [row["id"] for row in rows]


@defect(answers="An answer is wrong.", pairs="The rows of a pair have the same answer.")
def an_answer_swapped(ground):
    rows = ground.take(lambda row: plain(row, "none"))
    say(rows[0], other_option(rows[0]))
    return ids(rows)


@defect(answers="An answer is wrong.")
def both_answers_of_a_pair_swapped_with_their_relations(ground):
    rows = ground.take(lambda row: drawn(row) and row["frame"] == "patient" and row["relation"] in OPPOSITE)
    for row in rows:
        say(row, other_option(row))
        row["relation"] = OPPOSITE[row["relation"]]
    return ids(rows)


@defect(answers="An answer is wrong.")
def both_answers_in_the_frame_of_the_image_swapped(ground):
    rows = ground.take(lambda row: row["view"] in TURNED_VIEWS and row["frame"] == "image")
    for row in rows:
        say(row, other_option(row))
    return ids(rows)


@defect(pairs="A pair does not consist of two rows.", files="The number of rows of a split differs from the record.")
def half_a_pair_lost(ground):
    rows = ground.take(lambda row: plain(row, "text_box"))
    ground.files[ground.file_of(rows[1])].remove(rows[1])
    return [rows[0]["id"], "directional_text_box"]


@defect(orientation="An image is rotated or mirrored otherwise than stated.")
def an_image_without_markers_mirrored(ground):
    rows = ground.take(lambda row: row["prompt"] == "none" and len(row["images"]) == 1 and row["pair_id"])
    for row in rows:
        row["images"] = [encode(decode(row)[:, ::-1])]
    return ids(rows)


@defect(markers="colour", orientation="An image is rotated or mirrored otherwise than stated.")
def an_image_with_markers_mirrored(ground):
    rows = ground.take(drawn)
    rows[0]["images"] = [encode(decode(rows[0])[:, ::-1])]
    return ids(rows)


@defect(markers="colour")
def the_colours_of_two_markers_exchanged(ground):
    rows = ground.take(lambda row: drawn(row, "point", "label"))
    image = decode(rows[0])
    a, b = (0, 94, 213), (233, 180, 86)  # blue, green, red
    was_a, was_b = (image == a).all(axis=2), (image == b).all(axis=2)
    image[was_a], image[was_b] = b, a
    rows[0]["images"] = [encode(image)]
    return ids(rows)


@defect(boxes="A box is not the box of its structure.")
def a_box_moved(ground):
    rows = ground.take(lambda row: plain(row, "none", terminology="relational"))
    x0, y0, x1, y1 = rows[0]["boxes"][0]
    rows[0]["boxes"][0] = [x0, y0, x1 + 3, y1] if x1 < 120 else [x0 - 3, y0, x1, y1]
    return ids(rows)


@defect(boxes="A box does not lie in the image.")
def a_box_outside_of_the_image(ground):
    rows = ground.take(lambda row: plain(row, "none", terminology="relational"))
    rows[0]["boxes"][0][2] = 129
    return ids(rows)


@defect(boxes="A point does not lie in its box.")
def a_point_outside_of_its_box(ground):
    rows = ground.take(lambda row: plain(row, "none", terminology="anatomical"))
    rows[0]["points"][0][0] = rows[0]["boxes"][0][2]
    return ids(rows)


@defect(boxes="A point does not lie on its structure.")
def points_in_the_corners_of_their_boxes(ground):
    """At the corners of a box the structure itself is seldom: one of four at least is free of it."""
    rows = ground.take(lambda row: row["view"] in TURNED_VIEWS and row["prompt"] == "none")
    for row in rows:
        row["points"] = [[box[0], box[1]] for box in row["boxes"]]
    return ids(rows)


@defect(
    duplicates="Two rows are the same.",
    facts="Rows of a fact do not differ in any factor.",
    files="The number of rows of a split differs from the record.",
)
def a_row_doubled_under_another_id(ground):
    (row,) = ground.take(lambda row: plain(row, "none", terminology="anatomical"))
    ground.files[ground.file_of(row)].append(row | {"id": "copy-0"})
    return ["copy-0", row["id"], "anatomical_none"]


@defect(ids="Rows have the same id.")
def two_rows_with_one_id(ground):
    (row,) = ground.take(lambda row: plain(row, "none", terminology="anatomical"))
    (other,) = ground.take(lambda row: plain(row, "none", terminology="anatomical"))
    other["id"] = row["id"]
    return [row["id"]]


@defect(leakage="The path of an image names a structure or an option.")
def a_name_in_the_path_of_an_image(ground):
    rows = ground.take(lambda row: plain(row, "none", terminology="relational"))
    rows[0]["images"][0]["path"] = f"scans/{rows[0]['structures'][1]}_17.png"
    return ids(rows)


@defect(leakage="A file is named after a structure.")
def a_name_in_the_name_of_a_file(ground):
    name = next(row["structures"][0] for _, row in ground.rows())
    (ground.folder / f"{name}-1.png").write_bytes(b"")
    return [f"{name}-1.png"]


@defect(pictures="An image cannot be decoded.")
def an_image_cut_off(ground):
    rows = ground.take(drawn)
    data = rows[0]["images"][0]["bytes"]
    rows[0]["images"][0]["bytes"] = data[: len(data) - 40]
    return ids(rows)


@defect(pictures="An image file contains text.")
def an_image_with_text_in_its_file(ground):
    rows = ground.take(drawn)
    data, text = rows[0]["images"][0]["bytes"], b"tEXtComment\0left"
    chunk = struct.pack(">I", len(text) - 4) + text + struct.pack(">I", zlib.crc32(text))
    rows[0]["images"][0]["bytes"] = data[:33] + chunk + data[33:]
    return ids(rows)


@defect(text="The question names a structure that a marker stands for.")
def a_marked_structure_named(ground):
    rows = ground.take(drawn)
    name = rows[0]["structures"][0].replace("_", " ")
    rows[0]["question"] = rows[0]["question"].replace("structure marked A", name)
    return ids(rows)


@defect(text="The coordinates in the question are not those of the row.")
def other_coordinates_in_the_question(ground):
    rows = ground.take(lambda row: row["prompt"] == "text_point" and len(row["structures"]) == 1)
    for row in rows:
        x, y = row["points"][0]
        row["question"] = row["question"].replace(f"({x}, {y})", f"({y + 1}, {x})")
    return ids(rows)


@defect(text="The question does not list its options in their order.")
def an_option_that_the_question_does_not_list(ground):
    rows = ground.take(lambda row: row["prompt"] == "text_box" and len(row["structures"]) == 1)
    for row in rows:
        row["question"] = row["question"].replace(row["options"][3], "nothing")
    return ids(rows)


@defect(facts="Rows of a fact differ in what they must share.")
def another_margin(ground):
    rows = ground.take(lambda row: plain(row, "text_point", "text_box", terminology="relational"))
    for row in rows:
        row["margin_mm"] += 1
    return [row["fact_id"] for row in rows]


@defect(facts="Rows of a fact use different templates.")
def another_template(ground):
    rows = ground.take(lambda row: row["view"] in TURNED_VIEWS and row["prompt"].startswith("text_"))
    for row in rows:
        row["template"] = row["template"].rsplit(".", 1)[0] + ".9"
    return [row["fact_id"] for row in rows]


@defect(blanks="A blank canvas shows more than markers.")
def a_scan_on_a_blank_canvas(ground):
    rows = ground.take(lambda row: row["input"] == "blank" and row["prompt"] == "box" and row["pair_id"])
    rows[0]["images"] = [dict(image) for image in ground.twin(rows[0])["images"]]
    return ids(rows)


@defect(blanks="A blank canvas differs from its twin in more than the image.")
def a_blank_canvas_with_another_window(ground):
    rows = ground.take(lambda row: row["input"] == "blank" and row["prompt"] == "label" and row["pair_id"])
    for row in rows:
        row["prior_answer"] = "" if row["prior_answer"] else row["options"][0]
    return ids(rows)


@defect(schema="A factor has an illegal value.", pairs="A pair does not consist of two rows.")
def an_unknown_factor(ground):
    rows = ground.take(lambda row: row["prompt"] == "text_box" and row["view"] in TURNED_VIEWS)
    rows[0]["convention"] = "neurological"
    return ids(rows)


@defect(schema="A row lacks a required value.", pairs="A pair does not consist of two rows.")
def an_empty_question(ground):
    rows = ground.take(lambda row: row["prompt"].startswith("text_") and row["terminology"] == "relational")
    rows[0]["question"] = None
    return ids(rows)


@defect(schema="The answer is not the option that answer_index names.")
def an_answer_index_of_another_option(ground):
    rows = ground.take(lambda row: row["input"] == "stack" and row["prompt"] == "none")
    rows[0]["answer_index"] = (rows[0]["answer_index"] + 1) % len(rows[0]["options"])
    return ids(rows)


@defect(schema="A row is in the file of another cell.", files="The number of rows of a split differs from the record.")
def a_row_in_the_file_of_another_cell(ground):
    (row,) = ground.take(lambda row: plain(row, "none", terminology="anatomical"))
    here = ground.file_of(row)
    ground.files[here].remove(row)
    ground.files["data/view/test.parquet"].append(row)
    return [row["id"], "view/test", here.split("/")[-1].removesuffix(".parquet")]


@defect(answers="The slice of a row is not in the slice store.", facts="Rows of a fact differ in what they must share.")
def a_slice_that_the_store_does_not_have(ground):
    rows = ground.take(lambda row: row["view"] in TURNED_VIEWS and row["prompt"].startswith("text_"))
    for row in rows:
        row["slice_index"] = [9999]
    return [*ids(rows), *(row["fact_id"] for row in rows)]


@defect(answers="An answer is wrong.", pixels="An image differs from its slice outside the markers.")
def a_stack_in_the_other_order(ground):
    rows = ground.take(lambda row: row["input"] == "stack" and row["stack_order"] == "ascending")
    for row in rows:
        row["slice_index"] = row["slice_index"][::-1]
    return ids(rows)


@defect(files="A config of the card names missing files.")
def a_file_lost(ground):
    """One that no row of another defect is in, and without markers: no blank canvas misses it."""
    for name, rows in ground.files.items():
        pairs = {row["pair_id"] or row["id"] for row in rows}
        if not pairs & ground.used and name.endswith(("_none.parquet", "_text_point.parquet", "_text_box.parquet")):
            (ground.folder / name).unlink()
            del ground.files[name]
            return [name.split("/")[1]]
    raise LookupError("every file has a defect already")


def break_copy(ground: Path, folder: Path) -> dict[str, list[str]]:
    """Copy a data set and break the copy in every way; returns the rows (or facts, files) of each defect."""
    shutil.copytree(ground, folder)
    rows = Ground.read(folder)
    made = {name: make(rows) for name, make in DEFECTS.items()}
    rows.write()
    return made
