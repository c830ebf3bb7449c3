"""Errors of harness, models and libraries as one sentence with what to do about it."""

import difflib
import re
from collections.abc import Callable, Mapping
from typing import Any

from dataset_builder.core.errors import DatasetNotFoundError, MISGroundError
from lm_eval_tasks.running.checks import needs_token

Context = Mapping[str, Any]
"""The run's own: ``model`` (kind), ``model_args``, ``batch_size``."""


def as_user_error(error: BaseException, context: Context) -> MISGroundError:
    """An error of any kind as one of this package's, in a sentence.

    Args:
        error: what was raised.
        context: of the run.
    """
    if isinstance(error, MISGroundError):
        return error
    chain: list[BaseException] = []
    behind: BaseException | None = error
    while behind is not None and len(chain) < 8:
        chain.append(behind)
        behind = behind.__cause__ or behind.__context__
    for rule in RULES:
        for each in chain:
            found = rule(each, context)
            if found is not None:
                return found
    return MISGroundError(
        "The evaluation stopped with an error.",
        value=f"{type(error).__name__}: {_first_line(error)}",
        remedy="MIS_GROUND_TRACEBACK=1 shows the stack trace.",
    )


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = lines[0] if lines else ""
    return text if len(text) <= 300 else text[:297] + "..."


def _of_semsam(error: BaseException, context: Context) -> MISGroundError | None:
    from semsam.errors import SemSamError

    if not isinstance(error, SemSamError):
        return None
    return MISGroundError(error.problem, value=error.value, remedy=error.remedy)


def _of_settings(error: BaseException, context: Context) -> MISGroundError | None:
    from lm_eval_tasks.mis_ground.settings import RunSettingsError

    if isinstance(error, RunSettingsError):
        return MISGroundError(str(error))
    if isinstance(error, FileNotFoundError) and "MIS-Ground data set" in str(error):
        return DatasetNotFoundError(str(error))
    return None


def _out_of_memory(error: BaseException, context: Context) -> MISGroundError | None:
    text = str(error)
    if not (
        isinstance(error, MemoryError)
        or type(error).__name__ == "OutOfMemoryError"
        or re.search(r"out of memory|can't allocate memory|not enough memory|CUDA_ERROR_OUT_OF_MEMORY", text, re.I)
    ):
        return None
    batch = str(context.get("batch_size") or 1)
    smaller = f"--batch_size {max(1, int(batch) // 2)}" if batch.isdecimal() and int(batch) > 1 else ""
    if not smaller and not batch.isdecimal():
        smaller = "--batch_size 4"
    other = "--model_args dtype=bfloat16, max_pixels=... for smaller images, or parallelize=True over several GPUs"
    remedy = f"Give a smaller batch: {smaller}." if smaller else f"The batch is 1 already; try {other}."
    return MISGroundError(
        "There is not enough memory for the model and its batch.",
        value=_first_line(error) or None,
        remedy=f"{remedy} With --resume DIR, the answers so far are stored.",
    )


def _of_the_hub(error: BaseException, context: Context) -> MISGroundError | None:
    name, text = type(error).__name__, str(error)
    model = (context.get("model_args") or {}).get("pretrained")
    if name == "GatedRepoError" or "gated repo" in text:
        return needs_token(model)
    if name in ("RepositoryNotFoundError", "LocalTokenNotFoundError") or "is not a valid model identifier" in text:
        return MISGroundError(
            "The Hub has no model with this name, or it is private.",
            value=model,
            remedy="Check the name. For a private model, set HF_TOKEN.",
        )
    if (
        "couldn't connect to" in text
        or "offline mode" in text
        or name in ("OfflineModeIsEnabled", "LocalEntryNotFoundError")
    ):
        return MISGroundError(
            "The model is not on this machine, and the Hub cannot be reached.",
            value=model or _first_line(error),
            remedy="Give a folder (pretrained=FOLDER), or download the model where there is a network.",
        )
    return None


def _missing_package(error: BaseException, context: Context) -> MISGroundError | None:
    if not isinstance(error, ImportError):
        return None
    text = str(error)
    named = re.findall(r"requires the (\w[\w-]*) library|No module named '([\w.]+)'|`pip install ([\w\[\]-]+)`", text)
    package = next((part for groups in named for part in groups if part), getattr(error, "name", None) or "")
    package = package.split(".")[0].lower()
    if text.startswith("cannot import name"):
        return MISGroundError(
            "A package that the model needs is installed in a version that another package cannot use.",
            value=_first_line(error),
            remedy=f"pip install --upgrade {package}" if package else "pip install --upgrade mis-ground",
        )
    extra = next((extra for extra, names in EXTRAS.items() if package in names), "")
    return MISGroundError(
        "The model needs a package that is not installed.",
        value=package or _first_line(error),
        remedy=f"pip install 'mis-ground[{extra}]'" if extra else f"pip install {package}" if package else "",
    )


