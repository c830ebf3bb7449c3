"""``mis-ground eval --dry-run``: nothing is asked, and what it says is what the run asks."""

import json
from types import SimpleNamespace

import pytest
from lm_eval.models.hf_vlms import HFMultimodalLM
from transformers import AutoProcessor

from dataset_builder.core.errors import MISGroundError
from lm_eval_tasks.running import cost, dry_run, evaluate
from lm_eval_tasks.running.baselines import ConstantAnswer
from lm_eval_tasks.running.cost import Rate, read_price
from tests.helpers.harness_files import only_our_tasks
from tests.helpers.tiny_dataset import write_dataset
from tests.helpers.tiny_models import save_tiny_qwen3_vl

TASKS = "mis_ground_ct_axial_directional_none,mis_ground_ct_axial_relational_none"


@pytest.fixture(scope="module")
def ground(tmp_path_factory):
    """Sixteen rows of each of two cells, the same sixteen images in both."""
    return write_dataset(tmp_path_factory.mktemp("dry") / "ground", rows_per_cell=16, modalities=("ct",))


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return str(save_tiny_qwen3_vl(tmp_path_factory.mktemp("dry") / "qwen3-vl"))


@pytest.fixture
def estimated(ground, monkeypatch, capsys):
    only_our_tasks(monkeypatch)
    monkeypatch.setattr(ConstantAnswer, "generate_until", lambda *_, **__: pytest.fail("the model was asked"))

    def run(*more, tasks=TASKS, as_json=True):
        given = [str(ground), "--tasks", tasks, "--dry-run", *more, *(["--json"] if as_json else [])]
        assert evaluate.main(given) == 0
        printed = capsys.readouterr().out
        return json.loads(printed) if as_json else printed

    return run


CONSTANT = ("--model", "mis-ground-constant", "--family", "gpt-4o")


def test_questions_images_and_tokens_of_a_model_behind_an_api(estimated):
    found = estimated("--model", "openai-chat-completions", "--model_args", "model=gpt-4o", "--apply_chat_template")
    assert found["model"] == "gpt-4o"
    assert (found["questions"], found["images"]) == (32, 32)
    assert found["different_images"] == 16
    assert found["by_images"] == [{"images": 1, "questions": 32, "input_tokens": found["input_tokens"]}]
    assert 32 * 255 < found["input_tokens"] < 32 * (255 + 120)
    assert found["different_images"] * 255 < found["different_input_tokens"] < found["input_tokens"]
    assert found["counted_by"] == "estimate for the family gpt-4o"
    assert 32 < found["output_tokens"] < 32 * 4
    assert found["output_tokens_at_most"] == 32 * 64
    assert found["seconds"] is found["gpu_hours"] is found["price"] is None


def test_outside_of_a_repository_git_is_not_heard(ground, tmp_path, monkeypatch, capfd):
    only_our_tasks(monkeypatch)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert evaluate.main([str(ground), *CONSTANT, "--tasks", TASKS, "--dry-run"]) == 0
    assert "fatal" not in capfd.readouterr().err


def test_a_models_own_processor_counts_if_it_can_be_loaded(estimated, tiny, monkeypatch):
    asked = []
    original = dry_run.cost_of
    monkeypatch.setattr(
        dry_run, "cost_of", lambda requests, *a, **k: asked.extend(requests) or original(requests, *a, **k)
    )
    found = estimated("--model", "hf-multimodal", "--model_args", f"pretrained={tiny}", "--apply_chat_template")
    processor = AutoProcessor.from_pretrained(tiny)
    made = [processor(text=[r.args[0]], images=r.args[2]["visual"], return_tensors="pt")["input_ids"] for r in asked]
    assert found["input_tokens"] == sum(ids.shape[1] for ids in made)
    assert found["counted_by"] == "the model's processor"
    # The prompts are those of the harness's own model.
    stand_in = SimpleNamespace(
        chat_applied=False, interleave=True, max_images=999, processor=processor, convert_img_format=False
    )
    history = [{"role": "user", "content": "<image>\nWhere?"}]
    theirs = HFMultimodalLM.apply_chat_template(stand_in, [dict(turn) for turn in history])
    listener = dry_run.Listener(tiny, dry_run.processor_counter(tiny, {}, images=True))
    assert listener.apply_chat_template(history) == theirs


