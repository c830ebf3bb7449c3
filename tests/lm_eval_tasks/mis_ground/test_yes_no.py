"""Replies to questions that are answered with yes or no, and how a person reads each."""

import pytest

from lm_eval_tasks.mis_ground.reading.reader import read

CONTEXT = "This is an axial CT slice in radiological convention. Boxes mark structures A and B. "
LEFT = f"{CONTEXT}From the patient's point of view, is the structure marked A to the left of the structure marked B?"
BEHIND = f"{CONTEXT}Seen from the patient's own point of view, is the structure marked A behind the structure marked B?"
ABOVE = f"{CONTEXT}In the image as displayed, is the structure marked A above the structure marked B?"


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        ("Yes", "yes"),
        ("no.", "no"),
        ("**No**", "no"),
        ("Yes, A lies to the left of B.", "yes"),
        ("No, the structure marked A is to the right of the structure marked B.", "no"),
        ("No, it is not to the left of B.", "no"),
        ("Yes - it does.", "yes"),
        ("Answer: yes", "yes"),
        ("The answer is no.", "no"),
        ("\\boxed{Yes}", "yes"),
        ('{"answer": "no"}', "no"),
        ("<think>Left of B? yes, I think</think>No", "no"),
        ("A lies on the right side of the image, B on the left. So A is on the patient's left side.\n\nYes.", "yes"),
        ("A is to the right of B. So: no.", "no"),
        ("Nein.", "no"),
        ("Oui", "yes"),
        ("是", "yes"),
        ("いいえ", "no"),
        # what takes itself back, or contradicts itself
        ("Yes, A is to the right of B.", None),
        ("No, A is to the left of B.", None),
        ("Yes. No.", None),
        ("Yes and no", None),
        ("No. Wait, yes.", None),
        ("Final answer: yes, wait, no", None),
        ("Answer: yes\nAnswer: no", None),
        # what never says it
        ("A is to the left of B.", None),
        ("It is not.", None),
        ("No structure is marked.", None),
        ("Maybe", None),
        ("", None),
        ("I cannot determine this from the image.", None),
    ],
)
def test_yes_and_no_are_read_strictly(reply, said):
    assert read(reply, ["yes", "no"], f"{LEFT}\nOptions: yes; no").option == said
    assert read(reply, ["no", "yes"], f"{LEFT}\nOptions: no; yes").option == said


@pytest.mark.parametrize(
    ("question", "reply", "said"),
    [
        (BEHIND, "Yes, it is posterior to B.", "yes"),
        (BEHIND, "Yes, it is in front of B.", None),
        (BEHIND, "No, it is in front of B.", "no"),
        (ABOVE, "No, A is below B.", "no"),
        (ABOVE, "No, A is above B.", None),
    ],
)
def test_what_says_the_opposite_of_its_yes_or_no_is_left_unread(question, reply, said):
    assert read(reply, ["yes", "no"], f"{question}\nOptions: yes; no").option == said


def test_letters_are_read_as_for_any_options():
    question = f"{LEFT}\nOptions: A. yes; B. no"
    assert read("B", ["yes", "no"], question).option == "no"
    assert read("(A) yes", ["yes", "no"], question).option == "yes"


def test_a_reply_that_was_cut_off_before_its_answer_is_truncated():
    found = read("Looking at the image, structure A", ["yes", "no"], f"{LEFT}\nOptions: yes; no", "length")
    assert (found.option, found.status) == (None, "truncated")


def test_an_option_behind_the_letter_of_another_one_is_no_answer():
    question = f"{LEFT}\nOptions: A. yes; B. no"
    assert read("B. yes", ["yes", "no"], question).option is None
    names = ["left kidney", "pancreas", "right kidney", "spleen"]
    question = "Which structure is marked A?\nOptions: A. left kidney; B. pancreas; C. right kidney; D. spleen"
    assert read("C. left kidney", names, question).stage == "conflict"
    assert read("C. right kidney", names, question).option == "right kidney"
    assert read("Structure A is D.", names, question).option == "spleen"


@pytest.mark.parametrize(
    ("reply", "said"),
    [("A destra", "right"), ("Esquerda.", "left"), ("слева", "left"), ("**왼쪽**", "left"), ("solda", "left")],
)
def test_a_word_of_another_language_is_read_where_it_is_all_that_is_said(reply, said):
    assert read(reply, ["right", "left"], "Is A to the right or to the left of B?").option == said
    assert read(f"{reply} xyz", ["right", "left"], "Is A to the right or to the left of B?").option is None
