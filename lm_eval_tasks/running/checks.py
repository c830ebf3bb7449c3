"""What can be known to be wrong before anything heavy is loaded: data set, model, tasks, packages, server, key.

Each check takes milliseconds and raises one sentence; near misses are named. What cannot be checked cheaply passes.
"""

import difflib
import fnmatch
import json
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from dataset_builder.core.errors import DatasetNotFoundError, MISGroundError
from lm_eval_tasks.running.server_checks import check_server

TASKS = Path(__file__).parents[1] / "mis_ground"
"""The task files."""

OWN_MODELS = ("mis-ground-constant", "mis-semsam", "mis-semsam-text", "mis-arm", "mis-arm-text")
TEXT_ONLY = frozenset(
    {"hf", "hf-auto", "huggingface", "mis-semsam-text", "mis-arm-text", "vllm", "gguf", "ggml", "steered", "dummy"}
)
"""Kinds of models that do not take images."""
WITH_IMAGES = {
    "hf": "hf-multimodal",
    "mis-semsam-text": "mis-semsam",
    "mis-arm-text": "mis-arm",
    "vllm": "vllm-vlm",
}
FROM_A_FOLDER = frozenset(
    {
        "hf",
        "hf-auto",
        "huggingface",
        "hf-multimodal",
        "mis-semsam",
        "mis-semsam-text",
        "mis-arm",
        "mis-arm-text",
        "vllm",
        "vllm-vlm",
    }
)
"""Kinds of models that are loaded from a folder or from the Hub (``pretrained=``)."""
SERVED = frozenset({"local-chat-completions", "openai-chat-completions", "azure-openai-chat-completions"})

HUB_NAME = re.compile(r"[\w.-]+(/[\w.-]+)?")
COLUMNS = {"id", "question", "options", "answer", "images"}

Model = Mapping[str, Any]


def near(name: str, known: Iterable[str], count: int = 3) -> str:
    """The remedy that names what a wrong name may have meant; "" if nothing is near."""
    found = difflib.get_close_matches(name, list(known), n=count, cutoff=0.7)
    return f"Did you mean {' or '.join(found)}?" if found else ""


# ------------------------------------------------------------------------------------------------------- the data set


@dataclass(frozen=True)
class Found:
    """The data set that is going to be scored.

    Args:
        place: a folder, or a name on the Hub.
        rows: how many questions; None on the Hub.
    """

    place: str
    rows: int | None


def check_dataset(named: str | None, on_the_hub: re.Pattern[str]) -> Found:
    """Find the data set as the tasks will, without reading a row.

    Args:
        named: on the command line or in the task metadata.
        on_the_hub: what a name on the Hub looks like.

    Raises:
        DatasetNotFoundError: if there is none, or what is there holds no questions.
    """
    variable = os.environ.get("MIS_GROUND_DATASET")
    given, place = (named, "") if named else (variable, " that MIS_GROUND_DATASET names")
    if given:
        folder = Path(given).expanduser()
        if folder.is_dir():
            return _in_folder(folder)
        if folder.exists():
            raise DatasetNotFoundError(
                "The data set is a file, not a folder.", file=folder, remedy="Give the folder that contains it."
            )
        parent = folder.parent
        local = given.startswith((".", "/", "~")) or (parent != Path() and parent.is_dir())
        if on_the_hub.fullmatch(given) and not local:
            return Found(given, None)
        siblings = [str(each) for each in _folders(parent) if (each / "data").is_dir()]
        raise DatasetNotFoundError(
            f"There is no data set folder with the name{place}.",
            file=given,
            remedy=near(given, siblings) or "'mis-ground build' makes one; on the Hub its name is USER/NAME.",
        )
    if (Path("mis-ground") / "data").is_dir():
        return _in_folder(Path("mis-ground"))
    made = [str(each) for each in _folders(Path()) if (each / "build.json").is_file()]
    if made:
        raise DatasetNotFoundError(
            "No data set is given, and there is no folder mis-ground here.",
            remedy=f"Put it first: mis-ground eval {made[0]} --model ...",
        )
    return Found("", None)


def _folders(parent: Path) -> list[Path]:
    try:
        return sorted(each for each in parent.iterdir() if each.is_dir())
    except OSError:
        return []


def _in_folder(folder: Path) -> Found:
    import pyarrow as pa
    import pyarrow.parquet as pq

    files = sorted((folder / "data").rglob("*.parquet"))
    if not files:
        raise DatasetNotFoundError(
            "The folder contains no data set: there is no Parquet file in its folder 'data'.",
            file=folder,
            remedy=near(str(folder), [str(each) for each in _folders(folder.parent) if (each / "data").is_dir()])
            or "Give a folder that 'mis-ground build' made.",
        )
    rows = 0
    for path in files:
        try:
            found = pq.ParquetFile(path)
            missing = COLUMNS - set(found.schema_arrow.names)
            rows += found.metadata.num_rows
        except (OSError, pa.ArrowException) as error:
            raise DatasetNotFoundError(
                "A file of the data set cannot be read.",
                file=path,
                value=str(error).splitlines()[0],
                remedy="Build the data set again, or download the file again.",
            ) from error
        if missing:
            raise DatasetNotFoundError(
                "The folder contains no questions of MIS-Ground: columns are missing.",
                file=path,
                value=", ".join(sorted(missing)),
                remedy="Give a folder that 'mis-ground build' made.",
            )
    return Found(str(folder), rows)


