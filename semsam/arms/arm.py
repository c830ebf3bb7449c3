"""What an arm is: a way to decode, with its settings, that a loaded model can be asked to use."""

from abc import ABC
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar, Literal, TypeVar

import torch
from torch import Tensor
from transformers import LogitsProcessor, LogitsProcessorList

from semsam.errors import SettingsError

Needs = Literal["logits", "second pass", "attention"]

GREEDY: Mapping[str, Any] = {
    "do_sample": False,
    "num_beams": 1,
    "temperature": 1.0,
    "top_k": 50,  # transformers' default: without effect, and without a warning, where nothing is sampled
    "top_p": 1.0,
    "min_p": None,
    "repetition_penalty": 1.0,
    "no_repeat_ngram_size": 0,
}
"""Argmax of the model's own logits. A model's generation config may penalise repetition, or sample: not here."""

SAMPLED: Mapping[str, Any] = {**GREEDY, "do_sample": True, "top_k": 0}
"""A draw from the softmax of the logits at temperature 1, from the whole vocabulary."""

Made = TypeVar("Made")


@dataclass(eq=False)
class Loaded:
    """A loaded model, shared by all arms, with what they have made for it.

    Args:
        model: any model that ``generate`` takes.
        tokenizer: its tokenizer, or a processor that has one.
        made: neighbour tables and the like, made once.
    """

    model: Any
    tokenizer: Any
    made: dict[Any, Any] = field(default_factory=dict)

    def once(self, key: Any, make: Callable[[], Made]) -> Made:
        """What was made under this key, or is made now."""
        if key not in self.made:
            self.made[key] = make()
        return self.made[key]

    @property
    def image_token(self) -> int | None:
        """Id of the token that stands for a piece of an image in the prompt; None if the model takes none."""
        config = self.model.config
        for name in ("image_token_id", "image_token_index"):
            found = getattr(config, name, None)
            if isinstance(found, int):
                return found
        return None


@dataclass(frozen=True)
class Arm(ABC):
    """A way to decode; its subclasses are frozen dataclasses of their settings, checked when they are made.

    An arm that only looks at logits overrides `generation` and `processors`; one that needs more overrides `generate`.
    """

    name: ClassVar[str]
    needs: ClassVar[Needs] = "logits"
    """``logits``: can run in any engine. ``second pass``, ``attention``: on transformers only."""
    images_only: ClassVar[bool] = False
    """Whether it is defined only for prompts with an image."""

    @property
    def generation(self) -> Mapping[str, Any]:
        """Arguments of ``generate`` that make up the arm."""
        return GREEDY

    @property
    def sampled(self) -> bool:
        """Whether it draws random numbers, so that one answer is not enough."""
        return bool(self.generation.get("do_sample"))

    def processors(self, loaded: Loaded, inputs: Mapping[str, Any]) -> list[LogitsProcessor]:
        """Logits processors for one batch.

        Args:
            loaded: the model.
            inputs: of the batch, as ``generate`` takes them: ``input_ids`` and so on.
        """
        return []

    def generate(self, loaded: Loaded, inputs: Mapping[str, Any], **arguments: Any) -> Tensor:
        """As ``model.generate``: int64[B, prompt + answer], of prompts that are padded on the left.

        Args:
            loaded: the model.
            inputs: ``input_ids``, ``attention_mask``, ``pixel_values`` and so on.
            arguments: lengths and stopping criteria.
        """
        processors = LogitsProcessorList(self.processors(loaded, inputs))
        # The class's own method: the instance's may have been replaced by a recipe.
        return type(loaded.model).generate(
            loaded.model, **inputs, logits_processor=processors, **{**self.generation, **arguments}
        )

    def for_vllm(self) -> dict[str, Any]:
        """The arm as arguments of vLLM's ``SamplingParams``.

        Raises:
            SettingsError: if it cannot run there.
        """
        raise SettingsError(
            f"The arm {self.name} needs {'a ' * (self.needs == 'second pass')}{self.needs} of its own, "
            "which vLLM's logits processors cannot have.",
            value="engine: vllm",
            remedy="leave the arm out of this plan, or run it with engine: transformers.",
        )

    def settings(self) -> dict[str, Any]:
        """Its settings by name, for plans and records."""
        return asdict(self)


def seeded(seed: int, device: torch.device | str = "cpu") -> torch.Generator:
    """A generator of its own, so that nobody else's random numbers move."""
    return torch.Generator(device).manual_seed(seed)


def check(arm: Arm, **legal: bool) -> None:
    """Refuse settings that are not legal; each argument is a setting's name and whether it is.

    Raises:
        SettingsError: names the arm, the setting and its value.
    """
    for name, is_legal in legal.items():
        if not is_legal:
            raise SettingsError(
                f"The setting '{name}' of the arm {arm.name} is out of its range.",
                value=repr(getattr(arm, name)),
                remedy=f"see the docstring of {type(arm).__module__}.",
            )


def is_number(value: object, low: float, high: float) -> bool:
    """Whether a value is a number from ``low`` to ``high``."""
    return isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high


def is_whole(value: object, low: int) -> bool:
    """Whether a value is a whole number of at least ``low``."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= low
