"""Train the small model on prepared items; can be stopped and started again.

    python train.py ITEMS OUT [--steps N] [--processes P]

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
from pathlib import Path

import numpy as np
import torch
from torch import distributed, multiprocessing, nn
from torch.nn.functional import cross_entropy
from transformers import LlavaForConditionalGeneration

from dataset_builder.building.engines import end_with_parent
from dataset_builder.vocabulary import structures
from lm_eval_tasks.small_vlm.training.batches import IGNORED, Batch, Ready, load, make_batch
from lm_eval_tasks.small_vlm.training.heads import WEIGHTS, Helpers
from lm_eval_tasks.small_vlm.training.look import run
from lm_eval_tasks.small_vlm.training.model import TOKENS, make_model, make_processor
from lm_eval_tasks.small_vlm.training.muon import Muon
from lm_eval_tasks.small_vlm.training.team import Team
from lm_eval_tasks.small_vlm.training.watch import BATCH, STACK_BATCH, evaluate
from lm_eval_tasks.small_vlm.training.words import make_tokenizer

RATE, MUON_RATE, WARM_UP, CLIP = 1e-3, 4e-3, 100, 1.0
SHARES = (
    (0.0, {"direction": 0.62, "naming": 0.3, "relation": 0.08}),
    (0.12, {"direction": 0.5, "naming": 0.42, "relation": 0.08}),
)
"""How often pictures of each kind are shown, each from that part of the steps on."""
STACKS_FROM, STACK_EVERY = 0.12, 3
"""Stacks come when letters can be read, so many steps apart."""
BLIND_FROM, BLIND_SHARE = 0.4, 0.12
"""From this part of the steps on some questions are asked without their picture."""
TORSO_SHARE = 0.7
"""Torsos have many more structures than knees, of which there are as many."""
WATCHED = 20
"""Every so many-th volume is not trained on, but watched."""


class Trainer:
    """Model, helpers and optimizer, and how far they have come.

    Args:
        items_folder: what ``prepare.py`` made.
        out: where model, state and curve are kept; a state found there is taken up.
    """

    def __init__(self, items_folder: Path, out: Path, steps: int, seed: int, team: Team) -> None:
        self.out, self.steps, self.seed, self.team = out, steps, seed, team
        words = structures(None)
        paths = sorted(items_folder.glob("*.json"))
        notes = (note for path in paths for note in json.loads(path.read_text(encoding="utf-8")))
        tokenizer = make_tokenizer(sorted({text for n in notes for turn in n["turns"] for text in turn}), words)
        self.processor = make_processor(tokenizer)
        model = make_model(tokenizer, seed)
        self.all = nn.ModuleDict(
            {"model": model, "helpers": Helpers(model.config.text_config.hidden_size, len(words) + 1)}
        )
        inner = {
            layer.weight
            for name, layer in model.named_modules()
            if isinstance(layer, nn.Linear) and "lm_head" not in name
        }
        others = [p for p in self.all.parameters() if p not in inner]
        groups = [
            {"params": [p for p in others if p.ndim > 1], "weight_decay": 0.01},
            {"params": [p for p in others if p.ndim <= 1], "weight_decay": 0.0},
        ]
        self.optimizers = (
            torch.optim.AdamW(groups, lr=1, betas=(0.9, 0.98), fused=True),
            Muon([p for p in model.parameters() if p in inner], lr=1),
        )
        self.step, self.seconds, self.cpu_seconds = 0, 0.0, 0.0
        for optimizer, initial in zip(self.optimizers, (RATE, MUON_RATE), strict=True):
            for group in optimizer.param_groups:
                group["initial_lr"] = initial
        if (out / "state.pt").exists():
            state = torch.load(out / "state.pt", weights_only=False)
            self.all.load_state_dict(state["model"])
            for optimizer, kept in zip(self.optimizers, state["optimizers"], strict=True):
                optimizer.load_state_dict(kept)
            self.step, self.seconds, self.cpu_seconds = state["step"], state["seconds"], state["cpu_seconds"]
        self.by_kind: dict[tuple[str, bool], list[Ready]] = defaultdict(list)
        self.watched: list[Ready] = []
        for number, path in enumerate(paths):
            for item in load(path, tokenizer):
                if item.turns and number % WATCHED == 0:
                    self.watched.append(item)
                elif item.turns:
                    kind = f"stack of {np.count_nonzero(item.marked)}" if item.kind == "stack" else item.kind
                    self.by_kind[kind, "torso" in item.subject].append(item)

    @property
    def model(self) -> LlavaForConditionalGeneration:
        """The model that is kept in the end."""
        model = self.all["model"]
        assert isinstance(model, LlavaForConditionalGeneration)
        return model

    def batch(self) -> Batch:
        """This process's part of the next step's batch; a function of seed, step and the part's number alone."""
        progress = self.step / self.steps
        draw = random.Random(f"{self.seed} {self.step} {self.team.rank}")
        if progress >= STACKS_FROM and self.step % STACK_EVERY == STACK_EVERY - 1:
            # As often one structure (its images), two (which way) and three (their order).
            possible = ("stack of 1", "stack of 2", "stack of 3")
            there = [kind for kind in possible if self.by_kind[kind, True] or self.by_kind[kind, False]]
            kinds = draw.choices(there, k=STACK_BATCH)
            return make_batch([self._one(draw, kind) for kind in kinds], draw, 4, shift=8)
        shares = [shares for begin, shares in SHARES if progress >= begin][-1]
        kinds = draw.choices(list(shares), list(shares.values()), k=BATCH)
        blind = BLIND_SHARE if progress >= BLIND_FROM else 0
        return make_batch([self._one(draw, kind) for kind in kinds], draw, 3, shift=8, blind=blind)

    def _one(self, draw: random.Random, kind: str) -> Ready:
        torso = draw.random() < TORSO_SHARE
        return draw.choice(self.by_kind[kind, torso] or self.by_kind[kind, not torso])

    def learn(self) -> dict[str, float]:
        """One step; returns its losses."""
        progress = self.step / self.steps
        rate = min(1.0, (self.step + 1) / WARM_UP) * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * progress)))
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = rate * group["initial_lr"]
        batch = self.batch()
        seen = run(self.model, batch)
        answers = cross_entropy(seen.logits, batch.targets[batch.targets != IGNORED])
        helpers = self.all["helpers"]
        assert isinstance(helpers, Helpers)
        if seen.tokens.shape[1] > TOKENS:
            losses = {"stack": answers, **helpers.of_stacks(seen.tokens, seen.thought, batch)}
        else:
            losses = {"slice": answers, **helpers.of_slices(seen.tower, seen.thought, batch)}
        # Heads that this batch did not use get gradients of zero, so that all processes have the same ones.
        idle = sum(parameter.sum() for parameter in helpers.parameters()) * 0.0
        self.all.zero_grad(set_to_none=True)
        sum((WEIGHTS.get(name, 1.0) * loss for name, loss in losses.items()), start=idle).backward()
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
                note |= evaluate(self.model, self.watched, self.team)
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
    Trainer(given.items, given.out, given.steps, given.seed, team).run(given.minutes)
    if given.processes > 1:
        distributed.destroy_process_group()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("items", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--steps", type=int, default=4500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--processes", type=int, default=2, help="Each takes its own part of every step's batch.")
    parser.add_argument("--minutes", type=float, default=1e9, help="Stop after so many; start again to resume.")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        if given.processes == 1:
            work(0, given, folder)
        else:
            multiprocessing.spawn(work, (given, f"{folder}/meeting"), nprocs=given.processes)
