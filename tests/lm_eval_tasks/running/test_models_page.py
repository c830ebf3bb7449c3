"""The recipes of docs/models.md for servers run as they stand, but for address, model and number of tasks."""

import re
import shlex
from pathlib import Path

import pytest

from lm_eval_tasks.running import evaluate
from tests.helpers.chat_server import KEY, ChatServer
from tests.helpers.readme import blocks
from tests.helpers.tiny_dataset import write_dataset

PAGE = Path(__file__).parents[3] / "docs" / "models.md"
COMMANDS = [
    command
    for block in blocks(PAGE)
    if block.language == "bash"
    for command in block.commands()
    if re.match(r"mis-ground eval .*-chat-completions ", command)
]
DIALECTS = {"openai": "openai", "azure": "openai", "googleapis": "gemini", "anthropic": "anthropic"}


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    write_dataset(folder / "mis-ground", 2, ("ct",))
    return folder


def test_the_page_has_a_recipe_for_each_server():
    kinds = [re.search(r"--model (\S+)", command)[1] for command in COMMANDS]
    assert sorted(set(kinds)) == ["azure-openai-chat-completions", "local-chat-completions", "openai-chat-completions"]
    assert len(COMMANDS) == 6


@pytest.mark.parametrize("command", COMMANDS)
def test_a_recipe_runs(command, home, tmp_path, monkeypatch):
    monkeypatch.chdir(home)
    dialect = next((own for part, own in DIALECTS.items() if part in command), "vllm")
    with ChatServer(key="" if dialect == "vllm" else KEY) as server:
        for name in ("OPENAI_API_KEY", "GEMINI_API_KEY", "ANTHROPIC_API_KEY", "AZURE_OPENAI_API_KEY"):
            monkeypatch.setenv(name, KEY)
        monkeypatch.setenv("AZURE_OPENAI_ENDPOINT", server.url.removesuffix("/v1"))
        shown = re.sub(r"model=(MODEL|DEPLOYMENT)", f"model={dialect}/looks,first_wait=0.01", command)
        shown = re.sub(r"base_url=[^,\s]+", f"base_url={server.url}", shown)
        if "--model openai-" in shown:
            shown = shown.replace("first_wait", f"base_url={server.url},first_wait")
        shown = re.sub(r"--tasks \S+", "--tasks mis_ground_ct_axial_directional_box,mis_ground_stack_ct_axial", shown)
        shown = shown.replace("--resume answers", f"--resume {tmp_path / 'answers'}")
        assert evaluate.main([*shlex.split(shown)[2:], "--output_path", str(tmp_path / "results")]) == 0
        assert {len(each["images"]) for each in server.questions} == {1, 2}
    assert len(list((tmp_path / "results").rglob("samples_*.jsonl"))) == 2
