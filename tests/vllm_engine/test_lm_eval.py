"""vLLM with the plugin through the harness, against the harness's model ``mis-semsam`` on transformers."""

import pytest
from lm_eval import simple_evaluate
from lm_eval.api.registry import get_model
from lm_eval.tasks import TaskManager
from vllm.exceptions import VLLMValidationError

from lm_eval_tasks.running.evaluate import TASKS, register_models
from semsam.settings import Settings
from tests.helpers.tiny_dataset import write_dataset
from tests.helpers.tiny_models import save_tiny_qwen3_vl
from tests.vllm_engine.engines import SETTINGS, stop


@pytest.mark.parametrize("kind", ["text", "pictures"])
def test_the_harness_gets_the_same_answers_from_both(kind, request, tmp_path, monkeypatch):
    if kind == "text":
        folder, task = str(request.getfixturevalue("smollm2")), "blind_mis_ground_none"
        on_vllm, on_transformers, asked = "vllm", "mis-semsam-text", {"semsam_k": 16}
    else:
        folder, task = str(save_tiny_qwen3_vl(tmp_path / "qwen3-vl")), "mis_ground_ct_axial_directional_box"
        on_vllm, on_transformers, asked = "vllm-vlm", "mis-semsam", {"semsam_k": 16, "semsam_top_m": 5}
    register_models()
    monkeypatch.setenv("MIS_GROUND_DATASET", str(write_dataset(tmp_path / "mis-ground", 4, ("ct",))))
    tasks = TaskManager(include_path=str(TASKS), include_defaults=False)

    def load(model: str, **arguments):
        placed = {"batch_size": 4, "device": "cpu"}
        return get_model(model).create_from_arg_obj({"pretrained": folder, "dtype": "float32", **arguments}, placed)

    def replies(model, generation: dict) -> list[str]:
        results = simple_evaluate(
            model=model,
            tasks=[task],
            task_manager=tasks,
            limit=4,
            bootstrap_iters=0,
            apply_chat_template=True,
            gen_kwargs={"max_gen_toks": 12} | generation,
        )
        # vLLM holds back the bytes of an unfinished character at the end; the tiny model writes such.
        return [sample["resps"][0][0].rstrip("\ufffd") for sample in results["samples"][task]]

    ours = load(on_transformers, semsam_strength=0)
    plain = replies(ours, {})
    ours.use(Settings.from_prefixed(asked))
    semantic = replies(ours, {})
    assert (plain != semantic) == (kind == "pictures")  # a real model is sure of its short answers
    theirs = load(on_vllm, **SETTINGS)
    try:
        assert replies(theirs, {}) == plain
        assert replies(theirs, {"extra_args": asked}) == semantic
        with pytest.raises(VLLMValidationError, match="'k' must be"):  # the plugin is asked
            replies(theirs, {"extra_args": {"semsam_k": 0}})
    finally:
        stop(theirs.model)
