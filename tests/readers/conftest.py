"""One small data set with questions of every kind, pages of it, and the small model's answers."""

import hashlib

import cv2
import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from dataset_builder.building.builder import build
from dataset_builder.core.factors import ANSWER_TYPES, INPUTS, VIEWS
from dataset_builder.core.settings import Settings
from dataset_builder.readers.answers import item_id
from dataset_builder.readers.page import write_reader_page
from dataset_builder.sources import open_source
from lm_eval_tasks.mis_ground.utils import doc_to_text
from tests.helpers.harness_files import write_run
from tests.helpers.reader_page import page_data

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


@pytest.fixture(scope="session")
def page(ground, tmp_path_factory):
    """Forty questions."""
    return write_reader_page(ground, tmp_path_factory.mktemp("forty") / "reader.html", 40, "", 2)


@pytest.fixture(scope="session")
def twelve(ground, tmp_path_factory):
    """Twelve questions for Dr. A."""
    return write_reader_page(ground, tmp_path_factory.mktemp("twelve") / "reader.html", 12, "Dr. A", 7)


def rows_on(page, rows):
    by_item = {item_id(identity): row for identity, row in rows.items()}
    return {item["id"]: by_item[item["id"]] for item in page_data(page.out)["items"]}


@pytest.fixture(scope="session")
def asked(page, rows):
    """The rows of the forty questions, by the page's names for them."""
    return rows_on(page, rows)


@pytest.fixture(scope="session")
def small_model(rows, asked, twelve, tmp_path_factory):
    """The small model's own answers to the questions about slices with options, as the harness writes them."""
    from lm_eval_tasks import small_vlm
    from lm_eval_tasks.small_vlm.training.held_out import Reader

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    either = {row["id"]: row for row in [*asked.values(), *rows_on(twelve, rows).values()]}
    plain = [row for row in either.values() if row["input"] == "slice" and row["answer_type"] == "choice"]
    prompts = [doc_to_text({"images": [None], "question": row["question"], "options": ()}) for row in plain]
    images = [cv2.imdecode(np.frombuffer(row["images"][0]["bytes"], np.uint8), cv2.IMREAD_COLOR_RGB) for row in plain]
    replies = Reader(small_vlm.model_folder())._replies(prompts, lambda number: images[number])
    torch.set_num_threads(threads)
    by_id = dict(zip((row["id"] for row in plain), replies, strict=True))
    folder = tmp_path_factory.mktemp("results")
    write_run(
        folder,
        [{key: value for key, value in row.items() if key != "images"} for row in plain],
        lambda row: str(by_id[row["id"]]),
        model_args={"pretrained": "mis-ground-small"},
        images=lambda row: [hashlib.sha256(rows[row["id"]]["images"][0]["bytes"]).hexdigest()],
    )
    return folder
