"""The report's page on a phone and a desktop: nothing is cut, no label covers another, few volumes are named."""

import json

import pytest

from lm_eval_tasks.report.leaderboard import write_leaderboard
from lm_eval_tasks.report.write import write_report
from tests.helpers.harness_files import factorial_rows, luck, row, write_run

LONG = "org/a-model-with-a-long-name-of-32B-parameters-Instruct"
LONELY = [
    row(f"lonely{n}", member, subject="s0", structures=["lonely_gland", "liver"], relation=("right", "left")[member])
    for n in range(6)
    for member in (0, 1)
]
"""Twelve questions about a structure that one volume shows; all are answered wrongly."""


def write(folder, volumes):
    rows = factorial_rows(volumes=volumes, facts=2, prior=True)
    rows += [each | {"prior_answer": ""} for each in LONELY]

    def good(each):
        wrong = each["options"][each["answer_index"] - 1]
        return (
            each["answer"] if luck(each["id"]) < 0.95 and each not in LONELY and "lonely" not in each["id"] else wrong
        )

    write_run(folder / "runs", rows, good, model_args={"pretrained": LONG})
    write_run(folder / "runs", rows, lambda each: "hm" if luck("b", each["id"]) < 0.5 else good(each))
    return write_report([str(folder / "runs")], folder / "report")


@pytest.fixture(scope="module")
def reports(tmp_path_factory):
    folders = {volumes: tmp_path_factory.mktemp(f"volumes{volumes}") for volumes in (3, 6)}
    found = {volumes: write(folder, volumes) for volumes, folder in folders.items()}
    write_leaderboard([folder / "report" for folder in folders.values()], folders[3] / "leaderboard.html")
    return folders, found


OVERLAPS = """(() => {
  const found = [];
  for (const svg of document.querySelectorAll('svg')) {
    const shown = [...svg.querySelectorAll('text')].filter((one) => one.checkVisibility());
    const boxes = shown.map((one) => [one.textContent, one.getBoundingClientRect()]);
    boxes.forEach(([name, a], n) => boxes.slice(n + 1).forEach(([other, b]) => {
      const beside = a.left >= b.right + 1 || b.left >= a.right + 1;
      if (!beside && a.top < b.bottom && b.top < a.bottom) found.push([name, other]);
    }));
  }
  return found;
})()"""
"""Labels of a drawing whose boxes touch."""

CUT = """(() => {
  const found = [];
  for (const one of document.querySelectorAll('.numbers div, .score dd, .plot .size, .heat td, .big small')) {
    if (!one.checkVisibility()) continue;
    const range = document.createRange();
    range.selectNodeContents(one);
    const own = one.getBoundingClientRect();
    const scrolls = one.closest('.wide');
    for (const part of range.getClientRects()) {
      const inside = part.left >= own.left - 1 && part.right <= own.right + 1 && part.bottom <= own.bottom + 4;
      if (!inside || (!scrolls && part.right > innerWidth)) { found.push(one.textContent); break; }
    }
  }
  return found;
})()"""
"""Numbers that do not fit where they stand, or on the screen."""


@pytest.mark.parametrize("width", [320, 375, 700, 1280])
@pytest.mark.parametrize("page", ["report/index.html", "leaderboard.html"])
def test_no_number_is_cut_and_no_label_covers_another(reports, browser, width, page):
    folders, _ = reports
    browser.send("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=width < 500)
    try:
        browser.open(folders[3] / page)
        browser.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
        assert browser.evaluate("document.documentElement.scrollWidth") <= width
        assert browser.evaluate(OVERLAPS) == []
        assert browser.evaluate(CUT) == []
        ticks = browser.evaluate("[...document.querySelectorAll('.ticks')].map((one) => one.checkVisibility())")
        assert ticks
    finally:
        browser.send("Emulation.clearDeviceMetricsOverride")


def test_on_a_phone_a_line_is_wide_enough_to_be_read(reports, browser):
    browser.send("Emulation.setDeviceMetricsOverride", width=375, height=900, deviceScaleFactor=1, mobile=True)
    try:
        browser.open(reports[0][3] / "report" / "index.html")
        widths = browser.evaluate(
            "[...document.querySelectorAll('.plot .track')].filter((one) => one.checkVisibility())"
            ".map((one) => one.getBoundingClientRect().width)"
        )
        assert len(widths) > 15
        assert min(widths) > 150
    finally:
        browser.send("Emulation.clearDeviceMetricsOverride")


@pytest.mark.parametrize("width", [375, 1280])
def test_what_is_of_few_volumes_is_grey_and_named(reports, browser, width):
    browser.send("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False)
    try:
        for volumes, few in ((3, True), (6, False)):
            browser.open(reports[0][volumes] / "report" / "index.html")
            effects = browser.evaluate(
                "[...document.querySelectorAll('#effects tbody tr:not(.head)')].map((row) => "
                "[row.querySelectorAll('.numbers .few').length, row.querySelector('.size').checkVisibility(), "
                "row.querySelector('.size').textContent])"
            )
            assert len(effects) >= 3
            for grey, seen, size in effects:
                assert (grey > 0) == few
                assert seen
                assert ("of 3 volumes" in size) == few
            cells = browser.evaluate(
                "[...document.querySelectorAll('#factors .heat td')].filter((one) => one.textContent)"
                ".map((one) => [one.className, one.textContent])"
            )
            assert cells
            for kind, text in cells:
                assert "n " in text
                assert (kind == "few") == few
                assert ("of 3 volumes" in text) == few
    finally:
        browser.send("Emulation.clearDeviceMetricsOverride")


def test_the_matrix_of_opposites_has_n_in_its_cells(reports, browser):
    folders, found = reports
    browser.open(folders[6] / "report" / "index.html")
    terms = found[6]["runs"][0]["confusions"]["terms"]["superior"]
    shown = browser.evaluate(
        "[...document.querySelectorAll('#confusions .heat tr')].find((row) => row.cells[0].textContent === 'superior')"
        ".cells[1].innerText"
    )
    share = f"{100 * terms['superior'] / sum(terms.values()):.0f}"
    assert shown.split() == [share, "n", f"{terms['superior']}"]


def test_no_structure_is_ranked_by_one_volume(reports, browser):
    folders, found = reports
    lonely = next(
        score
        for score in found[6]["runs"][0]["scores"]
        if score["by"] == ["structure"] and score["value"] == ["lonely_gland"]
    )
    assert (lonely["items"], lonely["volumes"], lonely["accuracy"]["value"]) == (12, 1, 0.0)  # by far the worst
    browser.open(folders[6] / "report" / "index.html")
    ranked = browser.evaluate("byId('structures').innerText")
    assert "liver" in ranked
    assert "lonely" not in ranked
    assert json.dumps(found[6]).count("lonely_gland")  # its numbers are in report.json all the same
