"""Downloading large files over HTTPS: cut connections are taken up again, and nothing counts that is not checked.

A file comes under the name ``.NAME.partial`` and gets its own name when it is whole and its checksum right. What has
arrived is kept when a download is interrupted; the next one resumes there, if the server still has the same file.
"""

import json
import os
import re
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from email.message import Message
from http.client import HTTPException
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

from filelock import FileLock, Timeout
from tenacity import RetryCallState, Retrying, retry_if_exception

from dataset_builder.core.errors import FetchError
from dataset_builder.files.progress import Progress, silent
from dataset_builder.sources.download.checksums import (
    RemoteFile,
    check_digest,
    check_given,
    is_checked,
    note_checked,
    plain_url,
)

WAITS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0)
"""Seconds before each further try. A try that brought something new starts the count again."""

LONGEST_WAIT = 300.0
"""A server that asks for more patience is told to the user instead."""

TIMEOUT = 60.0
SPARE_BYTES = 200_000_000
"""Room that is left on the disk."""

_CHUNK = 1 << 20
_PASSING = (408, 425, 429, 500, 502, 503, 504)


@dataclass
class _Part:
    """What has come so far, and of what: a server's file can change between two tries."""

    path: Path
    etag: str = ""
    total: int | None = None

    @property
    def size(self) -> int:
        return self.path.stat().st_size if self.path.exists() else 0

    @property
    def note(self) -> Path:
        return self.path.with_name(f"{self.path.name}.json")

    def load(self) -> None:
        try:
            noted = json.loads(self.note.read_text(encoding="utf-8"))
            self.etag, self.total = noted.get("etag", ""), noted.get("total")
        except (OSError, ValueError, AttributeError):
            self.path.unlink(missing_ok=True)  # of unknown origin

    def save(self) -> None:
        noted = {"etag": self.etag, "total": self.total}
        self.note.write_text(json.dumps(noted), encoding="utf-8")

    def drop(self) -> None:
        self.path.unlink(missing_ok=True)
        self.note.unlink(missing_ok=True)


class _Passing(Exception):  # noqa: N818 - no error yet
    """Trouble that trying again can help against."""

    def __init__(self, problem: str, wait: float = 0.0) -> None:
        super().__init__(problem)
        self.wait = wait


def download(file: RemoteFile, folder: Path, progress: Progress = silent) -> Path:
    """Get a file into a folder, unless it is there and checked.

    Args:
        file: which.
        folder: made if absent.
        progress: called with the bytes received, and with those checked.

    Returns:
        Its path.

    Raises:
        FetchError: if it is unavailable, is not what it should be, or does not fit on the disk. What has come stays,
            unless it is wrong.
    """
    target = folder / file.name
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / f".{file.name}.lock", timeout=0):
            if is_checked(target, file):
                return target
            part = _Part(folder / f".{file.name}.partial")
            part.load()
            if target.exists():
                check_given(target, file, progress)
                note_checked(target, file)
                return target
            _fetch(file, part, progress)
            check_digest(part.path, file, progress, part.drop)
            os.replace(part.path, target)
            part.drop()
            note_checked(target, file)
    except Timeout as error:
        raise FetchError(
            "Another process is fetching this file.",
            file=target,
            remedy="Wait until it has finished, or choose another folder.",
        ) from error
    except OSError as error:
        raise FetchError(
            "The file cannot be written here.",
            file=error.filename or folder,
            value=error.strerror or str(error),
            remedy="Free some space or choose another folder, and give the same command again to resume.",
        ) from error
    return target


def _fetch(file: RemoteFile, part: _Part, progress: Progress) -> None:
    """Try until the whole file is here."""
    fruitless, size = 0, part.size

    def count(state: RetryCallState) -> None:
        nonlocal fruitless, size
        fruitless, size = (1 if part.size > size else fruitless + 1), part.size

    retrying = Retrying(
        retry=retry_if_exception(lambda error: isinstance(error, _Passing) and error.wait <= LONGEST_WAIT),
        after=count,  # before wait and stop
        wait=lambda state: max((*WAITS, 0.0)[fruitless - 1], _asked_wait(state)),
        stop=lambda state: fruitless > len(WAITS),
        reraise=True,
        sleep=lambda seconds: time.sleep(seconds),
    )
    try:
        for attempt in retrying:
            with attempt:
                if file.bytes is None or part.size != file.bytes:
                    _fetch_once(file, part, progress)
    except _Passing as trouble:
        here = f"{part.size / 1e6:.1f} MB have arrived" if part.size else "nothing has arrived yet"
        raise FetchError(
            f"{file.name} cannot be downloaded now: {trouble}; {here}.",
            value=plain_url(file.url),
            remedy="Give the same command again later to resume. Or download the file another way, "
            f"put it into {part.path.parent}, and give the same command: it is checked there.",
        ) from trouble


def _asked_wait(state: RetryCallState) -> float:
    """How long the server asks to wait, in seconds."""
    trouble = state.outcome.exception() if state.outcome else None
    return trouble.wait if isinstance(trouble, _Passing) else 0.0


