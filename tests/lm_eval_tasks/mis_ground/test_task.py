"""The tasks under the unchanged harness (``simple_evaluate``, as plain ``lm_eval`` calls it): nothing goes unsaid."""

import json
import pickle

import numpy as np
import pytest
from lm_eval import simple_evaluate
from lm_eval.caching import cache
from lm_eval.tasks import TaskManager

from lm_eval_tasks.mis_ground.images import Sheet
from lm_eval_tasks.mis_ground.settings import BUDGETS, RunSettingsError
from lm_eval_tasks.mis_ground.task import RequestType
from lm_eval_tasks.running.baselines import ConstantAnswer
from lm_eval_tasks.running.evaluate import TASKS
from tests.helpers.tiny_dataset import write_dataset

BOX = "mis_ground_ct_axial_directional_box"
BLIND = "blind_mis_ground_none"
STACK = "mis_ground_stack_ct_axial"
EMPTY = "mis_ground_mri_axial_directional_box"


class Listening(ConstantAnswer):
    """Keeps what it is asked, call by call; takes images or none, never both at once."""

    def __init__(self, reply=None):
        super().__init__()
        self.calls, self.reply = [], reply

    def generate_until(self, requests, disable_tqdm=False):
        self.calls.append([request.args for request in requests])
        assert len({len(request.args) for request in requests}) == 1
        return [self.reply] * len(requests) if self.reply else super().generate_until(requests)


@pytest.fixture(scope="module")
def ground(tmp_path_factory):
    return write_dataset(tmp_path_factory.mktemp("task") / "ct", rows_per_cell=4, modalities=("ct",))


def evaluated(ground, *tasks, model=None, metadata=None, **more):
    model = model or Listening()
    manager = TaskManager(
        include_path=str(TASKS), include_defaults=False, metadata={"dataset": str(ground)} | (metadata or {})
    )
    return model, simple_evaluate(model, tasks=list(tasks), task_manager=manager, bootstrap_iters=0, **more)


# --- a leaf without rows --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("more", [{}, {"log_samples": False}, {"predict_only": True}, {"write_out": True}])
def test_a_leaf_without_rows_asks_nothing_and_is_shown(ground, more):
    model, found = evaluated(ground, EMPTY, BOX, "mis_ground_stack_mri_axial", limit=2, **more)
    assert [len(call) for call in model.calls] == [2]
    if "predict_only" not in more:
        assert found["results"][EMPTY]["empty,none"] == 1
        assert "acc,none" not in found["results"][EMPTY]
        assert found["results"][BOX]["acc,none"] == 0.5


def test_where_all_leaves_are_empty_the_model_is_not_called(ground):
    model, found = evaluated(ground, EMPTY)
    assert model.calls == []
    assert found["results"][EMPTY]["empty,none"] == 1


# --- with images and without ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("tasks", [(BLIND, BOX, STACK), (BOX, BLIND), (STACK, BLIND, BOX)])
def test_questions_with_images_and_without_go_to_the_model_apart(ground, tasks):
    model, found = evaluated(ground, *tasks, limit=3)
    assert sorted(len(call) for call in model.calls) == sorted([3, 3 * (len(tasks) - 1)])
    assert {len(args) for call in model.calls for args in call} == {2, 3}
    assert all(len(found["samples"][task]) == 3 for task in tasks)


def test_a_kind_of_request_is_the_name_of_a_method_and_tells_images():
    shown, blind = RequestType("generate_until", True), RequestType("generate_until", False)
    assert shown != blind
    assert shown == "generate_until" == blind
    assert len({shown: 1, blind: 2}) == 2
    assert shown != "loglikelihood"
    assert pickle.loads(pickle.dumps(blind)).images is False
    model = Listening()
    model.generate_until = lambda requests: "own"
    assert getattr(model, shown)([]) == "own"


# --- styles, letters, sheets ----------------------------------------------------------------------------------------


def prompts(model):
    return [args[0] for call in model.calls for args in call]


@pytest.mark.parametrize("style", BUDGETS)
def test_a_style_decides_prompt_and_budget_and_stands_in_the_results(ground, style):
    model, found = evaluated(ground, BOX, BLIND, metadata={"style": style}, limit=1)
    for call in model.calls:
        assert call[0][1]["max_gen_toks"] == BUDGETS[style]
    for prompt in prompts(model):
        assert ("step by step" in prompt) == (style == "reasoning")
        assert prompt.endswith("Answer: <option>" if style == "reasoning" else "nothing else.\nAnswer:")
        assert "Options: right; left\n" in prompt
    config = found["configs"][BOX]
    assert (config["metadata"]["style"], config["generation_kwargs"]["max_gen_toks"]) == (style, BUDGETS[style])


def test_a_budget_of_ones_own_counts(ground):
    model, found = evaluated(ground, BOX, metadata={"style": "native"}, limit=1, gen_kwargs={"max_gen_toks": 99})
    assert model.calls[0][0][1]["max_gen_toks"] == 99
    assert found["configs"][BOX]["generation_kwargs"]["max_gen_toks"] == 99


@pytest.mark.parametrize("given", [True, "true"])
@pytest.mark.parametrize("style", ["direct", "reasoning"])
def test_options_get_letters(ground, given, style):
    model, found = evaluated(ground, BOX, metadata={"letters": given, "style": style}, limit=1)
    (prompt,) = prompts(model)
    assert "Options: A. right; B. left\n" in prompt
    assert "the letter of" in prompt
    sample = found["samples"][BOX][0]
    assert sample["doc"]["letters"] is True
    assert sample["doc"]["options"] == ["right", "left"]
    assert found["configs"][BOX]["metadata"]["letters"] is True


