"""TRL's GRPO takes the rows, the rewards and the small model; `make test-training` has TRL."""

import importlib.util
import json

import pytest

from dataset_builder.building.builder import build
from dataset_builder.core.settings import Settings
from dataset_builder.sources import open_source
from lm_eval_tasks.small_vlm import model_folder

if importlib.util.find_spec("trl") is None:
    pytest.skip("needs TRL: make test-training", allow_module_level=True)

FEW = Settings(
    slices_per_volume=3,
    questions_per_volume=8,
    locate_questions_per_volume=8,
    measure_questions_per_volume=8,
    answer_types=("choice", "point", "box", "number"),
    prompts=("none", "box", "mask"),
    inputs=("slice",),
    views=("plain",),
)


def test_a_few_steps_on_every_type_of_answer(tmp_path):
    from lm_eval_tasks.small_vlm.training.grpo import train

    place = build([open_source("phantom:2", split="train")], tmp_path / "ground", FEW, split="train").out
    train(str(place), tmp_path / "out", model_folder(), 3, None, 1e-5, 4)
    notes = [json.loads(line) for line in (tmp_path / "out" / "rewards.jsonl").read_text().splitlines()]
    assert len(notes) == 3
    assert all(0 <= note["reward"] <= 2 for note in notes)
    assert notes[0]["rewards/format_reward/mean"] > 0.5
    assert (tmp_path / "out" / "model.safetensors").is_file()
