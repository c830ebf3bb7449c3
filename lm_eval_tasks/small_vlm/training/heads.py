"""Heads that tell the model early what an image is good for; they are discarded after the training."""

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, layer_norm, smooth_l1_loss

from lm_eval_tasks.small_vlm.training.batches import Batch
from lm_eval_tasks.small_vlm.training.items import GRID
from lm_eval_tasks.small_vlm.training.model import TOKENS

BINS, STACK_SIZE = 48, 8
SPREAD = 0.012
"""A place is told as a bell of this width (share of the image's side), so that near misses count as near."""

WEIGHTS = {
    "marker": 0.5,
    "name": 0.3,
    "box": 0.3,
    "area": 0.1,
    "middle": 0.2,
    "map": 0.3,
    "asked box": 0.4,
    "length": 1.0,
    "number": 0.2,
    "images": 0.5,
    "share": 0.5,
    "stack name": 0.1,
}
"""How much each of the losses counts beside that of the answers."""


class Helpers(nn.Module):
    """Heads that are discarded after the training; they tell the model early what an image is good for.

    Of each marker: which of the tower's tokens shows it, and, from that token, which structure it marks, that
    structure's box and area; the name and the place also from the language model at the answer, and there the box or
    length that is asked for, the size of a pixel and where the body's midline is. Which structures are where, as seen
    by the tower. In stacks: of which image each of the language model's tokens is, and at the answer in which images
    each marked structure is seen first, largest and last, and how its area is spread over them.
    """

    def __init__(self, width: int, names: int) -> None:
        super().__init__()
        self.token = nn.Linear(width, 3)
        self.map = nn.Linear(width, (GRID * GRID // TOKENS) * names)
        self.named = nn.Linear(width, names)
        self.box = nn.Linear(width, 4 * BINS)
        self.area = nn.Linear(width, 1)
        self.place = nn.Linear(width, 3 * 2 * BINS)
        self.asked = nn.Linear(width, 4 * BINS)
        self.name = nn.Linear(width, 3 * names)
        self.middle = nn.Linear(width, BINS)
        self.length = nn.Linear(width, 2)
        self.number = nn.Linear(width, STACK_SIZE)
        self.images = nn.Linear(width, 3 * 3 * STACK_SIZE)
        self.share = nn.Linear(width, 3 * STACK_SIZE)
        self.names = names

    def of_tower(self, seen: Tensor, batch: Batch) -> dict[str, Tensor]:
        """Losses of images, single or of stacks.

        Args:
            seen: [B * n, TOKENS, H] from the tower.
            batch: what it was shown.
        """
        side, each = math.isqrt(TOKENS), GRID // math.isqrt(TOKENS)
        there = ~torch.isnan(batch.markers[..., 0])
        losses: dict[str, Tensor] = {}
        seen = level(seen)
        if there.any():
            cell = (batch.markers[there].clamp(0, 0.9999) * side).long()
            image, letter = there.nonzero(as_tuple=True)
            at = cell[:, 1] * side + cell[:, 0]
            scores = self.token(seen).transpose(1, 2)[image, letter]
            token = seen[image, at]
            marked = batch.marked.repeat_interleave(len(seen) // len(batch.marked), 0)[image, letter]
            area = torch.log(batch.areas[image, letter].clamp_min(1e-5)) / 4 + 1.5
            losses = {
                "marker": cross_entropy(scores, at),
                "name": cross_entropy(self.named(token), marked),
                "box": place_loss(self.box(token), batch.boxes[there]),
                "area": (self.area(token)[:, 0] - area).square().mean(),
            }
        mapped = (batch.maps.flatten(1) > 0).any(1)
        if mapped.any():
            wanted = batch.maps[mapped].view(-1, side, each, side, each).permute(0, 1, 3, 2, 4)
            said = self.map(seen[mapped]).view(-1, self.names)
            losses["map"] = cross_entropy(said, wanted.reshape(-1))
        return losses

    def of_slices(self, thought: Tensor, batch: Batch) -> dict[str, Tensor]:
        """Losses of what is read from single images.

        Args:
            thought: [n, H] from the language model, at ``batch.starts``.
            batch: what it was shown.
        """
        of = torch.tensor([row for row, _, _ in batch.starts])
        thought = level(thought)
        losses = {}
        there = ~torch.isnan(batch.markers[of][..., 0])
        if there.any():
            said = self.place(thought).view(-1, 3, 2 * BINS)[there]
            losses["place"] = place_loss(said, batch.markers[of][there])
        if (batch.marked[of] > 0).any():
            losses["thought name"] = self._name_loss(thought, batch, of)
        known = ~torch.isnan(batch.midline[of])
        if known.any():
            losses["middle"] = place_loss(self.middle(thought[known]), batch.midline[of][known][:, None])
        if (asked := ~torch.isnan(batch.places[:, 0])).any():
            losses["asked box"] = place_loss(self.asked(thought[asked]), batch.places[asked])
        if (measured := ~torch.isnan(batch.lengths[:, 0])).any():
            losses["length"] = smooth_l1_loss(self.length(thought[measured]), batch.lengths[measured], beta=0.1)
        return losses

    def of_stacks(self, tokens: Tensor, thought: Tensor, batch: Batch) -> dict[str, Tensor]:
        """Losses of what is read from stacks.

        Args:
            tokens: [B, STACK_SIZE * TOKENS, H], the images' tokens behind the language model's first layer.
            thought: [n, H] from the language model, at ``batch.starts``.
            batch: what it was shown.
        """
        of = torch.tensor([row for row, _, _ in batch.starts])
        tokens, thought = level(tokens), level(thought)
        number = torch.arange(STACK_SIZE).repeat_interleave(TOKENS).expand(len(tokens), -1)
        areas = batch.areas.view(-1, STACK_SIZE, 3).transpose(1, 2)  # [B, 3, STACK_SIZE]
        seen_in = areas > 0
        first = seen_in.int().argmax(-1)
        last = STACK_SIZE - 1 - seen_in.flip(-1).int().argmax(-1)
        images = torch.stack([first, areas.argmax(-1), last], -1)[of]
        there = seen_in.any(-1)[of]
        numbers = {"number": cross_entropy(self.number(tokens).flatten(0, 1), number.flatten())}
        if not there.any():
            return numbers
        said = self.images(thought).view(-1, 3, 3, STACK_SIZE)
        spread = areas[of][there] / areas[of][there].sum(-1, keepdim=True)
        return numbers | {
            "images": cross_entropy(said[there].flatten(0, 1), images[there].flatten()),
            "share": cross_entropy(self.share(thought).view(-1, 3, STACK_SIZE)[there], spread),
            "stack name": self._name_loss(thought, batch, of),
        }

    def _name_loss(self, thought: Tensor, batch: Batch, of: Tensor) -> Tensor:
        marked = batch.marked[of]
        return cross_entropy(self.name(thought).view(-1, 3, self.names)[marked > 0], marked[marked > 0])


WEIGHTS |= {"place": 1.0, "thought name": WEIGHTS["name"]}


def level(tokens: Tensor) -> Tensor:
    """Tokens [..., H] with mean 0 and spread 1, so that a head learns at the same rate whatever their size."""
    return layer_norm(tokens, tokens.shape[-1:])


def place_loss(said: Tensor, places: Tensor) -> Tensor:
    """Cross entropy of places against bells around the true ones.

    Args:
        said: [n, k * BINS], scores of k coordinates.
        places: [n, k], true ones from 0 to 1; NaN is left out. A point may have two of four.
    """
    known = ~torch.isnan(places)
    scores = said.view(len(places), -1, BINS)[:, : places.shape[1]][known]
    centres = (torch.arange(BINS) + 0.5) / BINS
    width = max(SPREAD, 0.5 / BINS)
    bells = torch.softmax(-((centres - places[known][:, None].clamp(0, 1)) ** 2) / (2 * width**2), -1)
    return cross_entropy(scores, bells)
