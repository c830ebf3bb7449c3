"""Arrow schemas that say to ``datasets`` what their columns are, made without importing it.

``datasets`` imports torch: seconds, and hundreds of megabytes. A worker process needs neither.
"""

import json
from collections.abc import Mapping
from typing import Any

import pyarrow as pa

IMAGE = pa.struct({"bytes": pa.binary(), "path": pa.string()})
"""What ``datasets.Image()`` is in a table."""
MASK = pa.struct({"size": pa.list_(pa.int32()), "counts": pa.string()})
"""A mask in COCO's run-length encoding: its height and width, and the compressed counts (pycocotools)."""


def described(columns: Mapping[str, pa.DataType]) -> pa.Schema:
    """A schema with the note that ``datasets`` leaves in Parquet files; a column of :data:`IMAGE` is an image."""
    info = {"info": {"features": {name: _feature(kind) for name, kind in columns.items()}}}
    return pa.schema(dict(columns)).with_metadata({"huggingface": json.dumps(info)})


def _feature(kind: pa.DataType) -> dict[str, Any]:
    if kind == IMAGE:
        return {"_type": "Image"}
    if pa.types.is_struct(kind):
        return {field.name: _feature(field.type) for field in kind}
    if pa.types.is_list(kind):
        return {"feature": _feature(kind.value_type), "_type": "List"}
    return {"dtype": {"double": "float64", "float": "float32"}.get(str(kind), str(kind)), "_type": "Value"}
