"""A small data set for a gallery, with hostile text in it."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from dataset_builder.dataset.format import COLUMNS
from dataset_builder.pictures.render import encode_png

HOSTILE = (
    "</script><script>window.hacked = 1</script><img src=x onerror='window.hacked = 1'> <!-- \u2028 {{data}} &amp;"
)


def png(seed):
    return encode_png(np.random.default_rng(seed).integers(0, 255, (64, 64), dtype=np.uint8))


def row(number, **changes):
    values = {
        "id": f"id{number:04d}",
        "images": [{"bytes": png(number // 4), "path": None}],
        "question": f"Question {number}: is the structure marked A right or left of the structure marked B?",
        "options": ["right", "left"],
        "answer": ("right", "left")[number % 2],
        "answer_index": number % 2,
        "modality": "ct",
        "plane": "axial",
        "terminology": "directional",
        "prompt": "box",
        "register": ("clinical", "lay")[number // 2 % 2],
        "convention": ("radiological", "ras")[number // 4 % 2],
        "frame": "patient",
        "input": "slice",
        "view": "plain",
        "statement": "edges",
        "option_form": "listed",
        "stack_order": None,
        "answer_type": "choice",
        "masks": [],
        "scale": None,
        "relation": ("right", "left")[number % 2],
        "structures": ["liver", "spleen"],
        "boxes": [[4, 8, 20, 30], [40, 10, 60, 22]],
        "points": [[12, 16], [50, 16]],
        "pair_id": "",
        "fact_id": "",
        "source": "sample",
        "subject": f"subject{number // 8}",
        "slice_index": [7],
        "pixel_mm": 1.5,
        "oblique_degrees": 0.0,
        "window": "soft tissue W400 L40",
        "margin_mm": 12.0,
        "licence": "CC-BY-4.0",
        "version": "2.0.0",
    }
    return values | changes


def write(folder, rows, row_group_size=5):
    cells = {}
    for each in rows:
        cell = f"{each['modality']}_{each['plane']}/{each['terminology']}_{each['prompt']}"
        cells.setdefault(cell, []).append(each)
    for cell, members in cells.items():
        path = folder / "data" / f"{cell}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.Table.from_pylist(members, schema=pa.schema(COLUMNS)), path, row_group_size=row_group_size)
    return folder
