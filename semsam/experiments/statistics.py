"""Paired comparison of two decodings of the same items, with intervals that respect which items belong together."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Difference:
    """A mean difference and its 95 % interval."""

    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{100 * self.mean:+.1f} ({100 * self.low:+.1f} to {100 * self.high:+.1f})"


def paired_difference(
    plain: Sequence[float],
    other: Sequence[float],
    clusters: Sequence[str],
    resamples: int = 5000,
    seed: int = 0,
) -> Difference:
    """Mean of ``other - plain`` over items, with a percentile bootstrap interval over whole clusters.

    Items of one cluster (the two of a pair, all of a volume) share what makes them easy or hard; drawing items one by
    one would make the interval too narrow.

    Args:
        plain: score of each item under plain decoding.
        other: score of the same items under the other decoding.
        clusters: name of the cluster that each item belongs to.
        resamples: bootstrap samples.
        seed: of the bootstrap's own generator.

    Raises:
        ValueError: if the three are empty or differ in length.
    """
    if not len(plain) == len(other) == len(clusters) or not len(plain):
        raise ValueError(
            f"Paired scores must be as many as their clusters, and at least one: "
            f"{len(plain)}, {len(other)}, {len(clusters)} were given."
        )
    difference = np.asarray(other, dtype=np.float64) - np.asarray(plain, dtype=np.float64)
    _, cluster = np.unique(np.asarray(clusters, dtype=object).astype(str), return_inverse=True)
    sums = np.bincount(cluster, weights=difference).astype(np.float64)
    sizes = np.bincount(cluster).astype(np.float64)
    means = _resampled_means(sums, sizes, resamples, np.random.default_rng(seed))
    low, high = np.quantile(means, [0.025, 0.975])
    return Difference(float(difference.mean()), float(low), float(high))


def _resampled_means(
    sums: NDArray[np.float64], sizes: NDArray[np.float64], resamples: int, generator: np.random.Generator
) -> NDArray[np.float64]:
    """[resamples] item means, each over as many clusters drawn with replacement as there are."""
    count = len(sums)
    means = np.empty(resamples)
    for number in range(resamples):
        drawn = generator.integers(count, size=count)
        means[number] = sums[drawn].sum() / sizes[drawn].sum()
    return means
