"""Muon (Keller Jordan, 2024) in single precision: torch's own works in bfloat16, for which these cores have no unit.

A step's direction is the momentum's nearest matrix with equal singular values, so that rare directions are learnt as
fast as frequent ones. For the matrices inside the model only; all else is AdamW's.
"""

from collections.abc import Iterable

import torch
from torch import Tensor

NS_STEPS, NS = 5, (3.4445, -4.7750, 2.0315)
"""Newton-Schulz iterations and their coefficients, as published."""


def orthogonalized(matrix: Tensor) -> Tensor:
    """A matrix [m, n] with its singular values all near 1."""
    x = matrix / (matrix.norm() + 1e-7)
    wide = x.shape[0] <= x.shape[1]
    x = x if wide else x.T
    for _ in range(NS_STEPS):
        square = x @ x.T
        x = torch.addmm(x, torch.addmm(square, square, square, beta=NS[1], alpha=NS[2]), x, beta=NS[0])
    return x if wide else x.T


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
            for matrix in group["params"]:
                state = self.state[matrix]
                if not state:
                    state["momentum"] = torch.zeros_like(matrix)
                average = state["momentum"].lerp_(matrix.grad, 1 - group["momentum"])
                direction = orthogonalized(matrix.grad.lerp(average, group["momentum"]))  # Nesterov's
                matrix.mul_(1 - group["lr"] * group["weight_decay"])
                matrix.add_(direction, alpha=-group["lr"] * 0.2 * max(matrix.shape) ** 0.5)
