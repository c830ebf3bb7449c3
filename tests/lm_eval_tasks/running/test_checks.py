"""A user's mistake is reported in one sentence, before anything heavy is loaded, and near misses are named."""

import json
import os
import re
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pytest

from dataset_builder.core.errors import MISGroundError
from lm_eval_tasks.running import checks, evaluate, server_checks
from lm_eval_tasks.running.failures import EXTRAS, as_user_error
from tests.helpers.chat_server import ChatServer
from tests.helpers.tiny_dataset import write_dataset

BOX = "mis_ground_ct_axial_directional_box"
CONSTANT = ["--model", "mis-ground-constant", "--tasks", BOX]


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A folder with a data set, a text-only model's folder and one that is neither."""
    folder = tmp_path_factory.mktemp("home")
    write_dataset(folder / "my-ground", 2, ("ct",))
    for name, config in (
        ("text-model", {"architectures": ["LlamaForCausalLM"], "model_type": "llama"}),
        ("vision-model", {"architectures": ["XForConditionalGeneration"], "vision_config": {}, "model_type": "x"}),
    ):
        (folder / name).mkdir()
        (folder / name / "config.json").write_text(json.dumps(config))
    (folder / "empty").mkdir()
    (folder / "broken" / "data").mkdir(parents=True)
    (folder / "broken" / "data" / "test.parquet").write_bytes(b"PAR1 not really")
    (folder / "a-file").write_text("x")
    return folder


@pytest.fixture(autouse=True)
def _at_home(home, monkeypatch):
    monkeypatch.chdir(home)
    for name in ("MIS_GROUND_DATASET", "OPENAI_API_KEY", "AZURE_OPENAI_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)


def model(kind, arguments=""):
    return ["my-ground", "--model", kind, "--tasks", BOX, *(["--model_args", arguments] if arguments else [])]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        # the data set
        (["my-grund", *CONSTANT], r"no data set folder.*my-grund.*Did you mean my-ground\?"),
        (["./nowhere/at-all", *CONSTANT], "no data set folder"),
        (["a-file", *CONSTANT], "is a file"),
        (["empty", *CONSTANT], "no Parquet file"),
        (["broken", *CONSTANT], r"cannot be read.*test\.parquet"),
        ([*CONSTANT, "--metadata", '{"dataset": "my-grund"}'], "Did you mean my-ground"),
        (["my-ground", *CONSTANT, "--metadata", '{"dataset": "other"}'], "two values of 'dataset'"),
        # the tasks
        (["my-ground", "--model", "mis-ground-constant"], "No tasks are given"),
        (["my-ground", "--model", "mis-ground-constant", "--tasks", "mis_ground_tag_directionl"], "tag_directional"),
        (["my-ground", "--model", "mis-ground-constant", "--tasks", "mis_grond"], r"Did you mean mis_ground"),
        (["my-ground", "--model", "mis-ground-constant", "--tasks", "misground_ct_axial_directional_box"], BOX),
        (["my-ground", "--model", "mis-ground-constant", "--tasks", f"{BOX},mis_ground_xx_*"], r"mis_ground_xx_\*"),
        (["my-ground", "--model", "mis-ground-constant", "--tasks", "hellaswagg"], r"Did you mean.*hellaswag"),
        # the model
        (model("hf-multimodl", "pretrained=x"), "Did you mean hf-multimodal"),
        (model("Qwen/Qwen3-VL-8B-Instruct"), "--model hf-multimodal --model_args pretrained=Qwen/Qwen3-VL-8B-Instruct"),
        (model("hf-multimodal"), "No model is given"),
        (model("hf-multimodal", "pretraind=vision-model"), "Is 'pretrained' misspelt"),
        (model("hf-multimodal", "pretrained=./vision-modl"), r"model folder does not exist.*Did you mean vision-model"),
        (model("hf-multimodal", "pretrained=/not/there"), "model folder does not exist"),
        (model("hf-multimodal", "pretrained=empty"), "contains no config.json"),
        (model("hf-multimodal", "pretrained=a-file"), "The model is a file"),
        (model("hf-multimodal", "pretrained=no-such-model-in-the-cache"), "not in the cache of the Hub"),
        (model("hf-multimodal", "pretrained=text-model"), r"takes text only.*LlamaForCausalLM.*blind_mis_ground"),
        (model("hf", "pretrained=text-model"), r"takes text only.*hf-multimodal.*blind_mis_ground"),
        (model("mis-semsam-text", "pretrained=text-model"), "--model mis-semsam,"),
        # servers
        (model("local-chat-completions", "model=x"), "address is missing"),
        (model("local-chat-completions", "base_url=http://127.0.0.1:9/v1"), "name of the server's model is missing"),
        (model("local-chat-completions", "model=x,base_url=http://127.0.0.1:9/v1"), r"does not answer.*refused"),
        (model("local-chat-completions", "model=x,base_url=127.0.0.1:9"), "address is not a URL"),
        (model("openai-chat-completions", "model=gpt-x"), "OPENAI_API_KEY is empty"),
        (
            model("local-chat-completions", "model=x,base_url=http://h/v1,key_env=GEMINI_API_KEY"),
            "GEMINI_API_KEY is empty",
        ),
        (model("azure-openai-chat-completions", "model=x"), "AZURE_OPENAI_API_KEY is empty"),
        # options
        (["my-ground", *CONSTANT, "--task"], "expected at least one argument"),
        (["my-ground", *CONSTANT, "--resum", "x"], "Did you mean --resume"),
        (["my-ground", *CONSTANT, "--styl", "direct"], "Did you mean --style"),
        (["my-ground", *CONSTANT, "--log_samples", "true"], "take no value"),
        (["my-ground", *CONSTANT, "--style", "resoning"], r"invalid choice.*reasoning"),
        (["my-ground", *CONSTANT, "--metadata", '{"stlye": "reasoning"}'], "did you mean 'style'"),
        (["my-ground", *CONSTANT, "--metadata", '{"style": "direct"}', "--style", "native"], "two values of 'style'"),
        (["my-ground", *CONSTANT, "--metadata", "{'style': 1}"], "Invalid JSON"),
        (["my-ground", *CONSTANT, "--batch_size", "2", "--limit", "x"], "invalid float value"),
        (["my-ground", *CONSTANT, "--config", "none.yaml"], r"--config file cannot be read.*none\.yaml"),
        ([*CONSTANT, "my-ground"], "comes first|no task with this name"),
    ],
)
def test_a_mistake_is_told_in_a_sentence(arguments, message):
    before = set(sys.modules)
    with pytest.raises(MISGroundError, match=message) as caught:
        evaluate.main(arguments)
    assert "\n" not in str(caught.value).strip()
    assert not {"lm_eval.evaluator", "lm_eval_tasks.running.watching"} & (set(sys.modules) - before)


