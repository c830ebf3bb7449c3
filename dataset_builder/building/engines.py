"""Where a build runs: in this process, in several, or on a Dask cluster.

An engine runs a function over items and gives the results in the items' order, so that nothing that a build makes
depends on where it was made. Only some items are under way at once, however many there are.
"""

import os
import signal
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from multiprocessing import get_context, parent_process
from threading import Thread
from typing import Any, Protocol, TypeVar
from uuid import uuid4

from dataset_builder.core.errors import BuildError
from dataset_builder.files.disk_list import SizedIterable
from dataset_builder.files.progress import Progress
from dataset_builder.imaging import memory_limit as memory

T = TypeVar("T")
R = TypeVar("R")

CONNECT_SECONDS = 10
LOOK_SECONDS, MAX_LOOKS = 30, 10
"""How often a cluster is checked for workers, and how often it may have none."""

AHEAD = 8
"""How many items per worker are submitted before the first result is awaited."""

_SHARED: dict[str, tuple[Any, ...]] = {}
"""In this process: what each engine's workers received once, by the key that items carry in its place."""


def shared(key: str) -> tuple[Any, ...]:
    """What :meth:`Engine.share` gave to the workers, asked for in a worker."""
    return _SHARED[key]


class Engine(Protocol):
    """Runs the work of a build."""

    def each(self, function: Callable[[T], R], items: Iterable[T], lost: Callable[[T], R] | None = None) -> Iterator[R]:
        """Results of a function in the order of the items.

        Args:
            function: of an item; like items and results it survives pickling.
            items: what to do.
            lost: gives the result for an item that ends its worker process, also when it is tried again; by default
                that ends the build.

        Raises:
            BuildError: if workers are lost.
        """

    def share(self, values: Sequence[object]) -> str:
        """Send values to every worker once, including workers that start later, instead of with each item.

        Returns:
            The key by which :func:`shared` has them in a worker.
        """

    def close(self) -> None:
        """Stop what the engine started."""


def in_stage(
    function: Callable[[T], R],
    items: SizedIterable[T],
    engine: Engine,
    stage: str,
    progress: Progress,
    lost: Callable[[T], R] | None = None,
) -> Iterator[R]:
    """Results of a function in the order of the items, and how far the stage is."""
    progress(stage, 0, len(items))
    for done, result in enumerate(engine.each(function, items, lost), 1):
        yield result
        progress(stage, done, len(items))


