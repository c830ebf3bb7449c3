"""``min-p``: sampling from tokens at least ``min_p`` times as probable as the most probable one (arXiv 2407.01082).

transformers' own (``MinPLogitsWarper``), vLLM's own.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from semsam.arms.arm import SAMPLED, Arm, check, is_number


@dataclass(frozen=True)
class MinP(Arm):
    """Sampling truncated relative to the largest probability.

    Args:
        min_p: the paper recommends 0.05 to 0.1.
        temperature: applied before the truncation, as in the paper.
    """

    name: ClassVar[str] = "min-p"
    min_p: float = 0.1
    temperature: float = 1.0

    def __post_init__(self) -> None:
        check(self, min_p=is_number(self.min_p, 0, 1), temperature=is_number(self.temperature, 1e-6, 100))

    @property
    def generation(self) -> Mapping[str, Any]:
        """Arguments of ``generate``."""
        return {**SAMPLED, "min_p": self.min_p, "temperature": self.temperature}

    def for_vllm(self) -> dict[str, Any]:
        """VLLM has the same rule."""
        return {"temperature": self.temperature, "min_p": self.min_p, "top_p": 1.0, "top_k": 0}
