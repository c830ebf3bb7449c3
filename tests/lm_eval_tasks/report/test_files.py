"""The files of a report: report.json fits its schema, CSV files hold the same numbers, the terminal shows them."""

import csv
import io
import json

import pytest
from rich.console import Console

from dataset_builder.core.errors import BuildError
from lm_eval_tasks.report.contents import SCHEMA_VERSION, schema
from lm_eval_tasks.report.formats import p_value, per_cent
from lm_eval_tasks.report.terminal import show
from lm_eval_tasks.report.write import write_report
from tests.helpers.harness_files import factorial_rows, luck, write_run
from tests.helpers.json_schema import complaints

ROWS = factorial_rows(volumes=3, facts=2, prior=True)
FORMULA = '=HYPERLINK("http://example.com")'


def noisy(each):
    if luck("formula", each["id"]) < 0.05:
        return FORMULA
    return each["options"][int(luck(each["id"]) < 0.3)]


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    write_run(folder / "a", ROWS, noisy)
    write_run(folder / "b", ROWS, lambda each: each["answer"], model_args={"pretrained": "right"})
    write_run(folder / "c", ROWS, lambda each: each["options"][0], blind=True)
    return [str(folder / name) for name in "abc"]


@pytest.fixture(scope="module")
def written(places, tmp_path_factory):
    out = tmp_path_factory.mktemp("out") / "report"
    return write_report(places, out), out


def test_report_fits_its_schema(written):
    report, out = written
    stored = json.loads((out / "report.json").read_text(encoding="utf-8"))
    assert stored == report
    assert list(complaints(stored, schema(), schema())) == []
    assert stored["schema_version"] == SCHEMA_VERSION == schema()["properties"]["schema_version"]["const"]


def test_the_schema_test_can_fail(written):
    report = json.loads((written[1] / "report.json").read_text(encoding="utf-8"))
    report["runs"][0]["scores"][0]["accuracy"]["value"] = "high"
    report["runs"][0]["unknown"] = 1
    del report["data"]["items"]
    found = list(complaints(report, schema(), schema()))
    assert len(found) == 3
    assert any("$.runs[0].scores[0].accuracy.value" in each for each in found)


def test_every_part_of_the_schema_is_described_or_named_so(written):
    """A reader needs to know what each part of a score means."""
    for name, part in schema()["$defs"].items():
        assert "description" in part or name in ("confusions", "compared"), name


def test_the_same_files_give_the_same_report(places, written, tmp_path):
    write_report(places, tmp_path / "again")
    for path in written[1].iterdir():
        if path.is_file():
            assert (tmp_path / "again" / path.name).read_bytes() == path.read_bytes(), path.name


def read_csv(path):
    return list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"))))


def test_csv_files_hold_the_numbers_of_the_report(written):
    report, out = written
    scores = read_csv(out / "scores.csv")
    assert len(scores) == sum(len(run["scores"]) for run in report["runs"])
    first = report["runs"][0]["scores"][1]
    line = next(
        s for s in scores if s["run"] == "some-model" and s["by"] == "terminology" and s["value"] == first["value"][0]
    )
    for name in ("low", "high", "method"):
        assert line[f"accuracy_{name}"] == str(first["accuracy"][name])
    assert float(line["accuracy"]) == first["accuracy"]["value"]
    assert "pair_accuracy" in line
    assert "prior_followed_low" in line
    assert "blind_gain" in line
    assert "prior" not in line
    effects = read_csv(out / "effects.csv")
    assert len(effects) == sum(len(run["effects"]) for run in report["runs"])
    assert {e["factor"] for e in effects} == {"prompt", "register", "convention"}
    comparisons = read_csv(out / "comparisons.csv")
    assert comparisons[0]["by"] == ""
    assert comparisons[0]["difference"] == str(report["comparisons"][0]["overall"]["difference"]["value"])
    confusions = read_csv(out / "confusions.csv")
    assert sum(int(c["count"]) for c in confusions if c["run"] == "right") == sum(
        each["terminology"] == "directional" for each in ROWS
    )


def test_every_answer_is_in_a_csv_file_and_none_is_a_formula(written):
    items = read_csv(written[1] / "items.csv")
    assert len(items) == 3 * len(ROWS)
    by_id = {each["id"]: each for each in ROWS}
    for item in items:
        if item["run"] == "right":
            assert item["said"] == item["answer"] == by_id[item["id"]]["answer"]
            assert item["right"] == "1"
    assert any(item["reply"] == f"'{FORMULA}" for item in items)
    assert not any(item["reply"].startswith("=") for item in items)


def test_terminal_shows_the_headline_and_the_comparison(written):
    stream = io.StringIO()
    show(written[0], Console(file=stream, width=160))
    text = stream.getvalue()
    accuracy = written[0]["runs"][0]["scores"][0]["accuracy"]
    number, _, bounds = per_cent(accuracy).partition(" ")
    assert number in text
    assert bounds in text
    assert bounds.startswith(f"({100 * accuracy['low']:.1f}-")
    for word in ("some-model, blind", "followed the prior", "gain over blind", "register", "Two runs", "0.021"):
        assert word in text
    assert "modality" not in text  # one value only


def test_no_number_is_cut_at_80_columns(written):
    report = written[0]
    stream = io.StringIO()
    show(report, Console(file=stream, width=80))
    text = stream.getvalue()
    assert "…" not in text
    assert max(map(len, text.splitlines()[:-2])) <= 80  # what follows are notes
    shown = [each["overall"]["difference"] for each in report["comparisons"]]
    for run in report["runs"]:
        shown += [run["scores"][0][name] for name in ("accuracy", "pair_accuracy", "invalid")]
        shown += [score["accuracy"] for score in run["scores"] if score["by"] == ["register"]]
    for interval in shown:
        number, _, bounds = per_cent(interval, signed=interval in shown[:1]).partition(" ")
        assert number in text
        assert bounds in text


def test_numbers_as_text():
    assert per_cent(None) == "-"
    nothing = {"value": None, "low": None, "high": None, "method": "none", "clusters": 0}
    assert per_cent(nothing) == "-"
    assert per_cent(nothing | {"value": 0.5, "clusters": 1}) == "50.0"
    difference = {"value": 0.05, "low": -0.01, "high": 0.11, "method": "t by volume", "clusters": 5}
    assert per_cent(difference, signed=True) == "+5.0 (-1.0 to +11.0)"
    assert per_cent(difference | {"clusters": 4}, signed=True) == "+5.0 (-1.0 to +11.0)†"
    one_volume = {"value": 0.5, "low": 0.4, "high": 0.6, "method": "t by fact", "clusters": 40}
    assert per_cent(one_volume) == "50.0 (40.0-60.0)*"
    assert [p_value(p) for p in (None, 0.0001, 0.5)] == ["-", "<0.001", "0.500"]


def test_a_file_in_the_way_is_told(places, tmp_path):
    (tmp_path / "report").write_text("")
    with pytest.raises(BuildError, match="is a file"):
        write_report(places, tmp_path / "report")
