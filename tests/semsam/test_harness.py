"""The harness's models with MIS-SemSam, against its own ``hf`` and ``hf-multimodal``."""

import importlib.metadata
import json
from pathlib import Path

import pytest
import torch
from lm_eval.api.instance import Instance
from lm_eval.api.model import CachingLM
from lm_eval.models.hf_vlms import HFMultimodalLM
from lm_eval.models.huggingface import HFLM
from PIL import Image

import semsam
from semsam import harness
from semsam.errors import SettingsError
from semsam.harness import SemanticSamplingLM, SemanticSamplingVLM
from semsam.settings import Settings
from tests.helpers.tiny_dataset import noise
from tests.helpers.tiny_models import save_tiny_llama, save_tiny_qwen3_vl

PROMPTS = ["Where?", "Is A to the left or to the right of B?", "Name it.", "Which is larger, A or B?", "Adjacent?"]
GREEDY = {"do_sample": False, "temperature": 0.0, "until": [], "max_gen_toks": 12}
# Of a tiny model's candidates with the usual M and top-p, one is always a control token.
ACTING = {"semsam_k": 16, "semsam_top_m": 5}


@pytest.fixture(scope="module")
def llama(tmp_path_factory) -> str:
    return str(save_tiny_llama(tmp_path_factory.mktemp("model") / "llama"))


