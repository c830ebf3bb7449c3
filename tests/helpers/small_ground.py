"""Whole data set folders, small and made by hand, for the tests of what comes after a build."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any
from zlib import crc32

import datasets
import pyarrow.parquet as pq

from dataset_builder.core.settings import Settings
from dataset_builder.dataset.card import write_card
from tests.helpers.tiny_dataset import FEATURES, noise, row

CELLS = (
    ("ct", "axial", "directional", "box"),
    ("ct", "axial", "directional", "none"),
    ("ct", "coronal", "relational", "mask"),
    ("mri", "axial", "anatomical", "label"),
)
SLICE_FEATURES = datasets.Features(
    dict.fromkeys(["source", "subject", "licence"], datasets.Value("string")) | {"image": datasets.Image()}
)


def write_ground(
    folder: Path,
    cells: Sequence[tuple[str, str, str, str]] = CELLS,
    *,
    rows: int = 4,
    source: str = "sample",
    licence: str = "Apache-2.0",
    subject: str = "one",
    first: int = 0,
    size: int = 64,
    seed: int = 0,
    slices: bool = True,
) -> Path:
    """Write a data set folder.

    Args:
        rows: of each cell.
        source, licence, subject: of every row.
        first: number of the first row; other numbers are other questions with other images.
        size: side of the images.
        seed: said to be the build's.
        slices: whether there is a slice store.
    """
    files = {}
    for cell in cells:
        path = folder / "data" / f"{cell[0]}_{cell[1]}" / f"{cell[2]}_{cell[3]}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        made = [_row(cell, number, source, licence, subject, size) for number in range(first, first + rows)]
        pq.write_table(datasets.Dataset.from_list(made, features=FEATURES).data.table, path, write_page_index=True)
        files[path.parent.name, path.stem] = [path.relative_to(folder).as_posix()]
    if slices:
        (folder / "slices").mkdir()
        image = {"bytes": noise(first + 1000, False), "path": None}
        one = {"source": source, "subject": subject, "licence": licence, "image": image}
        table = datasets.Dataset.from_list([one], features=SLICE_FEATURES).data.table
        pq.write_table(table, folder / "slices" / "test.parquet", write_page_index=True)
        files["slices", "test"] = ["slices/test.parquet"]
    (folder / "quarantine.jsonl").write_text("", encoding="utf-8")
    volume = {"source": source, "subject": subject, "licence": licence, "citation": f"Makers of {source}", "url": ""}
    write_card(folder, Settings(seed=seed), files, int(slices), [volume], ["liver", "spleen"])
    return folder


def _row(cell: tuple[str, str, str, str], number: int, *rest: Any) -> dict[str, Any]:
    source, licence, subject, size = rest
    made = row(cell, number) | {"source": source, "licence": licence, "subject": subject}
    seed = crc32("/".join(cell).encode()) + number
    made["images"] = [{"bytes": noise(seed, cell[3] in ("box", "mask", "label"), size), "path": None}]
    return made
