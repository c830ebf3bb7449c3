"""The harness's models with an arm: loaded once, used with one arm after another.

``mis-arm`` (images and text) and ``mis-arm-text`` take all arguments of the harness's own ``hf-multimodal`` and ``hf``
models, and besides ``arm`` (a name) and ``arm_...`` (its settings).
"""

import time
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from lm_eval.api.registry import model_registry
from lm_eval.models.hf_vlms import HFMultimodalLM
from lm_eval.models.huggingface import HFLM
from lm_eval.models.utils_hf import stop_sequences_criteria

from semsam.arms import Arm, Loaded, arm_of

PREFIX = "arm_"


@dataclass
class Cost:
    """What answers have cost so far: tokens of the answers, and seconds in ``generate``."""

    tokens: int = 0
    seconds: float = 0.0


class ArmLM(HFLM):
    """The harness's ``hf`` model, decoding as an arm says; the tasks' own sampling settings are not used."""

    def __init__(self, pretrained: Any, *, arm: str = "greedy", **arguments: Any) -> None:
        settings = {name.removeprefix(PREFIX): value for name, value in arguments.items() if name.startswith(PREFIX)}
        chosen = arm_of(arm, settings)  # before the model is loaded
        if arguments.get("device") is None:
            arguments["device"] = "cuda" if torch.cuda.is_available() else "cpu"  # the harness takes "cuda" anyway
        super().__init__(pretrained, **{k: v for k, v in arguments.items() if not k.startswith(PREFIX)})
        self.cost = Cost()
        self._loaded: Loaded | None = None
        self.use(chosen)

    @property
    def loaded(self) -> Loaded:
        """The model as arms take it."""
        if self._loaded is None:
            self._loaded = Loaded(self.model, self.tokenizer)
        return self._loaded

    def use(self, arm: Arm) -> None:
        """Decode as this arm does from here on; the loaded model stays."""
        self.arm = arm

    def _decode(self, inputs: Mapping[str, Any], max_length: int, stop: list[str]) -> torch.Tensor:
        """int64[B, prompt + answer]; counts what it costs."""
        rows, prompt = inputs["input_ids"].shape
        criteria = stop_sequences_criteria(self.tokenizer, stop, prompt, rows)
        start = time.perf_counter()
        # The harness's type of autocasting, if it was given one.
        cast = self.mixed_precision_dtype
        with torch.autocast(self.device.type, cast) if cast is not None else nullcontext():
            made = self.arm.generate(
                self.loaded,
                inputs,
                max_length=max_length,
                stopping_criteria=criteria,
                pad_token_id=self.tokenizer.pad_token_id,
                use_cache=True,
            )
        self.cost.tokens += int((made[:, prompt:] != self.tokenizer.pad_token_id).sum())
        self.cost.seconds += time.perf_counter() - start
        return made

    def _model_generate(
        self, context: torch.Tensor, max_length: int, stop: list[str], **arguments: Any
    ) -> torch.Tensor:
        inputs = {"input_ids": context, "attention_mask": arguments["attention_mask"]}
        return self._decode(inputs, max_length, stop)

    def get_model_info(self) -> dict[str, Any]:
        """What a results file says of the model: as of any, and the arm with its settings."""
        return super().get_model_info() | {"arm": self.arm.name, "arm_settings": self.arm.settings()}


class ArmVLM(ArmLM, HFMultimodalLM):
    """The harness's ``hf-multimodal`` model, decoding as an arm says."""

    def _model_multimodal_generate(
        self, inputs: Any, max_length: int, stop: list[str], **arguments: Any
    ) -> torch.Tensor:
        return self._decode(dict(inputs), max_length, stop)


for _name, _model in (("mis-arm", ArmVLM), ("mis-arm-text", ArmLM)):
    if _name not in model_registry:
        model_registry.register(_name, target=_model)
