"""The arms that vLLM lacks, as a logits processor for it: ``shuffled``, ``random-k``, ``top-n-sigma``, ``top-h``.

``semsam``, ``semsam-guard`` and ``k1`` are requests to :mod:`semsam.vllm_plugin`, of which this is an extension: load
this one alone (``logits_processors=["semsam.arms.vllm_plugin:Arms"]``). A request asks for an arm as `Arm.for_vllm`
says: ``SamplingParams(extra_args={"arm": "random-k", "arm_settings": {"k": 16}})``.
"""

import json
from typing import TYPE_CHECKING, Any

import torch
from transformers import LogitsProcessor
from vllm.v1.sample.logits_processor import BatchUpdate
from vllm.v1.sample.logits_processor.builtin import process_dict_updates
from vllm.v1.worker.gpu.sample.logits_processor import LogitsContext, LogitsProcRequestState

from semsam.arms import arm_of
from semsam.arms.arm import Arm
from semsam.arms.semantic import SemSam
from semsam.errors import SettingsError
from semsam.logits_processor import SemanticSamplingLogitsProcessor
from semsam.vllm_plugin import SemanticSampling

if TYPE_CHECKING:
    from vllm import SamplingParams
    from vllm.config import VllmConfig

NAME, SETTINGS = "arm", "arm_settings"


class Arms(SemanticSampling):
    """As its base, and the rows of requests that ask for an arm are given to it.

    Args:
        vllm_config: of the engine.
        place: see the base.
        is_pin_memory: not used.
    """

    def __init__(
        self,
        vllm_config: "VllmConfig",
        place: torch.device | LogitsProcRequestState,
        is_pin_memory: bool = False,
    ) -> None:
        super().__init__(vllm_config, place, is_pin_memory)
        self._arms: dict[int, str] = {}
        """By row or slot: the arm that was asked for, as JSON."""
        self._processors: dict[str, LogitsProcessor] = {}

    @classmethod
    def validate_params(cls, sampling_params: "SamplingParams") -> None:
        """Refuse a request with a wrong arm or setting."""
        super().validate_params(sampling_params)
        asked = asked_of(sampling_params)
        if asked is not None:
            arm_in(asked)

    def update_state(self, batch_update: BatchUpdate | None) -> None:
        """First generation: requests have entered, left or changed rows."""
        super().update_state(batch_update)
        process_dict_updates(self._arms, batch_update, lambda params, *_: asked_of(params))

    def add_request(self, req_idx: int, sampling_params: "SamplingParams") -> bool:
        """Second generation: a request has entered a slot; returns whether its logits are to be changed."""
        acts = super().add_request(req_idx, sampling_params)
        self._arms.pop(req_idx, None)
        asked = asked_of(sampling_params)
        if asked is not None:
            self._arms[req_idx] = asked
        return acts or asked is not None

    def apply(self, logits: torch.Tensor, ctx: LogitsContext | None = None) -> torch.Tensor:
        """Change float[rows, V] where an arm was asked for; other rows are unchanged, bit for bit."""
        logits = super().apply(logits, ctx)
        if not self._arms:
            return logits
        slots = range(len(logits)) if ctx is None else ctx.expanded_idx_mapping.tolist()
        rows: dict[str, list[int]] = {}
        for row, slot in enumerate(slots):
            if slot in self._arms:
                rows.setdefault(self._arms[slot], []).append(row)
        for asked, some in rows.items():
            index = torch.tensor(some, device=logits.device)
            logits = logits.index_copy(0, index, self._processor(asked)(None, logits[index]))
        return logits

    def _processor(self, asked: str) -> LogitsProcessor:
        if asked not in self._processors:
            arm: Any = arm_in(asked)
            if isinstance(arm, SemSam):
                tables = arm.other_sets(self._tables.of("none", arm.k))  # type: ignore[attr-defined]
                self._processors[asked] = SemanticSamplingLogitsProcessor(tables, arm.rule)
            else:
                self._processors[asked] = arm.vllm_processor()
        return self._processors[asked]


def asked_of(params: "SamplingParams") -> str | None:
    """The arm that a request asks for, as JSON; None if none."""
    extra = params.extra_args or {}
    if NAME not in extra:
        return None
    return json.dumps([extra[NAME], extra.get(SETTINGS) or {}], sort_keys=True)


def arm_in(asked: str) -> Arm:
    """The arm.

    Raises:
        SettingsError: if there is none of that name that this plugin runs, or a setting is not legal.
    """
    name, settings = json.loads(asked)
    arm = arm_of(name, settings)
    if not hasattr(arm, "vllm_processor") and not hasattr(arm, "other_sets"):
        arm.for_vllm()  # says why, if it cannot run at all
        raise SettingsError(
            f"The arm {name} is not asked for by name in vLLM.",
            value=name,
            remedy="use the sampling parameters that its for_vllm() gives.",
        )
    arm.for_vllm()
    return arm
