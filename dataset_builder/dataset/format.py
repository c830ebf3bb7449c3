"""The format of the data set: its version, and the columns of a row with their Arrow types."""

from typing import Any

import pyarrow as pa

from dataset_builder.dataset.arrow_schema import IMAGE, MASK, described

VERSION = "2.3.0"
"""Version of the data: moves whenever a row of the same volume, settings and seed can come out different."""

COLUMNS: dict[str, pa.DataType] = {
    "id": pa.string(),
    "images": pa.list_(IMAGE),
    "question": pa.string(),
    "options": pa.list_(pa.string()),
    "answer": pa.string(),
    "answer_index": pa.int32(),
    "prior_answer": pa.string(),
    "modality": pa.string(),
    "plane": pa.string(),
    "terminology": pa.string(),
    "prompt": pa.string(),
    "register": pa.string(),
    "convention": pa.string(),
    "frame": pa.string(),
    "input": pa.string(),
    "view": pa.string(),
    "statement": pa.string(),
    "option_form": pa.string(),
    "stack_order": pa.string(),
    "answer_type": pa.string(),
    "scale": pa.string(),
    "template": pa.string(),
    "relation": pa.string(),
    "structures": pa.list_(pa.string()),
    "boxes": pa.list_(pa.list_(pa.int32())),
    "points": pa.list_(pa.list_(pa.int32())),
    "box_images": pa.list_(pa.int32()),
    "masks": pa.list_(MASK),
    "answer_image": pa.int32(),
    "value": pa.float64(),
    "unit": pa.string(),
    "tolerance": pa.float64(),
    "pair_id": pa.string(),
    "fact_id": pa.string(),
    "source": pa.string(),
    "subject": pa.string(),
    "patient": pa.string(),
    "slice_index": pa.list_(pa.int32()),
    "pixel_mm": pa.float32(),
    "oblique_degrees": pa.float32(),
    "window": pa.string(),
    "margin_mm": pa.float32(),
    "licence": pa.string(),
    "version": pa.string(),
}
"""Columns of a row, in order, with their Arrow types; the data set's card says what they mean."""

LATER_COLUMNS: dict[str, Any] = {
    "patient": "",
    "statement": "edges",
    "option_form": "listed",
    "answer_type": "choice",
    "scale": None,
    "masks": [],
    "answer_image": None,
    "value": None,
    "unit": None,
    "tolerance": None,
}
"""Columns that older data sets lack, with what they hold on such rows: the first three came with version 2.2.0, the
others with 2.1.0."""

NULLABLE = ("stack_order", "scale", "answer_image", "value", "unit", "tolerance")
"""Columns that are null on rows that they do not apply to."""

ROW_SCHEMA = described(COLUMNS)
"""The same as a schema, with the features that ``load_dataset`` reads from Parquet."""
