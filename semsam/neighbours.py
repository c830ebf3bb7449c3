"""Neighbourhoods of tokens in a model's own token embedding, by cosine similarity; made once per model.

:func:`build` needs an embedding and a mask of content tokens; :func:`for_model` gets both from a model or its files,
and keeps the tables in a cache. Only content tokens have and are neighbours, so that no control token can become a hub.
"""

import dataclasses
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from semsam.errors import EmbeddingError, SettingsError, TablesError
from semsam.selection import block_width, top_k
from semsam.settings import Guard, Settings
from semsam.tables import NeighbourTables

if TYPE_CHECKING:
    from pathlib import Path

from semsam.content import content_tokens

__all__ = ["NeighbourTables", "build", "content_tokens", "for_model", "nearest"]

log = logging.getLogger(__name__)

GIB = 1 << 30
DEFAULT_MEMORY = 2 * GIB - GIB // 4
_MOST_TABLES = 32 * GIB
# This many rows at once keep the product busy; more, where the columns' vectors must be computed again for each.
_ROWS, _ROWS_OF_LARGE = 512, 2048
_FLOAT32 = 4
_PART = 1024


@dataclass(frozen=True)
class _Plan:
    """How a build is divided: rows at once, against columns at once; vectors in parts."""

    rows: int
    columns: int
    part: int
    peak: int


@torch.no_grad()
def build(
    embedding: Tensor,
    content: Tensor,
    k: int = 16,
    *,
    apart: Tensor | None = None,
    guard: Guard = "none",
    memory: int = DEFAULT_MEMORY,
    device: torch.device | str | None = None,
    progress: bool = False,
) -> NeighbourTables:
    """Neighbour tables of an embedding.

    Args:
        embedding: float[V, H], float16, bfloat16, float32 or float64.
        content: bool[V], the tokens that have and may be neighbours.
        k: neighbours of each token, itself first. Missing ones are the token itself with weight 0.
        apart: int64[N, 2], pairs of tokens of which the second may not be a neighbour of the first.
        guard: the name of what made ``apart``; only noted in the tables.
        memory: bytes to use at most beside the embedding and the tables, where that is possible at all.
        device: where to compute; by default where the embedding is, or on a GPU if there is one.
        progress: show a progress bar.

    Returns:
        Tables on the embedding's device. Of equally near neighbours the one with the lower id comes first.

    Raises:
        SettingsError: if k is less than 1, or so large that the tables would not fit a machine.
        EmbeddingError: if the embedding is not a matrix of floating-point numbers, or not finite on a content token.
    """
    _check(embedding, content, k)
    V = len(embedding)
    if V * k * 2 * _FLOAT32 > _MOST_TABLES:
        raise SettingsError(
            f"Tables of {V} tokens with that many neighbours would take {V * k * 2 * _FLOAT32 / GIB:.0f} GiB.",
            value=f"k={k}",
            remedy="use a smaller k; the rule is meant for a handful of near neighbours.",
        )
    own = torch.arange(V, dtype=torch.int32)
    ids = own.unsqueeze(1).repeat(1, k)
    weights = torch.zeros(V, k)
    weights[:, 0] = 1
    tokens = content.cpu().nonzero().squeeze(1)
    for rows, near, similarity in _pieces(embedding, tokens, tokens, k, apart, memory, device, progress):
        ids[rows, : near.shape[1]] = near
        weights[rows, : near.shape[1]] = similarity
    place = embedding.device
    return NeighbourTables(ids.to(place), weights.to(place), content.to(place), guard)


