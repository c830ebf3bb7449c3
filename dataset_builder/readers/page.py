"""The page for a human reader: one file that needs no server and no network.

It holds what the chosen questions show and ask, and nothing that tells the answer: no column of a row is in it but the
question, the options and how the image is made.
"""

import hashlib
import html
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from dataset_builder.core.errors import BuildError, MISGroundError
from dataset_builder.core.factors import ANSWER_TYPES, FACTORS
from dataset_builder.core.version import package_version
from dataset_builder.dataset.format import LATER_COLUMNS
from dataset_builder.dataset.manifest import Record, read_record
from dataset_builder.files.progress import Progress, silent
from dataset_builder.gallery import pages
from dataset_builder.gallery.pages import check_page, data_url, embed, write_page
from dataset_builder.pictures.render import ct_windows, encode_png_rgba
from dataset_builder.readers.answers import FORMAT, FORMAT_VERSION, REASONS, item_id
from dataset_builder.readers.full_resolution import Shown, read_rows, read_stored, shown_of
from dataset_builder.readers.sample import COLUMNS, choose

FEWEST_ITEMS = 2


@dataclass(frozen=True)
class PageSummary:
    """What a page holds: questions, how many of them in full resolution, volumes; its own hash, and its size."""

    out: Path
    items: int
    full_resolution: int
    volumes: int
    page: str
    size: int


def write_reader_page(
    dataset: Path,
    out: Path,
    items: int = 120,
    reader: str = "",
    seed: int = 0,
    inputs: Collection[str] = ("slice", "stack"),
    views: Collection[str] = ("plain",),
    answer_types: Collection[str] = ANSWER_TYPES,
    progress: Progress = silent,
) -> PageSummary:
    """Write a page on which a person answers some of a data set's questions.

    Args:
        dataset: a data set folder, as ``mis-ground build`` makes it.
        out: the page; replaced as a whole at the end.
        items: at most so many questions; pairs stay whole.
        reader: who reads; empty: the page asks.
        seed: of the choice of questions and of their order: readers with the same seed answer the same questions.
        inputs, views, answer_types: which questions to choose from.
        progress: called as ``progress(stage, done, total)``.

    Raises:
        DatasetNotFoundError: if the folder holds no data set.
        BuildError: if a file cannot be read, no question fits, or the page cannot be written.
    """
    if items < FEWEST_ITEMS:
        raise BuildError("A page has two questions or more: pairs stay whole.", value=items)
    for name, values in (("input", inputs), ("view", views), ("answer_type", answer_types)):
        unknown = [value for value in values if value not in FACTORS[name]]
        if unknown or not values:
            raise BuildError(
                f"There is no such {name.replace('_', ' ')}.",
                value=", ".join(unknown) or "nothing",
                remedy=f"Choose from: {', '.join(FACTORS[name])}.",
            )
    record = read_record(dataset)
    if not all(build.pictures for build in record.builds):
        raise BuildError(
            "This is a recipe: it has no images.", file=dataset, remedy="Make the data set first: mis-ground rebuild."
        )
    check_page(out)
    wanted = {"input": inputs, "view": views, "answer_type": answer_types}
    wanted |= {"statement": ("edges",), "option_form": ("listed",)}  # the others are controls, and ask the same again
    files = [file for note in record.questions.values() for file in note.files]
    try:
        ids = choose(_candidates(dataset, files, wanted), items, seed)
        if not ids:
            raise BuildError(
                "No question of the data set fits.",
                file=dataset,
                value="; ".join(f"{name}: {', '.join(values)}" for name, values in wanted.items()),
            )
        rows = read_rows(dataset, files, ids)
        slices = read_stored(dataset, record, {(row["source"], row["subject"]) for row in rows.values()})
    except (pa.ArrowException, OSError, KeyError) as error:
        raise BuildError(
            "A file of the data set cannot be read.", file=dataset, value=error, remedy="Build the data set again."
        ) from error
    held = _Held()
    asked = []
    for number, identity in enumerate(ids):
        progress("images", number, len(ids))
        row = LATER_COLUMNS | rows[identity]
        asked.append(_item(row, shown_of(row, slices), held))
    progress("images", len(ids), len(ids))
    page, text = make_page(asked, held, record, reader, seed)
    write_page(out, text)
    volumes = {(row["source"], row["subject"]) for row in rows.values()}
    in_full = sum("slice" in item["images"][0] for item in asked if item["images"])
    return PageSummary(out, len(ids), in_full, len(volumes), page, out.stat().st_size)