EXTRAS = {
    "vlm": ("torchvision", "num2words"),
    "api": ("tenacity", "aiohttp", "requests", "tqdm"),
    "demo": ("gguf",),
}
"""Packages that an extra of this package brings."""


def _text_only(error: BaseException, context: Context) -> MISGroundError | None:
    text = str(error)
    if "require multimodal input" in text:
        return MISGroundError(
            "The tasks have images, but this model takes text only.",
            value=f"--model {context.get('model')}",
            remedy="Give --model hf-multimodal, or the tasks without images: --tasks blind_mis_ground.",
        )
    if "Unrecognized configuration class" in text or "does not recognize this architecture" in text:
        found = re.search(r"configuration class <class '[\w.]*?(\w+)'>|model type `(\w+)`", text)
        return MISGroundError(
            f"The harness cannot load this model as {context.get('model')}.",
            value=next((part for part in found.groups() if part), None) if found else None,
            remedy="A text-only model runs with --model hf and --tasks blind_mis_ground; a newer one may need a newer "
            "transformers.",
        )
    if "image_token_id" in text and "Must have a non-None" in text:
        return MISGroundError(
            "The model's configuration does not give the token that stands for an image.",
            remedy="Give it: --model_args image_string='<image>' (or what its chat template writes).",
        )
    return None


def _chat_template(error: BaseException, context: Context) -> MISGroundError | None:
    text = str(error)
    if "chat_template" not in text and "chat template" not in text:
        return None
    if not re.search(r"not set|no .*template|does not have|None", text):
        return None
    return MISGroundError(
        "The model has no chat template.",
        remedy="Leave out --apply_chat_template, or add the template to the model's folder.",
    )


def _wrong_argument(error: BaseException, context: Context) -> MISGroundError | None:
    found = re.search(r"unexpected keyword argument '(\w+)'", str(error))
    given = context.get("model_args") or {}
    if not isinstance(error, TypeError) or not found or found[1] not in given:
        return None
    near = difflib.get_close_matches(found[1], KNOWN_ARGUMENTS, n=1)
    return MISGroundError(
        f"--model_args: {context.get('model')} has no argument with this name.",
        value=found[1],
        remedy=f"Did you mean {near[0]}?" if near else "",
    )


KNOWN_ARGUMENTS = (
    *("pretrained", "dtype", "revision", "max_images", "image_string", "image_token_id", "max_length", "min_pixels"),
    *("max_pixels", "image_width", "image_height", "image_max_side", "device", "parallelize", "device_map_option"),
    *("trust_remote_code", "interleave", "convert_img_format", "attn_implementation", "peft", "think_end_token"),
    *("enable_thinking", "base_url", "model", "num_concurrent", "max_retries", "timeout", "semsam_k", "semsam_top_m"),
    *("semsam_top_p", "semsam_guard", "semsam_mode", "semsam_strength", "semsam_compare"),
)


def _of_vllm(error: BaseException, context: Context) -> MISGroundError | None:
    text = str(error)
    if "Generator does not use offset" in text:
        return MISGroundError(
            "On a CPU, vLLM cannot sample with a seed where it reads a prompt in parts.",
            value=_first_line(error),
            remedy="Let batches hold every prompt whole: max_num_batched_tokens of at least max_num_seqs times "
            "the longest prompt, as max_num_seqs=32,max_num_batched_tokens=32768 for prompts of up to 1,024 tokens.",
        )
    if type(error).__name__ == "EngineDeadError" or re.search(r"[Ss]ee (root cause|stack trace) \(?above", text):
        return MISGroundError(
            "vLLM's engine, a process of its own, stopped with an error.",
            value=_first_line(error) or None,
            remedy="vLLM has printed the error itself above. With VLLM_ENABLE_V1_MULTIPROCESSING=0 the engine runs in "
            "this process, and the error is told here.",
        )
    return None


def _of_the_harness(error: BaseException, context: Context) -> MISGroundError | None:
    text = str(error)
    if text.startswith("Tasks not found:"):
        return MISGroundError("There is no task with this name.", value=text.removeprefix("Tasks not found: "))
    if "Duplicate task" in text:
        return MISGroundError(
            "A task is given twice, by itself and in a group.", value=_first_line(error), remedy="Leave one out."
        )
    return None


RULES: tuple[Callable[[BaseException, Context], MISGroundError | None], ...] = (
    *(_of_semsam, _of_settings, _out_of_memory, _of_the_hub, _missing_package, _text_only, _chat_template),
    *(_wrong_argument, _of_vllm, _of_the_harness),
)
