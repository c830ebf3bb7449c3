"""Wherever the work is done the same bytes come out, also when a worker is killed in the middle."""

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import Future
from pathlib import Path
from types import SimpleNamespace

import distributed
import pytest

from dataset_builder.building import engines
from dataset_builder.building.builder import build
from dataset_builder.building.engines import AHEAD, Dask, Processes
from dataset_builder.core.errors import BuildError, SourceError
from dataset_builder.core.settings import Settings
from dataset_builder.sources import open_source
from dataset_builder.sources.phantoms import torso, write_nnunet
from tests.helpers.engine_work import Counted, name_of, name_or_end
from tests.helpers.folders import contents

SMALL = Settings(
    slices_per_volume=2,
    questions_per_volume=6,
    inputs=("slice",),
    views=("plain",),
    image_size=64,
    answer_types=("choice",),
)


@pytest.fixture(scope="module")
def cluster():
    """Two worker processes on loopback."""
    engine = Dask(None, 2)
    yield engine
    engine.close()


def test_a_worker_of_a_cluster_is_killed_and_the_same_bytes_come_out(cluster, tmp_path):
    body = torso(1, spacing=12.0)
    write_nnunet(tmp_path / "scans", {f"case_{number}": body for number in range(8)})
    source = open_source(f"nnunet:{tmp_path / 'scans'}", keep_names=True)
    build([source], tmp_path / "alone", SMALL)
    workers = sorted(cluster.client.run(os.getpid).values())
    killed = []

    def kill_once(stage: str, done: int, total: int) -> None:
        if stage == "volumes" and done == 1 and not killed:
            os.kill(workers[0], signal.SIGKILL)
            killed.append(workers[0])

    build([source], tmp_path / "cluster", SMALL, engine=cluster, progress=kill_once)
    assert killed
    assert contents(tmp_path / "cluster") == contents(tmp_path / "alone")
    assert killed[0] not in cluster.client.run(os.getpid).values()
    assert cluster.dashboard.startswith("http")


def test_errors_travel_from_the_cluster_as_they_are(cluster):
    with pytest.raises(SourceError, match="source does not exist") as caught:
        list(cluster.each(open_source, ["nothing"]))
    assert caught.value.value == "nothing"
    assert "phantom" in caught.value.remedy
    assert list(cluster.each(str.upper, iter("abc"))) == ["A", "B", "C"]


def test_a_scheduler_that_is_not_there_is_told(monkeypatch):
    monkeypatch.setattr(engines, "CONNECT_SECONDS", 1)
    with pytest.raises(BuildError, match=r"cannot be reached.*tcp://127\.0\.0\.1:9"):
        Dask("tcp://127.0.0.1:9")


def test_a_cluster_started_here_ends_if_it_cannot_be_used(monkeypatch):
    started = []

    def refuse(cluster, timeout):
        started.append((cluster, [worker.process.pid for worker in cluster.workers.values()]))
        raise OSError("no route")

    monkeypatch.setattr("distributed.Client", refuse)
    with pytest.raises(BuildError, match=r"cannot be started on this machine.*no route"):
        Dask(None, 1)
    ((cluster, workers),) = started
    assert cluster.status.name == "closed"
    assert workers
    assert not [pid for pid in workers if Path(f"/proc/{pid}").exists()]


def test_a_killed_worker_process_is_told_as_what_it_is():
    with pytest.raises(BuildError, match="worker process was killed") as caught:
        list(Processes(2).each(os._exit, [9, 9]))
    assert "Give the same command again" in caught.value.remedy


def test_what_workers_share_travels_once_to_each(cluster):
    value = Counted()
    for engine, times in ((Processes(2), 2), (cluster, 1)):
        Counted.count = 0
        key = engine.share([value])
        assert list(engine.each(name_of, [key] * 40)) == ["counted"] * 40
        assert Counted.count <= times
    again = Processes(2)
    key = again.share([value])
    assert again.share([value]) == key
    assert again.share([Counted()]) != key
    again.close()
    assert key not in engines._SHARED


def test_a_lost_process_s_successor_has_what_is_shared():
    engine = Processes(2)
    key = engine.share([Counted()])
    assert list(engine.each(name_or_end, [(key, False), (key, True), (key, False)], str)) == [
        "counted",
        str((key, True)),
        "counted",
    ]
    engine.close()


