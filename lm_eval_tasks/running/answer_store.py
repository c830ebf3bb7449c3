"""Answers that survive: every answer of a model is kept on disk as it arrives, and never asked for again.

``mis-ground eval --resume DIR`` puts this between the harness and any model that generates text. An answer is found
again by all that decides it: the prompt, the images' hashes, the generation settings, the version of the tasks, and
the model with its revision, its arguments (those of semantic sampling among them) and, where it is a folder, its files.
(The harness's models leave the images out when they cache, and so never find an answer to an image.)

Requests are answered in chunks, each made of the same requests whether or not some were answered in an earlier run, and
the answers of a chunk are kept in one transaction. So a run that was killed at any moment resumes with the very batches
that an unbroken run would have made.
"""

import hashlib
import json
import sqlite3
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Any

from dataset_builder.core.errors import MISGroundError
from lm_eval_tasks.mis_ground.replies import Reply, as_text
from lm_eval_tasks.running.images import image_hash
from lm_eval_tasks.running.order import CHUNK_OF_AUTOMATIC_BATCHES, as_given, chunks, in_order

FORMAT = 1
"""Moves when stored answers can no longer be read."""

FILE = "answers.sqlite"

NOTE = "reply"
"""Where the harness's sample files have what is known of a reply beside its text (how it ended, its reasoning): in each
sample's ``arguments.gen_args_0.arg_1``."""

NOT_OF_THE_ANSWER = ("num_concurrent", "max_retries", "timeout", "first_wait", "key_env")
"""Arguments of a model behind a server that do not decide what it answers."""

SMALLEST_CHUNK = 8
"""Fewer answers than these are not worth a write to the disk."""

Request = Any
"""The harness's ``Instance``; of it ``args`` is read, and ``arguments`` written."""


@dataclass(frozen=True)
class Stored:
    """An answer, and what the model laid beside the request's generation settings."""

    answer: str
    extra: Mapping[str, Any]


