"""The list of questions: filters, search, links, keys."""

import json

from lm_eval_tasks.report.contents import contents
from lm_eval_tasks.report.images import Images
from lm_eval_tasks.report.page import make_page
from lm_eval_tasks.report.runs import Answer, Reading, Run
from tests.helpers.harness_files import factorial_rows, luck
from tests.helpers.report_page import EVERY, ROWS, count, open_at, shown, tick


def test_columns_are_put_together_again(opened, reading):
    found = opened.evaluate(
        "numbers.map((i) => ({ id: data.ids[i], question: question(i), options: cell('options', i), said: said(0, i),"
        " reply: decode(data.runs[0].replies, i), outcome: outcome(0, i), boxes: cell('boxes', i),"
        " margin: cell('margin_mm', i), prior: cell('prior_answer', i) ?? null }))"
    )
    assert len(found) == len(reading.questions)
    for item in found:
        question, answer = reading.questions[item["id"]], reading.runs[0].answers[item["id"]]
        assert item["question"] == question["question"]
        assert item["options"] == question["options"]
        assert item["boxes"] == question["boxes"]
        assert item["margin"] == question["margin_mm"]
        assert item["prior"] == question.get("prior_answer")
        assert (item["said"], item["reply"]) == (answer.said, answer.reply)
        expected = "right" if answer.right else "no answer" if answer.said is None else "wrong"
        assert item["outcome"] == expected


def test_at_first_what_went_wrong_is_shown(opened, reading):
    wrong = {identity for identity, answer in reading.runs[0].answers.items() if not answer.right}
    assert set(shown(opened)) == wrong
    assert count(opened) == len(wrong)
    opened.click("#clear")
    assert count(opened) == len(EVERY)


def expected_value(name, question, answer):
    if name == "outcome":
        return ["right" if answer.right else "no answer" if answer.said is None else "wrong"]
    if name == "prior":
        prior = question.get("prior_answer")
        if not prior:
            return [""]
        if prior == question["answer"]:
            return ["agrees with the image"]
        return ["followed against the image" if answer.said == prior else "resisted"]
    if name == "structure":
        return question["structures"]
    if name == "margin_mm":
        margin = question["margin_mm"]
        return ["below 8" if margin < 8 else "8-15" if margin < 15 else "15-30" if margin < 30 else "30-60"]
    return [question[name]]


def test_filter_by_each_factor(opened, reading):
    opened.click("#clear")
    names = opened.evaluate("filters.names")
    assert {"outcome", "prior", "terminology", "prompt", "register", "relation", "structure", "margin_mm"} < set(names)
    for name in names:
        if name == "change":
            continue
        for value in opened.evaluate(f"[...filters.boxes[{json.dumps(name)}].keys()]"):
            expected = {
                identity
                for identity, answer in reading.runs[0].answers.items()
                if value in expected_value(name, reading.questions[identity], answer)
            }
            counted = opened.evaluate(
                f"Number(filters.boxes[{json.dumps(name)}].get({json.dumps(value)}).count.textContent)"
            )
            tick(opened, name, value)
            assert set(shown(opened)) == expected, (name, value)
            assert counted == len(expected) == count(opened)
            tick(opened, name, value)


def test_another_run_and_what_two_runs_do_differently(opened, reading):
    opened.click("#clear")
    choose = "byId('{}').value = '{}'; byId('{}').dispatchEvent(new Event('change'))"
    assert not opened.evaluate("document.querySelector('input[name=change]').closest('fieldset').checkVisibility()")
    opened.evaluate(choose.format("other", 1, "other"))
    tick(opened, "change", "only the other right")
    one, other = reading.runs[:2]
    assert set(shown(opened)) == {i for i in one.answers if not one.answers[i].right and other.answers[i].right}
    assert "other=other" in opened.evaluate("location.hash")
    opened.evaluate(choose.format("other", -1, "other"))
    assert count(opened) == len(EVERY)
    opened.evaluate(choose.format("run", 2, "run"))
    assert set(shown(opened)) == set(reading.runs[2].answers)


def test_search_looks_at_questions_answers_and_ids(opened):
    opened.click("#clear")
    opened.evaluate("byId('search').value = 'V1F0 where'; byId('search').dispatchEvent(new Event('input'))")
    assert count(opened) == sum("v1f0" in each["id"] for each in ROWS)
    opened.evaluate("byId('search').value = 'nothing has this'; byId('search').dispatchEvent(new Event('input'))")
    assert count(opened) == 0
    assert opened.evaluate("byId('empty').checkVisibility() && !list.checkVisibility()")


def test_a_link_brings_the_view_back(opened, page):
    opened.click("#clear")
    opened.evaluate("byId('other').value = '1'; byId('other').dispatchEvent(new Event('change'))")
    tick(opened, "register", "lay")
    tick(opened, "change", "only the other right")
    before = shown(opened)
    opened.click("#list .item")
    fragment = opened.evaluate("location.hash").removeprefix("#")
    title = opened.evaluate("byId('detail-title').textContent")
    open_at(opened, page, fragment)
    assert shown(opened) == before
    assert opened.evaluate("byId('detail').open && byId('detail-title').textContent") == title
    open_at(opened, page, "effects")  # a part of the page is no view of the questions
    assert opened.evaluate("!byId('detail').open && filters.chosen.outcome.size") == 2


def test_thirty_four_thousand_questions_stay_usable(browser, tmp_path):
    few = factorial_rows(volumes=20, facts=3, prior=True)
    copies = 34_000 // len(few) + 1
    questions = {}
    for number in range(copies):
        for each in few:
            identity = f"{each['id']}-{number}"
            questions[identity] = each | {"id": identity, "fact_id": f"{each['fact_id']}-{number}", "image_hashes": []}
    assert len(questions) >= 34_000
    answers = {i: Answer("Left.", None, luck(i) < 0.4) for i in questions}
    few_reading = Reading([Run("m", "pictures", "m", {}, {}, {each["id"]: Answer("", None, True) for each in few})])
    few_reading.questions = {each["id"]: each | {"image_hashes": []} for each in few}
    reading = Reading([Run("m", "pictures", "m", {}, {}, answers)], questions)
    page = tmp_path / "index.html"
    text = make_page(contents(few_reading), reading, Images())
    assert len(text) < 8_000_000
    page.write_text(text, encoding="utf-8")
    browser.messages.clear()
    browser.open(page)
    browser.click("#clear")
    assert count(browser) == len(questions)
    rows = "document.querySelectorAll('#list [role=listitem]').length"
    assert 4 < browser.evaluate(rows) < 30
    browser.evaluate("list.scrollTop = list.scrollHeight")
    browser.wait_for(f"!!document.querySelector('#list [aria-posinset=\"{len(questions)}\"]')")
    assert browser.evaluate(rows) < 30
    last = browser.evaluate(
        f"rows.get({len(questions) - 1}).getBoundingClientRect().bottom <= list.getBoundingClientRect().bottom + 1"
    )
    assert last
    tick(browser, "register", "lay")
    assert count(browser) == sum(each["register"] == "lay" for each in questions.values())
    assert browser.evaluate("list.scrollTop") == 0
    assert browser.messages == []