@pytest.fixture(scope="module")
def qwen(tmp_path_factory) -> str:
    return str(save_tiny_qwen3_vl(tmp_path_factory.mktemp("model") / "qwen3-vl"))


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("MIS_GROUND_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))


def requests(generation=GREEDY, images: bool = False) -> list[Instance]:
    made = []
    for number, prompt in enumerate(PROMPTS):
        rest: tuple = (generation.copy(),)
        if images:
            from io import BytesIO

            prompt = f"<|vision_start|><|image_pad|><|vision_end|>{prompt}"
            rest = (*rest, {"visual": [Image.open(BytesIO(noise(number, coloured=True)))]})
        made.append(Instance("generate_until", {}, (prompt, *rest), number, ("task", number, 1)))
    return made


def answers(model, *args, **kwargs) -> list[str]:
    return model.generate_until(requests(*args, **kwargs), disable_tqdm=True)


def text_model(kind, folder, **arguments) -> HFLM:
    return kind(folder, device="cpu", batch_size=2, **arguments)


@pytest.fixture(scope="module")
def plain_text(llama) -> list[str]:
    return answers(text_model(HFLM, llama))


@pytest.fixture(scope="module")
def plain_vision(qwen) -> list[str]:
    model = text_model(HFMultimodalLM, qwen)
    model.chat_applied = True
    return answers(model, images=True)


@pytest.mark.parametrize("off", [{"semsam_k": 1}, {"semsam_strength": 0}, {"semsam_top_m": 1}])
def test_switched_off_it_is_the_harness_s_text_model(llama, plain_text, off):
    assert answers(text_model(SemanticSamplingLM, llama, **off)) == plain_text


@pytest.mark.parametrize("off", [{"semsam_k": 1}, {"semsam_strength": 0}])
def test_switched_off_it_is_the_harness_s_model_for_images(qwen, plain_vision, off):
    model = text_model(SemanticSamplingVLM, qwen, **off)
    model.chat_applied = True
    assert answers(model, images=True) == plain_vision


def test_the_rule_changes_answers_with_and_without_images(llama, qwen, plain_text, plain_vision):
    assert answers(text_model(SemanticSamplingLM, llama, **ACTING)) != plain_text
    model = text_model(SemanticSamplingVLM, qwen, **ACTING)
    model.chat_applied = True
    assert answers(model, images=True) != plain_vision
    assert answers(model) != answers(text_model(HFMultimodalLM, qwen))  # tasks without images go another way


def test_other_settings_with_the_same_loaded_model(llama, plain_text):
    model = text_model(SemanticSamplingLM, llama, **ACTING)
    loaded, acting = model.model, answers(model)
    model.use(Settings(strength=0))
    assert answers(model) == plain_text
    model.use(Settings.from_prefixed(ACTING))
    assert answers(model) == acting
    assert model.model is loaded


def test_a_comparison_gives_both_answers_to_each_request(llama, qwen, plain_text, plain_vision):
    for kind, folder, plain, images in (
        (SemanticSamplingLM, llama, plain_text, False),
        (SemanticSamplingVLM, qwen, plain_vision, True),
    ):
        alone, both = (text_model(kind, folder, **ACTING, **compare) for compare in ({}, {"semsam_compare": True}))
        alone.chat_applied = both.chat_applied = True
        asked = requests(images=images)
        assert both.generate_until(asked, disable_tqdm=True) == answers(alone, images=images)
        assert [request.args[1] for request in asked] == [GREEDY | {"semsam_plain": [answer]} for answer in plain]
        assert [request.args[0] for request in asked] == [r.args[0] for r in requests(images=images)]
        assert [len(request.args) for request in asked] == [3 if images else 2] * len(PROMPTS)


def test_a_comparison_leaves_random_answers_as_they_are(llama):
    drawn = GREEDY | {"do_sample": True, "temperature": 1.0, "top_k": 0}
    sampling = ACTING | {"semsam_mode": "sample"}
    alone, both = (text_model(SemanticSamplingLM, llama, **sampling, **c) for c in ({}, {"semsam_compare": True}))
    torch.manual_seed(7)
    expected = answers(alone, drawn)
    torch.manual_seed(7)
    assert answers(both, drawn) == expected
    assert answers(both, drawn) != expected  # and random they are


def test_a_comparison_needs_the_same_batches_twice(llama):
    with pytest.raises(SettingsError, match="--batch_size 8"):
        SemanticSamplingLM(llama, device="cpu", batch_size="auto", semsam_compare=True)


def test_a_cache_of_answers_serves_one_decoding_only(llama, tmp_path):
    def cached(path, **settings) -> list[str]:
        return CachingLM(text_model(SemanticSamplingLM, llama, **settings), str(path)).generate_until(requests())

    first = cached(tmp_path / "a.db", **ACTING)
    assert cached(tmp_path / "a.db", **ACTING) == first
    with pytest.raises(SettingsError, match=r"another decoding.*give another --use_cache"):
        cached(tmp_path / "a.db", semsam_k=2, semsam_top_m=5)
    CachingLM(text_model(HFLM, llama), str(tmp_path / "b.db")).generate_until(requests())
    with pytest.raises(SettingsError, match="another model's answers"):
        cached(tmp_path / "b.db", **ACTING)
    with pytest.raises(SettingsError, match="leave out --use_cache"):
        cached(tmp_path / "c.db", semsam_compare=True)


def test_wrong_settings_are_refused_before_a_model_is_loaded():
    for wrong, named in (
        ({"semsam_k": 0}, "'k'"),
        ({"semsam_guard": "antonym"}, "'guard'"),
        ({"semsam_n": 1}, "semsam_n"),
    ):
        with pytest.raises(SettingsError, match=named):
            SemanticSamplingLM("no such folder", **wrong)


def test_the_results_file_says_how_was_decoded(llama):
    info = text_model(SemanticSamplingLM, llama, semsam_k=4, semsam_guard="antonyms").get_model_info()
    said = {name: value for name, value in info.items() if name.startswith("semsam_")}
    assert said == {
        "semsam_k": 4,
        "semsam_top_m": 50,
        "semsam_top_p": 0.95,
        "semsam_guard": "antonyms",
        "semsam_mode": "argmax",
        "semsam_strength": 1.0,
        "semsam_compare": False,
    }
    assert info["model_num_parameters"] > 0


def test_the_coming_release_of_the_harness_finds_both_by_entry_point():
    found = {entry.name: entry.load() for entry in importlib.metadata.entry_points(group="lm_eval.models")}
    assert found["mis-semsam"] is SemanticSamplingVLM
    assert found["mis-semsam-text"] is SemanticSamplingLM


def test_the_present_release_knows_both_once_the_module_is_imported():
    assert harness.model_registry["mis-semsam"] is SemanticSamplingVLM
    assert harness.model_registry["mis-semsam-text"] is SemanticSamplingLM


@pytest.fixture
def evaluate(tmp_path, monkeypatch):
    """The harness on some questions of a small data set: its results file and its samples file."""
    from lm_eval import simple_evaluate
    from lm_eval.loggers import EvaluationTracker
    from lm_eval.tasks import TaskManager

    from lm_eval_tasks.running.evaluate import TASKS
    from tests.helpers.tiny_dataset import write_dataset

    monkeypatch.setenv("MIS_GROUND_DATASET", str(write_dataset(tmp_path / "mis-ground", 2, ("ct",))))
    tasks = TaskManager(include_path=str(TASKS), include_defaults=False)  # of the harness's own there are thousands

    def run(name: str, model: str, model_args: str, **settings) -> tuple[dict, list[dict]]:
        tracker = EvaluationTracker(output_path=str(tmp_path / name))
        results = simple_evaluate(
            model=model,
            model_args=model_args,
            tasks=["blind_mis_ground_none"],
            task_manager=tasks,
            limit=6,
            batch_size=4,
            device="cpu",
            bootstrap_iters=0,
            evaluation_tracker=tracker,
            **settings,
        )
        samples = results.pop("samples")
        tracker.save_results_aggregated(results, samples)
        tracker.save_results_samples("task", samples["blind_mis_ground_none"])
        (path,), (lines,) = (tmp_path / name).rglob("results_*.json"), (tmp_path / name).rglob("samples_*.jsonl")
        return json.loads(path.read_text()), [json.loads(line) for line in lines.read_text().splitlines()]

    return run


def test_settings_and_both_answers_reach_the_harness_s_files(llama, evaluate):
    settings = "semsam_k=8,semsam_top_m=5,semsam_compare=True"
    results, both = evaluate("both", "mis-semsam-text", f"pretrained={llama},{settings}")
    config = results["config"]
    assert (config["semsam_k"], config["semsam_top_m"], config["semsam_top_p"]) == (8, 5, 0.95)
    _, plain = evaluate("plain", "hf", f"pretrained={llama}")
    paired = [sample["arguments"]["gen_args_0"]["arg_1"][harness.PLAIN_ANSWERS] for sample in both]
    assert paired == [sample["resps"][0] for sample in plain]
    assert [sample["resps"][0] for sample in both] != paired


def test_custom_generate_through_the_unchanged_harness_answers_alike(llama, evaluate):
    folder = Path(semsam.__file__).parent / "custom_generate"
    ours = ACTING | {"custom_generate": str(folder.parent), "trust_remote_code": True}
    _, through_generate = evaluate("generate", "hf", f"pretrained={llama}", gen_kwargs=ours)
    settings = ",".join(f"{name}={value}" for name, value in ACTING.items())
    _, through_model = evaluate("model", "mis-semsam-text", f"pretrained={llama},{settings}")
    assert [s["resps"] for s in through_generate] == [s["resps"] for s in through_model]
