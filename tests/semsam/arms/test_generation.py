"""Arms on models: every token of a batch is one that a slow computation of the same step allows."""

import math

import pytest
import torch
from PIL import Image
from transformers import AutoModelForCausalLM, AutoModelForImageTextToText, AutoProcessor, AutoTokenizer

from lm_eval_tasks.small_vlm import model_folder
from semsam.arms import ARMS, Loaded, arm_of
from semsam.arms.controls import random_sets
from semsam.content import content_tokens
from semsam.errors import SettingsError
from semsam.tables import NeighbourTables
from tests.helpers import slow_arms, slow_rule
from tests.helpers.tiny_dataset import noise
from tests.helpers.tiny_models import save_tiny_qwen3_vl

QUESTIONS = (
    "This is an axial CT slice. Is structure A to the right or to the left of structure B?\nOptions: right; left",
    "Which structure is marked?\nOptions: liver; spleen",
)
NEW = 3
RULE = {"k": 8, "top_m": 5}
ARMS_BY_LOGITS = {
    "greedy": {},
    "semsam": RULE,
    "semsam-guard": RULE,
    "k1": {"top_m": 5},
    "shuffled": {**RULE, "group": 4},
    "random-k": RULE,
    "min-p": {"min_p": 0.2},
    "top-n-sigma": {"n": 1.5},
    "top-h": {"top_h": 0.5},
    "default": {"temperature": 0.7},
}
TOLERANCE = {torch.float32: 2e-3, torch.bfloat16: 0.25}


def image(number: int) -> Image.Image:
    from io import BytesIO

    return Image.open(BytesIO(noise(number, coloured=True))).convert("RGB")


def with_images(processor, texts, numbers) -> dict:
    processor.tokenizer.padding_side = "left"
    made = processor(text=texts, images=[[image(number)] for number in numbers], padding=True, return_tensors="pt")
    return dict(made)


def case_small_vlm():
    model = AutoModelForImageTextToText.from_pretrained(model_folder(), dtype=torch.float32)
    processor = AutoProcessor.from_pretrained(model_folder())
    texts = [f"<image>\n{question}\nAnswer:" for question in QUESTIONS]
    return Loaded(model, processor.tokenizer), processor, texts


def case_qwen(folder):
    save_tiny_qwen3_vl(folder)
    model = AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32)
    with torch.no_grad():
        model.lm_head.weight *= 10  # random weights give a flat distribution; a model's is not
        model.lm_head.weight[256:] *= 0.1
    processor = AutoProcessor.from_pretrained(folder)
    texts = [
        f"<|vision_start|><|image_pad|><|vision_end|>{question[-length:]}"
        for question, length in zip(QUESTIONS, (20, 12), strict=True)
    ]
    return Loaded(model, processor.tokenizer), processor, texts


@pytest.fixture(scope="module")
def small_vlm():
    return case_small_vlm()


@pytest.fixture(scope="module")
def qwen(tmp_path_factory):
    return case_qwen(tmp_path_factory.mktemp("qwen") / "model")