def test_a_stack_on_one_sheet(ground):
    model, found = evaluated(ground, STACK, BOX, metadata={"stack": "sheet"}, limit=1)
    asked = {len(args[2]["visual"][0].size) and args[0]: args[2]["visual"] for args in model.calls[0]}
    (stack,) = [prompt for prompt in asked if "2 images are panels of one sheet" in prompt]
    (sheet,) = asked[stack]
    assert stack.count("<image>") == 1
    assert isinstance(sheet, Sheet)
    assert sheet.size == (2 * 64, 64 + Sheet.STRIP)
    pixels = np.asarray(sheet)
    for number, panel in enumerate(sheet._panels):
        shown = pixels[Sheet.STRIP :, 64 * number : 64 * (number + 1)]
        assert np.array_equal(shown, np.asarray(panel))
        assert pixels[: Sheet.STRIP, 64 * number : 64 * (number + 1)].any()  # its number
    assert found["configs"][STACK]["metadata"]["stack"] == "sheet"
    assert all(len(images) == 1 for images in asked.values())


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({"style": "reasonning"}, "'reasonning', but takes one of: direct, reasoning, native"),
        ({"stlye": "reasoning"}, "no setting 'stlye'; did you mean 'style'"),
        ({"letter": True}, "did you mean 'letters'"),
        ({"letters": "yes"}, "takes true or false"),
        ({"stack": "grid"}, "images, sheet"),
    ],
)
def test_a_setting_that_cannot_be_is_refused(ground, metadata, message):
    with pytest.raises(RunSettingsError, match=message):
        evaluated(ground, BOX, metadata=metadata, limit=1)


# --- cached requests ------------------------------------------------------------------------------------------------


def test_cached_requests_belong_to_data_settings_and_samples(ground, tmp_path, monkeypatch):
    monkeypatch.setattr(cache, "PATH", str(tmp_path / "cache"))
    other = write_dataset(
        tmp_path / "other", 4, ("ct",), change=lambda row: row | {"question": "Another.\nOptions: right; left"}
    )
    given = {"cache_requests": True, "limit": 2}
    first = prompts(evaluated(ground, BOX, **given)[0])
    assert prompts(evaluated(ground, BOX, **given)[0]) == first  # from the cache
    assert len(list((tmp_path / "cache").iterdir())) == 1
    for prompt in prompts(evaluated(other, BOX, **given)[0]):
        assert "Another." in prompt
    assert "step by step" in prompts(evaluated(ground, BOX, metadata={"style": "reasoning"}, **given)[0])[0]
    assert "A. right" in prompts(evaluated(ground, BOX, metadata={"letters": True}, **given)[0])[0]
    model, _ = evaluated(ground, BOX, gen_kwargs={"max_gen_toks": 7}, **given)
    assert model.calls[0][0][1]["max_gen_toks"] == 7
    model, _ = evaluated(ground, BOX, BLIND, **given)
    model, _ = evaluated(ground, BOX, BLIND, **given)
    assert [len(call) for call in model.calls] == [2, 2], "kinds of requests are told apart from the cache as well"


# --- images, replies, keys ------------------------------------------------------------------------------------------


class OfApi(Listening):
    """As the harness's models behind an API."""

    _concurrent = 1
    max_images = 1


def test_images_beyond_what_the_model_takes_are_not_dropped(ground):
    with pytest.raises(RunSettingsError, match=r"have 2 images.*take 1.*max_images=2.*sheet"):
        evaluated(ground, STACK, model=OfApi(), limit=1, apply_chat_template=True)
    evaluated(ground, STACK, model=OfApi(), limit=1, apply_chat_template=True, metadata={"stack": "sheet"})
    model, _ = evaluated(ground, BOX, model=OfApi(), limit=1, apply_chat_template=True)
    assert "<image>" not in prompts(model)[0], "the text has no place: the image stands beside it"


@pytest.mark.parametrize(
    "reply",
    [
        [{"type": "text", "text": "right"}],
        [{"type": "thinking", "thinking": [{"type": "text", "text": "left?"}]}, {"type": "text", "text": "right"}],
        [{"type": "reasoning", "text": "left?"}, {"type": "text", "text": {"value": "right"}}],
        ["ri", "ght"],
    ],
)
def test_a_reply_in_parts_is_its_text_without_the_thinking(ground, reply):
    _, found = evaluated(ground, BOX, model=Listening(reply), limit=2)
    assert [sample["filtered_resps"] for sample in found["samples"][BOX]] == [["right"]] * 2
    assert found["results"][BOX]["invalid,none"] == 0


def test_no_key_stands_in_the_results(ground):
    secrets = {"auth_token": "sk-1", "header": {"Authorization": "Bearer sk-2"}, "api_key": "sk-3", "HF_TOKEN": "sk-4"}
    _, found = evaluated(ground, BOX, BLIND, metadata=secrets, limit=1)
    written = json.dumps(found, default=str)
    assert not [secret for secret in ("sk-1", "sk-2", "sk-3", "sk-4") if secret in written]


def test_the_results_say_what_was_scored(ground, tmp_path):
    _, found = evaluated(ground, BOX, limit=1)
    facts = found["configs"][BOX]["metadata"]
    assert (facts["dataset"], facts["data_version"], facts["data_rows"]) == (str(ground), "2.0.0", 300)
    same = write_dataset(tmp_path / "same", 4, ("ct",))
    other = write_dataset(tmp_path / "other", 4, ("ct",), change=lambda row: row | {"answer": "right"})
    digests = [evaluated(each, BOX, limit=1)[1]["configs"][BOX]["metadata"]["data_digest"] for each in (same, other)]
    assert digests[0] == facts["data_digest"] != digests[1]
