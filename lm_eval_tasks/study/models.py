"""The models of a study, each loaded once and asked under one arm after another."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from dataset_builder.core.errors import MISGroundError
from dataset_builder.files.atomic import sha256_of
from lm_eval_tasks.running.answer_store import workers
from lm_eval_tasks.running.checks import check_pretrained
from lm_eval_tasks.running.garbage import old_objects_left_alone
from lm_eval_tasks.running.order import dealt
from lm_eval_tasks.study.plan import Model, PlannedArm

ON_TRANSFORMERS = {"vision": "mis-arm", "text": "mis-arm-text"}
ON_VLLM = {"vision": "vllm-vlm", "text": "vllm"}
VLLM_PLUGIN = "semsam.arms.vllm_plugin:Arms"
ON_A_CPU = {"max_num_seqs": 32, "max_model_len": 1024}
"""What a batch of vLLM's CPU build holds, if a plan does not say: questions at once, tokens of each."""
_WEIGHTS = ("*.safetensors", "*.bin", "*.gguf")


def folder_of(model: Model) -> str:
    """Where a model is: a folder or a name on the Hub.

    Raises:
        MISGroundError: if the folder does not exist.
    """
    if model.pretrained == "small":
        from lm_eval_tasks.small_vlm import model_folder

        return str(model_folder())
    if model.pretrained == "smollm2":
        from lm_eval_tasks.smollm2 import fetch_smollm2

        return str(fetch_smollm2())
    kind = {"vision": "hf-multimodal", "text": "hf"}[model.kind]
    check_pretrained(kind, {"pretrained": model.pretrained, **model.arguments})
    return model.pretrained


def revision_of(model: Model) -> dict[str, Any]:
    """What distinguishes a model's weights from others: their SHA-256 in a folder, the commit on the Hub."""
    place = Path(folder_of(model)).expanduser()
    if place.is_dir():
        files = sorted(path for pattern in _WEIGHTS for path in place.glob(pattern))
        return {"files": {path.name: _hash(path, path.stat().st_size, path.stat().st_mtime_ns) for path in files}}
    from huggingface_hub import try_to_load_from_cache

    revision = str(model.arguments.get("revision") or "main")
    found = try_to_load_from_cache(model.pretrained, "config.json", revision=revision)
    return {"revision": revision, "commit": Path(found).parent.name if isinstance(found, str) else None}


@cache
def _hash(path: Path, size: int, changed: int) -> str:
    """A file's SHA-256, computed once for as long as its size and time stay."""
    return sha256_of(path)


@dataclass
class Asked:
    """What some answers cost.

    Args:
        tokens: of the answers.
        seconds: of generation.
    """

    tokens: int = 0
    seconds: float = 0.0


