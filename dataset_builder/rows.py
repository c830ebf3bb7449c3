"""Rows of the data set: questions with their pictures, for one stored volume at a time."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

from dataset_builder.facts import find_facts
from dataset_builder.questions import Question, ask, choose
from dataset_builder.render import draw, encode_png
from dataset_builder.settings import Settings
from dataset_builder.slices import SliceRecord
from dataset_builder.store import StoredVolume
from dataset_builder.vocabulary import structures

VERSION = "1.0.0"
"""Version of the data: moves whenever a row of the same volume, settings and seed can come out different."""

COLUMNS: dict[str, pa.DataType] = {
    "id": pa.string(),
    "images": pa.list_(pa.struct({"bytes": pa.binary(), "path": pa.string()})),
    "question": pa.string(),
    "options": pa.list_(pa.string()),
    "answer": pa.string(),
    "answer_index": pa.int32(),
    "modality": pa.string(),
    "plane": pa.string(),
    "terminology": pa.string(),
    "prompt": pa.string(),
    "register": pa.string(),
    "convention": pa.string(),
    "frame": pa.string(),
    "input": pa.string(),
    "relation": pa.string(),
    "structures": pa.list_(pa.string()),
    "boxes": pa.list_(pa.list_(pa.int32())),
    "points": pa.list_(pa.list_(pa.int32())),
    "pair_id": pa.string(),
    "fact_id": pa.string(),
    "source": pa.string(),
    "subject": pa.string(),
    "slice_index": pa.list_(pa.int32()),
    "pixel_mm": pa.float32(),
    "window": pa.string(),
    "margin_mm": pa.float32(),
    "licence": pa.string(),
    "version": pa.string(),
}
"""Columns of a row, in order, with their Arrow types; DESIGN.md section 4 says what they mean."""


def volume_rows(volume: StoredVolume, settings: Settings, vocabulary: Path | None = None) -> Iterator[dict[str, Any]]:
    """The rows of one volume: a pure function of its slices and the settings.

    Args:
        volume: a finished volume of a slice store.
        settings: of the build.
        vocabulary: the user's own structures beside the package's, if any.
    """
    records = volume.load()
    words = structures(vocabulary)
    facts = [find_facts(record, settings.fairness, settings.seed, words) for record in records]
    pictures: dict[tuple[object, ...], bytes] = {}
    for unit in choose([record.plane for record in records], facts, settings, volume.identity):
        record = records[unit.record]
        for question in ask(unit, record, settings, words):
            # A picture is drawn and encoded once, however many questions show it.
            names = question.structures if question.prompt in ("label", "point", "box", "mask") else ()
            key = (unit.record, question.convention, question.prompt if names else "", names, str(question.window))
            if key not in pictures:
                shown = draw(record, question.convention, question.prompt, names, question.window, settings.image_size)
                pictures[key] = encode_png(shown)
            yield _row(question, record, pictures[key], settings)


def _row(question: Question, record: SliceRecord, picture: bytes, settings: Settings) -> dict[str, Any]:
    extent = max(size * step for size, step in zip(record.shape, record.spacing, strict=True))
    return {
        "id": question.id,
        "images": [{"bytes": picture, "path": None}],
        "question": question.question,
        "options": list(question.options),
        "answer": question.answer,
        "answer_index": question.answer_index,
        "modality": record.modality,
        "plane": record.plane,
        "terminology": question.terminology,
        "prompt": question.prompt,
        "register": question.register,
        "convention": question.convention,
        "frame": question.frame,
        "input": question.input,
        "relation": question.relation,
        "structures": list(question.structures),
        "boxes": [list(box) for box in question.boxes],
        "points": [list(point) for point in question.points],
        "pair_id": question.pair_id,
        "fact_id": question.fact_id,
        "source": record.source,
        "subject": record.subject,
        "slice_index": [record.index],
        "pixel_mm": extent / settings.image_size,
        "window": str(question.window),
        "margin_mm": question.margin_mm,
        "licence": record.licence,
        "version": VERSION,
    }
