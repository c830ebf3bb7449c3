"""Sentences made of parts, so that what they say is known: every relation, from either side, in many constructions."""

from itertools import product

import pytest

from lm_eval_tasks.mis_ground.reading import read
from tests.helpers.replies import questions

QUESTIONS = questions()

LETTERS = [("A", "B"), ("The structure marked A", "the structure marked B"), ("A (green)", "B (red)")]
RELATIONS = [
    ("side", LETTERS, {"right": ("to the right of", "on the right"), "left": ("to the left of", "on the left")}),
    (
        "side",
        LETTERS,
        {"right": ("right of", "on the patient's right"), "left": ("left of", "on the patient's left")},
    ),
    (
        "side_lay",
        LETTERS,
        {
            "right": ("more to the patient's right than", "to the right"),
            "left": ("more to the patient's left than", "to the left"),
        },
    ),
    (
        "side_names",
        [("The left kidney", "the aorta"), ("The kidney", "the aorta")],
        {"right": ("to the right of", "on the right"), "left": ("to the left of", "on the left")},
    ),
    ("ap", LETTERS, {"anterior": ("anterior to", "anterior"), "posterior": ("posterior to", "posterior")}),
    ("ap", LETTERS, {"anterior": ("in front of", "in front"), "posterior": ("behind", "behind")}),
    ("ap_lay", LETTERS, {"in front": ("in front of", "in front"), "behind": ("behind", "behind")}),
    (
        "ap_names",
        [("The esophagus", "the trachea")],
        {"anterior": ("anterior to", "anterior"), "posterior": ("posterior to", "posterior")},
    ),
    ("si", LETTERS, {"superior": ("superior to", "superior"), "inferior": ("inferior to", "inferior")}),
    ("si", LETTERS, {"superior": ("above", "above"), "inferior": ("below", "below")}),
    (
        "si_lay",
        LETTERS,
        {
            "toward the head": ("closer to the head than", "toward the head"),
            "toward the feet": ("closer to the feet than", "toward the feet"),
        },
    ),
    ("ml", LETTERS, {"medial": ("medial to", "medial"), "lateral": ("lateral to", "lateral")}),
    (
        "ml_lay",
        LETTERS,
        {
            "toward the middle": ("more toward the middle than", "toward the middle"),
            "toward the outer side": ("more toward the outer side than", "toward the outer side"),
        },
    ),
    ("pd", LETTERS, {"proximal": ("proximal to", "proximal"), "distal": ("distal to", "distal")}),
    ("image_side", LETTERS, {"right": ("to the right of", "on the right"), "left": ("to the left of", "on the left")}),
    ("image_vertical", LETTERS, {"above": ("above", "above"), "below": ("below", "below")}),
    ("size", LETTERS, {"larger": ("larger than", "larger"), "smaller": ("smaller than", "smaller")}),
    (
        "size_names",
        [("The spleen", "the stomach")],
        {"bigger": ("bigger than", "bigger"), "smaller": ("smaller than", "smaller")},
    ),
]
VERBS = ("is", "appears to be", "can be seen")

SAME = [
    "{A} {v} {r} {b}.",
    "Relative to {b}, {a} {v} {r0}.",
    "{A} {v} {r0}, {b} is {o0}.",
    "{A} {v} not {o} {b}, but {r} it.",
    "It {v} {r} {b}.",
    "{A} {v} {r} {b}, not {o} it.",
    "Therefore, {a} {v} {r} {b}.",
    "{B} {v} {o} {a}, which means that {a} {v} {r} {b}.",
    "{A} {v} {r} {b}, because I can see it there.",
    "Is {a} {o} or {r} {b}? {A} {v} {r} {b}.",
    "{A} {v} {o} {b}. No, wait. {A} {v} {r} {b}.",
    "At first glance {a} {v} {o} {b}, but actually it {v} {r} it.",
    "{A} {v} {r} {b} rather than {o} it.",
    "The answer is that {a} {v} {r} {b}.",
    "While {b} {v} {o0}, {a} {v} {r0}.",
    "{A}, unlike {b}, {v} {r0}.",
]
INVERSE = [
    "{B} {v} {r} {a}.",
    "{B} {v} {r0} and {a} is {o0}.",
    "{B} {v} {r0} compared to {a}.",
]
NONE = [
    "I cannot tell whether {a} {v} {r} or {o} {b}.",
    "Either {a} {v} {r} {b} or {b} {v} {r} {a}.",
    "If {a} {v} {r} {b}, the answer would be another.",
    "{A} {v} {r} {b}. {A} {v} {o} {b}.",
    "Is {a} {r} {b}?",
    "{A} {v} neither {r} nor {o} {b}.",
]
MEANING = [
    *((template, 0) for template in SAME),
    *((template, 1) for template in INVERSE),
    *((template, None) for template in NONE),
]


def capital(text):
    return text[:1].upper() + text[1:]


def small(text):
    return text[:1].lower() + text[1:] if text.startswith("The ") else text


@pytest.mark.parametrize("relation", RELATIONS, ids=[f"{name}: {' / '.join(terms)}" for name, _, terms in RELATIONS])
def test_what_a_sentence_says_is_read_whoever_it_begins_with(relation):
    name, structures, terms = relation
    question = QUESTIONS[name]
    options = list(terms)
    for (a, b), verb, (template, meaning), number in product(structures, VERBS, MEANING, (0, 1)):
        (r, r0), (o, o0) = terms[options[number]], terms[options[1 - number]]
        parts = {"A": capital(a), "a": small(a), "B": capital(b), "b": small(b), "v": verb}
        reply = template.format(**parts, r=r, r0=r0, o=o, o0=o0)
        expected = None if meaning is None else options[number - meaning]
        assert read(reply, question["options"], question["question"]).option == expected, reply
