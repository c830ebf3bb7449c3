import math

import numpy as np
import pytest

from dataset_builder.check.statistics import ALPHA, accuracy, holm, share


def test_pairs_that_cancel_are_exact_however_few():
    result = share([1, 0, 0, 1], 0.5, ["a", "a", "b", "b"])
    assert result.value == result.expected == 0.5
    assert result.error == 0
    assert result.p == 1


def test_a_share_is_tested_by_its_clusters():
    # 60 rows that agree within 6 clusters say no more than 6 rows.
    clusters = [number // 10 for number in range(60)]
    alike = share(np.ones(60), 0.5, clusters)
    apart = share(np.ones(60), 0.5, list(range(60)))
    assert alike.p == pytest.approx(2**-5)
    assert apart.p == pytest.approx(math.erfc(math.sqrt(60) / math.sqrt(2)))
    assert apart.error == pytest.approx(0.5 / math.sqrt(60))


def test_false_alarms_are_as_rare_as_said():
    draw = np.random.default_rng(0)
    clusters = np.repeat(np.arange(40), 5).tolist()
    alarms = sum(share(np.repeat(draw.random(40) < 0.25, 5), 0.25, clusters).p < 0.05 for _ in range(1000))
    assert alarms / 1000 == pytest.approx(0.05, abs=0.02)


def test_accuracy_has_the_larger_of_two_errors():
    # Two volumes, 20 rows: one all right, one all wrong; by volume the error is 1/2, binomial it is 0.11.
    result = accuracy([1] * 10 + [0] * 10, 0.5, ["a"] * 10 + ["b"] * 10)
    assert result.error == pytest.approx(0.5)
    assert result.p == 1
    # Equal in both volumes: between them there is no difference, so the binomial error counts.
    result = accuracy([1, 1, 1, 0, 0] * 4, 0.5, ["a"] * 10 + ["b"] * 10)
    assert result.error == pytest.approx(0.5 / math.sqrt(20))
    assert result.deviation == pytest.approx(0.1)


def test_accuracy_of_one_volume_has_the_binomial_error():
    assert accuracy([1, 0, 0, 0], 0.25, ["a"] * 4).error == pytest.approx(math.sqrt(0.25 * 0.75 / 4))


def test_holm_rejects_one_by_one_at_a_stricter_level_each():
    probabilities = [0.004, 0.9, 0.02, 0.0004, 0.03]
    rejected = set()
    for rank, number in enumerate(sorted(range(5), key=lambda i: probabilities[i])):
        if probabilities[number] >= ALPHA / (5 - rank):
            break
        rejected.add(number)
    assert {number for number, p in enumerate(holm(probabilities)) if p < ALPHA} == rejected == {3}
    assert holm([]) == []
