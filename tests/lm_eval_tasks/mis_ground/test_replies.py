"""The reader against replies that a person has read, and against what must hold for any reply."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lm_eval_tasks.mis_ground.reading import READER_VERSION, Reading, read
from tests.helpers.replies import questions, replies

HERE = Path(__file__).parent
QUESTIONS, REPLIES = questions(), replies()
REPORTED = [json.loads(line) for line in (HERE / "reported_replies.jsonl").read_text(encoding="utf-8").splitlines()]

SIDE = QUESTIONS["side"]
ADJACENCY = QUESTIONS["adjacency"]
NAMING = QUESTIONS["naming"]


@pytest.mark.parametrize("case", REPORTED, ids=[f"{n} {case['style']}" for n, case in enumerate(REPORTED)])
def test_reported_replies_are_read_as_a_person_reads_them(case):
    assert read(case["reply"], case["options"], case["question"]).option == case["read_as"]


@pytest.mark.parametrize("row", REPLIES, ids=[f"{n} {r[0]}: {r[1]}" for n, r in enumerate(REPLIES)])
def test_replies_of_all_styles_are_read_as_a_person_reads_them(row):
    name, _, reply, read_as, *more = row
    question = QUESTIONS[name]
    found = read(reply, question["options"], question["question"]).option
    assert found == read_as if not more else found is None


def test_few_replies_that_a_person_can_read_are_left_unread():
    readable = [row for row in REPLIES if row[3] is not None]
    unread = [row for row in readable if row[4:] == ["unread"]]
    assert {len(row) for row in REPLIES} == {4, 5}
    assert len(unread) < 0.03 * len(readable)


def side(reply, **more):
    return read(reply, SIDE["options"], SIDE["question"], **more)


@pytest.mark.parametrize(
    ("reply", "finish_reason", "status"),
    [
        ("left", None, "read"),
        ("left", "length", "read"),
        ("<think>It may be left.", None, "truncated"),
        ("Okay, let me look. Structure A is on the right side of the image, so", None, "truncated"),
        ("Okay, let me look. Structure A is on the right side of the image.", "length", "truncated"),
        ("", "length", "truncated"),
        ("", "content_filter", "refused"),
        ("The request was declined.", "refusal", "refused"),
        ("", None, "unread"),
        ("I'm sorry, I can't help with medical images.", None, "refused"),
        ("I cannot tell whether A is left or right of B.", None, "refused"),
        ("left or right", None, "unread"),
        ("lol", None, "unread"),
    ],
)
def test_a_reply_without_an_answer_says_why(reply, finish_reason, status):
    assert side(reply, finish_reason=finish_reason).status == status


@pytest.mark.parametrize("filling", ["A is near the left edge of the image. ", " ", "-", "( ", "left or right, "])
def test_a_very_long_reply_is_read_at_its_end(filling):
    assert side(filling * 20_000 + "\n\nAnswer: left").option == "left"


def test_a_reading_is_an_option_or_says_why_not():
    assert Reading("left", "read", "bare").option == "left"
    for option, status in (("left", "unread"), (None, "read")):
        with pytest.raises(ValueError, match="A reading has an option or another status"):
            Reading(option, status, "bare")
    assert READER_VERSION > "1"


# --- what must hold for any reply

THOUGHTS = [
    "<think>{}</think>",
    "{}</think>",
    "<thinking>{}</thinking>",
    "<reasoning>{}</reasoning>",
    "[THINK]{}[/THINK]",
    "◁think▷{}◁/think▷",
    "<|channel|>analysis<|message|>{}<|end|><|start|>assistant<|channel|>final<|message|>",
    "analysisWe need one word. {}assistantfinal",
    "<|begin_of_thought|>{}<|end_of_thought|>",
]
FINALS = [
    "{}",
    "Answer: {}",
    "**Answer:** {}",
    "Final answer: {}.",
    "The correct answer is {}.",
    "\\boxed{{{}}}",
    "$\\boxed{{\\text{{{}}}}}$",
    '{{"answer": "{}"}}',
    '```json\n{{"answer": "{}"}}\n```',
    "<answer>{}</answer>",
    "<CONCLUSION>{}</CONCLUSION>",
    "<|begin_of_box|>{}<|end_of_box|>",
    "## Final Answer\n{}",
    "So the answer is **{}**",
]
MARKDOWN = ["{}", "**{}**", "*{}*", "`{}`", "_{}_", '"{}"', "- {}", "{}\n\nNote: I am not a doctor."]
IDLE = "The user wants one word. Left edge is the patient's right; A could be right of B or left of B, hmm."
ANY_QUESTION = st.sampled_from([row for row in QUESTIONS.values() if "order" not in row["question"]])


@settings(max_examples=300, deadline=None, derandomize=True)
@given(
    question=ANY_QUESTION,
    place=st.integers(0, 3),
    thought=st.sampled_from(["", *THOUGHTS]),
    final=st.sampled_from(FINALS),
    markdown=st.sampled_from(MARKDOWN),
)
def test_a_known_answer_reads_the_same_in_any_dress(question, place, thought, final, markdown):
    option = question["options"][place % len(question["options"])]
    reply = thought.format(IDLE) + final.format(markdown.format(option) if final == "{}" else option)
    assert read(reply, question["options"], question["question"]).option == option


SWAPPED = {"right": "left", "left": "right", "Right": "Left", "Left": "Right", "RIGHT": "LEFT", "LEFT": "RIGHT"}


def swap(text):
    """The text with right and left exchanged, whole words and parts of words alike."""
    import re

    if text is None:
        return None
    return re.sub("(?i)right|left", lambda found: SWAPPED.get(found[0], found[0]), text)


# "right next to B", "the only one left": senses that the other word has not. Languages have words of their own.
OTHER_SENSES = (
    "right above",
    "that's right",
    "all right",
    "you're right",
    "right next",
    "right, so",
    "right away",
    "bright",
    "option left",
    "left out",
)
SIDES = [row for row in REPLIES if row[0] in ("side", "side_lay", "side_names", "image_side")] + [
    ["side", case["style"], case["reply"], case["read_as"]]
    for case in REPORTED
    if set(case["options"]) == {"right", "left"}
]
SIDES = [row for row in SIDES if not any(word in row[2].casefold() for word in OTHER_SENSES) and "typo" not in row[1]]
SIDES = [row for row in SIDES if not row[1].startswith(("German", "French", "Spanish", "Chinese", "Japanese"))]


@pytest.mark.parametrize("row", SIDES, ids=[f"{n} {row[1]}" for n, row in enumerate(SIDES)])
def test_exchanging_the_options_exchanges_the_reading(row):
    name, _, reply, *_ = row
    question = QUESTIONS[name]
    here = read(reply, question["options"], question["question"]).option
    there = read(swap(reply), [swap(option) for option in question["options"]], swap(question["question"])).option
    if reply.isascii():
        assert there == swap(here)


UNRELATED = [
    "The image quality is good.",
    "CT uses X-rays.",
    "The window is that of soft tissue.",
    "Thank you for the question.",
    "The slice thickness is 5 mm.",
    "Let me know if you need more.",
    "Bones are bright.",
    "The boxes are drawn in colour.",
]
CUT_SHORT = ("cut", "ends", "only analysis")
NO_ANSWER = [row for row in REPLIES if row[3] is None and not any(word in row[1] for word in CUT_SHORT)]


@settings(max_examples=300, deadline=None, derandomize=True)
@given(
    row=st.sampled_from(NO_ANSWER),
    before=st.lists(st.sampled_from(UNRELATED), max_size=3),
    after=st.lists(st.sampled_from(UNRELATED), max_size=3),
)
def test_unrelated_text_makes_no_answer(row, before, after):
    name, _, reply, *_ = row
    question = QUESTIONS[name]
    longer = " ".join([*before, reply, *after])
    assert read(longer, question["options"], question["question"]).option is None


@settings(max_examples=300, deadline=None, derandomize=True)
@given(reply=st.text(max_size=200), question=ANY_QUESTION)
def test_any_text_is_read_without_an_error(reply, question):
    found = read(reply, question["options"], question["question"])
    assert found.option is None or found.option in question["options"]
