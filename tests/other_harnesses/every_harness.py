"""The same models asked by four harnesses, each for real: the same requests, answers and scores, question by question.

``make test-export`` runs it, in an environment for each harness. VLMEvalKit is tried where VLMEVALKIT names the folder
of its repository.
"""

import csv
import json
import math
import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lm_eval_tasks.export.benchmark import Benchmark, expanded
from lm_eval_tasks.export.to_inspect import TASKS
from lm_eval_tasks.export.to_vlmevalkit import DATA_SETS
from lm_eval_tasks.export.write import export
from lm_eval_tasks.generate import TAG, groups
from lm_eval_tasks.mis_ground.coordinates import Space
from lm_eval_tasks.mis_ground.metrics import PLACE_METRICS
from tests.other_harnesses.answering import AnsweringServer, key_of

ROOT = Path(__file__).parents[2]
PYTHONS = {
    "lm-eval": sys.executable,
    "inspect": os.environ.get("INSPECT_PYTHON", ""),
    "lmms-eval": os.environ.get("LMMS_EVAL_PYTHON", ""),
    "vlmevalkit": os.environ.get("VLMEVALKIT_PYTHON", ""),
}
VLMEVALKIT = os.environ.get("VLMEVALKIT", "")
SCORES = ("acc", "invalid", "refused", "truncated", "unread", *dict.fromkeys(sum(PLACE_METRICS.values(), ())))
CONTROLS = ("blank_box", "view_mirrored", "view_occluded", "view_swapped", "statement_name", "options_yes_no")
"""Tasks outside the headline, one of each kind, that the data set must have."""
FOR_AN_EMPTY_REPLY = "Failed to obtain answer via API."
"""What VLMEvalKit stores for one, as if the request had failed."""
NO_REASON = ("lmms-eval", "vlmevalkit")
"""Harnesses that do not say why a reply ended."""

SETTINGS: dict[str, dict[str, Any]] = {
    "as they are": {},
    "other settings": {"letters": True, "stack": "sheet", "coordinates": "norm1000", "style": "reasoning"},
}

Asked = dict[str, dict[str, Any]]
"""What a harness logged of each question, by task and id: ``reply`` and scores."""


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Questions of every kind about two phantoms of each modality: a swapped slice is another subject's."""
    folder = tmp_path_factory.mktemp("data") / "mis-ground"
    arguments = ["--source", "phantom:4", "--answer-types", "choice,point,box,number", "--image-size", "128"]
    arguments += ["--questions-per-volume", "14", "--locate-questions-per-volume", "12"]
    arguments += ["--measure-questions-per-volume", "6", "--out", folder]
    run("lm-eval", "-m", "dataset_builder.cli.main", "build", *arguments, cwd=folder.parent)
    return folder


@pytest.fixture(scope="module", params=list(SETTINGS))
def benchmark(request: pytest.FixtureRequest, dataset: Path) -> Benchmark:
    """The data set with settings."""
    from lm_eval_tasks.mis_ground.settings import RunSettings

    return Benchmark(str(dataset), RunSettings.from_metadata(SETTINGS[request.param]))


@pytest.fixture(scope="module", params=["talker", "small"])
def model(request: pytest.FixtureRequest) -> str:
    """One that answers in many ways, and a real one."""
    return str(request.param)


def truths(benchmark: Benchmark) -> dict[str, str]:
    """Right positions and numbers, by the prompt; the image is the first of several where it is asked for."""
    found = {}
    for leaf in benchmark.tasks:
        for document in benchmark.documents(leaf) if leaf.answer_type != "choice" else ():
            if leaf.answer_type == "number":
                answer = f"{document['value']:g}"
            else:
                space, image = Space.from_json(document["coordinates"]), document["answer_image"] or 0
                box, point = document["boxes"][0], document["points"][0]
                answer = space.write_box(box, image) if leaf.answer_type == "box" else space.write_point(point, image)
                answer = answer if document["answer_image"] is None else f"image {image + 1}: {answer}"
            found[benchmark.prompt(document)] = answer
    return found


def run(name: str, *arguments: object, cwd: Path, **environment: str) -> str:
    """Run Python code of a harness's environment; returns what it printed."""
    settings = {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "MIS_GROUND_CACHE": str(cwd / "cache"), "PYTHONPATH": ""}
    command = [PYTHONS[name], *map(str, arguments)]
    done = subprocess.run(
        command, cwd=cwd, env=os.environ | settings | environment, capture_output=True, text=True, check=False
    )
    printed = f"{' '.join(command)}\n{done.stdout[-3000:]}\n{done.stderr[-6000:]}"
    assert done.returncode == 0, printed
    return printed


