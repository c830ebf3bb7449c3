"""The rule of MIS-SemSam: one pure function over a step's logits; every adapter calls it.

At each step the candidates are the usual top-M / top-p tokens. If any of them is not a content token, the step is left
to default decoding. Otherwise a candidate c is scored by the probability of its neighbourhood in the model's own token
embedding::

    score(c) = sum over k of  w[c, k] * p(ids[c, k])          p: the softmax over the full vocabulary

Nothing here waits for the device, loops over rows or sorts the vocabulary. Beside its result, a call needs a few
megabytes whatever the size of the batch.
"""

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import torch
from torch import Tensor

from semsam.errors import TablesError
from semsam.selection import top_k
from semsam.settings import Mode, Settings

if TYPE_CHECKING:
    from semsam.neighbours import NeighbourTables

# Logits are exponentiated in pieces of so many elements, which stay in a CPU's cache.
PIECE = 1 << 20
# A candidate is at least this (log) probable beside the most probable one: its score is then a normal float32.
_LEAST_LOG_RATIO = -80.0


@dataclass(frozen=True)
class RowSettings:
    """Settings of each of B rows as tensors, for engines that mix requests in a batch.

    Args:
        most: the largest ``top_m`` of all rows.
        top_m: int64[B, 1].
        top_p: float32[B, 1]; infinite where all probability is asked for.
        k: int64[B, 1, 1].
        strength: float32[B, 1, 1]; a row with 0 is left as it is.
        sample: bool[B, 1]; whether the row's mode is ``sample``.
    """

    most: int
    top_m: Tensor
    top_p: Tensor
    k: Tensor
    strength: Tensor
    sample: Tensor

    @classmethod
    def of(cls, settings: Sequence[Settings | None], device: torch.device | str = "cpu") -> Self:
        """Rows with these settings; ``None`` stands for a row that is decoded plainly."""
        off = Settings(k=1, top_m=1, strength=0.0)
        rows = [row or off for row in settings]

        def column(values: list[float], dtype: torch.dtype, *shape: int) -> Tensor:
            return torch.tensor(values, dtype=dtype, device=device).view(-1, *shape)

        return cls(
            most=max((row.top_m for row in rows), default=1),
            top_m=column([row.top_m for row in rows], torch.int64, 1),
            top_p=column([_threshold(row.top_p) for row in rows], torch.float32, 1),
            k=column([row.k for row in rows], torch.int64, 1, 1),
            strength=column([row.strength for row in rows], torch.float32, 1, 1),
            sample=column([row.mode == "sample" for row in rows], torch.bool, 1),
        )

    def take(self, index: Tensor) -> Self:
        """The rows named by int64[N] ``index``, on its device and without waiting for it."""
        names = ("top_m", "top_p", "k", "strength", "sample")
        return type(self)(most=self.most, **{name: getattr(self, name).index_select(0, index) for name in names})


@torch.no_grad()
def rescore(
    logits: Tensor,
    tables: "NeighbourTables",
    top_m: int = 50,
    top_p: float = 0.95,
    *,
    k: int | None = None,
    mode: Mode = "argmax",
    strength: float = 1.0,
) -> Tensor:
    """Re-score a step's logits; see :class:`semsam.settings.Settings` for the settings.

    Args:
        logits: float[B, V], float16, bfloat16 or float32. Not changed.
        tables: the model's neighbourhoods, on the same device.
        k: use only so many neighbours of the tables; all by default.

    Returns:
        float[B, V] of the same type. A re-scored row holds log(score) at its candidates (``mode="sample"``: the score)
        and -inf elsewhere. A row that defers to default decoding is unchanged, bit for bit; so is one with NaN or
        +inf, and one in which no candidate has a score.

    Raises:
        SettingsError: if a setting is not legal.
        TablesError: if the tables are of another vocabulary or device, or have fewer than ``k`` neighbours.
    """
    width = tables.ids.shape[1]
    settings = _checked(width if k is None else k, top_m, top_p, mode, strength)
    if settings.strength == 0:
        return logits
    return _rescore(
        logits,
        tables if settings.k == width else tables.first(settings.k),
        most=settings.top_m,
        threshold=_threshold(settings.top_p),
        strength=None if settings.strength == 1 else settings.strength,
        sample=settings.mode == "sample",
    )


@torch.no_grad()
def rescore_rows(logits: Tensor, tables: "NeighbourTables", rows: RowSettings) -> Tensor:
    """As :func:`rescore`, each row with settings of its own."""
    return _rescore(
        logits,
        tables,
        most=rows.most,
        threshold=rows.top_p,
        strength=rows.strength,
        sample=rows.sample,
        top_m=rows.top_m,
        k=rows.k,
    )


