"""How well the volumes are answered that are watched and not trained on."""

from collections import defaultdict
from collections.abc import Sequence

import torch
from torch import Tensor
from transformers import LlavaForConditionalGeneration, PreTrainedTokenizerFast

from lm_eval_tasks.small_vlm.training.batches import IGNORED, Coordinates, Ready, make_batch
from lm_eval_tasks.small_vlm.training.look import run
from lm_eval_tasks.small_vlm.training.team import Team
from lm_eval_tasks.small_vlm.training.words import LENGTHS, MILLIMETRES, RATIO_VALUES, RATIOS, ids_of

BATCH, STACK_BATCH = 24, 5
"""Items of one process's share of a step."""


def evaluate(
    model: LlavaForConditionalGeneration, items: Sequence[Ready], team: Team, tokenizer: PreTrainedTokenizerFast
) -> dict[str, float]:
    """By what was asked: the share of answers of which every token is the likeliest; each process sees to its part.

    Of boxes and points instead the mean overlap (IoU; of points a box of a tenth of the side around them) and of
    lengths and ratios the share within 15 %. Each token is judged behind the true ones before it.
    """
    coordinates = Coordinates.of(tokenizer)
    at = {token: number for ids in (coordinates.first, coordinates.following) for number, token in enumerate(ids)}
    size = {i: float(v) for i, v in zip(ids_of(tokenizer, MILLIMETRES), LENGTHS, strict=True)}
    size |= {i: float(v) for i, v in zip(ids_of(tokenizer, RATIOS), RATIO_VALUES, strict=True)}
    items = items[team.rank :: team.size]
    model.eval()
    scores: dict[str, list[float]] = defaultdict(list)
    groups: dict[bool, list[Ready]] = defaultdict(list)
    for item in items:
        groups[len(item.images) > 1].append(item)
    with torch.no_grad():
        for is_stack, of_group in groups.items():
            step = STACK_BATCH if is_stack else BATCH
            for first in range(0, len(of_group), step):
                chosen = of_group[first : first + step]
                batch = make_batch(chosen, coordinates, None)
                said = torch.full_like(batch.targets, IGNORED)
                said[batch.targets != IGNORED] = run(model, batch).logits.argmax(-1)
                for row, turn, start in batch.starts:
                    wanted = batch.targets[row, start:]
                    length = int((wanted == IGNORED).int().argmax()) if (wanted == IGNORED).any() else len(wanted)
                    asked = chosen[row].turns[turn]
                    score = _score(said[row, start : start + length], wanted[:length], at, size, len(asked.place))
                    scores[asked.group].append(score)
                    scores[chosen[row].kind].append(score)
    model.train()
    together: dict[str, list[float]] = defaultdict(list)
    for part in team.gather(dict(scores)):
        for name, of in part.items():
            together[name] += of
    return {name: round(sum(of) / len(of), 4) for name, of in sorted(together.items())}


def _score(said: Tensor, wanted: Tensor, at: dict[int, int], size: dict[int, float], coordinates: int) -> float:
    """1 for a right answer; of places the overlap, of lengths and ratios 1 within 15 %."""
    if coordinates:
        both = [[at.get(int(token), 0) for token in tokens[-coordinates - 2 : -2]] for tokens in (said, wanted)]
        boxes = both if coordinates == 4 else [[x - 5, y - 5, x + 5, y + 5] for x, y in both]
        return overlap(*boxes)
    for one, other in zip(said.tolist(), wanted.tolist(), strict=True):
        if other in size and one in size:
            if abs(size[one] / size[other] - 1) > 0.15:
                return 0.0
        elif one != other:
            return 0.0
    return 1.0


def overlap(one: Sequence[float], other: Sequence[float]) -> float:
    """Shared area over joint area of two boxes x0, y0, x1, y1."""
    width = max(0.0, min(one[2], other[2]) - max(one[0], other[0]))
    height = max(0.0, min(one[3], other[3]) - max(one[1], other[1]))
    areas = sum(max(0.0, box[2] - box[0]) * max(0.0, box[3] - box[1]) for box in (one, other))
    return width * height / (areas - width * height) if areas > width * height else 0.0