def test_a_class_of_a_script_reaches_the_workers(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "from dataset_builder.building.engines import Dask, Processes, shared\n"
        "class Mine:\n"
        "    name = 'of a script'\n"
        "def name_of(key):\n"
        "    return shared(key)[0].name\n"
        "if __name__ == '__main__':\n"
        "    for engine in (Processes(2), Dask(None, 1)):\n"
        "        print(*engine.each(name_of, [engine.share([Mine()])]))\n"
        "        engine.close()\n"
    )
    ran = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True)
    assert ran.stdout.splitlines() == ["of a script"] * 2


KILLER = "__import__('os')._exit(9)"


def test_an_item_that_ends_its_process_is_found_and_the_others_are_done():
    engine = Processes(2)
    items = ["1", KILLER, "2", "3", KILLER + " # another", "4"]
    assert list(engine.each(eval, items, len)) == [1, len(KILLER), 2, 3, len(items[4]), 4]
    with pytest.raises(ZeroDivisionError):
        list(engine.each(eval, ["1", "1 / 0"], len))
    engine.close()


def test_workers_that_cannot_live_at_all_are_not_blamed_on_items(monkeypatch):
    monkeypatch.setattr(engines, "_begin", os._exit)
    with pytest.raises(BuildError, match="worker process was killed"):
        list(Processes(2).each(abs, [1, 2], abs))


class Answers:
    """Stands for a client of a cluster: of an item the workers die as often as it says, then it is done."""

    def __init__(self) -> None:
        self.deaths: dict[str, int] = {}

    def scheduler_info(self, n_workers):
        return {"workers": {"one": {}}}

    def submit(self, function, item, **_):
        future = Future()
        self.deaths[item] = self.deaths.get(item, 0) + 1
        if self.deaths[item] <= len(item) - 1:
            future.set_exception(distributed.KilledWorker(item, SimpleNamespace(address="tcp://one"), 3))
        else:
            future.set_result(function(item))
        return future


def test_an_item_that_ends_workers_of_a_cluster_again_and_again_is_given_up():
    """Its neighbours are not: Dask suspects all that the lost worker had before it."""
    engine = object.__new__(Dask)
    engine._cluster, engine.client = None, Answers()
    assert list(engine.each(str.upper, ["a", "bb", "ccc", "d"], str.title)) == ["A", "BB", "Ccc", "D"]
    with pytest.raises(BuildError, match="lost repeatedly"):
        list(engine.each(str.upper, ["eee"]))


def test_only_some_items_are_handed_out_at_once():
    engine, taken = Processes(2), []

    def items():
        for number in range(100):
            taken.append(number)
            yield number

    results = engine.each(abs, items())
    assert next(results) == 0
    assert len(taken) <= 2 * AHEAD
    assert list(results) == list(range(1, 100))
    engine.close()


def test_workers_end_when_their_parent_is_killed(tmp_path):
    code = (
        "import os, sys, time\n"
        "from dataset_builder.building.engines import Processes\n"
        "if __name__ == '__main__':\n"
        "    engine = Processes(2)\n"
        "    results = engine.each(eval, ['__import__(\"os\").getpid()'] + ['__import__(\"time\").sleep(99)'] * 9)\n"
        "    print(next(results), flush=True)\n"
        "    time.sleep(99)\n"
    )
    (tmp_path / "run.py").write_text(code)
    parent = subprocess.Popen([sys.executable, tmp_path / "run.py"], stdout=subprocess.PIPE, text=True)
    worker = int(parent.stdout.readline())
    os.kill(worker, 0)
    parent.kill()
    parent.wait()
    parent.stdout.close()
    for _ in range(600):
        if not Path(f"/proc/{worker}").exists() or "Z" in Path(f"/proc/{worker}/stat").read_text().split()[2]:
            break
        time.sleep(0.05)
    else:
        pytest.fail("the worker lives on")


@pytest.mark.parametrize("count", [0, -1])
def test_no_process_is_too_few(count):
    with pytest.raises(BuildError, match="at least 1"):
        Processes(count)


def test_a_cluster_whose_workers_are_all_gone_is_told(cluster, monkeypatch):
    """The last one: it leaves none."""
    monkeypatch.setattr(engines, "LOOK_SECONDS", 0.2)
    monkeypatch.setattr(engines, "MAX_LOOKS", 3)
    cluster._cluster.scale(0)
    while cluster.client.scheduler_info(n_workers=-1)["workers"]:
        time.sleep(0.05)
    with pytest.raises(BuildError, match="All workers of the cluster are lost"):
        list(cluster.each(abs, [1]))
