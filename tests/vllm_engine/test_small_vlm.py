"""The package's small model on vLLM, through the harness: the very answers that transformers gives."""

from lm_eval import simple_evaluate
from lm_eval.api.registry import get_model
from lm_eval.tasks import TaskManager

from dataset_builder.building.builder import build
from dataset_builder.core.settings import Settings
from dataset_builder.sources import open_source
from lm_eval_tasks.running.evaluate import TASKS, register_models
from lm_eval_tasks.small_vlm import model_folder
from tests.vllm_engine.engines import SETTINGS, stop

FEW = Settings(
    slices_per_volume=3,
    questions_per_volume=24,
    prompts=("point", "box", "mask"),
    inputs=("slice",),
    views=("plain",),
    answer_types=("choice",),
)


def test_vllm_and_transformers_give_the_same_answers(tmp_path, monkeypatch):
    register_models()
    monkeypatch.setenv("MIS_GROUND_DATASET", str(build([open_source("phantom:2")], tmp_path / "ground", FEW).out))
    tasks = TaskManager(include_path=str(TASKS), include_defaults=False)

    def load(model: str, **arguments):
        placed = {"batch_size": 4, "device": "cpu"}
        given = {"pretrained": str(model_folder()), "dtype": "float32", **arguments}
        return get_model(model).create_from_arg_obj(given, placed)

    def replies(model, **generation) -> list[str]:
        results = simple_evaluate(
            model=model,
            tasks=["mis_ground_tag_directional"],
            task_manager=tasks,
            bootstrap_iters=0,
            apply_chat_template=True,
            gen_kwargs={"max_gen_toks": 8} | generation,
        )
        samples = results["samples"]
        return [sample["resps"][0][0] for leaf in sorted(samples) for sample in samples[leaf]]

    plain = replies(load("hf-multimodal"))
    assert len(set(plain)) > 4
    assert replies(load("mis-semsam", semsam_k=1)) == plain
    theirs = load("vllm-vlm", **SETTINGS)
    try:
        assert replies(theirs) == plain
        assert replies(theirs, extra_args={"semsam_k": 1}) == plain
    finally:
        stop(theirs.model)
