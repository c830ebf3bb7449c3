"""Kinds of defects in answers and in the text of questions. See :mod:`tests.helpers.planting`."""

import re
from collections.abc import Callable

from dataset_builder.core.factors import DRAWN_PROMPTS
from tests.helpers.defects import OPPOSITE, Row, other_option, say
from tests.helpers.planting import anything, drawn, drawn_two, edges, kind, stack, stated, turned, two


@kind(lambda row: bool(row["pair_id"]), answers="An answer is wrong.")
def the_other_answer(planting, rows):
    for row in rows[:1]:
        say(row, other_option(row))


@kind(lambda row: two(row) and row["frame"] == "patient" and row["relation"] in OPPOSITE, answers="wrong")
def both_answers_and_relations_of_a_pair_opposite(planting, rows):
    for row in rows:
        say(row, other_option(row))
        row["relation"] = OPPOSITE[row["relation"]]


@kind(lambda row: row["frame"] == "image", answers="An answer is wrong.")
def both_answers_in_the_frame_of_the_image_opposite(planting, rows):
    for row in rows:
        say(row, other_option(row))


@kind(lambda row: two(row) and row["frame"] == "patient", answers="An answer is wrong.")
def the_relation_of_the_inverse(planting, rows):
    for row in rows:
        row["relation"] = OPPOSITE.get(row["relation"], "proximal")


def exchange(text: str, one: str, other: str) -> str:
    return text.replace(one, "\0").replace(other, one).replace("\0", other)


def change_context(row: Row, change: Callable[[str], str]) -> None:
    """Change the first sentences of a question, up to the one that states the edges."""
    at = re.search(r"the top edge is [^.]*\.", row["question"]).end()
    row["question"] = change(row["question"][:at]) + row["question"][at:]


def change_asked(row: Row, change: Callable[[str], str]) -> None:
    """Change the sentence that asks."""
    stem, options = row["question"].rsplit("\n", 1)
    context, dot, asked = stem.rpartition(". ")
    row["question"] = f"{context}{dot}{change(asked)}\n{options}"


@kind(lambda row: row["plane"] != "sagittal" and edges(row), text="other image edges")
def left_and_right_edge_exchanged_in_the_text(planting, rows):
    for row in rows:
        change_context(row, lambda text: exchange(text, "patient's right", "patient's left"))


@kind(lambda row: row["plane"] != "axial" and edges(row), text="other image edges")
def the_top_edge_exchanged_in_the_text(planting, rows):
    for row in rows:
        for one, other in (("is superior", "is inferior"), ("toward the head", "toward the feet")):
            change_context(row, lambda text, one=one, other=other: exchange(text, one, other))


@kind(edges, text="does not state the edges")
def the_edges_left_out_of_the_text(planting, rows):
    for row in rows:
        change_context(row, lambda text: re.sub(r": the left edge.*", ".", text))


@kind(lambda row: row["statement"] != "none", text="does not state the convention")
def another_convention_in_the_text(planting, rows):
    for row in rows:
        change_context(
            row, lambda text: re.sub(r"radiolog\w+|RAS", lambda m: "RAS" if m[0] != "RAS" else "radiological", text)
        )


@kind(anything, text="another plane")
def another_plane_in_the_text(planting, rows):
    for row in rows:
        other = "sagittal" if row["plane"] != "sagittal" else "coronal"
        change_context(row, lambda text: text.replace(row["plane"], other))  # noqa: B023


@kind(anything, text="another modality")
def another_modality_in_the_text(planting, rows):
    for row in rows:
        change_context(row, lambda text: re.sub(r"\b(CT|MRI)\b", lambda m: "MRI" if m[1] == "CT" else "CT", text))


@kind(turned, text="another view")
def the_view_left_out_of_the_text(planting, rows):
    for row in rows:
        row["question"] = re.sub(r"(?:After that|Then),? the image was [^.]*\. ", "", row["question"])


@kind(lambda row: row["view"] == "rotated90", text="another view")
def turned_the_other_way_in_the_text(planting, rows):
    for row in rows:
        row["question"] = row["question"].replace("clockwise", "counter-clockwise")


@kind(lambda row: row["view"] in ("mirrored", "rotated180"), text="another view")
def another_view_in_the_text(planting, rows):
    for row in rows:
        said = "rotated by 180 degrees" if row["view"] == "mirrored" else "mirrored left to right"
        row["question"] = re.sub(
            r"the image was (mirrored|flipped|rotated|turned)[^.]*", f"the image was {said}", row["question"]
        )


@kind(stated, text="another order")
def the_order_of_a_stack_reversed_in_the_text(planting, rows):
    for row in rows:
        pattern = r"(numbered 1 to \d+,?(?: going)? from )([^.]*?) to ([^.]*)\."
        row["question"] = re.sub(pattern, r"\1\3 to \2.", row["question"])


@kind(lambda row: stack(row) and row["stack_order"] == "unstated", text="another order")
def an_order_stated_that_is_not_to_be(planting, rows):
    for row in rows:
        ends = {"axial": "inferior to superior", "coronal": "posterior to anterior"}
        ends = ends.get(row["plane"], "the patient's left to the patient's right")
        row["question"] = re.sub(r"(numbered 1 to \d+) as they[^.]*\.", rf"\1 from {ends}.", row["question"])


