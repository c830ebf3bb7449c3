"""The runs of three made-up models."""

import pytest

from lm_eval_tasks.report.items import Sheet
from lm_eval_tasks.report.runs import read_runs
from tests.helpers.harness_files import write_run
from tests.helpers.report_numbers import ROWS, better, guess, worse_in_lay_words


@pytest.fixture(scope="session")
def reading(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    blank = [
        each | {"id": f"blank-{each['id']}", "pair_id": f"blank-{each['pair_id']}", "input": "blank"}
        for each in ROWS
        if each["prompt"] == "box" and each["terminology"] == "directional"
    ]
    mirrored = [
        each | {"id": f"mirrored-{each['id']}", "pair_id": f"mirrored-{each['pair_id']}", "view": "mirrored"}
        for each in ROWS
        if each["prompt"] == "none" and each["register"] == "clinical"
    ]
    rows = [{"view": "plain"} | each for each in ROWS + blank + mirrored]
    write_run(folder / "a", rows, worse_in_lay_words)
    write_run(folder / "b", rows, better, model_args={"pretrained": "org/better"})
    write_run(folder / "c", [{"view": "plain"} | each for each in ROWS], guess, blind=True, model="hf")
    return read_runs([str(folder / name) for name in "abc"])


@pytest.fixture(scope="session")
def sheets(reading):
    return [Sheet(run, reading.questions) for run in reading.runs]