@pytest.fixture(scope="module")
def smollm(smollm2):
    """SmolLM2 with neighbours drawn at random: to find the real ones of 49,000 tokens takes half a minute."""
    model = AutoModelForCausalLM.from_pretrained(smollm2, dtype=torch.float32)
    loaded = Loaded(model, AutoTokenizer.from_pretrained(smollm2))
    ids = torch.arange(49152, dtype=torch.int32).unsqueeze(1).repeat(1, 8)
    weights = torch.tensor([1.0] + [0.5] * 7).repeat(49152, 1)
    content = content_tokens(loaded.tokenizer, model.config, 49152)
    loaded.made["tables", 8, "none"] = random_sets(NeighbourTables(ids, weights, content), 1)
    loaded.made["tables", 1, "none"] = loaded.made["tables", 8, "none"].first(1)
    return loaded


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("MIS_GROUND_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))


def allowed(arm, loaded, row: list[float], other: list[float] | None, tolerance: float) -> set[int]:
    """Tokens that the arm may choose after this row of logits, within the tolerance of the arithmetic."""
    name = arm.name
    if name == "default":
        return set(range(len(row)))
    if name in ("min-p", "top-h", "top-n-sigma"):
        near = 1 + 4 * tolerance
        if name == "min-p":
            return slow_arms.min_p(row, arm.min_p / near)
        if name == "top-n-sigma":
            return slow_arms.top_n_sigma(row, arm.n * near)
        return slow_arms.top_h(row, min(1.0, arm.top_h * near))
    scores = dict(enumerate(row))
    if name == "vcd":
        scores = dict(enumerate(slow_arms.contrast(row, other, arm.alpha, arm.beta / (1 + 2 * tolerance))))
        tolerance *= 1 + 2 * arm.alpha
    elif hasattr(arm, "rule"):
        tables = arm.tables(loaded)
        found = slow_rule.rescore(
            row, tables.ids.tolist(), tables.weights.tolist(), tables.content, arm.top_m, arm.top_p
        )
        if found is not None:
            scores = {token: math.log(score) if score > 0 else -math.inf for token, score in found.items()}
    best = max(scores.values())
    return {token for token, score in scores.items() if score >= best - tolerance}


def check(arm, loaded, batch: dict, singles: list[dict], tolerance: float, distorted=None, around=None):
    torch.manual_seed(0)
    made = arm.generate(loaded, batch, max_new_tokens=NEW, min_new_tokens=NEW)
    prompt = batch["input_ids"].shape[1]
    assert made.shape[1] == prompt + NEW
    for number, single in enumerate(singles):
        answer = made[number, prompt:].tolist()
        for place in range(NEW):
            with around(single) if around else torch.no_grad():
                row = slow_arms.step(loaded.model, single, answer[:place])
            other = slow_arms.step(loaded.model, distorted(single), answer[:place]) if distorted else None
            ends = loaded.model.generation_config.eos_token_id
            for end in [ends] if isinstance(ends, int) else ends:  # ruled out by min_new_tokens
                row[end] = -math.inf
            assert answer[place] in allowed(arm, loaded, row, other, tolerance), (arm, number, place)
    return made[:, prompt:]


@pytest.fixture(scope="module")
def batches(small_vlm, qwen):
    made = {}
    for name, (_, processor, texts) in {"small_vlm": small_vlm, "qwen": qwen}.items():
        together = with_images(processor, texts, (1, 2))
        assert int(together["attention_mask"].min()) == 0  # one of them is padded on the left
        made[name] = together, [with_images(processor, [text], (n,)) for n, text in enumerate(texts, start=1)]
    return made


@pytest.mark.parametrize("name", ARMS_BY_LOGITS)
@pytest.mark.parametrize("kind", ["small_vlm", "qwen"])
def test_a_batch_with_left_padding_follows_the_slow_rule(request, batches, kind, name):
    loaded, _, _ = request.getfixturevalue(kind)
    arm = arm_of(name, ARMS_BY_LOGITS[name])
    made = check(arm, loaded, *batches[kind], TOLERANCE[torch.float32])
    if name in ("greedy", "k1"):
        plain = arm_of("greedy").generate(loaded, batches[kind][0], max_new_tokens=NEW, min_new_tokens=NEW)
        assert torch.equal(made, plain[:, -NEW:])


@pytest.mark.parametrize("settings", [{}, {"alpha": 0.5, "distortion": "blank"}, {"sample": True, "beta": 0.5}])
@pytest.mark.parametrize("kind", ["small_vlm", "qwen"])
def test_vcd_follows_two_slow_passes(request, batches, kind, settings):
    loaded, _, _ = request.getfixturevalue(kind)
    arm = arm_of("vcd", settings)

    def distorted(single):
        pixels = single["pixel_values"]
        if arm.distortion == "blank":
            return single | {"pixel_values": torch.zeros_like(pixels)}
        kept = 1.0
        for number in range(arm.noise_step + 1):
            slope = 1 / (1 + math.exp(-(-6 + 12 * number / 999)))
            kept *= 1 - (slope * (0.005 - 0.00001) + 0.00001)
        drawn = torch.randn(pixels.shape, generator=torch.Generator().manual_seed(0))
        return single | {"pixel_values": math.sqrt(kept) * pixels + math.sqrt(1 - kept) * drawn}

    if arm.sample:  # what may be drawn is what is plausible
        torch.manual_seed(0)
        together, singles = batches[kind]
        made = arm.generate(loaded, together, max_new_tokens=1)[:, -1]
        for token, single in zip(made.tolist(), singles, strict=True):
            row = slow_arms.step(loaded.model, single, [])
            assert row[token] >= max(row) + math.log(0.5) - 1e-3
        return
    check(arm, loaded, *batches[kind], TOLERANCE[torch.float32], distorted)


@pytest.mark.parametrize("settings", [("scalingvis", {"alpha": 3.0}), ("adaptvis", {"low": 0.1, "high": 3.0})])
@pytest.mark.parametrize("kind", ["small_vlm", "qwen"])
def test_scaled_attention_follows_loops_over_heads(request, batches, kind, settings):
    loaded, _, _ = request.getfixturevalue(kind)
    together, singles = batches[kind]
    name, values = settings
    if name == "adaptvis":
        first = [max(slow_rule.softmax(slow_arms.step(loaded.model, single, []))) for single in singles]
        values = values | {"threshold": sum(first) / 2}  # one question on each side
        assert min(first) < values["threshold"] < max(first)
    arm = arm_of(name, values)

    def around(single):
        prompt = single["input_ids"].shape[1]
        factor = values.get("alpha")
        if factor is None:
            sure = max(slow_rule.softmax(slow_arms.step(loaded.model, single, [])))
            factor = values["low"] if sure < values["threshold"] else values["high"]
        image = (single["input_ids"][0] == loaded.image_token).tolist()
        return slow_arms.attention_by_loops(loaded.model, prompt, image, factor)

    check(arm, loaded, together, singles, TOLERANCE[torch.float32], around=around)
    # it is undone, and it does something
    before = slow_arms.step(loaded.model, singles[0], [])
    with around(singles[0]):
        assert slow_arms.step(loaded.model, singles[0], []) != pytest.approx(before, abs=1e-3)
    plain = arm_of("greedy")
    check(plain, loaded, together, singles, TOLERANCE[torch.float32])


def test_every_arm_runs_in_bfloat16_on_the_small_model(batches):
    loaded, *_ = case_small_vlm()
    loaded.model.to(torch.bfloat16)
    together, *singles = (
        inputs | {"pixel_values": inputs["pixel_values"].bfloat16()}
        for inputs in (batches["small_vlm"][0], *batches["small_vlm"][1])
    )
    for name in ARMS:
        arm = arm_of(name, ARMS_BY_LOGITS.get(name, {}))
        if arm.needs == "logits":
            check(arm, loaded, together, singles, TOLERANCE[torch.bfloat16])
        else:
            made = arm.generate(loaded, together, max_new_tokens=NEW)
            assert made.shape[0] == 2


@pytest.mark.slow
def test_smollm2_follows_the_slow_rule(smollm):
    tokenizer = smollm.tokenizer
    tokenizer.padding_side = "left"
    texts = ["Left or right?", "The liver lies to the"]
    batch = dict(tokenizer(texts, padding=True, return_tensors="pt"))
    singles = [dict(tokenizer([text], return_tensors="pt")) for text in texts]
    for name in ("k1", "shuffled", "top-n-sigma"):
        arm = arm_of(name, {"k": 8, "matching": "frequency"} if name == "shuffled" else {})
        check(arm, smollm, batch, singles, TOLERANCE[torch.float32])


@pytest.mark.parametrize("name", ["vcd", "adaptvis", "scalingvis"])
def test_arms_for_images_refuse_a_model_without_by_name(smollm, name):
    inputs = dict(smollm.tokenizer(["Where?"], return_tensors="pt"))
    with pytest.raises(SettingsError, match=rf"arm {name}.*Remedy: leave it out"):
        arm_of(name).generate(smollm, inputs, max_new_tokens=1)
