"""Ctrl-C goes to every process of a terminal: the first one stops the build, the others say nothing."""

import os
import signal
import sys
import time

import pytest

from dataset_builder.building.engines import Processes
from dataset_builder.cli import main as cli


def double(number):
    return 2 * number


def sleep_and_write(path):
    time.sleep(30)
    path.write_text("done")


@pytest.fixture
def engine():
    running = Processes(2)
    running.start()
    yield running
    running.close()


def test_worker_processes_do_not_hear_ctrl_c_even_while_they_start(engine):
    for pid in list(engine._pool._processes):
        os.kill(pid, signal.SIGINT)
    assert list(engine.each(double, [1, 2, 3])) == [2, 4, 6]
    for pid in list(engine._pool._processes):
        os.kill(pid, signal.SIGINT)
    assert list(engine.each(double, [4])) == [8]
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, []), "this process hears it"


def test_at_ctrl_c_the_workers_work_is_not_waited_for(engine, tmp_path):
    assert list(engine.each(double, [1])) == [2]
    future = engine._pool.submit(sleep_and_write, tmp_path / "written")
    while not future.running():
        time.sleep(0.01)
    processes = list(engine._pool._processes.values())
    try:
        raise KeyboardInterrupt
    except KeyboardInterrupt:
        engine.close()
    assert not any(process.is_alive() for process in processes)
    assert not (tmp_path / "written").exists()


def test_the_command_says_how_to_go_on(monkeypatch, capsys):
    def stop():
        raise KeyboardInterrupt

    monkeypatch.setattr("lm_eval_tasks.small_vlm.model_folder", stop)
    monkeypatch.setattr(sys, "argv", ["mis-ground", "model"])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    assert caught.value.code == 130
    assert "Give the same command again to resume" in capsys.readouterr().err
