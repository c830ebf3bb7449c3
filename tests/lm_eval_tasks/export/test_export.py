"""The files for other harnesses, without those: `make test-export` runs each for real."""

import ast
import base64
import csv
import hashlib
import importlib.util
import io
import json
import sys
import tomllib
from fnmatch import fnmatchcase

import datasets
import numpy as np
import pytest
import yaml
from PIL import Image

from dataset_builder.cli.main import app
from dataset_builder.core.errors import MISGroundError
from dataset_builder.core.factors import TEXT_PROMPTS
from dataset_builder.questions.wording import coordinate_phrase, coordinate_scale
from lm_eval_tasks.export import benchmark as shared
from lm_eval_tasks.export import to_inspect, to_vlmevalkit
from lm_eval_tasks.export.benchmark import Benchmark, expanded
from lm_eval_tasks.export.write import HARNESSES, export
from lm_eval_tasks.generate import groups, leaves
from lm_eval_tasks.mis_ground.metrics import process_results
from lm_eval_tasks.mis_ground.prompts import doc_to_text
from lm_eval_tasks.mis_ground.settings import RunSettings
from tests.helpers.tiny_dataset import write_dataset

csv.field_size_limit(sys.maxsize)

SETTINGS = {"letters": True, "stack": "sheet", "coordinates": "norm1000"}


class Loader(yaml.SafeLoader):
    """Reads `!function utils.name` as the name."""


Loader.add_constructor("!function", lambda loader, node: loader.construct_scalar(node))


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    def worded(row):
        if row["prompt"] not in TEXT_PROMPTS:
            return row
        places = zip("AB", row["boxes"], row["points"], strict=True)
        said = [coordinate_scale(64), *(coordinate_phrase(row["prompt"], *place) for place in places)]
        return row | {"question": " ".join([*said, row["question"]])}

    return write_dataset(tmp_path_factory.mktemp("data") / "mis-ground", 2, ("ct",), worded)


@pytest.fixture(scope="module")
def benchmark(dataset):
    return Benchmark(str(dataset), RunSettings.from_metadata(SETTINGS))


@pytest.fixture(scope="module")
def exported(dataset, tmp_path_factory):
    """The folder of each harness."""
    folder = tmp_path_factory.mktemp("exported")
    for harness in HARNESSES:
        export(str(dataset), harness, folder / harness, SETTINGS)
    return folder


def pixels(image):
    return np.asarray(image.convert("RGB"))


# ----------------------------------------------------------------------------------------------------- what all share


def test_tasks_without_questions_are_left_out_and_groups_and_tags_name_their_tasks(benchmark):
    names = {leaf.name for leaf in benchmark.tasks}
    assert not {name for name in names if "mri" in name or "locate" in name}
    assert {leaf.name for leaf in benchmark.choose("mis_ground_tag_box, blind_mis_ground")} == {
        *(name for name in names if name.endswith("al_box")),
        *(name for name in names if name.startswith("blind_")),
    }
    assert set(expanded("mis_ground")) == {leaf.name for leaf in leaves() if {"slice", "stack"} & {*leaf.tags}}
    with pytest.raises(MISGroundError, match="locate_mis_ground"):
        benchmark.choose("locate_mis_ground")


def test_settings_go_through_the_file(exported, benchmark):
    for harness in HARNESSES:
        folder = exported / harness if harness == "vlmevalkit" else exported / harness / "mis_ground"
        assert Benchmark.of(folder) == benchmark
        assert Benchmark.of(folder, coordinates="percent", letters=None).settings.coordinates == "percent"
        assert (
            "Apache License"
            in (exported / "inspect/LICENSE" if harness == "inspect" else folder / "LICENSE").read_text()
        )
        readme = (folder / "README.md").read_text()
        assert str(benchmark.place) not in readme
        assert "{{" not in readme


def test_a_document_by_its_id_is_that_of_its_task(benchmark):
    for leaf in benchmark.choose("mis_ground_stack_ct_axial,mis_ground_ct_axial_directional_text_point"):
        for document in benchmark.documents(leaf):
            same = benchmark.document(document["id"])
            assert shared.without_images(same) == shared.without_images(document)
            assert benchmark.prompt(same) == doc_to_text(document, benchmark.settings).split("\n", 1)[1]


