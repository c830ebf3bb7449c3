"""Boxes, points and measurements in the report, in sample files scored again, and on the page."""

import csv
import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from pycocotools import mask as coco
from rich.console import Console

from lm_eval_tasks.mis_ground.metrics import process_results
from lm_eval_tasks.report.contents import contents, schema
from lm_eval_tasks.report.items import Sheet
from lm_eval_tasks.report.page import _card
from lm_eval_tasks.report.position_page import positions_part
from lm_eval_tasks.report.positions import positions
from lm_eval_tasks.report.rescore import rescore
from lm_eval_tasks.report.runs import read_runs
from lm_eval_tasks.report.tables import tables
from lm_eval_tasks.report.terminal import show
from tests.helpers.json_schema import complaints

MASK = np.zeros((64, 64), dtype=np.uint8)
MASK[10:20, 30:50] = 1
FOUND = coco.encode(np.asfortranarray(MASK))
RLE = {"size": list(FOUND["size"]), "counts": FOUND["counts"].decode()}

TASKS = {"box": "mis_ground_locate_box", "point": "mis_ground_locate_point", "number": "mis_ground_measure_distance"}


def question(kind: str, number: int) -> dict:
    structure = ("liver", "spleen", "aorta")[number % 3]
    volume = number % 4 if structure != "aorta" else 0  # the aorta is in one volume only
    doc = {
        "id": f"{kind}-{number}",
        "question": f"Where is the {structure}? ({number})",
        "options": [],
        "answer": "[30, 10, 50, 20]" if kind == "box" else "[40, 15]" if kind == "point" else "40 mm",
        "answer_type": kind,
        "answer_image": None,
        "relation": "distance" if kind == "number" else "",
        "terminology": "anatomical" if number % 2 else "relational",
        "prompt": "none",
        "view": "plain",
        "input": "slice",
        "register": "clinical",
        "structures": [structure],
        "boxes": [[30, 10, 50, 20]],
        "points": [[40, 15]],
        "masks": [RLE],
        "pixel_mm": 2.0,
        "pair_id": "",
        "paired": False,
        "source": "phantom",
        "subject": f"volume{volume}",
        "version": "2.1.0",
    }
    if kind == "number":
        return doc | {"unit": "mm", "value": 40.0, "tolerance": 4.0, "prior": {"value": 50.0}}
    space = {"form": "pixel", "width": 64, "height": 64}
    return doc | {"coordinates": space, "prior": {"box": [30, 10, 50, 30], "random": [0, 0, 64, 64], "image": None}}


def reply(kind: str, number: int) -> str:
    if number % 8 == 7:
        return "I cannot tell."
    shift = number % 3
    if kind == "number":
        return f"{40 + 3 * shift} mm"
    return f"[{30 + 4 * shift}, 10, {50 + 4 * shift}, 20]" if kind == "box" else f"[{40 + 8 * shift}, 15]"


@pytest.fixture(scope="module")
def results(tmp_path_factory) -> Path:
    """The files of a run on 24 questions of each kind, and 8 with options."""
    folder = tmp_path_factory.mktemp("positions")
    date = "2026-01-01T00-00-00.000001"
    choice = question("choice", 0) | {"options": ["left", "right"], "answer": "left", "answer_type": "choice"}
    rows = {task: [(question(kind, n), reply(kind, n)) for n in range(24)] for kind, task in TASKS.items()}
    leaf = "mis_ground_ct_axial_relational_none"
    rows[leaf] = [(choice | {"id": f"choice-{n}", "masks": []}, "left") for n in range(8)]
    found: dict = {
        "results": {},
        "configs": {},
        "versions": {},
        "config": {"model": "m", "model_args": {}},
        "date": 1.0,
    }
    for task, answered in rows.items():
        lines = []
        for doc, said in answered:
            scores = process_results(doc, [said])
            sample = {"doc": doc, "filtered_resps": [said], "arguments": {"gen_args_0": {"arg_0": doc["question"]}}}
            lines.append(json.dumps(sample | scores))
        (folder / f"samples_{task}_{date}.jsonl").write_text("\n".join(lines) + "\n")
        found["results"][task] = {"alias": task, "sample_len": len(lines), "acc,none": 0.0}
        found["configs"][task] = {"metadata": {"reader": "2.0", "coordinates": "pixel"}}
        found["versions"][task] = 2.0
    (folder / f"results_{date}.json").write_text(json.dumps(found))
    return folder


