"""The examples in docstrings give what they say."""

import doctest
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("cluster_statistics", "dataset_builder", "lm_eval_tasks", "semsam")


def modules():
    """Names of the modules that have examples."""
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            if ">>> " in path.read_text(encoding="utf-8"):
                yield ".".join(path.relative_to(ROOT).with_suffix("").parts)


@pytest.mark.parametrize("name", list(modules()))
def test_examples_give_what_they_say(name):
    module = import_module(name)
    assert any(found.examples for found in doctest.DocTestFinder().find(module)), "doctest finds no example"
    assert not doctest.testmod(module).failed
