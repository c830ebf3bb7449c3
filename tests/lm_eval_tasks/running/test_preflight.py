"""Checks before a run, with a real (tiny) Qwen3-VL in the harness's own model, and with models that do not look."""

import pytest
import torch
from PIL import Image

from dataset_builder.core.errors import MISGroundError
from lm_eval_tasks.running import preflight
from tests.helpers.tiny_models import save_tiny_qwen3_vl


class Request:
    def __init__(self, prompt, images=1, task="mis_ground_x", **generation):
        self.task_name = task
        images = [Image.new("RGB", (64, 64), (17 * n % 255, 90, 200)) for n in range(images)]
        self.arguments = (prompt, generation, {"visual": images}) if images else (prompt, generation)

    @property
    def args(self):
        return self.arguments


def test_plan_counts_questions_images_and_tasks():
    plan = preflight.Plan.of([Request("<image>"), Request("", 0, "blind"), Request("<image><image>", 2)])
    assert (plan.questions, plan.images, plan.tasks) == (3, 3, 2)


@pytest.mark.parametrize(
    ("prompt", "images", "token", "good"),
    [
        ("<image>\nWhere?", 1, None, True),
        ("<|image_pad|> Where?", 1, "<|image_pad|>", True),
        ("<image><image> Where?", 2, "<|image_pad|>", True),
        ("Where?", 1, "<|image_pad|>", False),
        ("<|image_pad|> Where?", 1, None, False),
        ("<image> Where?", 2, None, False),
        ("<image><image> Where?", 1, None, False),
        ("Where?", 0, None, True),
    ],
)
def test_places_for_images_are_counted(prompt, images, token, good):
    class Model:
        image_token = token

    problems = preflight.placeholder_problems([Request(prompt, images)], Model())
    assert (problems == []) == good
    if not good:
        assert "--apply_chat_template" in problems[0]
        assert f"a question of mis_ground_x has {images}" in problems[0]


def test_a_model_behind_an_api_makes_places_itself():
    class Model:
        _concurrent = 4
        max_images = 8

    assert preflight.placeholder_problems([Request("Where?", 2)], Model()) == []


def test_images_that_would_be_cut_off_are_told():
    class Model:
        max_images = 1

    (problem,) = preflight.placeholder_problems([Request("<image>" * 8, 8), Request("<image>")], Model())
    assert "takes 1 image(s)" in problem
    assert "max_images=8" in problem


# --- probes ----------------------------------------------------------------------------------------------------------


def looking(requests):
    return ["saw " + "".join(map(str, request.args[2]["visual"][0].getpixel((0, 0)))) for request in requests]


def test_a_model_that_looks_is_not_doubted():
    asked = []

    def ask(requests):
        asked.append(requests)
        return looking(requests)

    requests = [Request("<image>", do_sample=True, temperature=1.0, until=["x"]) for _ in range(100)] + [Request("", 0)]
    found = preflight.probe(requests, object(), ask)
    assert (found.asked, found.same) == (preflight.PROBES, 0)
    assert preflight.probe_problems(found) == []
    seen, blank = asked
    for one, other in zip(seen, blank, strict=True):
        assert one.args[:2] == other.args[:2]
        assert one.args[1] == {"do_sample": False, "temperature": 0.0, "until": ["x"]}
        assert other.args[2]["visual"][0].getcolors() == [(64 * 64, (127, 127, 127))]
        assert other.args[2]["visual"][0].size == one.args[2]["visual"][0].size
    assert requests[0].args[1]["do_sample"] is True  # the run's own requests are as they were


def test_a_model_that_does_not_look_is_doubted():
    found = preflight.probe([Request("<image>") for _ in range(30)], object(), lambda some: ["left"] * len(some))
    (problem,) = preflight.probe_problems(found)
    assert "All 12 questions were answered the same" in problem
    assert "Either the image does not reach the model" in problem
    assert "the same to every one" in problem


def test_questions_without_images_are_not_probed():
    assert preflight.probe([Request("", 0)], object(), looking) is None


def test_what_is_drawn_while_probing_is_not_missing_later():
    import torch

    def ask(requests):
        return [str(torch.rand(()).item()) for _ in requests]

    torch.manual_seed(3)
    expected = torch.rand(3)
    torch.manual_seed(3)
    preflight.probe([Request("<image>")], object(), ask)
    assert torch.equal(torch.rand(3), expected)


@pytest.fixture(scope="module")
def qwen(tmp_path_factory):
    from lm_eval.models.hf_vlms import HFMultimodalLM

    folder = save_tiny_qwen3_vl(tmp_path_factory.mktemp("model") / "tiny")
    return HFMultimodalLM(str(folder), dtype="float32", device="cpu", batch_size=4)


def templated(model, images=1):
    request = Request("<image>" * images + "\nWhere is A?", images)
    prompt = model.apply_chat_template([{"role": "user", "content": request.args[0]}])
    request.arguments = (prompt, *request.args[1:])
    return request


def test_the_chat_template_of_a_real_model_has_its_places(qwen):
    requests = [templated(qwen), templated(qwen, 3)]
    assert preflight.placeholder_problems(requests, qwen) == []
    requests[1].arguments = (requests[1].args[0].replace("<|image_pad|>", "", 1), *requests[1].args[1:])
    assert "1 of 2 prompts" in preflight.placeholder_problems(requests, qwen)[0]


def test_a_real_model_tells_whether_the_image_reaches_it(qwen, monkeypatch):
    """A model with random weights answers the same to everything; its logits know better."""
    request = templated(qwen)
    blank = preflight._decided(request, blank=True)
    assert preflight.logits_differ(qwen, request, blank) is True
    same = preflight.probe([request], qwen, lambda some: ["x"] * len(some))
    assert "does reach the model" in preflight.probe_problems(same)[0]
    encode = qwen.tok_batch_multimodal_encode

    def dropping(strings, images, **more):
        return encode(strings, [[Image.new("RGB", (64, 64))] * len(each) for each in images], **more)

    monkeypatch.setattr(qwen, "tok_batch_multimodal_encode", dropping)
    assert preflight.logits_differ(qwen, request, blank) is False
    dropped = preflight.probe([request], qwen, lambda some: ["x"] * len(some))
    assert "does not reach the model: its logits are identical" in preflight.probe_problems(dropped)[0]


def test_a_model_that_has_no_logits_cannot_tell():
    assert preflight.logits_differ(object(), Request("<image>"), Request("<image>")) is None


def test_a_model_that_hands_images_to_its_engine_unread_is_measured_with_its_processor():
    """As vLLM's, whose prompts are texts and images until the engine reads them."""

    class Engine:
        max_length = 100
        tokenizer = object()

        def tok_batch_multimodal_encode(self, texts, images):
            return [
                {"prompt": text, "multi_modal_data": {"image": each}} for text, each in zip(texts, images, strict=True)
            ]

        def processor(self, text, images, return_tensors):
            return {"input_ids": torch.zeros(len(text), len(text[0]) + 50 * len(images), dtype=torch.int)}

        def tok_encode(self, text):
            return list(text)

    preflight.check_budget([Request("12345", 1, max_gen_toks=45)], Engine())
    with pytest.raises(MISGroundError, match=r"prompt of 55 tokens and an answer of up to 46.*max_length=101"):
        preflight.check_budget([Request("12345", 1, max_gen_toks=46)], Engine())
