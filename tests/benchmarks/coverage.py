"""How often the intervals hold the truth, simulated: ``python tests/benchmarks/coverage.py [--draws N]``.

Volumes are drawn whose accuracy differs by a given standard deviation (the spread), questions are drawn from them, and
an interval is made. A good 95 % interval holds the truth in 95 of 100 draws; as a p-value is below 0.05 if and only if
its interval leaves out zero, the rest is also how often a test rejects what is true. Prints the table of
docs/statistics.md; takes some twenty seconds on one core.
"""

import argparse
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cluster_statistics.intervals import Means, mean_of_totals

VOLUMES = (3, 8, 20, 60)
SPREADS = (0.0, 0.05, 0.1)
SHARES = {"share 0.5": 0.5, "share 0.7": 0.7, "share 0.9": 0.9, "pairs 0.4": 0.4}
"""Of right answers, or of pairs with both right."""
DIFFERENCES = {"difference 0": 0.0, "difference 0.2": 0.2}
"""Between two runs on the same questions."""
KINDS = (*SHARES, "above chance", *DIFFERENCES)
SIZES = ("equal", "uneven")
QUESTIONS = 20
"""Of a volume: all have as many, or they are drawn from a log-normal distribution with this mean (a sixth has below 8,
a sixth above 30)."""
DISCORDANT = 0.3
"""Of questions that two runs answer differently."""


@dataclass(frozen=True)
class Case:
    """What is simulated."""

    kind: str
    sizes: str
    volumes: int
    spread: float


def simulate(case: Case, draws: int, generator: np.random.Generator) -> tuple[Means, float]:
    """The intervals of many draws, and the truth."""
    shape = (draws, case.volumes)
    count = np.full(shape, QUESTIONS)
    if case.sizes == "uneven":
        count = np.maximum(1, np.round(QUESTIONS * generator.lognormal(-0.245, 0.7, shape))).astype(np.int64)
    if case.kind in DIFFERENCES:
        truth = DIFFERENCES[case.kind]
        gained = _by_volume((1 + truth / DISCORDANT) / 2, case.spread / 2 / DISCORDANT, shape, generator)
        changed = generator.binomial(count, DISCORDANT)
        won = generator.binomial(changed, gained)
        return mean_of_totals(*_floats(2 * won - changed, changed, count)), truth
    if case.kind in SHARES:
        of_volume = _by_volume(SHARES[case.kind], case.spread, shape, generator)
        asked = np.maximum(1, count // 2) if case.kind.startswith("pairs") else count
        right = generator.binomial(asked, of_volume)
        return mean_of_totals(*_floats(right, right, asked), (0.0, 1.0)), SHARES[case.kind]
    # Above chance: a guess; about half of the questions have four options, the others two.
    four = generator.binomial(count, 0.5)
    luck = np.clip(generator.normal(0, case.spread, shape), -0.25, 0.25)
    right = [generator.binomial(n, p + luck) for n, p in ((four, 0.25), (count - four, 0.5))]
    sums = right[0] - four * 0.25 + right[1] - (count - four) * 0.5
    squares = right[0] * 0.75**2 + (four - right[0]) * 0.25**2 + (count - four) * 0.5**2
    chance = float((four * 0.25 + (count - four) * 0.5).sum() / count.sum())
    return mean_of_totals(*_floats(sums, squares, count), (-chance, 1 - chance)), 0.0


def _by_volume(
    mean: float, spread: float, shape: tuple[int, int], generator: np.random.Generator
) -> NDArray[np.float64]:
    """Shares by volume, of a beta distribution."""
    if not spread:
        return np.full(shape, mean)
    precision = mean * (1 - mean) / spread**2 - 1
    return generator.beta(mean * precision, (1 - mean) * precision, shape)


def _floats(*arrays: NDArray[np.generic]) -> tuple[NDArray[np.float64], ...]:
    return tuple(np.asarray(array, dtype=np.float64) for array in arrays)


def covered(found: Means, truth: float) -> float:
    """The share of intervals that hold the truth."""
    return float(((found.low <= truth) & (truth <= found.high)).mean())


def coverage(case: Case, draws: int, seed: int = 0) -> float:
    """The share of draws whose interval holds the truth."""
    return covered(*simulate(case, draws, np.random.default_rng(seed)))


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--draws", type=int, default=20_000)
    draws = parser.parse_args().draws
    print(f"Coverage of 95 % intervals in per cent, {draws:,} draws each; {QUESTIONS} questions a volume.\n")
    print("| what | questions | spread | " + " | ".join(f"{volumes} volumes" for volumes in VOLUMES) + " |")
    print("|---|---|---:|" + "---:|" * len(VOLUMES))
    for kind in KINDS:
        for sizes in SIZES:
            for spread in SPREADS:
                found = [coverage(Case(kind, sizes, volumes, spread), draws) for volumes in VOLUMES]
                cells = " | ".join(f"{100 * share:.1f}" for share in found)
                print(f"| {kind} | {sizes} | {spread:g} | {cells} |", flush=True)


if __name__ == "__main__":
    main()