# ---------------------------------------------------------------------------------------------------------- the tasks


def own_tasks() -> set[str]:
    """Names of this package's tasks, groups and tags."""
    names: set[str] = set()
    for path in TASKS.glob("*.yaml"):
        text = path.read_text(encoding="utf-8")
        names |= set(re.findall(r"^(?:task|group): (\S+)$", text, re.MULTILINE))
        names |= set(re.findall(r"^  - (mis_ground_tag_\S+)$", text, re.MULTILINE))
    return names


def check_tasks(tasks: Sequence[str]) -> bool:
    """Whether all tasks are this package's.

    Raises:
        MISGroundError: if none are named, or a name is not that of a task.
    """
    names = [name for part in tasks for name in str(part).split(",") if name]
    if not names:
        raise MISGroundError(
            "No tasks are given.", remedy="Give --tasks 'mis_ground_*', or blind_mis_ground for a text-only model."
        )
    own = own_tasks()
    others = [name for name in names if not fnmatch.filter(own, name)]
    for name in others:
        if name.startswith(("mis_ground", "blind_mis_ground")) or near(name, own, 1):
            raise MISGroundError(
                "There is no task with this name.",
                value=name,
                remedy=near(name, own) or "See mis-ground eval ls tasks.",
            )
    if others and not any("*" in name or name.endswith((".yaml", ".yml")) or Path(name).is_dir() for name in others):
        _check_in_harness(others)
    return not others


def _check_in_harness(names: Sequence[str]) -> None:
    """Look the names up in the harness's own task files, as text: to load them takes ten seconds."""
    spec = find_spec("lm_eval")
    assert spec is not None
    assert spec.origin is not None
    known: set[str] = set()
    pattern = re.compile(rb"^(?:task|group|tag): *([\w./-]+) *$|^ *- +([\w./-]+) *$", re.MULTILINE)
    for path in (Path(spec.origin).parent / "tasks").rglob("*.yaml"):
        for groups in pattern.findall(path.read_bytes()):
            known |= {each.decode() for each in groups if each}
    for name in names:
        if name not in known and not any(part in known for part in (name.split("|")[0],)):
            raise MISGroundError(
                "There is no task with this name.",
                value=name,
                remedy=near(name, known) or "See mis-ground eval ls tasks.",
            )


def has_images(tasks: Sequence[str]) -> bool:
    """Whether some of this package's tasks named have images."""
    names = [name for part in tasks for name in str(part).split(",")]
    return any(not task.startswith("blind_") for name in names for task in fnmatch.filter(own_tasks(), name))


# ---------------------------------------------------------------------------------------------------------- the model


def check_model(kind: str, arguments: Model, secrets: Model, tasks: Sequence[str]) -> None:
    """Look whether the model can be what it is said to be.

    Raises:
        MISGroundError: if the kind is unknown, the model's folder is not there, a package or a key is missing, the
            server does not answer, or a text-only model is asked about images.
    """
    check_kind(kind, tasks)
    if kind in FROM_A_FOLDER:
        check_pretrained(kind, arguments)
    if kind in SERVED:
        check_server(kind, arguments, secrets)


def check_kind(kind: str, tasks: Sequence[str]) -> None:
    """Look whether there is such a kind of model, and whether it takes what the tasks have.

    Raises:
        MISGroundError: if the kind is unknown, or a text-only model is asked about images.
    """
    from lm_eval.api.registry import model_registry
    from lm_eval.models import MODEL_MAPPING

    known = {*MODEL_MAPPING, *OWN_MODELS, *SERVED, *model_registry}
    if kind not in known:
        model = Path(kind).exists() or "/" in kind
        raise MISGroundError(
            "There is no kind of model with this name.",
            value=kind,
            remedy=near(kind, known)
            or (
                f"--model is the kind: --model hf-multimodal --model_args pretrained={kind}."
                if model
                else "Some are hf-multimodal, mis-semsam, vllm-vlm, local-chat-completions, openai-chat-completions."
            ),
        )
    if kind in TEXT_ONLY and has_images(tasks):
        raise MISGroundError(
            "The tasks have images, but a model of this kind takes text only.",
            value=f"--model {kind}",
            remedy=f"Give --model {WITH_IMAGES.get(kind, 'hf-multimodal')}, or the tasks without images: "
            "--tasks blind_mis_ground.",
        )


