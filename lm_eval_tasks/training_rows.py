"""Rows of a training split as TRL takes them: the prompt that the benchmark asks, its images, and the row's columns."""

import os
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any

import datasets

from dataset_builder.core.factors import ANSWER_TYPES
from lm_eval_tasks.mis_ground.prompts import PLACE, doc_to_text, question_of
from lm_eval_tasks.mis_ground.rows import Leaf, open_rows, stamp
from lm_eval_tasks.mis_ground.settings import RunSettings

COLUMNS = (
    "id",
    "answer_type",
    "options",
    "answer",
    "boxes",
    "masks",
    "pixel_mm",
    "value",
    "unit",
    "tolerance",
    "answer_image",
    "slice_index",
    "coordinates",
)
"""What the rewards read, besides the question."""


def training_rows(place: str | os.PathLike[str], settings: RunSettings, **where: str) -> datasets.Dataset:
    """The rows of a data set for ``GRPOTrainer``; see docs/rewards.md.

    Args:
        place: the folder that ``mis-ground build --split train`` made.
        settings: how the questions are asked, and in which form coordinates are written.
        where: values of columns that choose rows, such as ``answer_type="box"``.
    """
    kinds = [where.pop("answer_type")] if "answer_type" in where else ANSWER_TYPES
    place = os.fspath(place)
    rows = open_rows(place, stamp(place))
    leaves = [Leaf(rows, where | {"answer_type": kind}, images=True, settings=settings) for kind in kinds]
    leaves = [leaf for leaf in leaves if not leaf.empty]
    if not leaves:
        raise ValueError(f"The data set {place!r} has no rows with {where or 'any values'} and {', '.join(kinds)}.")
    return datasets.Dataset.from_generator(_rows, gen_kwargs={"leaves": leaves, "settings": settings})


def _rows(leaves: Sequence[Leaf], settings: RunSettings) -> Iterator[dict[str, Any]]:
    for document in chain.from_iterable(leaves):
        images = [image.convert("RGB") for image in document["images"]]
        asked = doc_to_text(document, settings).removeprefix(PLACE * len(images))
        row = {name: document.get(name) for name in COLUMNS}
        # The factor ``prompt`` would hide behind TRL's own column: the question has its coordinates already.
        yield row | {
            "prompt": [{"role": "user", "content": asked}],
            "images": images,
            "question": question_of(document),
        }
