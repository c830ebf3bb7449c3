"""How well the volumes are answered that are watched and not trained on."""

from collections import defaultdict
from collections.abc import Sequence

import torch
from transformers import LlavaForConditionalGeneration

from lm_eval_tasks.small_vlm.training.batches import IGNORED, Ready, make_batch
from lm_eval_tasks.small_vlm.training.look import run
from lm_eval_tasks.small_vlm.training.team import Team

BATCH, STACK_BATCH = 24, 4
"""Items of one process's share of a step."""


def evaluate(model: LlavaForConditionalGeneration, items: Sequence[Ready], team: Team) -> dict[str, float]:
    """The share of answers of which every token is the likeliest, by kind and more; each process sees to its part."""
    items = items[team.rank :: team.size]
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
                logits = run(model, batch).logits
                hit = torch.zeros_like(batch.targets, dtype=torch.bool)
                hit[batch.targets != IGNORED] = logits.argmax(-1) == batch.targets[batch.targets != IGNORED]
                for row, turn, start in batch.starts:
                    length = len(chosen[row].turns[turn][1])
                    ok = bool(hit[row, start : start + length].all())
                    for name in names_of(chosen[row], chosen[row].texts[turn][0]):
                        right[name].append(ok)
    model.train()
    together: dict[str, list[bool]] = defaultdict(list)
    for part in team.gather(right):
        for name, of in part.items():
            together[name] += of
    return {name: round(sum(of) / len(of), 4) for name, of in sorted(together.items())}


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
