"""Real engines on the CPU: the same tokens as transformers, request by request."""

from io import BytesIO

import pytest
import torch
from PIL import Image
from transformers import AutoModelForCausalLM, AutoModelForImageTextToText, AutoProcessor, AutoTokenizer
from vllm import SamplingParams
from vllm.exceptions import VLLMValidationError

from semsam import neighbours
from semsam.logits_processor import SemanticSamplingLogitsProcessor
from semsam.settings import Settings
from tests.helpers.tiny_dataset import noise
from tests.helpers.tiny_models import save_tiny_qwen3_vl
from tests.vllm_engine.engines import running

PROMPTS = [
    "The capital of France is",
    "The liver lies to the right of the",
    "Once upon a time there was",
    "In the picture the kidney is",
    "Superior is the opposite of",
    "The heart is",
    "A vertebra lies behind the aorta, and therefore the aorta lies",
    "Anatomy names the front of the body",
]
ASKED = [
    None,
    {"semsam_k": 16},
    {"semsam_k": 1},
    {"semsam_k": 8, "semsam_top_m": 10, "semsam_top_p": 0.8},
    {"semsam_guard": "antonyms"},
]
# Of a tiny model's candidates with the usual M and top-p, one is always a control token.
ASKED_OF_TINY = [None, {"semsam_k": 16, "semsam_top_m": 5}, {"semsam_k": 1}, {"semsam_k": 4, "semsam_top_m": 3}]


def params(asked: dict | None, tokens: int) -> SamplingParams:
    return SamplingParams(temperature=0, max_tokens=tokens, extra_args=asked)


def expected(model, inputs, tokenizer, asked: dict | None, tokens: int) -> list[int]:
    """What transformers generates greedily."""
    processors = []
    if asked:
        settings = Settings.from_prefixed(asked)
        processors.append(SemanticSamplingLogitsProcessor(neighbours.for_model(model, tokenizer, settings), settings))
    made = model.generate(**inputs, max_new_tokens=tokens, do_sample=False, logits_processor=processors)
    return made[0, inputs["input_ids"].shape[1] :].tolist()


def test_text_alone_and_in_a_mixed_batch(smollm2):
    tokenizer = AutoTokenizer.from_pretrained(smollm2)
    model = AutoModelForCausalLM.from_pretrained(smollm2, dtype=torch.float32)
    both = [(prompt, ASKED[kind]) for n, prompt in enumerate(PROMPTS) for kind in (0, 1 + n % (len(ASKED) - 1))]
    inputs = {prompt: tokenizer(prompt, return_tensors="pt") for prompt in PROMPTS}
    wanted = [expected(model, inputs[prompt], tokenizer, asked, 12) for prompt, asked in both]
    with running(str(smollm2)) as engine:
        made = engine.generate([prompt for prompt, _ in both], [params(asked, 12) for _, asked in both], use_tqdm=False)
        assert [list(one.outputs[0].token_ids) for one in made] == wanted
        for number in (2, 3):  # one at a time
            (alone,) = engine.generate(both[number][0], params(both[number][1], 12), use_tqdm=False)
            assert list(alone.outputs[0].token_ids) == wanted[number]
        with pytest.raises(VLLMValidationError, match="MIS-SemSam has no such setting"):
            engine.generate(PROMPTS[0], params({"semsam_neighbours": 2}, 4), use_tqdm=False)
    for asked in ASKED[1:]:
        changed = [wanted[n] != wanted[n - 1] for n, (_, one) in enumerate(both) if one == asked]
        assert any(changed) == (asked != {"semsam_k": 1})


def test_images_in_a_mixed_batch(tmp_path):
    folder = str(save_tiny_qwen3_vl(tmp_path / "qwen3-vl"))
    processor = AutoProcessor.from_pretrained(folder)
    model = AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32)
    images = [Image.open(BytesIO(noise(number, coloured=True))).convert("RGB") for number in range(4)]
    prompts = [f"<|vision_start|><|image_pad|><|vision_end|>Where is {name}?" for name in ("A", "the liver", "B", "it")]
    both = [(number, asked) for number in range(len(prompts)) for asked in ASKED_OF_TINY]
    wanted = [
        expected(
            model,
            processor(text=[prompts[number]], images=[[images[number]]], return_tensors="pt"),
            processor.tokenizer,
            asked,
            12,
        )
        for number, asked in both
    ]
    with running(folder) as engine:
        requests = [{"prompt": prompts[number], "multi_modal_data": {"image": images[number]}} for number, _ in both]
        made = engine.generate(requests, [params(asked, 12) for _, asked in both], use_tqdm=False)
        assert [list(one.outputs[0].token_ids) for one in made] == wanted
        (alone,) = engine.generate(requests[1], params(both[1][1], 12), use_tqdm=False)
        assert list(alone.outputs[0].token_ids) == wanted[1]
    plain = [tokens for (_, asked), tokens in zip(both, wanted, strict=True) if asked is None]
    for asked in ASKED_OF_TINY[1:]:
        of_request = [tokens for (_, a), tokens in zip(both, wanted, strict=True) if a == asked]
        assert (of_request == plain) == (asked == {"semsam_k": 1})
