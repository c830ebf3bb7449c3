"""Train the small model on prepared items; can be stopped and started again.

    python train.py ITEMS OUT [--steps N] [--threads T]

ITEMS is what ``prepare.py`` made. OUT gets the model (after every evaluation), ``state.pt`` to go on from, and
``curve.jsonl``. The volumes whose number in the sorted list is a multiple of twenty are not trained on, but watched.
"""

import argparse
import json
import math
import os
import random
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from batches import IGNORED, Batch, Ready, load, make_batch
from items import GRID
from model import TOKENS, make_model, make_processor
from torch import nn
from torch.nn.functional import cross_entropy
from transformers import LlavaForConditionalGeneration
from words import make_tokenizer

from dataset_builder.vocabulary import structures

BATCH, STACK_BATCH = 24, 4
RATE, WARM_UP, CLIP = 1e-3, 100, 1.0
SHARES = (
    (0.0, {"direction": 0.62, "naming": 0.3, "relation": 0.08}),
    (0.44, {"direction": 0.34, "naming": 0.56, "relation": 0.1}),
    (0.588, {"direction": 0.5, "naming": 0.4, "relation": 0.1}),
)
"""How often pictures of each kind are shown, each from that part of the steps on."""
LATER = 0.44
"""From this part of the steps on there are stacks, and questions without their picture."""
STACK_EVERY, BLIND_SHARE = 5, 0.12
BINS = 24