def test_text_only_models_are_counted_with_their_tokenizer(estimated, tiny):
    found = estimated("--model", "hf", "--model_args", f"pretrained={tiny}", tasks="blind_mis_ground_none")
    assert found["images"] == found["different_images"] == 0
    assert found["by_images"][0]["images"] == 0
    assert found["counted_by"] == "the model's tokenizer"


@pytest.mark.parametrize(
    ("rate", "gpus", "seconds"),
    [
        ("2", 4, lambda found: 16),
        ("1000,10", 1, lambda found: found["input_tokens"] / 1000 + found["output_tokens"] / 10),
    ],
)
def test_gpu_hours_of_a_stated_rate(estimated, rate, gpus, seconds):
    arguments = f"pretrained=nowhere/qwen3-vl,tensor_parallel_size={gpus}"
    found = estimated("--model", "vllm-vlm", "--model_args", arguments, "--family", "qwen3-vl", "--rate", rate)
    assert found["seconds"] == pytest.approx(seconds(found), rel=0.01)
    assert found["gpus"] == gpus
    assert found["gpu_hours"] == pytest.approx(found["seconds"] * gpus / 3600)
    assert estimated(*CONSTANT, "--rate", rate, "--gpus", "3")["gpus"] == 3


def test_without_a_processor_the_family_is_estimated_and_it_is_said(estimated, capsys):
    given = ["--model", "hf-multimodal", "--model_args", "pretrained=Qwen/Qwen3-VL-8B-Instruct"]
    assert "estimate for the family qwen3-vl" in estimated(*given, as_json=False)


def test_a_probe_asks_a_few_and_tells_rate_and_length(ground, monkeypatch, capsys):
    only_our_tasks(monkeypatch)
    calls = []
    original = ConstantAnswer.generate_until
    monkeypatch.setattr(
        ConstantAnswer,
        "generate_until",
        lambda self, requests, **more: calls.append(len(requests)) or original(self, requests, **more),
    )
    assert evaluate.main([str(ground), "--tasks", TASKS, "--dry-run", *CONSTANT, "--probe", "6", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert calls == [dry_run.WARM_UP, 6]
    assert found["rate"].startswith("probe of 6 questions")
    assert found["output_from"].startswith("probe of 6 questions")
    assert found["questions"] == 32
    assert found["gpu_hours"] > 0


def test_a_probe_loads_the_model_as_the_run_does(ground, tiny, monkeypatch, capsys):
    only_our_tasks(monkeypatch)
    given = [
        "--model",
        "hf-multimodal",
        "--model_args",
        f"pretrained={tiny}",
        "--apply_chat_template",
        "--batch_size",
        "2",
    ]
    more = ["--gen_kwargs", "max_gen_toks=3", "--dry-run", "--probe", "4", "--json"]
    assert evaluate.main([str(ground), "--tasks", TASKS, *given, *more]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["output_tokens_at_most"] == 32 * 3
    assert 0 < found["output_tokens"] <= 32 * 3
    assert found["rate"].startswith("probe of 4 questions")


# --- prices ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def prices(tmp_path):
    def write(text, name="prices.yaml"):
        path = tmp_path / name
        path.write_text(text)
        return path

    return write


def test_the_price_of_tokens_and_of_gpu_hours(estimated, prices):
    path = prices("currency: EUR\ngpt-4o: {input: 2, output: 10}\nmis-ground-constant: {gpu_hour: 3}\n")
    found = estimated("--model", "openai-chat-completions", "--model_args", "model=gpt-4o", "--prices", str(path))
    parts = found["price"]
    assert parts["input"] == pytest.approx(2 * found["input_tokens"] / 1e6, rel=1e-3)
    assert parts["output"] == pytest.approx(10 * found["output_tokens"] / 1e6, rel=0.02)
    assert parts["total"] == pytest.approx(parts["input"] + parts["output"])
    assert parts["output_at_most"] == 10 * found["output_tokens_at_most"] / 1e6
    assert parts["currency"] == "EUR"
    assert estimated(*CONSTANT, "--prices", str(path))["price"]["total"] is None
    found = estimated(*CONSTANT, "--prices", str(path), "--rate", "2", "--gpus", "2")
    assert found["price"]["total"] == pytest.approx(3 * found["gpu_hours"]) == pytest.approx(3 * 2 * 16 / 3600)
    text = estimated(*CONSTANT, "--prices", str(path), "--rate", "0.001", "--gpus", "2", as_json=False)
    assert "53.33 EUR" in text
    assert "17.78" in text


def test_tokens_that_a_prefix_cache_holds_may_have_their_own_price(estimated, prices):
    path = prices(json.dumps({"gpt-4o": {"input": 2, "cached_input": 0.5, "output": 0}}), "prices.json")
    found = estimated("--model", "openai-chat-completions", "--model_args", "model=gpt-4o", "--prices", str(path))
    new, all_tokens = found["different_input_tokens"], found["input_tokens"]
    assert found["price"]["total"] == pytest.approx((2 * new + 0.5 * (all_tokens - new)) / 1e6, rel=1e-3)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "lists no model"),
        ("- a\n", "lists no model"),
        ("other: {input: 1, output: 2}", "does not list this model.*gpt-4o.*It lists other"),
        ("gpt-4o: 3", "cannot be read.*gpt-4o: 3"),
        ("gpt-4o: {}", "cannot be read"),
        ("gpt-4o: {in: 1}", "cannot be read"),
        ("gpt-4o: {input: -1, output: 2}", "cannot be read"),
        ("gpt-4o: {input: cheap}", "cannot be read"),
        ("gpt-4o: {input: true}", "cannot be read"),
        ("gpt-4o: {input: [", "table of prices cannot be read"),
    ],
)
def test_a_table_that_cannot_be_used_is_told_in_a_sentence(prices, text, said):
    with pytest.raises(MISGroundError, match=rf"(?s){said}"):
        read_price(prices(text), ["gpt-4o"])
    with pytest.raises(MISGroundError, match="cannot be read"):
        read_price(prices("x: {input: 1}").with_name("none.yaml"), ["x"])


