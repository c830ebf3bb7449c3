"""The fast forms against their definitions, published examples, and what a reader of an interval may rely on."""

import importlib.util
import itertools
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize, stats

from cluster_statistics import FEW_CLUSTERS, Interval, mean_difference, paired_difference, proportion, rounded
from cluster_statistics.intervals import FLOOR, mean_of_totals, totals

# Weil (1970): pups that survived, of those born alive, litter by litter.
TREATED = "12/12 11/11 10/10 9/9 10/11 9/10 9/10 8/9 8/9 4/5 7/9 4/7 5/10 3/6 3/10 0/7"


def litters(text):
    values, clusters = [], []
    for number, litter in enumerate(text.split()):
        survived, born = map(int, litter.split("/"))
        values += [1] * survived + [0] * (born - survived)
        clusters += [number] * born
    return np.array(values), np.array(clusters)


def by_definition(values, clusters, low, high):
    """Interval, p-value of zero and degrees of freedom from item-wise matrices, as the articles write them."""
    values, clusters = np.asarray(values, float), np.asarray(clusters)
    y = (values - low) / (high - low)
    n, m = len(y), y.mean()
    same = clusters[:, None] == clusters[None, :]
    names = np.unique(clusters)
    hat = np.full((n, n), 1 / n)
    adjust = np.zeros((n, n))
    for name in names:
        here = np.flatnonzero(clusters == name)
        block = np.eye(len(here)) - hat[np.ix_(here, here)]
        vectors, roots = np.linalg.eigh(block)[::-1]
        adjust[np.ix_(here, here)] = (vectors / np.sqrt(roots)) @ vectors.T
    residual_maker = np.eye(n) - hat
    # The variance is a quadratic form of the items: y' R A (same cluster) A R y / n^2.
    form = residual_maker @ adjust @ same @ adjust @ residual_maker / n**2
    variance = y @ form @ y
    spread = ((y - m) ** 2).mean()
    pairs_of_one_cluster = same.sum() - n
    between = np.clip((variance * n**2 - n * spread) / max(pairs_of_one_cluster, 1e-9), 0, spread)
    covariance = (spread - between) * np.eye(n) + between * same
    if not spread:
        covariance = np.eye(n)
    product = form @ covariance
    degrees = max(0.5, np.trace(product) ** 2 / np.trace(product @ product))
    more = np.append(y, [0, 1])
    as_independent = more.var() / (n + 2) / (more.mean() * (1 - more.mean()))
    relative = as_independent
    if spread > 1e-12 and m * (1 - m) > 1e-12:
        relative = max(variance / (m * (1 - m)), FLOOR * as_independent)
    critical = stats.t.ppf(0.975, degrees)

    def outside(p):
        return (m - p) ** 2 - critical**2 * relative * p * (1 - p)

    ends = [
        optimize.brentq(outside, 0, m - 1e-9) if m > 1e-6 else 0,
        optimize.brentq(outside, m + 1e-9, 1) if m < 1 else 1,
    ]
    zero = -low / (high - low)
    p = 2 * stats.t.sf(abs(m - zero) / math.sqrt(relative * zero * (1 - zero)), degrees) if 0 < zero < 1 else math.nan
    return (*(low + (high - low) * np.array(ends)), p, degrees)


def checked(values, clusters, bounds):
    found = mean_of_totals(*totals(values, clusters), bounds)
    low, high, p, degrees = by_definition(values, clusters, *bounds)
    assert (found.low, found.high) == pytest.approx((low, high), abs=1e-6)
    assert found.degrees == pytest.approx(degrees, rel=1e-6)
    assert found.p == pytest.approx(p, abs=1e-6, nan_ok=True)


@settings(deadline=None, max_examples=50)
@given(st.lists(st.tuples(st.sampled_from([-1.0, 0.0, 0.0, 1.0]), st.integers(0, 4)), min_size=2, max_size=20))
def test_differences_are_those_of_the_definition(items):
    values, clusters = np.array(items).T
    if len(set(clusters)) > 1:
        checked(values, clusters, (-1.0, 1.0))


@settings(deadline=None, max_examples=50)
@given(st.lists(st.tuples(st.floats(0, 1).map(lambda x: round(x, 2)), st.integers(0, 4)), min_size=2, max_size=20))
def test_shares_are_those_of_the_definition(items):
    values, clusters = np.array(items).T
    if len(set(clusters)) > 1:
        checked(values, clusters, (0.0, 1.0))


def test_clusters_of_one_give_the_ordinary_t_test():
    values = np.random.default_rng(0).normal(size=50)
    ordinary = stats.ttest_1samp(values, 0)
    found = mean_difference(values, np.arange(50), bounds=None)
    assert found.p == pytest.approx(ordinary.pvalue)
    assert (found.interval.low, found.interval.high) == pytest.approx(tuple(ordinary.confidence_interval(0.95)))


