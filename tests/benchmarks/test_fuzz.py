"""A few of the inputs that ``tests/benchmarks/fuzz.py`` reads by the hundred thousand."""

from tests.benchmarks import fuzz


def test_damaged_files_do_no_harm():
    outcomes, harm = fuzz.fuzz(count=280, seed=0)
    assert harm == []
    assert all(counts.total() == 40 for counts in outcomes.values())
    assert len(outcomes) == 7
    read = sum(counts["read"] for counts in outcomes.values())
    assert 10 < read < 170  # some inputs are still sound, most are not
