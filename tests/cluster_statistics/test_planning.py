"""Forecasts against simulations of the report's own intervals and tests, and against definitions."""

import numpy as np
import pytest
from scipy import stats

from cluster_statistics import mean_difference, proportion
from cluster_statistics.planning import (
    clustering,
    design_effect,
    detectable_difference,
    expected_interval,
    power_of_difference,
    resized,
)
from tests.benchmarks.power import hold_difference, hold_width

DRAWS = 2000


@pytest.mark.parametrize("sizes", ["equal", "uneven"])
@pytest.mark.parametrize(("volumes", "spread"), [(8, 0.05), (20, 0.0), (20, 0.1), (60, 0.1)])
def test_a_difference_is_found_as_often_as_forecast(sizes, volumes, spread):
    seen = hold_difference(sizes, volumes, spread, DRAWS)
    smaller = hold_difference(sizes, volumes, spread, DRAWS, difference=0.05)
    for held in (seen, smaller):
        assert held.found == pytest.approx(held.forecast, abs=0.06)
        assert held.covered == pytest.approx(0.95, abs=0.025)
    assert seen.forecast == pytest.approx(0.8, abs=0.01)


@pytest.mark.parametrize("sizes", ["equal", "uneven"])
@pytest.mark.parametrize("kind", ["share 0.7", "pairs 0.4", "share 0.9"])
@pytest.mark.parametrize(("volumes", "spread"), [(8, 0.0), (20, 0.1), (60, 0.05)])
def test_an_interval_is_as_wide_as_forecast(kind, sizes, volumes, spread):
    held = hold_width(kind, sizes, volumes, spread, DRAWS)
    assert held.found == pytest.approx(held.forecast, rel=0.08)
    assert held.covered >= 0.92


def test_the_forecast_of_the_measured_variance_is_the_report_s_own_interval():
    """Clusters of equal size whose shares are known: nothing is left to chance but the correlation's estimate."""
    draw = np.random.default_rng(0)
    clusters = np.repeat(np.arange(40), 30)
    values = (draw.random(1200) < np.repeat(draw.beta(6, 4, 40), 30)).astype(float)
    found, told = proportion(values, clusters), clustering(values, clusters)
    expected = expected_interval(told.mean, np.full(40, 30), told.correlation)
    assert (expected.low, expected.high) == pytest.approx((found.low, found.high), abs=0.003)


def test_the_intraclass_correlation_is_that_of_the_analysis_of_variance():
    draw = np.random.default_rng(1)
    groups = draw.normal(size=(12, 1)) + draw.normal(size=(12, 7))
    ratio = stats.f_oneway(*groups).statistic
    found = clustering(groups.ravel(), np.repeat(np.arange(12), 7))
    assert found.correlation == pytest.approx((ratio - 1) / (ratio - 1 + 7))
    assert (found.items, found.clusters) == (84, 12)


@pytest.mark.parametrize("sizes", [[20] * 3000, [5, 10, 45] * 1000])
def test_a_known_correlation_is_found_again(sizes):
    draw = np.random.default_rng(2)
    clusters = np.repeat(np.arange(len(sizes)), sizes)
    values = draw.random(len(clusters)) < np.repeat(draw.beta(5, 5, len(sizes)), sizes)  # 1 / (5 + 5 + 1)
    assert clustering(values, clusters).correlation == pytest.approx(1 / 11, abs=0.01)


@pytest.mark.parametrize(
    ("values", "clusters"), [([], []), ([1.0], ["a"]), ([1.0, 0.0], ["a", "a"]), ([1.0, 0.0], ["a", "b"])]
)
def test_too_few_clusters_or_items_tell_no_correlation(values, clusters):
    assert np.isnan(clustering(values, clusters).correlation)


def test_items_that_are_alike_have_no_correlation_and_those_of_alike_clusters_all():
    assert clustering(np.ones(20), np.repeat(np.arange(4), 5)).correlation == 0
    assert clustering(np.repeat([0.0, 1.0, 0.0, 1.0], 5), np.repeat(np.arange(4), 5)).correlation == 1


def test_the_design_effect_is_one_of_independent_items_and_the_size_of_copies():
    assert design_effect([4, 9, 2], 0.0) == 1
    assert design_effect([8] * 5, 1.0) == 8
    assert design_effect([10] * 6, 0.1) == pytest.approx(1.9)


def test_what_no_test_could_find_is_not_promised():
    assert detectable_difference(0.3, [50], 0.0) is None  # one volume
    assert detectable_difference(0.3, [50, 50], 0.1) is None  # Student's t with one degree of freedom
    assert power_of_difference(0.0, 0.3, [20] * 10, 0.05) == pytest.approx(0.05)
    assert power_of_difference(0.5, 0.1, [20] * 10, 0.05) > 0.9  # at least as many questions differ as the difference
    assert np.isnan(expected_interval(0.6, [30], 0.05).low)
    assert expected_interval(1.0, [10] * 8, 0.0).low < 1  # no interval without a width


def test_a_difference_that_can_be_seen_shrinks_with_volumes_questions_and_independence():
    base = detectable_difference(0.3, [20] * 20, 0.05)
    assert base > detectable_difference(0.3, [20] * 40, 0.05)
    assert base > detectable_difference(0.3, [40] * 20, 0.05)
    assert base > detectable_difference(0.3, [20] * 20, 0.01)
    assert base > detectable_difference(0.2, [20] * 20, 0.05)


def test_sizes_of_other_numbers_of_clusters_keep_mean_and_shape():
    sizes = [5, 10, 15, 70]
    assert resized(sizes, 4).tolist() == sizes
    assert resized(sizes, 400).mean() == pytest.approx(25, rel=0.02)
    assert resized(sizes, 400).std() > 15
    assert resized(sizes, 10, 8).mean() == pytest.approx(8, rel=0.1)
    assert resized(sizes, 3, 0.1).tolist() == [1, 1, 1]


def test_a_p_value_of_the_least_difference_seen_is_mostly_below_one_in_twenty():
    """The whole way of a study: questions of two models, drawn one by one."""
    draw = np.random.default_rng(3)
    wanted = detectable_difference(0.4, [15] * 16, 0.0)
    clusters = np.repeat(np.arange(16), 15)
    won = (0.4 + wanted) / 2
    found = [
        mean_difference(draw.choice([1.0, -1.0, 0.0], 240, p=[won, 0.4 - won, 0.6]), clusters).p < 0.05
        for _ in range(400)
    ]
    assert np.mean(found) == pytest.approx(0.8, abs=0.07)
