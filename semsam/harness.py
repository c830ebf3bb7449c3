"""MIS-SemSam in lm-evaluation-harness: ``mis-semsam`` (images and text) and ``mis-semsam-text``.

Both take all arguments of the harness's own ``hf-multimodal`` and ``hf`` models, and besides:

=====================  =====================================================================================
``semsam_k``           neighbours of a token that lend it their probability
``semsam_top_m``       at most this many candidates per step ...
``semsam_top_p``       ... and no more than reach this probability
``semsam_guard``       ``none`` (the published rule) or ``antonyms`` (ours)
``semsam_mode``        ``argmax`` or ``sample``
``semsam_strength``    0 is plain decoding, 1 the rule
``semsam_compare``     also answer each batch plainly; the plain answers go into the samples file
=====================  =====================================================================================

Importing this module registers both with the harness; its coming release will find them by entry point instead.
"""

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from lm_eval.api.instance import Instance
from lm_eval.api.model import CacheHook
from lm_eval.api.registry import model_registry
from lm_eval.models.hf_vlms import HFMultimodalLM
from lm_eval.models.huggingface import HFLM
from transformers import LogitsProcessorList

from semsam import neighbours
from semsam.errors import SettingsError
from semsam.logits_processor import SemanticSamplingLogitsProcessor
from semsam.settings import Settings

PREFIX = "semsam_"

PLAIN_ANSWERS = "semsam_plain"
"""Where a samples file of a ``semsam_compare`` run has the plain answers: beside the generation settings, in each
sample's ``arguments.gen_args_0.arg_1``; a list, since ``resps`` is one."""


class SemanticSamplingLM(HFLM):
    """The harness's ``hf`` model with MIS-SemSam."""

    def __init__(self, pretrained: Any, *, semsam_compare: bool = False, **arguments: Any) -> None:
        ours = {name: value for name, value in arguments.items() if name.startswith(PREFIX)}
        settings = Settings.from_prefixed(ours, PREFIX)
        if arguments.get("device") is None:
            # The harness would take "cuda", be there one or not.
            arguments["device"] = "cuda" if torch.cuda.is_available() else "cpu"
        super().__init__(pretrained, **{name: value for name, value in arguments.items() if name not in ours})
        if semsam_compare and self.batch_size == "auto":
            raise SettingsError(
                "semsam_compare answers the same batches twice, and an automatic batch size may change in between.",
                value="batch_size=auto",
                remedy="give a number, such as --batch_size 8.",
            )
        self.compares = semsam_compare
        self.use(settings)

    def use(self, settings: Settings) -> None:
        """Decode with these settings from here on; the loaded model stays."""
        self.settings = settings
        self.processors = LogitsProcessorList()
        if settings.strength > 0:
            tables = neighbours.for_model(self.model, self.tokenizer, settings)
            self.processors.append(SemanticSamplingLogitsProcessor(tables, settings))

    def _model_generate(self, *args: Any, **arguments: Any) -> torch.Tensor:
        return super()._model_generate(*args, logits_processor=LogitsProcessorList(self.processors), **arguments)

    def generate_until(self, requests: list[Instance], disable_tqdm: bool = False) -> list[str]:
        """The answers; with ``semsam_compare`` the plain ones are stored with the requests' settings."""
        if not self.compares:
            return super().generate_until(requests, disable_tqdm)
        # The harness makes the same batches of the same requests. Random numbers are set back, so that a run gives the
        # same semantic answers with and without the comparison.
        with self._plain(), torch.random.fork_rng(range(torch.cuda.device_count())):
            plain_answers = super().generate_until(requests, disable_tqdm)
        answers = super().generate_until(requests, disable_tqdm)
        for request, plain in zip(requests, plain_answers, strict=True):
            prompt, settings, *rest = request.args
            both = {**settings, PLAIN_ANSWERS: [*settings.get(PLAIN_ANSWERS, []), plain]}
            request.arguments = (prompt, both, *rest)
        return answers

    @contextmanager
    def _plain(self) -> Iterator[None]:
        processors, self.processors = self.processors, LogitsProcessorList()
        try:
            yield
        finally:
            self.processors = processors

    def set_cache_hook(self, cache_hook: CacheHook) -> None:
        """Use the harness's cache of answers if it is new or was written with the same settings.

        Raises:
            SettingsError: if it was not, since the cache identifies answers by prompt only; or with ``semsam_compare``.
        """
        if cache_hook.dbdict is not None:
            if self.compares:
                raise SettingsError(
                    "semsam_compare cannot be combined with a cache of answers, which has no default answers.",
                    remedy="leave out --use_cache.",
                )
            mine = str(self.settings)
            of_cache = cache_hook.dbdict.get(PREFIX, "another model's answers" if len(cache_hook.dbdict) else mine)
            if of_cache != mine:
                raise SettingsError(
                    f"The cache of answers, keyed by prompt only, belongs to another decoding. This run uses {mine}.",
                    value=of_cache,
                    remedy="give another --use_cache.",
                )
            cache_hook.dbdict[PREFIX] = mine
        super().set_cache_hook(cache_hook)

    def get_model_info(self) -> dict[str, Any]:
        """What the results file says of the model: as of any, and the settings in force, defaults included."""
        settings = {PREFIX + name: value for name, value in dataclasses.asdict(self.settings).items()}
        return super().get_model_info() | settings | {"semsam_compare": self.compares}


class SemanticSamplingVLM(SemanticSamplingLM, HFMultimodalLM):
    """The harness's ``hf-multimodal`` model with MIS-SemSam."""

    def _model_multimodal_generate(self, *args: Any, **arguments: Any) -> torch.Tensor:
        processors = LogitsProcessorList(self.processors)
        return super()._model_multimodal_generate(*args, logits_processor=processors, **arguments)


for _name, _model in (("mis-semsam", SemanticSamplingVLM), ("mis-semsam-text", SemanticSamplingLM)):
    # Not by the decorator: where the harness knows a name by entry point already, that would be a second registration.
    if _name not in model_registry:
        model_registry.register(_name, target=_model)
