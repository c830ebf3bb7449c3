"""What was read from a reply."""

from dataclasses import dataclass
from typing import Literal

READER_VERSION = "2.1"
"""Moves whenever some reply can be read otherwise; 1 was the reader that took the first option found."""

Status = Literal["read", "refused", "truncated", "unread"]
"""``read``: an option was given. ``refused``: the model says that it cannot or will not answer. ``truncated``: the
reply ends before an answer. ``unread``: there is a reply, but no option can be taken from it without guessing."""

STATUSES: tuple[Status, ...] = ("read", "refused", "truncated", "unread")


@dataclass(frozen=True)
class Reading:
    """What was read from a reply.

    Args:
        option: the option as listed, or a position or number as text; None if the status is not ``read``.
        status: see `Status`.
        stage: what decided: ``final`` (an explicit final answer), ``bare`` (an option and nothing else), ``verdicts``
            (a judgement on each option), ``sentence`` (what the sentences say), or for no answer ``reasoning`` (a
            thought without end), ``refusal``, ``cut``, ``conflict``, ``nothing``, ``empty``; ``range`` (a number that
            cannot be), ``form`` (another form of coordinates or another unit than asked for), ``image`` (of several
            images none is named).
        values: of a box x0, y0, x1, y1 and of a point x, y, in pixels of the stored image; of a number the number.
        image: of a position in one of several images, which, from 0.
    """

    option: str | None
    status: Status
    stage: str
    values: tuple[float, ...] = ()
    image: int | None = None

    def __post_init__(self) -> None:
        if (self.option is None) == (self.status == "read"):
            raise ValueError(
                f"A reading has an option or another status than 'read': {self.option!r}, {self.status!r}."
            )