class Asker:
    """A loaded model.

    Args:
        model: of the plan.

    Raises:
        MISGroundError: if it cannot be loaded.
    """

    def __init__(self, model: Model) -> None:
        from lm_eval.api.registry import get_model

        from lm_eval_tasks.running.evaluate import register_models

        register_models()
        self.model = model
        arguments: dict[str, Any] = {"pretrained": folder_of(model), **model.arguments}
        placed: dict[str, Any] = {"batch_size": model.batch_size}
        if model.engine == "vllm":
            name = ON_VLLM[model.kind]
            arguments.setdefault("logits_processors", [VLLM_PLUGIN])
            if _vllm_is_for_cpus():
                arguments = whole_prompts(arguments) | arguments
        else:
            import semsam.arms.harness  # noqa: F401 - registers its models

            name = ON_TRANSFORMERS[model.kind]
            placed["device"] = arguments.pop("device", None)
        try:
            self.lm: Any = get_model(name).create_from_arg_obj(dict(arguments), placed)
        except Exception as error:
            from lm_eval_tasks.running.failures import as_user_error

            raise as_user_error(error, {"model": name, "model_args": arguments}) from error
        self.name, self.arguments = name, arguments

    def seeds(self, arm: PlannedArm) -> list[int]:
        """The seeds under which an arm answers: one where nothing is random."""
        from semsam.arms import arm_of
        from semsam.arms.default import Default

        own = arm_of(arm.rule, arm.settings)
        if isinstance(own, Default):
            return list(range(arm.seeds)) if own.samples(self._generation_config()) else [0]
        return list(range(arm.seeds)) if own.sampled else [0]

    def _generation_config(self) -> Any:
        """The model's own settings of generation; None if it has none."""
        if self.model.engine != "vllm":
            return self.lm.model.generation_config
        from transformers import GenerationConfig

        try:
            return GenerationConfig.from_pretrained(
                self.arguments["pretrained"], revision=str(self.arguments.get("revision") or "main")
            )
        except OSError:
            return None

    def ask(self, requests: Sequence[Any], arm: PlannedArm, seed: int) -> tuple[list[str], Asked]:
        """The answers under an arm, and what they cost.

        Args:
            requests: of the harness.
            arm: of the plan.
            seed: of what is random.
        """
        import torch

        from semsam.arms import arm_of

        own = arm_of(arm.rule, arm.settings)
        torch.manual_seed(seed)
        if self.model.engine == "vllm":
            return self._ask_vllm(requests, self._sampling(own), seed)
        self.lm.use(own)
        before = (self.lm.cost.tokens, self.lm.cost.seconds)
        with old_objects_left_alone():
            answers = self.lm.generate_until(list(requests), disable_tqdm=True)
        return answers, Asked(self.lm.cost.tokens - before[0], self.lm.cost.seconds - before[1])

    def _sampling(self, arm: Any) -> dict[str, Any]:
        """Parameters for vLLM; the harness takes no model's own, and no temperature unless told to sample."""
        from semsam.arms.default import Default

        found: dict[str, Any] = arm.for_vllm()
        config = self._generation_config() if isinstance(arm, Default) else None
        if config is not None and config.do_sample:
            own = {
                name: getattr(config, name, None) for name in ("temperature", "top_p", "top_k", "repetition_penalty")
            }
            found = {name: value for name, value in own.items() if value is not None} | found
            found.setdefault("temperature", 1.0)
        return {**found, "do_sample": found.get("temperature", 0.0) > 0}

    def _ask_vllm(self, requests: Sequence[Any], sampling: Mapping[str, Any], seed: int) -> tuple[list[str], Asked]:
        as_given = [request.arguments for request in requests]
        start = time.perf_counter()
        try:
            for request in requests:
                prompt, settings, *rest = request.arguments
                kept = {name: settings[name] for name in ("until", "max_gen_toks") if name in settings}
                request.arguments = (prompt, {**kept, "seed": seed, **sampling}, *rest)
            ask = dealt(lambda asked: list(self.lm.generate_until(asked, disable_tqdm=True)), workers(self.lm))
            answers = list(ask(list(requests)))
        finally:
            for request, arguments in zip(requests, as_given, strict=True):
                request.arguments = arguments
        tokens = sum(len(self.encode(answer)) for answer in answers)
        return answers, Asked(tokens, time.perf_counter() - start)

    def encode(self, text: str) -> list[int]:
        """A text's tokens."""
        tokenizer = getattr(self.lm.tokenizer, "tokenizer", self.lm.tokenizer)
        return list(tokenizer.encode(text, add_special_tokens=False))

    def identity(self, arm: PlannedArm, seed: int) -> dict[str, Any]:
        """All that decides its answers under an arm, but for the request."""
        from semsam.arms import arm_of

        settings = arm_of(arm.rule, arm.settings).settings()
        files = revision_of(self.model)
        given = {name: value for name, value in self.arguments.items() if name != "pretrained"}
        return {"model": self.name, "arguments": given, "files": files, "arm": [arm.rule, settings], "seed": seed}


def whole_prompts(arguments: Mapping[str, Any]) -> dict[str, int]:
    """Settings of vLLM's CPU build under which it never reads a prompt in parts.

    After a part of the prompt of a sampled request with a seed, vLLM winds the random numbers back, which PyTorch can
    do on a GPU only ("CPU Generator does not use offset"). No prompt is cut where a batch holds as many tokens as all
    its questions together.

    Args:
        arguments: of the plan; they decide how many questions are asked at once and how long a prompt can be.
    """
    found = {name: int(arguments.get(name) or default) for name, default in ON_A_CPU.items()}
    return {
        "max_num_seqs": found["max_num_seqs"],
        "max_num_batched_tokens": found["max_num_seqs"] * found["max_model_len"],
    }


def _vllm_is_for_cpus() -> bool:
    """Whether the vLLM that is installed runs on CPUs; without one, loading a model says what is missing."""
    try:
        from vllm.platforms import current_platform
    except ImportError:
        return False
    return bool(current_platform.is_cpu())


def close(asker: Asker) -> None:
    """Free what a model holds, so that the next one has room."""
    import gc

    asker.lm = None
    gc.collect()


def no_answers(model: str) -> MISGroundError:
    """A model of a plan whose tasks have no question."""
    return MISGroundError(
        f"The tasks of the model '{model}' have no question in this data set.",
        remedy="Choose others, or build a data set that has them.",
    )
