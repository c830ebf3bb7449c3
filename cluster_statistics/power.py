"""How likely a study finds a difference that is there, by clusters: for planning."""

from math import sqrt

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from cluster_statistics.intervals import LEVEL


def power(effect: float, spread: float, clusters: int) -> float:
    """The probability that a two-sided test at 5 % finds a mean difference.

    Each cluster's own mean difference counts as one normal draw around the effect; the test is Student's t over them.

    Args:
        effect: the true mean difference.
        spread: standard deviation of the clusters' mean differences: what clusters differ in and what chance adds.
        clusters: how many.
    """
    if clusters < 2:
        return 0.0
    if spread <= 0:
        return 1.0 if effect else 0.0
    degrees = clusters - 1
    critical = stats.t.ppf(0.5 + LEVEL / 2, degrees)
    shift = effect * sqrt(clusters) / spread
    found = stats.nct.sf(critical, degrees, shift) + stats.nct.cdf(-critical, degrees, shift)
    return float(np.clip(found, 0.0, 1.0))


def clusters_needed(effect: float, spread: float, wanted: float = 0.8, most: int = 100_000) -> int | None:
    """The fewest clusters with which a difference is found with a wanted probability; None if ``most`` are too few."""
    low, high = 2, 2
    while power(effect, spread, high) < wanted:
        low, high = high, 2 * high
        if high > most:
            return None
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if power(effect, spread, middle) >= wanted else (middle + 1, high)
    return high


def spread_of(differences: ArrayLike, clusters: ArrayLike) -> float:
    """The standard deviation of clusters' mean differences; 0 for fewer than two clusters.

    Args:
        differences: float[N], of each item.
        clusters: [N], the cluster of each item.
    """
    values = np.asarray(differences, dtype=np.float64)
    _, codes = np.unique(np.asarray(clusters), return_inverse=True)
    means = np.bincount(codes, weights=values) / np.bincount(codes)
    return float(np.std(means, ddof=1)) if len(means) > 1 else 0.0
