"""The numbers on the page are those of the report."""

import re

import pytest

from lm_eval_tasks.report.formats import per_cent
from lm_eval_tasks.report.write import write_report
from tests.helpers.harness_files import write_run
from tests.helpers.report_page import EVERY, STACK, hashes, noisy, shown


def test_headline_is_that_of_the_report(opened, report):
    cards = opened.evaluate("[...document.querySelectorAll('.score')].map((card) => card.innerText)")
    assert len(cards) == 3
    for card, run in zip(cards, report["runs"], strict=True):
        score = run["scores"][0]
        assert run["name"] in card
        assert f"{100 * score['accuracy']['value']:.1f} %" in card
        assert per_cent(score["pair_accuracy"]) in card
    assert f"gain over {report['runs'][2]['name']}" in cards[0]
    assert "followed the prior against the image" in cards[0]


def test_plots_have_a_row_for_every_value_and_a_point_where_it_belongs(opened, report):
    table = (
        "[...document.querySelectorAll('#factors .plot')].find((t) => t.caption.textContent.includes('by register'))"
    )
    rows = opened.evaluate(
        f"[...{table}.tBodies[0].rows].map((row) => [row.cells[0].textContent,"
        " [...row.cells[2].children].map((each) => each.textContent),"
        " [...row.querySelectorAll('.track use')].map((use) => parseFloat(use.getAttribute('x')))])"
    )
    assert [name for name, _, _ in rows] == ["clinical", "lay"]
    for name, numbers, points in rows:
        accuracies = [
            next(s["accuracy"] for s in run["scores"] if s["by"] == ["register"] and s["value"] == [name])
            for run in report["runs"]
        ]
        assert numbers == [per_cent(accuracy) for accuracy in accuracies]
        assert points == pytest.approx([100 * accuracy["value"] for accuracy in accuracies], abs=0.006)
    # As drawn: the middle of the first point, as a share of the line.
    place = opened.evaluate(
        f"(() => {{ const track = {table}.querySelector('.track svg'); const point = track.querySelector('use');"
        " const [a, b] = [track.getBoundingClientRect(), point.getBoundingClientRect()];"
        " return (b.x + b.width / 2 - a.x) / a.width; })()"
    )
    assert place == pytest.approx(rows[0][2][0] / 100, abs=0.02)


def test_every_part_is_there(opened, report):
    for part in ("scores", "factors", "effects", "comparisons", "confusions", "structures", "questions", "settings"):
        assert opened.evaluate(f"byId('{part}').checkVisibility()"), part
        assert opened.evaluate(f"!!document.querySelector('nav a[href=\"#{part}\"]')"), part
    text = opened.evaluate("byId('confusions').innerText")
    terms = report["runs"][0]["confusions"]["terms"]["superior"]
    share = f"{100 * terms['superior'] / sum(terms.values()):.0f}"
    assert re.search(rf"superior\s+{share}\s", text)
    compared = opened.evaluate("byId('comparisons').textContent")
    assert "P-values are by volume" in compared
    assert "McNemar" not in compared  # of several volumes
    assert "0.4.13" in opened.evaluate("byId('settings').textContent")


def test_parts_without_numbers_are_not_shown(browser, tmp_path, folder):
    write_run(tmp_path / "one", [STACK], lambda each: each["answer"], images=hashes)
    write_report([str(tmp_path / "one")], tmp_path / "report", folder / "ground")
    browser.open(tmp_path / "report" / "index.html")
    for part in ("effects", "comparisons", "structures"):
        assert not browser.evaluate(f"byId('{part}').checkVisibility()"), part
        assert not browser.evaluate(f"document.querySelector('nav a[href=\"#{part}\"]').checkVisibility()"), part
    assert not browser.evaluate("byId('others').checkVisibility()")


def test_numbers_of_few_volumes_are_grey_and_named_and_none_is_cut(browser, tmp_path, folder):
    rows = [each for each in EVERY if each["input"] == "slice"]
    rows += [
        each | {"id": f"{each['id']}-once", "structures": ["pancreas"]} for each in rows if each["subject"] == "s0"
    ]
    few = [each for each in rows if each["subject"] in ("s0", "s1", "s2")]
    for name in "ab":
        write_run(tmp_path / name, few, noisy, model_args={"pretrained": name}, images=hashes)
    report = write_report([str(tmp_path / name) for name in "ab"], tmp_path / "report", folder / "ground")
    assert {effect["volumes"] for effect in report["runs"][0]["effects"]} == {3}
    browser.open(tmp_path / "report" / "index.html")
    browser.evaluate("document.querySelectorAll('details').forEach((each) => (each.open = true))")
    cut = "[...document.querySelectorAll('.numbers div')].filter((each) => each.scrollWidth > each.clientWidth + 1)"
    for width in (1280, 390):
        browser.send("Emulation.setDeviceMetricsOverride", width=width, height=800, deviceScaleFactor=1, mobile=False)
        try:
            assert browser.evaluate(f"{cut}.map((each) => each.textContent)") == []
        finally:
            browser.send("Emulation.clearDeviceMetricsOverride")
    colours = "[...document.querySelectorAll('SELECTOR')].map((each) => getComputedStyle(each).color)"
    (grey,) = set(browser.evaluate(colours.replace("SELECTOR", "#effects caption")))
    for selector in ("#effects .numbers div", "#effects .track g"):
        assert set(browser.evaluate(colours.replace("SELECTOR", selector))) == {grey}
    sizes = browser.evaluate("[...document.querySelectorAll('#effects td.size')].map((each) => each.textContent)")
    assert sizes
    assert all(size.endswith(" of 3 volumes") for size in sizes)
    assert "3 volumes only" in browser.evaluate("document.querySelector('.warnings').textContent")
    worst = browser.evaluate("[...document.querySelectorAll('#structures tbody th')].map((each) => each.textContent)")
    assert "liver" in worst
    assert "pancreas" not in worst  # of one volume


def test_a_value_in_a_plot_leads_to_its_questions(opened, reading):
    opened.evaluate(
        "[...document.querySelectorAll('#factors .plot th a')].find((a) => a.textContent === 'lay').click()"
    )
    opened.wait_for("filters.chosen.register.has('lay')")
    assert set(shown(opened)) == {i for i, q in reading.questions.items() if q["register"] == "lay"}