# ------------------------------------------------------------------------------------------------------------ Inspect


def test_inspect_files_state_the_tasks(exported, benchmark):
    folder = exported / "inspect/mis_ground"
    tree = ast.parse((folder / "mis_ground.py").read_text())
    tasks = {
        node.name: ast.literal_eval(node.args.defaults[0])
        for node in tree.body
        if isinstance(node, ast.FunctionDef) and any(ast.unparse(each) == "task" for each in node.decorator_list)
    }
    assert tasks == {name: wanted for name, (wanted, _) in to_inspect.TASKS.items()}
    names = {alias.name for node in ast.parse((folder / "__init__.py").read_text()).body[:1] for alias in node.names}
    assert names == set(tasks)
    listed = yaml.safe_load((folder / "eval.yaml").read_text())
    assert {task["name"]: task["dataset_samples"] for task in listed["tasks"]} == {
        name: benchmark.count(benchmark.choose(wanted))
        for name, wanted in tasks.items()
        if name in ("mis_ground", "mis_ground_controls", "mis_ground_blind")
    }
    entries = [yaml.safe_load(path.read_text()) for path in sorted((exported / "inspect/register").glob("*/eval.yaml"))]
    assert sorted(each["name"] for entry in entries for each in entry["tasks"]) == sorted(
        each["name"] for each in listed["tasks"]
    )
    for entry in entries:  # the register takes one task an entry, of which it is told where it is
        [task] = entry["tasks"]
        assert (exported / "inspect" / task.pop("task_path")).is_file()
        assert task in listed["tasks"]
        assert "\n" not in entry["description"]
        assert set(entry["source"]) == {"repository_url", "repository_commit", "maintainers"}
    project = tomllib.loads((exported / "inspect/pyproject.toml").read_text())["project"]
    assert project["entry-points"]["inspect_ai"] == {"mis_ground": "mis_ground"}
    assert (exported / "inspect" / project["readme"]).is_file()
    covered = {pattern for wanted in tasks.values() for name in wanted.split(",") for pattern in expanded(name)}
    assert all(any(fnmatchcase(leaf.name, pattern) for pattern in covered) for leaf in leaves())


# ---------------------------------------------------------------------------------------------------------- lmms-eval


def test_lmms_eval_tasks_ask_the_same(exported, benchmark, dataset):
    folder = exported / "lmms-eval/mis_ground"
    spec = importlib.util.spec_from_file_location("utils_of_lmms_eval", folder / "utils.py")
    utils = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(utils)
    files = {path.stem: yaml.load(path.read_text(), Loader) for path in folder.glob("*.yaml")}
    files.pop("settings")
    template = yaml.load((folder / "_default_template_yaml").read_text(), Loader)
    rows = datasets.load_dataset(template["dataset_path"], **template["dataset_kwargs"])[template["test_split"]]
    tasks = {name: template | file for name, file in files.items() if "process_docs" in file}
    assert set(tasks) == {leaf.name for leaf in benchmark.tasks}
    assert set(files) - set(tasks) == {"mis_ground", "blind_mis_ground"}
    assert all(member.startswith(("mis_ground_tag", "blind")) for name in groups() for member in groups()[name])
    for leaf in benchmark.choose("mis_ground_stack_ct_axial,blind_mis_ground_none,mis_ground_ct_axial_*_text_point"):
        config = tasks[leaf.name]
        named = {key: value for key, value in config.items() if str(value).startswith("utils.")}
        found = {key: getattr(utils, value.removeprefix("utils.")) for key, value in named.items()}
        docs = found["process_docs"](rows)
        documents = list(benchmark.documents(leaf))
        assert docs["id"] == [document["id"] for document in documents]
        for doc, document in zip(docs, documents, strict=True):
            assert found["doc_to_text"](doc) == benchmark.prompt(document)
            images = found["doc_to_visual"](doc)
            assert len(images) == len(document.get("images", []))
            for image, expected in zip(images, document.get("images", []), strict=True):
                assert np.array_equal(np.asarray(image), pixels(expected))
            for reply in ("right", "A", "B", "I cannot tell."):
                scores = found["process_results"](doc, [reply])
                assert scores["acc"].pop("cluster") == "hand/0"
                expected = process_results(document, [reply])
                if not document["pair_id"]:  # left out of the share of pairs either way
                    expected.pop("pair_acc", None)
                assert scores | {"acc": scores["acc"]["score"]} == expected
                assert set(scores) <= {each["metric"] for each in config["metric_list"]}


