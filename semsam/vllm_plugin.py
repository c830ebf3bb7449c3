"""MIS-SemSam in vLLM: one logits processor for both generations of vLLM's model runner.

vLLM loads it by name (``logits_processors=["semsam.vllm_plugin:SemanticSampling"]``). A request asks for semantic
sampling through ``SamplingParams(extra_args={"semsam_k": 16})``; a request without a ``semsam_...`` argument is plain
and its logits are not touched, whatever others in the same batch ask for.

The first generation (CPU; GPU with ``VLLM_USE_V2_MODEL_RUNNER=0``) reports requests that enter, leave and move between
rows; the second hands out a slot a request and says at each step which row belongs to which slot.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from vllm.v1.sample.logits_processor import BatchUpdate
from vllm.v1.sample.logits_processor import LogitsProcessor as RowLogitsProcessor
from vllm.v1.sample.logits_processor.builtin import process_dict_updates
from vllm.v1.worker.gpu.sample.logits_processor import LogitsContext, LogitsProcRequestState
from vllm.v1.worker.gpu.sample.logits_processor import LogitsProcessor as SlotLogitsProcessor

from semsam import neighbours
from semsam.errors import SettingsError
from semsam.neighbours import NeighbourTables
from semsam.rescoring import RowSettings, rescore_rows
from semsam.settings import GUARDS, Settings

if TYPE_CHECKING:
    from vllm import SamplingParams
    from vllm.config import ModelConfig, VllmConfig

PREFIX = "semsam_"

MOST_NEIGHBOURS = 64
"""How many neighbours the tables are made with, once; a request uses as many as it asks for."""


class SemanticSampling(RowLogitsProcessor, SlotLogitsProcessor):
    """Re-scores the rows of those requests that ask for it.

    Args:
        vllm_config: of the engine; says which model's embeddings are wanted.
        place: the device (first generation), or the state of all slots, which knows it (second).
        is_pin_memory: of the first generation; not used.
    """

    def __init__(
        self,
        vllm_config: "VllmConfig",
        place: torch.device | LogitsProcRequestState,
        is_pin_memory: bool = False,
    ) -> None:
        self._slots = place.max_num_reqs if isinstance(place, LogitsProcRequestState) else None
        self._device = place.device if isinstance(place, LogitsProcRequestState) else place
        self._tables = _Tables(vllm_config.model_config, self._device)
        self._tables.of(
            "none", MOST_NEIGHBOURS
        )  # a model that no tables can be made of is refused before it answers anything
        self._settings: dict[int, Settings] = {}
        """By row (first generation) or slot (second); those that are decoded plainly are not in it."""
        self._rows: dict[str, RowSettings] | None = None
        """By guard, for all rows or slots; None until they are needed."""

    @classmethod
    def validate_params(cls, sampling_params: "SamplingParams") -> None:
        """Refuse a request with a wrong setting; vLLM hands the error to the caller."""
        settings_of(sampling_params)

    def is_argmax_invariant(self) -> bool:
        """No: the rule changes what greedy decoding chooses."""
        return False

    def update_state(self, batch_update: BatchUpdate | None) -> None:
        """First generation: requests have entered, left or changed rows."""
        if process_dict_updates(self._settings, batch_update, lambda params, *_: settings_of(params)) or batch_update:
            self._rows = None

    def add_request(self, req_idx: int, sampling_params: "SamplingParams") -> bool:
        """Second generation: a request has entered a slot; returns whether it is to be re-scored."""
        settings = settings_of(sampling_params)
        before = self._settings.pop(req_idx, None)
        if settings is not None:
            self._settings[req_idx] = settings
        if settings != before:
            self._rows = None
        return settings is not None

    def apply(self, logits: torch.Tensor, ctx: LogitsContext | None = None) -> torch.Tensor:
        """Re-score float32[rows, V]; rows that ask for no re-scoring are unchanged, bit for bit."""
        if not self._settings:
            return logits
        if self._rows is None:
            self._rows = self._settled(len(logits) if self._slots is None else self._slots)
        if ctx is not None and not any(int(slot) in self._settings for slot in ctx.idx_mapping_np):
            return logits
        for guard, rows in self._rows.items():
            used = max(settings.k for settings in self._settings.values() if settings.guard == guard)
            tables = self._tables.of(guard, used)
            logits = rescore_rows(logits, tables, rows if ctx is None else rows.take(ctx.expanded_idx_mapping.long()))
        return logits

    def _settled(self, count: int) -> dict[str, RowSettings]:
        settings = [self._settings.get(row) for row in range(count)]
        by_guard = {
            guard: [row if row is not None and row.guard == guard else None for row in settings] for guard in GUARDS
        }
        return {guard: RowSettings.of(rows, self._device) for guard, rows in by_guard.items() if any(rows)}


def settings_of(params: "SamplingParams") -> Settings | None:
    """A request's settings; None for default decoding.

    Raises:
        SettingsError: if a setting is unknown or not legal.
    """
    arguments: Mapping[str, Any] = params.extra_args or {}
    if not any(name.startswith(PREFIX) for name in arguments):
        return None
    settings = Settings.from_prefixed(arguments, PREFIX)
    if settings.k > MOST_NEIGHBOURS:
        raise SettingsError(
            f"In vLLM a candidate has at most {MOST_NEIGHBOURS} neighbours.",
            value=f"{PREFIX}k={settings.k}",
            remedy=f"give {MOST_NEIGHBOURS} or fewer.",
        )
    return settings if settings.strength > 0 else None


class _Tables:
    """The model's tables by guard and number of neighbours, made when first needed."""

    def __init__(self, model: "ModelConfig", device: torch.device) -> None:
        self._model = model
        self._device = device
        self._made: dict[tuple[str, int], NeighbourTables] = {}

    def of(self, guard: str, k: int) -> NeighbourTables:
        if (guard, k) not in self._made:
            made = self._make(guard) if k == MOST_NEIGHBOURS else self.of(guard, MOST_NEIGHBOURS).first(k)
            self._made[guard, k] = made
        return self._made[guard, k]

    def _make(self, guard: str) -> NeighbourTables:
        from transformers import AutoTokenizer

        model = self._model
        tokenizer = AutoTokenizer.from_pretrained(
            model.tokenizer, revision=model.tokenizer_revision, trust_remote_code=model.trust_remote_code
        )
        folder = model.model
        if not Path(folder).is_dir():
            # vLLM makes its processors before it fetches the weights, of this revision.
            from huggingface_hub import snapshot_download

            folder = snapshot_download(folder, revision=model.revision, allow_patterns=["*.safetensors", "*.json"])
        settings = Settings(k=MOST_NEIGHBOURS, guard=guard)  # type: ignore[arg-type]
        return neighbours.for_model(folder, tokenizer, settings).to(self._device)
