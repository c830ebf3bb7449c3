"""A sound data set passes; of a copy with many defects each is found, and nothing else is reported."""

import pytest

from tests.helpers.defects import DEFECTS, NOTED


def violations(audit):
    """(check, problem, example) of everything that an audit found."""
    return [
        (check.name, violation.problem, example)
        for check in audit.findings.checks.values()
        for violation in check.violations.values()
        for example in violation.examples
    ]


def test_a_sound_data_set_passes_every_check(sound):
    assert violations(sound) == []
    assert sound.ok
    for check in sound.findings.checks.values():
        if check.name == "swapped":
            continue  # the torso and the knee cannot lend each other a slice
        assert check.looked_at > 0, check.name
        assert check.status == "ok"


@pytest.mark.parametrize("name", DEFECTS)
def test_a_defect_is_found(name, broken, sound):
    _, made, audit = broken
    for check, problem in NOTED[name].items():
        reported = [example for of, what, example in violations(audit) if of == check and problem in what]
        assert any(any(mark in example for mark in made[name]) for example in reported), (check, problem, reported)


def test_nothing_else_is_reported(broken):
    _, made, audit = broken
    for check, problem, example in violations(audit):
        assert any(mark in example for marks in made.values() for mark in marks), (check, problem, example)
