"""Positions and measurements through the harness: an oracle behind a chat server is right in every form.

It sees the images and the text of the requests and nothing else; so questions, instructions, images, readers and scores
agree. It fails as soon as it speaks another form than the declared one.
"""

import io
import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from PIL import Image

from dataset_builder.building.builder import build
from dataset_builder.core.settings import Settings
from dataset_builder.sources import open_source
from lm_eval_tasks.mis_ground.coordinates import FORMS
from lm_eval_tasks.mis_ground.localization import decoded, overlap
from lm_eval_tasks.running import evaluate
from tests.helpers.place_oracle import PlaceServer

LOCATE = "mis_ground_locate_box,mis_ground_locate_point"


@pytest.fixture(scope="module")
def ground(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("answers") / "mis-ground"
    some = {"locate_questions_per_volume": 16, "measure_questions_per_volume": 24, "slices_per_volume": 4}
    build([open_source("phantom:2")], out, Settings(answer_types=("point", "box", "number"), image_size=256, **some))
    for path in (out / "data" / "locate").glob("*.parquet"):
        table = pq.read_table(path)
        images = [_on_blank(row) for row in table.select(["images", "masks", "answer_image"]).to_pylist()]
        at = table.schema.get_field_index("images")
        pq.write_table(
            table.set_column(at, table.schema.field(at), pa.array(images, table.schema.field(at).type)), path
        )
    return out


@pytest.fixture(scope="module")
def stacks(ground, tmp_path_factory) -> Path:
    """Those of the questions for positions that show several images."""
    out = tmp_path_factory.mktemp("stacks") / "mis-ground"
    shutil.copytree(ground, out)
    for path in (out / "data" / "locate").glob("*.parquet"):
        table = pq.read_table(path)
        pq.write_table(table.filter(pc.equal(table["input"], "stack")), path)
    return out


def _on_blank(row: dict) -> list[dict]:
    """The asked structure alone, white on black; of a stack it is large in one image and small in the others."""
    mask = decoded(row["masks"][0])
    small = np.zeros_like(mask)
    small[:2, :2] = True
    right = row["answer_image"] or 0
    found = []
    for number in range(len(row["images"])):
        stream = io.BytesIO()
        Image.fromarray((mask if number == right else small).astype(np.uint8) * 255).save(stream, "PNG")
        found.append({"bytes": stream.getvalue(), "path": None})
    return found


@pytest.fixture(autouse=True)
def _quickly(monkeypatch, tmp_path):
    monkeypatch.setattr("lm_eval.evaluator.add_env_info", lambda results: None)
    monkeypatch.chdir(tmp_path)


def scored(ground: Path, tasks: str, *more: str, speaks: str = "", model: str = "oracle") -> dict:
    """The results file of a run."""
    with PlaceServer(speaks) as server:
        given = f"model={model},base_url={server.url},num_concurrent=4"
        command = [str(ground), "--model", "local-chat-completions", "--model_args", given, "--apply_chat_template"]
        assert evaluate.main([*command, "--tasks", tasks, *more]) == 0
    (path,) = Path("results").rglob("results_*.json")
    found: dict = json.loads(path.read_text())
    return found


def accuracies(results: dict) -> dict[str, float]:
    return {task: scores["acc,none"] for task, scores in results["results"].items() if "acc,none" in scores}


@pytest.mark.parametrize("form", FORMS)
def test_the_oracle_is_right_in_every_form(ground, form):
    results = scored(ground, LOCATE, "--coordinates", form, "--limit", "8")
    assert set(accuracies(results).values()) == {1.0}
    assert results["results"]["mis_ground_locate_box"]["iou,none"] > 0.93
    assert results["configs"]["mis_ground_locate_box"]["metadata"]["coordinates"] == form


@pytest.mark.parametrize("form", ["pixel", "norm1000", "yx1000", "loc1024"])
def test_the_oracle_is_right_on_contact_sheets(stacks, form):
    """All images of a question are panels of one image, and positions are those on it."""
    results = scored(stacks, LOCATE, "--coordinates", form, "--stack", "sheet")
    samples = [json.loads(line) for path in Path("results").rglob("samples_*.jsonl") for line in path.open()]
    assert len(samples) >= 4
    assert all(sample["doc"]["panels"] > 1 for sample in samples)
    assert set(accuracies(results).values()) == {1.0}
    assert all(sample["image_acc"] == 1 for sample in samples)


@pytest.mark.parametrize(
    ("declared", "spoken", "most"),
    # Exchanged axes: boxes near the diagonal of a symmetric body still overlap themselves.
    [("pixel", "norm1000", 0.1), ("norm1000", "norm1", 0.1), ("norm1000", "yx1000", 0.35)],
)
def test_a_wrongly_declared_form_scores_near_nothing(ground, declared, spoken, most):
    results = scored(ground, LOCATE, "--coordinates", declared, "--limit", "12", speaks=spoken)
    assert max(accuracies(results).values()) <= most
    assert min(accuracies(results).values()) < 0.1
    samples = [json.loads(line) for path in Path("results").rglob("samples_*.jsonl") for line in path.open()]
    off_diagonal = [sample for sample in samples if not overlap(*exchanged(sample["doc"]["boxes"][0]))]
    assert len(off_diagonal) >= 8
    assert not any(sample["acc"] for sample in off_diagonal)


def exchanged(box: list[int]) -> tuple[list[int], list[int]]:
    """A box, and what it is with x for y."""
    x0, y0, x1, y1 = box
    return box, [y0, x0, y1, x1]


def test_measurements_are_right_from_images_and_text(ground):
    results = scored(ground, "measure_mis_ground")
    assert {task.rsplit("_", 1)[1] for task in accuracies(results)} >= {"distance", "diameter", "angle"}
    assert set(accuracies(results).values()) == {1.0}
    assert results["results"]["mis_ground_measure_distance"]["mra,none"] > 0.97


def test_the_form_is_taken_from_the_servers_model(ground):
    results = scored(ground, LOCATE, "--coordinates", "auto", "--limit", "4", model="gemini-2.5-flash")
    assert set(accuracies(results).values()) == {1.0}
    metadata = results["configs"]["mis_ground_locate_box"]["metadata"]
    assert metadata["coordinates"] == "yx1000"
    assert metadata["coordinates_from"].startswith("auto: Gemini; https://")
