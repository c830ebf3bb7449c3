"""How far a run is, how fast it goes and how long it will take, in the terminal."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bars

from lm_eval_tasks.running.answer_store import Progress

LINE_EVERY = 60.0
"""Without a terminal, a line of progress is printed every so many seconds."""


@contextmanager
def shown_progress(console: Console | None) -> Iterator[Callable[[Progress], None]]:
    """Shows how far a run is: a bar in a terminal, else a line now and then; nothing without a console."""
    if console is None:
        yield lambda progress: None
    elif console.is_terminal:
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(elapsed_when_finished=True),
        )
        with Bars(*columns, console=console) as bars:
            task = bars.add_task("answers", total=None, rate="")
            start = time.monotonic()

            def show(progress: Progress) -> None:
                pace = rate(progress.asked, time.monotonic() - start)
                bars.update(task, total=progress.total, completed=progress.known + progress.asked, rate=pace)

            yield show
    else:
        yield Lines(console).show


@dataclass
class Lines:
    """Progress in lines: one when the pace is known, then one a minute.

    Args:
        console: where to print.
        clock: gives seconds.
    """

    console: Console
    clock: Callable[[], float] = time.monotonic
    start: float | None = None
    last: float = 0.0

    def show(self, progress: Progress) -> None:
        """Print a line if it is time for one."""
        now = self.clock()
        if self.start is None:
            self.start = self.last = now
            return
        done, elapsed = progress.known + progress.asked, now - self.start
        first = self.last == self.start and elapsed > 10
        if not progress.asked or not (first or now - self.last >= LINE_EVERY):
            return
        self.last = now
        left = (progress.total - done) * elapsed / progress.asked
        self.console.print(
            f"{done:,} of {progress.total:,} answers, {rate(progress.asked, elapsed)}, {duration(left)} left",
            highlight=False,
        )


def rate(count: int, seconds: float) -> str:
    """How fast: answers a second, or a minute where these are few."""
    pace = count / seconds if seconds > 0 else 0.0
    return f"{pace:.1f} a second" if pace >= 1 else f"{60 * pace:.1f} a minute"


def duration(seconds: float) -> str:
    """As in ``2 h 5 min``, ``5 min`` or ``40 s``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min"
