"""The pure function, the transformers processor, ``custom_generate`` and the harness's model choose the same tokens."""

from io import BytesIO
from pathlib import Path

import pytest
import torch
from lm_eval.api.instance import Instance
from PIL import Image
from transformers import AutoModelForCausalLM, AutoModelForImageTextToText, AutoProcessor, AutoTokenizer

import semsam
from semsam import neighbours
from semsam.harness import SemanticSamplingLM, SemanticSamplingVLM
from semsam.logits_processor import SemanticSamplingLogitsProcessor
from semsam.rescoring import rescore
from semsam.settings import Settings
from tests.helpers.tiny_dataset import noise
from tests.helpers.tiny_models import save_tiny_qwen3_vl

RECIPE = str(Path(semsam.__file__).parent)  # holds custom_generate/generate.py
TOKENS = 5
TEXTS = [
    "The liver lies to the right of the",
    "Once upon a time there was",
    "In the picture the kidney is",
    "Superior is the opposite of",
    "The heart is",
    "A vertebra lies behind the aorta, and therefore the aorta lies",
    "Anatomy names the front of the body",
    "The spleen is found",
]
IMAGED = [f"<|vision_start|><|image_pad|><|vision_end|>Where is {text}?" for text in TEXTS]


class Case:
    """A model with eight prompts.

    Args:
        model: loaded.
        processor: makes inputs from prompts; of a text model its tokenizer.
        settings: with which the rule acts on this model.
        images: one for each prompt, or none.
    """

    def __init__(self, folder: str, model, processor, settings: Settings, images=None) -> None:
        self.folder, self.model, self.processor, self.settings = folder, model, processor, settings
        self.tokenizer = getattr(processor, "tokenizer", processor)
        self.tokenizer.padding_side = "left"
        self.prompts = IMAGED if images else TEXTS
        self.images = images

    def inputs(self, first: int, last: int):
        texts = {"text": self.prompts[first:last], "padding": True, "return_tensors": "pt"}
        if self.images:
            texts["images"] = [[image] for image in self.images[first:last]]
        return self.processor(**texts)

    def generate(self, batch: int, **arguments) -> list[list[int]]:
        """The new tokens of the prompts, so many at once: of all eight, or of some one by one."""
        made = []
        for first in range(0, self.count(batch), batch):
            inputs = self.inputs(first, first + batch)
            rows = self.model.generate(**inputs, max_new_tokens=TOKENS, do_sample=False, **arguments)
            made += [self.cut(row[inputs["input_ids"].shape[1] :].tolist()) for row in rows]
        return made

    def count(self, batch: int) -> int:
        return len(self.prompts) if batch > 1 else 3

    def cut(self, tokens: list[int]) -> list[int]:
        return tokens[: tokens.index(self.tokenizer.eos_token_id)] if self.tokenizer.eos_token_id in tokens else tokens

    def by_hand(self) -> list[list[int]]:
        """One prompt at a time, one token at a time: the model's logits, the pure function, its argmax."""
        tables = neighbours.for_model(self.folder, self.tokenizer, self.settings)
        made = []
        for number in range(len(self.prompts)):
            inputs = self.inputs(number, number + 1)
            start = inputs["input_ids"].shape[1]
            for _ in range(TOKENS):
                step = self.model.generate(
                    **inputs, max_new_tokens=1, do_sample=False, output_logits=True, return_dict_in_generate=True
                )
                token = rescore(step.logits[0], tables, self.settings.top_m, self.settings.top_p).argmax(-1)
                inputs["input_ids"] = torch.cat([inputs["input_ids"], token[None]], dim=1)
                for name, filling in (("attention_mask", 1), ("mm_token_type_ids", 0)):
                    if name in inputs:
                        inputs[name] = torch.nn.functional.pad(inputs[name], (0, 1), value=filling)
                if token.item() == self.tokenizer.eos_token_id:
                    break
            made.append(self.cut(inputs["input_ids"][0, start:].tolist()))
        return made

    def ours(self) -> dict[str, object]:
        """The settings as arguments."""
        return {f"semsam_{name}": getattr(self.settings, name) for name in ("k", "top_m", "top_p", "guard")}


@pytest.fixture(scope="module")
def text(smollm2) -> Case:
    model = AutoModelForCausalLM.from_pretrained(smollm2, dtype=torch.float32)
    return Case(str(smollm2), model, AutoTokenizer.from_pretrained(smollm2), Settings())


@pytest.fixture(scope="module")
def images(tmp_path_factory) -> Case:
    folder = str(save_tiny_qwen3_vl(tmp_path_factory.mktemp("model") / "qwen3-vl"))
    model = AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32)
    shown = [Image.open(BytesIO(noise(number, coloured=True))).convert("RGB") for number in range(len(TEXTS))]
    # Of a tiny model's candidates with the usual M and top-p, one is always a control token.
    return Case(folder, model, AutoProcessor.from_pretrained(folder), Settings(top_m=5), shown)


@pytest.mark.parametrize("name", ["text", "images"])
def test_all_adapters_choose_the_tokens_of_the_pure_function(name, request):
    case: Case = request.getfixturevalue(name)
    expected = case.by_hand()
    tables = neighbours.for_model(case.model, case.tokenizer, case.settings)
    for batch in (1, 8):
        wanted = expected[: case.count(batch)]
        processors = [SemanticSamplingLogitsProcessor(tables, case.settings)]
        assert case.generate(batch, logits_processor=processors) == wanted, f"processor, {batch} at once"
        recipe = {"custom_generate": RECIPE, "trust_remote_code": True, "tokenizer": case.tokenizer, **case.ours()}
        assert case.generate(batch, **recipe) == wanted, f"custom_generate, {batch} at once"
        assert harness_answers(case, batch) == [case.tokenizer.decode(tokens) for tokens in wanted], f"harness, {batch}"
    assert case.generate(8) != expected


def harness_answers(case: Case, batch: int) -> list[str]:
    kind = SemanticSamplingVLM if case.images else SemanticSamplingLM
    # The harness's class for images takes no loaded model; the tiny one is read again in no time.
    loaded = {"pretrained": case.folder} if case.images else {"pretrained": case.model, "tokenizer": case.tokenizer}
    model = kind(**loaded, device="cpu", dtype="float32", batch_size=batch, **case.ours())
    model.chat_applied = True  # the prompts are complete
    generation = {"do_sample": False, "temperature": 0.0, "until": [], "max_gen_toks": TOKENS}
    made = []
    for number, prompt in enumerate(case.prompts[: case.count(batch)]):
        shown = ({"visual": [case.images[number]]},) if case.images else ()
        made.append(Instance("generate_until", {}, (prompt, dict(generation), *shown), number, ("task", number, 1)))
    return model.generate_until(made, disable_tqdm=True)
