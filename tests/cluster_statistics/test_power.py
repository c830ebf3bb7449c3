import numpy as np
import pytest

from cluster_statistics import clusters_needed, mean_difference, power, spread_of


@pytest.mark.parametrize(("effect", "spread", "clusters"), [(0.05, 0.1, 20), (0.0, 0.1, 12), (0.08, 0.1, 8)])
def test_power_is_how_often_the_test_finds_the_difference(effect, spread, clusters):
    draw = np.random.default_rng(0)
    groups = np.arange(clusters)
    found = [mean_difference(draw.normal(effect, spread, clusters), groups, bounds=None).p < 0.05 for _ in range(1500)]
    assert np.mean(found) == pytest.approx(power(effect, spread, clusters), abs=0.035)


def test_without_an_effect_one_test_in_twenty_finds_one():
    assert power(0.0, 0.1, 30) == pytest.approx(0.05)


@pytest.mark.parametrize(("effect", "spread"), [(0.02, 0.05), (0.1, 0.05), (0.01, 0.2)])
def test_the_clusters_needed_are_the_fewest_that_do(effect, spread):
    needed = clusters_needed(effect, spread)
    assert power(effect, spread, needed) >= 0.8 > power(effect, spread, needed - 1) or needed == 2


def test_what_cannot_be_found_says_so():
    assert clusters_needed(1e-6, 1.0, most=1000) is None
    assert power(0.1, 0.1, 1) == 0
    assert (power(0.1, 0, 5), power(0, 0, 5)) == (1, 0)


def test_the_spread_is_that_of_the_clusters_means():
    differences = [0.0, 1.0, 0.0, 0.0, 1.0]
    assert spread_of(differences, ["a", "a", "b", "b", "c"]) == pytest.approx(np.std([0.5, 0.0, 1.0], ddof=1))
    assert spread_of([1.0, 0.0], ["a", "a"]) == 0
