"""Decoding arms in vLLM: the plugin by itself, and an engine against transformers."""

from types import SimpleNamespace

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM
from vllm import LLM, SamplingParams
from vllm.v1.sample.logits_processor import BatchUpdate

from semsam import neighbours
from semsam.arms import ARMS, Loaded, arm_of
from semsam.arms.vllm_plugin import Arms
from semsam.logits_processor import SemanticSamplingLogitsProcessor
from tests.helpers.tiny_models import tiny_tokenizer
from tests.vllm_engine.engines import SETTINGS, stop

IN_VLLM = {
    "greedy": {},
    "semsam": {"k": 16, "top_m": 5},
    "k1": {"top_m": 5},
    "shuffled": {"k": 16, "top_m": 5, "matching": "frequency"},
    "random-k": {"k": 16, "top_m": 5},
    "top-n-sigma": {"n": 1.5},
    "top-h": {"top_h": 0.4, "temperature": 0.7},
    "min-p": {},
    "default": {"temperature": 0.7},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> str:
    """A model with heads as wide as vLLM's CPU build takes, and control tokens far down, so that the rule acts."""
    path = tmp_path_factory.mktemp("model") / "llama"
    tokenizer = tiny_tokenizer()
    tokenizer.save_pretrained(path)
    torch.manual_seed(0)
    sizes = {"hidden_size": 64, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    ends = {"eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id}
    model = LlamaForCausalLM(LlamaConfig(vocab_size=len(tokenizer), max_position_embeddings=4096, **sizes, **ends))
    with torch.no_grad():
        model.lm_head.weight *= 10
        model.lm_head.weight[256:] *= 0.1
    model.save_pretrained(path)
    return str(path)


@pytest.fixture(scope="module")
def config(folder) -> SimpleNamespace:
    model = SimpleNamespace(
        model=folder, revision=None, tokenizer=folder, tokenizer_revision=None, trust_remote_code=False
    )
    return SimpleNamespace(model_config=model)


def test_each_row_gets_the_arm_that_its_request_asks_for(config, folder):
    logits = 3 * torch.randn(len(IN_VLLM), 263, generator=torch.Generator().manual_seed(0))
    logits[:, [1, *range(256, 263)]] -= 100
    processor = Arms(config, torch.device("cpu"), False)
    arms = {name: arm_of(name, settings) for name, settings in IN_VLLM.items()}
    added = [(row, SamplingParams(**arm.for_vllm()), None, []) for row, arm in enumerate(arms.values())]
    processor.update_state(BatchUpdate(len(added), [], added, []))
    found = processor.apply(logits.clone())
    tables = neighbours.for_model(folder, AutoTokenizer.from_pretrained(folder), arms["semsam"].rule)
    for row, (name, arm) in enumerate(arms.items()):
        before = logits[row : row + 1]
        if hasattr(arm, "other_sets"):
            expected = SemanticSamplingLogitsProcessor(arm.other_sets(tables), arm.rule)(None, before)
        elif hasattr(arm, "rule"):
            expected = SemanticSamplingLogitsProcessor(tables.first(arm.k), arm.rule)(None, before)
        elif hasattr(arm, "vllm_processor"):
            expected = arm.vllm_processor()(None, before)
        else:
            expected = before
        torch.testing.assert_close(found[row], expected[0])
        assert torch.equal(found[row], before[0]) == (name in ("greedy", "min-p", "default"))


@pytest.mark.parametrize(
    ("asked", "named"),
    [
        ({"arm": "vcd"}, "arm vcd needs a second pass"),
        ({"arm": "adaptvis"}, "arm adaptvis needs attention"),
        ({"arm": "best"}, "no such arm"),
        ({"arm": "shuffled"}, "matching: frequency"),
        ({"arm": "top-n-sigma", "arm_settings": {"n": -1}}, "'n'"),
    ],
)
def test_what_cannot_run_is_refused_by_name_when_the_request_comes(asked, named):
    with pytest.raises(ValueError, match=named):
        Arms.validate_params(SamplingParams(extra_args=asked))


def test_an_engine_gives_the_tokens_that_transformers_gives(folder):
    tokenizer = AutoTokenizer.from_pretrained(folder)
    loaded = Loaded(AutoModelForCausalLM.from_pretrained(folder), tokenizer)
    prompts = ["the liver", "Which side is the spleen on?"]
    engine = LLM(folder, **(SETTINGS | {"logits_processors": ["semsam.arms.vllm_plugin:Arms"]}))
    try:
        for name, settings in IN_VLLM.items():
            arm = arm_of(name, settings)
            if ARMS[name] is not type(arm) or arm.sampled:
                continue
            asked = SamplingParams(max_tokens=8, ignore_eos=True, **arm.for_vllm())
            theirs = [list(out.outputs[0].token_ids) for out in engine.generate(prompts, asked)]
            for prompt, found in zip(prompts, theirs, strict=True):
                inputs = dict(tokenizer([prompt], return_tensors="pt"))
                ours = arm.generate(loaded, inputs, max_new_tokens=8, eos_token_id=None)
                assert ours[0, inputs["input_ids"].shape[1] :].tolist() == found, name
    finally:
        stop(engine)
