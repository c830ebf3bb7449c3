"""The replies in sample files, read again with the reader of this package."""

from collections.abc import Mapping
from typing import Any

from lm_eval_tasks.mis_ground.metrics import read_reply
from lm_eval_tasks.mis_ground.reading import READER_VERSION, STATUSES, Reading
from lm_eval_tasks.mis_ground.replies import Reply

FIRST_READER = "1"
"""The reader of runs that do not name theirs: it took the first option found."""

Outcome = str
"""What came of an answer: ``right``, ``wrong``, one of the reader's statuses for no answer, or ``no answer`` where an
old file does not say why; ``unscored`` in a run with ``--predict_only``."""


def reply_of(sample: Mapping[str, Any]) -> Reply:
    """The reply in a sample, with how it ended where the file says so."""
    generation = sample.get("arguments", {}).get("gen_args_0", {}).get("arg_1", {})
    note = generation.get("reply") if isinstance(generation, dict) else None
    ended = note.get("finish_reason") if isinstance(note, dict) else None
    return Reply(sample["filtered_resps"][0], ended)


def read_sample(sample: Mapping[str, Any]) -> Reading:
    """What the reply in a sample says."""
    return read_reply(sample["doc"], reply_of(sample))


def reader_of(results: Mapping[str, Any], task: str) -> str:
    """Version of the reader that scored a task of a result file."""
    metadata = results.get("configs", {}).get(task, {}).get("metadata") or {}
    return str(metadata.get("reader", FIRST_READER))


def is_newer(reader: str) -> bool:
    """Whether this package's reader is newer than another version."""
    return _numbers(READER_VERSION) > _numbers(reader)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) if part.isdigit() else 0 for part in version.split("."))


def is_scored(sample: Mapping[str, Any]) -> bool:
    """Whether a sample has scores; a run with ``--predict_only`` gives none."""
    return {"acc", "invalid"} <= sample.keys()


def scored_outcome(sample: Mapping[str, Any]) -> Outcome:
    """What came of an answer as it was scored."""
    if not is_scored(sample):
        return "unscored"
    if sample["acc"] == 1:
        return "right"
    if sample["invalid"] != 1:
        return "wrong"
    return next((status for status in STATUSES if sample.get(status) == 1), "no answer")


def is_changed(before: Outcome, now: Outcome) -> bool:
    """Whether a score changed; a missing reason in an old file does not count as a change."""
    return before not in (now, "unscored") and not (before == "no answer" and now not in ("right", "wrong"))


def changes_in_words(changes: Mapping[tuple[Outcome, Outcome], int]) -> str:
    """Changes in words, the most frequent first.

    >>> changes_in_words({("wrong", "right"): 3, ("right", "unread"): 1})
    '3 wrong -> right, 1 right -> unread'
    """
    ordered = sorted(changes.items(), key=lambda change: (-change[1], change[0]))
    return ", ".join(f"{count:,} {before} -> {now}" for (before, now), count in ordered)
