"""``from dataset_builder import build`` is enough for a notebook."""

import subprocess
import sys

import pytest

import dataset_builder


@pytest.mark.parametrize("name", dataset_builder.__all__)
def test_every_name_can_be_had(name):
    assert getattr(dataset_builder, name).__name__ == name


def test_other_names_cannot():
    with pytest.raises(AttributeError, match="'nothing'"):
        dataset_builder.nothing  # noqa: B018


def test_heavy_packages_wait():
    code = "import sys, dataset_builder; print([m for m in ('torch', 'datasets', 'nibabel') if m in sys.modules])"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


def test_a_build_as_the_docstring_shows_it(tmp_path):
    from dataset_builder import Settings, build, check_dataset, open_source

    settings = Settings(
        inputs=("slice",), prompts=("box",), questions_per_volume=4, stacks_per_volume=0, answer_types=("choice",)
    )
    summary = build([open_source("phantom:1")], tmp_path / "mis-ground", settings)
    assert summary.out == tmp_path / "mis-ground"
    assert check_dataset(summary.out).ok
