"""The small model's training: what it is told is true, and a run that was stopped goes on as if it had not been."""

import importlib
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from dataset_builder.core.settings import Settings
from dataset_builder.pictures.placement import placements
from dataset_builder.slices.store import store_volume
from dataset_builder.sources import open_source
from lm_eval_tasks.small_vlm import training
from lm_eval_tasks.small_vlm.training import bars
from lm_eval_tasks.small_vlm.training.held_out import held_out_slices
from tests.helpers.harness_files import row as question_row
from tests.helpers.harness_files import write_run

KNEE = 1
"""Number of a phantom that is a knee: small, so that it is made soon."""


@pytest.fixture(scope="module")
def scripts():
    """The modules of the training by name."""
    names = ("items", "prepare", "batches", "model", "team", "train", "muon", "export")
    return SimpleNamespace(**{name: importlib.import_module(f"{training.__name__}.{name}") for name in names})


@pytest.fixture(scope="module")
def folder(scripts, tmp_path_factory):
    """Items about two knees of the training split; the first is watched."""
    place = tmp_path_factory.mktemp("small-vlm")
    source = open_source("phantom:12", split="train")
    knees = [case for case in source.cases() if case.subject.startswith("knee")][:2]
    for case in knees:
        store_volume(source, case, Settings(slices_per_volume=3, stacks_per_volume=2), place / "store")
    scripts.prepare.prepare(place / "store", place / "items")
    return place


def test_the_midline_lies_between_the_kidneys_and_lungs(scripts):
    """In every convention: half way between the two of a pair, give or take what bodies differ by."""
    checked = 0
    for record in held_out_slices():
        for convention in ("radiological", "ras"):
            where = placements(record, convention, 512)
            for left in (name for name in where if name.endswith("_left") and f"{name[:-5]}_right" in where):
                boxes = (where[left].box, where[f"{left[:-5]}_right"].box)
                middles = sum((box[0] + box[2]) / 2 for box in boxes) / 2 / 512
                middle = scripts.items.midline_in(record, convention)
                if record.plane != "sagittal":
                    assert abs(middle - middles) < 0.15
                    checked += 1
                else:
                    assert np.isnan(middle)
    assert checked > 10


def test_items_say_what_their_pictures_show(scripts, folder):
    import json

    notes = [json.loads(path.read_text()) for path in sorted((folder / "items").glob("*.json"))]
    arrays = [np.load(path) for path in sorted((folder / "items").glob("*.npz"))]
    stacks = 0
    for of_volume, fields in zip(notes, arrays, strict=True):
        for row, note in enumerate(of_volume):
            letters = int(np.count_nonzero(fields["marked"][row]))
            first, largest, last = fields["images"][row].T
            if note["kind"] != "stack":
                assert np.all(fields["images"][row] == -1)
                assert letters == np.count_nonzero(~np.isnan(fields["places"][row, :, 0]))
                continue
            stacks += 1
            assert np.all((first[:letters] <= largest[:letters]) & (largest[:letters] <= last[:letters]))
            for prompt, answer in note["turns"]:
                for word, image in (("first", first[0]), ("last", last[0])):
                    if f" is the {word} in which" in prompt:
                        assert answer == f"image {image + 1}"
    assert stacks > 5


def test_a_stopped_run_goes_on_to_the_same_weights(scripts, folder, tmp_path):
    """Steps with single pictures and with stacks, and the state of both optimizers."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)

    def trainer(out: Path):
        out.mkdir(exist_ok=True)
        return scripts.train.Trainer(folder / "items", out, 6, 0, scripts.team.Team(0, 1))

    whole, stopped = trainer(tmp_path / "whole"), trainer(tmp_path / "stopped")
    losses = [whole.learn() for _ in range(6)]
    for _ in range(3):
        stopped.learn()
    stopped.save(1.0, 1.0)
    again = trainer(tmp_path / "stopped")
    assert again.step == 3
    assert [again.learn() for _ in range(3)] == losses[3:]
    for one, other in zip(whole.all.parameters(), again.all.parameters(), strict=True):
        assert torch.equal(one, other)
    assert ["stack" in of_step for of_step in losses] == [False, False, True, False, False, True]
    assert losses[4]["slice"] < losses[0]["slice"]  # of stacks there are two steps only
    torch.set_num_threads(threads)


def test_muon_s_direction_has_singular_values_near_one(scripts):
    for shape in ((128, 384), (384, 128), (128, 128)):
        matrix = torch.randn(shape, generator=torch.Generator().manual_seed(shape[0])) * 1e-3
        values = torch.linalg.svdvals(scripts.muon.orthogonalized(matrix))
        assert values.max() < 1.3
        assert values.median() > 0.7
        # The direction is the matrix's own: no less than a tenth of it turned away.
        ideal = torch.linalg.svd(matrix, full_matrices=False)
        polar = ideal.U @ ideal.Vh
        assert (
            torch.nn.functional.cosine_similarity(scripts.muon.orthogonalized(matrix).flatten(), polar.flatten(), 0)
            > 0.9
        )


def test_the_cards_table_counts_by_what_was_asked(tmp_path):
    words = {"template": "right_left.0", "view": "plain"}
    rows = [question_row(f"{n}", m, subject=f"s{n}", **words) for n in range(8) for m in (0, 1)]
    rows += [question_row(f"blank {n}", m, subject=f"s{n}", **words, input="blank") for n in range(3) for m in (0, 1)]
    write_run(tmp_path, rows, lambda each: "right" if each["input"] == "slice" else each["answer"])
    lines = bars.table({"phantoms": bars.samples_of(tmp_path)}).splitlines()
    assert lines[0] == "| questions | phantoms: items | acc | pair_acc |"
    cells = {line.split(" | ")[0][2:]: line.strip("| ").split(" | ")[1:] for line in lines[2:]}
    assert next(iter(cells)) == "directional; point, box, mask"
    items, acc, both = cells["directional; point, box, mask"]
    assert (items, both[:3]) == ("16", "0.0")
    assert acc.startswith("50.0 (")
    items, acc, both = cells["directional; point, box, mask on a blank canvas"]
    assert (items, acc[:5], both[:5]) == ("6", "100.0", "100.0")
    assert acc.endswith("-100.0)†")
