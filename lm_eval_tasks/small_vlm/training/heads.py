"""Heads that tell the model early what a picture is good for; they are thrown away after the training."""

import math

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from lm_eval_tasks.small_vlm.training.batches import Batch
from lm_eval_tasks.small_vlm.training.items import GRID
from lm_eval_tasks.small_vlm.training.model import TOKENS

BINS, STACK_SIZE = 24, 8


class Helpers(nn.Module):
    """Heads that are thrown away after the training; they tell the model early what a picture is good for.

    Of each marker: which of the tower's tokens shows it, and that token, which structure it marks; the same and its
    place (BINS along x and y) as the language model thinks of it at the answer. Which structures are where, as seen by
    the tower. Where the body's midline is. In stacks: of which image each of the language model's tokens is, and at the
    answer in which images each marked structure is seen first, largest and last.
    """

    def __init__(self, width: int, names: int) -> None:
        super().__init__()
        self.token = nn.Linear(width, 3)
        self.map = nn.Linear(width, (GRID * GRID // TOKENS) * names)
        self.named = nn.Linear(width, names)
        self.place = nn.Linear(width, 3 * 2 * BINS)
        self.name = nn.Linear(width, 3 * names)
        self.middle = nn.Linear(width, BINS)
        self.number = nn.Linear(width, STACK_SIZE)
        self.images = nn.Linear(width, 3 * 3 * STACK_SIZE)
        self.names = names

    def of_slices(self, seen: torch.Tensor, thought: torch.Tensor, batch: Batch) -> dict[str, torch.Tensor]:
        """Losses of a batch of single pictures.

        Args:
            seen: [B, TOKENS, H] from the tower.
            thought: [n, H] from the language model, at ``batch.starts``.
        """
        side = math.isqrt(TOKENS)
        there = ~torch.isnan(batch.places[..., 0])
        places = torch.nan_to_num(batch.places).clamp(0, 0.9999)
        cell = (places * side).long()
        at = cell[..., 1] * side + cell[..., 0]
        of = torch.tensor([row for row, _, _ in batch.starts])
        bins = self.place(thought).view(-1, 3, 2, BINS)[there[of]]
        losses = {
            "marker": cross_entropy(self.token(seen).transpose(1, 2)[there], at[there])
            + cross_entropy(bins.flatten(0, 1), (places[of][there[of]] * BINS).long().flatten()),
            "name": cross_entropy(self.named(seen[there.nonzero()[:, 0], at[there]]), batch.marked[there])
            + self._name_loss(thought, batch, of),
        }
        middle = batch.midline[of]
        known = ~torch.isnan(middle)
        if known.any():
            wanted = (middle[known].clamp(0, 0.9999) * BINS).long()
            losses["middle"] = cross_entropy(self.middle(thought[known]), wanted)
        each = GRID // side
        wanted = batch.maps.view(-1, side, each, side, each).permute(0, 1, 3, 2, 4).reshape(-1, TOKENS, each * each)
        said = self.map(seen).view(-1, TOKENS, each * each, self.names)
        mapped = (batch.maps.flatten(1) > 0).any(1)
        if mapped.any():
            losses["map"] = cross_entropy(said[mapped].flatten(0, 2), wanted[mapped].flatten())
        return losses

    def of_stacks(self, tokens: torch.Tensor, thought: torch.Tensor, batch: Batch) -> dict[str, torch.Tensor]:
        """Losses of a batch of stacks.

        Args:
            tokens: [B, STACK_SIZE * TOKENS, H], the pictures' tokens behind the language model's first layer.
            thought: [n, H] from the language model, at ``batch.starts``.
        """
        of = torch.tensor([row for row, _, _ in batch.starts])
        number = torch.arange(STACK_SIZE).repeat_interleave(TOKENS).expand(len(tokens), -1)
        images = batch.images[of]
        there = images >= 0
        said = self.images(thought).view(-1, 3, 3, STACK_SIZE)
        return {
            "number": cross_entropy(self.number(tokens).flatten(0, 1), number.flatten()),
            "images": cross_entropy(said[there], images[there]),
            "stack name": self._name_loss(thought, batch, of),
        }

    def _name_loss(self, thought: torch.Tensor, batch: Batch, of: torch.Tensor) -> torch.Tensor:
        marked = batch.marked[of]
        return cross_entropy(self.name(thought).view(-1, 3, self.names)[marked > 0], marked[marked > 0])


WEIGHTS = {"marker": 0.5, "name": 0.3, "middle": 0.2, "map": 0.3, "number": 0.2, "images": 0.5, "stack name": 0.1}
"""How much each of the helpers' losses counts beside that of the answers."""
