import time
from email.utils import formatdate

import pytest

from lm_eval_tasks.mis_ground.replies import as_text
from lm_eval_tasks.running import chat_client
from lm_eval_tasks.running.chat_client import ChatClient, ServerError
from tests.helpers.chat_server import FAULTS, KEY, ChatServer

OPTIONS = "Options: right; left"


@pytest.fixture
def server():
    with ChatServer() as running:
        yield running


def asked(server, model, count=6, client=None, **more):
    """The replies to some questions, and what was kept, in the order of arrival."""
    kept = []
    client = client or ChatClient(server.url, concurrent=3, first_wait=0.01, note=lambda text: None)
    payloads = [
        lambda number=number: {
            "model": model,
            "messages": [{"role": "user", "content": f"{number}\n{OPTIONS}"}],
            **more,
        }
        for number in range(count)
    ]
    try:
        return client.ask(payloads, lambda number, reply: kept.append((number, reply))), kept
    except ServerError as error:
        return error, kept


@pytest.mark.parametrize(
    ("model", "text", "reason", "reasoning"),
    [
        ("vllm", "right", "stop", None),
        ("vllm/reasoning", "right", "stop", "It may be left. No."),
        ("gemini/reasoning", "right", "stop", "It may be left. No."),
        ("anthropic", "right", "stop", None),
        ("anthropic/thought", "", "length", "Is it right"),
        ("vllm/thought", "", "length", "Is it right"),
        ("openai/refusal", "I'm sorry, I can't help with medical images.", "refusal", None),
        ("vllm/parts", "right", "stop", "Maybe left"),
        ("vllm/empty", "", "stop", None),
        ("gemini/nothing", "", "content_filter", None),
        ("openai/first filter", "", "content_filter", None),
    ],
)
def test_a_reply_is_text_with_its_reasoning_and_its_end_apart(server, model, text, reason, reasoning):
    budget = {"max_tokens": 5} if model.startswith("anthropic") else {}
    (reply, *_), kept = asked(server, model, 2, **budget)
    assert (str(reply), reply.finish_reason, reply.reasoning) == (text, reason, reasoning)
    assert sorted(number for number, _ in kept) == [0, 1]


@pytest.mark.parametrize(
    "fault", sorted(FAULTS.keys() - {"no model", "quota", "images", "filter"} | {"cut"}), ids=lambda name: name
)
def test_what_passes_is_tried_again_and_nothing_else_is(server, fault):
    replies, kept = asked(server, f"vllm/first {fault}")
    assert replies == ["right"] * 6
    assert len(kept) == 6
    assert set(server.tries.values()) == {2}
    assert len(server.questions) == 6 + (6 if FAULTS[fault][0] == 200 else 0)


def test_many_at_once_and_each_once(server):
    replies, kept = asked(server, "vllm/slow", 12)
    assert replies == ["right"] * 12
    assert server.busiest == 3
    assert set(server.tries.values()) == {1}
    assert sorted(number for number, _ in kept) == list(range(12))


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("no model", r"404: The model `x` does not exist.*the model's name"),
        ("quota", r"exceeded your current quota.*no quota left"),
        ("images", r"At most 1 image.*--stack sheet"),
        ("fault", r"did not answer a question in 2 attempts.*500: internal.*--resume"),
        ("cut", r"did not answer a question in 2 attempts"),
        ("no json", r"did not answer a question in 2 attempts"),
    ],
)
def test_what_does_not_pass_is_a_sentence(server, fault, message):
    client = ChatClient(server.url, concurrent=1, tries=2, first_wait=0.01)
    error, kept = asked(server, f"vllm/always {fault}", client=client)
    with pytest.raises(ServerError, match=message):
        raise error
    assert kept == []
    assert len(server.requests) <= 2, "the others are not sent"


def test_answers_that_came_before_a_failure_are_kept(server):
    count = 0
    original = server.reply

    def reply(sent, path):
        nonlocal count
        count += 1
        return original(sent | {"model": "vllm/always no model"} if count == 4 else sent, path)

    server.reply = reply
    error, kept = asked(server, "vllm", client=ChatClient(server.url, concurrent=1))
    assert isinstance(error, ServerError)
    assert [number for number, _ in kept] == [0, 1, 2]


