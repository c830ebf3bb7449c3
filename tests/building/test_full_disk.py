"""Real disks that are full or may only be read: a sentence, nothing half written, and the same bytes after all."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
APART = ["unshare", "--map-root-user", "--mount"]


def mounting() -> str:
    """Why nothing can be mounted here; empty if it can."""
    try:
        tried = subprocess.run([*APART, "mount", "-t", "tmpfs", "tmpfs", "/mnt"], capture_output=True, text=True)
    except OSError as error:
        return f"unshare cannot be run: {error}"
    return tried.stderr.strip() if tried.returncode else ""


@pytest.fixture(scope="module")
def seen(tmp_path_factory):
    """What happened in each scene."""
    if why := mounting():
        pytest.skip(f"No file system can be mounted here: {why}")
    paths = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    command = [*APART, sys.executable, "-m", "tests.helpers.full_disk_scenes", str(tmp_path_factory.mktemp("disks"))]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | {"PYTHONPATH": paths})
    assert ran.returncode == 0, ran.stderr
    assert "Traceback" not in ran.stderr
    assert "Exception ignored" not in ran.stderr
    return json.loads(ran.stdout)


def is_a_sentence(scene, *, file: str, remedy: str) -> None:
    """One error with file, cause and remedy, and no stack trace."""
    assert scene["status"] == 2
    reported = scene["told"]
    assert reported.count("Error:") == 1
    assert file in reported.partition("[file: ")[2].partition("]")[0]
    assert remedy in reported.partition("Remedy: ")[2]
    assert "Traceback" not in reported
    assert "Exception ignored" not in reported


def test_a_store_that_fills_up_keeps_what_is_whole(seen):
    scene = seen["store"]
    is_a_sentence(scene, file="/store/slices/nnunet/", remedy="Free some space")
    assert "No space left" in scene["told"]
    assert not scene["there"]
    assert scene["finished"]  # some were, and those are used again
    assert all(scene["finished"])
    assert len(scene["finished"]) < 3
    assert not scene["hidden"]
    assert scene["again"]["status"] == 0
    assert scene["same"]


@pytest.mark.parametrize(
    ("stage", "file"), [("parts", "/out/.ground.partial/parts"), ("merge", "/out/.ground.partial/dataset")]
)
def test_an_output_that_fills_up_leaves_the_older_data_set(seen, stage, file):
    """In a worker process that writes questions, and where the parts are put together."""
    scene = seen[stage]
    is_a_sentence(scene, file=file, remedy="Free some space")
    assert "No space left" in scene["told"]
    assert scene["untouched"]
    assert set(scene["folders"]) == {"ground", ".ground.partial", ".ground.lock"}


def test_an_output_that_may_only_be_read_is_told_before_anything_is_done(seen):
    scene = seen["out read-only"]
    is_a_sentence(scene, file="/out", remedy="Choose another --out")
    assert scene["untouched"]


def test_with_room_again_the_same_command_takes_the_older_ones_place(seen):
    scene = seen["room again"]
    assert scene["status"] == 0
    assert scene["older"]
    assert scene["same"]
    assert scene["left"] == ["ground"]


def test_a_store_that_may_only_be_read_is_told(seen):
    scene = seen["store read-only"]
    is_a_sentence(scene, file="/roomy", remedy="Choose a folder that you can write to")
    assert not scene["there"]


def test_questions_are_asked_from_a_store_that_may_only_be_read(seen):
    assert seen["from a read-only store"]["status"] == 0
    assert seen["from a read-only store"]["same"]
