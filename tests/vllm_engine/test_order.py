"""The order of questions in a real engine: what its prefix cache finds, and the same answers as before."""

import pytest

from dataset_builder.building.builder import build
from dataset_builder.core.settings import Settings
from dataset_builder.sources import open_source
from tests.benchmarks.prefix_cache import Engine, compare
from tests.helpers.tiny_models import save_tiny_qwen3_vl
from tests.vllm_engine.engines import stop

MANY_QUESTIONS = Settings(
    slices_per_volume=4,
    questions_per_volume=80,
    stack_questions_per_volume=24,
    stack_size=4,
    inputs=("slice", "stack"),
    views=("plain",),
)


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    folder = tmp_path_factory.mktemp("order")
    ground = build([open_source("phantom:2")], folder / "ground", MANY_QUESTIONS).out
    model = save_tiny_qwen3_vl(folder / "qwen3-vl", image_size=256)
    engine = Engine(model, cached_tokens=8192, context=2048)
    try:
        yield compare(engine, ground, ["mis_ground_*"])
    finally:
        stop(engine.lm.model)


def test_hardly_more_is_computed_than_must_be(compared):
    ours, theirs = compared["by_image"], compared["sorted_by_length"]
    assert ours["computed/floor"] <= 1.1 < theirs["computed/floor"]
    assert ours["images_encoded"] < theirs["images_encoded"]


def test_answers_and_scores_stay(compared):
    assert compared["different_answers"] == 0
    assert compared["same_scores"]