class AnswerStore:
    """Answers by key in one SQLite file; a transaction is on the disk when `add` returns.

    Several processes may use it at once, on one machine.

    Args:
        folder: made if it is not there.

    Raises:
        MISGroundError: if the folder cannot be used, or the file is damaged or of another format.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / FILE
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._base = sqlite3.connect(self.path, timeout=120, isolation_level=None)
            self._base.execute("PRAGMA journal_mode = WAL")
            self._base.execute("PRAGMA synchronous = FULL")
            with self._transaction():
                self._base.execute("CREATE TABLE IF NOT EXISTS notes (name TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID")
                self._base.execute(
                    "CREATE TABLE IF NOT EXISTS answers (key TEXT PRIMARY KEY, run TEXT, answer TEXT, extra TEXT)"
                    " WITHOUT ROWID"
                )
            found = self.note("format") or self.set_note("format", str(FORMAT))
        except (sqlite3.Error, OSError) as error:
            raise self._broken(error) from error
        if found != str(FORMAT):
            raise MISGroundError(
                "The stored answers were written by another version of this package.",
                file=self.path,
                value=f"format {found}; this version writes {FORMAT}",
                remedy="Give another folder: --resume DIR.",
            )

    def find(self, keys: Sequence[str]) -> dict[str, Stored]:
        """The answers that are there, by key."""
        found: dict[str, Stored] = {}
        try:
            for start in range(0, len(keys), 500):  # SQLite takes a limited number of values at once
                part = keys[start : start + 500]
                marks = ",".join("?" * len(part))
                rows = self._base.execute(f"SELECT key, answer, extra FROM answers WHERE key IN ({marks})", part)
                found |= {key: Stored(answer, json.loads(extra)) for key, answer, extra in rows}
        except (sqlite3.Error, ValueError) as error:
            raise self._broken(error) from error
        return found

    def add(self, run: str, answers: Mapping[str, Stored]) -> None:
        """Keep answers of a run, all or none of them."""
        rows = [(key, run, as_text(stored.answer), json.dumps(stored.extra)) for key, stored in answers.items()]
        try:
            with self._transaction():
                self._base.executemany("INSERT OR IGNORE INTO answers VALUES (?, ?, ?, ?)", rows)
        except sqlite3.Error as error:
            raise self._broken(error) from error

    def note(self, name: str) -> str | None:
        """Something noted in the file."""
        row = self._base.execute("SELECT value FROM notes WHERE name = ?", (name,)).fetchone()
        return row[0] if row else None

    def set_note(self, name: str, value: str) -> str:
        """Note something; the value comes back."""
        with self._transaction():
            self._base.execute("INSERT OR REPLACE INTO notes VALUES (?, ?)", (name, value))
        return value

    def notes(self, beginning: str) -> list[tuple[str, str]]:
        """All that is noted under names that begin so, with its names."""
        rows = self._base.execute("SELECT name, value FROM notes").fetchall()
        return [(name, value) for name, value in rows if name.startswith(beginning)]

    def __len__(self) -> int:
        return int(self._base.execute("SELECT count(*) FROM answers").fetchone()[0])

    def close(self) -> None:
        """Close the file."""
        self._base.close()

    def _transaction(self) -> Any:
        self._base.execute("BEGIN IMMEDIATE")
        return self._base

    def _broken(self, error: Exception) -> MISGroundError:
        return MISGroundError(
            "The file of stored answers cannot be opened.",
            file=self.path,
            value=error,
            remedy="Check that the disk is not full and the folder is yours, or give another folder: --resume DIR.",
        )


def model_identity(name: str, arguments: Mapping[str, Any], model: Any) -> dict[str, Any]:
    """All that decides a model's answers, but for the request itself.

    Args:
        name: the harness's name of the kind of model, such as ``hf-multimodal``.
        arguments: those that it was made with (``--model_args``).
        model: the model; asked for its revision and settings if it can tell them.
    """
    info = model.get_model_info() if hasattr(model, "get_model_info") else {}
    files = {
        key: _files(Path(value)) for key, value in arguments.items() if isinstance(value, str) and Path(value).is_dir()
    }
    deciding = {key: value for key, value in arguments.items() if key not in NOT_OF_THE_ANSWER}
    info.pop("parameters_left_out_or_renamed", None)  # found out while asking
    return {"model": name, "arguments": deciding, "info": info, "files": files}


def _files(folder: Path) -> list[tuple[str, int, int]]:
    """Names, sizes and times of a folder's files: other weights in the same place are another model."""
    found = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return [(path.relative_to(folder).as_posix(), path.stat().st_size, path.stat().st_mtime_ns) for path in found]


