"""Train the small model on prepared items; can be stopped and started again.

    python train.py ITEMS OUT [--steps N] [--processes P] [--start CHECKPOINT]

ITEMS is what ``prepare.py`` made. OUT gets the model (after every evaluation), ``state.pt`` to go on from, and
``curve.jsonl``. The volumes whose number in the sorted list is a multiple of twenty are not trained on, but watched.
The same number of processes gives the same weights on the same kind of machine.
"""

import argparse
import json
import math
import os
import random
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import distributed, multiprocessing, nn
from transformers import LlavaForConditionalGeneration, PreTrainedTokenizerFast

from dataset_builder.building.engines import end_with_parent
from dataset_builder.core.hashing import digest
from dataset_builder.vocabulary import structures
from lm_eval_tasks.small_vlm.training.batches import IGNORED, Batch, Coordinates, Ready, load, make_batch
from lm_eval_tasks.small_vlm.training.heads import WEIGHTS, Helpers
from lm_eval_tasks.small_vlm.training.look import run
from lm_eval_tasks.small_vlm.training.model import WIDTH, Earlier, make_model, make_processor, start_from
from lm_eval_tasks.small_vlm.training.muon import Muon
from lm_eval_tasks.small_vlm.training.softening import Softened, smooth
from lm_eval_tasks.small_vlm.training.team import Team
from lm_eval_tasks.small_vlm.training.watch import BATCH, STACK_BATCH, evaluate
from lm_eval_tasks.small_vlm.training.words import make_tokenizer

RATE, HEADS_RATE, MUON_RATE, WARM_UP, CLIP = 1e-3, 3e-3, 4e-3, 150, 1.0
SHARES = {
    "direction": 0.14,
    "naming": 0.17,
    "relation": 0.07,
    "locate": 0.27,
    "length": 0.28,
    "ratio or angle": 0.07,
}
"""How often images of each kind are shown."""
STACK_SHARES = {"stack of 1": 0.33, "stack of 2": 0.2, "stack of 3": 0.37, "locate in stack": 0.1}
"""How often stacks are shown of which so many structures are asked about: their images, which way, their order."""
STACK_STEPS = (2, 4)
"""Of five steps those in which stacks come."""
BLIND_FROM, BLIND_SHARE = 0.3, 0.1
"""From this part of the steps on some questions are asked without their image."""
SMOOTHED_AT = 0.54
"""After this part of the steps the tokens of numbers are averaged over their neighbours, once."""
TORSO_SHARE = 0.72
"""Torsos have many more structures than knees."""
WATCHED = 20
"""One of so many volumes is not trained on, but watched ..."""
WATCHED_ITEMS = 60
"""... and so many of its items."""
SHIFT = 8
"""Most pixels that an image is moved by."""
MOST_TURNS, MOST_TURNS_OF_STACK = 4, 4