class Processes:
    """This process, or as many as asked on this machine.

    Args:
        count: of processes; with 1 all is done in this one.
    """

    def __init__(self, count: int = 1) -> None:
        if count < 1:
            raise BuildError("The number of processes must be at least 1.", value=count)
        self.count = count
        self._pool: _Pool | None = None
        self._key = ""

    def share(self, values: Sequence[object]) -> str:
        """Give values to every process when it starts; those that run already are ended for it."""
        known = _SHARED.get(self._key, ())
        if not known or len(known) != len(values) or any(a is not b for a, b in zip(known, values, strict=True)):
            self.close()
            self._key = uuid4().hex
            _SHARED[self._key] = tuple(values)
        return self._key

    def start(self) -> None:
        """Start them now: they initialise while this process does something else."""
        if self.count > 1 and self._pool is None:
            self._pool = self._pool_of(self.count)
            for _ in range(self.count):
                self._pool.submit(_get_ready)

    def each(self, function: Callable[[T], R], items: Iterable[T], lost: Callable[[T], R] | None = None) -> Iterator[R]:
        """Results in the order of the items. When a process is lost, items in progress are repeated one by one."""
        if self.count == 1:
            yield from map(function, items)
            return
        coming, waiting = iter(items), deque[tuple[T, Future[R]]]()
        try:
            while True:
                for item in islice(coming, self.count * AHEAD - len(waiting)):
                    waiting.append((item, self._submit(function, item)))
                if not waiting:
                    return
                item, future = waiting[0]
                try:
                    result = future.result()
                except BrokenProcessPool:
                    self._end()
                    yield from self._one_by_one(function, waiting, lost)
                else:
                    waiting.popleft()
                    yield result
        finally:
            for _, future in waiting:
                future.cancel()

    def _submit(self, function: Callable[[T], R], item: T) -> "Future[R]":
        if self._pool is None:
            self._pool = self._pool_of(self.count)
        try:
            return self._pool.submit(function, item)
        except BrokenProcessPool as error:  # is reported where its result is awaited
            failed: Future[R] = Future()
            failed.set_exception(error)
            return failed

    def _one_by_one(
        self, function: Callable[[T], R], waiting: "deque[tuple[T, Future[R]]]", lost: Callable[[T], R] | None
    ) -> Iterator[R]:
        """The results of what was under way: whichever item ends a process that does nothing else is to blame."""
        pool = self._pool_of(1)
        try:
            while waiting:
                item, future = waiting.popleft()
                try:
                    if future.cancelled() or isinstance(future.exception(), BrokenProcessPool):
                        future = pool.submit(function, item)
                    result = future.result()
                except BrokenProcessPool as error:
                    pool.shutdown()
                    pool = self._pool_of(1)
                    if lost is None or not _pool_survives(pool):
                        raise BuildError(
                            "A worker process was killed, most likely because memory ran out.",
                            remedy="Give the same command again to resume; with a smaller --num-proc if "
                            "memory is short.",
                        ) from error
                    result = lost(item)
                yield result
        finally:
            pool.shutdown(cancel_futures=True)

    def _pool_of(self, count: int) -> "_Pool":
        # Spawned, not forked: OpenCV's and Arrow's threads do not survive a fork.
        given = (memory.left() // count, self._key, _SHARED.get(self._key, ()))
        return _Pool(count, get_context("spawn"), initializer=_begin, initargs=given)

    def _end(self) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
            self._pool = None

    def close(self) -> None:
        """End the processes, and forget what they share; at Ctrl-C without waiting for what they do."""
        if self._pool is not None and isinstance(sys.exception(), KeyboardInterrupt):
            self._pool.kill()
        self._end()
        _SHARED.pop(self._key, None)


class _Pool(ProcessPoolExecutor):
    """Its processes do not hear Ctrl-C, which goes to all of a terminal's: the first process ends them instead."""

    def submit(self, *args: Any, **more: Any) -> "Future[Any]":
        """As any; a process that is started here keeps Ctrl-C blocked, and this one does for that moment."""
        if not hasattr(signal, "pthread_sigmask"):
            return super().submit(*args, **more)
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            return super().submit(*args, **more)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def kill(self) -> None:
        """End the processes now. What they were writing has a temporary name."""
        for process in list((self._processes or {}).values()):
            process.terminate()


def _pool_survives(pool: ProcessPoolExecutor) -> bool:
    """Whether a process that has nothing to do stays."""
    try:
        return pool.submit(os.getpid).result() > 0
    except BrokenProcessPool:
        return False


def _begin(share: int, key: str, values: tuple[Any, ...]) -> None:
    """Initialises a worker."""
    _SHARED[key] = values
    if not os.environ.get(memory.VARIABLE):  # which is of each process
        memory.set_share(share)
    end_with_parent()


def _get_ready() -> None:
    """Import in a worker what its first item would otherwise wait for."""
    import dataset_builder.building.worker  # noqa: F401


def end_with_parent() -> None:
    """Make a worker end when the process that it works for was killed; by itself it would wait for ever."""

    def wait() -> None:
        parent = parent_process()
        if parent is not None:
            parent.join()
            os._exit(1)

    Thread(target=wait, daemon=True).start()


class Dask:
    """A Dask cluster: an existing one, or one on this machine that lives as long as the engine.

    The output folder must be reachable under the same path from every worker, as on a cluster with a shared file
    system; input files and slice store, too, unless they are in object storage. A lost worker's volumes are done again
    by others.

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
        self._cluster: Any = None
        try:
            if scheduler is None:
                self._cluster = distributed.LocalCluster(
                    n_workers=count, threads_per_worker=1, dashboard_address="127.0.0.1:0", host="127.0.0.1"
                )
            self.client: Any = distributed.Client(self._cluster or scheduler, timeout=CONNECT_SECONDS)
        except BaseException as error:
            if self._cluster is not None:  # nobody else would end its workers
                self._cluster.close()
            if not isinstance(error, OSError | ValueError):
                raise
            if scheduler is None:
                raise BuildError(
                    "A Dask cluster cannot be started on this machine.",
                    value=error,
                    remedy="Check the machine's limits (memory, open files), or use --engine processes.",
                ) from error
            raise BuildError(
                "The scheduler of the Dask cluster cannot be reached.",
                value=f"{scheduler}: {error}",
                remedy="Give the address that it printed when it was started, such as --scheduler tcp://HOST:8786.",
            ) from error

    def share(self, values: Sequence[object]) -> str:
        """Give values to the workers that are there and to those that come; the scheduler only hands them on."""
        key = uuid4().hex
        self.client.register_plugin(_plugin(key, tuple(values)), name=f"mis-ground-{key}")
        return key

    @property
    def dashboard(self) -> str:
        """Address of the cluster's dashboard."""
        return str(self.client.dashboard_link)

    def each(self, function: Callable[[T], R], items: Iterable[T], lost: Callable[[T], R] | None = None) -> Iterator[R]:
        """Results in the order of the items."""
        import distributed

        def submit(item: T) -> Any:
            return self.client.submit(function, item, pure=False, retries=2)

        workers = max(1, len(self.client.scheduler_info(n_workers=-1)["workers"]))
        coming, waiting = iter(items), deque[tuple[T, Any]]()
        try:
            while True:
                waiting.extend((item, submit(item)) for item in islice(coming, workers * AHEAD - len(waiting)))
                if not waiting:
                    return
                item, future = waiting.popleft()
                try:
                    try:
                        result = self._result(future)
                    except distributed.KilledWorker:  # maybe only a neighbour of what ended its workers
                        result = self._result(submit(item))
                except (distributed.KilledWorker, distributed.client.FutureCancelledError) as error:
                    if lost is None or not isinstance(error, distributed.KilledWorker):
                        raise BuildError(
                            "Workers of the cluster were lost repeatedly.",
                            value=str(error).partition("\n")[0],
                            remedy="Look at the workers' logs (memory?), then give the same command again to resume.",
                        ) from error
                    result = lost(item)
                yield result
        finally:
            for _, future in waiting:
                future.cancel()

    def _result(self, future: Any) -> Any:
        """The result of a future; a cluster of this machine whose workers are all gone would never give it."""
        without = 0
        while True:
            try:
                return future.result(timeout=LOOK_SECONDS)
            except TimeoutError:
                if future.done():  # then it is what the work raised
                    raise
                if self._cluster is None:  # workers of others may come back, or have to wait for their turn
                    continue
                without = 0 if self.client.scheduler_info(n_workers=-1)["workers"] else without + 1
                if without == MAX_LOOKS:
                    raise BuildError(
                        "All workers of the cluster are lost and none returned.",
                        remedy="Look at the messages above (memory?), then give the same command again to resume.",
                    ) from None

    def close(self) -> None:
        """Leave the cluster; end the one that was started here."""
        self.client.close()
        if self._cluster is not None:
            self._cluster.close()


def _plugin(key: str, values: tuple[Any, ...]) -> Any:
    from distributed import WorkerPlugin

    class Sharing(WorkerPlugin):
        """Sets what is shared in a worker as it starts."""

        def setup(self, worker: Any) -> None:
            from dataset_builder.building import engines

            engines._SHARED[key] = values

        def teardown(self, worker: Any) -> None:
            from dataset_builder.building import engines

            engines._SHARED.pop(key, None)

    return Sharing()
