"""``mis-ground power``: what is counted, measured and assumed, and the files that come of it."""

import json
import re

import numpy as np
import pytest
from typer.testing import CliRunner

from cluster_statistics.planning import clustering, detectable_difference, expected_interval
from dataset_builder.cli.main import app
from dataset_builder.core.errors import MISGroundError
from lm_eval_tasks.power.counts import sheet_of
from lm_eval_tasks.power.forecast import forecast
from lm_eval_tasks.power.terminal import said
from lm_eval_tasks.report.items import Sheet
from lm_eval_tasks.report.runs import read_runs
from tests.helpers.harness_files import factorial_rows, luck, write_run
from tests.helpers.small_ground import write_ground

ROWS = [{"view": "plain"} | row for row in factorial_rows(volumes=10, facts=3)]
BLANK = [row | {"id": f"blank-{row['id']}", "pair_id": f"blank-{row['pair_id']}", "input": "blank"} for row in ROWS[:8]]


def answered(share, word):
    """Each volume is right with a share of its own around this one."""

    def reply(row):
        own = share + 0.4 * (luck(row["subject"]) - 0.5)
        wrong = next(option for option in row["options"] if option != row["answer"])
        return row["answer"] if luck(word, row["id"]) < own else wrong

    return reply


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    write_run(folder / "a", ROWS + BLANK, answered(0.6, "a"))
    write_run(folder / "b", ROWS + BLANK, answered(0.7, "b"), model_args={"pretrained": "org/better"})
    reading = read_runs([str(folder / name) for name in "ab"])
    return folder, [Sheet(run, reading.questions) for run in reading.runs]


@pytest.fixture(scope="module")
def ground(tmp_path_factory):
    return write_ground(tmp_path_factory.mktemp("power") / "ground", rows=8)


