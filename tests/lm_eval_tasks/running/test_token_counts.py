"""Tokens of prompts: exactly as the model's own processor counts them, or as its family does."""

import pytest
from PIL import Image
from transformers import AutoProcessor
from transformers.models.qwen2_vl.image_processing_qwen2_vl import smart_resize

from dataset_builder.core.errors import MISGroundError
from lm_eval_tasks.running import token_counts
from lm_eval_tasks.running.token_counts import FamilyCounter, family_counter, floor, processor_counter
from tests.helpers.tiny_models import save_tiny_qwen3_vl

RULES = {
    "patches": {"patches", "least", "most", "around"},
    "tiles": {"tiles", "each", "base", "longest", "shortest", "small"},
    "area": {"area", "longest"},
    "fixed": {"fixed"},
}


class Request:
    def __init__(self, prompt, *images):
        self.args = (prompt, {}, {"visual": list(images)}) if images else (prompt, {})


def image(level, size=(64, 64)):
    return Image.new("RGB", size, (level, 0, 0))


def test_the_table_of_families_is_whole():
    for name, row in token_counts.families().items():
        assert row.keys() == {"names", "characters_per_token", "image", "source"}, name
        (kind,) = RULES.keys() & row["image"].keys()
        assert row["image"].keys() <= RULES[kind], name
        assert 3 < row["characters_per_token"] < 6, name
        assert row["source"], name


@pytest.mark.parametrize(
    ("model", "family", "tokens"),
    [
        ("Qwen/Qwen3-VL-32B-Instruct", "qwen3-vl", 258),
        ("/models/qwen3_vl_8b", "qwen3-vl", 258),
        ("Qwen/Qwen2.5-VL-7B-Instruct", "qwen2-vl", 326),
        ("google/gemma-3-27b-it", "gemma3", 260),
        ("google/medgemma-4b-it", "gemma3", 260),
        ("llava-hf/llava-1.5-7b-hf", "llava-1.5", 576),
        ("OpenGVLab/InternVL3-8B", "internvl", 258),
        ("gpt-4o-2024-08-06", "gpt-4o", 255),
        ("gpt-4o-mini", "gpt-4o-mini", 8500),
        ("gpt-4.1", "gpt-4o", 255),
        ("gpt-5", "gpt-5", 210),
        ("o3", "o-series", 225),
        ("claude-sonnet-4-5", "claude", 350),
        ("gemini-2.5-pro", "gemini", 258),
    ],
)
def test_an_image_of_the_benchmark_in_each_family(model, family, tokens):
    counter = family_counter(model)
    assert counter.name == family
    assert counter.image((512, 512)) == tokens
    assert family in counter.source


@pytest.mark.parametrize(
    ("size", "tokens"),
    [((1024, 512), 85 + 2 * 170), ((4096, 4096), 85 + 4 * 170), ((2048, 4096), 85 + 6 * 170), ((100, 30), 255)],
)
def test_tiles_of_other_sizes(size, tokens):
    assert family_counter("gpt-4o").image(size) == tokens


def test_other_sizes_of_gemini_and_claude():
    assert family_counter("gemini").image((384, 384)) == 258
    assert family_counter("gemini").image((1000, 700)) == 2 * 258
    assert family_counter("claude").image((3136, 1568)) == family_counter("claude").image((1568, 784)) == 1640


@pytest.mark.parametrize("size", [(512, 512), (64, 64), (30, 900), (700, 333), (6000, 5000), (28, 28), (1, 40)])
@pytest.mark.parametrize("family", ["qwen3-vl", "qwen2-vl"])
def test_patches_are_counted_as_the_processor_counts_them(family, size):
    rule = token_counts.families()[family]["image"]
    side = rule["patches"]
    height, width = smart_resize(size[1], size[0], factor=side, min_pixels=rule["least"], max_pixels=rule["most"])
    assert family_counter("", family).image(size) == height * width / side**2 + 2


@pytest.mark.parametrize(("model", "family"), [("my-own-model", None), ("gpt-4o", "gpt-9")])
def test_what_is_not_known_is_said_with_the_families_that_are(model, family):
    with pytest.raises(MISGroundError, match=r"qwen3-vl.*gemini"):
        family_counter(model, family)


def test_the_floor_counts_each_beginning_once():
    def prompt(*pieces):
        return [(piece, 1.0) for piece in pieces]

    prompts = [
        prompt("i", "a", "b"),
        prompt("i", "a", "c"),
        prompt("i", "a"),
        prompt("j", "a", "b"),
        prompt("i", "a", "b"),
    ]
    assert floor(prompts) == 3 + 1 + 0 + 3 + 0
    assert floor([[("image", 256.0), ("a", 0.5)], [("image", 256.0), ("b", 0.5)]]) == 257
    assert floor([]) == 0


# --- a real processor ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return str(save_tiny_qwen3_vl(tmp_path_factory.mktemp("counted") / "qwen3-vl"))


def test_a_processor_counts_exactly_and_sees_each_size_of_images_once(folder, monkeypatch):
    processor = AutoProcessor.from_pretrained(folder)
    place = "<|vision_start|><|image_pad|><|vision_end|>"
    requests = [
        Request(f"{place}Where is the liver?", image(1)),
        Request(f"{place}Which, é or ü?", image(2)),
        Request(f"{place * 2}Two of them.", image(1), image(3)),
        Request(f"{place * 2}Two sizes.", image(1), image(3, (64, 32))),
        Request("<image>\nNo template.", image(4)),
        Request("Nothing to see."),
    ]
    expected = []
    for request in requests:
        images = request.args[2]["visual"] if len(request.args) > 2 else None
        text = request.args[0].replace("<image>", "<|image_pad|>")
        expected.append(processor(text=[text], images=images, return_tensors="pt")["input_ids"].shape[1])
    counter = processor_counter(folder, {}, images=True)
    seen = []
    original = type(counter.processor).__call__
    monkeypatch.setattr(
        type(counter.processor), "__call__", lambda self, **given: seen.append(1) or original(self, **given)
    )
    pieces = list(counter.pieces(requests))
    assert [sum(tokens for _, tokens in each) for each in pieces] == expected
    assert len(seen) == 3
    assert pieces[0][0][0] == pieces[2][0][0] != pieces[1][0][0]  # images are known by their content


def test_limits_of_pixels_are_the_models_arguments(folder):
    requests = [Request("<|image_pad|>", image(1))]
    few = processor_counter(folder, {"max_pixels": 32 * 32}, images=True)
    ((_, tokens), *_), *_ = few.pieces(requests)
    ((_, more), *_), *_ = processor_counter(folder, {}, images=True).pieces(requests)
    assert (tokens, more) == (0, 3)  # beyond the one that stands for the image


def test_a_text_model_needs_its_tokenizer_only(folder):
    counter = processor_counter(folder, {}, images=False)
    assert counter.text("abc") == 3
    assert [len(each) for each in counter.pieces([Request("abcd"), Request("")])] == [4, 0]


def test_words_stand_for_the_tokens_of_a_family():
    counter = FamilyCounter("x", {"fixed": 100}, 4.0)
    seen, plain = counter.pieces([Request("<image>\nabcd efgh", image(1)), Request("abcd efgh")])
    assert seen[0][1] == 100
    assert sum(tokens for _, tokens in plain) == 9 / 4 + token_counts.CHAT_TOKENS
    assert sum(tokens for _, tokens in seen) == 100 + 10 / 4 + token_counts.CHAT_TOKENS
