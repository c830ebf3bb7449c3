"""Fixtures of all tests: nothing asks the Hub, nothing is left in the user's caches but what was fetched."""

import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings

# Set before any test imports `datasets` or `huggingface_hub`, which read them once; child processes inherit them.
_CACHE = tempfile.TemporaryDirectory(prefix="mis-ground-tests-")
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_DATASETS_CACHE"] = _CACHE.name

# A test that is slow on a busy machine is not wrong.
settings.register_profile("mis-ground", deadline=None)
settings.load_profile("mis-ground")


@pytest.fixture(scope="session")
def sample_folder() -> Path:
    """The real scans; a test that needs them fails if they cannot be had."""
    from dataset_builder.sources.sample import fetch_sample

    return fetch_sample()


@pytest.fixture(scope="session")
def smollm2() -> Path:
    """SmolLM2-135M-Instruct as a model folder; a test that needs it fails if it cannot be had."""
    from lm_eval_tasks.smollm2 import fetch_smollm2

    return fetch_smollm2()
