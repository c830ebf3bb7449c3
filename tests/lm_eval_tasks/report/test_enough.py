"""Whether the questions are enough, replicates, patients, and paragraphs for a paper: recomputed from the rows."""

import io
import json
import math
import re
from collections import defaultdict

import numpy as np
import pytest
from rich.console import Console
from scipy import stats

from lm_eval_tasks.report.contents import contents, schema
from lm_eval_tasks.report.paper import paragraphs
from lm_eval_tasks.report.runs import read_runs
from lm_eval_tasks.report.terminal import show
from lm_eval_tasks.report.write import write_report
from tests.helpers.harness_files import factorial_rows, luck, write_run
from tests.helpers.json_schema import complaints

ROWS = factorial_rows(volumes=12, facts=2)


def wrong(row):
    return next(option for option in row["options"] if option != row["answer"])


def right_in(share, word):
    """Right in this share of the questions of a volume, more or less by volume."""

    def reply(row):
        own = share + 0.3 * (luck(word, row["subject"]) - 0.5)
        if luck("silent", word, row["id"]) < 0.03:
            return "no idea"
        return row["answer"] if luck(word, row["id"]) < own else wrong(row)

    return reply


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    write_run(folder / "a", ROWS, right_in(0.5, "a"))
    write_run(folder / "b", ROWS, right_in(0.85, "b"), model_args={"pretrained": "org/better"})
    write_run(folder / "c", ROWS, lambda row: right_in(0.5, "a")(row), model_args={"pretrained": "org/same"})
    return [str(folder / name) for name in "abc"]


@pytest.fixture(scope="module")
def written(places, tmp_path_factory):
    out = tmp_path_factory.mktemp("out") / "report"
    return write_report(places, out), out


def loops(report_reply):
    """Right or not by row, in plain loops."""
    return {row["id"]: report_reply(row) == row["answer"] for row in ROWS}


def test_every_figure_of_the_paragraphs_is_recomputed(written):
    report, out = written
    text = (out / "paper.md").read_text(encoding="utf-8")
    of_run, _, _, compared, *_ = paragraphs(report)
    assert of_run in text
    right = loops(right_in(0.5, "a"))
    accuracy = sum(right.values()) / len(right)
    pairs = defaultdict(list)
    for row in ROWS:
        pairs[row["pair_id"]].append(right[row["id"]])
    both = sum(map(all, pairs.values())) / len(pairs)
    silent = sum(right_in(0.5, "a")(row) == "no idea" for row in ROWS) / len(ROWS)
    chance = sum(1 / len(row["options"]) for row in ROWS) / len(ROWS)
    of_pairs = sum(1 / len(row["options"]) ** 2 for row in ROWS) / len(ROWS)
    facts = len({row["fact_id"] for row in ROWS})
    assert f"{len(ROWS):,} questions ({len(pairs):,} pairs) about {facts} facts in 12 volumes of 12 patients" in of_run
    assert f"Accuracy was {100 * accuracy:.1f} % (95 % interval" in of_run
    assert f"chance was {100 * chance:.1f} %" in of_run
    assert f"answered correctly in {100 * both:.1f} %" in of_run
    assert f"{100 * of_pairs:.1f} % if each were guessed, and 0.0 % if the answer were always the same" in of_run
    assert f"{100 * silent:.1f} % of the replies gave no answer" in of_run
    assert "data version 2.0.0" in of_run
    assert "lm-evaluation-harness 0.4.13" in of_run
    assert "12 volumes (CR2)" in of_run
    # The interval: Student's t over volumes of equal size, Wilson's way (a loop of its own, by bisection).
    means = np.array([np.mean([right[row["id"]] for row in ROWS if row["subject"] == f"s{v}"]) for v in range(12)])
    reach = stats.t.ppf(0.975, 11) ** 2 * means.var(ddof=1) / 12 / (accuracy * (1 - accuracy))
    grid = np.linspace(0, 1, 1_000_001)
    inside = grid[(grid - accuracy) ** 2 <= reach * grid * (1 - grid)]
    low, high = (float(each) for each in re.search(r"interval ([\d.]+) to ([\d.]+)", of_run).groups())
    assert (low, high) == pytest.approx((100 * inside[0], 100 * inside[-1]), abs=0.06)
    # The comparison.
    other = loops(right_in(0.85, "b"))
    won = sum(other[each] and not right[each] for each in right)
    lost = sum(right[each] and not other[each] for each in right)
    better = 100 * sum(other.values()) / len(other)
    assert compared.startswith(f"On the {len(ROWS):,} questions about 12 volumes that both answered, better was right")
    assert (
        f"in {better:.1f} % and some-model in {100 * accuracy:.1f} %: {better - 100 * accuracy:+.1f} points" in compared
    )
    assert f"better alone was right in {won:,}, some-model alone in {lost:,}" in compared
    assert "paired t test by volume" in compared


