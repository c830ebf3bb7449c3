"""The factors of the benchmark: every column value that varies, and the names made of them.

One place holds the legal values; everything else imports them from here.
"""

from typing import Literal, get_args

Modality = Literal["ct", "mri"]
Plane = Literal["axial", "coronal", "sagittal"]
Terminology = Literal["anatomical", "directional", "relational"]
Prompt = Literal["none", "label", "point", "box", "mask", "text_point", "text_box"]
Register = Literal["clinical", "lay"]
Convention = Literal["radiological", "ras"]
Frame = Literal["patient", "image"]
Input = Literal["slice", "stack", "blank"]
View = Literal["plain", "mirrored", "rotated90", "rotated180", "occluded", "swapped"]
Statement = Literal["edges", "name", "none"]
OptionForm = Literal["listed", "shifted1", "shifted2", "shifted3", "yes_no"]
StackOrder = Literal["ascending", "descending", "unstated"]
Side = Literal["left", "right"]
AnswerType = Literal["choice", "point", "box", "number"]
Scale = Literal["text", "bar", "none"]
MeasureUnit = Literal["mm", "degree", "ratio"]

MODALITIES: tuple[Modality, ...] = get_args(Modality)
PLANES: tuple[Plane, ...] = get_args(Plane)
TERMINOLOGIES: tuple[Terminology, ...] = get_args(Terminology)
PROMPTS: tuple[Prompt, ...] = get_args(Prompt)
REGISTERS: tuple[Register, ...] = get_args(Register)
CONVENTIONS: tuple[Convention, ...] = get_args(Convention)
FRAMES: tuple[Frame, ...] = get_args(Frame)
INPUTS: tuple[Input, ...] = get_args(Input)
VIEWS: tuple[View, ...] = get_args(View)
"""What a question shows: its slice; that mirrored left to right, or rotated clockwise by 90 or 180 degrees; with the
structures that are asked about hidden; a slice of another subject, for which the answer is another."""
TURNED_VIEWS: tuple[View, ...] = ("mirrored", "rotated90", "rotated180")
"""Views that turn the image, and with it the words of the image's frame."""
STATEMENTS: tuple[Statement, ...] = get_args(Statement)
"""How a question says in which convention the image is shown: by its left and top edge, by name only, or not at all."""
OPTION_FORMS: tuple[OptionForm, ...] = get_args(OptionForm)
"""How options are offered: in the order that was drawn, that order shifted by so many places, or as yes and no."""
STACK_ORDERS: tuple[StackOrder, ...] = get_args(StackOrder)
"""The stated order of a stack's images along the patient's axis, if the question states one."""
ANSWER_TYPES: tuple[AnswerType, ...] = get_args(AnswerType)
"""What a question wants: one of its options, a point on a structure, its bounding box, or a measurement."""
SCALES: tuple[Scale, ...] = get_args(Scale)
"""How a question for a measurement gives the size of a pixel: in words, as a scale bar on the image, or not at all."""
MEASURE_UNITS: tuple[MeasureUnit, ...] = get_args(MeasureUnit)

FACTORS: dict[str, tuple[str, ...]] = {
    "modality": MODALITIES,
    "plane": PLANES,
    "terminology": TERMINOLOGIES,
    "prompt": PROMPTS,
    "register": REGISTERS,
    "convention": CONVENTIONS,
    "frame": FRAMES,
    "input": INPUTS,
    "view": VIEWS,
    "statement": STATEMENTS,
    "option_form": OPTION_FORMS,
    "stack_order": STACK_ORDERS,
    "answer_type": ANSWER_TYPES,
    "scale": SCALES,
}
"""Every factor by its column, with its values in order."""

DRAWN_PROMPTS: tuple[Prompt, ...] = ("label", "point", "box", "mask")
"""Prompts whose marker is drawn into the image."""
TEXT_PROMPTS: tuple[Prompt, ...] = ("text_point", "text_box")
"""Prompts that give pixel coordinates in the question; the image stays clean."""


Split = Literal["test", "train"]
SPLITS: tuple[Split, ...] = get_args(Split)
"""Purpose of a data set: scoring models, or training them. The two are disjoint by subject."""

TEST: Split = "test"
"""The split of configs that are not split by cell, of the benchmark itself."""

INPUT_CONFIGS = ("stack", "blank", "view", "statement", "options")
"""Configs beside those of a modality and plane: questions across slices, and the controls derived from slices."""
ANSWER_CONFIGS: dict[AnswerType, str] = {"point": "locate", "box": "locate", "number": "measure"}
"""Configs of the questions that have no options, by what they want."""


def cell_of(
    modality: Modality,
    plane: Plane,
    terminology: Terminology,
    prompt: Prompt,
    input: Input,
    view: View,
    split: Split = TEST,
    answer_type: AnswerType = "choice",
    statement: Statement = "edges",
    option_form: OptionForm = "listed",
) -> tuple[str, str]:
    """Config and split that a row belongs to, beside ``all``; ``split`` is what the data set is for."""
    if answer_type != "choice":
        return ANSWER_CONFIGS[answer_type], split
    if input != "slice":
        return input, split
    if view != "plain":
        return "view", split
    if statement != "edges":
        return "statement", split
    if option_form != "listed":
        return "options", split
    return config_name(modality, plane), split_name(terminology, prompt)


def config_name(modality: Modality, plane: Plane) -> str:
    """Name of the dataset config of one modality and plane, e.g. ``ct_axial``."""
    return f"{modality}_{plane}"


def split_name(terminology: Terminology, prompt: Prompt) -> str:
    """Name of the split of one cell inside a config, e.g. ``directional_box``."""
    return f"{terminology}_{prompt}"
