import csv
import json
import re
import sys
import xml.etree.ElementTree as ElementTree
from dataclasses import replace

import pytest
import torch
from transformers import LogitsProcessor

from cluster_statistics import paired_difference
from semsam.__main__ import main
from semsam.errors import RunsError, SettingsError
from semsam.experiments import sweep as command
from semsam.experiments.runs import Item, Run, Watcher, remembered
from semsam.experiments.sweep import row
from semsam.settings import Settings
from tests.helpers.tiny_dataset import write_dataset
from tests.helpers.tiny_models import save_tiny_llama


def item(number: int, score: float, reply: str, slice_: str = "a") -> Item:
    return Item("task", number, score, reply, {"slice": slice_})


PLAIN = Run([item(0, 1, "left"), item(1, 0, "up"), item(2, 0, "up", "b"), item(3, 1, "in", "b")], 0, 0, 0)
OTHER = Run([item(0, 1, "left"), item(1, 1, "down"), item(2, 0, "out", "b"), item(3, 0, "up", "b")], 20, 10, 4)


def test_a_row_compares_a_run_with_the_plain_one():
    found = row(Settings(k=4), OTHER, PLAIN)
    assert (found.score, found.difference.interval.value, found.changed_answers) == (0.5, 0.0, 0.75)
    assert (found.rescored, found.changed_tokens) == (0.5, 0.2)
    assert found.difference == paired_difference(
        [1, 0, 0, 1], [1, 1, 0, 0], ["task 0", "task 1", "task 2", "task 3"], "item"
    )


def test_items_of_a_cluster_are_drawn_together():
    found = row(Settings(), OTHER, PLAIN, cluster="slice")
    assert found.difference == paired_difference([1, 0, 0, 1], [1, 1, 0, 0], ["a", "a", "b", "b"], "slice")
    with pytest.raises(RunsError, match=r"no such column. \[found: volume\] Remedy: give one of: slice\."):
        row(Settings(), OTHER, PLAIN, cluster="volume")


def test_runs_without_items_are_not_compared():
    empty = Run([], 0, 0, 0)
    with pytest.raises(RunsError, match="no items"):
        row(Settings(), empty, empty)


def test_runs_of_other_items_are_not_compared():
    with pytest.raises(RunsError, match="different items"):
        row(Settings(), replace(OTHER, items=OTHER.items[1:]), PLAIN)


def test_a_run_is_made_once_and_then_read(tmp_path):
    made = []

    def make() -> Run:
        made.append(1)
        return OTHER

    header = {"model": "m", "limit": 4}
    path = tmp_path / "runs" / "k4.json"
    assert remembered(path, header, make) == remembered(path, header, make) == OTHER
    assert len(made) == 1
    with pytest.raises(RunsError, match=r"limit = 4, but 8 is requested.*another --out"):
        remembered(path, header | {"limit": 8}, make)


def test_a_run_that_was_stopped_is_begun_anew(tmp_path):
    def stopped() -> Run:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        remembered(tmp_path / "run.json", {}, stopped)
    assert remembered(tmp_path / "run.json", {}, lambda: OTHER) == OTHER


class Swap(LogitsProcessor):
    """Puts token 1 first in the rows in which token 2 is, and leaves the others."""

    def __call__(self, input_ids, scores):
        after = scores.clone()
        after[scores.argmax(-1) == 2, 1] = 9.0
        return after


def test_the_watcher_counts_rows_that_are_still_being_written():
    watcher = Watcher(Swap(), ends=[7])
    before = torch.tensor([[0.0, 0, 5, 0], [0, 0, 5, 0], [5, 0, 0, 0]])
    after = watcher(torch.tensor([[3, 3], [3, 7], [3, 3]]), before)  # the second row has ended
    assert after.argmax(-1).tolist() == [1, 1, 0]
    watcher(torch.tensor([[3], [3], [7]]), before)
    assert watcher.counts() == (4, 3, 3)
    assert Watcher(Swap(), ends=[7]).counts() == (0, 0, 0)


def test_the_grid_holds_every_combination_and_only_legal_ones():
    arguments = {"k": [1, 4], "top_m": [5, 50], "top_p": [0.9], "guard": ["none", "antonyms"]}
    made = command.grid(command.argparse.Namespace(**arguments))
    assert len(set(made)) == 8
    assert Settings(k=4, top_m=5, top_p=0.9, guard="antonyms") in made
    with pytest.raises(SettingsError, match="'k'"):
        command.grid(command.argparse.Namespace(**arguments | {"k": [0]}))


