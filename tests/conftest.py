"""Fixtures of all tests: nothing asks the Hub, nothing is left in the user's caches but what was fetched."""

import gc
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from tests.helpers.browser import Browser

# Set before any test imports `datasets` or `huggingface_hub`, which read them once; child processes inherit them.
_CACHE = tempfile.TemporaryDirectory(prefix="mis-ground-tests-")
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_DATASETS_CACHE"] = _CACHE.name
os.environ["MIS_GROUND_PSEUDONYMS"] = f"{_CACHE.name}/pseudonyms.json"

# Threads that wait must not spin beside the other worker. Read, as the next one, when torch is imported.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

# Workers share the cores: more threads each would only wait for each other.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")

# A test that is slow on a busy machine is not wrong.
settings.register_profile("mis-ground", deadline=None)
settings.load_profile("mis-ground")


LONGEST = (
    "lm_eval_tasks/test_demo",
    "end_to_end/test_readme",
    "end_to_end/test_harness",
    "end_to_end/test_oracle",
    "building/test_builder",
    "lm_eval_tasks/small_vlm/test_checkpoint",
    "lm_eval_tasks/test_smollm2",
    "end_to_end/test_hub_round_trip",
    "questions/test_controls",
    "sources/test_remote",
    "building/test_full_disk",
    "building/test_engines",
)
"""Begun first, so that no worker is left with one of them at the end; a worker runs whole files (loadfile)."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files first; the order within a file stays. Slow tests are for `make test-slow`."""
    if "MIS_GROUND_SLOW" not in os.environ:
        for item in items:
            if item.get_closest_marker("slow"):
                item.add_marker(pytest.mark.skip(reason="takes long: make test-slow"))
    items.sort(key=lambda item: LONGEST.index(_file(item)) if _file(item) in LONGEST else len(LONGEST))


TOGETHER = ("tests/hub", "tests/lm_eval_tasks/report/numbers", "tests/lm_eval_tasks/report/page")
"""Folders whose files share what takes long to make: one worker runs them all."""


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """A worker runs whole files (loadfile), and of some folders all files."""
    from xdist.scheduler import LoadFileScheduling

    class LoadFolderScheduling(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = super()._split_scope(nodeid)
            return folder if (folder := file.rpartition("/")[0]) in TOGETHER else file

    return LoadFolderScheduling(config, log) if config.getoption("dist") == "loadfile" else None


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """What the harness does beside its work, and nothing tests.

    It describes the machine in each result file (pip, git and lscpu for a second), and collects garbage after each
    batch with images, a third of a second once its packages are loaded: those are left alone from then on.
    """
    evaluator = sys.modules.get("lm_eval.evaluator")
    if evaluator and getattr(evaluator, "add_env_info", None) is not _no_description:
        evaluator.add_env_info = _no_description
        gc.freeze()


def _no_description(results: dict) -> None:
    pass


def _file(item: pytest.Item) -> str:
    return item.path.relative_to(Path(__file__).parent).with_suffix("").as_posix()


@pytest.fixture(scope="session")
def sample_folder() -> Path:
    """The real scans; a test that needs them fails if they cannot be had."""
    from dataset_builder.sources.sample import fetch_sample

    return fetch_sample()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """One Chromium for the tests of all pages, which leave it as it was: no emulated width, no emulated colours."""
    with Browser() as one:
        yield one


@pytest.fixture(scope="session")
def smollm2() -> Path:
    """SmolLM2-135M-Instruct as a model folder; a test that needs it fails if it cannot be had."""
    from lm_eval_tasks.smollm2 import fetch_smollm2

    return fetch_smollm2()
