"""From units to questions: the wording, options and answer of each, with the inverse beside it."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dataset_builder.core.factors import (
    Convention,
    Frame,
    Input,
    Modality,
    Plane,
    Prompt,
    Register,
    StackOrder,
    Terminology,
    View,
)
from dataset_builder.core.settings import Settings, digest
from dataset_builder.pictures.placement import placements
from dataset_builder.pictures.render import Window, choose_window
from dataset_builder.questions.facts import Fact
from dataset_builder.questions.sampling import Unit
from dataset_builder.questions.wording import (
    context,
    fill,
    image_term,
    marker_sentence,
    opposites,
    references,
    relation_term,
    structure_name,
    view_sentence,
    wording,
)
from dataset_builder.slices.selection import SliceRecord
from dataset_builder.vocabulary import Structure

Box = tuple[int, int, int, int]
Point = tuple[int, int]


@dataclass(frozen=True)
class Question:
    """A row of the data set without its images; the fields are columns of ``dataset_builder.dataset.format``.

    ``boxes`` are ``(x0, y0, x1, y1)`` half-open and ``points`` ``(x, y)``, in pixels of the image, in the order of
    ``structures``; ``box_images`` says in which of the row's images each lies. ``window`` is how grey values were
    mapped. ``prior_answer`` is what anatomy says without the image: of a right-left question in the frame of a
    mirrored image, say, the answer that the image as radiologists show it would have; empty where anatomy has no
    answer.
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

    @property
    def answer_index(self) -> int:
        """Position of the right option."""
        return self.options.index(self.answer)


@dataclass(frozen=True)
class Names:
    """What identifies a unit's rows.

    ``wording_seed`` is shared by a question and its controls, so that they differ in nothing else. Seed and sizes are
    part of all names: two builds of the same scans can be joined and no two of their rows are taken for a pair.
    """

    fact_id: str
    pair_id: str
    wording_seed: str

    @classmethod
    def of(cls, unit: Unit, record: SliceRecord, settings: Settings) -> "Names":
        """Of a unit about a slice, or about the stack that a slice belongs to."""
        fact = unit.fact
        asked_about = ("/".join(names) for names in (fact.structures, fact.inverse_structures, fact.options))
        made = (settings.seed, settings.image_size, settings.stack_size if record.stack else 1)
        where = (record.source, record.subject, record.plane, record.stack or record.index)
        fact_id = digest(*made, *where, fact.kind, fact.axis, *asked_about)
        asked_how = digest(fact_id, unit.prompt, unit.register, unit.convention, unit.frame, unit.stack_order)
        return cls(fact_id, digest(asked_how, unit.input, unit.view), asked_how)


def members_of(fact: Fact) -> list[tuple[tuple[str, ...], str]]:
    """The structures and the relation of a fact's one or two items."""
    first = (fact.structures, fact.relation)
    return [first, (fact.inverse_structures, fact.inverse_relation)] if fact.inverse_structures else [first]


def choose_template(key: str, register: Register, fact_id: str, seed: int) -> tuple[str, str]:
    """One of a question's wordings, the same for all rows of a fact: (name for the column ``template``, text)."""
    templates = wording()["questions"][key][register]
    number = random.Random(digest("template", seed, fact_id)).randrange(len(templates))
    return f"{key}.{number}", templates[number]


def ask(unit: Unit, record: SliceRecord, settings: Settings, structures: Mapping[str, Structure]) -> list[Question]:
    """The one or two questions of a unit about a slice.

    Args:
        record: the slice that the unit's fact was measured in.
        structures: the vocabulary.
    """
    fact, prompt, register, plane = unit.fact, unit.prompt, unit.register, record.plane
    names = Names.of(unit, record, settings)
    where = placements(record, unit.convention, settings.image_size, unit.view)
    members = members_of(fact)
    options = _options(unit, plane, structures)
    random.Random(digest("options", settings.seed, names.wording_seed)).shuffle(options)
    # All members share one window, or it would tell which of a pair's structures is asked about.
    named = {name for of_member, _ in members for name in of_member} | set(fact.options)
    window = choose_window(record, sorted(named), structures)
    template_name, template = choose_template(_question_key(unit, plane), register, names.fact_id, settings.seed)
    asked = []
    for number, (of_member, relation) in enumerate(members):
        boxes = tuple(where[name].box for name in of_member)
        points = tuple(where[name].point for name in of_member)
        refs = references(prompt, [structures[name] for name in of_member], register)
        sentences = [
            context(record.modality, plane, unit.convention, register),
            view_sentence(unit.view, register),
            marker_sentence(prompt, "ABC"[: len(of_member)], boxes, points, settings.image_size),
            fill(template, refs, options),
        ]
        answer = _answer(unit, plane, of_member, relation, structures)
        prior = _prior(unit, plane, relation, answer)
        asked.append(
            Question(
                id=f"{names.pair_id}-{number}",
                pair_id=names.pair_id if fact.inverse_structures else "",
                fact_id=names.fact_id,
                question=join(sentences, options),
                options=tuple(options),
                answer=answer,
                prior_answer=prior if prior in options else "",
                modality=record.modality,
                plane=plane,
                terminology=fact.terminology,
                prompt=prompt,
                register=register,
                convention=unit.convention,
                frame=unit.frame,
                input=unit.input,
                view=unit.view,
                stack_order=None,
                template=template_name,
                relation=relation,
                structures=of_member,
                boxes=boxes,
                points=points,
                box_images=(0,) * len(of_member),
                margin_mm=fact.margin_mm,
                window=window,
            )
        )
    return asked


def join(sentences: Sequence[str], options: Sequence[str]) -> str:
    """The text of a question: its sentences, and its options on a line of their own."""
    return " ".join(filter(None, sentences)) + "\n" + wording()["options"].format(options="; ".join(options))


def _options(unit: Unit, plane: Plane, structures: Mapping[str, Structure]) -> list[str]:
    """The words to choose from, in a fixed order."""
    fact = unit.fact
    if fact.terminology == "anatomical":
        # By the clinical name in both registers: a new lay wording must not move an option to another position.
        names = sorted(fact.options, key=lambda name: structures[name].clinical)
        return [structure_name(structures[name], unit.register) for name in names]
    return sorted(_term(unit, plane, relation) for relation in (fact.relation, opposites()[fact.relation]))


def _answer(unit: Unit, plane: Plane, names: Sequence[str], relation: str, structures: Mapping[str, Structure]) -> str:
    if unit.fact.terminology == "anatomical":
        return structure_name(structures[names[0]], unit.register)
    return _term(unit, plane, relation)


def _prior(unit: Unit, plane: Plane, relation: str, answer: str) -> str:
    """What anatomy says without the image; no option where it says nothing."""
    if unit.fact.terminology == "anatomical":
        return ""
    if unit.frame == "image":
        return image_term(relation, plane, "radiological")
    return answer if unit.fact.kind == "direction" else ""


def _term(unit: Unit, plane: Plane, relation: str) -> str:
    if unit.frame == "image":
        return image_term(relation, plane, unit.convention, unit.view)
    return relation_term(relation, unit.register)


def _question_key(unit: Unit, plane: Plane) -> str:
    fact = unit.fact
    if unit.frame == "image":
        sideways = image_term(fact.relation, plane, unit.convention, unit.view) in ("left", "right")
        return "image_horizontal" if sideways else "image_vertical"
    return fact.axis if fact.kind == "direction" and fact.axis else fact.kind
