"""Progress of long work."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

Progress = Callable[[str, int, int], None]
"""Called as ``progress(stage, done, total)``."""


def silent(stage: str, done: int, total: int) -> None:
    """Show nothing."""


_listener: ContextVar[Progress] = ContextVar("progress", default=silent)


@contextmanager
def reporting_to(progress: Progress) -> Iterator[None]:
    """Within this context, :func:`report` calls ``progress``, from however deep below."""
    token = _listener.set(progress)
    try:
        yield
    finally:
        _listener.reset(token)


def report(stage: str, done: int, total: int) -> None:
    """Report the progress of a stage."""
    _listener.get()(stage, done, total)
