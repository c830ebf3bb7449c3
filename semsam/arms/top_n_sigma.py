"""``top-n-sigma``: sampling from tokens within n standard deviations of the largest logit (arXiv 2411.07641, ACL 2025).

With M the largest logit of a step and s the standard deviation (n - 1 in the divisor) of all its logits, a token stays
if its logit is at least ``M - n s``. Which tokens stay does not depend on the temperature.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from transformers import LogitsProcessor

from semsam.arms.arm import SAMPLED, Arm, Loaded, check, is_number
from semsam.arms.truncation import TopNSigmaWarper


@dataclass(frozen=True)
class TopNSigma(Arm):
    """Sampling truncated in the space of logits.

    Args:
        n: standard deviations; 1 in the paper.
        temperature: of the draw.
    """

    name: ClassVar[str] = "top-n-sigma"
    n: float = 1.0
    temperature: float = 1.0

    def __post_init__(self) -> None:
        check(self, n=is_number(self.n, 0, 1000), temperature=is_number(self.temperature, 1e-6, 100))

    @property
    def generation(self) -> Mapping[str, Any]:
        """Arguments of ``generate``."""
        return {**SAMPLED, "temperature": self.temperature}

    def processors(self, loaded: Loaded, inputs: Mapping[str, Any]) -> list[LogitsProcessor]:
        """The truncation."""
        return [self.vllm_processor()]

    def vllm_processor(self) -> LogitsProcessor:
        """The truncation; it does not matter whether the temperature comes before or after."""
        return TopNSigmaWarper(self.n)

    def for_vllm(self) -> dict[str, Any]:
        """For ``semsam.arms.vllm_plugin``."""
        asked = {"arm": self.name, "arm_settings": self.settings()}
        return {"temperature": self.temperature, "top_p": 1.0, "top_k": 0, "extra_args": asked}