class Trainer:
    """Model, helpers and optimizer, and how far they have come.

    Args:
        items_folder: what ``prepare.py`` made.
        out: where model, state and curve are kept; a state found there is taken up.
        steps: how many to do.
        seed: of the weights and of all draws.
        team: the processes that train together.
        start: checkpoint or run of an earlier model, whose weights are begun with.
        peak: highest rate, as a share of the usual one.
    """

    def __init__(
        self,
        items_folder: Path,
        out: Path,
        steps: int,
        seed: int,
        team: Team,
        start: Path | None = None,
        peak: float = 1.0,
    ) -> None:
        self.out, self.steps, self.seed, self.team, self.peak = out, steps, seed, team, peak
        words = structures(None)
        paths = prepared(items_folder)
        tokenizer = tokenizer_of(out, paths)
        self.coordinates, self.softened = Coordinates.of(tokenizer), Softened(tokenizer)
        self.processor = make_processor(tokenizer)
        model = make_model(tokenizer, seed)
        helpers = Helpers(WIDTH, len(words) + 1)
        if start and not (out / "state.pt").exists():
            earlier = Earlier.load(start)
            start_from(model, tokenizer, earlier)
            helpers.load_state_dict(earlier.heads, strict=False)
        model.set_attn_implementation("plain")
        self.all = nn.ModuleDict({"model": model, "helpers": helpers})
        inner = {
            layer.weight
            for name, layer in model.named_modules()
            if isinstance(layer, nn.Linear) and "lm_head" not in name
        }
        others = [p for p in model.parameters() if p not in inner]
        groups: list[dict[str, Any]] = [
            {"params": [p for p in others if p.ndim > 1], "weight_decay": 0.01},
            {"params": [p for p in others if p.ndim <= 1], "weight_decay": 0.0},
            {"params": list(helpers.parameters()), "weight_decay": 0.0, "initial_lr": HEADS_RATE},
        ]
        self.optimizers = (
            torch.optim.AdamW(groups, lr=1, betas=(0.9, 0.98), fused=True),
            Muon([p for p in model.parameters() if p in inner], lr=1),
        )
        self.step, self.seconds, self.cpu_seconds = 0, 0.0, 0.0
        for optimizer, initial in zip(self.optimizers, (RATE, MUON_RATE), strict=True):
            for group in optimizer.param_groups:
                group.setdefault("initial_lr", initial)
        if (out / "state.pt").exists():
            state = torch.load(out / "state.pt", weights_only=False)
            self.all.load_state_dict(state["model"])
            for optimizer, kept in zip(self.optimizers, state["optimizers"], strict=True):
                optimizer.load_state_dict(kept)
            self.step, self.seconds, self.cpu_seconds = state["step"], state["seconds"], state["cpu_seconds"]
        self.by_kind: dict[tuple[str, bool], list[Ready]] = defaultdict(list)
        self.watched: list[Ready] = []
        for path in paths:
            items = load(path, tokenizer)
            if int(digest(path.stem), 16) % WATCHED == 0:
                self.watched += random.Random(path.stem).sample(items, min(WATCHED_ITEMS, len(items)))
                continue
            for item in items:
                self.by_kind[kind_of(item), "torso" in item.subject].append(item)

    @property
    def model(self) -> LlavaForConditionalGeneration:
        """The model that is kept in the end."""
        model = self.all["model"]
        assert isinstance(model, LlavaForConditionalGeneration)
        return model

    def batch(self) -> Batch:
        """This process's part of the next step's batch; a function of seed, step and the part's number alone."""
        draw = random.Random(f"{self.seed} {self.step} {self.team.rank}")
        is_stack = self.step % 5 in STACK_STEPS
        shares = {
            kind: share
            for kind, share in (STACK_SHARES if is_stack else SHARES).items()
            if self.by_kind[kind, True] or self.by_kind[kind, False]
        }
        kinds = draw.choices(list(shares), list(shares.values()), k=STACK_BATCH if is_stack else BATCH)
        items = [self._one(draw, kind) for kind in kinds]
        if is_stack:
            return make_batch(items, self.coordinates, draw, MOST_TURNS_OF_STACK, SHIFT)
        blind = BLIND_SHARE if self.step >= BLIND_FROM * self.steps else 0
        return make_batch(items, self.coordinates, draw, MOST_TURNS, SHIFT, blind)

    def _one(self, draw: random.Random, kind: str) -> Ready:
        torso = draw.random() < TORSO_SHARE
        return draw.choice(self.by_kind[kind, torso] or self.by_kind[kind, not torso])

    def learn(self) -> dict[str, float]:
        """One step; returns its losses."""
        progress = self.step / self.steps
        if self.step == round(SMOOTHED_AT * self.steps):
            embeddings = self.model.get_input_embeddings().weight
            assert isinstance(embeddings, torch.Tensor)
            smooth(embeddings, self.processor.tokenizer)
        rate = min(self.peak, (self.step + 1) / WARM_UP) * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * progress)))
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = rate * group["initial_lr"]
        batch = self.batch()
        seen = run(self.model, batch)
        answers = self.softened.loss(seen.logits, batch.targets[batch.targets != IGNORED])
        helpers = self.all["helpers"]
        assert isinstance(helpers, Helpers)
        if len(batch.pixels) > len(batch.ids):
            losses = {"stack": answers, **helpers.of_stacks(seen.tokens, seen.thought, batch)}
        else:
            losses = {"slice": answers, **helpers.of_slices(seen.thought, batch)}
        losses |= helpers.of_tower(seen.tower, batch)
        # Heads that this batch did not use get gradients of zero, so that all processes have the same ones.
        total = torch.stack([parameter.sum() for parameter in helpers.parameters()]).sum() * 0.0
        for name, loss in losses.items():
            total = total + WEIGHTS.get(name, 1.0) * loss
        self.all.zero_grad(set_to_none=True)
        total.backward()
        self.team.average(self.all)
        nn.utils.clip_grad_norm_(self.all.parameters(), CLIP)
        for optimizer in self.optimizers:
            optimizer.step()
        self.step += 1
        return {name: loss.item() for name, loss in losses.items()}

    def run(self, minutes: float) -> None:
        """Learn until all steps are done or the time is over."""
        lead = self.team.rank == 0
        if lead:
            keep_curve(self.out / "curve.jsonl", self.step)
            print(
                {kind: len(of) for kind, of in sorted(self.by_kind.items())}, "watched", len(self.watched), flush=True
            )
        self.all.train()
        began, sums = time.time(), defaultdict(list)
        started = began - self.seconds
        while self.step < self.steps:
            for name, loss in self.learn().items():
                sums[name].append(loss)
            stop = self.step % 100 == 0 and any(self.team.gather(time.time() - began > 60 * minutes))
            if self.step % 100 and self.step < self.steps:
                continue
            note: dict[str, object] = {"step": self.step, "seconds": round(time.time() - started)}
            note |= {f"{name} loss": round(sum(of) / len(of), 4) for name, of in sums.items()}
            sums = defaultdict(list)
            if self.step % 1000 == 0 or self.step == self.steps or stop:
                note |= evaluate(self.model, self.watched, self.team, self.processor.tokenizer)
                spent = sum(self.team.gather(time.process_time()))
                if lead:
                    self.save(time.time() - started, self.cpu_seconds + spent)
            if lead:
                with (self.out / "curve.jsonl").open("a", encoding="utf-8") as file:
                    file.write(json.dumps(note) + "\n")
                print(note, flush=True)
            if stop:
                break

    def save(self, seconds: float, cpu_seconds: float) -> None:
        """Write the state to go on from, whole or not at all; with the time that it took, on the clock and of cores."""
        state = {
            "model": self.all.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            "step": self.step,
            "seconds": seconds,
            "cpu_seconds": cpu_seconds,
        }
        torch.save(state, self.out / ".state.pt")
        os.replace(self.out / ".state.pt", self.out / "state.pt")
        self.processor.save_pretrained(self.out / "model")