def digest(value: object) -> str:
    """SHA-256 of a value's JSON; what JSON does not know counts as its text."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()


def request_keys(requests: Sequence[Request], run: str, versions: Callable[[str], object]) -> list[str]:
    """A key for each request; equal requests, as for several samples of one answer, are distinguished by their order.

    Args:
        requests: of the harness.
        run: digest of the model's identity.
        versions: the version of a task, by name.
    """
    seen: Counter[str] = Counter()
    keys = []
    for request in requests:
        prompt, generation, *rest = request.args
        images = [image_hash(image) for image in (rest[0].get("visual") or [])] if rest else []
        other = {name: value for name, value in rest[0].items() if name != "visual"} if rest else {}
        key = digest([prompt, generation, images, other, str(versions(request.task_name)), run])
        keys.append(digest([key, seen[key]]) if seen[key] else key)
        seen[key] += 1
    return keys


def chunk_size(model: Any) -> int:
    """How many requests are answered between two writes: whole batches, and not too few."""
    batch = batch_size(model)
    if batch is None:
        return CHUNK_OF_AUTOMATIC_BATCHES * workers(model)  # these are loaded anew for every chunk
    size = max(1, batch) * max(1, int(getattr(model, "_concurrent", 1)))
    return size * ceil(SMALLEST_CHUNK / size)


def batch_size(model: Any) -> int | None:
    """How many requests a model answers at once; None if it decides that itself."""
    try:
        return int(model.batch_size)
    except (AttributeError, NotImplementedError, TypeError, ValueError):
        return None


def workers(model: Any) -> int:
    """Over how many copies of itself a model deals out its requests, as vLLM does with ``data_parallel_size``."""
    return max(1, int(getattr(model, "data_parallel_size", 1) or 1))


@dataclass
class Progress:
    """How far a run is: requests in all, answered in earlier runs, asked in this one."""

    total: int
    known: int
    asked: int = 0


def answer_all(
    requests: Sequence[Request],
    keys: Sequence[str],
    ask: Callable[[list[Request]], Sequence[str]],
    store: AnswerStore,
    run: str,
    size: int,
    is_answer: Callable[[object], bool] = lambda answer: answer is not None,
    report: Callable[[Progress], None] = lambda progress: None,
    ask_each: Callable[[list[Request], Callable[[int, Reply], None]], Sequence[str]] | None = None,
    parts: Sequence[list[int]] | None = None,
) -> list[str]:
    """The answers to all requests, in the order of ``requests``; only those that are not in the store are asked for.

    Args:
        requests: of the harness.
        keys: of the requests.
        ask: the model.
        store: where answers are kept.
        run: digest of the model's identity.
        size: of a chunk.
        is_answer: whether what the model gave is an answer; what is none is handed on but not kept.
        report: called before the first and after every chunk.
        ask_each: of a model that hands each answer over when it arrives: it is kept at once, and there are no chunks.
        parts: the chunks, where these requests are some of those of a larger run and keep its chunks.
    """
    known = store.find(keys)
    progress = Progress(len(requests), sum(key in known for key in keys))
    report(progress)
    answers: list[Any] = [None] * len(requests)
    reseed = _seeds(requests)
    if ask_each is not None:
        missing = [number for number in in_order(requests) if keys[number] not in known]
        as_asked = {number: dict(requests[number].args[1]) for number in missing}

        def keep(place: int, reply: Reply) -> None:
            number = missing[place]
            store.add(run, {keys[number]: Stored(reply, extra_of(requests[number], as_asked[number]))})
            progress.asked += 1
            report(progress)

        if missing:
            for number, reply in zip(missing, ask_each([requests[n] for n in missing], keep), strict=True):
                answers[number] = reply
        parts = [list(range(len(requests)))]
    for chunk in chunks(requests, size) if parts is None else parts:
        asked = [number for number in chunk if keys[number] not in known]
        if asked and ask_each is None:
            before = [dict(requests[number].args[1]) for number in asked]
            reseed(keys[asked[0]])
            with as_given():
                given = ask([requests[number] for number in asked])
            stored = {}
            for number, settings, answer in zip(asked, before, given, strict=True):
                answers[number] = answer
                if is_answer(answer):
                    stored[keys[number]] = Stored(answer, extra_of(requests[number], settings))
            store.add(run, stored)
            progress.asked += len(asked)
            report(progress)
        for number in set(chunk) - set(asked):
            found = known[keys[number]]
            note = found.extra.get(NOTE)
            answers[number] = Reply(found.answer, **note) if note else found.answer
            if found.extra:
                prompt, settings, *rest = requests[number].args
                requests[number].arguments = (prompt, {**settings, **found.extra}, *rest)
    return answers


def extra_of(request: Request, before: Mapping[str, Any]) -> dict[str, Any]:
    """What the model laid beside the generation settings while it answered."""
    return {name: value for name, value in request.args[1].items() if name not in before or before[name] != value}


def _seeds(requests: Sequence[Request]) -> Callable[[str], None]:
    """What begins each chunk with a seed of its own, where answers are sampled: an unbroken run draws the same."""
    if not any(request.args[1].get("do_sample") for request in requests):
        return lambda key: None
    import torch

    first = torch.initial_seed()

    def reseed(key: str) -> None:
        torch.manual_seed(int(digest([first, key])[:15], 16))

    return reseed