def _candidates(dataset: Path, files: list[str], wanted: Mapping[str, Collection[str]]) -> list[dict[str, Any]]:
    found = []
    for file in files:
        opened = pq.ParquetFile(dataset / file)
        there = [name for name in COLUMNS if name in opened.schema_arrow.names]
        for row in opened.read(columns=there).to_pylist():
            row = {name: LATER_COLUMNS.get(name) for name in COLUMNS} | row
            if all(row[name] in values for name, values in wanted.items()):
                found.append(row)
    return found


class _Held:
    """Slices, and images or markers as addresses, each once."""

    def __init__(self) -> None:
        self.slices: list[dict[str, Any]] = []
        self.images: list[str] = []
        self._numbers: dict[bytes, int] = {}

    def image(self, encoded: bytes) -> int:
        key = hashlib.sha256(encoded).digest()
        if key not in self._numbers:
            self._numbers[key] = len(self.images)
            self.images.append(data_url(encoded))
        return self._numbers[key]

    def slice(self, shown: Shown) -> int:
        stored = shown.stored
        key = hashlib.sha256(b"slice" + stored.png + repr((stored.slope, stored.intercept)).encode()).digest()
        if key not in self._numbers:
            self._numbers[key] = len(self.slices)
            address = data_url(stored.png).partition(",")[2]
            self.slices.append({"png": address, "slope": stored.slope, "intercept": stored.intercept})
        return self._numbers[key]


def _item(row: Mapping[str, Any], shown: list[Shown] | None, held: _Held) -> dict[str, Any]:
    """What the page holds of a question: what a model is given, and hashes that tell which question it was."""
    encoded = [image["bytes"] for image in row["images"]]
    images: list[dict[str, Any]] = []
    for number, image in enumerate(encoded):
        if shown is None:
            images.append({"image": held.image(image)})
            continue
        one = shown[number]
        of_slice = {"slice": held.slice(one), "matrix": one.matrix, "window": one.window}
        markers = {} if one.markers is None else {"image": held.image(encode_png_rgba(one.markers))}
        images.append(of_slice | markers)
    question, options = row["question"], list(row["options"])
    return {
        "id": item_id(row["id"]),
        "question": question.rpartition("\n")[0] if options and "\n" in question else question,
        "options": options,
        "answer_type": row["answer_type"],
        "unit": row["unit"],
        "modality": row["modality"],
        "plane": row["plane"],
        "size": _width(encoded[0]) if encoded else 0,
        "images": images,
        "question_sha256": hashlib.sha256(question.encode()).hexdigest(),
        "image_sha256": [hashlib.sha256(image).hexdigest() for image in encoded],
    }


def _width(png: bytes) -> int:
    from io import BytesIO

    from PIL import Image

    with Image.open(BytesIO(png)) as header:
        return header.width


def make_page(items: list[dict[str, Any]], held: _Held, record: Record, reader: str, seed: int) -> tuple[str, str]:
    """The page's hash, by which the browser keeps its answers, and the page as HTML."""
    data: dict[str, Any] = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "made_by": f"mis-ground {package_version()}",
        "dataset": {
            "content": record.content,
            "version": ", ".join(sorted({build.version for build in record.builds})),
        },
        "reader": reader,
        "seed": seed,
        "reasons": REASONS,
        "windows": {window.name: [window.low, window.high] for window in ct_windows().values()},
        "items": items,
    }
    whole = json.dumps([data, held.slices, held.images], sort_keys=True)
    data["page"] = hashlib.sha256(whole.encode()).hexdigest()[:16]
    template = _part("reader.html")
    code = {"style": _part("reader.css"), "script": _part("reader.js"), "viewer": _part("viewer.js")}
    parts = {
        "reader": html.escape(reader),
        "data": embed(data),
        "slices": embed(held.slices),
        "images": embed(held.images),
    }
    return data["page"], pages.make_page(template, code, parts)


def _part(name: str) -> str:
    return resources.files("dataset_builder.readers").joinpath(name).read_text(encoding="utf-8")


def check_reader_name(name: str) -> str:
    """A reader's name as it stands in files: short, and on one line.

    Raises:
        MISGroundError: if it is not.
    """
    if len(name) > 60 or not name.isprintable():
        raise MISGroundError("A reader's name is one line of at most 60 characters.", value=name)
    return name.strip()
