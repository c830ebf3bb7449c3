"""Shares and mean differences with 95 % intervals and p-values by cluster.

Questions share volumes, and what makes one question about a volume hard makes the others hard too. Whatever is said of
questions is therefore said with the volume as the unit that was drawn: the variance of a mean is that between clusters
(CR2, Bell and McCaffrey 2002), and Student's t has as many degrees of freedom as clusters of these sizes leave
(Satterthwaite's approximation).

What is measured has bounds: a share lies between 0 and 1, a difference of two shares between -1 and 1. The variance
shrinks toward the bounds as that of a share does (Wilson's score interval), so no interval reaches beyond them. A
p-value is that of the same statistic: it is below 0.05 if and only if the 95 % interval leaves out zero.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite, nan

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

LEVEL = 0.95

FEW_CLUSTERS = 5
"""An interval from fewer clusters is shown with a warning: it is wide, and its coverage depends on what is measured."""

FLOOR = 0.25
"""No mean is taken for surer than four times as many independent items would make it.

Clusters may agree by chance, the more easily the fewer they are; without a floor three volumes with the same share
would give an interval without width. Simulated, this floor does not move the coverage of eight or more clusters.
"""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Interval:
    """A number with its 95 % interval.

    Args:
        value: the number; NaN if there is none.
        low: NaN where there is no interval.
        high: NaN where there is no interval.
        method: ``t by volume``, or by whatever the clusters are; ``none`` where there is no interval.
        clusters: from how many.
    """

    value: float
    low: float
    high: float
    method: str
    clusters: int

    @property
    def few(self) -> bool:
        """Whether it comes from so few clusters that it must be shown with a warning."""
        return self.clusters < FEW_CLUSTERS

    def to_json(self) -> dict[str, float | int | str | None]:
        """As in ``report.json``: six decimals, None for what is not a number."""
        numbers = {"value": self.value, "low": self.low, "high": self.high}
        shown = {name: rounded(number) for name, number in numbers.items()}
        return {**shown, "method": self.method, "clusters": self.clusters}

    def per_cent(self, signed: bool = False, digits: int = 1) -> str:
        """As in ``61.2 (57.0-65.3)``; signed as in ``+5.1 (-1.0 to +11.5)``; with a † where it is of few clusters."""
        if not isfinite(self.value):
            return "-"
        sign, to = ("+", " to ") if signed else ("", "-")
        numbers = (round(100 * number, digits) + 0.0 for number in (self.value, self.low, self.high))  # no "-0.0"
        value, low, high = (f"{number:{sign}.{digits}f}" for number in numbers)
        return f"{value} ({low}{to}{high}){'†' * self.few}" if isfinite(self.low) else value


@dataclass(frozen=True)
class Difference:
    """A mean difference with its interval and the p-value of there being none (NaN where it is unknown)."""

    interval: Interval
    p: float

    def __str__(self) -> str:
        return self.interval.per_cent(signed=True)


def rounded(number: float) -> float | None:
    """Six decimals; None for NaN and infinity, which JSON does not know."""
    return round(float(number), 6) if isfinite(number) else None


def proportion(values: ArrayLike, clusters: ArrayLike, unit: str = "volume") -> Interval:
    """A share of items.

    Args:
        values: between 0 and 1, [N].
        clusters: [N], the cluster of each item.
        unit: what a cluster is.
    """
    return mean_difference(values, clusters, bounds=(0.0, 1.0), unit=unit).interval


def mean_difference(
    differences: ArrayLike,
    clusters: ArrayLike,
    bounds: tuple[float, float] | None = (-1.0, 1.0),
    unit: str = "volume",
) -> Difference:
    """The mean of what was measured of each item, and whether it differs from zero.

    Args:
        differences: float[N].
        clusters: [N], the cluster of each item.
        bounds: between which the mean must lie; None: anywhere.
        unit: what a cluster is.

    Returns:
        The difference; without interval and p-value for fewer than two clusters.
    """
    values = np.asarray(differences, dtype=np.float64)
    if not len(values):
        return Difference(Interval(nan, nan, nan, "none", 0), nan)
    sums, squares, sizes = totals(values, clusters)
    found = mean_of_totals(sums, squares, sizes, bounds)
    mean, low, high = float(found.mean), float(found.low), float(found.high)
    method = f"t by {unit}" if isfinite(low) else "none"
    return Difference(Interval(mean, low, high, method, len(sizes)), float(found.p))


def paired_difference(
    plain: Sequence[float], other: Sequence[float], clusters: Sequence[str], unit: str = "volume"
) -> Difference:
    """Mean of ``other - plain`` over items.

    Args:
        plain: score of each item the one way.
        other: score of the same items the other way. Where all scores are between 0 and 1, so is what their means can
            differ by.
        clusters: name of the cluster that each item belongs to.
        unit: what a cluster is.

    Raises:
        ValueError: if the three are empty or differ in length.
    """
    if not len(plain) == len(other) == len(clusters) or not len(plain):
        raise ValueError(
            f"Paired scores must be as many as their clusters, and at least one: "
            f"{len(plain)}, {len(other)}, {len(clusters)} were given."
        )
    one, two = np.asarray(plain, dtype=np.float64), np.asarray(other, dtype=np.float64)
    are_shares = min(one.min(), two.min()) >= 0 and max(one.max(), two.max()) <= 1
    return mean_difference(two - one, clusters, (-1.0, 1.0) if are_shares else None, unit)


def totals(values: ArrayLike, clusters: ArrayLike) -> tuple[Floats, Floats, Floats]:
    """Sum, sum of squares and number of the items of each cluster: float[G] each."""
    values = np.asarray(values, dtype=np.float64)
    _, codes = np.unique(np.asarray(clusters), return_inverse=True)
    sums, squares, sizes = (np.bincount(codes, weights=each) for each in (values, values**2, np.ones(len(values))))
    return sums.astype(np.float64), squares.astype(np.float64), sizes.astype(np.float64)


@dataclass(frozen=True)
class Means:
    """Means with their intervals and tests, of many groups of items at once.

    Args:
        mean: float[...].
        low: float[...]; NaN for no interval.
        high: float[...].
        p: float[...], of the mean being zero.
        degrees: float[...], degrees of freedom of Student's t.
    """

    mean: Floats
    low: Floats
    high: Floats
    p: Floats
    degrees: Floats


def mean_of_totals(
    sums: Floats, squares: Floats, sizes: Floats, bounds: tuple[float, float] | None = (-1.0, 1.0)
) -> Means:
    """Means of items, grouped by cluster.

    With r the variance of the mean m relative to m (1 - m), m measured from one bound to the other as from 0 to 1, the
    interval holds all p with ``(m - p)^2 <= t^2 r p (1 - p)``. There is a floor to r: `FLOOR` times what it would be of
    independent items, with one more at each bound, so that items that agree are no proof that others would.

    Args:
        sums: float[..., G], of each cluster's items.
        squares: float[..., G], sums of their squares.
        sizes: float[..., G], how many they are; at least one each.
        bounds: between which a mean must lie; None: anywhere.
    """
    low_bound, high_bound = bounds or (0.0, 1.0)
    span = high_bound - low_bound
    n = sizes.sum(axis=-1)
    mean = sums.sum(axis=-1) / n
    total = (squares.sum(axis=-1) - 2 * low_bound * sums.sum(axis=-1) + n * low_bound**2) / span**2
    scaled = (mean - low_bound) / span
    if bounds:
        scaled = np.clip(scaled, 0.0, 1.0)
    spread = np.maximum(total / n - scaled**2, 0.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        variance, degrees = _variance((sums - sizes * mean[..., None]) / span, sizes, spread)
        critical = stats.t.ppf(0.5 + LEVEL / 2, degrees)
        if bounds is None:
            variance = np.maximum(variance, FLOOR * spread / n)
            error = np.where(variance > 0, np.sqrt(variance), nan)
            p = 2 * stats.t.sf(np.abs(mean) / error, degrees)
            return Means(mean, mean - critical * error, mean + critical * error, p, degrees)
        relative = _relative_variance(variance, scaled, spread, total, n)
        reach = critical**2 * relative
        middle = (scaled + reach / 2) / (1 + reach)
        half = np.sqrt(reach * (scaled * (1 - scaled) + reach / 4)) / (1 + reach)
        low = low_bound + span * np.clip(middle - half, 0.0, scaled)  # rounding must not put it past the mean
        high = low_bound + span * np.clip(middle + half, scaled, 1.0)
        zero = -low_bound / span
        p = 2 * stats.t.sf(np.abs(scaled - zero) / np.sqrt(relative * zero * (1 - zero)), degrees)
    return Means(mean, low, high, np.where(0 < zero < 1, p, nan), degrees)


def _relative_variance(variance: Floats, scaled: Floats, spread: Floats, total: Floats, n: Floats) -> Floats:
    """A mean's variance relative to ``m (1 - m)``: 1 / number of independent items that would be as sure.

    Where all items are alike, they say nothing of how clusters differ, and count as independent.
    """
    count = n + 2  # one item more at each bound
    middle = (scaled * n + 1) / count
    as_independent = ((total + 1) / count - middle**2) / (count * middle * (1 - middle))
    by_cluster = variance / (scaled * (1 - scaled))
    alike = (spread < 1e-12) | (scaled * (1 - scaled) < 1e-12)
    return np.where(alike, as_independent, np.maximum(by_cluster, FLOOR * as_independent))


def _variance(residuals: Floats, sizes: Floats, spread: Floats) -> tuple[Floats, Floats]:
    """CR2 variance of a mean, and Satterthwaite's degrees of freedom for it.

    Each cluster's sum of residuals is enlarged for what it has itself drawn the mean toward it. The degrees of freedom
    are those of a quadratic form of cluster sums whose variances are ``n_g within + n_g^2 between``; how much is
    between clusters is estimated from the variance found.

    Args:
        residuals: float[..., G], sums of residuals.
        sizes: float[..., G].
        spread: float[...], variance of the items.
    """
    n = sizes.sum(axis=-1)
    inflation = 1 / (1 - sizes / n[..., None])  # infinite for one cluster: NaN from there on
    variance = (inflation * residuals**2).sum(axis=-1) / n**2
    sum_of_squares = (sizes**2).sum(axis=-1)
    excess = (variance * n**2 - n * spread) / np.maximum(sum_of_squares - n, 1e-9)
    return variance, degrees_of_freedom(sizes, spread, np.clip(excess, 0.0, spread))


def degrees_of_freedom(sizes: Floats, spread: Floats, between: Floats) -> Floats:
    """Satterthwaite's degrees of freedom of the CR2 variance of a mean.

    Args:
        sizes: float[..., G], items of each cluster.
        spread: float[...], variance of the items ...
        between: float[...], ... and how much of it is between clusters.
    """
    weight = sizes / sizes.sum(axis=-1)[..., None]
    inflation = 1 / (1 - weight)
    of_sums = sizes * (spread - between)[..., None] + sizes**2 * between[..., None]
    of_sums = np.where(of_sums.sum(axis=-1, keepdims=True) > 0, of_sums, sizes)
    whole = of_sums.sum(axis=-1)

    def mean_of(values: Floats) -> Floats:
        summed: Floats = (inflation * values).sum(axis=-1)
        return summed

    # Covariance of the residual sums of clusters g and h: [g = h] s_g - w_g s_h - s_g w_h + w_g w_h S.
    own = of_sums - 2 * weight * of_sums + weight**2 * whole[..., None]
    ww, ss, ws = mean_of(weight**2), mean_of(of_sums**2), mean_of(weight * of_sums)
    all_but_identity = 2 * ww * ss + (ww * whole) ** 2 + 2 * ws**2 - 4 * whole * ww * ws
    correction = (inflation**2 * (own**2 - (own - of_sums) ** 2)).sum(axis=-1)
    degrees = mean_of(own) ** 2 / (all_but_identity + correction)
    return np.maximum(degrees, 0.5)
