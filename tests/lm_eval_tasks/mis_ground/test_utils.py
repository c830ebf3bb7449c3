import numpy as np
import pytest

from lm_eval_tasks.mis_ground.reading.text import plain
from lm_eval_tasks.mis_ground.replies import Reply
from lm_eval_tasks.mis_ground.utils import extract_answer, pair_acc, process_results
from tests.helpers.tiny_dataset import row

SIDES = ["right", "left"]
METRICS = ("acc", "invalid", "refused", "truncated", "unread")
KIDNEYS = ["left kidney", "kidney", "spleen", "small bowel"]
QUESTION = "From the patient's point of view, is the left kidney to the right or to the left of the aorta?"
MARKED = "Is structure A above or below structure B?\nOptions: above; below"


@pytest.mark.parametrize(
    ("reply", "options", "question", "expected"),
    [
        # bare
        ("left", SIDES, "", "left"),
        ("Left", SIDES, "", "left"),
        (" LEFT.\n", SIDES, "", "left"),
        ("toward the head", ["toward the head", "toward the feet"], "", "toward the head"),
        ("same side", ["same side", "opposite sides"], "", "same side"),
        # dressed
        ("**Left**", SIDES, "", "left"),
        ("`left`", SIDES, "", "left"),
        ("\u201cleft\u201d", SIDES, "", "left"),
        ("$\\boxed{\\text{left}}$", SIDES, "", "left"),
        ("A) left", SIDES, "", "left"),
        ("(B) Left", SIDES, "", "left"),
        ("1. left", SIDES, "", "left"),
        ("- left", SIDES, "", "left"),
        ("-left", SIDES, "", "left"),
        ("Answer: left", SIDES, "", "left"),
        ("Toward  the\nhead", ["toward the head", "toward the feet"], "", "toward the head"),
        ("Same-side", ["same side", "opposite sides"], "", "same side"),
        ("opposite_sides", ["same side", "opposite sides"], "", "opposite sides"),
        # verbose
        ("The structure marked A is to the left of the structure marked B.", SIDES, "", "left"),
        ("It lies on the left-hand side.", SIDES, "", "left"),
        ("A is below structure B.", ["above", "below"], MARKED, "below"),
        # several options
        ("left, not right", SIDES, "", "left"),
        ("left or right", SIDES, "", None),
        ("The left kidney", KIDNEYS, "", "left kidney"),
        ("kidney", KIDNEYS, "", "kidney"),
        ("encloses", ["encloses", "enclosed by"], "", "encloses"),
        # within words
        ("The leftmost one", SIDES, "", "left"),
        ("mediolateral", ["medial", "lateral"], "", None),
        ("anteriorly", ["anterior", "posterior"], "", "anterior"),
        ("bright", SIDES, "", None),
        # negated
        ("not left", SIDES, "", None),
        ("It isn't to the left, it is right.", SIDES, "", "right"),
        ("It isn\u2019t left", SIDES, "", "right"),
        ("non-adjacent", ["adjacent", "apart"], "", "apart"),
        ("Neither left nor right", SIDES, "", None),
        ("They are not adjacent; they lie apart.", ["adjacent", "apart"], "", "apart"),
        # in a name that the question uses
        ("The left kidney is to the right of the aorta.", SIDES, QUESTION, "right"),
        ("The left kidney is to the left of the aorta.", SIDES, QUESTION, "left"),
        ("The left kidney.", SIDES, QUESTION, None),
        ("Left kidney: right", SIDES, QUESTION, "right"),
        ("The left lung is left of it.", SIDES, QUESTION, None),
        ("left of the aorta", SIDES, QUESTION, "left"),
        # reasoning
        ("<think>It may be left.</think>right", SIDES, "", "right"),
        ("<think>\n\n</think>\n\nleft", SIDES, "", "left"),
        ("<think>It may be left", SIDES, "", None),
        # nothing
        ("", SIDES, "", None),
        ("lol", SIDES, "", None),
        ("A", SIDES, "", None),
        ("a", ["apart", "adjacent"], "", None),
        ("I cannot tell.", SIDES, "", None),
        ("left", [], "", None),
    ],
)
def test_extract_answer(reply, options, question, expected):
    assert extract_answer(reply, options, question) == expected


def test_plain_leaves_words_alone():
    assert plain("Nearer the Trunk") == "nearer the trunk"
    assert plain("inferior vena cava") == "inferior vena cava"


def document(**changes):
    cell = ("ct", "axial", "directional", "box")
    return row(cell, 0) | {"paired": True, "images": []} | changes


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        ("right", {"acc": 1.0}),
        ("left", {}),
        ("lol", {"invalid": 1.0, "unread": 1.0}),
        ("I'm sorry, I can't help with that.", {"invalid": 1.0, "refused": 1.0}),
        ("<think>It is on the right", {"invalid": 1.0, "truncated": 1.0}),
    ],
)
def test_an_answer_is_right_wrong_or_missing(reply, expected):
    scores = process_results(document(), [reply])
    pair, right = scores.pop("pair_acc")
    assert (pair, right) == ("ct-axial-directional-box-0", expected.get("acc") == 1)
    assert scores == dict.fromkeys(METRICS, 0.0) | expected


def test_a_reply_may_bring_its_finish_reason():
    cut = process_results(document(), [Reply("A lies on the right of the image.", "length")])
    assert (cut["truncated"], cut["unread"]) == (1.0, 0.0)
    assert process_results(document(), [Reply("right", "stop")])["acc"] == 1.0


@pytest.mark.parametrize(
    ("reply", "right"), [("A", True), ("(a)", True), ("A. right", True), ("B", False), ("right", True)]
)
def test_a_letter_is_an_answer_where_the_options_were_lettered(reply, right):
    assert process_results(document(letters=True), [reply])["acc"] == float(right)
    assert process_results(document(), ["A"])["unread"] == 1.0


def test_a_leaf_without_pairs_has_no_pair_acc():
    assert process_results(document(paired=False), ["right"]) == dict.fromkeys(METRICS, 0.0) | {"acc": 1.0}


@pytest.mark.parametrize(
    ("items", "expected"),
    [
        ([("p", True), ("p", True)], 1.0),
        ([("p", True), ("p", False)], 0.0),
        ([("p", True), ("q", True), ("q", True), ("p", False)], 0.5),
        ([("p", True), ("p", True), ("", False), ("", True)], 1.0),
        ([("p", True), ("p", True), ("q", False)], 1.0),
    ],
)
def test_pair_acc_counts_whole_pairs_in_any_order(items, expected):
    assert pair_acc(items) == expected


def test_pair_acc_of_no_whole_pair_is_no_number():
    assert np.isnan(pair_acc([("p", True), ("", True)]))
