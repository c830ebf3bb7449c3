"""What was read from a reply."""

from dataclasses import dataclass
from typing import Literal

READER_VERSION = "2.0"
"""Moves whenever some reply can be read otherwise; 1 was the reader that took the first option found."""

Status = Literal["read", "refused", "truncated", "unread"]
"""``read``: an option was given. ``refused``: the model says that it cannot or will not answer. ``truncated``: the
reply ends before an answer. ``unread``: there is a reply, but no option can be taken from it without guessing."""

STATUSES: tuple[Status, ...] = ("read", "refused", "truncated", "unread")


@dataclass(frozen=True)
class Reading:
    """What was read from a reply.

    Args:
        option: the option as listed; None if the status is not ``read``.
        status: see `Status`.
        stage: what decided: ``final`` (an explicit final answer), ``bare`` (an option and nothing else), ``verdicts``
            (a judgement on each option), ``sentence`` (what the sentences say), or for no answer ``reasoning`` (a
            thought without end), ``refusal``, ``cut``, ``conflict``, ``nothing``, ``empty``.
    """

    option: str | None
    status: Status
    stage: str

    def __post_init__(self) -> None:
        if (self.option is None) == (self.status == "read"):
            raise ValueError(
                f"A reading has an option or another status than 'read': {self.option!r}, {self.status!r}."
            )
