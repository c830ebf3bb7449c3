"""A data set folder written by hand in the published layout: some rows a cell, noise for images."""

from collections.abc import Callable, Iterable
from io import BytesIO
from itertools import product
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pyarrow.parquet as pq
from PIL import Image

from dataset_builder.core.factors import DRAWN_PROMPTS, MODALITIES, PLANES, PROMPTS, TERMINOLOGIES, VIEWS

FACTORS = [
    *("modality", "plane", "terminology", "prompt", "register", "convention", "frame", "input", "view", "stack_order"),
]
TEXTS, TEXT_LISTS = datasets.Value("string"), datasets.List(datasets.Value("string"))
NUMBER, NUMBERS = datasets.Value("int32"), datasets.List(datasets.List(datasets.Value("int32")))
FEATURES = datasets.Features(
    dict.fromkeys(["id", "question", "answer", "prior_answer", "pair_id", "fact_id", "template"], TEXTS)
    | dict.fromkeys(FACTORS, TEXTS)
    | dict.fromkeys(["relation", "source", "subject", "window", "licence", "version"], TEXTS)
    | dict.fromkeys(["options", "structures"], TEXT_LISTS)
    | dict.fromkeys(["boxes", "points"], NUMBERS)
    | dict.fromkeys(["pixel_mm", "oblique_degrees", "margin_mm"], datasets.Value("float32"))
    | {"answer_index": NUMBER, "slice_index": datasets.List(NUMBER), "box_images": datasets.List(NUMBER)}
    | {"images": datasets.List(datasets.Image())}
)

CARD = """\
---
configs:
- config_name: all
  default: true
  data_files:
  - split: test
    path: data/*/*.parquet
---
"""


def noise(seed: int, coloured: bool, size: int = 64) -> bytes:
    """An encoded image like no other."""
    shape = (size, size, 3) if coloured else (size, size)
    stream = BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


def row(cell: tuple[str, str, str, str], number: int) -> dict[str, Any]:
    """The row of a cell: number 2n and 2n + 1 are a pair."""
    modality, plane, terminology, prompt = cell
    name = "-".join((*cell, str(number // 2)))
    single = (terminology, prompt) == ("anatomical", "none")
    options = ["right", "left"]
    return {
        "id": f"{name}-{number % 2}",
        "images": [{"bytes": noise(number, prompt in DRAWN_PROMPTS), "path": None}],
        "question": "This is a slice. Is structure A to the right or to the left of structure B?\nOptions: right; left",
        "options": options,
        "answer": options[number % 2],
        "answer_index": number % 2,
        "modality": modality,
        "plane": plane,
        "terminology": terminology,
        "prompt": prompt,
        "register": "clinical",
        "convention": "radiological",
        "frame": "patient",
        "input": "slice",
        "view": "plain",
        "stack_order": None,
        "template": "right_left.0",
        "prior_answer": options[number % 2],
        "box_images": [0, 0],
        "relation": options[number % 2],
        "structures": ["liver", "spleen"],
        "boxes": [[1, 2, 10, 20], [30, 5, 40, 9]],
        "points": [[5, 10], [35, 7]],
        "pair_id": "" if single else name,
        "fact_id": name,
        "source": "hand",
        "subject": "0",
        "slice_index": [number],
        "pixel_mm": 1.0,
        "oblique_degrees": 0.0,
        "window": "soft tissue W400 L40",
        "margin_mm": 20.0,
        "licence": "none",
        "version": "2.0.0",
    }


def controls(modality: str, rows_per_cell: int) -> dict[str, list[dict[str, Any]]]:
    """Rows of the configs beside those of cells: stacks of two images, markers on a blank canvas, turned images."""
    found: dict[str, list[dict[str, Any]]] = {"stack": [], "blank": [], "view": []}
    for number in range(rows_per_cell):
        for plane in PLANES:
            stack = row((modality, plane, "directional", "none"), number)
            images = [{"bytes": noise(number + 100 * i, False), "path": None} for i in range(2)]
            change = {
                "input": "stack",
                "stack_order": "ascending",
                "images": images,
                "slice_index": [number, number + 3],
            }
            found["stack"].append(renamed(stack | change, "stack"))
        for prompt in DRAWN_PROMPTS:
            marked = row((modality, "axial", "directional", prompt), number)
            found["blank"].append(renamed(marked | {"input": "blank"}, "blank"))
        for view in VIEWS[1:]:
            turned = row((modality, "axial", "directional", "box"), number)
            found["view"].append(renamed(turned | {"view": view}, view))
    return found


def renamed(values: dict[str, Any], name: str) -> dict[str, Any]:
    """A row under identifiers of its own."""
    return values | {key: f"{name}-{values[key]}" for key in ("id", "pair_id")}


def write_dataset(
    folder: Path,
    rows_per_cell: int = 4,
    modalities: Iterable[str] = MODALITIES,
    change: Callable[[dict[str, Any]], dict[str, Any]] = lambda row: row,
) -> Path:
    """Write the data set; ``change`` may alter each row."""
    files: dict[str, list[dict[str, Any]]] = {}
    for cell in product(modalities, PLANES, TERMINOLOGIES, PROMPTS):
        files[f"{cell[0]}_{cell[1]}/{cell[2]}_{cell[3]}"] = [row(cell, number) for number in range(rows_per_cell)]
    for modality in modalities:
        for config, rows in controls(modality, rows_per_cell).items():
            files.setdefault(f"{config}/test", []).extend(rows)
    for name, rows in files.items():
        path = folder / "data" / f"{name}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        table = datasets.Dataset.from_list([change(values) for values in rows], features=FEATURES)
        pq.write_table(table.data.table, path)
    (folder / "README.md").write_text(CARD, encoding="utf-8")
    return folder
