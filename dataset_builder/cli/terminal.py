"""What all commands show alike in the terminal: two consoles and progress bars."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

console = Console()
errors = Console(stderr=True)

Report = Callable[[str, int, int], None]
"""A progress callback: stage, how much is done, and how much there is."""


def progress_bars() -> AbstractContextManager[Report]:
    """A progress callback that shows one bar per stage."""
    return _bars(errors, MofNCompleteColumn(), TimeElapsedColumn())


def byte_bars(console: Console) -> AbstractContextManager[Report]:
    """A progress callback that counts bytes."""
    return _bars(console, DownloadColumn(), TransferSpeedColumn())


@contextmanager
def _bars(console: Console, *counted: ProgressColumn) -> Iterator[Report]:
    columns = (TextColumn("{task.description:<10}"), BarColumn(), *counted, TimeRemainingColumn())
    with Progress(*columns, console=console, transient=not console.is_terminal) as bars:
        tasks: dict[str, TaskID] = {}

        def show(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(stage, total=total)
            bars.update(tasks[stage], completed=done, total=total)

        yield show