def _fetch_once(file: RemoteFile, part: _Part, progress: Progress) -> None:
    start = part.size
    headers = {"User-Agent": "mis-ground", "Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
        if part.etag:
            headers["If-Range"] = part.etag
    try:
        with _opener().open(urllib.request.Request(file.url, headers=headers), timeout=TIMEOUT) as answer:
            start = _begin(file, part, start, answer)
            progress(file.name, start, part.total or 0)
            with part.path.open("ab") as kept:
                _copy(answer, kept, part, progress, file.name, start)
    except urllib.error.HTTPError as error:
        _refused(file, part, error)
    except (urllib.error.URLError, HTTPException, TimeoutError, ConnectionError) as error:
        raise _failed(error) from error
    if part.total is not None and part.size < part.total:
        raise _Passing("the connection was cut")


def _begin(file: RemoteFile, part: _Part, start: int, answer: Any) -> int:
    """Where the answer begins; makes room for it, and forgets what came of another file before."""
    headers: Mapping[str, str] = answer.headers
    if answer.status == 206:
        found = re.match(r"bytes (\d+)-\d*/(\d+|\*)", headers.get("Content-Range", ""))
        if not found or int(found[1]) != start:
            part.drop()
            raise _Passing("the server sent another part than requested")
        total = None if found[2] == "*" else int(found[2])
    else:
        # The whole file: the server knows no ranges, or has another file by now.
        start = 0
        part.path.unlink(missing_ok=True)
        length = headers.get("Content-Length")
        total = int(length) if length is not None else None
    if total is not None and file.bytes is not None and total != file.bytes:
        part.drop()
        raise FetchError(
            f"The server's {file.name} is not the expected file.",
            file=plain_url(file.url),
            value=f"{total} bytes instead of {file.bytes}",
            remedy="The record may have a new version: update MIS-Ground, or report it.",
        )
    part.total = total if total is not None else file.bytes
    part.etag = headers.get("ETag", "") if not headers.get("ETag", "").startswith("W/") else ""
    part.path.touch()
    part.save()
    _check_room(part, start)
    return start


def _copy(answer: IO[bytes], kept: IO[bytes], part: _Part, progress: Progress, name: str, here: int) -> None:
    while True:
        try:
            chunk = answer.read(_CHUNK)
        except (HTTPException, TimeoutError, ConnectionError) as error:
            raise _Passing(f"the connection was cut ({type(error).__name__})") from error
        if not chunk:
            return
        here += len(chunk)
        if part.total is not None and here > part.total:
            raise FetchError(f"The server sends more of {name} than it announced.", value=f"over {part.total} bytes")
        kept.write(chunk)
        kept.flush()
        progress(name, here, part.total or 0)


def _refused(file: RemoteFile, part: _Part, error: urllib.error.HTTPError) -> None:
    """An answer that is not a file."""
    if error.code == 416:
        total = re.match(r"bytes \*/(\d+)", error.headers.get("Content-Range", ""))
        if total and int(total[1]) == part.size:
            return  # all of it is here
        part.drop()
        raise _Passing("the file on the server has changed") from error
    if error.code in _PASSING:
        asked = error.headers.get("Retry-After", "")
        raise _Passing(f"the server answers HTTP {error.code}", float(asked) if asked.isdecimal() else 0.0) from error
    remedy = {
        401: "It requires a log-in: download it in a browser and put it into the folder.",
        403: "Access is denied: see its record.",
        404: "It may have moved: see its record, update MIS-Ground, or report it.",
        410: "It was withdrawn: see its record.",
    }.get(error.code, "See its record.")
    raise FetchError(
        f"The server does not deliver {file.name}.",
        file=plain_url(file.url),
        value=f"HTTP {error.code} {error.reason}",
        remedy=remedy,
    ) from error


def _check_room(part: _Part, here: int) -> None:
    if part.total is None:
        return
    needed, free = part.total - here, shutil.disk_usage(part.path.parent).free
    if needed + SPARE_BYTES > free:
        raise FetchError(
            "There is not enough space on the disk.",
            file=part.path.parent,
            value=f"{free / 1e9:.1f} GB free, {needed / 1e9:.1f} GB still to come",
            remedy="Free some space, or choose another folder with --out.",
        )


def _failed(error: Exception) -> _Passing:
    reason = getattr(error, "reason", error)
    return _Passing(f"the connection failed ({type(reason).__name__}: {reason})")


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects, but not from HTTPS to plain HTTP."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Message, newurl: str
    ) -> urllib.request.Request | None:
        if urlsplit(req.full_url).scheme == "https" and urlsplit(newurl).scheme != "https":
            raise FetchError(
                "The server redirects to an address without HTTPS.",
                file=plain_url(req.full_url),
                value=plain_url(newurl),
            )
        return super().redirect_request(req, fp, code, msg, headers, newurl)  # type: ignore[arg-type]


def _opener() -> urllib.request.OpenerDirector:
    return urllib.request.build_opener(_Redirects())
