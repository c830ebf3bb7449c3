"""``scalingvis`` and ``adaptvis``: attention to the image by the confidence of the first answer token.

"Why Is Spatial Reasoning Hard for VLMs? An Attention Mechanism Perspective on Focus Areas" (arXiv 2503.01773, ICML
2025): the last prompt token's attention logits on image tokens are multiplied by alpha, in all heads and layers. With
alpha below 1 attention is smoothed, above 1 sharpened. ScalingVis has one alpha for all questions. AdaptVis first
decodes as usual; if the probability of the first token is below a threshold, it answers again with a small alpha, else
with a large one. As in the paper's code only the reading of the prompt is changed; its confidence is rounded to two
decimals there, and not here.
"""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from semsam.arms.arm import GREEDY, Arm, Loaded, Needs, check, is_number
from semsam.arms.attention import scaled
from semsam.errors import SettingsError


@dataclass(frozen=True)
class ScaledAttention(Arm):
    """What both have in common."""

    needs: ClassVar[Needs] = "attention"
    images_only: ClassVar[bool] = True

    @abstractmethod
    def factors(self, loaded: Loaded, inputs: Mapping[str, Any]) -> Tensor:
        """float[B]: the factor of each question."""

    def generate(self, loaded: Loaded, inputs: Mapping[str, Any], **arguments: Any) -> Tensor:
        """As ``model.generate``, the prompt read with scaled attention.

        Raises:
            SettingsError: if the model takes no images, or its attention cannot be scaled.
        """
        token = loaded.image_token
        if token is None:
            raise SettingsError(
                f"The arm {self.name} scales attention to the image, and this model takes none.",
                value=type(loaded.model).__name__,
                remedy="leave it out for this model.",
            )
        image = inputs["input_ids"] == token
        with scaled(loaded.model, image, self.factors(loaded, inputs)):
            return super().generate(loaded, inputs, **arguments)


@dataclass(frozen=True)
class ScalingVis(ScaledAttention):
    """The same factor for all questions.

    Args:
        alpha: the paper's code tries 0, 0.5, 0.8, 1.2, 1.5 and 2.
    """

    name: ClassVar[str] = "scalingvis"
    alpha: float = 1.2

    def __post_init__(self) -> None:
        check(self, alpha=is_number(self.alpha, 0, 100))

    def factors(self, loaded: Loaded, inputs: Mapping[str, Any]) -> Tensor:
        """float[B]: alpha."""
        return torch.full((len(inputs["input_ids"]),), float(self.alpha))


@dataclass(frozen=True)
class AdaptVis(ScaledAttention):
    """The factor of a question by how sure the model is of its first token without it.

    Args:
        low: where the confidence is below the threshold; 0.5 or 0.8 in the paper's code.
        high: elsewhere; 1.2, 1.5 or 2 there.
        threshold: of the confidence; 0.3 there.
    """

    name: ClassVar[str] = "adaptvis"
    low: float = 0.5
    high: float = 1.5
    threshold: float = 0.3

    def __post_init__(self) -> None:
        check(
            self,
            low=is_number(self.low, 0, 100),
            high=is_number(self.high, 0, 100),
            threshold=is_number(self.threshold, 0, 1),
        )

    def factors(self, loaded: Loaded, inputs: Mapping[str, Any]) -> Tensor:
        """float[B], from a pass without scaling."""
        return torch.where(confidence(loaded, inputs) < self.threshold, float(self.low), float(self.high))


def confidence(loaded: Loaded, inputs: Mapping[str, Any]) -> Tensor:
    """float[B]: the probability of the most probable first token."""
    first = type(loaded.model).generate(
        loaded.model, **inputs, **GREEDY, max_new_tokens=1, output_logits=True, return_dict_in_generate=True
    )
    return first.logits[0].float().softmax(-1).amax(-1)
