"""``mis-ground eval`` with models behind a chat server, against one on loopback."""

import json

import pytest

from dataset_builder.core.errors import MISGroundError
from lm_eval_tasks.running import evaluate
from tests.helpers.chat_server import KEY, ChatServer
from tests.helpers.tiny_dataset import write_dataset

BOX, BLIND, STACK = "mis_ground_ct_axial_directional_box", "blind_mis_ground_none", "mis_ground_stack_ct_axial"
EMPTY = "mis_ground_mri_axial_directional_box"


@pytest.fixture(scope="module")
def ground(tmp_path_factory):
    return write_dataset(tmp_path_factory.mktemp("served") / "ground", 8, ("ct",))


@pytest.fixture(autouse=True)
def _quickly(monkeypatch, tmp_path):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.chdir(tmp_path)


def evaluated(server, ground, model, *more, kind="local-chat-completions", tasks=(BOX,), arguments=""):
    given = f"model={model},base_url={server.url},first_wait=0.01,num_concurrent=3{arguments}"
    command = [str(ground), "--model", kind, "--model_args", given, "--apply_chat_template"]
    return evaluate.main([*command, "--tasks", ",".join(tasks), "--limit", "8", *more])


def samples(folder, task=BOX):
    (path,) = folder.rglob(f"samples_{task}_*.jsonl")
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.parametrize(
    ("kind", "model"),
    [
        ("local-chat-completions", "vllm/looks"),
        ("openai-chat-completions", "openai/looks"),
        ("local-chat-completions", "gemini/looks"),
        ("local-chat-completions", "anthropic/looks"),
    ],
)
def test_images_text_and_stacks_in_one_command(ground, tmp_path, kind, model, capfd):
    with ChatServer(key=KEY) as server:
        assert evaluated(server, ground, model, "--strict", kind=kind, tasks=(BLIND, BOX, STACK, EMPTY)) == 0
    shown = {BLIND: 0, BOX: 1, STACK: 2}
    for task, images in shown.items():
        for sample in samples(tmp_path / "results", task):
            asked = [each for each in server.questions if sample["doc"]["question"] in each["text"]]
            assert asked
            assert images in {len(each["images"]) for each in asked}
    assert not [each for each in server.requests if "holds no question" in each["text"]]
    assert not [each for each in server.requests if "<image>" in each["text"]]
    assert server.busiest <= 3
    printed = capfd.readouterr().err
    assert f"Scored: {ground} (version 2.0.0, content" in printed
    assert "Next: mis-ground report results" in printed
    for path in tmp_path.rglob("*"):
        assert path.is_dir() or KEY not in path.read_text(errors="replace")


def test_nothing_is_asked_twice(ground, tmp_path):
    kept = ("--resume", "kept", "--output_path")
    with ChatServer() as server:
        original, count = server.reply, 0

        def reply(sent, path):
            nonlocal count
            count += 1
            return original(sent | {"model": "vllm/always no model"} if count == 5 else sent, path)

        server.reply = reply
        with pytest.raises(MISGroundError, match="404: The model"):
            evaluated(server, ground, "vllm/reasoning", *kept, "first", arguments=",num_concurrent=1")
        answered = [json.dumps(each["sent"]["messages"]) for each in server.questions]
        assert len(answered) == 4
        assert evaluated(server, ground, "vllm/reasoning", *kept, "second") == 0
        answered = [json.dumps(each["sent"]["messages"]) for each in server.questions]
        assert len(answered) == len(set(answered)) == 8
        assert evaluated(server, ground, "vllm/reasoning", *kept, "third") == 0
        assert len(server.questions) == 8
    for run in ("second", "third"):
        for sample in samples(tmp_path / run):
            assert sample["filtered_resps"] == ["right"]
            note = sample["arguments"]["gen_args_0"]["arg_1"]["reply"]
            assert note == {"finish_reason": "stop", "reasoning": "It may be left. No."}


def test_trial_questions_are_not_paid_for_twice(ground):
    with ChatServer() as server:
        assert evaluated(server, ground, "vllm/looks", "--strict", "--resume", "kept") == 0
        assert len(server.questions) == 16  # 8 questions, and 8 with a blank image
        assert evaluated(server, ground, "vllm/looks", "--resume", "kept", "--style", "reasoning") == 0
        assert len(server.questions) == 24