@pytest.mark.parametrize(
    ("kind", "given", "adapted"),
    [
        (
            "openai",
            {"max_tokens": 5, "temperature": 0, "seed": 1},
            {"max_tokens": "max_completion_tokens", "temperature": ""},
        ),
        ("gemini", {"max_tokens": 5, "temperature": 0, "seed": 1}, {"seed": ""}),
        ("vllm", {"max_tokens": 5, "temperature": 0, "seed": 1}, {}),
    ],
)
def test_parameters_that_a_model_does_not_take_are_left_out_and_named(server, kind, given, adapted):
    notes = []
    client = ChatClient(server.url, concurrent=1, note=notes.append)
    replies, _ = asked(server, kind, 4, client=client, **given)
    assert replies == ["right"] * 4
    assert client.adapted == adapted
    assert len(notes) == len(adapted)
    assert all(name in " ".join(notes) for name in adapted)
    assert len(server.requests) == 4 + len(adapted), "asked for once, remembered then"


def test_a_wrong_key_is_refused_at_once_and_named_nowhere():
    with ChatServer(key=KEY) as server:
        wrong = ChatClient(server.url, {"Authorization": "Bearer sk-wrong-key"}, concurrent=1)
        error, _ = asked(server, "vllm", client=wrong)
        assert "401" in str(error)
        assert "OPENAI_API_KEY" in str(error)
        assert "sk-wrong-key" not in str(error) + repr(wrong)
        right = ChatClient(server.url, {"Authorization": f"Bearer {KEY}"}, concurrent=1)
        assert asked(server, "vllm", 2, client=right)[0] == ["right"] * 2


def test_a_server_that_is_not_there_is_a_sentence():
    with ChatServer() as server:
        url = server.url
    error, _ = asked(None, "vllm", client=ChatClient(url, tries=2, first_wait=0.01))
    assert "did not answer a question in 2 attempts" in str(error)
    assert url in str(error)


@pytest.mark.parametrize(
    ("value", "low", "high"), [("3", 3, 3), ("0.5", 0.5, 0.5), ("-1", 0, 0), ("99999", 600, 600), (None, None, None)]
)
def test_retry_after(value, low, high):
    assert chat_client.retry_after(value) == low == high


def test_retry_after_a_date():
    assert 3 < chat_client.retry_after(formatdate(time.time() + 5, usegmt=True)) <= 5
    assert chat_client.retry_after("soon") is None


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ("http://h:1", "http://h:1/v1/chat/completions"),
        ("http://h:1/v1/", "http://h:1/v1/chat/completions"),
        ("http://h/v1beta/openai", "http://h/v1beta/openai/chat/completions"),
        ("http://h/v1/chat/completions", "http://h/v1/chat/completions"),
        ("http://h/d/m/chat/completions?api-version=1", "http://h/d/m/chat/completions?api-version=1"),
    ],
)
def test_the_address_may_lack_the_last_part(given, url):
    assert chat_client.chat_url(given) == url


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (None, ""),
        ("left", "left"),
        ([{"type": "output_text", "text": "le"}, "ft"], "left"),
        ([{"type": "redacted_thinking", "data": "x"}, {"type": "text", "text": "left"}], "left"),
        ({"type": "text", "text": "left"}, "left"),
        ([], ""),
        ([{"type": "refusal", "refusal": "No."}], "No."),
    ],
)
def test_content_of_any_shape_is_text(content, text):
    assert as_text(content) == text


@pytest.mark.parametrize(
    ("ending", "reason"),
    [
        ("MAX_TOKENS", "length"),
        ("model_length", "length"),
        ("stop_sequence", "stop"),
        ("SAFETY", "content_filter"),
        ("sensitive", "content_filter"),
        ("tool_calls", "tool_calls"),
        (None, None),
    ],
)
def test_other_servers_words_for_an_end_are_understood(ending, reason):
    body = {"choices": [{"message": {"content": "right"}, "finish_reason": ending}]}
    assert chat_client.read_reply(body).finish_reason == reason


@pytest.mark.parametrize("ending", ["error", "abort", "network_error"])
def test_what_a_server_broke_off_is_no_reply(ending):
    assert chat_client.read_reply({"choices": [{"message": {"content": "rig"}, "finish_reason": ending}]}) is None


def test_an_upstream_error_is_told_in_its_own_words(server):
    error, kept = asked(server, "openrouter/always error in a choice", 1, ChatClient(server.url, tries=2, first_wait=0))
    assert "Upstream failed" in str(error)
    assert not kept
    (reply,), _ = asked(server, "openrouter/first error in a choice", 1)
    assert reply == "right"
    (reply,), _ = asked(server, "vllm/first aborted", 1)
    assert reply == "right"
