"""``top-h``: sampling from as many top tokens as keep the entropy bounded (arXiv 2509.02510, NeurIPS 2025).

Tokens are kept, the most probable first, while the sum of their ``-p log p`` stays at most ``top_h`` times the entropy
of the distribution; the first is always kept. transformers' own (``TopHLogitsWarper``), which looks at the 100 most
probable tokens and takes their distribution for the whole; the same code runs in vLLM, through this package's plugin.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from transformers import LogitsProcessor

from semsam.arms.arm import SAMPLED, Arm, check, is_number


@dataclass(frozen=True)
class TopH(Arm):
    """Sampling truncated by entropy.

    Args:
        top_h: share of the entropy that is kept; 0.4 in the paper.
        temperature: applied before the truncation.
    """

    name: ClassVar[str] = "top-h"
    top_h: float = 0.4
    temperature: float = 1.0

    def __post_init__(self) -> None:
        check(self, top_h=is_number(self.top_h, 1e-6, 1), temperature=is_number(self.temperature, 1e-6, 100))

    @property
    def generation(self) -> Mapping[str, Any]:
        """Arguments of ``generate``."""
        return {**SAMPLED, "top_h": self.top_h, "temperature": self.temperature}

    def vllm_processor(self) -> LogitsProcessor:
        """For the plugin; it runs before vLLM's temperature, so that it applies the temperature to its copy itself."""
        from transformers import TopHLogitsWarper

        from semsam.arms.truncation import BeforeTemperature

        return BeforeTemperature(TopHLogitsWarper(self.top_h), self.temperature)

    def for_vllm(self) -> dict[str, Any]:
        """For ``semsam.arms.vllm_plugin``."""
        asked = {"arm": self.name, "arm_settings": self.settings()}
        return {"temperature": self.temperature, "top_p": 1.0, "top_k": 0, "extra_args": asked}
