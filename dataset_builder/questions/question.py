"""A question as all kinds have it: the text, what is right, and what it is about."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dataset_builder.core.factors import (
    AnswerType,
    Convention,
    Frame,
    Input,
    MeasureUnit,
    Modality,
    OptionForm,
    Plane,
    Prompt,
    Register,
    Scale,
    StackOrder,
    Statement,
    Terminology,
    View,
)
from dataset_builder.core.settings import Settings, digest
from dataset_builder.pictures.render import Window
from dataset_builder.questions.facts import Fact
from dataset_builder.questions.sampling import Unit
from dataset_builder.questions.wording import wording
from dataset_builder.slices.selection import SliceRecord

Box = tuple[int, int, int, int]
Point = tuple[int, int]
Mask = Mapping[str, Any]
"""``{"size": [height, width], "counts": text}``: COCO's run-length encoding."""


@dataclass(frozen=True)
class Question:
    """A row of the data set without its images; the fields are columns of ``dataset_builder.dataset.format``.

    ``boxes`` are ``(x0, y0, x1, y1)`` half-open and ``points`` ``(x, y)``, in pixels of the image, in the order of
    ``structures``; ``box_images`` says in which of the row's images each lies. ``window`` is how grey values were
    mapped. ``prior_answer`` is what anatomy says without the image: of a right-left question in the frame of a
    mirrored image, say, the answer that the image as radiologists show it would have; empty where anatomy has no
    answer.

    What has no options asks for a point, a box or a number (``answer_type``): ``masks`` are then the structures' own
    pixels, ``answer_image`` is the image of a stack that is asked for, and ``value``, ``unit`` and ``tolerance`` are
    the measurement and by how much an answer may miss it.
    """

    id: str
    pair_id: str
    fact_id: str
    question: str
    options: tuple[str, ...]
    answer: str
    prior_answer: str
    modality: Modality
    plane: Plane
    terminology: Terminology
    prompt: Prompt
    register: Register
    convention: Convention
    frame: Frame
    input: Input
    view: View
    stack_order: StackOrder | None
    template: str
    relation: str
    structures: tuple[str, ...]
    boxes: tuple[Box, ...]
    points: tuple[Point, ...]
    box_images: tuple[int, ...]
    margin_mm: float
    window: Window
    statement: Statement = "edges"
    option_form: OptionForm = "listed"
    answer_type: AnswerType = "choice"
    scale: Scale | None = None
    masks: tuple[Mask, ...] = ()
    answer_image: int | None = None
    value: float | None = None
    unit: MeasureUnit | None = None
    tolerance: float | None = None
    bar_mm: int | None = None
    """Length of the scale bar that is drawn; not a column."""

    @property
    def marked(self) -> tuple[str, ...]:
        """The structures that a prompt marks, A first: of a question for a place not the one that is asked for."""
        return self.structures[1:] if self.answer_type in ("point", "box") else self.structures

    @property
    def answer_index(self) -> int:
        """Position of the right option; -1 where there are no options."""
        return self.options.index(self.answer) if self.options else -1


@dataclass(frozen=True)
class Names:
    """What identifies a unit's rows.

    ``wording_seed`` is shared by a question and its controls, so that they differ in nothing else, ``fact_seed`` by all
    questions about a fact. Seed and sizes are part of all names: two builds of the same scans can be joined and no two
    of their rows are taken for a pair.
    """

    fact_id: str
    pair_id: str
    fact_seed: str
    wording_seed: str

    @classmethod
    def of(cls, unit: Unit, record: SliceRecord, settings: Settings) -> "Names":
        """Of a unit about a slice, or about the stack that a slice belongs to."""
        fact = unit.fact
        asked_about = ("/".join(names) for names in (fact.structures, fact.inverse_structures, fact.options))
        made = (settings.seed, settings.image_size, settings.stack_size if record.stack else 1)
        what = (record.plane, record.stack or record.index, fact.kind, fact.axis, *asked_about)
        wanted = () if unit.answer_type == "choice" else (unit.answer_type, unit.scale)
        asked_how = (unit.prompt, unit.register, unit.convention, unit.frame, unit.stack_order, *wanted)
        fact_id = digest(*made, record.source, record.subject, *what)
        fact_seed = digest(*made, *record.drawn_by, *what)
        how = (unit.statement, unit.option_form)
        varied = () if how == ("edges", "listed") else how
        pair_id = digest(digest(fact_id, *asked_how), unit.input, unit.view, *varied)
        return cls(fact_id, pair_id, fact_seed, digest(fact_seed, *asked_how))


def members_of(fact: Fact) -> list[tuple[tuple[str, ...], str]]:
    """The structures and the relation of a fact's one or two items."""
    first = (fact.structures, fact.relation)
    return [first, (fact.inverse_structures, fact.inverse_relation)] if fact.inverse_structures else [first]


def choose_template(key: str, register: Register, fact_seed: str, seed: int) -> tuple[str, str]:
    """One of a question's wordings, the same for all rows of a fact: (name for the column ``template``, text)."""
    templates = wording()["questions"][key][register]
    number = random.Random(digest("template", seed, fact_seed)).randrange(len(templates))
    return f"{key}.{number}", templates[number]


def join(sentences: Sequence[str], options: Sequence[str]) -> str:
    """The text of a question: its sentences, and its options, if any, on a line of their own."""
    text = " ".join(filter(None, sentences))
    return text + "\n" + wording()["options"].format(options="; ".join(options)) if options else text


def make_question(
    unit: Unit,
    record: SliceRecord,
    names: Names,
    number: int,
    /,
    *,
    sentences: Sequence[str],
    options: Sequence[str],
    answer: str,
    prior_answer: str,
    template: str,
    relation: str,
    structures: tuple[str, ...],
    boxes: tuple[Box, ...],
    points: tuple[Point, ...],
    box_images: tuple[int, ...],
    window: Window,
    input: Input,
    view: View,
    stack_order: StackOrder | None = None,
    **measured: Any,
) -> Question:
    """One question of a unit, with all that follows from the unit and from what it is about.

    Args:
        unit: what is asked, and how.
        record: the slice that it is about, or the first one of a stack.
        names: of the unit's rows.
        number: 0 for the fact, 1 for its inverse.
        sentences: of the text, before the options.
        measured: further fields of a question without options.
    """
    fact = unit.fact
    return Question(
        id=f"{names.pair_id}-{number}",
        pair_id=names.pair_id if fact.inverse_structures else "",
        fact_id=names.fact_id,
        question=join(sentences, options),
        options=tuple(options),
        answer=answer,
        prior_answer=prior_answer,
        modality=record.modality,
        plane=record.plane,
        terminology=fact.terminology,
        prompt=unit.prompt,
        register=unit.register,
        convention=unit.convention,
        frame=unit.frame,
        input=input,
        view=view,
        stack_order=stack_order,
        template=template,
        relation=relation,
        structures=structures,
        boxes=boxes,
        points=points,
        box_images=box_images,
        margin_mm=fact.margin_mm,
        window=window,
        statement=unit.statement,
        option_form=unit.option_form,
        answer_type=unit.answer_type,
        scale=unit.scale,
        **measured,
    )
