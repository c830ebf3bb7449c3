"""A report of files that the harness itself wrote."""

import json

import pytest
from typer.testing import CliRunner

from dataset_builder.cli.main import app
from lm_eval_tasks.running import evaluate
from tests.helpers.harness_files import only_our_tasks
from tests.helpers.tiny_dataset import write_dataset

LEAVES = [
    f"mis_ground_{modality}_axial_{kind}_none" for modality in ("ct", "mri") for kind in ("directional", "relational")
]


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory):
    """A constant answer's evaluation with images, in which one leaf is empty, and without."""
    with pytest.MonkeyPatch.context() as patch:
        only_our_tasks(patch)
        yield evaluate_both(tmp_path_factory)


def evaluate_both(tmp_path_factory):
    folder = tmp_path_factory.mktemp("evaluated")
    dataset = write_dataset(folder / "ground", rows_per_cell=6, modalities=("ct",))
    for name, tasks in (("seen", LEAVES), ("blind", ["blind_mis_ground_none"])):
        arguments = ["--model", "mis-ground-constant", "--tasks", ",".join(tasks), "--log_samples"]
        arguments += ["--metadata", json.dumps({"dataset": str(dataset)}), "--output_path", str(folder / name)]
        assert evaluate.main(arguments) == 0
    return folder


def test_report_of_the_harness_files_agrees_with_the_harness(evaluated, tmp_path):
    done = CliRunner().invoke(
        app, ["report", str(evaluated / "seen"), str(evaluated / "blind"), "--out", str(tmp_path / "report")]
    )
    assert done.exit_code == 0, done.output
    report = json.loads((tmp_path / "report" / "report.json").read_text())
    seen, blind = report["runs"]
    assert (seen["name"], blind["name"]) == ("mis-ground-constant", "mis-ground-constant, blind")
    (path,) = (evaluated / "seen").rglob("results_*.json")
    results = json.loads(path.read_text())["results"]
    assert "empty,none" in results["mis_ground_mri_axial_directional_none"]
    full = [scores for scores in results.values() if "acc,none" in scores]
    overall = seen["scores"][0]
    assert overall["items"] == sum(scores["sample_len"] for scores in full) == 12
    for ours, theirs in (("accuracy", "acc,none"), ("pair_accuracy", "pair_acc,none"), ("invalid", "invalid,none")):
        mean = sum(scores[theirs] * scores["sample_len"] for scores in full) / 12
        assert overall[ours]["value"] == pytest.approx(mean)
    assert overall["accuracy"]["value"] == 0.5
    assert seen["versions"]["tasks"] == "2.0"
    assert blind["items"] == 3 * 3 * 6
    assert seen["blind_reference"] == "mis-ground-constant, blind"
    assert "mis-ground-constant" in done.output
