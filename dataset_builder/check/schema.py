"""Columns, types and values of rows: what must hold before anything else can be asked of them."""

from collections.abc import Iterator, Mapping
from math import isfinite
from typing import Any

import pyarrow as pa

from dataset_builder.check.items import STANDARD_CONFIGS, Item
from dataset_builder.core.factors import DRAWN_PROMPTS, FACTORS, MEASURE_UNITS, SCALES, STACK_ORDERS, TEST, cell_of
from dataset_builder.dataset.format import COLUMNS, LATER_COLUMNS, NULLABLE
from dataset_builder.imaging.geometry import MAX_OBLIQUITY_DEG

LEGAL: dict[str, tuple[str | None, ...]] = {
    **FACTORS,
    "stack_order": (None, *STACK_ORDERS),
    "scale": (None, *SCALES),
    "unit": (None, *MEASURE_UNITS),
}

_FILLED = ("id", "question", "answer", "template", "relation", "fact_id", "source", "subject", "window", "version")


def column_problems(schema: pa.Schema) -> Iterator[tuple[str, str]]:
    """What is wrong with the columns of a file: (problem, found).

    A data set without images has their sha256 in the column ``image_sha256`` instead.
    """
    for name, kind in COLUMNS.items():
        if name not in schema.names:
            if name not in LATER_COLUMNS and not (name == "images" and "image_sha256" in schema.names):
                yield "A column is missing.", name
            continue
        found = schema.field(name).type
        if _plain(found) != _plain(kind) and not (name in NULLABLE and pa.types.is_null(found)):
            yield "A column has the wrong type.", f"{name}: {found}, not {kind}"


def _plain(kind: pa.DataType) -> object:
    """A type without what does not matter: names of list items, and how long a text or list may be."""
    if pa.types.is_struct(kind):
        return tuple(sorted((field.name, str(_plain(field.type))) for field in kind))
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return ["list", _plain(kind.value_type)]
    if pa.types.is_large_string(kind):
        return pa.string()
    if pa.types.is_large_binary(kind):
        return pa.binary()
    return kind


def gaps(row: Mapping[str, Any]) -> list[str]:
    """Columns of a row that hold nothing where something must be: the row cannot be read further."""
    return [
        name
        for name in COLUMNS
        if name != "images" and name not in NULLABLE and (row[name] is None or _has_gap(row[name]))
    ]


def _has_gap(value: Any) -> bool:
    return isinstance(value, list) and any(part is None or _has_gap(part) for part in value)


def value_problems(item: Item) -> Iterator[tuple[str, object]]:
    """What is wrong with the values of a row: (problem, found)."""
    for name, legal in LEGAL.items():
        if getattr(item, name) not in legal:
            yield "A factor has an illegal value.", f"{name}: {getattr(item, name)}"
    for name in _FILLED:
        if not getattr(item, name).strip():
            yield "A column is empty.", name
    yield from _choice(item) if item.answer_type == "choice" else _no_choice(item)
    if item.prior_answer and item.prior_answer not in item.options:
        yield "The prior answer is not one of the options.", item.prior_answer
    if not _counts_agree(item):
        counts = len(item.structures), len(item.boxes), len(item.points), len(item.box_images)
        yield "There is not one box, point and image number for each structure.", counts
    if any(len(box) != 4 for box in item.boxes) or any(len(point) != 2 for point in item.points):
        yield "A box has other than four numbers, or a point other than two.", (item.boxes, item.points)
    if any(not 0 <= image < len(item.slice_index) for image in item.box_images):
        yield "A box refers to an image that the row does not have.", item.box_images
    if (len(item.slice_index) > 1) != (item.input == "stack") or not item.slice_index:
        yield "Only a stack, and every stack, has several slices.", len(item.slice_index)
    if (item.stack_order is None) == (item.input == "stack"):
        yield "Only a stack, and every stack, has an order.", item.stack_order
    if item.input == "blank" and item.prompt not in DRAWN_PROMPTS:
        yield "A blank canvas without a drawn marker shows nothing.", item.prompt
    if not (isfinite(item.pixel_mm) and item.pixel_mm > 0):
        yield "The size of a pixel is not a positive number.", item.pixel_mm
    if not 0 <= item.oblique_degrees <= MAX_OBLIQUITY_DEG + 0.01:
        yield "The angle of the slices is outside the allowed range.", item.oblique_degrees
    if not (isfinite(item.margin_mm) and item.margin_mm >= 0):
        yield "The margin is not a number of 0 or more.", item.margin_mm