def test_each_kind_has_numbers_of_its_own_and_the_headline_is_of_options(results):
    reading = read_runs([str(results)])
    report = contents(reading)
    assert list(complaints(report, schema(), schema())) == []
    (run,) = report["runs"]
    assert run["scores"][0]["items"] == 8
    assert run["scores"][0]["accuracy"]["value"] == 1
    by_kind = {each["kind"]: each for each in run["positions"]}
    assert set(by_kind) == {"box", "point", "mm"}
    box = by_kind["box"]["scores"][0]
    assert (box["items"], box["volumes"]) == (24, 4)
    assert box["invalid"]["value"] == 3 / 24
    own = [answer.scores for answer in run_answers(reading, "box")]
    assert box["score"]["value"] == pytest.approx(np.mean([each["iou"] for each in own]), abs=1e-4)
    assert box["accuracy"]["value"] == pytest.approx(np.mean([each["acc"] for each in own]), abs=1e-4)
    assert box["accuracy"]["method"] == "t by volume"
    assert (box["prior_accuracy"], box["prior_score"]) == (1.0, 0.5)
    assert box["errors"]["median"] == 8.0  # 4 pixels of 2 mm
    assert sum(by_kind["box"]["histogram"]["counts"]) == 21
    assert by_kind["mm"]["scores"][0]["errors"]["median"] == pytest.approx(0.075)
    assert by_kind["mm"]["scores"][0]["prior_accuracy"] == 0
    assert len(by_kind["mm"]["said_against_true"]) == 21
    assert all(true == 40 for true, _ in by_kind["mm"]["said_against_true"])


def run_answers(reading, kind):
    return [answer for answer in reading.runs[0].answers.values() if answer.kind == kind]


def test_of_positions_alone_no_chance_is_said(results, tmp_path):
    """Without options there is none: the mean of the other volumes stands beside them."""
    shutil.copytree(results, tmp_path / "alone")
    leaf = "mis_ground_ct_axial_relational_none"
    (samples,) = (tmp_path / "alone").glob(f"samples_{leaf}_*.jsonl")
    samples.unlink()
    (path,) = (tmp_path / "alone").glob("results_*.json")
    found = json.loads(path.read_text())
    path.write_text(json.dumps({key: drop(part, leaf) for key, part in found.items()}))
    report = contents(read_runs([str(tmp_path / "alone")]))
    (run,) = report["runs"]
    assert run["scores"][0]["items"] == 72
    assert "chance" not in _card(run)
    assert "chance" in _card(contents(read_runs([str(results)]))["runs"][0])
    console = Console(width=200, record=True, file=io.StringIO())
    show(report, console)
    (line,) = (line for line in console.export_text().splitlines() if line.startswith("│ chance"))
    assert line.strip("│ ").split() == ["chance", "│", "-"]


def drop(part, name):
    return {key: value for key, value in part.items() if key != name} if isinstance(part, dict) else part


def test_a_structure_of_one_volume_is_never_among_the_worst(results):
    reading = read_runs([str(results)])
    for each in positions(Sheet(reading.runs[0], reading.questions)):
        assert set(each["worst"]) == {"liver", "spleen"}
        assert {tuple(score["value"]) for score in each["scores"] if score["by"] == ["structure"]} >= {("aorta",)}


def test_the_page_shows_them(results):
    report = contents(read_runs([str(results)]))
    part = positions_part(report)
    for words in ("Boxes", "Points", "Lengths", "mean intersection over union", "mean of the other volumes", "on it"):
        assert words in part
    assert "aorta" not in part.split("structures with the lowest")[1].split("</table>")[0]
    assert part.count("<figure") == 1
    assert positions_part({"runs": [report["runs"][0] | {"positions": []}]}) == ""


def test_the_terminal_and_the_tables_have_them(results):
    reading = read_runs([str(results)])
    report = contents(reading)
    console = Console(width=200, record=True, file=io.StringIO())
    show(report, console)
    printed = console.export_text()
    assert all(words in printed for words in ("Positions and measurements", "boxes", "points", "lengths"))
    files = tables(report, reading)
    rows = list(csv.DictReader(io.StringIO(files["positions.csv"])))
    assert {row["kind"] for row in rows} == {"box", "point", "mm"}
    items = {row["id"]: row for row in csv.DictReader(io.StringIO(files["items.csv"]))}
    assert items["box-0"]["iou"] == "1.0"
    assert items["number-0"]["said"] == "40 mm"
    assert items["choice-0"]["iou"] == ""


def test_runs_with_other_coordinates_are_not_compared_as_one(results, tmp_path):
    (path,) = results.glob("results_*.json")
    other = json.loads(path.read_text())
    for config in other["configs"].values():
        config["metadata"]["coordinates"] = "norm1000"
    for each in results.iterdir():
        (tmp_path / each.name).write_text(each.read_text() if each != path else json.dumps(other))
    reading = read_runs([str(results), str(tmp_path)])
    assert len(reading.runs) == 2
    assert "coordinates=norm1000" in reading.runs[1].name + reading.runs[0].name


def test_scoring_again_gives_the_same_numbers(results, tmp_path):
    for each in results.iterdir():
        (tmp_path / each.name).write_text(each.read_text())
    (done,) = rescore([tmp_path], again=True)
    assert done.answers == 80
    assert not done.changes
    made = json.loads(done.new.read_text())["results"]["mis_ground_locate_box"]
    own = [process_results(question("box", n), [reply("box", n)]) for n in range(24)]
    assert made["iou,none"] == pytest.approx(np.mean([each["iou"] for each in own]))
    assert made["centre_mm,none"] == 8.0
    assert made["prior_iou,none"] == 0.5
    assert "mra,none" not in made