def test_equal_clusters_give_the_t_test_of_their_means():
    values = np.random.default_rng(1).normal(size=60)
    clusters = np.repeat(np.arange(12), 5)
    ordinary = stats.ttest_1samp(values.reshape(12, 5).mean(axis=1), 0)
    assert mean_difference(values, clusters, bounds=None).p == pytest.approx(ordinary.pvalue)
    assert mean_of_totals(*totals(values, clusters), None).degrees == pytest.approx(11)


@pytest.mark.parametrize(("count", "n"), [(81, 263), (15, 148), (1, 29), (28, 29)])
def test_clusters_of_one_give_wilsons_interval_with_students_t(count, n):
    """Newcombe (1998), table I, method 3, has it with the normal quantile."""
    values = [1] * count + [0] * (n - count)
    found = proportion(values, range(n))
    share, reach = count / n, stats.t.ppf(0.975, n - 1) ** 2 / (n - 1)
    middle = (share + reach / 2) / (1 + reach)
    half = math.sqrt(reach * share * (1 - share) + reach**2 / 4) / (1 + reach)
    assert (found.low, found.high) == pytest.approx((middle - half, middle + half))
    plain = stats.binomtest(count, n).proportion_ci(method="wilson")
    assert (found.low, found.high) == pytest.approx((plain.low, plain.high), abs=0.02)


def test_litters_give_the_published_design_effect():
    """Rao and Scott (1992), table 1: 3.95 for G / (G - 1) times the squared residual sums. CR2 is near by."""
    values, clusters = litters(TREATED)
    found = mean_of_totals(*totals(values, clusters), None)
    error = (found.high - found.low) / 2 / stats.t.ppf(0.975, found.degrees)
    p = values.mean()
    assert len(values) * error**2 / (p * (1 - p)) == pytest.approx(3.95, abs=0.15)


# --- what a reader may rely on ---------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=150)
@given(
    st.lists(
        st.tuples(st.sampled_from([-1.0, 0.0, 1.0]), st.integers(0, 6), st.integers(1, 30)), min_size=2, max_size=12
    )
)
def test_p_is_below_a_twentieth_if_and_only_if_the_interval_leaves_out_zero(runs):
    values = np.concatenate([np.full(count, value) for value, _, count in runs])
    clusters = np.concatenate([np.full(count, cluster) for _, cluster, count in runs])
    found = mean_difference(values, clusters)
    interval = found.interval
    if interval.clusters < 2:
        assert interval.method == "none"
        assert math.isnan(found.p)
        return
    assert (found.p < 0.05) == (not interval.low <= 0 <= interval.high)
    assert -1 <= interval.low <= interval.value <= interval.high <= 1
    assert interval.high > interval.low


@pytest.mark.parametrize("volumes", [2, 3, 8])
@pytest.mark.parametrize("questions", [1, 2, 50])
@pytest.mark.parametrize("pattern", [(1, 1), (0, 0), (1, 0), (-1, -1), (1, -1)])
def test_volumes_that_agree_do_not_make_an_interval_without_width(volumes, questions, pattern):
    values = np.array([pattern[item % 2] for _ in range(volumes) for item in range(questions)], float)
    clusters = np.repeat(np.arange(volumes), questions)
    found = mean_difference(values, clusters).interval
    assert found.high - found.low > 1 / (2 + volumes * questions)
    if min(pattern) >= 0:
        share = proportion(values, clusters)
        assert 0 <= share.low < share.high <= 1
        assert share.high - share.low > 1 / (2 + volumes * questions)
    above = mean_difference(values.clip(0) - 0.5, clusters, (-0.5, 0.5)).interval
    assert -0.5 <= above.low < above.high <= 0.5


def test_six_right_answers_of_three_volumes_prove_little():
    share = proportion([1] * 6, [0, 0, 1, 1, 2, 2])
    assert (share.low, share.high) == pytest.approx((8 / (8 + 4.302653**2), 1), abs=1e-3)
    above = mean_difference([0.5] * 6, [0, 0, 1, 1, 2, 2], (-0.5, 0.5))
    assert above.interval.low < 0 < above.interval.high == 0.5
    assert above.p > 0.05
    assert share.few
    assert not proportion([1, 0] * 5, np.repeat(np.arange(FEW_CLUSTERS), 2)).few


def test_more_volumes_make_an_interval_narrower():
    widths = []
    for volumes in (3, 8, 20, 60):
        found = proportion([1, 1, 0] * volumes, np.repeat(np.arange(volumes), 3))
        widths.append(found.high - found.low)
    assert widths == sorted(widths, reverse=True)


def test_copies_of_a_question_do_not_narrow_the_interval():
    values, clusters = [1, -1, 1, 0, 1, 0, 0, 1, 0, 1], list("abcdefghij")
    once, often = mean_difference(values, clusters), mean_difference(values * 9, clusters * 9)
    assert (often.interval.low, often.interval.high) == pytest.approx((once.interval.low, once.interval.high), abs=0.01)
    as_if_independent = mean_difference(values * 9, range(90)).interval
    assert as_if_independent.high - as_if_independent.low < 0.5 * (often.interval.high - often.interval.low)


