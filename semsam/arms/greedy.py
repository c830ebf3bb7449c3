"""``greedy``: the most probable token at each step; what all other arms are compared with."""

from dataclasses import dataclass
from typing import Any, ClassVar

from semsam.arms.arm import Arm


@dataclass(frozen=True)
class Greedy(Arm):
    """Argmax of the model's logits, without the penalties of its generation config."""

    name: ClassVar[str] = "greedy"

    def for_vllm(self) -> dict[str, Any]:
        """Temperature 0 is argmax in vLLM."""
        return {"temperature": 0.0, "repetition_penalty": 1.0}