@kind(stack, columns="another distance")
def another_distance_of_images_in_the_text(planting, rows):
    for row in rows:
        row["question"] = re.sub(r"(\d+) mm apart", lambda m: f"{int(m[1]) + 2} mm apart", row["question"])


@kind(stack, text="another number of images")
def another_number_of_images_in_the_text(planting, rows):
    for row in rows:
        row["question"] = re.sub(r"numbered 1 to (\d+)", lambda m: f"numbered 1 to {int(m[1]) + 1}", row["question"])


@kind(lambda row: drawn_two(row) or (two(row) and row["prompt"] in DRAWN_PROMPTS), text="other roles")
def the_question_asks_the_inverse(planting, rows):
    for row in rows:
        change_asked(row, lambda text: exchange(text, "marked A", "marked B"))


@kind(lambda row: two(row) and row["prompt"].startswith("text_"), text="other roles")
def coordinates_question_asks_the_inverse(planting, rows):
    for row in rows:
        change_asked(row, lambda text: exchange(text, "structure A", "structure B"))


@kind(lambda row: two(row) and row["prompt"] == "none" and row["input"] == "slice", text="other roles")
def the_names_of_a_question_exchanged(planting, rows):
    """Each of a pair has the question of the other."""
    texts = [row["question"] for row in rows]
    for row, text in zip(rows, reversed(texts), strict=True):
        row["question"] = text


@kind(lambda row: row["relation"] in ("nearer", "farther") and row["prompt"] != "none", text="other roles")
def the_third_structure_in_another_role(planting, rows):
    for row in rows:
        for form in ("marked ", "structure "):
            change_asked(row, lambda text, form=form: exchange(text, f"{form}B", f"{form}C"))


@kind(lambda row: row["relation"] in ("between", "outside") and row["prompt"] != "none", text="other roles")
def the_ends_in_another_role(planting, rows):
    for row in rows:
        for form in ("marked ", "structure "):
            change_asked(row, lambda text, form=form: exchange(text, f"{form}A", f"{form}C"))


@kind(lambda row: two(row) and row["frame"] == "patient" and row["prompt"] != "none", text="another frame")
def asked_in_the_frame_of_the_image(planting, rows):
    for row in rows:
        a, b = ("the structure marked A", "the structure marked B")
        if row["prompt"] not in DRAWN_PROMPTS:
            a, b = "structure A", "structure B"
        said = f"As displayed in the image, is {a} {row['options'][0]} or {row['options'][1]} to {b}?"
        change_asked(row, lambda _, said=said: said)


@kind(lambda row: row["frame"] == "image", text="another frame")
def asked_in_the_frame_of_the_patient(planting, rows):
    for row in rows:
        pattern = r"As displayed in the image|In the image as displayed|By position in the image alone"
        pattern += r"|Looking only at the image|In the image itself|Going only by where things are in the image"
        change_asked(row, lambda text: re.sub(pattern, "For the patient", text))  # noqa: B023


@kind(
    lambda row: two(row) and row["frame"] == "patient" and row["register"] == "clinical",
    text="other words than its options",
)
def other_words_asked_for(planting, rows):
    for row in rows:
        for option in row["options"]:
            change_asked(row, lambda text, option=option: text.replace(option, f"more {option[::-1]}"))


@kind(lambda row: row["relation"].startswith(("first", "last")), text="something other than the column relation")
def the_last_image_asked_for_and_not_the_first(planting, rows):
    for row in rows:
        change_asked(row, lambda text: exchange(text, "first", "last"))


@kind(lambda row: stack(row) and len(row["structures"]) == 3, text="something other than the column relation")
def an_order_asked_for_from_the_other_end(planting, rows):
    for row in rows:
        pattern = r"\b([Ff]rom) ([^,?]+?) to ([^,?]+)"
        change_asked(row, lambda text: re.sub(pattern, r"\1 \3 to \2", text))  # noqa: B023


@kind(drawn, text="another kind of marker")
def another_marker_in_the_text(planting, rows):
    for row in rows:
        said = "A dot marks" if row["prompt"] != "point" else "A box marks"
        row["question"] = re.sub(
            r"\b(?:A|An|Letters?|Dots?|Box(?:es)?|Coloured)\b[^.]*?\bmarks? (structures? [A-C])",
            rf"{said} \1",
            row["question"],
            count=1,
        )


@kind(lambda row: row["prompt"] == "text_point", text="coordinates")
def other_coordinates_in_the_text(planting, rows):
    for row in rows:
        row["question"] = re.sub(
            r"pixel \((\d+), (\d+)\)", lambda m: f"pixel ({m[2]}, {int(m[1]) + 1})", row["question"]
        )


@kind(lambda row: row["prompt"].startswith("text_"), text="another size of the image")
def another_size_in_the_text(planting, rows):
    for row in rows:
        row["question"] = re.sub(r"image is \d+ x \d+", "image is 512 x 512", row["question"])


@kind(lambda row: row["prompt"] in DRAWN_PROMPTS, text="another register")
def another_register_in_the_column(planting, rows):
    for row in rows:
        row["register"] = "lay" if row["register"] == "clinical" else "clinical"
