"""What a question says, read from its text, and held to the columns of its row.

Nothing here knows how questions are made: a sentence is read by its key words (:mod:`dataset_builder.check.phrases`)
and by where the structures stand in it. The subject of a question follows its verb ("is A ...", "does A ..."), what it
is compared with follows a preposition or "than".
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

from dataset_builder.check.items import Item
from dataset_builder.check.located import place_problems
from dataset_builder.check.measured import number_problems
from dataset_builder.check.phrases import direction, is_lesion, is_ordinary, opposite, pattern, phrases, relations
from dataset_builder.check.yes_no import as_choice
from dataset_builder.core.factors import DRAWN_PROMPTS, MODALITIES, PLANES
from dataset_builder.vocabulary import Structure

Problem = tuple[str, object]

AXES = {"axial": ("right", "anterior"), "coronal": ("right", "superior"), "sagittal": ("anterior", "superior")}
"""The directions toward which columns and rows of a stored slice grow, by plane."""

THROUGH = {"axial": "superior", "coronal": "anterior", "sagittal": "right"}
"""The direction toward which the slices of a plane follow each other."""

SYMMETRIC = frozenset({"adjacent", "apart", "same side", "opposite sides"})
"""Relations that say the same of A and B as of B and A."""

_GIVEN_AWAY = frozenset({"larger", "smaller", "encloses", "enclosed by"})
"""Relations that need no image where a lesion is one of the two: it is smaller than an organ, and lies in one."""

_PLACE = "\N{WHITE SQUARE}"
"""Stands for a structure in a question, followed by its number."""


def edges(plane: str, convention: str) -> tuple[str, str]:
    """The directions at the left and at the top edge of the image, before it was mirrored or turned."""
    across, up = AXES[plane]
    return (across, up) if convention == "radiological" else (opposite()[across], opposite()[up])


@dataclass(frozen=True)
class Said:
    """A question taken apart.

    Args:
        context: the sentences before the question.
        asked: the question itself, each structure as a placeholder and its number in ``structures``.
    """

    context: str
    asked: str

    @property
    def order(self) -> list[int]:
        """Numbers of the structures, in the order in which the question names them."""
        return [int(number) for number in re.findall(rf"{_PLACE}(\d)", self.asked)]

    def after(self, words: str) -> list[int]:
        """Numbers of the structures that directly follow any of these words (a regular expression)."""
        return [int(number) for number in re.findall(rf"\b(?:{words}) {_PLACE}(\d)", self.asked, re.IGNORECASE)]


def take_apart(item: Item, words: Mapping[str, Structure]) -> Said:
    """The question of a row with placeholders for its structures."""
    context, _, asked = item.stem.rpartition(". ")
    if item.prompt == "none" and item.is_choice:
        called = [
            (getattr(words[name], item.register) if name in words else name, number)
            for number, name in enumerate(item.structures)
        ]
        for name, number in sorted(called, key=lambda pair: -len(pair[0])):
            if not is_ordinary(name):
                asked = _mask(name).sub(f"{_PLACE}{number}", asked)
    elif item.prompt != "none":
        marked = "marked " if item.prompt in DRAWN_PROMPTS else ""
        reference = rf"(?:\bthe )?\bstructure {marked}([ABC])\b"
        asked = re.sub(reference, lambda found: f"{_PLACE}{'ABC'.index(found[1])}", asked)
    return Said(context, asked)


@lru_cache(maxsize=4096)
def _mask(name: str) -> re.Pattern[str]:
    return re.compile(rf"(?:\bthe )?(?<!\w){re.escape(name)}(?!\w)", re.IGNORECASE)


def question_problems(item: Item, words: Mapping[str, Structure], size: int) -> Iterator[Problem]:
    """What a question says otherwise than the columns of its row: (problem, found).

    Args:
        words: structures by canonical name.
        size: side of the images in pixels; 0 if not known.
    """
    said = take_apart(item, words)
    yield from _shown(item, said)
    yield from _marked(item, said, size)
    if item.input == "stack":
        yield from _stack(item, said)
    if item.is_choice:
        yield from _confirmed(item, said, words) if item.option_form == "yes_no" else _asked(item, said, words)
        if _is_given_away(item, words):
            yield "The words alone answer a question about a lesion.", f"{item.relation}: {', '.join(item.structures)}"
    elif item.answer_type == "number":
        yield from number_problems(item, said)
    else:
        yield from place_problems(item, said, words)


def _is_given_away(item: Item, words: Mapping[str, Structure]) -> bool:
    """Whether nobody needs the image for a question about a lesion."""
    if item.relation in _GIVEN_AWAY:
        return any(is_lesion(name, words.get(name)) for name in item.structures)
    if item.prompt != "none" or item.input == "stack":
        return False
    if item.relation in ("within", "elsewhere"):
        return True  # most lesions of a data set lie in one organ
    of_one = item.terminology == "directional" and len(item.structures) == 1 and item.frame == "patient"
    called = words.get(item.structures[0]) if of_one else None
    return called is not None and called.side is not None


def _shown(item: Item, said: Said) -> Iterator[Problem]:
    """Edges, plane, modality, view, register."""
    found = re.search(r"left edge of (?:the|each) image is ([^,.]+), (?:and )?the top edge is ([^,.]+)", said.context)
    if item.statement != "edges":
        if found is not None:
            yield "The question states the edges of the image, which its row leaves out.", found[0]
    elif found is None:
        yield "The question does not state the edges of the image.", item.convention
    else:
        stated = direction(found[1]), direction(found[2])
        if stated != edges(item.plane, item.convention):
            yield "The question states other image edges than its plane and convention imply.", found[0]
    for column, values in (("plane", PLANES), ("modality", MODALITIES)):
        named = [value for value in values if re.search(rf"\b{value}\b", said.context, re.IGNORECASE)]
        if named != [getattr(item, column)]:
            yield f"The question states another {column} than the row.", ", ".join(named)
    named = [view for view in phrases()["view"] if pattern("view", view).search(said.context)]
    if named != ([item.view] if item.view in phrases()["view"] else []):
        yield "The question states another view than the row.", ", ".join(named) or "none"
    register = "lay" if pattern("lay").search(said.context) else "clinical"
    if register != item.register:
        yield "The question is worded in another register than the row says.", register


def _marked(item: Item, said: Said, size: int) -> Iterator[Problem]:
    """Which markers are said to be there, and how large the image is."""
    found = re.search(r"\bmarks? structures? ([ABC](?:(?:, | and )[ABC])*)\b", said.context)
    letters = re.findall("[ABC]", found[1]) if found else []
    expected = list("ABC"[: len(item.marked)]) if item.prompt in DRAWN_PROMPTS else []
    if letters != expected:
        yield "The question states other marked structures than the row.", ", ".join(letters) or "none"
    elif item.prompt in DRAWN_PROMPTS and not pattern("marker", item.prompt).search(said.context):
        yield "The question mentions another kind of marker.", item.prompt
    if stated := re.search(r"\bimage is (\d+) x (\d+) pixels", said.context):
        if size and (int(stated[1]), int(stated[2])) != (size, size):
            yield "The question states another size of the image.", f"{stated[0]}; it has {size}"
    elif item.prompt in ("text_point", "text_box"):
        yield "The question does not state the size of the image.", item.prompt


def _stack(item: Item, said: Said) -> Iterator[Problem]:
    """How many images there are, and in which order."""
    count = len(item.slice_index)
    stated = re.findall(r"\bThese (?:are )?(\d+)\b|\bnumbered 1 to (\d+)\b", said.context)
    numbers = {int(one or other) for one, other in stated}
    if numbers != {count}:
        yield "The question states another number of images.", f"{sorted(numbers)}; there are {count}"
    found = re.search(r"\bnumbered 1 to \d+,?(?: going)? from ([^.]+?) to ([^.]+?)(?:\.|$)", said.context)
    order = None
    if found:
        first, last = direction(found[1]), direction(found[2])
        toward = THROUGH[item.plane]
        if (first, last) == (opposite()[toward], toward):
            order = "ascending"
        elif (first, last) == (toward, opposite()[toward]):
            order = "descending"
    elif pattern("unstated_order").search(said.context):
        order = "unstated"
    if order != item.stack_order:
        yield "The question states another order of the images.", f"{order}; the row says {item.stack_order}"


def stated_step(item: Item) -> float | None:
    """The distance between the images of a stack in mm that a question states; ``None`` if it states none."""
    found = re.search(r"\b(\d+(?:\.\d+)?) mm apart\b", item.stem)
    return float(found[1]) if found else None


def _asked(item: Item, said: Said, words: Mapping[str, Structure]) -> Iterator[Problem]:
    """What is asked, of which structures, in which frame, with which words."""
    called = [getattr(words[name], item.register) for name in item.structures if name in words]
    named = item.prompt != "none" or (len(called) == len(item.structures) and not any(map(is_ordinary, called)))
    if named and (wrong := _roles(item, said)):
        yield "The question asks about its structures in other roles than the row.", wrong
    if item.terminology == "anatomical":
        return
    kind, counted = item.relation.partition(" in image ")[::2]
    if counted:
        asked = [name for name in ("largest", "first", "last") if pattern("asked", name).search(said.asked)]
        if asked != [kind]:
            yield "The question asks for something other than the column relation.", ", ".join(asked) or "nothing"
        return
    if item.input == "stack" and len(item.structures) == 3:
        found = re.search(r"\bfrom ([^,?]+?) to ([^,?]+)", said.asked, re.IGNORECASE)
        ends = (direction(found[1]), direction(found[2])) if found else None
        if ends != (opposite().get(item.relation), item.relation):
            yield (
                "The question asks for something other than the column relation.",
                found[0] if found else "no ends",
            )
        return
    yield from _words(item, said)


def _confirmed(item: Item, said: Said, words: Mapping[str, Structure]) -> Iterator[Problem]:
    """Of a question for yes or no: what is to be confirmed, of which structures, in which frame."""
    offered = as_choice(item)
    if offered is None:
        yield "The question does not ask to confirm one direction.", said.asked
        return
    yield from (found for found in _asked(offered, said, words) if found[0] != _OTHER_WORDS)


_OTHER_WORDS = "The question offers other words than its options."


def _words(item: Item, said: Said) -> Iterator[Problem]:
    """Of a question that offers two words: that it offers its options, which are opposite, in the frame of the row."""
    if missing := [option for option in item.options if not re.search(rf"\b{re.escape(option)}\b", said.asked)]:
        yield _OTHER_WORDS, ", ".join(missing)
    in_image = bool(pattern("image_frame").search(said.asked))
    if item.terminology == "directional" and in_image != (item.frame == "image"):
        yield "The question is asked in another frame than the row says.", said.asked
    elif item.terminology == "directional" and not in_image and not pattern("patient_frame").search(said.asked):
        yield "The question does not state its frame.", said.asked
    if item.frame == "image":
        pairs = ({"left", "right"}, {"above", "below"})
        if set(item.options) not in pairs:
            yield "The options are not a relation and its opposite.", "; ".join(item.options)
        return
    meant = [relations(item.register).get(option) for option in item.options]
    if None in meant or len(meant) != 2 or opposite()[meant[0] or ""] != meant[1]:
        yield "The options are not a relation and its opposite.", "; ".join(item.options)
    elif item.relation not in meant:
        yield "The question asks for something other than the column relation.", "; ".join(item.options)


_VERB = "is|are|does|do|can"


def _roles(item: Item, said: Said) -> str:
    """How the roles of structures in a question differ from those of a row; empty if they do not."""
    count, order = len(item.structures), said.order
    if item.terminology == "anatomical" and item.prompt == "none":
        return "it names what it asks for" if order else ""
    if sorted(order) != list(range(count)):
        return f"it names {_letters(order)}, not each of {_letters(range(count))} once"
    if count == 1 or item.relation in SYMMETRIC or (item.input == "stack" and count == 3):
        return ""
    subject = said.after(_VERB)
    if subject != [0]:
        return f"it asks where {_letters(subject) or 'nothing'} is, not A"
    if item.relation in ("between", "outside"):
        ends = re.search(rf"{_PLACE}(\d) and {_PLACE}(\d) as the two ends", said.asked)
        found = {int(ends[1]), int(ends[2])} if ends else set()
        return "" if found == {1, 2} else f"its ends are {_letters(found) or 'not stated'}"
    if item.relation in ("nearer", "farther"):
        than, to = said.after("than"), said.after("distance to|measured to")
        return "" if (than, to) == ([1], [2]) else f"it compares with {_letters(than)} by distance to {_letters(to)}"
    return ""


def _letters(numbers: object) -> str:
    return ", ".join("ABC"[number] for number in numbers)  # type: ignore[attr-defined]
