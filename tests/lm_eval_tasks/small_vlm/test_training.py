"""The small model's training: what it is told is true, and a run that was stopped goes on as if it had not been."""

import importlib
import json
import random
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from dataset_builder.core.settings import Settings
from dataset_builder.pictures.placement import placements
from dataset_builder.slices.store import store_volume
from dataset_builder.sources import open_source
from dataset_builder.vocabulary import structures
from lm_eval_tasks import small_vlm
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
    names = ("items", "prepare", "batches", "model", "team", "train", "muon", "export", "softening", "words", "watch")
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


def notes_and_arrays(folder, answers):
    for path in sorted((folder / "items" / answers).glob("*.json")):
        yield json.loads(path.read_text()), np.load(path.with_suffix(".npz"))


def test_items_say_what_their_images_show(folder):
    stacks = 0
    for notes, fields in notes_and_arrays(folder, "choices"):
        first = 0
        for row, note in enumerate(notes):
            own = slice(first, first + note["images"])
            first = own.stop
            letters = int(np.count_nonzero(fields["marked"][row]))
            there = ~np.isnan(fields["markers"][own, :, 0])
            assert np.array_equal(there, fields["areas"][own] > 0)
            assert not there[:, letters:].any()
            x0, y0, x1, y1 = np.moveaxis(fields["boxes"][own], -1, 0)
            x, y = np.moveaxis(fields["markers"][own], -1, 0)
            assert np.all((x0 < x) & (x < x1) & (y0 < y) & (y < y1) | ~there)
            if note["kind"] != "stack":
                assert there[0, :letters].all()
                continue
            stacks += 1
            images = np.flatnonzero(there[:, 0])
            for turn in note["turns"]:
                for word, image in (("first", images[0]), ("last", images[-1])):
                    if f" is the {word} in which" in turn["prompt"]:
                        assert turn["answer"] == f"image {image + 1}"
    assert stacks > 5


def test_places_and_measures_are_asked_as_the_benchmark_asks(folder):
    """Boxes lie in the image, points in the box of their structure, and a stated scale decides a length."""
    kinds, lengths = set(), 0
    for notes, _ in notes_and_arrays(folder, "quantities"):
        for note in notes:
            boxes: dict[str, list[float]] = {}
            points: dict[str, list[float]] = {}
            scaled = []
            for turn in note["turns"]:
                kinds.add(turn["group"])
                assert "Write nothing else.\nAnswer:" in turn["prompt"]
                asked = re.search(r"Where (?:is|are) (the .*)\?", turn["prompt"])
                if turn["place"] and asked:
                    assert all(0 <= at <= 1 for at in turn["place"])
                    (boxes if len(turn["place"]) == 4 else points)[asked[1]] = turn["place"]
                stated = re.search(r"each pixel is ([\d.]+) mm", turn["prompt"])
                if stated:
                    scaled.append(float(turn["answer"].split()[0]) / float(stated[1]))
            for name in boxes.keys() & points.keys():
                (x0, y0, x1, y1), (x, y) = boxes[name], points[name]
                assert x0 < x < x1
                assert y0 < y < y1
            if scaled:  # in pixels it is one and the same length, but for the rounding of millimetres
                lengths += 1
                assert max(scaled) / min(scaled) < 1.35
    assert lengths > 3
    assert {"box, place, plain", "point, place, plain", "distance, mm", "box, stack, plain"} <= kinds


def test_the_box_of_an_image_that_was_moved_is_moved_along(scripts, folder):
    path = sorted((folder / "items" / "quantities").glob("*.json"))[0]
    tokenizer = scripts.words.make_tokenizer(sorted(scripts.train.texts_of([path])), structures(None))
    coordinates = scripts.batches.Coordinates.of(tokenizer)
    items = [item for item in scripts.batches.load(path, tokenizer) if item.kind == "locate"][:4]
    still, moved = (
        scripts.batches.make_batch(items, coordinates, random.Random(3), 4, shift=shift) for shift in (0, 8)
    )
    assert not torch.equal(still.pixels, moved.pixels)
    for row, number, start in moved.starts:
        turn = items[row].turns[number]
        answer = moved.targets[row, start : start + len(turn.place) + 2].tolist()
        at = next(i for i, start_of in enumerate(moved.starts) if start_of == (row, number, start))
        said = coordinates.tokens(moved.places[at, : len(turn.place)].numpy())
        assert tuple(answer) == said
        # The text that a user reads is a list of thousandths.
        text = tokenizer.decode(answer, skip_special_tokens=True)
        assert (
            text
            == f"[{', '.join(str(10 * round(100 * min(max(float(p), 0), 1))) for p in moved.places[at] if p == p)}]"
        )