def test_a_model_is_listed_by_its_whole_name_its_last_part_or_its_kind(prices):
    path = prices("a/b: {input: 1}\nb: {input: 2}\nvllm-vlm: {input: 3}\n")
    assert [read_price(path, dry_run.names_of(name, "vllm-vlm")).input for name in ("a/b", "c/b", "d")] == [1, 2, 3]


# --- what is given wrongly -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["", "fast", "0", "-1", "1,2,3", "1,", "nan", "inf"])
def test_a_rate_is_one_or_two_numbers(text):
    with pytest.raises(MISGroundError, match="--rate 12 or --rate 9000,1200"):
        Rate.parse(text)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--rate", "3"], "--rate is part of an estimate.*--dry-run"),
        (["--json"], "--json is part of an estimate.*--dry-run"),
        (["--dry-run", "--probe", "0"], "--probe"),
        (["--dry-run", "--gpus", "two"], "--gpus"),
        (["--dry-run", "--answer-tokens", "-3"], "--answer-tokens"),
        (["--dry-run", "--family", "gtp"], "no such family"),
        (["--dry-runs"], "Did you mean --dry-run"),
    ],
)
def test_options_that_cannot_be_are_told(ground, given, said, monkeypatch):
    only_our_tasks(monkeypatch)
    with pytest.raises(MISGroundError, match=said):
        evaluate.main([str(ground), "--tasks", TASKS, "--model", "mis-ground-constant", *given])


def test_tasks_whose_answers_are_not_generated_are_not_counted():
    with pytest.raises(MISGroundError, match="answers are generated"):
        dry_run.Listener("x", None).loglikelihood([])


def test_long_answers_are_counted_by_their_budget_unless_it_is_said(estimated):
    assert estimated(*CONSTANT, "--style", "reasoning")["output_tokens"] == 32 * 4096
    found = estimated(*CONSTANT, "--style", "reasoning", "--answer-tokens", "300")
    assert found["output_tokens"] == 32 * 300
    assert found["output_from"] == "stated: 300 an answer"
    assert cost.OTHER_ANSWERS.keys() == {"point", "box", "number"}
