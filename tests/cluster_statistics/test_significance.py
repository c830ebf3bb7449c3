"""McNemar's test and Holm's correction against published examples and their definitions."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster_statistics import holm, mcnemar


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
    assert holm([]) == []
