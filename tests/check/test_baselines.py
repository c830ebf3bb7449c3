import random

import pytest

from dataset_builder.check.baselines import check_baselines, followed
from dataset_builder.check.findings import Findings
from tests.helpers.audit_items import item, items, pair

VOLUMES = [f"volume{number}" for number in range(10)]


def audit(rows):
    findings = Findings()
    return check_baselines(rows, findings, lambda *_: None), findings.checks["priors"]


def by_name(baselines):
    return {scored.cell: scored for scored in baselines}


def marked_pairs(count: int, **changes):
    draw = random.Random(1)
    return [pair(turned_options=draw.random() < 0.5, subject=draw.choice(VOLUMES), **changes) for _ in range(count)]


def test_pairs_of_marked_structures_leave_nothing_to_find():
    baselines, check = audit(items(*marked_pairs(100)))
    (cell,) = baselines.cells
    assert cell.gated
    assert {name: result.value for name, result in cell.guessers.items()} == dict.fromkeys(
        ("first", "longest", "constant", "text"), 0.5
    )
    assert not check.violations


def test_a_text_that_tells_the_answer_is_found():
    rows = []
    for first, other in marked_pairs(60):
        for row, word in ((first, "faintly"), (other, "clearly")):
            text = row.question.replace("Where is A?", f"Where is A, {word} seen?")
            rows.append(item(question=text, answer=row.answer, options=row.options, subject=row.subject))
    baselines, check = audit(items(rows))
    assert baselines.cells[0].guessers["text"].value > 0.9
    assert baselines.cells[0].guessers["constant"].value == pytest.approx(0.5, abs=0.1)
    (violation,) = check.violations.values()
    assert {example.split(" [found: ")[1].split(":")[0] for example in violation.examples} == {"text"}


def test_a_favourite_word_is_found_where_no_pair_balances_it():
    draw = random.Random(2)
    rows = [
        item(answer="left" if draw.random() < 0.9 else "right", subject=draw.choice(VOLUMES), pair_id="")
        for _ in range(200)
    ]
    baselines, check = audit(items(rows))
    assert baselines.cells[0].guessers["constant"].value == pytest.approx(0.9, abs=0.06)
    assert check.violations


def test_first_and_longest_options_are_scored():
    options = ("in front", "behind")
    rows = [
        item(options=options if n % 2 else options[::-1], answer="in front", subject=VOLUMES[n % 10]) for n in range(80)
    ]
    baselines, check = audit(items(rows))
    assert baselines.cells[0].guessers["first"].value == 0.5
    assert baselines.cells[0].guessers["longest"].value == 1.0
    (violation,) = check.violations.values()
    assert any("longest: 100.0 %" in example for example in violation.examples)


def test_the_prior_of_named_structures_is_reported_not_forbidden():
    draw = random.Random(3)
    organs = ["liver", "spleen", "stomach", "gallbladder", "pancreas", "duodenum"]
    rows = []
    for _ in range(300):
        one, other = draw.sample(range(6), 2)
        text = f"In the patient, is the {organs[one]} left or right of the {organs[other]}?"
        answer = "left" if one < other else "right"
        options = ("left", "right") if draw.random() < 0.5 else ("right", "left")
        rows.append(item(question=text, answer=answer, options=options, prompt="none", subject=draw.choice(VOLUMES)))
    baselines, check = audit(items(rows, *marked_pairs(20)))
    cells = by_name(baselines.cells)
    named = cells["ct_axial directional_none"]
    assert not named.gated
    assert named.guessers["text"].value > 0.8  # phrases keep the order of the two names, which single words do not
    assert named.guessers["first"].value == pytest.approx(0.5, abs=0.1)
    assert not check.violations
    assert by_name(baselines.pooled).keys() == {"slice, directional, named", "slice, directional, marked"}


def test_a_small_cell_raises_no_alarm():
    assert not audit(items([item(subject=volume) for volume in VOLUMES[:4]]))[1].violations


def test_one_volume_trains_nothing_and_says_so():
    baselines, check = audit(items(*(pair() for _ in range(5))))
    assert baselines.cells[0].guessers.keys() == {"first", "longest"}
    assert check.notes


def test_the_prior_answer_is_scored_by_how_an_image_is_shown():
    rows = [
        item(prior_answer="left"),
        item(prior_answer="left", answer="right"),
        item(prior_answer=""),
        item(prior_answer="right", view="mirrored"),
    ]
    plain, mirrored = sorted(followed(rows), key=lambda found: "mirrored" in found.shown)
    assert (plain.rows, plain.stated, plain.right) == (3, 2, 1)
    assert (mirrored.rows, mirrored.stated, mirrored.right) == (1, 1, 0)
