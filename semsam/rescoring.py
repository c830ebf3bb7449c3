"""The rule of MIS-SemSam: one pure function over a step's logits; every adapter calls it.

At each step the candidates are the usual top-M / top-p tokens. If any of them is not a content token, the step is left
to default decoding. Otherwise a candidate c is scored by the probability of its neighbourhood in the model's own token
embedding::

    score(c) = sum over k of  w[c, k] * p(ids[c, k])          p: the softmax over the full vocabulary

Nothing here waits for the device, loops over rows or sorts the vocabulary. A call needs the memory of one float32 copy
of the logits, its result included.
"""

import dataclasses
import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from semsam.errors import SettingsError, TablesError
from semsam.selection import top_k
from semsam.settings import Mode, Settings
from semsam.tables import NeighbourTables

# So that a sum of nothing is -inf, and not NaN.
_LOWEST = torch.finfo(torch.float32).min
# No float32 sum of all probabilities is less.
_ALMOST_ALL = 1 - 1e-4


@dataclass(frozen=True)
class RowSettings:
    """Settings of each of B rows as tensors, for engines that mix requests in a batch.

    Args:
        most: the largest ``top_m`` of all rows.
        widest: the largest ``k`` of all rows.
        top_m: int64[B, 1].
        top_p: float32[B, 1]; infinite where all probability is asked for.
        k: int64[B, 1, 1].
        strength: float32[B, 1, 1]; a row with 0 is left as it is.
        sample: bool[B, 1]; whether the row's mode is ``sample``.
    """

    most: int
    widest: int
    top_m: Tensor
    top_p: Tensor
    k: Tensor
    strength: Tensor
    sample: Tensor

    @classmethod
    def of(cls, settings: Sequence[Settings | None], device: torch.device | str = "cpu") -> Self:
        """Rows with these settings; ``None`` stands for a row with default decoding."""
        off = Settings(k=1, top_m=1, strength=0.0)
        rows = [row or off for row in settings]

        def column(values: list[float], dtype: torch.dtype, *shape: int) -> Tensor:
            return torch.tensor(values, dtype=dtype, device=device).view(-1, *shape)

        return cls(
            most=max((row.top_m for row in rows), default=1),
            widest=max((row.k for row in rows), default=1),
            top_m=column([row.top_m for row in rows], torch.int64, 1),
            top_p=column([_threshold(row.top_p) for row in rows], torch.float32, 1),
            k=column([row.k for row in rows], torch.int64, 1, 1),
            strength=column([row.strength for row in rows], torch.float32, 1, 1),
            sample=column([row.mode == "sample" for row in rows], torch.bool, 1),
        )

    def take(self, index: Tensor) -> Self:
        """The rows named by int64[N] ``index``, on its device and without waiting for it."""
        names = ("top_m", "top_p", "k", "strength", "sample")
        return dataclasses.replace(self, **{name: getattr(self, name).index_select(0, index) for name in names})