def check_pretrained(kind: str, arguments: Model) -> None:
    """Look whether the model's folder, or its name on the Hub, is there; and whether its processor's packages are."""
    named = arguments.get("pretrained")
    if not named:
        wrong = near("pretrained", [str(name) for name in arguments], 1)
        raise MISGroundError(
            "No model is given.",
            value=", ".join(map(str, arguments)) or None,
            remedy=f"Give --model {kind} --model_args pretrained=FOLDER-OR-NAME."
            + (" Is 'pretrained' misspelt?" if wrong else ""),
        )
    text = str(named)
    folder = Path(text).expanduser()
    if folder.is_dir():
        _check_folder(folder, kind, arguments)
    elif folder.exists():
        raise MISGroundError("The model is a file.", file=folder, remedy="Give the folder that contains it.")
    elif text.startswith((".", "/", "~")) or not HUB_NAME.fullmatch(text) or _is_local(folder):
        beside = [str(each) for each in _folders(folder.parent)]
        raise MISGroundError(
            "This model folder does not exist.", file=text, remedy=near(text, beside) or "Give the model's folder."
        )
    else:
        config = _check_on_hub(text, arguments.get("revision"))
        if config is not None:
            _check_folder(config.parent, kind, arguments)


def _is_local(folder: Path) -> bool:
    return folder.parent != Path() and folder.parent.is_dir()


def _check_folder(folder: Path, kind: str, arguments: Model) -> None:
    config = folder / "config.json"
    if arguments.get("gguf_file") or (folder / "adapter_config.json").is_file():
        return
    if not config.is_file():
        raise MISGroundError(
            "The model's folder contains no config.json.",
            file=folder,
            remedy="Give a folder that save_pretrained made.",
        )
    try:
        described = json.loads(config.read_text(encoding="utf-8"))
        architectures = [str(each) for each in described.get("architectures") or []]
    except (OSError, ValueError, AttributeError) as error:
        raise MISGroundError("The model's config.json cannot be read.", file=config, value=error) from error
    text_only = architectures and all(name.endswith(("ForCausalLM", "LMHeadModel")) for name in architectures)
    sees = any(re.search(r"vision|visual|image|mm_", name) for name in described)
    if kind in ("hf-multimodal", "mis-semsam", "mis-arm") and text_only and not sees and "auto_map" not in described:
        raise MISGroundError(
            "This model takes text only.",
            file=folder,
            value=architectures[0],
            remedy="Give a model that takes images, or the tasks without images: --model hf --tasks blind_mis_ground.",
        )
    check_packages(str(described.get("model_type", "")), kind)


def _check_on_hub(name: str, revision: object) -> Path | None:
    """Offline: is it in the cache? Online: does the Hub know it? What takes longer than two seconds passes.

    Returns:
        Its config.json, if that is in the cache.
    """
    from huggingface_hub import constants, try_to_load_from_cache

    version = str(revision) if revision else None
    cached = try_to_load_from_cache(name, "config.json", revision=version)
    if isinstance(cached, str):
        return Path(cached)
    if constants.HF_HUB_OFFLINE:
        raise MISGroundError(
            "The model is not in the cache of the Hub, and HF_HUB_OFFLINE=1 forbids downloading it.",
            value=name,
            remedy="Download it first (hf download NAME), or give a folder.",
        )
    from huggingface_hub import HfApi
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RepositoryNotFoundError

    try:
        HfApi().model_info(name, revision=version, timeout=2)
    except GatedRepoError as error:
        raise needs_token(name) from error
    except RepositoryNotFoundError as error:
        raise MISGroundError(
            "The Hub has no model with this name, or it is private.",
            value=name,
            remedy="Check the name. For a private model, set HF_TOKEN.",
        ) from error
    except (HfHubHTTPError, OSError, ValueError):
        pass
    return None


def needs_token(name: object) -> MISGroundError:
    """The error of a model that the Hub gives to those only who have asked for it."""
    return MISGroundError(
        "This model is gated: its terms must be accepted first.",
        value=name,
        remedy="Accept them on its page, then set HF_TOKEN (or hf auth login).",
    )


@cache
def packages() -> dict[str, list[str]]:
    """Packages that a processor imports beside what every install has, by the model's type."""
    import yaml

    text = Path(__file__).with_name("model_packages.yaml").read_text(encoding="utf-8")
    return dict(yaml.safe_load(text))


def check_packages(model_type: str, kind: str) -> None:
    """Name the packages that a model's processor needs and that are missing."""
    missing = [name for name in packages().get(model_type, ()) if find_spec(name) is None]
    if missing and kind in ("hf-multimodal", "mis-semsam", "mis-arm"):
        raise MISGroundError(
            f"Models of type {model_type} need packages that are not installed.",
            value=", ".join(missing),
            remedy="pip install 'mis-ground[vlm]'",
        )
