"""``semsam``, ``semsam-guard`` and ``k1``: MIS-SemSam as published, with this project's guard, and without neighbours.

The rule is that of arXiv 2603.14579; see :mod:`semsam.rescoring`. ``k1`` is the rule with K = 1: each candidate is
scored by its own probability alone, so that it must give the tokens that ``greedy`` gives. It shows that what the other
two change comes from neighbours, and not from how the rule is wired in.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from transformers import LogitsProcessor

from semsam.arms.arm import Arm, Loaded, check
from semsam.logits_processor import SemanticSamplingLogitsProcessor
from semsam.neighbours import for_model
from semsam.settings import Settings
from semsam.tables import NeighbourTables


def tables_of(loaded: Loaded, settings: Settings) -> NeighbourTables:
    """The model's neighbour tables, made once for all arms."""
    key = ("tables", settings.k, settings.guard)

    def make() -> NeighbourTables:
        return for_model(loaded.model, loaded.tokenizer, settings, progress=False).to(loaded.model.device)

    return loaded.once(key, make)


@dataclass(frozen=True)
class SemSam(Arm):
    """The published rule.

    Args:
        k: neighbours of a token, itself included.
        top_m: candidates a step, at most.
        top_p: probability that the candidates reach.
    """

    name: ClassVar[str] = "semsam"
    guard: ClassVar[str] = "none"
    k: int = 16
    top_m: int = 50
    top_p: float = 0.95

    def __post_init__(self) -> None:
        self.rule  # noqa: B018 - its own checks

    @property
    def rule(self) -> Settings:
        """The settings of the rule."""
        return Settings(k=self.k, top_m=self.top_m, top_p=self.top_p, guard=self.guard)  # type: ignore[arg-type]

    def tables(self, loaded: Loaded) -> NeighbourTables:
        """The neighbourhoods that candidates are scored by."""
        return tables_of(loaded, self.rule)

    def processors(self, loaded: Loaded, inputs: Mapping[str, Any]) -> list[LogitsProcessor]:
        """The rule with the arm's tables."""
        return [SemanticSamplingLogitsProcessor(self.tables(loaded), self.rule)]

    def for_vllm(self) -> dict[str, Any]:
        """For ``semsam.vllm_plugin``."""
        asked = {f"semsam_{name}": value for name, value in self.settings().items() if name in ("k", "top_m", "top_p")}
        return {"temperature": 0.0, "repetition_penalty": 1.0, "extra_args": asked | {"semsam_guard": self.guard}}


@dataclass(frozen=True)
class SemSamGuard(SemSam):
    """The rule with listed opposites kept out of each other's neighbourhoods (ours)."""

    name: ClassVar[str] = "semsam-guard"
    guard: ClassVar[str] = "antonyms"


@dataclass(frozen=True)
class OneNeighbour(SemSam):
    """The rule with each token its only neighbour."""

    name: ClassVar[str] = "k1"
    k: int = 1

    def __post_init__(self) -> None:
        check(self, k=self.k == 1)
        super().__post_init__()