# --------------------------------------------------------------------------------------------------------- VLMEvalKit


def test_vlmevalkit_tables_have_the_same_images_and_prompts(exported, benchmark):
    folder = exported / "vlmevalkit"
    tree = ast.parse((folder / "vlmeval/dataset/mis_ground.py").read_text())
    urls = [
        ast.literal_eval(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "DATASET_URL"
    ]
    assert {name for each in urls for name in each} == set(to_vlmevalkit.DATA_SETS)
    assert {path.stem for path in (folder / "LMUData").iterdir()} == {
        "MISGround",
        "MISGround_controls",
        "MISGround_blind",
    }
    for path in (folder / "LMUData").iterdir():
        with path.open(encoding="utf-8", newline="") as file:
            lines = list(csv.DictReader(file, dialect="excel-tab"))
        documents = [d for leaf in to_vlmevalkit.chosen(benchmark, path.stem) for d in benchmark.documents(leaf)]
        assert [line["index"] for line in lines] == [str(number) for number in range(len(documents))]
        assert [line["id"] for line in lines] == [document["id"] for document in documents]
        for line, document in zip(lines, documents, strict=True):
            assert line["question"] == benchmark.prompt(document)
            about = json.loads(line["document"])
            assert about | {"task": None} == shared.without_images(document) | {"task": None}
            if path.stem != "MISGround_blind":
                data = base64.b64decode(line["image"])
                assert np.array_equal(pixels(Image.open(io.BytesIO(data))), pixels(document["images"][0]))
                assert line["image_path"] == f"{hashlib.sha256(data).hexdigest()[:32]}.png"
            assert ("image" in line) == (path.stem != "MISGround_blind")


def test_several_images_of_a_stack_are_a_list(dataset, tmp_path):
    benchmark = Benchmark(str(dataset), RunSettings())
    to_vlmevalkit.write_table(tmp_path / "t.tsv", benchmark, benchmark.choose("mis_ground_stack_ct_axial"))
    with (tmp_path / "t.tsv").open(encoding="utf-8", newline="") as file:
        lines = list(csv.DictReader(file, dialect="excel-tab"))
    assert {len(json.loads(line[column])) for line in lines for column in ("image", "image_path")} == {2}


# ----------------------------------------------------------------------------------------------------------- command


def test_the_command_refuses_what_it_cannot_use_and_replaces_only_its_own(dataset, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/file").touch()
    with pytest.raises(MISGroundError, match=r"did not write.*mine.*file"):
        export(str(dataset), "inspect", tmp_path / "mine", {})
    with pytest.raises(MISGroundError, match="no data set"):
        export(str(tmp_path / "nothing"), "inspect", tmp_path / "out", {})
    with pytest.raises(MISGroundError, match="'coordinates' is 'inches'"):
        export(str(dataset), "inspect", tmp_path / "out", {"coordinates": "inches"})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine"]

    out = tmp_path / "out"
    export(str(dataset), "inspect", out, {})
    export(str(dataset), "inspect", out, {"letters": True})
    assert yaml.safe_load((out / "mis_ground/settings.yaml").read_text())["letters"]
    with (out / "mis_ground/settings.yaml").open("a") as file:
        file.write("style: native\n")
    with pytest.raises(MISGroundError, match=r"settings.yaml \(changed since"):
        export(str(dataset), "inspect", out, {})
    assert "native" in (out / "mis_ground/settings.yaml").read_text()


def test_the_command_takes_the_coordinates_of_the_models_family(dataset, tmp_path):
    from typer.testing import CliRunner

    arguments = ["--to", "inspect", "--out", str(tmp_path / "out"), "--coordinates", "auto", "--model", "Qwen3-VL-8B"]
    done = CliRunner().invoke(app, ["export", str(dataset), *arguments])
    assert done.exit_code == 0, done.output
    assert "Next: inspect eval" in done.output
    settings = yaml.safe_load((tmp_path / "out/mis_ground/settings.yaml").read_text())
    assert settings["coordinates"] == "norm1000"
    assert settings["coordinates_from"].startswith("auto: Qwen3-VL")
