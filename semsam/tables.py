"""The neighbour tables of a model's tokens."""

import dataclasses
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import torch
from torch import Tensor

from semsam.errors import TablesError
from semsam.settings import Guard

_CHECKED_TOKENS, _COSINE_TOLERANCE = 64, 0.03


@dataclass(frozen=True, eq=False)
class NeighbourTables:
    """The neighbourhoods of V tokens; for the rule in :mod:`semsam.rescoring`.

    Args:
        ids: int32[V, K], the nearest content tokens of each, itself first.
        weights: float32[V, K], their cosine similarity where it is positive, else 0; the first column is 1.
        content: bool[V]. A token that is not content has only itself.
        guard: how the neighbourhoods were guarded, see :class:`semsam.settings.Settings`.
        fingerprint: of all that they depend on but K, see :mod:`semsam.cache`; empty if unknown.
    """

    ids: Tensor
    weights: Tensor
    content: Tensor
    guard: Guard = "none"
    fingerprint: str = ""

    def __post_init__(self) -> None:
        shapes = [tuple(tensor.shape) for tensor in (self.ids, self.weights, self.content)]
        kinds = (self.ids.dtype, self.weights.dtype, self.content.dtype)
        if (
            self.ids.dim() != 2
            or shapes != [shapes[0], shapes[0], shapes[0][:1]]
            or kinds != (torch.int32, torch.float32, torch.bool)
        ):
            raise TablesError(
                "Neighbour tables are ids int32[V, K], weights float32[V, K] and content bool[V].",
                value=list(zip(shapes, kinds, strict=True)),
            )

    @property
    def k(self) -> int:
        """Neighbours of each token, itself included."""
        return self.ids.shape[1]

    def to(self, device: torch.device | str) -> Self:
        """The tables on a device; the same object if they are there."""
        if self.ids.device == torch.device(device):
            return self
        moved = {name: getattr(self, name).to(device) for name in ("ids", "weights", "content")}
        return dataclasses.replace(self, **moved)

    @cached_property
    def log_weights(self) -> Tensor:
        """float32[V, K], the weights' logarithms; NaN, which spoils every sum, for tokens that are not content."""
        return torch.where(self.content.unsqueeze(1), self.weights.log(), torch.nan)

    @cached_property
    def arrays(self) -> tuple[Any, Any]:
        """``ids`` and ``log_weights`` as numpy arrays; of tables on the CPU."""
        return self.ids.numpy(), self.log_weights.numpy()

    def first(self, k: int) -> Self:
        """The tables of the ``k`` nearest neighbours: a view.

        Raises:
            TablesError: if they have fewer.
        """
        if k == self.k:
            return self
        if k > self.k:
            raise TablesError(
                f"The neighbour tables have {self.k} neighbours of each token; {k} are requested.",
                remedy=f"build them with k={k}.",
            )
        view = dataclasses.replace(self, ids=self.ids[:, :k], weights=self.weights[:, :k])
        view.__dict__["log_weights"] = self.log_weights[:, :k]
        return view


def check_model(tables: NeighbourTables, embedding: Tensor) -> None:
    """Refuse tables of another model: the cosines of some neighbours are recomputed and compared.

    A copy of the model in another precision is accepted, and so is one that was fine-tuned but kept its embedding.

    Args:
        tables: the tables.
        embedding: float[V, H], the model's.

    Raises:
        TablesError: if the vocabularies or the cosines differ.
    """
    remedy = "build the tables from this model's own embedding (semsam.neighbours.for_model)."
    if len(tables.ids) != len(embedding):
        raise TablesError(
            "The neighbour tables belong to another model.",
            value=f"{len(tables.ids)} tokens in the tables, {len(embedding)} in the model",
            remedy=remedy,
        )
    content = tables.content.cpu().nonzero().squeeze(1)
    some = content[:: max(1, len(content) // _CHECKED_TOKENS)]
    ids = tables.ids[some.to(tables.ids.device)].cpu().long()
    near = embedding.detach()[ids.to(embedding.device)].float().cpu()  # [N, K, H]
    cosine = torch.cosine_similarity(near, near[:, :1], dim=-1).clamp_min(0)
    weights = tables.weights[some.to(tables.weights.device)].cpu()
    worst = (cosine - weights)[weights > 0].abs().max().item() if len(some) else 0.0
    if not worst <= _COSINE_TOLERANCE:
        raise TablesError(
            "The neighbour tables belong to another model.", value=f"cosines differ by {worst:.2f}", remedy=remedy
        )