def test_the_order_and_names_of_the_clusters_do_not_matter():
    generator = np.random.default_rng(2)
    values, clusters = generator.choice([-1, 0, 1], 40), generator.integers(7, size=40)
    order = generator.permutation(40)
    one = mean_difference(values, clusters)
    other = mean_difference(values[order], [f"volume {name}" for name in clusters[order]])
    assert (one.interval.low, one.interval.high, one.p) == pytest.approx(
        (other.interval.low, other.interval.high, other.p)
    )


def test_a_mean_without_bounds_has_no_interval_where_nothing_varies():
    found = mean_difference([2.0, 2.0, 2.0], [0, 1, 2], bounds=None)
    assert found.interval.method == "none"
    assert math.isnan(found.interval.low)
    assert math.isnan(found.p)


def test_nothing_gives_no_number():
    empty = proportion([], [])
    assert empty.to_json() == {"value": None, "low": None, "high": None, "method": "none", "clusters": 0}
    assert mean_difference([], []).interval.method == "none"
    assert rounded(1 / 3) == 0.333333
    assert rounded(math.inf) is None


def test_one_cluster_gives_a_number_without_interval():
    found = mean_difference([1, 0, 0, -1, 1], [3] * 5)
    assert (found.interval.value, found.interval.method, found.interval.clusters) == (pytest.approx(0.2), "none", 1)
    assert math.isnan(found.interval.low)
    assert math.isnan(found.p)


def test_numbers_are_shown_in_per_cent():
    assert str(Interval(0.0512, -0.01, 0.1149, "t by volume", 9).per_cent(signed=True)) == "+5.1 (-1.0 to +11.5)"
    assert Interval(0.612, 0.57, 0.6534, "t by volume", 9).per_cent() == "61.2 (57.0-65.3)"
    assert Interval(0.612, 0.57, 0.6534, "t by volume", 9).per_cent(digits=0) == "61 (57-65)"
    assert Interval(-0.0004, -0.01, 0.0004, "t by volume", 9).per_cent(signed=True) == "+0.0 (-1.0 to +0.0)"
    assert Interval(0.612, 0.57, 0.6534, "t by volume", 4).per_cent() == "61.2 (57.0-65.3)†"
    assert Interval(0.5, math.nan, math.nan, "none", 1).per_cent() == "50.0"
    assert Interval(math.nan, math.nan, math.nan, "none", 0).per_cent() == "-"


def test_paired_scores_between_0_and_1_have_bounded_differences():
    found = paired_difference([0, 0, 1], [1, 1, 1], ["a", "b", "c"])
    assert found == mean_difference([1, 1, 0], ["a", "b", "c"])
    unbounded = paired_difference([0, 0, 7], [10, 4, 1], ["a", "b", "c"])
    assert unbounded.interval.high > 1


@pytest.mark.parametrize(("plain", "other", "clusters"), [([], [], []), ([1], [1, 0], ["a"]), ([1], [0], ["a", "b"])])
def test_scores_that_do_not_pair_are_refused(plain, other, clusters):
    with pytest.raises(ValueError, match=rf"at least one: {len(plain)}, {len(other)}, {len(clusters)} were given"):
        paired_difference(plain, other, clusters)


# --- coverage --------------------------------------------------------------------------------------------------------


def benchmark():
    path = Path(__file__).parents[1] / "benchmarks" / "coverage.py"
    spec = importlib.util.spec_from_file_location("coverage_benchmark", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


COVERAGE = benchmark()


@pytest.mark.parametrize(
    "case",
    list(
        itertools.starmap(
            COVERAGE.Case, itertools.product(COVERAGE.KINDS, COVERAGE.SIZES, (8, 20, 60), COVERAGE.SPREADS)
        )
    ),
)
def test_intervals_hold_the_truth_and_tests_reject_it_as_often_as_they_say(case):
    """The fixed seed makes it the same every time; the table with more draws is in docs/statistics.md."""
    found, truth = COVERAGE.simulate(case, 3000, np.random.default_rng(5))
    assert 0.93 <= COVERAGE.covered(found, truth) <= 0.97
    if truth == 0:
        rejected = (found.p < 0.05).mean()
        assert rejected == pytest.approx(1 - COVERAGE.covered(found, truth))
        assert 0.03 <= rejected <= 0.07


@pytest.mark.parametrize("kind", COVERAGE.KINDS)
def test_intervals_of_three_volumes_hold_the_truth_more_often_rather_than_less(kind):
    for sizes, spread in itertools.product(COVERAGE.SIZES, COVERAGE.SPREADS):
        found, truth = COVERAGE.simulate(COVERAGE.Case(kind, sizes, 3, spread), 2000, np.random.default_rng(5))
        assert COVERAGE.covered(found, truth) >= 0.95
