"""What intervals and tests to expect of so many items in so many clusters, before anything is measured.

The formulas are those of :mod:`cluster_statistics.intervals`, with expected variances in place of estimated ones. What
items of a cluster have in common is one number, the intraclass correlation: the part of the items' variance that lies
between clusters. It is measured (:func:`clustering`) or assumed. ``python -m tests.benchmarks.power`` holds
these forecasts to simulations.
"""

from dataclasses import dataclass
from math import nan, sqrt

import numpy as np
from numpy.typing import ArrayLike
from scipy import optimize, stats

from cluster_statistics.intervals import LEVEL, Floats, Interval, degrees_of_freedom, totals

WANTED_POWER = 0.8
"""A difference "can be seen" if a test at 5 % finds it this often."""


@dataclass(frozen=True)
class Clustering:
    """How a measurement varies between items and between clusters.

    Args:
        mean: of the items.
        spread: variance of the items.
        correlation: intraclass correlation; NaN for fewer than two clusters, or clusters of one item each.
        items, clusters: from how many.
    """

    mean: float
    spread: float
    correlation: float
    items: int
    clusters: int


def clustering(values: ArrayLike, clusters: ArrayLike) -> Clustering:
    """The intraclass correlation of a measurement, by the analysis of variance for clusters of unequal sizes.

    A negative estimate, which chance gives where clusters do not differ, counts as 0.

    Args:
        values: float[N], of each item.
        clusters: [N], the cluster of each item.
    """
    found = np.asarray(values, dtype=np.float64)
    if not len(found):
        return Clustering(nan, nan, nan, 0, 0)
    sums, squares, sizes = totals(found, clusters)
    n, groups = len(found), len(sizes)
    mean, spread = float(found.mean()), float(found.var())
    if not 1 < groups < n:
        return Clustering(mean, spread, nan, n, groups)
    between = float((sizes * (sums / sizes - mean) ** 2).sum()) / (groups - 1)
    within = float((squares - sums**2 / sizes).sum()) / (n - groups)
    typical = (n - float((sizes**2).sum()) / n) / (groups - 1)
    whole = between + (typical - 1) * within
    correlation = float(np.clip((between - within) / whole, 0.0, 1.0)) if whole > 0 else 0.0
    return Clustering(mean, spread, correlation, n, groups)


def design_effect(sizes: ArrayLike, correlation: float) -> float:
    """So many times as many items are needed as if they were independent.

    Args:
        sizes: of the clusters, float[G].
        correlation: intraclass correlation.
    """
    counts = np.asarray(sizes, dtype=np.float64)
    return float(1 + ((counts**2).sum() / counts.sum() - 1) * correlation)


def expected_interval(mean: float, sizes: ArrayLike, correlation: float, unit: str = "volume") -> Interval:
    """The interval of a share that is to be expected; without bounds for fewer than two clusters.

    Args:
        mean: the share.
        sizes: items of each cluster, float[G].
        correlation: intraclass correlation of the items.
        unit: what a cluster is.
    """
    counts = np.asarray(sizes, dtype=np.float64)
    if len(counts) < 2:
        return Interval(mean, nan, nan, "none", len(counts))
    spread = mean * (1 - mean)
    # As many more items as the interval itself adds, so that a share of 0 or 1 has a width, too.
    n = counts.sum()
    middle = (mean * n + 1) / (n + 2)
    relative = design_effect(counts, correlation) / n if spread else 1 / (n * middle * (1 - middle) * (n + 2))
    reach = _critical(counts, max(spread, 1e-9), correlation)[0] ** 2 * relative
    centre = (mean + reach / 2) / (1 + reach)
    half = sqrt(reach * (spread + reach / 4)) / (1 + reach)
    return Interval(mean, max(0.0, centre - half), min(1.0, centre + half), f"t by {unit}", len(counts))


def power_of_difference(difference: float, discordant: float, sizes: ArrayLike, correlation: float) -> float:
    """How often a test at 5 % finds a paired difference of two shares.

    Args:
        difference: the true one, of the items that are answered twice.
        discordant: share of the items whose two outcomes differ; at least the difference itself.
        sizes: items of each cluster, float[G].
        correlation: intraclass correlation of the items' differences.
    """
    counts = np.asarray(sizes, dtype=np.float64)
    spread = max(discordant, abs(difference)) - difference**2
    if len(counts) < 2:
        return 0.0
    if spread <= 0:
        return 1.0 if difference else 0.0
    error = sqrt(spread * design_effect(counts, correlation) / counts.sum())
    critical, degrees = _critical(counts, spread, correlation)
    shift = abs(difference) * sqrt(max(0.0, 1 - difference**2)) / error  # the variance is taken as it is at the bounds
    found = stats.nct.sf(critical, degrees, shift) + stats.nct.cdf(-critical, degrees, shift)
    return float(np.clip(np.nan_to_num(found, nan=1.0), 0.0, 1.0))


def detectable_difference(
    discordant: float, sizes: ArrayLike, correlation: float, wanted: float = WANTED_POWER
) -> float | None:
    """The least paired difference of two shares that a test at 5 % finds as often as wanted; None if none is.

    Args:
        discordant: share of the items whose two outcomes differ.
        sizes: items of each cluster, float[G].
        correlation: intraclass correlation of the items' differences.
        wanted: power.
    """

    def lacking(difference: float) -> float:
        return power_of_difference(difference, discordant, sizes, correlation) - wanted

    most = 0.7  # beyond it the test, whose variance shrinks toward the bounds, gains nothing
    if lacking(most) < 0:
        return None
    return float(optimize.brentq(lacking, 1e-9, most, xtol=1e-6))


def resized(sizes: ArrayLike, clusters: int, per_cluster: float | None = None) -> Floats:
    """So many clusters whose sizes differ as those of the given ones do: float[G].

    Args:
        sizes: float[G'], of which the new ones are the quantiles.
        clusters: how many.
        per_cluster: mean size; that of the given ones if None.
    """
    given = np.asarray(sizes, dtype=np.float64)
    own = clusters == len(given)
    drawn = np.sort(given) if own else np.quantile(given, (np.arange(clusters) + 0.5) / clusters)
    drawn *= (given.mean() if per_cluster is None else per_cluster) / drawn.mean()
    return np.maximum(1.0, np.round(drawn))


def _critical(sizes: Floats, spread: float, correlation: float) -> tuple[float, float]:
    """Student's t that bounds 95 %, and its degrees of freedom."""
    degrees = float(degrees_of_freedom(sizes[None], np.array([spread]), np.array([spread * correlation]))[0])
    return float(stats.t.ppf(0.5 + LEVEL / 2, degrees)), degrees
