"""Tests of shares that respect which rows belong together, and keep quiet about small numbers.

A share is tested against what it should be by the sums of deviations within clusters (rows that one draw decided
together): under the null hypothesis these are independent and centred on zero. A pair whose two rows deviate in
opposite ways adds nothing. Several tests are corrected together by Holm's method.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import norm

from cluster_statistics import holm as holm

ALPHA = 0.01
"""Probability of one false alarm or more in a family of tests."""
MIN_EFFECT = 0.02
"""A smaller deviation of a share is no violation, however certain it is."""


@dataclass(frozen=True)
class Share:
    """A share of rows and what it should be.

    Args:
        rows, clusters: how many it was measured on.
        value, expected: measured, and under the null hypothesis; between 0 and 1.
        error: standard error.
        p: probability of such a deviation, or a larger one in either direction, under the null hypothesis.
    """

    rows: int
    clusters: int
    value: float
    expected: float
    error: float
    p: float

    @property
    def deviation(self) -> float:
        """Measured less expected."""
        return self.value - self.expected


def by_cluster(deviations: npt.ArrayLike, clusters: Sequence[Hashable]) -> npt.NDArray[np.float64]:
    """Sums of deviations within clusters [number of clusters]."""
    number = {cluster: i for i, cluster in enumerate(dict.fromkeys(clusters))}
    sums = np.zeros(len(number))
    np.add.at(sums, [number[cluster] for cluster in clusters], np.asarray(deviations, np.float64))
    return sums


def share(values: npt.ArrayLike, expected: npt.ArrayLike, clusters: Sequence[Hashable]) -> Share:
    """Test a share against its expectation.

    Args:
        values: [N] 0 or 1, or a credit between.
        expected: [N] or one number, its mean under the null hypothesis.
        clusters: [N] what one draw decided together.
    """
    values = np.asarray(values, np.float64)
    wanted = np.broadcast_to(np.asarray(expected, np.float64), values.shape)
    sums = by_cluster(values - wanted, clusters)
    sums[np.abs(sums) < 1e-9] = 0
    spread = float(np.sqrt((sums**2).sum()))
    p = 1.0
    if spread > 0:
        # With few clusters the normal tail is too thin: of so many signs, that all agree is not rarer than this.
        p = max(2 * float(norm.sf(abs(sums.sum()) / spread)), 2.0 ** (1 - np.count_nonzero(sums)))
    return Share(len(values), len(sums), float(values.mean()), float(wanted.mean()), spread / len(values), min(1.0, p))


def accuracy(credit: npt.ArrayLike, chance: npt.ArrayLike, volumes: Sequence[Hashable]) -> Share:
    """An accuracy with its standard error by volume, tested against chance.

    The error is the cluster-robust one over volumes, or the binomial one where that is larger: of two or three volumes
    the first says little.

    Args:
        credit: [N] 1 for a right answer, 0 for a wrong one, between for a choice among equals.
        chance: [N] 1 / number of options.
    """
    credit = np.asarray(credit, np.float64)
    wanted = np.broadcast_to(np.asarray(chance, np.float64), credit.shape)
    rows = len(credit)
    binomial = float(np.sqrt((wanted * (1 - wanted)).sum())) / rows
    sums = by_cluster(credit - credit.mean(), volumes)
    groups = len(sums)
    robust = float(np.sqrt((sums**2).sum() * groups / (groups - 1))) / rows if groups > 1 else 0.0
    error = max(robust, binomial)
    deviation = float(credit.mean() - wanted.mean())
    p = 2 * float(norm.sf(abs(deviation) / error)) if abs(deviation) > 1e-9 else 1.0
    return Share(rows, groups, float(credit.mean()), float(wanted.mean()), error, p)
