import random

import pytest

from dataset_builder.check.balance import check_balance
from dataset_builder.check.findings import Findings
from tests.helpers.audit_items import item, items, pair


def problems(rows):
    findings = Findings()
    described = check_balance(rows, findings)
    return {
        (violation.problem, example.split(" [")[0])
        for violation in findings.checks["balance"].violations.values()
        for example in violation.examples
    }, described


def test_pairs_are_balanced_however_their_options_stand():
    found, (described,) = problems(items(*(pair(turned_options=True) for _ in range(200))))
    assert found == set()
    assert described.rows == 400
    assert described.positions == (0.5, 0.5)
    assert described.top_answer_share == 0.5
    assert described.structures == 2


def test_a_word_that_is_right_more_often_is_found():
    alone = [item(pair_id="", answer="left" if number % 4 else "right") for number in range(200)]
    found, _ = problems(items(alone))
    assert (
        "One of two words is right more often than the other.",
        "ct_axial directional_box: left / right",
    ) in found


def names(number: int, position: int):
    options = [f"structure {number} {letter}" for letter in "abcd"]
    return item(
        options=tuple(options),
        answer=options[position],
        terminology="anatomical",
        relation="liver",
        structures=("liver",),
        boxes=((1, 1, 2, 2),),
        points=((1, 1),),
        box_images=(0,),
    )


def test_a_favoured_position_is_found_and_a_drawn_one_is_not():
    draw = random.Random(0)
    fair = [names(number, draw.randrange(4)) for number in range(400)]
    assert problems(items(fair))[0] == set()
    biased = [names(number, 0 if number % 2 else draw.randrange(4)) for number in range(400)]
    found, (described,) = problems(items(biased))
    assert {where for _, where in found} >= {"ct_axial anatomical_box: option 1 of 4"}
    assert described.positions[0] == pytest.approx(0.625, abs=0.1)


def test_small_cells_raise_no_alarm():
    """Four rows, all of them with the first option right."""
    rows = [names(number, 0) for number in range(4)]
    assert problems(items(rows))[0] == set()


def test_a_structure_that_is_always_a_is_found():
    rows = [item(pair_id="", answer=("left", "right")[number % 2]) for number in range(100)]
    found, _ = problems(items(rows))
    assert ("A structure is A more or less often than it is B.", "ct_axial directional_box: liver") in found
