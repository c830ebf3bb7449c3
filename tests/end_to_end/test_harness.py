"""The unchanged harness runs the benchmark after `pip install` of the wheel, with no other flag."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.helpers.tiny_dataset import write_dataset
from tests.helpers.tiny_models import save_tiny_qwen3_vl

MODALITIES = {"both": ("ct", "mri"), "ct": ("ct",)}


@pytest.fixture(scope="session")
def grounds(tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("grounds")
    return {name: write_dataset(folder / name, 4, modalities) for name, modalities in MODALITIES.items()}


@pytest.fixture(scope="session")
def tiny_vlm(tmp_path_factory) -> Path:
    return save_tiny_qwen3_vl(tmp_path_factory.mktemp("model") / "tiny-qwen3-vl")


def lm_eval(python: Path, folder: Path, dataset: Path, *arguments: str) -> tuple[dict, str]:
    """Run the harness as a user would; returns the result file and what was printed."""
    done = subprocess.run(
        [str(python.with_name("python")), "-m", "lm_eval", *arguments, "--output_path", str(folder / "out")],
        env=os.environ | {"MIS_GROUND_DATASET": str(dataset), "HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": ""},
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    (path,) = (folder / "out").rglob("results_*.json")
    return json.loads(path.read_text()), done.stdout


def test_a_vlm_runs_all_leaves_with_images_and_shows_the_empty_ones(installed_python, tiny_vlm, grounds, tmp_path):
    results, printed = lm_eval(
        installed_python,
        tmp_path,
        grounds["ct"],
        *("--model", "hf-multimodal", "--model_args", f"pretrained={tiny_vlm},dtype=float32", "--device", "cpu"),
        *("--apply_chat_template", "--tasks", "mis_ground_*", "--limit", "2", "--batch_size", "16", "--log_samples"),
    )
    leaves = results["results"]
    empty = ("_locate_", "_measure_", "_statement_", "_options_")  # this data set has none
    no_options = {leaf for leaf in leaves if any(kind in leaf for kind in empty)}
    assert len(no_options) == 4 + 3 + 2 + 2
    assert len(leaves) == 2 * 3 * (3 * 7 + 1) + 4 + 5 + len(no_options)
    for leaf, scores in leaves.items():
        if "_mri_" not in leaf and leaf not in no_options:
            assert scores["sample_len"] == 2
            assert 0 <= scores["acc,none"] <= 1 - scores["invalid,none"]
            assert ("pair_acc,none" in scores) == (not leaf.endswith("anatomical_none"))
            assert "empty,none" not in scores
        else:
            assert scores["empty,none"] == 1
            assert not any(metric in scores for metric in ("acc,none", "pair_acc,none", "invalid,none"))
            assert leaf in printed
    (samples,) = tmp_path.rglob("samples_mis_ground_ct_axial_directional_box_*.jsonl")
    sample = json.loads(samples.read_text().splitlines()[0])
    prompt, settings, images = sample["arguments"]["gen_args_0"].values()
    assert prompt.count("<|image_pad|>") == 1
    assert settings["do_sample"] is False
    assert len(images["visual"]) == 1
    (samples,) = tmp_path.rglob("samples_mis_ground_stack_ct_axial_*.jsonl")
    prompt, _, images = json.loads(samples.read_text().splitlines()[0])["arguments"]["gen_args_0"].values()
    assert prompt.count("<|image_pad|>") == len(images["visual"]) == 2


def test_a_text_model_runs_the_leaves_without_images(slim_python, grounds, tmp_path):
    results, _ = lm_eval(slim_python, tmp_path, grounds["both"], "--model", "dummy", "--tasks", "blind_mis_ground_*")
    assert set(results["results"]) == {f"blind_mis_ground_{prompt}" for prompt in ("none", "text_point", "text_box")}
    for scores in results["results"].values():
        assert scores["sample_len"] == 2 * 3 * 3 * 4
        assert (scores["acc,none"], scores["pair_acc,none"], scores["invalid,none"]) == (0, 0, 1)


def test_the_group_and_our_own_model_through_our_own_command(installed_python, grounds, tmp_path):
    done = subprocess.run(
        [
            *(str(installed_python.with_name("mis-ground")), "eval", "--model", "mis-ground-constant"),
            *("--tasks", "mis_ground", "--metadata", json.dumps({"dataset": str(grounds["ct"])})),
            *("--output_path", str(tmp_path / "out")),
        ],
        env=os.environ | {"HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": ""},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    (path,) = (tmp_path / "out").rglob("results_*.json")
    scores = json.loads(path.read_text())["groups"]["mis_ground"]
    assert (scores["acc,none"], scores["pair_acc,none"], scores["invalid,none"]) == (0.5, 0, 0)
    assert scores["sample_count"]["acc,none"] == 63 * 4 + 3 * 4  # the controls are no part of it


@pytest.mark.slow
def test_two_processes_score_as_one(slim_python, grounds, tmp_path):
    """Items of a pair may be answered in different processes; pair_acc is made of all."""
    script = tmp_path / "two.py"
    script.write_text(TWO_PROCESSES)
    command = [str(slim_python), "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2", str(script)]
    done = subprocess.run(
        [*command, str(grounds["ct"])],
        env=os.environ | {"HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    scores = json.loads(done.stdout.splitlines()[-1])
    assert scores == {"box": [0.5, 0.0, 4], "empty": 1.0}


TWO_PROCESSES = '''
import json, os, sys
import torch
import torch.distributed as dist
from lm_eval import simple_evaluate
from lm_eval.tasks import TaskManager
from lm_eval_tasks.running.baselines import ConstantAnswer

dist.init_process_group("gloo")


class OneOfTwo(ConstantAnswer):
    """Deals documents out as the harness's models do."""

    device = torch.device("cpu")

    def __init__(self):
        super().__init__()
        self._rank, self._world_size = dist.get_rank(), dist.get_world_size()

    def all_gather(self, tensor):
        parts = [torch.zeros_like(tensor) for _ in range(self.world_size)]
        dist.all_gather(parts, tensor)
        return torch.stack(parts)

    def gather_object(self, thing, dst=0):
        parts = [None] * self.world_size if self.rank == dst else None
        dist.gather_object(thing, parts, dst=dst)
        return parts

    def barrier(self):
        dist.barrier()


results = simple_evaluate(
    model=OneOfTwo(),
    tasks=["mis_ground_ct_axial_directional_box", "mis_ground_mri_axial_directional_box"],
    task_manager=TaskManager(metadata={"dataset": sys.argv[1]}),
)
if results is not None:
    box = results["results"]["mis_ground_ct_axial_directional_box"]
    empty = results["results"]["mis_ground_mri_axial_directional_box"]
    scores = {"box": [box["acc,none"], box["pair_acc,none"], box["sample_len"]], "empty": empty["empty,none"]}
    print("\\n" + json.dumps(scores))
dist.destroy_process_group()
'''
