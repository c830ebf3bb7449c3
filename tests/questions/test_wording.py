import re
import string

import pytest

from dataset_builder.core.factors import CONVENTIONS, MODALITIES, PLANES, REGISTERS, TURNED_VIEWS
from dataset_builder.questions.wording import (
    context,
    enumerate_words,
    fill,
    image_term,
    marker_sentence,
    opposites,
    references,
    relation_term,
    stack_context,
    view_sentence,
    with_article,
    wording,
)
from dataset_builder.vocabulary import structures

VIEWS = ("plain", *TURNED_VIEWS)

# The conventions, written out: patient direction at the left and top edge of the image.
EDGES = {
    ("axial", "radiological"): ("right", "anterior"),
    ("axial", "ras"): ("left", "posterior"),
    ("coronal", "radiological"): ("right", "superior"),
    ("coronal", "ras"): ("left", "inferior"),
    ("sagittal", "radiological"): ("anterior", "superior"),
    ("sagittal", "ras"): ("posterior", "inferior"),
}
OPPOSITE = {
    "right": "left",
    "left": "right",
    "anterior": "posterior",
    "posterior": "anterior",
    "superior": "inferior",
    "inferior": "superior",
}


@pytest.mark.parametrize(("plane", "convention"), EDGES)
def test_image_terms_follow_the_design(plane, convention):
    left, top = EDGES[plane, convention]
    assert image_term(left, plane, convention) == "left"
    assert image_term(OPPOSITE[left], plane, convention) == "right"
    assert image_term(top, plane, convention) == "above"
    assert image_term(OPPOSITE[top], plane, convention) == "below"


@pytest.mark.parametrize("register", REGISTERS)
@pytest.mark.parametrize("modality", MODALITIES)
@pytest.mark.parametrize(("plane", "convention"), EDGES)
def test_context_states_modality_plane_and_the_edges(plane, convention, modality, register):
    text = context(modality, plane, convention, register)
    assert {"ct": "CT", "mri": "MRI"}[modality] in text
    assert plane in text
    words = {edge: wording()["edge"][edge][register] for edge in OPPOSITE}
    left, top = EDGES[plane, convention]
    assert f"the left edge of the image is {words[left]}, the top edge is {words[top]}." in text
    assert ("RAS" in text) == (convention == "ras")
    assert " a axial" not in text
    assert " a MRI" not in text


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("CT", "a CT"),
        ("MRI", "an MRI"),
        ("MRI scan", "an MRI scan"),
        ("axial", "an axial"),
        ("coronal", "a coronal"),
        ("CT scan", "a CT scan"),
    ],
)
def test_article(word, expected):
    assert with_article(word) == expected


def test_enumeration():
    assert enumerate_words(["A"]) == "A"
    assert enumerate_words(["A", "B"]) == "A and B"
    assert enumerate_words(["A", "B", "C"]) == "A, B and C"


def test_opposites_are_mutual_and_every_term_has_one():
    assert all(opposites()[other] == term for term, other in opposites().items())
    assert set(opposites()) == set(wording()["terms"])


@pytest.mark.parametrize("register", REGISTERS)
def test_a_term_and_its_opposite_never_read_the_same(register):
    for term, other in opposites().items():
        assert relation_term(term, register) != relation_term(other, register)


TEMPLATES = [
    (key, register, number)
    for key, registers in wording()["questions"].items()
    for register in REGISTERS
    for number in range(len(registers[register]))
]
STRUCTURES = structures()


@pytest.mark.parametrize("key", wording()["questions"])
def test_both_registers_have_as_many_wordings(key):
    counts = {register: len(wording()["questions"][key][register]) for register in REGISTERS}
    assert counts["clinical"] == counts["lay"] >= 2
    assert all(len(set(wording()["questions"][key][register])) == counts[register] for register in REGISTERS)


