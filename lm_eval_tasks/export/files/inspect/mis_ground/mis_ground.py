"""MIS-Ground: spatial grounding in CT and MRI.

The rows, the prompts and the reader of answers are those of the package ``mis-ground``,
so that scores agree with those of lm-evaluation-harness, question by question.

# run the headline questions
inspect eval mis_ground/mis_ground --model openai/gpt-4o

# one kind of question, in the coordinates that the model was trained with
inspect eval mis_ground/mis_ground_locate -T coordinates=norm1000 --model ...
"""

# SPDX-License-Identifier: Apache-2.0

import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from inspect_ai import Task, task
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.model import (
    ChatMessageUser,
    Content,
    ContentImage,
    ContentText,
    GenerateConfig,
)
from inspect_ai.scorer import (
    Metric,
    SampleScore,
    Score,
    Scorer,
    Target,
    Value,
    grouped,
    mean,
    metric,
    scorer,
    stderr,
)
from inspect_ai.solver import TaskState, generate
from lm_eval_tasks.export.benchmark import (
    Benchmark,
    Document,
    cluster_of,
    score,
    without_images,
)
from lm_eval_tasks.export.images import image_file
from lm_eval_tasks.generate import TASK_VERSION
from lm_eval_tasks.mis_ground.metrics import MEDIANS, PLACE_METRICS, read_reply
from lm_eval_tasks.mis_ground.metrics import pair_acc as share_of_pairs
from lm_eval_tasks.mis_ground.replies import Reply

FOLDER = Path(__file__).parent
COMMON = ("acc", "pair_acc", "invalid", "refused", "truncated", "unread")
REASONS = {"refused": "refusal", "unread": "invalid_response_format"}


@task
def mis_ground(
    tasks: str = "mis_ground",
    dataset: str | None = None,
    style: str | None = None,
    letters: bool | None = None,
    stack: str | None = None,
    coordinates: str | None = None,
) -> Task:
    """The headline: where is A from B, on slices and across stacks of slices.

    Args:
        tasks: Which questions: a group, tag, task or pattern of mis-ground's,
            or several separated by commas.
        dataset: Folder or Hub id of the data set, if not that of settings.yaml.
        style: ``direct``, ``reasoning`` or ``native``.
        letters: Whether options are lettered and the letter is asked for.
        stack: ``images`` or ``sheet`` (all images of a stack on one).
        coordinates: Form in which points and boxes are written, such as
            ``norm1000``.
    """
    return _task(tasks, dataset, style, letters, stack, coordinates)


@task
def mis_ground_controls(
    tasks: str = "mis_ground_blank_*,mis_ground_view_*,"
    "mis_ground_statement_*,mis_ground_options_*",
    dataset: str | None = None,
    style: str | None = None,
    letters: bool | None = None,
    stack: str | None = None,
    coordinates: str | None = None,
) -> Task:
    """Controls: blank canvas, other images, other ways to ask and list options."""
    return _task(tasks, dataset, style, letters, stack, coordinates)


@task
def mis_ground_locate(
    tasks: str = "mis_ground_locate_*",
    dataset: str | None = None,
    style: str | None = None,
    letters: bool | None = None,
    stack: str | None = None,
    coordinates: str | None = None,
) -> Task:
    """Questions that ask for a point or a box."""
    return _task(tasks, dataset, style, letters, stack, coordinates)


@task
def mis_ground_measure(
    tasks: str = "measure_mis_ground",
    dataset: str | None = None,
    style: str | None = None,
    letters: bool | None = None,
    stack: str | None = None,
    coordinates: str | None = None,
) -> Task:
    """Questions that ask for a length, an angle or a ratio."""
    return _task(tasks, dataset, style, letters, stack, coordinates)


@task
def mis_ground_blind(
    tasks: str = "blind_mis_ground",
    dataset: str | None = None,
    style: str | None = None,
    letters: bool | None = None,
    stack: str | None = None,
    coordinates: str | None = None,
) -> Task:
    """The text baseline: the same questions without their images."""
    return _task(tasks, dataset, style, letters, stack, coordinates)


