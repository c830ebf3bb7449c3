"""MIS-Ground for lmms-eval: what the task files name.

The rows, the prompts and the reader of answers are those of the package ``mis-ground``, so that scores agree with those of lm-evaluation-harness, question by question.
"""

# SPDX-License-Identifier: Apache-2.0

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from lm_eval_tasks.export.benchmark import cluster_of, opened_once, score
from lm_eval_tasks.mis_ground.metrics import median, pair_acc

__all__ = ["doc_to_text", "doc_to_visual", "mean_acc", "median", "no_images", "pair_acc", "process_results"]

FOLDER = str(Path(__file__).parent)


def __getattr__(name: str) -> Callable[[Any], Any]:
    """``process_docs`` of the task of that name: its rows of the whole data set, whole pairs side by side."""
    if not name.startswith(("mis_ground_", "blind_mis_ground_")):
        raise AttributeError(name)

    def process_docs(dataset: Any) -> Any:
        # Images are read from the data set when they are asked for: a column of them would be decoded on every access.
        return dataset.select(opened_once(FOLDER).rows_of(name, dataset["id"])).remove_columns("images")

    return process_docs


def doc_to_text(doc: dict[str, Any], lmms_eval_specific_kwargs: dict[str, Any] | None = None) -> str:
    """The text that follows the images."""
    benchmark = opened_once(FOLDER)
    return benchmark.prompt(benchmark.document(doc["id"]))


def doc_to_visual(doc: dict[str, Any]) -> list[Any]:
    """The images of the question, in order."""
    return [image.convert("RGB") for image in opened_once(FOLDER).document(doc["id"])["images"]]


def no_images(doc: dict[str, Any]) -> list[Any]:
    """Of the tasks that hold the images back."""
    return []


def process_results(doc: dict[str, Any], results: list[str]) -> dict[str, Any]:
    """The scores of a reply; the accuracy with the volume, or patient, that it is clustered by."""
    document = opened_once(FOLDER).document(doc["id"])
    scores = score(document, results[0])
    return scores | {"acc": {"score": scores["acc"], "cluster": cluster_of(document)}}


def mean_acc(items: Iterable[dict[str, Any]]) -> float:
    """The mean of the accuracies."""
    scores = [item["score"] for item in items]
    return sum(scores) / len(scores)
