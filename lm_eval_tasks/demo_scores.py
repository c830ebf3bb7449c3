"""Shares and means of the demo's samples."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cluster_statistics import Interval


def share(values: Sequence[float], samples: Sequence[Mapping[str, Any]]) -> "Interval":
    """A share of samples, with its interval by volume."""
    from cluster_statistics import proportion
    from lm_eval_tasks.report.items import by_volume, codes, fact, patient

    volumes, facts = (codes([of(sample["doc"]) for sample in samples]) for of in (patient, fact))
    return proportion(values, *by_volume(volumes, facts))


def mean(values: Sequence[float]) -> float:
    """Of no value it is not a number."""
    return sum(values) / len(values) if values else float("nan")
