"""One question: its images, outlines, options and replies."""

import json
import re

from tests.helpers.report_page import ROWS, STACK, open_at, reveal


def test_a_question_shows_image_answers_and_outlines(opened, page, reading):
    identity = next(e["id"] for e in ROWS if e["prompt"] == "none" and not reading.runs[0].answers[e["id"]].right)
    question = reading.questions[identity]
    open_at(opened, page, f"item={identity}")
    assert opened.evaluate("byId('detail').open")
    # Only what the model saw, until more is asked for.
    opened.wait_for("document.querySelector('#detail-body img').naturalWidth > 0")
    assert opened.evaluate("document.querySelectorAll('#detail-body svg').length") == 0
    reveal(opened, True)
    opened.wait_for("!!document.querySelector('#detail-body svg rect')")
    assert opened.evaluate("document.querySelector('#detail-body img').naturalWidth") == 64
    assert opened.evaluate("document.querySelector('#detail-body img').alt").startswith("coronal CT slice")
    box = opened.evaluate(
        "['x', 'y', 'width', 'height'].map((n) => Number(document.querySelector('#detail-body rect').getAttribute(n)))"
    )
    assert box == [4, 8, 16, 22]
    options = opened.evaluate("[...document.querySelectorAll('#detail-body .options li')].map((li) => li.textContent)")
    right = next(option for option in options if option.startswith(question["answer"]))
    assert "right answer" in right
    said = reading.runs[0].answers[identity].said
    assert any("said by some-model" in option for option in options if said and option.startswith(said))
    assert any("anatomy alone" in option for option in options if option.startswith(question["prior_answer"]))
    replies = opened.evaluate("[...document.querySelectorAll('#detail-body .reply')].map((part) => part.textContent)")
    assert replies[:2] == [run.answers[identity].reply for run in reading.runs[:2]]
    variants = opened.evaluate("document.querySelectorAll('.variants li').length")
    assert variants == sum(q["fact_id"] == question["fact_id"] for q in reading.questions.values())
    assert question["subject"] in opened.evaluate("document.querySelector('#detail-body dl').textContent")
    opened.click("#close")
    opened.wait_for("!location.hash.includes('item')")


def test_what_was_drawn_for_the_model_has_no_switch(opened, page):
    """Its markers are in the image itself."""
    identity = next(each["id"] for each in ROWS if each["prompt"] == "box")
    open_at(opened, page, f"item={identity}")
    assert not opened.evaluate("byId('reveal-row').checkVisibility()")
    identity = next(each["id"] for each in ROWS if each["prompt"] == "none")
    open_at(opened, page, f"item={identity}")
    assert opened.evaluate("byId('reveal-row').checkVisibility() && !byId('reveal').checked")


def test_a_stack_shows_all_its_images(opened, page):
    open_at(opened, page, f"item={STACK['id']}")
    opened.wait_for("[...document.querySelectorAll('#detail-body img')].every((image) => image.naturalWidth)")
    alternatives = opened.evaluate("[...document.querySelectorAll('#detail-body img')].map((image) => image.alt)")
    assert len(alternatives) == 3
    assert "image 3 of 3" in alternatives[2]
    assert opened.evaluate("document.querySelectorAll('#detail-body svg').length") == 0
    reveal(opened, True)
    # Each structure is outlined in the image that it is in.
    opened.wait_for("document.querySelectorAll('#detail-body svg').length === 3")
    letters = opened.evaluate("[...document.querySelectorAll('#detail-body svg')].map((svg) => svg.textContent)")
    assert letters == ["A", "", "B"]


def test_other_ways_of_asking_are_links(opened, page):
    open_at(opened, page, f"item={ROWS[0]['id']}")
    target = opened.evaluate("document.querySelector('.variants a:not([aria-current])').hash")
    opened.click(".variants a:not([aria-current])")
    opened.wait_for(f"location.hash === {json.dumps(target)}")
    assert opened.evaluate("byId('detail-title').textContent").endswith(re.search(r"item=([^&]+)", target)[1])
