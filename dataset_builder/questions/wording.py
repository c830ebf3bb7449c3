"""The sentences of a question: ``wording_*.yaml``, loaded once, and the small grammar that fills it in."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from dataset_builder.core.factors import (
    TURNED_VIEWS,
    Convention,
    Modality,
    Plane,
    Prompt,
    Register,
    StackOrder,
    Statement,
    View,
)
from dataset_builder.imaging.geometry import AXIS_DIRECTIONS, PLANE_AXIS, image_edges
from dataset_builder.vocabulary import Structure
from dataset_builder.vocabulary.packaged import packaged_table


@cache
def wording() -> Mapping[str, Any]:
    """The table of ``vocabulary/wording_*.yaml``."""
    return packaged_table("wording")


@cache
def opposites() -> Mapping[str, str]:
    """Each relation's opposite, both ways: ``{"right": "left", "left": "right", ...}``."""
    return {term: other for pair in wording()["opposites"] for term, other in (pair, pair[::-1])}


def with_article(word: str) -> str:
    """The word or phrase with "a" or "an", as pronounced ("an MRI", "a CT")."""
    vowel = word[0].lower() in "aeiou" or (word[:3].isupper() and word[0] in "FHLMNRSX")
    return f"{'an' if vowel else 'a'} {word}"


def enumerate_words(words: Sequence[str], conjunction: str = "and") -> str:
    """Words as a list in a sentence.

    >>> enumerate_words(["A", "B", "C"])
    'A, B and C'
    """
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} {conjunction} {words[-1]}"


def structure_name(structure: Structure, register: Register) -> str:
    """The structure's name, without an article."""
    return structure.clinical if register == "clinical" else structure.lay


def context(
    modality: Modality, plane: Plane, convention: Convention, register: Register, statement: Statement = "edges"
) -> str:
    """The sentence that says what is shown and, as far as it is to be stated, how."""
    words = wording()
    if statement == "none":
        form = words["context_unstated"][register]
    else:
        form = words["context" if statement == "edges" else "context_by_name"][convention][register]
    return str(form.format(**_shown(modality, plane, convention, register)))


def stack_context(
    modality: Modality,
    plane: Plane,
    convention: Convention,
    register: Register,
    count: int,
    step_mm: float,
    order: StackOrder,
) -> str:
    """The sentences that say what a stack shows, how far apart, and in which order, if that is to be stated.

    Args:
        count: number of images.
        step_mm: distance between the slices.
        order: ascending: toward the high end of the plane's axis (right, anterior, superior).
    """
    words = wording()
    low, high = (words["end"][end][register] for end in AXIS_DIRECTIONS[PLANE_AXIS[plane]])
    first, last = (low, high) if order == "ascending" else (high, low)
    shown = words["stack_context"][convention][register].format(
        **_shown(modality, plane, convention, register), count=count, step=f"{step_mm:.0f}"
    )
    stated = "unstated" if order == "unstated" else "stated"
    return f"{shown} {words['stack_order'][stated][register].format(count=count, first=first, last=last)}"


def _shown(modality: Modality, plane: Plane, convention: Convention, register: Register) -> dict[str, str]:
    """What the templates of a context may hold."""
    words = wording()
    modality_word = words["modality"][modality][register]
    plane_word = words["plane"][plane][register]
    edges = image_edges(plane, convention)
    return {
        "plane": plane_word,
        "plane_article": with_article(plane_word).split(" ", 1)[0],
        "modality": modality_word,
        "modality_article": with_article(modality_word).split(" ", 1)[0],
        "left": words["edge"][edges["left"]][register],
        "top": words["edge"][edges["top"]][register],
    }


def view_sentence(view: View, register: Register) -> str:
    """How the image was then turned; empty if it was not."""
    return wording()["view"][view][register] if view in TURNED_VIEWS else ""


def marker_sentence(
    prompt: Prompt,
    letters: Sequence[str],
    boxes: Sequence[Sequence[int]],
    points: Sequence[Sequence[int]],
    image_size: int,
) -> str:
    """What marks the structures, or where they are in pixels; empty for the prompt ``none``."""
    words = wording()
    if prompt == "none":
        return ""
    if prompt in words["marker"]:
        return _marked(words["marker"][prompt], letters)
    phrases = (coordinate_phrase(prompt, *each) for each in zip(letters, boxes, points, strict=True))
    return " ".join([coordinate_scale(image_size), *phrases])


def coordinate_scale(image_size: int) -> str:
    """The sentence that says what the coordinates of a text prompt count."""
    return wording()["coordinates"]["intro"].format(size=image_size)


def coordinate_phrase(prompt: str, letter: str, box: Sequence[float], point: Sequence[float]) -> str:
    """Where a structure is in pixels, as the prompts ``text_point`` and ``text_box`` say it.

    Args:
        prompt: one of the two.
        letter: of the structure.
        box: x0, y0, x1 and y1.
        point: x and y.
    """
    (x0, y0, x1, y1), (x, y) = box, point
    return wording()["coordinates"][prompt].format(letter=letter, x=x, y=y, x0=x0, y0=y0, x1=x1, y1=y1)


def stack_marker_sentence(prompt: Prompt, letters: Sequence[str]) -> str:
    """What marks the structures in the images of a stack; empty for the prompt ``none``."""
    return "" if prompt == "none" else _marked(wording()["stack_marker"][prompt], letters)


def _marked(forms: Mapping[str, str], letters: Sequence[str]) -> str:
    return forms["one" if len(letters) == 1 else "many"].format(letters=enumerate_words(letters))


def references(prompt: Prompt, structures: Sequence[Structure], register: Register) -> list[tuple[str, bool]]:
    """How the question refers to each structure, and whether that is a plural.

    By name without a marker, by letter with one; never both.
    """
    if prompt == "none":
        return [(f"the {structure_name(s, register)}", s.plural) for s in structures]
    form = "structure {}" if prompt.startswith("text_") else "the structure marked {}"
    return [(form.format(letter), False) for letter in "ABC"[: len(structures)]]


def fill(
    template: str, refs: Sequence[tuple[str, bool]], options: Sequence[str], words: Mapping[str, str] | None = None
) -> str:
    """A question template with its structures and options filled in.

    Args:
        template: a template of the table ``questions``.
        refs: (reference, plural) of A, B and C as far as there are.
        options: the options in the order in which they are listed; the first two may be named in the template.
        words: further words that the template may name.
    """
    names = {letter: reference for letter, (reference, _) in zip("abc", refs, strict=False)}
    first, plural = refs[0] if refs else ("", False)
    return template.format(
        **names,
        is_a=f"{'are' if plural else 'is'} {first}",
        does_a=f"{'do' if plural else 'does'} {first}",
        a_is=f"{first} {'are' if plural else 'is'}",
        o1=options[0],
        o2=options[1],
        **(words or {}),
    )


def relation_term(relation: str, register: Register) -> str:
    """The word or phrase for a relation in a register."""
    return wording()["terms"][relation][register]


def image_term(relation: str, plane: Plane, convention: Convention, view: View = "plain") -> str:
    """The word for a relation along a patient axis as it appears in the image: left, right, above or below."""
    edges = image_edges(plane, convention, view)
    (edge,) = [edge for edge, direction in edges.items() if direction == relation]
    return wording()["image_terms"][edge]
