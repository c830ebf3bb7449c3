"""``vcd``: visual contrastive decoding (arXiv 2311.16922, CVPR 2024).

With l(v) the logits given the image and l(v') those given a distorted image, the next token is chosen by::

    (1 + alpha) l(v) - alpha l(v')      where  l(v) >= max l(v) + log(beta),  else  -inf

The distorted image is the one of the paper, a step of a diffusion's forward process, or a blank one. The model reads it
in a pass of its own at each step, with its own key-value cache. The paper draws from the softmax of the result; here
the largest is taken unless ``sample`` is set, so that the arm differs from ``greedy`` in the contrast alone.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor
from transformers import LogitsProcessor

from semsam.arms.arm import GREEDY, SAMPLED, Arm, Loaded, Needs, check, is_number, is_whole, seeded
from semsam.errors import SettingsError

PIXELS = "pixel_values"
DIFFUSION_STEPS = 1000


@dataclass(frozen=True)
class VisualContrast(Arm):
    """The contrast with a distorted image.

    Args:
        alpha: how much of the contrast counts; 1 in the paper (0.5 in its code, if none is given).
        beta: tokens less probable than this share of the most probable one are out; 0.1 in the paper.
        distortion: ``noise``: the paper's; ``blank``: every pixel at the mean of the model's normalisation (0 after
            it). Both distort all of the image, markers included.
        noise_step: of 1000 steps of the diffusion; 500 in the paper.
        noise_seed: of the noise; images of the same size get the same, whichever batch they are in.
        sample: draw instead of taking the largest.
    """

    name: ClassVar[str] = "vcd"
    needs: ClassVar[Needs] = "second pass"
    images_only: ClassVar[bool] = True
    alpha: float = 1.0
    beta: float = 0.1
    distortion: Literal["noise", "blank"] = "noise"
    noise_step: int = 500
    noise_seed: int = 0
    sample: bool = False

    def __post_init__(self) -> None:
        check(
            self,
            alpha=is_number(self.alpha, 0, 100),
            beta=is_number(self.beta, 1e-9, 1),
            distortion=self.distortion in ("noise", "blank"),
            noise_step=is_whole(self.noise_step, 0) and self.noise_step < DIFFUSION_STEPS,
            noise_seed=is_whole(self.noise_seed, 0),
            sample=isinstance(self.sample, bool),
        )

    @property
    def generation(self) -> Mapping[str, Any]:
        """Arguments of ``generate``."""
        return SAMPLED if self.sample else GREEDY

    def processors(self, loaded: Loaded, inputs: Mapping[str, Any]) -> list[LogitsProcessor]:
        """The contrast, for this batch.

        Raises:
            SettingsError: if the batch has no images that can be distorted.
        """
        if not isinstance(inputs.get(PIXELS), Tensor):
            raise SettingsError(
                "The arm vcd needs images, and this model was given none that it can distort.",
                value=", ".join(inputs),
                remedy="leave it out for questions without images.",
            )
        second = SecondPass(loaded.model, {**inputs, PIXELS: self.distorted(inputs)})
        return [ContrastProcessor(second, self.alpha, self.beta)]

    def distorted(self, inputs: Mapping[str, Any]) -> Tensor:
        """The images of a batch distorted, in the shape and type in which the model takes them.

        Args:
            inputs: ``pixel_values`` [images, ...], or, with ``image_grid_thw``, [patches of all images, ...].
        """
        pixels = inputs[PIXELS]
        if self.distortion == "blank":
            return torch.zeros_like(pixels)
        kept = kept_share(self.noise_step)
        grids = inputs.get("image_grid_thw")
        lengths = [1] * len(pixels) if grids is None else grids.prod(-1).tolist()
        parts = []
        for image in pixels.split(lengths):
            noise = torch.randn(image.shape, generator=seeded(self.noise_seed)).to(image.device)
            parts.append(math.sqrt(kept) * image.float() + math.sqrt(1 - kept) * noise)
        return torch.cat(parts).to(pixels.dtype)


def kept_share(step: int) -> float:
    """How much of an image's variance is left at a step of the diffusion: the product of 1 - b over all steps before.

    b rises as a sigmoid of -6 to 6 from 0.00001 to 0.005, as in the paper's code.
    """
    slope = torch.sigmoid(torch.linspace(-6, 6, DIFFUSION_STEPS, dtype=torch.float64))
    return float((1 - (slope * (0.5e-2 - 1e-5) + 1e-5)).cumprod(0)[step])


class SecondPass:
    """The model on other inputs, step by step beside the first, with its own key-value cache.

    Args:
        model: that generates.
        inputs: of the prompt; as the first pass's but for the images.
    """

    def __init__(self, model: Any, inputs: Mapping[str, Any]) -> None:
        self._model = model
        self._state = {name: value for name, value in inputs.items() if name != "input_ids"} | {"use_cache": True}
        self._begun = False

    @torch.no_grad()
    def logits(self, input_ids: Tensor) -> Tensor:
        """float32[B, V] for the next token, given all tokens so far int64[B, T]; to be called once a step."""
        model = self._model
        if self._begun:
            inputs = model.prepare_inputs_for_generation(input_ids, next_sequence_length=1, **self._state)
        else:
            positions = model._prepare_position_ids_for_generation(input_ids, {**self._state, "input_ids": input_ids})
            self._state["position_ids"] = positions
            inputs = model.prepare_inputs_for_generation(input_ids, is_first_iteration=True, **self._state)
            self._begun = True
        outputs = model(**inputs, return_dict=True)
        self._state = model._update_model_kwargs_for_generation(outputs, self._state)
        return outputs.logits[:, -1].float()


class ContrastProcessor(LogitsProcessor):
    """The rule of the paper.

    Args:
        second: the pass on the distorted image.
        alpha: weight of the contrast.
        beta: of the plausibility.
    """

    def __init__(self, second: SecondPass, alpha: float, beta: float) -> None:
        self._second, self._alpha, self._cut = second, alpha, math.log(beta)

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """float[B, V]."""
        other = self._second.logits(input_ids).to(scores.device)
        return contrast(scores, other, self._alpha, self._cut)


def contrast(scores: Tensor, other: Tensor, alpha: float, log_beta: float) -> Tensor:
    """``(1 + alpha) scores - alpha other`` where the score is plausible, else -inf; float[B, V]."""
    implausible = scores < scores.amax(-1, keepdim=True) + log_beta
    return ((1 + alpha) * scores - alpha * other).masked_fill(implausible, -torch.inf)
