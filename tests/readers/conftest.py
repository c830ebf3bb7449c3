"""One small data set with questions of every kind, and the page of all of them."""

import pyarrow.parquet as pq
import pytest

from dataset_builder.building.builder import build
from dataset_builder.core.factors import ANSWER_TYPES, INPUTS, VIEWS
from dataset_builder.core.settings import Settings
from dataset_builder.readers.page import write_reader_page
from dataset_builder.sources import open_source

SETTINGS = Settings(
    seed=3,
    planes=("axial", "sagittal"),
    image_size=128,
    answer_types=ANSWER_TYPES,
    questions_per_volume=40,
    stack_size=4,
    stack_questions_per_volume=8,
    locate_questions_per_volume=8,
    measure_questions_per_volume=8,
)


@pytest.fixture(scope="session")
def ground(tmp_path_factory):
    folder = tmp_path_factory.mktemp("readers") / "mis-ground"
    build([open_source("phantom:2")], folder, SETTINGS)
    return folder


@pytest.fixture(scope="session")
def rows(ground):
    found = [row for path in sorted((ground / "data").rglob("*.parquet")) for row in pq.read_table(path).to_pylist()]
    return {row["id"]: row for row in found}


@pytest.fixture(scope="session")
def whole_page(ground, tmp_path_factory):
    """A page with many questions of every kind, controls too."""
    out = tmp_path_factory.mktemp("page") / "reader.html"
    return write_reader_page(ground, out, 90, "", 1, inputs=INPUTS, views=VIEWS)
