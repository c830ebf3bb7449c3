"""Intervals and tests for right and wrong answers that come in clusters.

Questions share volumes, and what makes one question about a volume hard makes the others hard too. Intervals that
count each question as a draw of its own are too narrow, so whatever is said here of items is said with the volume as
the unit that was drawn. All intervals are 95 % intervals.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, isfinite, nan, sqrt

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

LEVEL = 0.95
FEW_CLUSTERS = 10
"""Below so many clusters a bootstrap has too few different samples to draw; Student's t is used instead."""


@dataclass(frozen=True)
class Interval:
    """A number with its 95 % interval.

    ``method`` is ``wilson`` (each item a draw of its own), ``clustered wilson``, ``clustered t``, ``bootstrap``, or
    ``none`` where there is no interval (the bounds are NaN then).
    """

    value: float
    low: float
    high: float
    method: str

    def to_json(self) -> dict[str, float | str | None]:
        """As in ``report.json``: six decimals, None for what is not a number."""
        numbers = {"value": self.value, "low": self.low, "high": self.high}
        return {**{name: rounded(number) for name, number in numbers.items()}, "method": self.method}


def rounded(number: float) -> float | None:
    """Six decimals; None for NaN and infinity, which JSON does not know."""
    return round(float(number), 6) if isfinite(number) else None


def wilson(share: float, n: float) -> tuple[float, float]:
    """Wilson's score interval of a share of ``n`` items; ``n`` may be an effective number that is not whole."""
    z = stats.norm.ppf(0.5 + LEVEL / 2)
    middle = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    return max(0.0, middle - half), min(1.0, middle + half)


def clustered_variance(values: ArrayLike, clusters: ArrayLike) -> float:
    """Variance of a mean whose items come in clusters: the sum of products of residuals that share a cluster.

    Args:
        values: float[N].
        clusters: int[N], the cluster of each item.

    Returns:
        The variance with the factor G / (G - 1) for G clusters; NaN for one cluster.
    """
    sums, sizes = _totals(values, clusters)
    n, count = sizes.sum(), len(sizes)
    if count < 2:
        return nan
    residuals = sums - sizes * (sums.sum() / n)
    return float(count / (count - 1) * (residuals**2).sum() / n**2)


def proportion(values: ArrayLike, clusters: ArrayLike) -> Interval:
    """A share of items, as a Wilson interval at the effective number of items.

    The effective number is that of independent items with the same variance, corrected for the few degrees of freedom
    that G clusters leave (Korn and Graubard 1998, as in the presentation standards of the U.S. National Center for
    Health Statistics); it is never larger than the number of items, and equals it where all items agree. With
    one cluster it is the plain Wilson interval, which says nothing of other clusters.

    Args:
        values: 0 or 1, [N].
        clusters: int[N].
    """
    values = np.asarray(values, dtype=np.float64)
    n = len(values)
    if not n:
        return Interval(nan, nan, nan, "none")
    share = float(values.mean())
    count = len(np.unique(np.asarray(clusters)))
    if count < 2:
        return Interval(share, *wilson(share, n), method="wilson")
    binomial, variance = share * (1 - share), clustered_variance(values, clusters)
    effective = min(n, binomial / variance) if binomial > 0 and variance > 0 else float(n)
    effective *= (_t_quantile(n - 1) / _t_quantile(count - 1)) ** 2
    return Interval(share, *wilson(share, effective), method="clustered wilson")


@dataclass(frozen=True)
class Difference:
    """A mean difference with its interval and the p-value of there being none (NaN where it cannot be told)."""

    interval: Interval
    p: float


def mean_difference(differences: ArrayLike, clusters: ArrayLike) -> Difference:
    """Mean of paired differences, with Student's t over the clusters.

    Args:
        differences: float[N].
        clusters: int[N].
    """
    differences = np.asarray(differences, dtype=np.float64)
    if not len(differences):
        return Difference(Interval(nan, nan, nan, "none"), nan)
    mean = float(differences.mean())
    count = len(np.unique(np.asarray(clusters)))
    if count < 2:
        return Difference(Interval(mean, nan, nan, "none"), nan)
    error = sqrt(clustered_variance(differences, clusters))
    half = _t_quantile(count - 1) * error
    p = 2 * float(stats.t.sf(abs(mean) / error, count - 1)) if error > 0 else (1.0 if mean == 0 else nan)
    return Difference(Interval(mean, mean - half, mean + half, "clustered t"), p)


def bootstrap_means(
    values: ArrayLike, clusters: ArrayLike, members: NDArray[np.bool_], resamples: int = 4000, seed: int = 0
) -> NDArray[np.float64]:
    """Percentile bootstrap intervals of the means of many groups of items at once, drawing whole clusters.

    All groups are looked at in the same draws. A draw that has no item of a group says nothing about that group.

    Args:
        values: float[N].
        clusters: int[N].
        members: bool[K, N]: which items are in each group.
        resamples: number of draws.
        seed: of the bootstrap's own generator.

    Returns:
        float[K, 2]: low and high.
    """
    values = np.asarray(values, dtype=np.float64)
    _, codes = np.unique(np.asarray(clusters), return_inverse=True)
    count = int(codes.max()) + 1
    sums, sizes = np.zeros((count, len(members))), np.zeros((count, len(members)))
    for group, mask in enumerate(members):
        sums[:, group] = np.bincount(codes[mask], weights=values[mask], minlength=count)
        sizes[:, group] = np.bincount(codes[mask], minlength=count)
    # How often each cluster is drawn is all that counts, not in which order.
    drawn = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), size=resamples)
    drawn_sizes = drawn @ sizes
    with np.errstate(invalid="ignore"):
        means = np.where(drawn_sizes > 0, (drawn @ sums) / drawn_sizes, nan)
    return np.nanquantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0).T


def mcnemar(one: ArrayLike, other: ArrayLike) -> tuple[int, int, float]:
    """The exact McNemar test of two runs on the same items.

    Args:
        one: whether each item was right in the first run, [N].
        other: the same in the second run.

    Returns:
        Number of items right only in the first, right only in the second, and the two-sided p-value.
    """
    first, second = np.asarray(one, dtype=bool), np.asarray(other, dtype=bool)
    lost, won = int((first & ~second).sum()), int((~first & second).sum())
    p = float(stats.binomtest(won, lost + won, 0.5).pvalue) if lost + won else 1.0
    return lost, won, p


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down adjustment of p-values for having made many tests.

    A NaN is no test: it stays, and does not count among them.
    """
    tested = [i for i, p in enumerate(p_values) if isfinite(p)]
    adjusted = [nan] * len(p_values)
    largest = -inf
    for rank, i in enumerate(sorted(tested, key=lambda i: p_values[i])):
        largest = max(largest, min(1.0, (len(tested) - rank) * p_values[i]))
        adjusted[i] = largest
    return adjusted


def _totals(values: ArrayLike, clusters: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Sum of the values and number of items of each cluster."""
    _, codes = np.unique(np.asarray(clusters), return_inverse=True)
    sums = np.bincount(codes, weights=np.asarray(values, dtype=np.float64))
    return sums.astype(np.float64), np.bincount(codes).astype(np.float64)


def _t_quantile(degrees: int) -> float:
    return float(stats.t.ppf(0.5 + LEVEL / 2, degrees))