def test_without_runs_everything_is_assumed_and_says_so(runs):
    asked = runs[1][0]
    found = forecast(asked)
    assert found["questions"]["accuracy"] == 0.6
    assert found["questions"]["correlation"] == 0.05
    assert found["questions"]["discordant"] == pytest.approx(2 * 0.6 * 0.4 * 0.5)
    assert all("assumed" in reason for reason in found["questions"]["from"].values())
    assert found["pairs"]["accuracy"] == pytest.approx(0.36)
    data = {"questions": len(ROWS), "pairs": len(ROWS) // 2, "volumes": 10, "patients": 10}
    assert data.items() <= found["data"].items()
    assert found["data"]["facts"] == len({row["fact_id"] for row in ROWS})
    sizes = [len(ROWS) // 10] * 10
    own = found["as_it_is"]
    assert own["difference"] == pytest.approx(detectable_difference(0.24, sizes, 0.05), abs=1e-5)
    interval = expected_interval(0.6, sizes, 0.05)
    assert (own["accuracy"]["low"], own["accuracy"]["high"]) == pytest.approx((interval.low, interval.high), abs=1e-5)


def test_two_runs_tell_accuracy_clustering_and_how_often_models_differ(runs):
    one, other = runs[1]
    found = forecast(one, [one, other])["questions"]
    rows = one.scored
    of_one = clustering(one.right[rows], one.volumes[rows])
    difference = other.right[other.rows_of([one.ids[row] for row in rows])].astype(float) - one.right[rows]
    of_both = clustering(difference, one.volumes[rows])
    assert found["accuracy"] == pytest.approx(of_one.mean, abs=1e-6)
    assert found["correlation"] == pytest.approx(of_one.correlation, abs=1e-6)
    assert found["discordant"] == pytest.approx(np.mean(difference != 0), abs=1e-6)
    assert found["correlation_of_differences"] == pytest.approx(of_both.correlation, abs=1e-6)
    assert found["correlation"] > 0  # the volumes were made to differ
    assert set(found["from"].values()) == {"measured in some-model", "measured in some-model and better"}


def test_one_run_leaves_the_difference_of_models_assumed(runs):
    found = forecast(runs[1][0], runs[1][:1])
    assert found["questions"]["from"]["accuracy"] == "measured in some-model"
    assert "assumed" in found["questions"]["from"]["discordant"]
    registers = next(each for each in found["effects"] if each["factor"] == "register")
    assert registers["matched"] == len([row for row in ROWS if row["register"] == "lay"])
    assert registers["difference"] > 0


def test_what_is_given_counts_before_what_is_measured(runs):
    found = forecast(runs[1][0], runs[1], accuracy=0.9, correlation=0.0, discordant=0.1)
    assert [found["questions"][name] for name in ("accuracy", "correlation", "discordant")] == [0.9, 0.0, 0.1]
    assert found["as_it_is"]["design_effect"] == 1
    with pytest.raises(MISGroundError, match="not a share"):
        forecast(runs[1][0], accuracy=60)


def test_tables_run_from_few_to_many_and_agree_where_they_meet(runs):
    found = forecast(runs[1][0])
    assert [row["volumes"] for row in found["by_volumes"]] == [5, 10, 20, 50, 100, 200, 500, 1000]
    seen = [row["difference"] for row in found["by_volumes"]]
    assert seen == sorted(seen, reverse=True)
    assert found["by_volumes"][1] == found["as_it_is"]
    assert found["by_correlation"][2] == found["as_it_is"]
    per_volume = [row["questions_per_volume"] for row in found["by_questions"]]
    assert per_volume == sorted(per_volume)
    needed = {each["difference"]: each["volumes"] for each in found["needed"]}
    assert 2 < needed[0.1] < needed[0.05] < needed[0.03] < needed[0.02]
    registers = [row for row in found["by_factor"] if row["factor"] == "register"]
    assert sum(row["questions"] for row in registers) == len(ROWS)


def test_several_volumes_of_a_patient_are_one_draw(runs):
    sheet = runs[1][0]
    patients = {
        each: {**question, "patient": f"p{int(question['subject'][1:]) // 2}"}
        for each, question in zip(sheet.ids, sheet.questions, strict=True)
    }
    found = forecast(Sheet(sheet.run, patients))
    assert found["unit"] == "patient"
    assert (found["data"]["volumes"], found["data"]["patients"]) == (10, 5)
    assert found["as_it_is"]["volumes"] == 5
    assert found["as_it_is"]["difference"] > forecast(sheet)["as_it_is"]["difference"]
    assert "95 % interval by patient" in " ".join(said(found))


def test_the_command_shows_tables_and_writes_a_page_that_needs_nothing(ground, runs, tmp_path):
    page = tmp_path / "power.html"
    places = [str(runs[0] / name) for name in "ab"]
    shown = CliRunner().invoke(app, ["power", str(ground), *places, "--out", str(page)])
    assert shown.exit_code == 0, shown.output
    assert "With one volume nothing can be said about others" in shown.output  # all rows are of one volume
    text = page.read_text(encoding="utf-8")
    assert text.count("<svg") == 2
    assert not re.search(r'(?:src|href)="?(?:https?:)?//', text)
    assert "intraclass correlation" in text


def test_json_holds_what_the_tables_show(ground, tmp_path):
    shown = CliRunner().invoke(app, ["power", str(ground), "--json", "--icc", "0.1", "--out", str(tmp_path / "p.html")])
    found = json.loads(shown.output)
    assert found == forecast(sheet_of(ground), correlation=0.1)
    assert found["questions"]["from"]["correlation"] == "given"


def test_a_folder_that_is_no_data_set_and_runs_that_share_nothing_are_refused(ground, runs, tmp_path):
    shown = CliRunner().invoke(app, ["power", str(tmp_path)])
    assert isinstance(shown.exception, MISGroundError)
    one, other = runs[1]
    none = Sheet(type(other.run)("x", "pictures", "x", {}, {}, {}), {})
    with pytest.raises(MISGroundError, match="no question in common"):
        forecast(one, [one, none])
