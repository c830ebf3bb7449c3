"""Replies in the styles of today's models, and how a person reads each: ``tests/lm_eval_tasks/mis_ground/replies/``.

All were written for these tests. Every other reply was held apart while the reader was written.
"""

from functools import cache
from pathlib import Path
from typing import Any

import yaml

FOLDER = Path(__file__).parents[1] / "lm_eval_tasks" / "mis_ground" / "replies"
LOTS = ("forms", "sentences", "second_and_third_lot", "fourth_to_sixth_lot")
"""In the order in which they were written."""


def _read(name: str) -> Any:
    return yaml.safe_load((FOLDER / f"{name}.yml").read_text(encoding="utf-8"))


@cache
def questions() -> dict[str, dict[str, Any]]:
    """Question and options by name."""
    return _read("questions")


@cache
def replies() -> list[list[Any]]:
    """Rows of question, style, reply, how a person reads it, and "unread" where the reader does not read it."""
    return [row for name in LOTS for row in _read(name)]
