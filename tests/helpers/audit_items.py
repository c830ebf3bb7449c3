"""Rows made by hand for the tests of the audit: pairs whose text tells nothing, unless a test has it tell."""

from dataclasses import fields, replace
from itertools import count
from typing import Any

from dataset_builder.check.items import Item, Items
from dataset_builder.questions.wording import opposites

_NUMBER = count()


def item(**changes: Any) -> Item:
    """A row about two marked structures; unlike every other one in id, pair and fact."""
    number = next(_NUMBER)
    row = Item(
        file="data/ct_axial/directional_box.parquet",
        images=(),
        id=f"row{number}",
        question="",
        options=("left", "right"),
        answer="left",
        answer_index=0,
        prior_answer="",
        modality="ct",
        plane="axial",
        terminology="directional",
        prompt="box",
        register="clinical",
        convention="radiological",
        frame="patient",
        input="slice",
        view="plain",
        stack_order=None,
        template="right_left.0",
        relation="left",
        structures=("liver", "spleen"),
        boxes=((10, 10, 20, 20), (40, 40, 60, 60)),
        points=((15, 15), (50, 50)),
        box_images=(0, 0),
        pair_id=f"pair{number}",
        fact_id=f"fact{number}",
        source="test",
        subject="one",
        slice_index=(7,),
        pixel_mm=1.0,
        oblique_degrees=0.0,
        window="soft tissue W400 L40",
        margin_mm=20.0,
        licence="cc0-1.0",
        version="2.0.0",
    )
    row = replace(row, **changes)
    if "question" not in changes:
        text = "This is an axial CT slice in radiological convention. Boxes mark structures A and B. Where is A?"
        row = replace(row, question=f"{text}\nOptions: {'; '.join(row.options)}")
    return replace(row, answer_index=row.options.index(row.answer))


def pair(flip: bool = False, turned_options: bool = False, **changes: Any) -> list[Item]:
    """A row and its inverse.

    Args:
        flip: whether the inverse stands first.
        turned_options: whether "right" is the first option.
    """
    options = ("right", "left") if turned_options else ("left", "right")
    first = item(options=options, **changes)
    boxes, points, names = first.boxes[::-1], first.points[::-1], first.structures[::-1]
    other = replace(first, id=f"{first.id}b", answer="right", relation="right", structures=names)
    other = replace(other, boxes=boxes, points=points, answer_index=options.index("right"))
    return [other, first] if flip else [first, other]


def items(*groups: list[Item]) -> Items:
    """All rows of pairs."""
    return Items(tuple(row for rows in groups for row in rows))


def item_of(question, records):
    """The row of a question as the audit keeps it."""
    known = {field.name for field in fields(Item)}
    values = {name: getattr(question, name) for name in known if hasattr(question, name)}
    first = records[0]
    return Item(
        **values
        | {
            "file": "",
            "images": (),
            "source": first.source,
            "subject": first.subject,
            "slice_index": tuple(record.index for record in records),
            "pixel_mm": 1.0,
            "oblique_degrees": 0.0,
            "window": str(question.window),
            "licence": "",
            "version": "",
        }
    )


def opposed(item):
    """The row with the other answer and, in the patient's frame, the other relation."""
    if item.terminology == "anatomical":
        wrong = next(option for option in item.options if option != item.answer)
        return replace(item, answer=wrong)
    relation = opposites()[item.relation]
    answer = next(option for option in item.options if option != item.answer)
    return replace(item, answer=answer, relation=relation)
