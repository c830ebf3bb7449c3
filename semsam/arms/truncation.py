"""Truncation of logits: what top-n-sigma does, and how a truncation made for tempered logits runs before them."""

import torch
from torch import Tensor
from transformers import LogitsProcessor


class TopNSigmaWarper(LogitsProcessor):
    """Keeps the logits within ``n`` standard deviations of the largest; see :mod:`semsam.arms.top_n_sigma`.

    Args:
        n: of standard deviations.
    """

    def __init__(self, n: float) -> None:
        self.n = n

    def __call__(self, input_ids: Tensor | None, scores: Tensor) -> Tensor:
        """float[B, V], -inf where the logit is too small.

        Logits that are -inf already (ruled out by others) do not count for the standard deviation.
        """
        values = scores.float()
        there = values > -torch.inf
        count = there.sum(-1, keepdim=True)
        kept = torch.where(there, values, 0.0)
        mean = kept.sum(-1, keepdim=True) / count
        squares = torch.where(there, (values - mean) ** 2, 0.0).sum(-1, keepdim=True)
        sigma = (squares / (count - 1).clamp_min(1)).sqrt()
        threshold = values.amax(-1, keepdim=True) - self.n * sigma
        return scores.masked_fill(values < threshold, -torch.inf)


class BeforeTemperature(LogitsProcessor):
    """A truncation that looks at tempered logits, for engines that apply the temperature afterwards.

    Args:
        truncation: sets logits to -inf.
        temperature: that it shall see.
    """

    def __init__(self, truncation: LogitsProcessor, temperature: float) -> None:
        self.truncation, self.temperature = truncation, temperature

    def __call__(self, input_ids: Tensor | None, scores: Tensor) -> Tensor:
        """The logits as they were, -inf where the truncation says so."""
        seen = self.truncation(input_ids, scores / self.temperature)
        return scores.masked_fill(seen == -torch.inf, -torch.inf)
