"""Where a build's work is done: in this process, in several, or on a Dask cluster.

An engine runs a function over items and gives the results in the items' order, so that nothing that a build makes
depends on where it was made. Only some items are under way at once, however many there are.
"""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context, parent_process
from threading import Thread
from typing import Any, Protocol, TypeVar

from dataset_builder.errors import BuildError

T = TypeVar("T")
R = TypeVar("R")

CONNECT_SECONDS = 10

AHEAD = 8
"""So many items a worker are handed out before the first result is waited for."""


class Engine(Protocol):
    """Runs the work of a build."""

    def each(self, function: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
        """Results of a function in the order of the items; function, items and results survive pickling."""

    def close(self) -> None:
        """End what the engine started."""


class Processes:
    """This process, or as many as asked on this machine.

    Args:
        count: of processes; with 1 all is done in this one.
    """

    def __init__(self, count: int = 1) -> None:
        if count < 1:
            raise BuildError("The number of processes must be at least 1.", value=count)
        self.count = count
        self._pool: ProcessPoolExecutor | None = None

    def start(self) -> None:
        """Start them now: they get ready while this process does something else."""
        if self.count > 1 and self._pool is None:
            pool = self._made()
            for _ in range(self.count):
                pool.submit(_get_ready)

    def _made(self) -> ProcessPoolExecutor:
        if self._pool is None:
            # Spawned, not forked: OpenCV's and Arrow's threads do not survive a fork.
            self._pool = ProcessPoolExecutor(self.count, get_context("spawn"), initializer=_end_with_parent)
        return self._pool

    def each(self, function: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
        """Results in the order of the items."""
        if self.count == 1:
            yield from map(function, items)
            return
        pool = self._made()
        try:
            yield from _in_order(lambda item: pool.submit(function, item), items, self.count * AHEAD)
        except BrokenProcessPool as error:
            self.close()
            raise BuildError(
                "A worker process was ended from outside, most often for want of memory.",
                remedy="Give the same command again, it goes on where it was; with a smaller --num-proc if memory is "
                "short.",
            ) from error

    def close(self) -> None:
        """End the processes."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
            self._pool = None


def _get_ready() -> None:
    """Import in a worker what a build's first piece of work would wait for."""
    import dataset_builder.worker  # noqa: F401


def _end_with_parent() -> None:
    """Make a worker end when the process that it works for was killed; by itself it would wait for ever."""

    def wait() -> None:
        parent = parent_process()
        if parent is not None:
            parent.join()
            os._exit(1)

    Thread(target=wait, daemon=True).start()


class Dask:
    """A Dask cluster: an existing one, or one on this machine that lives as long as the engine.

    Input files, slice store and output folder must be reachable under the same paths from every worker, as on a
    cluster with a shared file system. A lost worker's volumes are done again by others.

    Args:
        scheduler: address of a cluster's scheduler, such as ``tcp://10.0.0.1:8786``; ``None`` to start workers here.
        count: of workers to start here.
    """

    def __init__(self, scheduler: str | None = None, count: int = 1) -> None:
        try:
            import distributed
        except ImportError as error:
            raise BuildError(
                "The engine 'dask' needs the package distributed.", remedy="pip install 'mis-ground[cluster]'"
            ) from error
        try:
            self._cluster: Any = None
            if scheduler is None:
                self._cluster = distributed.LocalCluster(
                    n_workers=count, threads_per_worker=1, dashboard_address="127.0.0.1:0", host="127.0.0.1"
                )
            self.client: Any = distributed.Client(self._cluster or scheduler, timeout=CONNECT_SECONDS)
        except (OSError, ValueError) as error:
            raise BuildError(
                "The scheduler of the Dask cluster cannot be reached.",
                value=f"{scheduler}: {error}",
                remedy="Give the address that it printed when it was started, such as --scheduler tcp://HOST:8786.",
            ) from error

    @property
    def dashboard(self) -> str:
        """Address of the page that shows what the cluster does."""
        return str(self.client.dashboard_link)

    def each(self, function: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
        """Results in the order of the items."""
        import distributed

        workers = max(1, len(self.client.scheduler_info(n_workers=-1)["workers"]))
        try:
            yield from _in_order(
                lambda item: self.client.submit(function, item, pure=False, retries=2), items, workers * AHEAD
            )
        except (distributed.KilledWorker, distributed.client.FutureCancelledError) as error:
            raise BuildError(
                "Workers of the cluster were lost again and again.",
                value=str(error).partition("\n")[0],
                remedy="Look at the workers' logs (memory?); give the same command again, it goes on where it was.",
            ) from error

    def close(self) -> None:
        """Leave the cluster; end the one that was started here."""
        self.client.close()
        if self._cluster is not None:
            self._cluster.close()


def _in_order(submit: Callable[[T], Any], items: Iterable[T], most: int) -> Iterator[Any]:
    """Results in order, with at most so many items handed out."""
    waiting: deque[Any] = deque()
    try:
        for item in items:
            waiting.append(submit(item))
            if len(waiting) >= most:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()
