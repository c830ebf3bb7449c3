"""A few of the inputs that ``tests/benchmarks/fuzz.py`` reads by the hundred thousand."""

from tests.benchmarks import fuzz


def test_damaged_files_do_no_harm():
    outcomes, harm = fuzz.fuzz(count=286, seed=0)
    assert harm == []
    assert all(counts.total() == 22 for counts in outcomes.values())
    assert len(outcomes) == 13
    read = sum(counts["read"] for counts in outcomes.values())
    assert 10 < read < 200  # some inputs are still sound, most are not