def test_the_data_set_may_be_found_by_itself_or_another_be_named(home, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "build.json").write_text("{}")
    with pytest.raises(MISGroundError, match="Put it first: mis-ground eval theirs"):
        checks.check_dataset(None, evaluate.ON_THE_HUB)
    assert checks.check_dataset(str(home / "my-ground"), evaluate.ON_THE_HUB).rows == 2 * 75
    assert checks.check_dataset("user/ground@v1", evaluate.ON_THE_HUB).place == "user/ground@v1"
    monkeypatch.setenv("MIS_GROUND_DATASET", str(home / "my-ground"))
    assert checks.check_dataset(None, evaluate.ON_THE_HUB).rows == 2 * 75


@pytest.mark.parametrize("tasks", [["mis_ground_*"], ["mis_ground"], ["mis_ground_tag_ct", "blind_mis_ground_none"]])
def test_tasks_of_ours_are_known(tasks):
    assert checks.check_tasks(tasks)
    assert checks.has_images(tasks)


def test_tasks_of_others_are_left_to_the_harness():
    assert not checks.check_tasks([BOX, "hellaswag"])
    assert not checks.has_images(["blind_mis_ground", "hellaswag"])


def test_a_mistake_is_refused_fast_and_without_a_traceback(home):
    start = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "dataset_builder.cli.main", "eval", "my-grund", *CONSTANT],
        cwd=home,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[3])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "Did you mean my-ground?" in done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    print(f"{time.monotonic() - start:.1f} s")  # not asserted: machines differ


# --- errors that come later -----------------------------------------------------------------------------------------


class OutOfMemoryError(RuntimeError):
    pass


class GatedRepoError(OSError):
    pass


def chained(outer, inner):
    outer.__cause__ = inner
    return outer


