"""``random-k``: MIS-SemSam with K - 1 random content tokens for neighbours, a control of this project's.

The weights are those of the real neighbourhoods. Coarser than ``shuffled``: random tokens are mostly rare ones.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

from semsam.arms.arm import Loaded, check, is_whole
from semsam.arms.controls import random_sets
from semsam.arms.semantic import SemSam, tables_of
from semsam.tables import NeighbourTables


@dataclass(frozen=True)
class RandomK(SemSam):
    """The rule with random neighbours.

    Args:
        draw_seed: of the neighbours; one table serves all answers.
    """

    name: ClassVar[str] = "random-k"
    draw_seed: int = 0

    def __post_init__(self) -> None:
        check(self, draw_seed=is_whole(self.draw_seed, 0))
        super().__post_init__()

    def tables(self, loaded: Loaded) -> NeighbourTables:
        """The random neighbourhoods, made once."""
        return loaded.once(self, lambda: self.other_sets(tables_of(loaded, self.rule)))

    def other_sets(self, tables: NeighbourTables) -> NeighbourTables:
        """The random neighbourhoods, from the real ones."""
        return random_sets(tables, self.draw_seed)

    def for_vllm(self) -> dict[str, Any]:
        """For ``semsam.arms.vllm_plugin``."""
        asked = {"arm": self.name, "arm_settings": self.settings()}
        return {"temperature": 0.0, "repetition_penalty": 1.0, "extra_args": asked}
