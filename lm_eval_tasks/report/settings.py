"""What a result file says of the model that it is about: its name, its settings, the versions of the software."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from lm_eval_tasks.mis_ground.settings import RunSettings, without_secrets

OURS = re.compile(r"(blind_)?mis_ground_")
"""How the names of this package's tasks begin."""

_NOT_SETTINGS = {"limit", "batch_size", "batch_sizes", "device", "use_cache", "bootstrap_iters"}
"""Parts of the harness's ``config`` that do not decide what a model answers to a question."""


def model_name(results: Mapping[str, Any]) -> str:
    """The model's own name: what it was loaded from, or else its kind."""
    arguments = results["config"].get("model_args")
    if isinstance(arguments, dict):
        for name in ("peft", "delta", "pretrained", "model", "path", "engine"):
            if arguments.get(name):
                return str(arguments[name])
    return str(results["config"].get("model"))


def settings_of(results: Mapping[str, Any]) -> dict[str, Any]:
    """All that decides the answers, as the harness tells it."""
    settings = {name: value for name, value in results["config"].items() if name not in _NOT_SETTINGS}
    settings["chat_template_sha"] = results.get("chat_template_sha")
    settings["system_instruction"] = results.get("system_instruction")
    settings["limit"] = results["config"].get("limit")
    settings |= asked_how(results)
    return {name: value for name, value in without_secrets(settings).items() if value not in (None, "", {})}


def asked_how(results: Mapping[str, Any]) -> dict[str, Any]:
    """How this package's tasks put their questions, and which data they put them of.

    Style, letters and stacks stand only where they are not as usual: runs of before there were such did not tell.
    """
    configs = {name: config for name, config in results.get("configs", {}).items() if OURS.match(name)}
    metadata = [config.get("metadata") or {} for config in configs.values()]
    budgets = {(config.get("generation_kwargs") or {}).get("max_gen_toks") for config in configs.values()}
    reported = results.get("versions", {})
    versions = [
        *(each.get("version") for each in metadata),
        *(reported.get(name) for name in results.get("results", {}) if OURS.match(name)),
    ]
    found: dict[str, Any] = {"tasks_version": _joined(versions)}
    found["max_gen_toks"] = _joined(budgets)
    for name, usual in RunSettings().as_dict().items():
        value = _joined(each.get(name, usual) for each in metadata)
        found |= {name: value} if value != str(usual) else {}
    found["data_digest"] = _joined(each.get("data_digest") for each in metadata)
    return {name: value for name, value in found.items() if value}


def _joined(values: Iterable[object]) -> str:
    return ", ".join(sorted({str(value) for value in values if value is not None}))


def plainly(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of the plain answers of a run that compares: all but those of semantic sampling."""
    rest = {name: value for name, value in settings.items() if not name.startswith("semsam_")}
    return {name: plainly(value) if isinstance(value, dict) else value for name, value in rest.items()}


def versions_of(results: Mapping[str, Any], tasks: Sequence[str]) -> dict[str, Any]:
    """Versions of the software and of some tasks."""
    environment = str(results.get("pretty_env_info", ""))

    def line(start: str) -> str | None:
        found = re.search(rf"^{start}: (.+)$", environment, re.MULTILINE)
        return found[1].split(" (")[0] if found else None

    versions = {
        "lm_eval": results.get("lm_eval_version"),
        "transformers": results.get("transformers_version"),
        "torch": line("PyTorch version"),
        "python": line("Python version"),
        "gpu": line("GPU models and configuration"),
        "tasks": ", ".join(sorted({str(results["versions"][task]) for task in tasks if task in results["versions"]})),
    }
    return {name: value for name, value in versions.items() if value and value != "Could not collect"}


def run_name(settings: Mapping[str, Any], plain: bool) -> str:
    """How a run is called: the model, and whether it was sampled semantically."""
    name = model_name({"config": settings}).rstrip("/").rsplit("/", 1)[-1]
    known = flat(settings)
    sampling = {key for key in known if key.startswith("semsam_")} - {"semsam_compare", "semsam_strength"}
    semantic = sampling or str(settings.get("model", "")).startswith("mis-semsam")
    if plain or not semantic or float(known.get("semsam_strength", 1)) == 0:
        return name
    guard = known.get("semsam_guard", "none")
    return f"{name} + SemSam" + (f" ({guard})" if guard != "none" else "")


def unique_names(names: Sequence[str], settings: Sequence[Mapping[str, Any]]) -> list[str]:
    """Names of runs: runs of one name are distinguished by the settings in which they differ, or by number."""
    by_name: dict[str, list[int]] = {}
    for number, name in enumerate(names):
        by_name.setdefault(name, []).append(number)
    found = list(names)
    taken = {name for name, numbers in by_name.items() if len(numbers) == 1}
    for name, numbers in by_name.items():
        if len(numbers) == 1:
            continue
        of_each = {number: flat(settings[number]) for number in numbers}
        keys = sorted({key for own in of_each.values() for key in own})
        different = [key for key in keys if len({of_each[number].get(key) for number in numbers}) > 1]
        for number in numbers:
            reported = ", ".join(f"{key}={of_each[number][key]}" for key in different[:2] if key in of_each[number])
            unique, count = f"{name} [{reported}]" if reported else name, 1
            while unique in taken:
                count += 1
                unique = f"{name} ({count})"
            taken.add(unique)
            found[number] = unique
    return found


def flat(settings: Mapping[str, Any]) -> dict[str, str]:
    """Settings, nested ones too, without those that only say where things are or how often."""
    found: dict[str, str] = {}
    for name, value in settings.items():
        if isinstance(value, dict):
            found |= flat(value)
        elif not name.endswith(("_sha", "_seed")) and name != "limit":
            found[name] = str(value)
    return found