@pytest.mark.parametrize(("key", "register", "number"), TEMPLATES)
def test_every_template_reads_right_with_every_structure(key, register, number):
    """Each is filled with every structure as A, B and C; verbs must agree, and nothing be left open or doubled."""
    template = wording()["questions"][key][register][number]
    fields = {name for _, name, _, _ in string.Formatter().parse(template) if name}
    assert fields <= {"a", "b", "c", "is_a", "does_a", "a_is", "o1", "o2", "first", "last"}
    words = {"first": "inferior", "last": "superior"}
    known = list(STRUCTURES.values())
    for i, a in enumerate(known):
        three = (a, known[i - 1], known[i - 2])
        refs = references("none", three, register)
        text = fill(template, refs, ["larger", "smaller"], words)
        assert text.endswith("?")
        assert text[0].isupper()
        assert not re.search(r"[{}]|  | [,?]|\b(\w+) \1\b", text), text
        assert "the the" not in text
        name = re.escape(getattr(a, register))
        if fields & {"is_a", "does_a"}:
            verbs = ("are", "do") if a.plural else ("is", "does")
            assert re.search(rf"\b({'|'.join(verbs)}) the {name}", text), text
        if "a_is" in fields:
            assert f"the {getattr(a, register)} {'are' if a.plural else 'is'} " in text
        wrong = ("is", "does") if a.plural else ("are", "do")
        if fields & {"is_a", "does_a", "a_is"}:
            assert not re.search(rf"\b({'|'.join(wrong)}) the {name}\b|the {name} {wrong[0]}\b", text), text


@pytest.mark.parametrize(("key", "register", "number"), TEMPLATES)
def test_every_template_reads_right_with_letters(key, register, number):
    template = wording()["questions"][key][register][number]
    for prompt in ("box", "text_point"):
        refs = references(prompt, list(STRUCTURES.values())[:3], register)
        text = fill(template, refs, ["larger", "smaller"], {"first": "inferior", "last": "superior"})
        assert not re.search(r"\b(are|do) (the )?structure (marked )?A (?!and)", text), text


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("register", REGISTERS)
def test_the_view_is_said_unless_it_is_plain(view, register):
    text = view_sentence(view, register)
    assert (text == "") == (view == "plain")
    if view != "plain":
        words = {"mirrored": "left to right", "rotated90": "clockwise", "rotated180": ""}
        assert words[view] in text
        assert text.endswith(".")


@pytest.mark.parametrize("register", REGISTERS)
@pytest.mark.parametrize(
    ("plane", "low", "high"),
    [("axial", "inferior", "superior"), ("coronal", "posterior", "anterior"), ("sagittal", "left", "right")],
)
def test_a_stack_says_how_many_how_far_apart_and_in_which_order(plane, low, high, register):
    ends = [wording()["end"][end][register] for end in (low, high)]
    for order, said in (("ascending", ends), ("descending", ends[::-1])):
        text = stack_context("ct", plane, "ras", register, 8, 12.4, order)
        assert "8 " in text
        assert "12 mm apart" in text
        assert f"from {said[0]} to {said[1]}." in text
    unstated = stack_context("ct", plane, "ras", register, 8, 12.4, "unstated")
    assert "numbered 1 to 8" in unstated
    assert "from " not in unstated


def test_plural_structures_take_a_plural_verb():
    words = structures()
    plural = next(s for s in words.values() if s.plural)
    refs = references("none", [plural, words["liver"]], "clinical")
    assert fill("{is_a} near {b}?", refs, ["x", "y"]) == f"are the {plural.clinical} near the liver?"
    assert fill("{is_a} near {b}?", refs[::-1], ["x", "y"]) == f"is the liver near the {plural.clinical}?"


def test_a_marked_structure_is_never_named():
    liver = structures()["liver"]
    for prompt in ("label", "point", "box", "mask", "text_point", "text_box"):
        assert all("liver" not in ref for ref, _ in references(prompt, [liver, liver], "lay"))


def test_coordinates_are_stated_in_full():
    text = marker_sentence("text_box", "AB", [(1, 2, 3, 4), (5, 6, 7, 8)], [(2, 3), (6, 7)], 512)
    assert "512 x 512" in text
    assert "Structure A lies in the box from (1, 2) to (3, 4)." in text
    assert "Structure B lies in the box from (5, 6) to (7, 8)." in text
    text = marker_sentence("text_point", "A", [(1, 2, 3, 4)], [(2, 3)], 512)
    assert "Structure A is at pixel (2, 3)." in text


def test_context_is_there_for_every_plane_and_convention():
    assert set(EDGES) == {(plane, convention) for plane in PLANES for convention in CONVENTIONS}