def ask_lm_eval(benchmark: Benchmark, url: str, model: str, folder: Path) -> Asked:
    """The harness that the tasks were made for."""
    where = f"base_url={url},model={model},num_concurrent=4"
    tasks = ",".join(leaf.name for leaf in benchmark.tasks)
    settings = json.dumps(benchmark.settings.as_dict() | {"dataset": benchmark.place})
    arguments = ["--model", "local-chat-completions", "--model_args", where, "--tasks", tasks, "--log_samples"]
    arguments += ["--output_path", "out", "--metadata", settings, "--apply_chat_template"]
    run("lm-eval", "-m", "dataset_builder.cli.main", "eval", *arguments, cwd=folder)
    found: Asked = {}
    for path in folder.glob("out/**/samples_*.jsonl"):
        task = path.name.removeprefix("samples_").rsplit("_", 1)[0]
        for sample in map(json.loads, path.read_text(encoding="utf-8").splitlines()):
            found[f"{task}/{sample['doc']['id']}"] = sample | {"reply": sample["resps"][0][0]}
    return found


def ask_inspect(benchmark: Benchmark, url: str, model: str, folder: Path) -> Asked:
    """Inspect, all of its tasks."""
    export(benchmark.place, "inspect", folder / "files", benchmark.settings.as_dict())
    arguments = ["files/mis_ground/mis_ground.py", "--model", f"openai-api/local/{model}"]
    arguments += ["--log-dir", "logs", "--log-format", "json", "--display", "none", "--no-log-images"]
    run("inspect", "-m", "inspect_ai", "eval", *arguments, cwd=folder, LOCAL_BASE_URL=url, LOCAL_API_KEY="none")
    found: Asked = {}
    logs = [json.loads(path.read_text(encoding="utf-8")) for path in folder.glob("logs/*.json")]
    assert {log["eval"]["task"] for log in logs} <= set(TASKS)
    for log in logs:
        assert log["status"] == "success"
        for sample in log["samples"]:
            parts = sample["output"]["choices"][0]["message"]["content"]
            reply = parts if isinstance(parts, str) else "".join(part.get("text", "") for part in parts)
            values = {name: value for name, value in sample["scores"]["mis_ground"]["value"].items() if _real(value)}
            found[sample["id"]] = values | {"reply": reply}
    return found


def ask_lmms_eval(benchmark: Benchmark, url: str, model: str, folder: Path) -> Asked:
    """lmms-eval, by its groups and patterns."""
    export(benchmark.place, "lmms-eval", folder / "files", benchmark.settings.as_dict())
    where = f"model_version={model},base_url={url},num_concurrent=4,timeout=300"
    grouped = {name for group in groups() for name in expanded(group)}
    others = dict.fromkeys(leaf.tags[0] for leaf in benchmark.tasks if leaf.name not in grouped)
    tasks = ",".join([*groups(), *(f"{TAG}{tag}" for tag in others)])
    arguments = ["--include_path", folder / "files", "--tasks", tasks, "--model", "openai", "--model_args", where]
    arguments += ["--log_samples", "--output_path", "out", "--batch_size", "1"]
    printed = run("lmms-eval", "-m", "lmms_eval", *arguments, cwd=folder, OPENAI_API_KEY="none")
    assert "Error during evaluation" not in printed, printed  # it ends with status 0 all the same
    found: Asked = {}
    for path in folder.glob("out/**/*_samples_*.jsonl"):
        (leaf,) = benchmark.choose(path.stem.split("_samples_")[1])
        identities = [document["id"] for document in benchmark.documents(leaf)]
        for sample in map(json.loads, path.read_text(encoding="utf-8").splitlines()):
            about = {"reply": sample["filtered_resps"], "acc": sample["acc"]["score"]}
            found[f"{leaf.name}/{identities[sample['doc_id']]}"] = sample | about
    return found


