"""``shuffled``: MIS-SemSam with meaningless neighbourhoods, a control of this project's.

Each neighbour is exchanged for another token that the model finds about as probable in general and that is about as
frequent; the weights stay. If ``semsam`` gains because a token's *neighbours in meaning* support it, this arm must not
gain; if it gains by a bias toward tokens with many probable neighbours, or by chance, so does this arm.
"""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from semsam.arms.arm import Loaded, check, is_whole
from semsam.arms.controls import exchange, exchanged, mean_probability
from semsam.arms.semantic import SemSam, tables_of
from semsam.errors import SettingsError
from semsam.tables import NeighbourTables


@dataclass(frozen=True)
class Shuffled(SemSam):
    """The rule with its neighbours exchanged.

    Args:
        group: a neighbour is exchanged within this many tokens like it.
        matching: ``probability``: by probability and frequency; ``frequency``: by frequency alone, which needs no run
            of the model.
        shuffle_seed: of the exchange; one table serves all answers.
    """

    name: ClassVar[str] = "shuffled"
    group: int = 16
    matching: Literal["probability", "frequency"] = "probability"
    shuffle_seed: int = 0

    def __post_init__(self) -> None:
        check(
            self,
            group=is_whole(self.group, 3),
            matching=self.matching in ("probability", "frequency"),
            shuffle_seed=is_whole(self.shuffle_seed, 0),
        )
        super().__post_init__()

    def tables(self, loaded: Loaded) -> NeighbourTables:
        """The exchanged neighbourhoods, made once."""

        def make() -> NeighbourTables:
            real = tables_of(loaded, self.rule)
            probability = (
                loaded.once("mean probability", lambda: mean_probability(loaded))
                if self.matching == "probability"
                else None
            )
            return exchanged(real, exchange(real.content, probability, self.group, self.shuffle_seed))

        return loaded.once(self, make)

    def other_sets(self, tables: NeighbourTables) -> NeighbourTables:
        """The exchanged neighbourhoods where the model itself is out of reach."""
        return exchanged(tables, exchange(tables.content, None, self.group, self.shuffle_seed))

    def for_vllm(self) -> dict[str, Any]:
        """For ``semsam.arms.vllm_plugin``, which cannot run the model to learn probabilities."""
        if self.matching == "probability":
            raise SettingsError(
                "The arm shuffled matches tokens by probability in runs of its own, which vLLM's logits processors "
                "cannot make.",
                value="matching: probability",
                remedy="give the arm matching: frequency in a plan for vLLM.",
            )
        asked = {"arm": self.name, "arm_settings": self.settings()}
        return {"temperature": 0.0, "repetition_penalty": 1.0, "extra_args": asked}
