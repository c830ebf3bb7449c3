"""Muon (Keller Jordan, 2024): a step's direction is the momentum's nearest matrix with equal singular values.

So rare directions are learnt as fast as frequent ones. For the matrices inside the model only; all else is AdamW's.
Matrices of one shape are taken together, in bfloat16, as published.
"""

from collections import defaultdict
from collections.abc import Iterable

import torch
from torch import Tensor

NS_STEPS, NS = 5, (3.4445, -4.7750, 2.0315)
"""Newton-Schulz iterations and their coefficients, as published."""


def orthogonalized(matrices: Tensor) -> Tensor:
    """Matrices [..., m, n] with their singular values all near 1."""
    x = (matrices / (matrices.norm(dim=(-2, -1), keepdim=True) + 1e-7)).bfloat16()
    wide = x.shape[-2] <= x.shape[-1]
    x = x if wide else x.mT
    for _ in range(NS_STEPS):
        square = x @ x.mT
        x = NS[0] * x + (NS[1] * square + NS[2] * (square @ square)) @ x
    return (x if wide else x.mT).to(matrices.dtype)


class Muon(torch.optim.Optimizer):
    """Momentum, orthogonalized; scaled so that a rate suits that suits AdamW (Moonshot AI, 2025)."""

    def __init__(
        self, matrices: Iterable[Tensor], lr: float, momentum: float = 0.95, weight_decay: float = 0.01
    ) -> None:
        super().__init__(matrices, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """One step along the gradients."""
        for group in self.param_groups:
            by_shape: dict[torch.Size, list[Tensor]] = defaultdict(list)
            for matrix in group["params"]:
                assert matrix.grad is not None
                state = self.state[matrix]
                if not state:
                    state["momentum"] = torch.zeros_like(matrix)
                state["momentum"].lerp_(matrix.grad, 1 - group["momentum"])
                by_shape[matrix.shape].append(matrix)
            for shape, matrices in by_shape.items():
                gradients = [matrix.grad for matrix in matrices if matrix.grad is not None]
                averages = [self.state[matrix]["momentum"] for matrix in matrices]
                nesterov = [g.lerp(a, group["momentum"]) for g, a in zip(gradients, averages, strict=True)]
                directions = orthogonalized(torch.stack(nesterov))
                for matrix, direction in zip(matrices, directions, strict=True):
                    matrix.mul_(1 - group["lr"] * group["weight_decay"])
                    matrix.add_(direction, alpha=-group["lr"] * 0.2 * max(shape) ** 0.5)
