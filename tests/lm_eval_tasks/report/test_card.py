"""What is published of a run: YAML that the Hub takes, a table, and nothing that should stay at home."""

import json

import pytest
import yaml
from huggingface_hub import ModelCard
from huggingface_hub.repocard_data import model_index_to_eval_results

from lm_eval_tasks.report.card import cards, short, table
from lm_eval_tasks.report.contents import contents
from lm_eval_tasks.report.formats import per_cent
from lm_eval_tasks.report.runs import read_runs
from tests.helpers.harness_files import factorial_rows, luck, write_run

ROWS = factorial_rows(volumes=3, facts=2, prior=True)
SECRETS = {"api_key": "s3cret", "header": {"Authorization": "s3cret"}, "token": "s3cret", "password": "s3cret"}


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    arguments = {
        "pretrained": "/home/someone/models/My_model",
        "dtype": "float16",
        "think_end_token": "</think>",
        **SECRETS,
    }
    reply = lambda each: each["answer"] if luck(each["id"]) < 0.7 else "?"  # noqa: E731
    write_run(folder / "a", ROWS, reply, model_args=arguments)
    write_run(folder / "b", ROWS, reply, model_args={"pretrained": "org/other|<b>"}, gen_kwargs={"temperature": 0.5})
    write_run(folder / "c", ROWS, reply, model_args=arguments, blind=True)
    return contents(read_runs([str(folder / name) for name in "abc"]))


@pytest.fixture(scope="module")
def files(report):
    return cards(report)


def test_there_is_a_table_of_all_and_a_card_a_run(files):
    assert set(files) == {"table.md", "cards/My_model.md", "cards/other-b.md", "cards/My_model-blind.md"}


def test_the_hub_reads_the_card(report, files):
    card = ModelCard(files["cards/My_model.md"])
    name, results = model_index_to_eval_results(
        yaml.safe_load(files["cards/My_model.md"].split("---")[1])["model-index"]
    )
    assert name == card.data.model_name == "My_model"
    by_name = {result.metric_name: result for result in results}
    assert set(by_name) == {"accuracy", "pair accuracy", "accuracy, anatomical", "accuracy, directional"}
    overall = report["runs"][0]["scores"][0]
    accuracy = by_name["accuracy"]
    assert accuracy.metric_value == pytest.approx(100 * overall["accuracy"]["value"], abs=0.01)
    assert accuracy.metric_args["low"] == pytest.approx(100 * overall["accuracy"]["low"], abs=0.01)
    assert accuracy.task_type == "visual-question-answering"
    assert accuracy.dataset_args["questions_digest"] == report["runs"][0]["items_digest"]
    assert accuracy.dataset_args["sources"] == ["hand"]
    blind = yaml.safe_load(files["cards/My_model-blind.md"].split("---")[1])["model-index"][0]["results"][0]
    assert blind["task"]["type"] == "question-answering"


def test_settings_and_versions_are_all_there(files):
    text = files["cards/other-b.md"]
    for part in (
        "lm_eval 0.4.13",
        "transformers 5.24.0",
        "torch 2.13.0+cpu",
        "tasks 2.0",
        "MIS-Ground 2.0.0",
        "digest ",
    ):
        assert part in text
    assert "- gen_kwargs.temperature: `0.5`" in text
    assert "- chat_template_sha: `abc`" in text
    assert "- model_args.dtype: `float16`" in files["cards/My_model.md"]


def test_nothing_secret_and_no_place_of_this_machine(report, files):
    published = "".join(files.values())
    assert "s3cret" not in json.dumps(report)
    assert "s3cret" not in published
    assert "/home/someone" not in published
    assert "</think>" in files["cards/My_model.md"]  # a token of the model is no secret


def test_the_table_has_the_numbers_of_the_report(report, files):
    lines = [line for line in files["table.md"].splitlines() if line.startswith("|")]
    assert len(lines) == 2 + 3
    cells = [[cell.strip() for cell in line.replace("\\|", "\0").strip("|").split("|")] for line in lines]
    assert len({len(row) for row in cells}) == 1
    head, _, first, second, blind = cells
    overall = report["runs"][0]["scores"][0]
    assert first[head.index("accuracy")] == per_cent(overall["accuracy"])
    assert first[head.index("gain over blind")] == per_cent(overall["blind"]["gain"], signed=True)
    assert blind[head.index("gain over blind")] == "-"
    assert first[head.index("followed the prior")] == per_cent(overall["prior"]["followed"])
    assert second[0] == "other\0\\<b\\>"
    assert "relational" not in head
    assert table(report, report["runs"][:1]).count("\n") == 3


@pytest.mark.parametrize(
    ("model", "name"),
    [("org/model", "org/model"), ("/data/models/x/", "x"), ("./model", "model"), ("~/model", "model"), ("hf", "hf")],
)
def test_a_folder_goes_by_its_own_name(model, name):
    assert short(model) == name