def test_the_page_and_the_terminal_say_whether_the_questions_are_enough(written):
    report, out = written
    one, same, _ = report["enough"]["comparisons"]
    assert one["measured"] > one["seen"] > 0
    assert "They are enough for the one measured" in one["said"]
    assert same["measured"] == 0
    assert "None was measured" in same["said"]
    page = (out / "index.html").read_text(encoding="utf-8")
    stream = io.StringIO()
    show(report, Console(width=200, file=stream))
    shown = stream.getvalue()
    for text in (one["said"], report["enough"]["runs"][0]["said"]):
        assert text in " ".join(shown.split())
        assert text.split("(")[0] in page
    assert "always the same answer" in shown
    assert "Both questions of a pair" in page
    weak = [each for each in report["enough"]["runs"][0]["effects"] if each["factor"] == "register"]
    assert weak[0]["difference"] > 0


def test_too_few_volumes_say_how_many_are_needed(tmp_path):
    rows = [row for row in ROWS if row["subject"] in ("s0", "s1", "s2", "s3", "s4", "s5")]
    write_run(tmp_path / "a", rows, right_in(0.6, "a"))
    write_run(tmp_path / "b", rows, right_in(0.64, "a"), model_args={"pretrained": "org/little"})
    (compared,) = contents(read_runs([str(tmp_path / name) for name in "ab"]))["enough"]["comparisons"]
    assert 0 < compared["measured"] < compared["seen"]
    assert compared["needed"] > 6
    assert f"about {compared['needed']:,} volumes with as many questions each" in compared["said"]
    one = [row for row in ROWS if row["subject"] == "s0"]
    write_run(tmp_path / "c", one, right_in(0.6, "a"))
    write_run(tmp_path / "d", one, right_in(0.9, "a"), model_args={"pretrained": "org/little"})
    (alone,) = contents(read_runs([str(tmp_path / name) for name in "cd"]))["enough"]["comparisons"]
    assert alone["seen"] is None
    assert "1 volume cannot show any difference" in alone["said"]


def test_volumes_of_one_patient_are_one_cluster(tmp_path):
    rows = [row | {"patient": f"p{int(row['subject'][1:]) // 2}"} for row in ROWS]
    write_run(tmp_path, rows, right_in(0.6, "a"))
    reading = read_runs([str(tmp_path)])
    report = contents(reading)
    score = report["runs"][0]["scores"][0]
    assert (score["volumes"], score["patients"]) == (report["data"]["volumes"], report["data"]["patients"]) == (12, 6)
    assert (score["accuracy"]["method"], score["accuracy"]["clusters"]) == ("t by patient", 6)
    assert "12 volumes of 6 patients" in next(paragraphs(report))
    assert "Intervals are by patient" in next(paragraphs(report))
    assert list(complaints(json.loads(json.dumps(report)), schema(), schema())) == []


@pytest.fixture(scope="module")
def replicated(tmp_path_factory):
    folder = tmp_path_factory.mktemp("seeds")
    for seed in range(3):
        rows = [row | {name: f"{seed}-{row[name]}" for name in ("id", "pair_id", "fact_id")} for row in ROWS]
        write_run(folder / str(seed), rows, lambda row, seed=seed: right_in(0.6, "a")(row))
    return folder


def test_replicates_tell_the_spread_beside_the_interval_by_volume(replicated):
    report = contents(read_runs([str(replicated / str(seed)) for seed in range(3)]))
    (found,) = report["replicates"]
    each = []
    for run in report["runs"]:
        each.append(run["scores"][0]["accuracy"]["value"])
    assert found["accuracies"] == each
    mean = sum(each) / 3
    spread = math.sqrt(sum((value - mean) ** 2 for value in each) / 2)
    assert found["spread"] == pytest.approx(spread, abs=1e-6)
    assert found["accuracy"]["value"] == pytest.approx(mean, abs=1e-6)
    assert found["accuracy"]["clusters"] == 12  # volumes, not runs times volumes
    halves = [
        (run["scores"][0]["accuracy"]["high"] - run["scores"][0]["accuracy"]["low"]) / 2 for run in report["runs"]
    ]
    assert found["half_interval"] == pytest.approx(sum(halves) / 3, abs=1e-6)
    assert found["same_volumes"]
    assert f"{100 * spread:.1f} points" in found["said"]
    assert report["comparisons"] == []  # no question is shared
    assert list(complaints(json.loads(json.dumps(report)), schema(), schema())) == []


def test_runs_on_the_same_questions_or_of_other_settings_are_no_replicates(written, replicated, tmp_path):
    assert written[0]["replicates"] == []
    rows = [row | {"id": f"other-{row['id']}", "pair_id": f"other-{row['pair_id']}"} for row in ROWS]
    write_run(tmp_path, rows, right_in(0.6, "a"), gen_kwargs={"temperature": 0.7})
    reading = read_runs([str(replicated / "0"), str(tmp_path)])
    assert contents(reading)["replicates"] == []