def kind_of(item: Ready) -> str:
    """What decides how often an item is shown, see `SHARES` and `STACK_SHARES`."""
    if item.kind == "measure":
        return "length" if item.turns[0].group.endswith(", mm") else "ratio or angle"
    return f"stack of {(item.marked > 0).sum()}" if item.kind == "stack" else item.kind


def prepared(items_folder: Path) -> list[Path]:
    """The files of texts that ``prepare.py`` made."""
    return sorted(items_folder.rglob("[!.]*.json"))


def tokenizer_of(out: Path, paths: Sequence[Path]) -> PreTrainedTokenizerFast:
    """The run's tokenizer; made of the prepared texts, unless the run has one."""
    if not (out / "model" / "tokenizer.json").exists():
        make_processor(make_tokenizer(sorted(texts_of(paths)), structures(None))).save_pretrained(out / "model")
    return PreTrainedTokenizerFast.from_pretrained(out / "model")


def texts_of(paths: Iterable[Path]) -> set[str]:
    """All that is said in prepared files."""
    said: set[str] = set()
    for path in paths:
        turns = (turn for note in json.loads(path.read_text(encoding="utf-8")) for turn in note["turns"])
        said.update(turn[part] for turn in turns for part in ("prompt", "answer"))
    return said


def keep_curve(path: Path, step: int) -> None:
    """Drop what a stopped run noted after its last saved state: it is done again."""
    if not path.exists():
        return
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    path.write_text("".join(line for line in lines if json.loads(line)["step"] <= step), encoding="utf-8")


def work(rank: int, given: argparse.Namespace, meeting: str) -> None:
    """What one process does."""
    torch.set_num_threads(1)
    if given.processes > 1:
        end_with_parent()
    if given.processes > 1:
        distributed.init_process_group("gloo", f"file://{meeting}", rank=rank, world_size=given.processes)
    team = Team(rank, given.processes)
    Trainer(given.items, given.out, given.steps, given.seed, team, given.start, given.peak).run(given.minutes)
    if given.processes > 1:
        distributed.destroy_process_group()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("items", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--steps", type=int, default=4500)
    parser.add_argument("--start", type=Path, help="Checkpoint or run of an earlier model to start from.")
    parser.add_argument("--peak", type=float, default=1.0, help="Highest rate, as a share of the usual one.")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--processes", type=int, default=2, help="Each takes its own part of every step's batch.")
    parser.add_argument("--minutes", type=float, default=1e9, help="Stop after so many; start again to resume.")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    tokenizer_of(given.out, prepared(given.items))  # once, before there are several processes
    with tempfile.TemporaryDirectory() as folder:
        if given.processes == 1:
            work(0, given, folder)
        else:
            multiprocessing.spawn(work, (given, f"{folder}/meeting"), nprocs=given.processes)
