"""Every form against its definition, and against published examples."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from lm_eval_tasks.report.statistics import (
    bootstrap_means,
    clustered_variance,
    holm,
    mcnemar,
    mean_difference,
    proportion,
    rounded,
    wilson,
)
from semsam.experiments.statistics import paired_difference

# Weil (1970): pups that survived, of those born alive, litter by litter. Rao and Scott (1992), table 1, give design
# effects of 1.23 and 3.95 (the R package PF: 1.232495 and 3.952861).
CONTROL = "13/13 12/12 9/9 9/9 8/8 8/8 12/13 11/12 9/10 9/10 8/9 11/13 4/5 5/7 7/10 7/10"
TREATED = "12/12 11/11 10/10 9/9 10/11 9/10 9/10 8/9 8/9 4/5 7/9 4/7 5/10 3/6 3/10 0/7"


def litters(text):
    values, clusters = [], []
    for number, litter in enumerate(text.split()):
        survived, born = map(int, litter.split("/"))
        values += [1] * survived + [0] * (born - survived)
        clusters += [number] * born
    return np.array(values), np.array(clusters)


@pytest.mark.parametrize(("text", "design_effect"), [(CONTROL, 1.232495), (TREATED, 3.952861)])
def test_clustered_variance_gives_the_published_design_effects(text, design_effect):
    values, clusters = litters(text)
    p = values.mean()
    assert len(values) * clustered_variance(values, clusters) / (p * (1 - p)) == pytest.approx(design_effect, abs=1e-6)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.floats(-1, 1), st.integers(0, 4)), min_size=2, max_size=25))
def test_clustered_variance_is_the_sum_over_items_that_share_a_cluster(items):
    values, clusters = np.array(items).T
    count = len(set(clusters))
    if count < 2:
        assert math.isnan(clustered_variance(values, clusters))
        return
    residuals = values - values.mean()
    total = sum(
        residuals[i] * residuals[j] for i in range(len(items)) for j in range(len(items)) if clusters[i] == clusters[j]
    )
    expected = count / (count - 1) * total / len(items) ** 2
    assert clustered_variance(values, clusters) == pytest.approx(expected, abs=1e-12)


def test_clusters_of_one_give_the_ordinary_error():
    values = np.random.default_rng(0).normal(size=50)
    assert clustered_variance(values, np.arange(50)) == pytest.approx(values.var(ddof=1) / 50)
    ordinary = stats.ttest_1samp(values, 0)
    found = mean_difference(values, np.arange(50))
    assert found.p == pytest.approx(ordinary.pvalue)
    assert (found.interval.low, found.interval.high) == pytest.approx(tuple(ordinary.confidence_interval(0.95)))


# Newcombe (1998), Statistics in Medicine 17, table I, method 3.
@pytest.mark.parametrize(
    ("count", "n", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_gives_the_published_intervals(count, n, low, high):
    assert wilson(count / n, n) == pytest.approx((low, high), abs=5e-5)
    values = [1] * count + [0] * (n - count)
    one_cluster = proportion(values, [7] * n)
    assert (one_cluster.low, one_cluster.high) == pytest.approx((low, high), abs=5e-5)
    assert one_cluster.method == "wilson"


def test_proportion_is_wilson_at_the_effective_number_of_items():
    values, clusters = litters(TREATED)
    found = proportion(values, clusters)
    n, count = len(values), 16
    effective = n / 3.952861 * (stats.t.ppf(0.975, n - 1) / stats.t.ppf(0.975, count - 1)) ** 2
    assert (found.low, found.high) == pytest.approx(wilson(values.mean(), effective), abs=1e-6)
    assert found.value == pytest.approx(112 / 145)
    assert found.method == "clustered wilson"
    whole = stats.binomtest(30, 40).proportion_ci(method="wilson")
    assert wilson(0.75, 40) == pytest.approx((whole.low, whole.high))


def test_proportion_is_never_surer_than_independent_items():
    """A constant answer is right in exactly half of each volume; that must not make it certain."""
    found = proportion([0, 1] * 20, np.repeat(np.arange(10), 4))
    plain = wilson(0.5, 40)
    assert found.low < plain[0] < plain[1] < found.high


@pytest.mark.parametrize("value", [0, 1])
def test_where_all_agree_the_interval_has_width_and_shrinks_with_more_volumes(value):
    few = proportion([value] * 100, np.repeat([0, 1], 50))
    many = proportion([value] * 100, np.arange(100))
    assert 0 <= many.low <= many.high <= 1
    assert many.high - many.low < 0.04 < few.high - few.low


def test_intervals_cover_the_truth_as_often_as_they_say():
    """Volumes of different difficulty: the clustered interval covers, the naive one does not."""
    generator = np.random.default_rng(1)
    clustered = naive = 0
    for _ in range(300):
        ease = generator.beta(2, 2, size=12)
        values = (generator.random((12, 20)) < ease[:, None]).ravel()
        found = proportion(values, np.repeat(np.arange(12), 20))
        clustered += found.low <= 0.5 <= found.high
        low, high = wilson(values.mean(), 240)
        naive += low <= 0.5 <= high
    assert clustered / 300 > 0.92
    assert naive / 300 < 0.75


def test_nothing_gives_no_number():
    empty = proportion([], [])
    assert math.isnan(empty.value)
    assert empty.to_json() == {"value": None, "low": None, "high": None, "method": "none"}
    assert mean_difference([], []).interval.method == "none"
    assert rounded(1 / 3) == 0.333333
    assert rounded(math.inf) is None


def test_one_volume_gives_a_difference_without_interval():
    found = mean_difference([1, 0, 0, -1, 1], [3] * 5)
    assert found.interval.value == pytest.approx(0.2)
    assert math.isnan(found.interval.low)
    assert math.isnan(found.p)


def test_differences_that_are_alike_in_every_volume():
    assert mean_difference([0, 0, 0], [0, 1, 2]).p == 1
    assert math.isnan(mean_difference([1, 1, 1], [0, 1, 2]).p)


def test_bootstrap_draws_whole_clusters_as_the_definition_says():
    generator = np.random.default_rng(3)
    clusters = generator.integers(15, size=300)
    values = generator.choice([-1.0, 0.0, 1.0], size=300) + 0.3 * (clusters % 3)
    members = np.stack([np.ones(300, dtype=bool), generator.random(300) < 0.2, clusters < 3])
    found = bootstrap_means(values, clusters, members, resamples=8000)
    names = np.unique(clusters)
    for group, (low, high) in zip(members, found, strict=True):
        means = []
        for _ in range(3000):
            rows = np.concatenate([np.flatnonzero(group & (clusters == name)) for name in generator.choice(names, 15)])
            if len(rows):
                means.append(values[rows].mean())
        assert (low, high) == pytest.approx(tuple(np.quantile(means, [0.025, 0.975])), abs=0.04)
    # The same as the one that compares decodings.
    one = paired_difference(np.zeros(300), values, [str(name) for name in clusters], resamples=8000)
    assert tuple(found[0]) == pytest.approx((one.low, one.high), abs=0.02)


def test_bootstrap_is_the_same_every_time():
    values, clusters = litters(CONTROL)
    members = np.ones((1, len(values)), dtype=bool)
    assert (bootstrap_means(values, clusters, members) == bootstrap_means(values, clusters, members)).all()


def test_mcnemar_gives_the_published_p_value():
    """Agresti, Categorical Data Analysis: approval of the prime minister, 150 and 86 changed their minds.

    The exact p-value in the vignette of the R package exact2x2: 3.716e-05.
    """
    first = [1] * 794 + [1] * 150 + [0] * 86 + [0] * 570
    second = [1] * 794 + [0] * 150 + [1] * 86 + [0] * 570
    lost, won, p = mcnemar(first, second)
    assert (lost, won) == (150, 86)
    assert p == pytest.approx(3.716e-05, rel=1e-3)
    assert mcnemar([1, 0], [1, 0]) == (0, 0, 1.0)


def test_mcnemar_is_the_binomial_sum():
    _, _, p = mcnemar([1] * 7 + [0] * 2, [0] * 7 + [1] * 2)
    assert p == pytest.approx(2 * sum(math.comb(9, k) for k in range(3)) / 2**9)


def test_holm_gives_the_published_values():
    """The example of the article on the Holm-Bonferroni method in Wikipedia: H4 and H1 are rejected at 0.05."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_rejects_what_its_steps_reject(p_values):
    adjusted = holm(p_values)
    for level in (0.05, 0.3):
        rejected, order = set(), sorted(range(len(p_values)), key=lambda i: p_values[i])
        for rank, i in enumerate(order):
            if (len(p_values) - rank) * p_values[i] > level:
                break
            rejected.add(i)
        assert {i for i, p in enumerate(adjusted) if p <= level} == rejected


def test_holm_passes_over_what_is_no_test():
    assert holm([0.02, math.nan, 0.5])[0] == 0.04
    assert math.isnan(holm([0.02, math.nan])[1])
