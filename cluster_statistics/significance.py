"""McNemar's test of two runs on the same items, and Holm's correction for many tests."""

from collections.abc import Sequence
from math import inf, isfinite, nan

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats


def mcnemar(one: ArrayLike, other: ArrayLike) -> tuple[int, int, float]:
    """The exact McNemar test of two runs on the same items. It takes every item for a draw of its own.

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