def test_a_sweep_of_a_model_on_a_task(tmp_path, monkeypatch, capsys):
    model = save_tiny_llama(tmp_path / "llama")
    monkeypatch.setenv("MIS_GROUND_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("MIS_GROUND_DATASET", str(write_dataset(tmp_path / "mis-ground", 2, ("ct",))))
    monkeypatch.setattr("lm_eval.tasks.TaskManager", small_task_manager())
    arguments = ["sweep", str(model), "--tasks", "blind_mis_ground_none", "--limit", "6"]  # on any machine's device
    arguments += ["--out", str(tmp_path / "out"), "--cluster", "pair_id", "--top-m", "5", "--k"]

    def run(k: str) -> list[dict[str, str]]:
        with pytest.raises(SystemExit) as ended:
            main([*arguments, k])
        assert ended.value.code == 0
        assert "Plain decoding: acc" in capsys.readouterr().out
        return list(csv.DictReader((tmp_path / "out" / "sweep.csv").open()))

    first = run("1,16")
    assert [line["k"] for line in first] == ["1", "16"]
    assert first[0]["answers_changed"] == first[0]["tokens_changed"] == "0.0"
    assert float(first[1]["answers_changed"]) > 0
    assert 0 < float(first[1]["tokens_changed"]) <= float(first[1]["tokens_rescored"]) <= 1
    image = ElementTree.parse(tmp_path / "out" / "sweep.svg")
    assert len(list(image.iter("{http://www.w3.org/2000/svg}polyline"))) == 1

    kept = tmp_path / "out" / "runs" / "k16-m5-p0.95-none" / "blind_mis_ground_none.json"
    stored = json.loads(kept.read_text())
    stored["run"]["steps"] *= 2  # so that it shows whether it was read
    kept.write_text(json.dumps(stored))
    again = run("1,16,4")
    assert [line["k"] for line in again] == ["1", "16", "4"]
    assert float(again[1]["tokens_changed"]) == float(first[1]["tokens_changed"]) / 2


@pytest.fixture
def failed(tmp_path, monkeypatch, capsys):
    """What the command says when it fails, but for the model and the tasks as it is told."""
    monkeypatch.setenv("MIS_GROUND_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("MIS_GROUND_DATASET", str(write_dataset(tmp_path / "mis-ground", 2, ("ct",))))
    monkeypatch.setattr("lm_eval.tasks.TaskManager", small_task_manager())

    def run(model: object, *more: str, tasks: str = "blind_mis_ground_none") -> str:
        with pytest.raises(SystemExit) as ended:
            main(["sweep", str(model), "--tasks", tasks, "--limit", "2", "--out", str(tmp_path / "out"), *more])
        assert ended.value.code == 1
        return capsys.readouterr().err.splitlines()[-1]

    return run


def test_unknown_task_is_named(failed):
    assert failed("nowhere", tasks="blind_mis_ground_none,mis_gruond") == (
        "Error: The harness does not know this task. [found: mis_gruond] Remedy: see 'lm_eval ls tasks', or give the "
        "folder of the task's file with --include-path."
    )


def test_task_without_its_data_is_named(failed, monkeypatch, tmp_path):
    monkeypatch.setenv("MIS_GROUND_DATASET", str(tmp_path / "nowhere"))
    assert re.match(
        r"Error: The task blind_mis_ground_none cannot be loaded. \[found: .*MIS_GROUND_DATASET.*nowhere",
        failed("nowhere"),
    )


def test_unknown_model_is_named(failed, tmp_path):
    place = tmp_path / "no-model"
    assert re.match(rf"Error: The model cannot be loaded\. \[found: {place}: .*Remedy: give", failed(place))


@pytest.mark.parametrize("device", ["cuda:99", "gpu"])
def test_device_that_is_not_there_is_named(failed, device):
    found = failed("nowhere", "--device", device)
    assert found.startswith(
        f"Error: This device does not exist on this machine. [found: {device}] Remedy: give one of: cpu"
    )


def test_package_that_loads_models_is_named_if_it_is_missing(failed, monkeypatch):
    """As where only the packages of the benchmark itself are installed."""
    import semsam

    monkeypatch.delattr(semsam, "harness", raising=False)
    monkeypatch.delitem(sys.modules, "semsam.harness", raising=False)
    for name in ("lm_eval.models.hf_vlms", "lm_eval.models.huggingface"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setitem(sys.modules, "accelerate", None)
    assert failed("nowhere") == (
        "Error: The harness needs a package to load models, and it is not installed. [found: accelerate] Remedy: "
        "install it: pip install accelerate."
    )


def test_metric_that_the_task_does_not_have_is_named(failed, tmp_path):
    found = failed(save_tiny_llama(tmp_path / "llama"), "--metric", "f1")
    assert found.startswith("Error: The task blind_mis_ground_none has no metric f1 of each item. [found: acc, ")
    assert found.endswith("Remedy: give one of its metrics with --metric.")


def small_task_manager():
    """The harness's tasks but for its own, of which there are thousands."""
    from lm_eval.tasks import TaskManager

    from lm_eval_tasks.running.evaluate import TASKS

    def manager(**arguments):
        return TaskManager(**arguments | {"include_path": str(TASKS), "include_defaults": False})

    return manager


def test_files_of_the_users_are_left(tmp_path):
    (tmp_path / "sweep.md").write_text("my own notes")
    with pytest.raises(RunsError, match=r"already contains files: sweep\.md"):
        command.sweep(None, [], tmp_path)  # type: ignore[arg-type] - it is told before anything is asked
    assert (tmp_path / "sweep.md").read_text() == "my own notes"