@torch.no_grad()
def nearest(
    embedding: Tensor, content: Tensor, tokens: Tensor, k: int = 16, *, apart: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """As :func:`build`, for a few content tokens only.

    Returns:
        int32[N, min(k, content tokens)] ids and float32 weights of the neighbours of int64[N] ``tokens``.
    """
    _check(embedding, content, k)
    pieces = list(
        _pieces(embedding, content.cpu().nonzero().squeeze(1), tokens.cpu(), k, apart, DEFAULT_MEMORY, None, False)
    )
    return torch.cat([ids for _, ids, _ in pieces]), torch.cat([weights for _, _, weights in pieces])


def _check(embedding: Tensor, content: Tensor, k: int) -> None:
    if k < 1:
        raise SettingsError("A token has at least one neighbour, itself.", value=f"k={k}", remedy="use k >= 1.")
    if embedding.dim() != 2 or embedding.dtype not in (torch.float16, torch.bfloat16, torch.float32, torch.float64):
        raise EmbeddingError(
            "Neighbourhoods need the embedding as a matrix of floating-point numbers.",
            value=f"{embedding.dtype}{list(embedding.shape)}",
            remedy="load the model without quantisation, or build the tables from the unquantised model's files.",
        )
    if content.dtype != torch.bool or content.shape != embedding.shape[:1]:
        raise TablesError(
            f"The mask of content tokens must be bool[{len(embedding)}], one for each row of the embedding.",
            value=f"{content.dtype}{list(content.shape)}",
        )


def _plan(count: int, hidden: int, k: int, memory: int) -> _Plan:
    """Cut the product of [count, hidden] with its transpose so that ``memory`` bytes are enough, if they can be.

    If half of the memory holds all unit vectors, they are kept; else they are computed again for each block of columns.
    """
    vector = _FLOAT32 * hidden
    kept = count * vector <= memory // 2
    columns = count if kept else min(count, max(64, memory // 8 // vector))
    # In the top-k of a row: the blocks' maxima with their keys, then k blocks with columns and keys.
    block = block_width(count, k)
    row = count * _FLOAT32 + (count // block + k * block) * 40 + 2 * vector
    part = max(16, min(_PART, memory // 16 // (2 * vector)))
    held = columns * vector + part * 2 * vector
    rows = max(1, min(_ROWS if kept else _ROWS_OF_LARGE, count, (memory - held) // row))
    return _Plan(rows, columns, part, held + rows * row)


def _pieces(
    embedding: Tensor,
    tokens: Tensor,
    wanted: Tensor,
    k: int,
    apart: Tensor | None,
    memory: int,
    device: torch.device | str | None,
    progress: bool,
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """For some rows at a time: their tokens int64[R], neighbours int32[R, k'] and weights float32[R, k'], on the CPU.

    Args:
        embedding: float[V, H].
        tokens: int64[N], ascending: the content tokens.
        wanted: int64[W]: those of them whose neighbours are wanted.
    """
    if not len(tokens):
        return
    place = _device(embedding, device)
    plan = _plan(len(tokens), embedding.shape[1], k, memory)
    message = (
        f"Neighbours of {len(wanted):,} tokens on {place}, {plan.rows} at a time: "
        f"up to {plan.peak / (1 << 20):,.0f} MiB beside the embedding"
    )
    log.info(message)
    position = torch.full((len(embedding),), -1)
    position[tokens] = torch.arange(len(tokens))
    pairs = _positions_apart(position, apart)
    kept = _unit_vectors(embedding, tokens, place, plan.part) if plan.columns >= len(tokens) else None
    buffer = torch.empty(min(plan.rows, len(wanted)), len(tokens), device=place)
    for rows in _tracked(wanted.split(plan.rows), message, progress):
        unit = _unit_vectors(embedding, rows, place, plan.part) if kept is None else kept[position[rows].to(place)]
        similarity = buffer[: len(rows)]
        for start in range(0, len(tokens), plan.columns):
            columns = tokens[start : start + plan.columns]
            block = _unit_vectors(embedding, columns, place, plan.part) if kept is None else kept
            torch.mm(unit, block.T, out=similarity[:, start : start + len(columns)])
        line = torch.arange(len(rows))
        similarity[line.to(place), position[rows].to(place)] = torch.inf
        if pairs is not None:
            inside = pairs[torch.isin(pairs[:, 0], position[rows])]
            order = torch.full((len(tokens),), -1)
            order[position[rows]] = line
            similarity[order[inside[:, 0]].to(place), inside[:, 1].to(place)] = -torch.inf
        near = top_k(similarity, k)
        weights = similarity.gather(1, near).cpu()
        ids = tokens[near.cpu()]
        ids = torch.where(weights == -torch.inf, rows.unsqueeze(1), ids)
        yield rows, ids.int(), weights.clamp_(0, 1)


def _positions_apart(position: Tensor, apart: Tensor | None) -> Tensor | None:
    """``apart`` as positions among the content tokens; pairs with another token, or with itself, dropped."""
    if apart is None or not len(apart):
        return None
    pairs = position[apart.cpu()]
    return pairs[(pairs >= 0).all(1) & (pairs[:, 0] != pairs[:, 1])]


def _unit_vectors(embedding: Tensor, tokens: Tensor, device: torch.device, part: int) -> Tensor:
    """float32[N, H] vectors of length 1; zero vectors stay zero."""
    result = torch.empty(len(tokens), embedding.shape[1], device=device)
    for some, out in zip(tokens.split(part), result.split(part), strict=True):
        out.copy_(embedding[some.to(embedding.device)])
        # Beside its largest element no vector is too short or too long to be squared.
        out.div_(out.abs().amax(1, keepdim=True).clamp_min_(torch.finfo(torch.float32).tiny))
        length = torch.linalg.vector_norm(out, dim=1, keepdim=True)
        if not bool(length.isfinite().all()):
            bad = some[~length.squeeze(1).isfinite().cpu()]
            raise EmbeddingError(
                "The embedding is not finite on content tokens.",
                value=f"tokens {bad[:5].tolist()}",
                remedy="the model's files are damaged, or its type overflows: load it again in bfloat16 or float32.",
            )
        out.div_(length.clamp_min_(1.0))
    return result


def _device(embedding: Tensor, device: torch.device | str | None) -> torch.device:
    if device is not None:
        return torch.device(device)
    if embedding.device.type == "cpu" and torch.cuda.is_available():
        return torch.device("cuda")
    return embedding.device


def _tracked(pieces: tuple[Tensor, ...], message: str, progress: bool) -> Iterator[Tensor]:
    if not progress or len(pieces) < 2:
        yield from pieces
        return
    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True)
    console.print(message)
    yield from track(pieces, "Neighbours", console=console)


def for_model(
    model_or_folder: "Any | str | Path",
    tokenizer: Any = None,
    settings: Settings | None = None,
    cache: bool = True,
    *,
    progress: bool = True,
) -> NeighbourTables:
    """The tables of a model, from the cache if it has them.

    Args:
        model_or_folder: a loaded ``transformers`` model, the folder of one, or its name on the Hub. Of files only the
            embedding is read, so that a large model's tables need no more memory than its embedding.
        tokenizer: the model's tokenizer or processor; by default the one in the model's folder.
        settings: ``k`` and ``guard`` decide the tables.
        cache: whether to look for the tables in the cache and keep them there.
        progress: show a progress bar where the tables must be built.

    Returns:
        Tables on the CPU, with exactly ``settings.k`` neighbours.

    Raises:
        EmbeddingError: if there is no embedding, or it is quantised.
        TokenizerMismatchError: if the tokenizer does not fit the embedding.
    """
    from semsam import antonyms
    from semsam import cache as store
    from semsam.embedding import load

    settings = settings or Settings()
    source = load(model_or_folder, tokenizer)
    embedding, content = source.fitted()
    apart = antonyms.pairs(source.tokenizer) if settings.guard == "antonyms" else None

    def made(fingerprint: str = "") -> NeighbourTables:
        tables = build(embedding, content, settings.k, apart=apart, guard=settings.guard, progress=progress)
        return dataclasses.replace(tables.to("cpu"), fingerprint=fingerprint)

    if not cache:
        return made()
    fingerprint = store.fingerprint(embedding, content, apart, settings.guard)
    found = store.find(fingerprint, settings)
    if found is not None:
        return found
    with store.lock(fingerprint):
        # Another process may have made them in the meantime.
        found = store.find(fingerprint, settings)
        if found is None:
            found = made(fingerprint)
            store.keep(found)
    return found
