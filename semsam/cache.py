"""Neighbour tables kept as safetensors files, each under the fingerprint of all that decides it."""

import hashlib
import json
import logging
import os
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor

from semsam.settings import Guard, Settings
from semsam.tables import NeighbourTables

log = logging.getLogger(__name__)

CACHE_VARIABLE = "MIS_GROUND_CACHE"
# Raised whenever the same embedding and settings would give other tables.
_VERSION = 1
_ROWS = 4096


def folder() -> Path:
    """Where tables are kept: under ``MIS_GROUND_CACHE``, else the user's cache folder; it may not exist."""
    chosen = os.environ.get(CACHE_VARIABLE)
    if chosen:
        return Path(chosen).expanduser().absolute() / "semsam"
    from platformdirs import user_cache_path

    return user_cache_path("mis-ground", appauthor=False) / "semsam"


def fingerprint(embedding: Tensor, content: Tensor, apart: Tensor | None, guard: Guard) -> str:
    """Hash of all that decides the tables but K: the embedding, and what tokenizer, config and guard make of it.

    Args:
        embedding: float[V, H].
        content: bool[V].
        apart: int64[N, 2], or None.
        guard: the name of what made ``apart``.
    """
    parts = hashlib.sha256(json.dumps([_VERSION, guard, str(embedding.dtype), list(embedding.shape)]).encode())
    for rows in embedding.split(_ROWS):
        parts.update(_bytes(rows))
    parts.update(_bytes(content))
    if apart is not None:
        parts.update(_bytes(apart))
    return parts.hexdigest()


def find(fingerprint: str, settings: Settings) -> NeighbourTables | None:
    """The tables from the cache, or ``None``; a file that is damaged or not what its name says is never used."""
    for k, file in _of(fingerprint):
        if k < settings.k:
            continue
        try:
            return load(file, fingerprint).first(settings.k)
        except (OSError, ValueError) as error:
            log.warning("Cached neighbour tables are not used, and will be rebuilt: %s: %s", file, error)
    return None


@contextmanager
def lock(fingerprint: str) -> Iterator[None]:
    """Only one process at a time makes the same tables; where the cache cannot be written, each for itself."""
    from filelock import FileLock

    try:
        folder().mkdir(parents=True, exist_ok=True)
        held = FileLock(folder() / f".{fingerprint[:32]}.lock")
        held.acquire()
    except OSError:
        yield
        return
    try:
        yield
    finally:
        held.release()


def path(tables: NeighbourTables) -> Path:
    """Where the cache keeps the tables, if it does."""
    return folder() / f"{tables.fingerprint[:32]}-k{tables.k}.safetensors"


def keep(tables: NeighbourTables) -> None:
    """Put the tables into the cache; where that is not possible, warn and continue."""
    try:
        save(tables, path(tables))
    except OSError as error:
        log.warning("The neighbour tables cannot be cached and will be rebuilt next time: %s", error)


def save(tables: NeighbourTables, file: Path) -> None:
    """Write the tables to a file that is there whole or not at all."""
    from safetensors.torch import save as serialised

    tensors = {name: getattr(tables, name).cpu().contiguous() for name in ("ids", "weights", "content")}
    notes = {"fingerprint": tables.fingerprint, "guard": tables.guard, "digest": _digest(tensors.values())}
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_name(f".{file.name}.{os.getpid()}.{secrets.token_hex(4)}")
    try:
        temporary.write_bytes(serialised(tensors, metadata=notes))
        os.replace(temporary, file)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def load(file: Path, fingerprint: str | None = None) -> NeighbourTables:
    """Read tables, on the CPU.

    Args:
        file: written by :func:`save`.
        fingerprint: which tables these must be.

    Raises:
        ValueError: if the file is damaged or holds other tables.
        OSError: if it cannot be read.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, framework="pt") as stream:
            notes = stream.metadata() or {}
            tensors = {name: stream.get_tensor(name) for name in ("ids", "weights", "content")}
    except SafetensorError as error:
        raise ValueError(f"the file is damaged ({error})") from error
    if notes.get("digest") != _digest(tensors.values()):
        raise ValueError("the file is damaged (its digest differs)")
    if fingerprint is not None and notes.get("fingerprint") != fingerprint:
        raise ValueError("the file contains other tables")
    return NeighbourTables(**tensors, guard=notes["guard"], fingerprint=notes["fingerprint"])


def _of(fingerprint: str) -> list[tuple[int, Path]]:
    """The files of a fingerprint with their numbers of neighbours, the fewest first."""
    found = folder().glob(f"{fingerprint[:32]}-k*.safetensors")
    numbers = [(file.stem.rpartition("-k")[2], file) for file in found]
    return sorted((int(number), file) for number, file in numbers if number.isdecimal())


def _bytes(tensor: Tensor) -> memoryview:
    return tensor.detach().cpu().contiguous().view(torch.uint8).numpy().data


def _digest(tensors: Iterable[Tensor]) -> str:
    digest = hashlib.sha256()
    for tensor in tensors:
        digest.update(_bytes(tensor))
    return digest.hexdigest()
