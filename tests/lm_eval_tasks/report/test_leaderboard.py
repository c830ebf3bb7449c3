"""The leaderboard: who is compared with whom, in what order, and the page in a browser."""

import json

import pytest
from typer.testing import CliRunner

from dataset_builder.cli.main import app
from dataset_builder.core.errors import BuildError, MISGroundError
from lm_eval_tasks.report.formats import per_cent
from lm_eval_tasks.report.leaderboard import tied, write_leaderboard
from lm_eval_tasks.report.write import write_report
from tests.helpers.harness_files import factorial_rows, luck, write_run

ROWS = factorial_rows(volumes=8, facts=2)
HOSTILE = "</script><script>window.hacked = 1</script><img src=x onerror='window.hacked = 1'>"


def model(skill):
    return lambda each: (
        each["answer"] if luck(skill, each["id"]) < skill else each["options"][1 - min(1, each["answer_index"])]
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Reports of runs on two sets of questions; one run is in two reports."""
    folder = tmp_path_factory.mktemp("reports")
    for name, rows, skill, blind in (
        ("weak", ROWS, 0.3, False),
        ("strong", ROWS, 0.9, False),
        ("nearly", ROWS, 0.88, False),
        ("part", ROWS[:60], 0.6, False),
        ("unseeing", ROWS, 0.5, True),
    ):
        date = f"2026-0{1 + int(10 * skill) % 9}-02T03-04-05.678901"
        write_run(folder / "runs" / name, rows, model(skill), blind=blind, model_args={"pretrained": name}, date=date)
    write_run(folder / "runs" / "hostile", ROWS, model(0.7), model_args={"pretrained": HOSTILE.replace("/", "")})
    runs = lambda *names: [str(folder / "runs" / name) for name in names]  # noqa: E731
    write_report(runs("weak", "strong"), folder / "reports" / "one")
    write_report(runs("strong", "nearly", "unseeing"), folder / "reports" / "two")
    write_report(runs("part"), folder / "reports" / "three")
    write_report(runs("hostile"), folder / "reports" / "four")
    return folder / "reports"


@pytest.fixture(scope="module")
def boards(folder):
    return write_leaderboard([folder], folder / "leaderboard.html")


def test_only_runs_of_the_same_questions_stand_together(boards):
    names = [[run["name"].split(",")[0] for run in board] for board in boards]
    assert [len(board) for board in names] == [4, 1, 1]
    assert names[0][0] in ("strong", "nearly")
    assert names[0][-1] == "weak"
    assert names[1:] == [["part"], ["unseeing"]]
    accuracies = [run["scores"][0]["accuracy"]["value"] for run in boards[0]]
    assert accuracies == sorted(accuracies, reverse=True)


def test_runs_of_other_data_versions_stand_in_another_table(folder, tmp_path):
    rows = [each | {"version": "2.1.0"} for each in ROWS]
    write_run(tmp_path / "run", rows, model(0.9), model_args={"pretrained": "strong"})
    write_report([str(tmp_path / "run")], tmp_path / "report")
    boards = write_leaderboard([folder / "one", tmp_path / "report"], tmp_path / "leaderboard.html")
    assert sorted(len(board) for board in boards) == [1, 2]
    page = (tmp_path / "leaderboard.html").read_text()
    assert all(page.count(f"data version {version};") == 1 for version in ("2.0.0", "2.1.0"))


def test_runs_that_cannot_be_told_from_the_best_are_marked(boards):
    marks = dict(zip((run["name"] for run in boards[0]), tied(boards[0]), strict=True))
    assert marks.pop(boards[0][0]["name"]) is False
    assert marks["weak"] is False
    assert marks["nearly"] or marks["strong"]


def test_the_page_shows_and_sorts_the_runs(browser, folder, boards):
    page = folder / "leaderboard.html"
    browser.messages.clear()
    browser.requests.clear()
    browser.open(page)
    order = "[...document.querySelector('.board').tBodies[0].rows].map((row) => row.cells[0].dataset.value)"
    names = [run["name"] for run in boards[0]]
    assert browser.evaluate(order) == names
    cells = browser.evaluate("[...document.querySelector('.board').tBodies[0].rows[0].cells].map((c) => c.textContent)")
    number, bounds = per_cent(boards[0][0]["scores"][0]["accuracy"]).split(" ")
    assert cells[1] == number + bounds.strip("()")
    click = "[...document.querySelectorAll('.board button')].find((b) => b.textContent === '{}').click()"
    browser.evaluate(click.format("accuracy"))
    assert browser.evaluate(order) == names[::-1]
    browser.evaluate(click.format("run"))
    assert browser.evaluate(order) == sorted(names, reverse=True)
    browser.evaluate(click.format("date"))
    dates = {run["name"]: run["dates"][0] for run in boards[0]}
    assert [dates[name] for name in browser.evaluate(order)] == sorted(dates.values(), reverse=True)
    browser.evaluate(click.format("gain over blind"))
    assert browser.evaluate(order)[-1] in ("weak", HOSTILE.replace("/", ""))  # without a blind run: at the end
    assert browser.evaluate("document.querySelectorAll('.board img, main script').length") == 0
    assert browser.evaluate("window.hacked") is None
    assert browser.messages == []
    assert browser.requests == [page.resolve().as_uri()]
    browser.send("Emulation.setDeviceMetricsOverride", width=360, height=800, deviceScaleFactor=1, mobile=False)
    try:
        assert browser.evaluate("document.documentElement.scrollWidth") <= 360
    finally:
        browser.send("Emulation.clearDeviceMetricsOverride")


def test_command(folder, tmp_path):
    done = CliRunner().invoke(
        app, ["leaderboard", str(folder / "one" / "report.json"), "--out", str(tmp_path / "x.html")]
    )
    assert done.exit_code == 0, done.output
    assert "2 run(s) in 1 table(s)" in done.output
    assert (tmp_path / "x.html").is_file()


def test_what_is_no_report_is_refused(tmp_path, folder):
    with pytest.raises(MISGroundError, match="not a report"):
        write_leaderboard([tmp_path], tmp_path / "x.html")
    path = tmp_path / "report.json"
    for text in ("{", "[]", "{}", '{"schema": "other"}'):
        path.write_text(text)
        with pytest.raises(MISGroundError, match=r"cannot be read.*report\.json"):
            write_leaderboard([path], tmp_path / "x.html")
    report = json.loads((folder / "one" / "report.json").read_text())
    path.write_text(json.dumps(report | {"schema_version": 1}))
    with pytest.raises(MISGroundError, match="another version"):
        write_leaderboard([path], tmp_path / "x.html")
    (tmp_path / "file").write_text("")
    with pytest.raises(BuildError, match="cannot be written"):
        write_leaderboard([folder], tmp_path / "file" / "x.html")