@pytest.mark.parametrize(
    ("model", "reply", "note"),
    [
        ("vllm/parts", "right", {"finish_reason": "stop", "reasoning": "Maybe left"}),
        ("vllm/first cut", "right", {"finish_reason": "stop"}),
        ("vllm/first limit", "right", {"finish_reason": "stop"}),
        ("openai/refusal", "I'm sorry, I can't help with medical images.", {"finish_reason": "refusal"}),
        ("vllm/thought", "", {"finish_reason": "length", "reasoning": "Is it right"}),
    ],
)
def test_replies_of_every_shape(ground, tmp_path, model, reply, note, capfd):
    with ChatServer() as server:
        assert evaluated(server, ground, model) == 0
    for sample in samples(tmp_path / "results"):
        assert sample["filtered_resps"] == [reply]
        assert sample["arguments"]["gen_args_0"]["arg_1"]["reply"] == note
    printed = capfd.readouterr().err
    assert ("All 8 answers are empty" in printed) == (reply == "")
    assert "may not reach" not in printed


def test_answers_that_are_all_empty_are_called_so_before_a_long_run(ground):
    with ChatServer() as server, pytest.raises(MISGroundError, match=r"All 8 trial answers are empty.*--style native"):
        evaluated(server, ground, "vllm/thought", "--strict")


def test_a_key_among_the_arguments_stands_in_no_file(ground, tmp_path, capfd):
    with ChatServer(key="sk-other-key") as server:
        header = json.dumps({"Authorization": "Bearer sk-other-key"})
        given = {"model": "vllm", "base_url": server.url, "header": json.loads(header)}
        command = [str(ground), "--model", "local-chat-completions", "--model_args", json.dumps(given)]
        assert evaluate.main([*command, "--tasks", BOX, "--limit", "2", "--resume", "kept"]) == 0
    printed = "".join(capfd.readouterr())
    assert "sk-other-key" not in printed
    for path in tmp_path.rglob("*"):
        assert path.is_dir() or b"sk-other-key" not in path.read_bytes()


def test_what_a_server_does_not_take_stands_in_the_results(ground, tmp_path):
    with ChatServer() as server:
        assert evaluated(server, ground, "openai/looks", kind="local-chat-completions") == 0
    (path,) = (tmp_path / "results").rglob("results_*.json")
    config = json.loads(path.read_text())["config"]
    assert config["parameters_left_out_or_renamed"] == {"max_tokens": "max_completion_tokens", "temperature": ""}
    assert {each["sent"].get("max_completion_tokens") for each in server.questions} == {64}


def test_extra_settings_reach_the_server(ground):
    with ChatServer() as server:
        extra = json.dumps({"chat_template_kwargs": {"enable_thinking": False}, "max_gen_toks": 9, "until": ["\n"]})
        assert evaluated(server, ground, "vllm", "--gen_kwargs", extra, "--style", "reasoning", "--letters") == 0
    for request in server.questions:
        sent = request["sent"]
        assert sent["chat_template_kwargs"] == {"enable_thinking": False}
        assert (sent["max_tokens"], sent["stop"], sent["temperature"], sent["seed"]) == (9, ["\n"], 0, 1234)
        assert not {"do_sample", "until", "max_gen_toks", "reply"} & sent.keys()
        assert "Options: A. right; B. left" in request["text"]
        assert "step by step" in request["text"]


def test_a_sheet_for_a_server_that_takes_one_image(ground):
    with ChatServer() as server:
        with pytest.raises(MISGroundError, match="have 2 images"):
            evaluated(server, ground, "vllm", tasks=(STACK,), arguments=",max_images=1")
        assert server.requests == []
        assert evaluated(server, ground, "vllm", "--stack", "sheet", tasks=(STACK,), arguments=",max_images=1") == 0
        assert {len(each["images"]) for each in server.questions} == {1}


@pytest.mark.parametrize(
    "reply", [None, [{"type": "text", "text": "right"}], [{"type": "thinking", "thinking": "left"}]]
)
def test_replies_in_parts_are_scored_and_kept_by_themselves_too(reply, tmp_path):
    """As the harness's own models hand them over, without this package's tasks around."""
    from lm_eval_tasks.mis_ground.utils import process_results
    from lm_eval_tasks.running.answer_store import AnswerStore, Stored

    doc = {"question": "Where?\nOptions: right; left", "options": ["right", "left"], "answer": "right", "paired": False}
    right = bool(reply) and reply[0]["type"] == "text"
    assert process_results(doc, [reply])["acc"] == right
    store = AnswerStore(tmp_path)
    store.add("run", {"key": Stored(reply, {})})
    assert store.find(["key"])["key"].answer == ("right" if right else "")
    store.close()
