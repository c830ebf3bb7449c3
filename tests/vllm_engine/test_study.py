"""A study with ``engine: vllm``: sampled answers with seeds, which vLLM's CPU build gives to whole prompts only."""

import json

import pytest
import yaml

from dataset_builder.core.errors import MISGroundError
from dataset_builder.files.progress import silent
from lm_eval_tasks.study import models
from lm_eval_tasks.study.command import run_study
from lm_eval_tasks.study.models import whole_prompts
from tests.helpers.tiny_dataset import write_dataset
from tests.helpers.tiny_models import save_tiny_qwen3_vl
from tests.vllm_engine.engines import stop

ARMS = {
    "greedy": {},
    "default": {"temperature": 1.5, "seeds": 2},
    "semsam": {"k": 16, "top_m": 5},
    "top-h": {"top_h": 0.4, "seeds": 2},
}
ENGINE = {"dtype": "float32", "enforce_eager": True, "max_model_len": 1024, "kv_cache_memory_bytes": 64 << 20}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    write_dataset(folder / "data", rows_per_cell=8, modalities=("ct",))
    save_tiny_qwen3_vl(folder / "qwen")
    return folder


@pytest.fixture(autouse=True)
def stopped_at_the_end(monkeypatch):
    """The engine of a study ends with it, so that another can be started in this process."""
    from lm_eval_tasks.study import run

    loaded = []

    class Kept(models.Asker):
        def __init__(self, model):
            super().__init__(model)
            loaded.append(self.lm)

    monkeypatch.setattr(run, "Asker", Kept)
    yield loaded
    for lm in loaded:
        stop(lm.model)


def plan(place, name, **arguments):
    model = {"pretrained": str(place / "qwen"), "kind": "vision", "engine": "vllm", "batch_size": 64}
    content = {
        "name": name,
        "dataset": str(place / "data"),
        "models": {"qwen": model | {"arguments": ENGINE | arguments}},
        "tasks": ["mis_ground_ct_axial_directional_box"],
        "budgets": {"direct": 4},
        "arms": ARMS,
        "primary": {"arm": "semsam", "against": "greedy"},
    }
    path = place / f"{name}.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    return path


def test_sampled_arms_answer_every_question_under_each_seed(place, stopped_at_the_end):
    run_study(plan(place, "whole"), place / "whole", silent, None, False)
    (lm,) = stopped_at_the_end
    scheduled = lm.model.llm_engine.vllm_config.scheduler_config
    assert {name: getattr(scheduled, name) for name in whole_prompts(ENGINE)} == whole_prompts(ENGINE)
    found = {}
    for path in (place / "whole" / "answers" / "qwen" / "direct").iterdir():
        lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        found[path.stem] = {line["id"]: line for line in lines[1:]}
    assert set(found) == {"greedy-0", "default-0", "default-1", "semsam-0", "top-h-0", "top-h-1"}
    assert all(set(answers) == set(found["greedy-0"]) for answers in found.values())
    assert found["default-0"] != found["default-1"]


def test_where_a_plan_makes_vllm_cut_prompts_the_remedy_is_named(place):
    with pytest.raises(MISGroundError, match=r"On a CPU, vLLM cannot sample.*max_num_batched_tokens of at least"):
        run_study(plan(place, "parts", max_num_batched_tokens=64), place / "parts", silent, None, False)