def test_near_numbers_are_nearly_right(scripts):
    words = scripts.words
    tokenizer = words.make_tokenizer(["<image>\nHow far?", "52 mm"], structures(None))
    softened = scripts.softening.Softened(tokenizer)

    def loss(said: str, wanted: str) -> float:
        said_token, target = words.ids_of(tokenizer, [said, wanted])
        logits = torch.zeros(1, len(tokenizer))
        logits[0, said_token] = 20
        return float(softened.loss(logits, torch.tensor([target])))

    for right, near, far in (("52 mm", "53 mm", "80 mm"), (", 300", ", 310", ", 500"), ("1.50", "1.52", "2.50")):
        assert loss(right, right) < loss(near, right) < loss(far, right)
    assert loss("A", "A") < 0.01 < 5 < loss("B", "A")


def test_smoothing_leaves_what_neighbours_share_and_all_else(scripts):
    words = scripts.words
    tokenizer = words.make_tokenizer(["<image>\nHow far?", "52 mm"], structures(None))
    embeddings = torch.zeros(len(tokenizer), 2)
    ids = words.ids_of(tokenizer, words.MILLIMETRES)
    embeddings[:, 0] = 1.0
    embeddings[ids, 1] = torch.linspace(0, 1, len(ids))
    embeddings[ids[100], 1] += 1.0  # one that is out of line
    others = words.ids_of(tokenizer, ["A", "How"])
    before = embeddings.clone()
    scripts.softening.smooth(embeddings, tokenizer)
    assert torch.allclose(embeddings[:, 0], before[:, 0])
    assert torch.equal(embeddings[others], before[others])
    assert torch.allclose(embeddings[ids[20:80], 1], before[ids[20:80], 1], atol=1e-5)
    assert embeddings[ids[100], 1] - 100 / (len(ids) - 1) < 0.25


def test_numbers_are_said_with_the_nearest_token(scripts):
    words = scripts.words
    assert [words.said_length(mm) for mm in (0.2, 52.4, 131.2, 900)] == ["1 mm", "52 mm", "132 mm", "600 mm"]
    assert [words.said_ratio(ratio) for ratio in (0.333, 2.6449, 7.77)] == ["0.33", "2.64", "7.80"]
    assert words.said_angle(37.4) == "37 degrees"


def test_a_larger_model_begins_with_what_the_smaller_one_knows(scripts):
    """What is in both is kept, and a layer that the earlier one lacks changes nothing."""
    earlier = scripts.model.Earlier.load(small_vlm.CHECKPOINT)
    last = f"layers.{scripts.model.TEXT_LAYERS - 1}."
    fewer = {name: tensor for name, tensor in earlier.state.items() if not ("language_model" in name and last in name)}
    tokenizer = scripts.words.make_tokenizer(["A", "B", "right", "left", "right left"], structures(None))
    model = scripts.model.make_model(tokenizer, 1)
    scripts.model.start_from(model, tokenizer, scripts.model.Earlier(earlier.words, fewer, {}))
    own = model.state_dict()
    for name, tensor in fewer.items():
        if name.endswith(("q_proj.weight", "fc1.bias")):
            assert torch.equal(own[name], tensor)
    embeddings = next(name for name in own if name.endswith("embed_tokens.weight"))
    for word in ("A", "right"):
        ids = [words.get_vocab()[word] for words in (tokenizer, earlier.words)]
        assert torch.equal(own[embeddings][ids[0]], earlier.state[embeddings][ids[1]])
    hidden = torch.randn(1, 5, scripts.model.WIDTH)
    layer = model.model.language_model.layers[-1]
    positions = model.model.language_model.rotary_emb(hidden, torch.arange(5)[None])
    out = layer(hidden, position_embeddings=positions)
    assert torch.allclose(out[0] if isinstance(out, tuple) else out, hidden)


def test_a_stopped_run_goes_on_to_the_same_weights(scripts, folder, tmp_path):
    """Steps with single images and with stacks, and the state of both optimizers."""
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
    assert ["stack" in of_step for of_step in losses] == [False, False, True, False, True, False]
    assert losses[5]["slice"] < losses[0]["slice"]  # of stacks there are two steps only
    torch.set_num_threads(threads)


def test_muon_s_direction_has_singular_values_near_one(scripts):
    for shape in ((128, 384), (384, 128), (128, 128)):
        matrices = torch.randn(2, *shape, generator=torch.Generator().manual_seed(shape[0])) * 1e-3
        directions = scripts.muon.orthogonalized(matrices)
        for matrix, direction in zip(matrices, directions, strict=True):
            values = torch.linalg.svdvals(direction)
            assert values.max() < 1.3
            assert values.median() > 0.7
            # The direction is the matrix's own: no less than a tenth of it turned away.
            ideal = torch.linalg.svd(matrix, full_matrices=False)
            polar = ideal.U @ ideal.Vh
            assert torch.nn.functional.cosine_similarity(direction.flatten(), polar.flatten(), 0) > 0.9


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