def _choice(item: Item) -> Iterator[tuple[str, object]]:
    """What is wrong with the answer of a row that offers options."""
    if not 2 <= len(set(item.options)) == len(item.options):
        yield "There are fewer than two options, or they are not all different.", "; ".join(item.options)
    if not (0 <= item.answer_index < len(item.options) and item.options[item.answer_index] == item.answer):
        yield "The answer is not the option that answer_index names.", f"{item.answer}, {item.answer_index}"
    filled = [name for name, empty in LATER_COLUMNS.items() if not isinstance(empty, str) and getattr(item, name)]
    if filled:
        yield "A row with options has what only points, boxes and numbers have.", ", ".join(filled)


def _no_choice(item: Item) -> Iterator[tuple[str, object]]:
    """What is wrong with the answer of a row that asks for a point, a box or a number."""
    if item.options or item.answer_index != -1:
        yield "A question for a point, box or number has options.", f"{'; '.join(item.options)}, {item.answer_index}"
    if len(item.masks) != len(item.structures):
        yield "There is not one mask for each structure.", (len(item.masks), len(item.structures))
    if any(len(mask["size"] or ()) != 2 or not mask["counts"] for mask in item.masks):
        yield "A mask lacks its size or its counts.", item.masks
    is_number = item.answer_type == "number"
    numbers = (item.value, item.tolerance)
    if is_number and not all(number is not None and isfinite(number) and number > 0 for number in numbers):
        yield "A measurement and its tolerance are not positive numbers.", numbers
    if is_number != (item.unit is not None) or (not is_number and numbers != (None, None)):
        yield "Only a question for a number, and every one, has a value, a unit and a tolerance.", item.unit
    if not _scale_fits(item):
        yield "The scale of a question does not go with its unit.", f"{item.scale}, {item.unit}"
    in_stack = item.input == "stack" and not is_number
    if (item.answer_image is not None) != in_stack:
        yield "Only a question for a place in a stack, and every one, asks for an image.", item.answer_image
    if item.answer_image is not None and not 0 <= item.answer_image < len(item.slice_index):
        yield "The image that is asked for is none of the row's images.", item.answer_image
    if item.pair_id:
        yield "A question for a point, box or number has an inverse.", item.pair_id


def _scale_fits(item: Item) -> bool:
    """Lengths have a scale, ratios need none, angles have no use for one."""
    wanted: dict[str | None, tuple[str | None, ...]] = {"mm": ("text", "bar"), "ratio": ("none",)}
    return item.scale in wanted.get(item.unit, (None,))


def _counts_agree(item: Item) -> bool:
    """Whether there is one box, point and image number for each structure; of drawn lines there are the two ends."""
    count = len(item.structures)
    if not len(item.boxes) == len(item.box_images) == count:
        return False
    if item.answer_type == "number" and not count:
        return len(item.points) in (2, 4)
    return 0 < count == len(item.points)


def is_usable(item: Item) -> bool:
    """Whether the values that all other checks rely on are as they must be."""
    is_choice = item.answer_type == "choice"
    return (
        all(getattr(item, name) in legal for name, legal in LEGAL.items())
        and _counts_agree(item)
        and all(len(box) == 4 for box in item.boxes)
        and all(len(point) == 2 for point in item.points)
        and all(0 <= image < len(item.slice_index) for image in item.box_images)
        and (item.answer in item.options and len(item.options) > 1 if is_choice else not any(_no_choice(item)))
        and isfinite(item.pixel_mm)
        and item.pixel_mm > 0
    )


def wrong_cell(item: Item, config: str, split: str) -> str | None:
    """The cell that a row belongs to, if its file is that of another; a user's own configs may hold any row."""
    if config not in STANDARD_CONFIGS:
        return None
    where = (item.modality, item.plane, item.terminology, item.prompt, item.input, item.view)
    how = (item.answer_type, item.statement, item.option_form)
    belongs = cell_of(*where, TEST, *how)  # type: ignore[arg-type]
    return None if belongs == (config, split) else "/".join(belongs)