def _rescore(
    logits: Tensor,
    tables: "NeighbourTables",
    most: int,
    threshold: float | Tensor,
    strength: float | Tensor | None,
    sample: bool | Tensor,
    top_m: Tensor | None = None,
    k: Tensor | None = None,
) -> Tensor:
    _check_fit(logits, tables)
    batch, K = len(logits), tables.ids.shape[1]
    ids = top_k(logits, most)  # [B, M]
    own = logits.gather(1, ids).float()  # [B, M], descending
    largest = own[:, :1]
    log_total = _log_sum_exp(logits, largest)  # [B, 1]

    probability = (own - log_total).exp_()
    before = probability.cumsum(-1) - probability
    candidate = (before < threshold) & (own > largest + _LEAST_LOG_RATIO)
    if top_m is not None:
        candidate &= torch.arange(ids.shape[1], device=ids.device) < top_m
    defers = (candidate & ~tables.content[ids]).any(-1, keepdim=True)  # [B, 1]

    # log(score) = own logit + log(sum of w * p / own p) - log total: with one neighbour the sum is exactly 1, so that
    # the scores have the very order of the logits.
    neighbours = torch.nn.functional.embedding(ids, tables.ids)  # [B, M, K]
    weights = torch.nn.functional.embedding(ids, tables.weights)
    if strength is not None or k is not None:
        weights = _reduced(weights, strength, k)
    near = logits.gather(1, neighbours.view(batch, -1).long()).float().view(batch, -1, K)
    score = own + (near - own.unsqueeze(-1)).exp_().mul_(weights).sum(-1).log_()
    score = torch.where(candidate, score, -torch.inf)
    best = score.amax(-1, keepdim=True)
    rescored = (best > -torch.inf) & ~defers
    if isinstance(strength, Tensor):
        rescored &= strength.squeeze(-1) > 0

    values = _values(score, best, log_total, candidate, sample, logits.dtype)
    # Adding -0.0 leaves every bit as it is.
    blank = torch.where(rescored, -torch.inf, -0.0).to(logits.dtype)
    return (logits + blank).scatter_(1, ids, torch.where(rescored, values, own.to(logits.dtype)))


def _log_sum_exp(logits: Tensor, largest: Tensor) -> Tensor:
    """float32[B, 1]; ``largest`` float32[B, 1] are the rows' maxima."""
    columns = max(1, PIECE // max(1, len(logits)))
    sums = [(piece - largest).exp_().sum(-1, keepdim=True) for piece in logits.split(columns, dim=-1)]
    return largest + functools.reduce(torch.add, sums).log_()


def _reduced(weights: Tensor, strength: float | Tensor | None, k: Tensor | None) -> Tensor:
    """``weights`` [B, M, K] with the neighbours' own weakened, and those after the k-th gone."""
    column = torch.arange(weights.shape[-1], device=weights.device)
    if strength is not None:
        weights = torch.where(column == 0, weights, weights * strength)
    return weights if k is None else torch.where(column < k, weights, 0.0)


def _values(
    score: Tensor, best: Tensor, log_total: Tensor, candidate: Tensor, sample: bool | Tensor, dtype: torch.dtype
) -> Tensor:
    """What a re-scored row holds at its candidates, in the type of its logits.

    Subtracting and rounding can make a lesser score equal to the best; it is then lowered by one step, so that an
    argmax over the row takes the best score in any type. Equal scores stay equal: the engine breaks the tie.
    """
    values, top = score - log_total, best - log_total
    if isinstance(sample, Tensor):
        values, top = torch.where(sample, values.exp(), values), torch.where(sample, top.exp(), top)
    elif sample:
        values, top = values.exp_(), top.exp_()
    top = top.to(dtype)
    below = torch.nextafter(top, top.new_full((), -torch.inf))
    values = torch.where(score < best, torch.minimum(values.to(dtype), below), top)
    return values if sample is False else torch.where(candidate, values, -torch.inf)


def _threshold(top_p: float) -> float:
    """What the probability of all more probable tokens must lie below; no sum of float32 reaches exactly 1."""
    return top_p if top_p < 1 else math.inf


@functools.lru_cache
def _checked(k: int, top_m: int, top_p: float, mode: Mode, strength: float) -> Settings:
    return Settings(k=k, top_m=top_m, top_p=top_p, mode=mode, strength=strength)


def _check_fit(logits: Tensor, tables: "NeighbourTables") -> None:
    if logits.dim() != 2 or logits.shape[1] != len(tables.ids):
        raise TablesError(
            f"The neighbour tables are of a vocabulary of {len(tables.ids)} tokens; the logits are of another.",
            value=list(logits.shape),
            remedy="build the tables from this model's own embedding (semsam.neighbours.for_model).",
        )
    if logits.device != tables.ids.device:
        raise TablesError(
            f"The neighbour tables are on {tables.ids.device}, the logits elsewhere.",
            value=logits.device,
            remedy="move the tables once, before generating: tables.to(device).",
        )