class Helpers(nn.Module):
    """Heads that are thrown away after the training; they tell the model early what a picture is good for.

    Where is each marker, as seen by the tower (which of its tokens) and by the language model at the answer (BINS
    places along x and y); and which structures are where, as seen by the tower.
    """

    def __init__(self, width: int, names: int) -> None:
        super().__init__()
        self.token = nn.Linear(width, 3)
        self.map = nn.Linear(width, (GRID * GRID // TOKENS) * names)
        self.place = nn.Linear(width, 3 * 2 * BINS)
        self.names = names

    def losses(self, seen: torch.Tensor, thought: torch.Tensor, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        """Losses of the markers' places and of the map.

        Args:
            seen: [B, TOKENS, H] from the tower.
            thought: [n, H] from the language model, at ``batch.starts``.
        """
        side = math.isqrt(TOKENS)
        there = ~torch.isnan(batch.places[..., 0])
        places = torch.nan_to_num(batch.places).clamp(0, 0.9999)
        cell = (places * side).long()
        at = (cell[..., 1] * side + cell[..., 0])[there]
        marker = cross_entropy(self.token(seen).transpose(1, 2)[there], at)
        of = torch.tensor([row for row, _, _ in batch.starts])
        bins = self.place(thought).view(-1, 3, 2, BINS)[there[of]]
        marker = marker + cross_entropy(bins.flatten(0, 1), (places[of][there[of]] * BINS).long().flatten())
        each = GRID // side
        wanted = batch.maps.view(-1, side, each, side, each).permute(0, 1, 3, 2, 4).reshape(-1, TOKENS, each * each)
        said = self.map(seen).view(-1, TOKENS, each * each, self.names)
        known = (batch.maps.flatten(1) > 0).any(1)
        if not known.any():
            return marker, marker.new_zeros(())
        return marker, cross_entropy(said[known].flatten(0, 2), wanted[known].flatten())


def run(model: LlavaForConditionalGeneration, batch: Batch) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Logits at the answers' places [m, V], the tower's tokens [B * n, TOKENS, H], and thoughts [starts, H]."""
    inner = model.model
    seen = inner.vision_tower(batch.pixels, output_hidden_states=True).hidden_states[-1][:, 1:]
    pictures = inner.multi_modal_projector(seen).reshape(len(batch.ids), -1, model.config.text_config.hidden_size)
    words = inner.get_input_embeddings()(batch.ids[:, pictures.shape[1] :])
    out = inner.language_model(
        inputs_embeds=torch.cat([pictures, words], 1),
        attention_mask=batch.mask,
        position_ids=batch.positions,
        use_cache=False,
        output_hidden_states=True,
    )
    logits = model.lm_head(out.last_hidden_state[batch.targets != IGNORED])
    rows = torch.tensor([row for row, _, _ in batch.starts])
    starts = torch.tensor([start for _, _, start in batch.starts])
    return logits, seen, out.hidden_states[-2][rows, starts]


def evaluate(model: LlavaForConditionalGeneration, items: Sequence[Ready]) -> dict[str, float]:
    """The share of answers of which every token is the likeliest, by kind and more."""
    model.eval()
    right: dict[str, list[bool]] = defaultdict(list)
    groups: dict[bool, list[Ready]] = defaultdict(list)
    for item in items:
        groups[item.kind == "stack"].append(item)
    with torch.no_grad():
        for is_stack, of_group in groups.items():
            size = STACK_BATCH if is_stack else BATCH
            for first in range(0, len(of_group), size):
                chosen = of_group[first : first + size]
                batch = make_batch(chosen, None)
                logits, _, _ = run(model, batch)
                hit = torch.zeros_like(batch.targets, dtype=torch.bool)
                hit[batch.targets != IGNORED] = logits.argmax(-1) == batch.targets[batch.targets != IGNORED]
                for row, turn, start in batch.starts:
                    length = len(chosen[row].turns[turn][1])
                    ok = bool(hit[row, start : start + length].all())
                    for name in names_of(chosen[row], chosen[row].texts[turn][0]):
                        right[name].append(ok)
    model.train()
    return {name: round(sum(of) / len(of), 4) for name, of in sorted(right.items())}


def names_of(item: Ready, prompt: str) -> list[str]:
    """What an answer is counted under."""
    names = [item.kind]
    if item.kind == "direction":
        image = any(
            words in prompt
            for words in ("As displayed", "as displayed", "By position", "image itself", "only at", "only by")
        )
        relation = any(
            w in prompt
            for w in ("by area", "bigger", "adjacent", "touching", "midline", "halves", "encloses", "surrounds")
        )
        kind = "image" if image else "relation of two" if relation else "patient"
        names = [kind, f"{kind}, {'blank' if item.pictures.max() and not item.map.any() else 'slice'}"]
        for word, marker in (
            ("ots mark", "point"),
            ("oxes mark", "box"),
            ("overlays mark", "mask"),
            ("etters with", "label"),
        ):
            if word in prompt and kind != "relation of two":
                names.append(f"direction, {marker}")
    return names


def train(items_folder: Path, out: Path, steps: int, seed: int, minutes: float) -> None:
    """Train for so many steps, or go on with what was begun."""
    out.mkdir(parents=True, exist_ok=True)
    words = structures(None)
    paths = sorted(items_folder.glob("*.json"))
    texts = [text for path in paths for note in json.loads(path.read_text()) for turn in note["turns"] for text in turn]
    tokenizer = make_tokenizer(texts, words)
    processor = make_processor(tokenizer)
    model = make_model(tokenizer, seed)
    helpers = Helpers(model.config.text_config.hidden_size, len(words) + 1)
    decayed = [p for p in model.parameters() if p.ndim > 1]
    others = [p for p in model.parameters() if p.ndim <= 1]
    groups = [
        {"params": decayed, "weight_decay": 0.01},
        {"params": [*others, *helpers.parameters()], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=RATE, betas=(0.9, 0.98))
    begun, spent = 0, 0.0
    if (out / "state.pt").exists():
        state = torch.load(out / "state.pt", weights_only=False)
        model.load_state_dict(state["model"])
        helpers.load_state_dict(state["helpers"])
        optimizer.load_state_dict(state["optimizer"])
        begun, spent = state["step"], state["seconds"]
        keep_curve(out / "curve.jsonl", begun)
    by_kind: dict[str, list[Ready]] = defaultdict(list)
    watched: list[Ready] = []
    for number, path in enumerate(paths):
        for item in load(path, tokenizer):
            if not item.turns:
                continue
            if number % 20 == 0:
                watched.append(item)
            else:
                by_kind[item.kind].append(item)
    print({kind: len(of) for kind, of in by_kind.items()}, "watched", len(watched), flush=True)
    model.train()
    started, sums = time.time() - spent, defaultdict(list)
    for step in range(begun, steps):
        draw = random.Random(f"{seed} {step}")
        progress = step / steps
        rate = RATE * min(1.0, (step + 1) / WARM_UP) * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * progress)))
        for group in optimizer.param_groups:
            group["lr"] = rate
        is_stack = progress > LATER and step % STACK_EVERY == STACK_EVERY - 1
        if is_stack:
            batch = make_batch([draw.choice(by_kind["stack"]) for _ in range(STACK_BATCH)], draw, 2, shift=8)
        else:
            shares = [shares for begin, shares in SHARES if progress >= begin][-1]
            kinds = draw.choices(list(shares), list(shares.values()), k=BATCH)
            batch = make_batch(
                [draw.choice(by_kind[kind]) for kind in kinds],
                draw,
                3,
                shift=8,
                blind=BLIND_SHARE if progress > LATER else 0,
            )
        logits, seen, thought = run(model, batch)
        loss = cross_entropy(logits, batch.targets[batch.targets != IGNORED])
        sums["stack loss" if is_stack else "loss"].append(loss.item())
        if not is_stack:
            marker, shown = helpers.losses(seen, thought, batch)
            sums["marker loss"].append(marker.item())
            sums["map loss"].append(shown.item())
            loss = loss + 0.5 * marker + 0.3 * shown
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), CLIP)
        optimizer.step()
        stop = time.time() - started > 60 * minutes
        if (step + 1) % 100 == 0 or step + 1 == steps or stop:
            note: dict[str, object] = {"step": step + 1, "seconds": round(time.time() - started)}
            note |= {name: round(sum(of) / len(of), 4) for name, of in sums.items()}
            sums = defaultdict(list)
            if (step + 1) % 500 == 0 or step + 1 == steps or stop:
                note |= evaluate(model, watched)
                save(model, processor, helpers, optimizer, out, step + 1, time.time() - started)
            with (out / "curve.jsonl").open("a") as file:
                file.write(json.dumps(note) + "\n")
            print(note, flush=True)
        if stop:
            break


def keep_curve(path: Path, step: int) -> None:
    """Drop what a stopped run noted after its last saved state: it is done again."""
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    path.write_text("".join(line for line in lines if json.loads(line)["step"] <= step), encoding="utf-8")


def save(
    model: LlavaForConditionalGeneration,
    processor: object,
    helpers: nn.Module,
    optimizer: torch.optim.Optimizer,
    out: Path,
    step: int,
    seconds: float,
) -> None:
    """Write the state to go on from, whole or not at all."""
    state: Mapping[str, object] = {
        "model": model.state_dict(),
        "helpers": helpers.state_dict(),
        "optimizer": optimizer.state_dict(),
        "step": step,
        "seconds": seconds,
    }
    torch.save(state, out / ".state.pt")
    os.replace(out / ".state.pt", out / "state.pt")
    processor.save_pretrained(out / "model")  # type: ignore[attr-defined]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("items", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--steps", type=int, default=6000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--minutes", type=float, default=1e9, help="Stop after so many; start again to go on.")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    train(given.items, given.out, given.steps, given.seed, given.minutes)