def ask_vlmevalkit(benchmark: Benchmark, url: str, model: str, folder: Path) -> Asked:
    """VLMEvalKit, all data sets; its server reads the images as files, for it sends none but as JPEG."""
    export(benchmark.place, "vlmevalkit", folder / "files", benchmark.settings.as_dict())
    names = [name for name in DATA_SETS if (folder / f"files/LMUData/{name}.tsv").is_file()]
    arguments = [folder / "files/run_mis_ground.py", VLMEVALKIT, "--data", *names, "--model", f"{model}"]
    arguments += ["--base-url", url, "--local-media", "--work-dir", folder / "out", "--api-nproc", "4"]
    run("vlmevalkit", *arguments, cwd=folder)
    found: Asked = {}
    for path in folder.glob("out/**/*_scores.csv"):
        with path.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                numbers = {name: float(row[name]) for name in SCORES if row.get(name)}
                reply = "" if row["prediction"] == FOR_AN_EMPTY_REPLY else row["prediction"]
                found[f"{row['task']}/{row['id']}"] = numbers | {"reply": reply}
    return found


ASK: dict[str, Callable[[Benchmark, str, str, Path], Asked]] = {
    "lm-eval": ask_lm_eval,
    "inspect": ask_inspect,
    "lmms-eval": ask_lmms_eval,
    "vlmevalkit": ask_vlmevalkit,
}


@pytest.fixture(scope="module")
def asking(
    benchmark: Benchmark, model: str, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], tuple[Asked, set[tuple[str, ...]]]]:
    """Asks once with each harness: what it logged, and what the server saw."""
    known: dict[str, tuple[Asked, set[tuple[str, ...]]]] = {}

    def ask(name: str) -> tuple[Asked, set[tuple[str, ...]]]:
        if name not in known:
            with AnsweringServer(truths(benchmark)) as server:
                asked = ASK[name](benchmark, server.url, model, tmp_path_factory.mktemp(name))
                known[name] = asked, server.seen
        return known[name]

    return ask


@pytest.mark.parametrize("name", ["inspect", "lmms-eval", "vlmevalkit"])
def test_the_same_requests_answers_and_scores(name, asking, benchmark, model):
    if name == "vlmevalkit" and not VLMEVALKIT:
        pytest.skip("VLMEvalKit is not tried: name the folder of its repository, make test-export VLMEVALKIT=DIR")
    if not PYTHONS[name]:
        pytest.skip(f"no environment for {name}")
    ours, our_requests = asking("lm-eval")
    theirs, their_requests = asking(name)

    assert len(ours) == benchmark.count(benchmark.tasks) > 200
    assert {f"mis_ground_{name}" for name in CONTROLS} <= {leaf.name for leaf in benchmark.tasks}
    expected = {f"{leaf.name}/{d['id']}" for leaf in benchmark.tasks for d in benchmark.documents(leaf)}
    assert set(ours) == set(theirs) == expected
    documents = [document for leaf in benchmark.tasks for document in benchmark.documents(leaf)]
    requests = {
        key_of(benchmark.prompt(each), [i.convert("RGB") for i in each.get("images", [])]) for each in documents
    }
    assert their_requests == requests
    assert our_requests >= requests  # mis-ground eval also asks whether the server takes and sees images

    different = defaultdict(list)
    for question, one in ours.items():
        for score in ("reply", *SCORES):
            a, b = one.get(score), theirs[question].get(score)
            if not _equal(a, b):
                different[score].append((question, a, b, one["reply"]))
    if name in NO_REASON:
        for score in ("truncated", "unread"):
            assert all("I can see the" in reply for *_, reply in different.pop(score, []))
    assert not different
    if model == "talker":
        assert {_kind(one) for one in ours.values()} == {"right", "wrong", "refused", "truncated", "unread"}


def test_what_is_written_for_inspect_passes_its_own_tests(benchmark, tmp_path):
    if not PYTHONS["inspect"]:
        pytest.skip("no environment for inspect")
    export(benchmark.place, "inspect", tmp_path / "files", benchmark.settings.as_dict())
    run("inspect", "-m", "pytest", cwd=tmp_path / "files", MIS_GROUND_CACHE=str(tmp_path / "cache"))


def _kind(one: dict[str, Any]) -> str:
    for status in ("refused", "truncated", "unread"):
        if one[status]:
            return status
    return "right" if one["acc"] else "wrong"


def _equal(one: Any, other: Any) -> bool:
    if isinstance(one, str) or isinstance(other, str):  # Inspect and lmms-eval log an answer without its thinking
        return str(one).rpartition("</think>")[2].strip() == str(other).rpartition("</think>")[2].strip()
    if one is None or other is None:
        return one is None and other is None
    return math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-9)


def _real(value: Any) -> bool:
    return isinstance(value, int | float) and not math.isnan(value)
