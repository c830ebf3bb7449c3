from pathlib import Path

import pytest

from dataset_builder.building.builder import build
from dataset_builder.check import check_dataset, findings
from dataset_builder.core.settings import Settings
from dataset_builder.sources import open_source
from tests.helpers.defects import break_copy

SMALL = Settings(
    slices_per_volume=3,
    questions_per_volume=160,
    stack_size=6,
    stack_questions_per_volume=40,
    image_size=128,
    answer_types=("choice",),
)


@pytest.fixture(scope="session")
def ground(tmp_path_factory) -> Path:
    """A small data set of a torso and a knee."""
    out = tmp_path_factory.mktemp("audited") / "mis-ground"
    build([open_source("phantom:2")], out, SMALL)
    return out


@pytest.fixture(scope="session")
def every_example():
    """All places of a violation are listed, not the first few."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(findings, "EXAMPLES", 10_000)
        yield


@pytest.fixture(scope="session")
def sound(ground, every_example):
    """The audit of the data set as it was built."""
    return check_dataset(ground)


@pytest.fixture(scope="session")
def broken(ground, every_example, tmp_path_factory):
    """A copy with one of every defect, as (folder, what was broken by name, its audit)."""
    folder = tmp_path_factory.mktemp("broken") / "mis-ground"
    made = break_copy(ground, folder)
    return folder, made, check_dataset(folder)
