"""A few of the inputs that ``tests/benchmarks/fuzz.py`` reads by the hundred thousand."""

from tests.benchmarks import fuzz

TARGETS = 35


def test_damaged_files_do_no_harm():
    outcomes, harm = fuzz.fuzz(count=TARGETS * 8, seed=0)
    assert harm == []
    assert len(outcomes) == TARGETS
    assert all(counts.total() == 8 for counts in outcomes.values())
    read = sum(counts["read"] for counts in outcomes.values())
    assert 10 < read < 200  # some inputs are still sound, most are not


def test_a_process_that_ends_is_replaced_and_its_input_named(monkeypatch):
    def ends(count, seed, only="", first=0):
        for number in range(first, count):
            if number == 3:
                fuzz.os._exit(1)
            yield number, "x", "read", []

    monkeypatch.setattr(fuzz, "each", ends)
    outcomes, harm = fuzz.fuzz(6, 0, run=fuzz.each_apart)
    assert outcomes["x"]["read"] == 5
    assert harm == ["? 3: the process was ended"]
