import random

import numpy as np
import pytest

from semsam.experiments.statistics import Difference, paired_difference


def by_definition(plain, other, clusters, resamples, seed) -> tuple[float, float]:
    """The interval item by item: draw whole clusters with replacement, pool their items, average."""
    names = sorted(set(clusters))
    generator = np.random.default_rng(seed)
    means = []
    for _ in range(resamples):
        pooled = []
        for drawn in generator.integers(len(names), size=len(names)):
            pooled += [b - a for a, b, c in zip(plain, other, clusters, strict=True) if c == names[drawn]]
        means.append(sum(pooled) / len(pooled))
    return tuple(np.quantile(means, [0.025, 0.975]))


def draws(count: int, seed: int) -> tuple[list[float], list[float], list[str]]:
    generator = random.Random(seed)
    plain = [float(generator.random() < 0.4) for _ in range(count)]
    other = [float(generator.random() < 0.6) for _ in range(count)]
    return plain, other, [f"volume {generator.randrange(count // 3)}" for _ in range(count)]


def test_the_interval_is_that_of_the_definition():
    plain, other, clusters = draws(60, seed=1)
    found = paired_difference(plain, other, clusters, resamples=200, seed=5)
    assert (found.low, found.high) == pytest.approx(by_definition(plain, other, clusters, 200, 5))
    assert found.mean == pytest.approx(sum(other) / 60 - sum(plain) / 60)
    assert found.low < found.mean < found.high


def test_the_order_of_the_items_does_not_matter():
    plain, other, clusters = draws(40, seed=2)
    order = random.Random(0).sample(range(40), 40)
    shuffled = ([column[i] for i in order] for column in (plain, other, clusters))
    assert paired_difference(*shuffled) == paired_difference(plain, other, clusters)


def test_copies_of_an_item_in_its_cluster_do_not_narrow_the_interval():
    plain, other, _ = draws(50, seed=3)
    names = [f"{number:02d}" for number in range(50)]
    once = paired_difference(plain, other, names)
    assert paired_difference(plain * 10, other * 10, names * 10) == once
    as_if_independent = paired_difference(plain * 10, other * 10, [str(number) for number in range(500)])
    assert as_if_independent.high - as_if_independent.low < 0.5 * (once.high - once.low)


def test_the_interval_covers_the_truth_as_often_as_it_says():
    generator = np.random.default_rng(4)
    covered = 0
    for run in range(150):
        shift = np.repeat(generator.normal(0, 0.4, 40), 5)  # what the five items of a cluster share
        other = 0.3 + shift + generator.normal(0, 0.5, 200)
        found = paired_difference([0.0] * 200, other, np.repeat(np.arange(40), 5), resamples=300, seed=run)
        covered += found.low <= 0.3 <= found.high
    assert 0.90 <= covered / 150 <= 0.99


def test_no_difference_is_no_difference():
    plain, _, clusters = draws(30, seed=6)
    assert paired_difference(plain, plain, clusters) == Difference(0, 0, 0)


def test_a_difference_is_shown_in_percentage_points():
    assert str(Difference(0.0512, -0.01, 0.1149)) == "+5.1 (-1.0 to +11.5)"


@pytest.mark.parametrize(("plain", "other", "clusters"), [([], [], []), ([1], [1, 0], ["a"]), ([1], [0], ["a", "b"])])
def test_scores_that_do_not_pair_are_refused(plain, other, clusters):
    with pytest.raises(ValueError, match=rf"at least one: {len(plain)}, {len(other)}, {len(clusters)} were given"):
        paired_difference(plain, other, clusters)
