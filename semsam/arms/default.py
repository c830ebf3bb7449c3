"""``default``: as the model's own generation config says, which many models use for sampling (Qwen3-VL: T = 0.7)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from semsam.arms.arm import Arm, check, is_number, is_whole


@dataclass(frozen=True)
class Default(Arm):
    """The model's generation config, with what is given here in its stead.

    Args:
        temperature: for a model whose config says nothing, or to ask for another model's usual settings; it then
            samples. None: as the config says.
        top_p: the same.
        top_k: the same.
    """

    name: ClassVar[str] = "default"
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None

    def __post_init__(self) -> None:
        check(
            self,
            temperature=self.temperature is None or is_number(self.temperature, 1e-6, 100),
            top_p=self.top_p is None or is_number(self.top_p, 1e-6, 1),
            top_k=self.top_k is None or is_whole(self.top_k, 0),
        )

    @property
    def generation(self) -> Mapping[str, Any]:
        """Only what differs from the model's config."""
        given = {"temperature": self.temperature, "top_p": self.top_p, "top_k": self.top_k}
        own = {name: value for name, value in given.items() if value is not None}
        return {"do_sample": True, **own} if own else {}

    @property
    def sampled(self) -> bool:
        """Yes, as far as the arm knows: see `samples`."""
        return True

    def samples(self, generation_config: Any) -> bool:
        """Whether it samples with a model of this generation config; if not, one seed is enough."""
        return bool(self.generation.get("do_sample") or getattr(generation_config, "do_sample", False))

    def for_vllm(self) -> dict[str, Any]:
        """Only what is given; the study adds what the model's generation config says."""
        return {name: value for name, value in self.generation.items() if name != "do_sample"}