def _task(tasks: str, dataset: str | None, *settings: Any) -> Task:
    names = ("style", "letters", "stack", "coordinates")
    given = dict(zip(names, settings, strict=True))
    benchmark = Benchmark.of(FOLDER, dataset=dataset, **given)
    chosen = benchmark.choose(tasks)
    kinds = sorted({leaf.answer_type for leaf in chosen})
    return Task(
        dataset=MemoryDataset(
            [
                record_to_sample(document, leaf.name, benchmark)
                for leaf in chosen
                for document in benchmark.documents(leaf)
            ],
            name="mis-ground",
            location=benchmark.place,
        ),
        solver=generate(),
        scorer=answer_reader(kinds),
        config=GenerateConfig(temperature=0.0, max_tokens=benchmark.budget(chosen)),
        version=f"{TASK_VERSION:g}",
        metadata={**benchmark.facts()},
    )


def record_to_sample(
    document: Document, task_name: str, benchmark: Benchmark
) -> Sample:
    """A question: its images in order, then its text."""
    images = [
        ContentImage(image=str(image_file(i))) for i in document.get("images", [])
    ]
    content: list[Content] = [*images, ContentText(text=benchmark.prompt(document))]
    about = {"task": task_name, "cluster": cluster_of(document)}
    return Sample(
        id=f"{task_name}/{document['id']}",
        input=[ChatMessageUser(content=content)],
        target=document["answer"],
        metadata=without_images(document) | about,
    )


@metric
def pair_acc() -> Metric:
    """The share of pairs (A from B, and B from A) of which both are right."""

    def compute(scores: list[SampleScore]) -> float:
        pairs = []
        for each in scores:
            about = each.sample_metadata or {}
            pair = f"{about['task']}/{about['pair_id']}" if about["pair_id"] else ""
            pairs.append((pair, each.score.as_float() == 1))
        return share_of_pairs(pairs)

    return compute


@metric
def stderr_by_volume() -> Metric:
    """The standard error by volume or patient; NaN of a single one: it gives none."""
    clustered = stderr(cluster="cluster")

    def compute(scores: list[SampleScore]) -> Value:
        clusters = {(each.sample_metadata or {}).get("cluster") for each in scores}
        return clustered(scores) if len(clusters) > 1 else float("nan")

    return compute


@metric
def median() -> Metric:
    """The middle of all values."""

    def compute(scores: list[SampleScore]) -> float:
        values = [each.score.as_float() for each in scores]
        return statistics.median(values) if values else float("nan")

    return compute


def metrics_of(kinds: Sequence[str]) -> dict[str, list[Metric]]:
    """The metrics of each score, by what is asked for."""
    by_name: dict[str, list[Metric]] = {
        "acc": [
            mean(),
            stderr_by_volume(),
            grouped(mean(), "terminology", all=False),
        ],
        "pair_acc": [pair_acc()],
    }
    places = [name for kind in kinds for name in PLACE_METRICS.get(kind, ())]
    for name in (*COMMON[2:], *places):
        by_name[name] = [median() if name in MEDIANS else mean()]
    return by_name


def answer_reader(kinds: Sequence[str]) -> Scorer:
    """The scorer: what the reply says, and how good that is."""
    metrics = metrics_of(kinds)

    @scorer(metrics=metrics, name="mis_ground")
    def reader() -> Scorer:
        async def score_reply(state: TaskState, target: Target) -> Score:
            document = state.metadata
            stopped, reply = state.output.stop_reason, state.output.completion
            found = read_reply(document, Reply(reply, stopped))
            scores = score(document, reply, stopped)
            if "pair_acc" in scores:
                scores["pair_acc"] = float(scores["pair_acc"][1])
            unread = found.option is None
            return Score(
                # A score that has no meaning here is NaN, which Inspect leaves out.
                value={name: scores.get(name, float("nan")) for name in metrics},
                answer=found.option,
                explanation=f"{reply}\n\nread as: {found.option} ({found.stage})",
                reason=REASONS.get(found.status) if unread else None,
                metadata={"status": found.status, "stage": found.stage},
            )

        return score_reply

    return reader()