def rescore(
    logits: Tensor,
    tables: NeighbourTables,
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
        k: how many neighbours of the tables to use; all by default.

    Returns:
        float[B, V] of the same type. A re-scored row holds log(score) at its candidates (``mode="sample"``: the score)
        and -inf elsewhere. A row that defers to default decoding is unchanged, bit for bit; so is one with NaN or
        +inf, and one in which no candidate has a score.

    Raises:
        SettingsError: if a setting is not legal.
        TablesError: if the tables are of another vocabulary or device, or have fewer than ``k`` neighbours.
    """
    settings = _checked(tables.k if k is None else k, top_m, top_p, mode, strength)
    _check_fit(logits, tables, settings.k)
    if settings.strength == 0:
        return logits
    return _rescore(
        logits,
        tables.first(settings.k),
        most=settings.top_m,
        threshold=_threshold(settings.top_p),
        strength=None if settings.strength == 1 else settings.strength,
        sample=settings.mode == "sample",
    )


def rescore_rows(logits: Tensor, tables: NeighbourTables, rows: RowSettings) -> Tensor:
    """As :func:`rescore`, each row with settings of its own.

    Raises:
        TablesError: if the tables are of another vocabulary or device, or have fewer neighbours than a row asks for.
        SettingsError: if there are not as many settings as rows.
    """
    _check_fit(logits, tables, rows.widest)
    if len(rows.top_p) != len(logits):
        raise SettingsError(
            f"There are settings for {len(rows.top_p)} rows, but logits for {len(logits)}.",
            remedy="give rows with default decoding the settings None.",
        )
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


@torch.no_grad()
def _rescore(
    logits: Tensor,
    tables: NeighbourTables,
    most: int,
    threshold: float | Tensor,
    strength: float | Tensor | None,
    sample: bool | Tensor,
    top_m: Tensor | None = None,
    k: Tensor | None = None,
) -> Tensor:
    full = _softmax(logits)
    ids = top_k(logits, most)  # [B, M]
    own = logits.gather(1, ids).float()
    probability = full.gather(1, ids)
    log_total = own[:, :1] - probability[:, :1].log()  # [B, 1]

    before = probability.cumsum(-1) - probability
    candidate = before < threshold
    if isinstance(threshold, Tensor) or threshold > _ALMOST_ALL:
        candidate &= own > -torch.inf  # else they have all of the probability before them
    if top_m is not None:
        candidate &= torch.arange(ids.shape[1], device=ids.device) < top_m

    # log(score) = log(sum of exp(logit + log w)) - log total. The sum is taken beside its largest term, so that with
    # one neighbour it is exactly the token's own logit: the scores have the very order of the logits.
    neighbours = torch.nn.functional.embedding(ids, tables.ids)  # [B, M, K]
    terms = torch.nn.functional.embedding(ids, tables.log_weights)
    if strength is not None or k is not None:
        terms = _reduced(terms, strength, k)
    terms += logits.gather(1, neighbours.flatten(1).long()).view_as(terms)
    largest = terms.amax(-1, keepdim=True).clamp_min_(_LOWEST)
    score = terms.sub_(largest).exp_().sum(-1).log_().add_(largest.squeeze(-1))
    score = torch.where(candidate, score, -torch.inf)
    best = score.amax(-1, keepdim=True)

    rescored = best > -torch.inf  # [B, 1]; NaN where a candidate is not content
    if isinstance(strength, Tensor):
        rescored &= strength.squeeze(-1) > 0
    # Adding -0.0 leaves every bit as it is. A float32 result takes the place of the softmax.
    blank = torch.where(rescored, -torch.inf, -0.0).to(logits.dtype)
    values = torch.where(rescored, _values(score, best, log_total, candidate, sample, blank), own.to(logits.dtype))
    if full.dtype == logits.dtype:
        return torch.add(logits, blank, out=full).scatter_(1, ids, values)
    del full
    return torch.where(rescored, -torch.inf, logits).scatter_(1, ids, values)


def _softmax(logits: Tensor) -> Tensor:
    """float32[B, V]; takes the memory of its result and no more."""
    if logits.dtype == torch.float32:
        return torch.softmax(logits, -1)
    full = logits.float().sub_(logits.amax(-1, keepdim=True)).exp_()
    return full.div_(full.sum(-1, keepdim=True))


def _reduced(terms: Tensor, strength: float | Tensor | None, k: Tensor | None) -> Tensor:
    """Log weights [B, M, K], those of other tokens weakened and those after the k-th removed."""
    column = torch.arange(terms.shape[-1], device=terms.device)
    if strength is not None:
        less = strength.log() if isinstance(strength, Tensor) else math.log(strength)
        terms = torch.where(column == 0, terms, terms + less)
    return terms if k is None else torch.where(column < k, terms, -torch.inf)


def _values(
    score: Tensor, best: Tensor, log_total: Tensor, candidate: Tensor, sample: bool | Tensor, blank: Tensor
) -> Tensor:
    """What a re-scored row contains at its candidates, in the type of its logits.

    Subtracting and rounding can make a lesser score equal to the best; it is then lowered by one step, so that an
    argmax over the row takes the best score in any type. Equal scores stay equal: the engine breaks the tie.
    ``blank`` [B, 1] has that type, and is -inf in re-scored rows.
    """
    values, top = score - log_total, best - log_total
    if isinstance(sample, Tensor):
        values, top = torch.where(sample, values.exp(), values), torch.where(sample, top.exp(), top)
    elif sample:
        values, top = values.exp_(), top.exp_()
    top = top.to(blank.dtype)
    below = torch.nextafter(top, blank)
    values = torch.where(score < best, torch.minimum(values.to(blank.dtype), below), top)
    return values if sample is False else torch.where(candidate, values, -torch.inf)


def _threshold(top_p: float) -> float:
    """The bound on the probability of all more probable tokens; no sum of float32 reaches exactly 1."""
    return top_p if top_p < 1 else math.inf


@functools.lru_cache(typed=True)
def _checked(k: int, top_m: int, top_p: float, mode: Mode, strength: float) -> Settings:
    return Settings(k=k, top_m=top_m, top_p=top_p, mode=mode, strength=strength)


def _check_fit(logits: Tensor, tables: NeighbourTables, k: int) -> None:
    if k > tables.k:
        raise TablesError(
            f"The neighbour tables have {tables.k} neighbours of each token; {k} are requested.",
            remedy=f"build them with k={k}.",
        )
    if logits.dtype not in (torch.float16, torch.bfloat16, torch.float32):
        raise TablesError("Logits are float16, bfloat16 or float32.", value=logits.dtype)
    if logits.dim() != 2 or logits.shape[1] != len(tables.ids):
        raise TablesError(
            f"The neighbour tables are for a vocabulary of {len(tables.ids)} tokens; the logits are not.",
            value=list(logits.shape),
            remedy="build the tables from this model's own embedding (semsam.neighbours.for_model).",
        )
    if logits.device != tables.ids.device:
        raise TablesError(
            f"The neighbour tables are on {tables.ids.device}, the logits elsewhere.",
            value=logits.device,
            remedy="move the tables once, before generating: tables.to(device).",
        )
