"""Tests of the tasks with models that always say the same, or what is right."""

from pathlib import Path

import pytest
from inspect_ai import Task
from inspect_ai import eval as run
from inspect_ai.log import EvalLog
from inspect_ai.model import (
    ContentImage,
    ContentText,
    ModelOutput,
    ModelUsage,
    get_model,
)
from inspect_ai.scorer import SampleScore, Score
from lm_eval_tasks.export.benchmark import Benchmark

from mis_ground import mis_ground
from mis_ground.mis_ground import FOLDER, median, pair_acc, record_to_sample


def metrics(log: EvalLog) -> dict[str, dict[str, float]]:
    """The metrics of each score of a run that succeeded."""
    assert log.status == "success"
    assert log.results is not None
    return {
        score.name: {
            name.removeprefix("mis_ground/"): metric.value
            for name, metric in score.metrics.items()
        }
        for score in log.results.scores
    }


def asked(task: Task, replies: list[str], folder: Path) -> dict[str, dict[str, float]]:
    """The metrics of a run of the first questions, which get these replies."""
    outputs = [ModelOutput.from_content("mockllm/model", reply) for reply in replies]
    for output in outputs:
        output.usage = ModelUsage()  # or a tokenizer were fetched to count
    model = get_model("mockllm/model", custom_outputs=outputs)
    [log] = run(
        task,
        model=model,
        limit=len(replies),
        max_connections=1,
        log_dir=str(folder),
    )
    return metrics(log)


def test_a_reply_without_an_option_is_invalid(tmp_path: Path) -> None:
    found = asked(mis_ground(), ["I cannot see an image."] * 4, tmp_path)
    assert found["acc"]["mean"] == found["pair_acc"]["pair_acc"] == 0
    assert found["invalid"]["mean"] == 1


def test_right_answers_are_right(tmp_path: Path) -> None:
    task = mis_ground()
    found = asked(task, [str(sample.target) for sample in task.dataset[:4]], tmp_path)
    assert found["acc"]["mean"] == found["pair_acc"]["pair_acc"] == 1
    assert found["invalid"]["mean"] == 0


def test_a_sample_has_its_images_before_its_text() -> None:
    benchmark = Benchmark.of(FOLDER)
    for leaf in benchmark.choose("mis_ground"):
        for document in list(benchmark.documents(leaf))[:1]:
            [message] = record_to_sample(document, leaf.name, benchmark).input
            *images, text = message.content
            assert len(images) == len(document["images"])
            assert all(isinstance(image, ContentImage) for image in images)
            assert isinstance(text, ContentText)
            assert all(option in text.text for option in document["options"])


@pytest.mark.parametrize(
    ("right", "share"), [((1, 1), 1.0), ((1, 0), 0.0), ((0, 0), 0.0)]
)
def test_a_pair_is_right_if_both_are(right: tuple[int, int], share: float) -> None:
    about = {"task": "t", "pair_id": "p"}
    scores = [SampleScore(score=Score(value=v), sample_metadata=about) for v in right]
    assert pair_acc()(scores) == share


def test_the_median_is_the_middle() -> None:
    scores = [SampleScore(score=Score(value=value)) for value in (1, 9, 2)]
    assert median()(scores) == 2
