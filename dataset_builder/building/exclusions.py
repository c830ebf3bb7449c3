"""Facts that a data set shall not ask about: what readers called wrong, or a curator struck out.

A fact is left out with everything that is asked about it: both questions of a pair, every prompt, wording, convention
and view, and the controls. The build's settings hold the facts (``Settings.exclude``), so that whatever makes its rows
again (``rebuild``, ``check``) leaves them out as well; all other rows stay as they were.
"""

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from dataset_builder.core.errors import BuildError

FORMAT, FORMAT_VERSION = "mis-ground-exclusions", 1
_FACT = re.compile(r"[0-9a-f]{16}")
"""A ``fact_id``: what `dataset_builder.core.hashing.digest` gives."""


def exclusions_text(items: Iterable[Mapping[str, Any]], content: str = "") -> str:
    """A file for ``mis-ground build --exclude``.

    Args:
        items: each with its ``fact_id``; whatever else stands in them is for the curator.
        content: digest of the data set that was read.
    """
    whole = {"format": FORMAT, "format_version": FORMAT_VERSION, "content": content, "items": list(items)}
    return json.dumps(whole, indent=1, ensure_ascii=False) + "\n"


def read_exclusions(path: Path) -> tuple[str, ...]:
    """The facts to leave out, sorted: of a file as `exclusions_text` makes it, or of one with a ``fact_id`` a line.

    Raises:
        BuildError: if it cannot be read.
    """
    try:
        text = path.read_text(encoding="utf-8")
        facts = _of_json(text) if text.lstrip().startswith("{") else _of_lines(text)
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise BuildError(
            "The list of questions to leave out cannot be read.",
            file=path,
            value=f"{error.args[0]!r} is missing" if isinstance(error, KeyError) else reason,
            remedy="Give flagged.json of mis-ground report, or a text file with one fact_id per line.",
        ) from error
    return tuple(sorted(facts))


def _of_json(text: str) -> set[str]:
    found = json.loads(text)
    if found["format"] != FORMAT or found["format_version"] > FORMAT_VERSION:
        raise ValueError(f"format {found['format']}, version {found['format_version']}")
    return {_fact(item["fact_id"]) for item in found["items"]}


def _of_lines(text: str) -> set[str]:
    lines = (line.partition("#")[0].strip() for line in text.splitlines())
    return {_fact(line) for line in lines if line}


def _fact(text: Any) -> str:
    if not isinstance(text, str) or not _FACT.fullmatch(text):
        raise ValueError(f"{text!r} is no fact_id")
    return text
