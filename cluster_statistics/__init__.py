"""Intervals and p-values for answers that come in clusters: of one volume, say. Knows nothing of any data set.

``intervals`` has shares and mean differences with Student's t by cluster; ``significance`` McNemar's test and Holm's
correction; ``power`` what a study of so many clusters can find, ``planning`` what intervals and differences to expect.
docs/statistics.md says why these were chosen, and how often they are right.
"""

from cluster_statistics.intervals import (
    FEW_CLUSTERS,
    LEVEL,
    Difference,
    Interval,
    mean_difference,
    paired_difference,
    proportion,
    rounded,
)
from cluster_statistics.power import clusters_needed, power, spread_of
from cluster_statistics.significance import holm, mcnemar

__all__ = [
    "FEW_CLUSTERS",
    "LEVEL",
    "Difference",
    "Interval",
    "clusters_needed",
    "holm",
    "mcnemar",
    "mean_difference",
    "paired_difference",
    "power",
    "proportion",
    "rounded",
    "spread_of",
]
