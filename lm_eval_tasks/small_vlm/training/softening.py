"""Answers that are near are nearly right: targets of numbers are bells over the neighbouring tokens."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from lm_eval_tasks.small_vlm.training import words

HUNDREDTH, RELATIVE, ANGLE = 1.0, 0.03, 2.0
"""Widths of the bells: of coordinates in hundredths of the image's side, of lengths and ratios relative, of angles."""


SMOOTHING = {words.MILLIMETRES: 2.0, words.DEGREES: 1.0, words.RATIOS: 3.0, words.FIRST: 0.6, words.NEXT: 0.6}
"""Of each kind of numbers, over how many neighbours tokens are averaged by `smooth`."""


@torch.no_grad()
def smooth(embeddings: Tensor, tokenizer: PreTrainedTokenizerFast) -> None:
    """Average the tokens of numbers over their neighbours, in place: each is rare, and what they have in common is not.

    Args:
        embeddings: [V, H].
        tokenizer: whose tokens they are.
    """
    for texts, width in SMOOTHING.items():
        ids = torch.tensor(words.ids_of(tokenizer, texts))
        at = torch.arange(len(ids), dtype=torch.float32)
        near = torch.softmax(-((at[:, None] - at[None]) ** 2) / (2 * width**2), 1)
        embeddings[ids] = near @ embeddings[ids]


class Softened:
    """Cross entropy over the vocabulary, in which tokens of one kind of number share their targets."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast) -> None:
        hundredths = list(range(101))
        logs = [math.log(length) for length in words.LENGTHS]
        ratios = [math.log(ratio) for ratio in words.RATIO_VALUES]
        kinds: list[tuple[Sequence[str], Sequence[float], float]] = [
            (words.FIRST, hundredths, HUNDREDTH),
            (words.NEXT, hundredths, HUNDREDTH),
            (words.MILLIMETRES, logs, RELATIVE),
            (words.DEGREES, words.ANGLES, ANGLE),
            (words.RATIOS, ratios, RELATIVE),
        ]
        self.kind = torch.full((len(tokenizer),), -1)
        self.row = torch.zeros(len(tokenizer), dtype=torch.long)
        self.ids, self.bells = [], []
        for number, (texts, values, width) in enumerate(kinds):
            ids = torch.tensor(words.ids_of(tokenizer, texts))
            self.kind[ids], self.row[ids] = number, torch.arange(len(ids))
            at = torch.tensor(values, dtype=torch.float32)
            self.ids.append(ids)
            self.bells.append(torch.softmax(-((at[:, None] - at[None]) ** 2) / (2 * width**2), -1))

    def loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Mean over the targets [m] of logits [m, V]."""
        logs = torch.log_softmax(logits, -1)
        kinds = self.kind[targets]
        plain = kinds < 0
        total = -logs[plain].gather(1, targets[plain][:, None]).sum()
        for number, (ids, bells) in enumerate(zip(self.ids, self.bells, strict=True)):
            if (mine := kinds == number).any():
                total = total - (logs[mine][:, ids] * bells[self.row[targets[mine]]]).sum()
        return total / len(targets)
