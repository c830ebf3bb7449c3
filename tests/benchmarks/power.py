"""How well forecasts hold, simulated: ``python -m tests.benchmarks.power [--draws N]``.

Volumes and questions are drawn as in ``coverage.py``; the report's own interval and test are made of each draw, and
held against what :mod:`cluster_statistics.planning` forecasts: how often a difference is found, and how wide an
interval is. Prints the tables of docs/power.md; takes about ten seconds on one core.
"""

import argparse
from dataclasses import dataclass
from unittest import mock

import numpy as np
from numpy.typing import NDArray

from cluster_statistics.planning import (
    WANTED_POWER,
    detectable_difference,
    expected_interval,
    power_of_difference,
    resized,
)
from tests.benchmarks import coverage
from tests.benchmarks.coverage import DISCORDANT, QUESTIONS, SHARES, SIZES, SPREADS, Case, covered, simulate

VOLUMES = (5, 8, 20, 60)
MANY = 4000
"""Sizes of volumes that those of a forecast are the quantiles of."""


@dataclass(frozen=True)
class Held:
    """A forecast and what came of it.

    Args:
        forecast: power, or half the width of an interval.
        found: the same, of the draws.
        covered: share of intervals that hold the truth.
    """

    forecast: float
    found: float
    covered: float


def sizes_of(case: Case) -> NDArray[np.float64]:
    """The sizes that a forecast counts on."""
    if case.sizes == "equal":
        return np.full(case.volumes, float(QUESTIONS))
    drawn = QUESTIONS * np.random.default_rng(1).lognormal(-0.245, 0.7, MANY)
    return resized(np.maximum(1, np.round(drawn)), case.volumes)


def hold_difference(sizes: str, volumes: int, spread: float, draws: int, difference: float | None = None) -> Held:
    """How often the report's test finds a difference: the one that should be seen with 80 % power, or one given."""
    case = Case("difference", sizes, volumes, spread)
    asked = sizes_of(case)

    def correlation(size: float) -> float:
        return spread**2 / (DISCORDANT - size**2)

    if difference is None:
        difference = detectable_difference(DISCORDANT, asked, correlation(0.1))
        if difference is None or difference > 0.8 * DISCORDANT:
            return Held(np.nan, np.nan, np.nan)  # nearly all questions that differ would have to be won
    with mock.patch.dict(coverage.DIFFERENCES, {"difference": difference}):
        found, truth = simulate(case, draws, np.random.default_rng(0))
    expected = power_of_difference(difference, DISCORDANT, asked, correlation(difference))
    return Held(expected, float((found.p < 0.05).mean()), covered(found, truth))


def hold_width(kind: str, sizes: str, volumes: int, spread: float, draws: int) -> Held:
    """How wide the report's interval of a share is: half of it, on average."""
    case = Case(kind, sizes, volumes, spread)
    share, asked = SHARES[kind], sizes_of(case)
    if kind.startswith("pairs"):
        asked = np.maximum(1, asked // 2)
    found, truth = simulate(case, draws, np.random.default_rng(0))
    expected = expected_interval(share, asked, spread**2 / (share * (1 - share)))
    return Held((expected.high - expected.low) / 2, float((found.high - found.low).mean() / 2), covered(found, truth))


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--draws", type=int, default=10_000)
    draws = parser.parse_args().draws
    head = "| questions | spread | " + " | ".join(f"{volumes} volumes" for volumes in VOLUMES) + " |"
    print(
        f"Power in per cent, forecast / found in {draws:,} draws, of the difference forecast to be seen with "
        f"{100 * WANTED_POWER:.0f} %.\n\n{head}\n|---|---:|{'---:|' * len(VOLUMES)}"
    )
    for sizes in SIZES:
        for spread in SPREADS:
            held = [hold_difference(sizes, volumes, spread, draws) for volumes in VOLUMES]
            cells = (
                f"{100 * one.forecast:.0f} / {100 * one.found:.0f}" if one.found == one.found else "-" for one in held
            )
            print(f"| {sizes} | {spread:g} | {' | '.join(cells)} |", flush=True)
    print(
        f"\nHalf the interval's width in points, forecast / found; coverage in per cent.\n\n| what {head}\n"
        f"|---|---|---:|{'---:|' * len(VOLUMES)}"
    )
    for kind in ("share 0.7", "pairs 0.4"):
        for sizes in SIZES:
            for spread in SPREADS:
                held = [hold_width(kind, sizes, volumes, spread, draws) for volumes in VOLUMES]
                cells = (f"{100 * one.forecast:.1f} / {100 * one.found:.1f} ({100 * one.covered:.0f})" for one in held)
                print(f"| {kind} | {sizes} | {spread:g} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