@pytest.mark.parametrize(
    ("error", "context", "message"),
    [
        (OutOfMemoryError("CUDA out of memory. Tried to allocate 20 GiB."), {"batch_size": "16"}, "--batch_size 8"),
        (
            RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"),
            {"batch_size": 1},
            "batch is 1 already",
        ),
        (MemoryError(), {"batch_size": "auto"}, "--batch_size 4"),
        (chained(ValueError("x"), GatedRepoError("403")), {"model_args": {"pretrained": "a/b"}}, r"a/b.*set HF_TOKEN"),
        (OSError("a/b is not a local folder and is not a valid model identifier"), {}, "Check the name"),
        (
            ImportError("Qwen2VLVideoProcessor requires the Torchvision library but"),
            {},
            r"torchvision.*mis-ground\[vlm\]",
        ),
        (ModuleNotFoundError("No module named 'num2words'", name="num2words"), {}, r"pip install 'mis-ground\[vlm\]'"),
        (ModuleNotFoundError("No module named 'vllm'", name="vllm"), {}, "pip install vllm"),
        (
            ImportError("cannot import name 'get_x' from 'accelerate.utils' (/a/b.py)", name="accelerate.utils"),
            {},
            r"installed in a version that another package cannot use.*get_x.*pip install --upgrade accelerate$",
        ),
        (
            ValueError("Attempted to run tasks: ['a'] which require multimodal input"),
            {"model": "hf"},
            "blind_mis_ground",
        ),
        (
            ValueError("Unrecognized configuration class <class 'transformers.models.llama.LlamaConfig'> for this"),
            {"model": "hf-multimodal"},
            "LlamaConfig",
        ),
        (ValueError("Cannot use chat template functions because tokenizer.chat_template is not set"), {}, "Leave out"),
        (
            TypeError("HFLM.__init__() got an unexpected keyword argument 'dtyp'"),
            {"model": "hf", "model_args": {"dtyp": 1}},
            "Did you mean dtype",
        ),
        (AssertionError("Must have a non-None image_token_id to evaluate"), {}, "image_string"),
        (ValueError("Duplicate task names"), {}, "given twice|stopped with an error"),
        (
            RuntimeError("CPU Generator does not use offset"),
            {"model": "vllm-vlm"},
            "max_num_batched_tokens of at least",
        ),
        (
            RuntimeError("Engine core initialization failed. See root cause above. Failed core proc(s): {}"),
            {"model": "vllm"},
            "printed the error itself above",
        ),
        (
            type("EngineDeadError", (Exception,), {})("EngineCore encountered an issue. See stack trace (above)"),
            {"model": "vllm"},
            "printed the error itself above.*VLLM_ENABLE_V1_MULTIPROCESSING=0",
        ),
        (RuntimeError("something\nwith lines"), {}, r"RuntimeError: something\].*MIS_GROUND_TRACEBACK=1"),
    ],
)
def test_errors_of_others_are_told_in_a_sentence(error, context, message):
    with pytest.raises(MISGroundError, match=message) as caught:
        raise as_user_error(error, context)
    assert "\n" not in str(caught.value)


def test_the_packages_that_extras_bring_are_those_of_the_project():
    extras = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text())["project"][
        "optional-dependencies"
    ]
    for extra, packages in EXTRAS.items():
        brought = {re.split(r"[^\w.-]", line)[0].lower() for line in extras[extra]}
        assert set(packages) <= brought | {"tqdm"}, extra


def test_errors_of_semantic_sampling_are_told_as_they_are():
    from semsam.errors import SettingsError

    found = as_user_error(SettingsError("k is too large.", value=9, remedy="take less."), {})
    assert (found.problem, found.value, found.remedy) == ("k is too large.", 9, "take less.")


def test_the_command_prints_no_traceback_of_a_models_error(home, monkeypatch):
    from lm_eval_tasks.running.baselines import ConstantAnswer

    def fail(self, requests, disable_tqdm=False):
        raise OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr(ConstantAnswer, "generate_until", fail)
    with pytest.raises(MISGroundError, match=r"not enough memory.*--batch_size 4"):
        evaluate.main(["my-ground", *CONSTANT, "--limit", "1", "--batch_size", "8", "--output_path", "out"])


def test_a_server_that_answers_passes():
    with ChatServer() as server:
        server_checks.check_server("local-chat-completions", {"model": "x", "base_url": server.url}, {})
