"""The TSV files for VLMEvalKit, and what its other files state."""

import base64
import csv
import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from lm_eval_tasks.export.benchmark import Benchmark, Document, without_images
from lm_eval_tasks.export.images import encoded
from lm_eval_tasks.generate import Leaf

TRIED = "e8e78f05 (August 2026)"
"""The commit of VLMEvalKit that the files were tried with."""

DATA_SETS = {
    "MISGround": (("mis_ground",), "where is A from B, on slices and across stacks of slices; the headline"),
    "MISGround_controls": (
        ("mis_ground_blank_*", "mis_ground_view_*", "mis_ground_statement_*", "mis_ground_options_*"),
        "a blank canvas; other images for the same words; other ways to ask and to list options",
    ),
    "MISGround_locate": (("mis_ground_locate_*",), "answers are points and boxes"),
    "MISGround_measure": (("measure_mis_ground",), "answers are lengths, angles and ratios"),
    "MISGround_blind": (("blind_mis_ground",), "the text baseline: no images"),
}
"""The data sets (as in vlmeval/dataset/mis_ground.py; a test compares them): their tasks, and about what they are."""

COLUMNS = ("index", "id", "image", "image_path", "question", "answer", "category", "l2-category", "split", "document")


def chosen(benchmark: Benchmark, name: str) -> list[Leaf]:
    """The tasks of a data set that have questions."""
    return [leaf for pattern in DATA_SETS[name][0] for leaf in benchmark.matching(pattern)]


def make(benchmark: Benchmark, folder: Path, common: Mapping[str, Any]) -> dict[str, Any]:
    """Write the TSV files into ``LMUData/``; returns what the templates state."""
    data_sets = []
    for name, (_, about) in DATA_SETS.items():
        leaves = chosen(benchmark, name)
        if leaves:
            path = folder / "LMUData" / f"{name}.tsv"
            write_table(path, benchmark, leaves)
            with path.open("rb") as file:
                md5 = hashlib.file_digest(file, "md5").hexdigest()
            data_sets.append({"name": name, "questions": benchmark.count(leaves), "about": about, "md5": md5})
    return {"datasets": data_sets, "budget": benchmark.budget(benchmark.tasks), "tried": TRIED}


def write_table(path: Path, benchmark: Benchmark, leaves: list[Leaf]) -> None:
    """Write a data set's file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    columns = [column for column in COLUMNS if not (column.startswith("image") and leaves[0].blind)]
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, columns, dialect="excel-tab", quoting=csv.QUOTE_ALL, lineterminator="\n")
        table.writeheader()
        table.writerows(lines(benchmark, leaves))


def lines(benchmark: Benchmark, leaves: list[Leaf]) -> Iterator[dict[str, Any]]:
    """The lines of a data set."""
    questions = ((leaf, document) for leaf in leaves for document in benchmark.documents(leaf))
    for index, (leaf, document) in enumerate(questions):
        yield line(index, leaf, document, benchmark) | images_of(document)


def line(index: int, leaf: Leaf, document: Document, benchmark: Benchmark) -> dict[str, Any]:
    """A line without its image."""
    return {
        "index": index,
        "id": document["id"],
        "question": benchmark.prompt(document),
        "answer": document["answer"],
        "category": document["terminology"],
        "l2-category": leaf.name,
        "split": "test",
        "document": json.dumps(without_images(document) | {"task": leaf.name}, ensure_ascii=False),
    }


def images_of(document: Document) -> dict[str, Any]:
    """The columns of images, if it has any: as base64, and the names of the files that VLMEvalKit makes of them.

    The names are hashes, since VLMEvalKit takes a file of that name for the image, whatever data set left it there; and
    end in png, since it else writes images of tables above 1 GB as JPEG.
    """
    if "images" not in document:
        return {}
    images = [encoded(image) for image in document["images"]]
    texts = [base64.b64encode(image).decode() for image in images]
    names = [f"{hashlib.sha256(image).hexdigest()[:32]}.png" for image in images]
    if len(images) > 1:
        return {"image": json.dumps(texts), "image_path": json.dumps(names)}
    return {"image": texts[0], "image_path": names[0]}
