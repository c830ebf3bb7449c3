"""Effects within facts, recomputed by plain loops over the rows."""

import itertools

import numpy as np
import pytest

from cluster_statistics import mean_difference
from lm_eval_tasks.report.effects import effects
from lm_eval_tasks.report.items import Sheet
from lm_eval_tasks.report.runs import read_runs
from tests.helpers.harness_files import factorial_rows, row, write_run
from tests.helpers.report_numbers import worse_in_lay_words

FACTORS = ("terminology", "prompt", "register", "convention", "frame", "view", "input", "modality", "plane")


def matched_by_hand(reading, run, factor, one, two, terminology=None):
    """Differences between any two questions that share the fact and differ in nothing but the factor."""
    found = []
    asked = [q for q in reading.questions.values() if q["id"] in run.answers]
    for a, b in itertools.product(asked, asked):
        alike = a["fact_id"] == b["fact_id"] and a["structures"] == b["structures"]
        alike = alike and all(a.get(name) == b.get(name) for name in FACTORS if name != factor)
        if alike and (a[factor], b[factor]) == (one, two) and terminology in (None, a["terminology"]):
            if factor != "input" and a["input"] == "blank":
                continue
            found.append((run.answers[b["id"]].right - run.answers[a["id"]].right, a["subject"]))
    return found


@pytest.mark.parametrize(
    ("factor", "one", "two"),
    [
        ("register", "clinical", "lay"),
        ("prompt", "none", "box"),
        ("convention", "radiological", "ras"),
        ("input", "slice", "blank"),
    ],
)
def test_effects_are_differences_within_facts(tmp_path, factor, one, two):
    rows = factorial_rows(volumes=4, facts=2)
    rows += [each | {"id": f"blank-{each['id']}", "input": "blank"} for each in rows if each["prompt"] == "box"]
    write_run(tmp_path, rows, worse_in_lay_words)
    reading = read_runs([str(tmp_path)])
    sheet = Sheet(reading.runs[0], reading.questions)
    found = [e for e in effects(sheet) if e["factor"] == factor and not e["within"]]
    assert [(e["from"], e["to"]) for e in found] == [(one, two)]
    by_hand = matched_by_hand(reading, reading.runs[0], factor, one, two)
    differences = np.array([d for d, _ in by_hand], float)
    subjects = np.array([s for _, s in by_hand])
    assert found[0]["matched"] == len(by_hand) > 0
    assert found[0]["difference"]["value"] == pytest.approx(differences.mean(), abs=1e-6)
    change = found[0]["accuracy_to"] - found[0]["accuracy_from"]
    assert change == pytest.approx(differences.mean(), abs=2e-6)
    by_volume = mean_difference(differences, subjects)
    assert found[0]["difference"] == by_volume.interval.to_json()
    assert found[0]["p"] == pytest.approx(by_volume.p, abs=1e-6)


def test_a_planted_effect_is_found_and_no_other(sheets):
    found = {e["factor"]: e for e in effects(sheets[0]) if not e["within"]}
    lay = found["register"]["difference"]
    assert lay["low"] < -0.38 < lay["high"] < 0  # 0.9 - 0.5, less the silent ones
    assert found["register"]["p_holm"] < 0.001
    assert found["register"]["p_holm"] > found["register"]["p"]
    for factor in ("convention", "prompt"):
        assert found[factor]["difference"]["low"] < 0 < found[factor]["difference"]["high"]
        assert found[factor]["p_holm"] > 0.05


def test_effects_within_a_terminology_are_told_where_there_are_several(sheets, tmp_path):
    assert {e["within"] for e in effects(sheets[0])} == {""}  # all matched ones are directional here
    rows = factorial_rows(volumes=4, facts=2)
    rows = [each | ({"terminology": "relational"} if each["fact_id"].endswith("f1") else {}) for each in rows]
    write_run(tmp_path, rows, worse_in_lay_words)
    reading = read_runs([str(tmp_path)])
    found = {e["within"]: e for e in effects(Sheet(reading.runs[0], reading.questions)) if e["factor"] == "register"}
    assert set(found) == {"", "directional", "relational"}
    for terminology in ("directional", "relational"):
        by_hand = matched_by_hand(reading, reading.runs[0], "register", "clinical", "lay", terminology)
        assert found[terminology]["matched"] == len(by_hand)
        assert found[terminology]["difference"]["value"] == pytest.approx(np.mean([d for d, _ in by_hand]), abs=1e-6)
    assert found[""]["matched"] == found["directional"]["matched"] + found["relational"]["matched"]


def rows_in_order(cells, prompt="label", pairs=8, volumes=8, **changes):
    """Three structures in a row, asked for from either end: both questions of a pair have the same structures."""
    rows = []
    for number in range(pairs):
        for cell in cells:
            for member, end in enumerate(("superior", "inferior")):
                rows.append(
                    row(
                        f"{number}-{'-'.join(cell.values())}",
                        member,
                        fact_id=f"fact {number}",
                        subject=f"s{number % volumes}",
                        input="stack",
                        terminology="relational",
                        prompt=prompt,
                        relation=end,
                        structures=["liver", "spleen", "aorta"],
                        options=["A, B, C", "C, B, A"],
                        **cell,
                        **changes,
                    )
                )
    return rows


CELLS = [{"register": "clinical"}, {"register": "lay"}]
ORDERS = [{"stack_order": order, "register": "clinical"} for order in ("ascending", "descending", "unstated")]


@pytest.mark.parametrize(("factor", "cells"), [("register", CELLS), ("stack_order", ORDERS)])
@pytest.mark.parametrize("left_out", [None, "superior", "inferior"])
def test_questions_about_three_structures_in_a_row_match_their_own_kind(tmp_path, factor, cells, left_out):
    """Right of the one end and wrong of the other, however it is asked: no effect, whatever is not answered."""
    rows = rows_in_order(cells)
    answered = [each for each in rows if each[factor] != cells[0][factor] or each["relation"] != left_out]
    write_run(tmp_path, answered, lambda each: each["answer"] if each["relation"] == "superior" else "C, A, B")
    reading = read_runs([str(tmp_path)])
    sheet = Sheet(reading.runs[0], reading.questions)
    found = [e for e in effects(sheet) if e["factor"] == factor]
    assert len(found) == len(cells) * (len(cells) - 1) / 2
    for effect in found:
        whole = left_out is None or cells[0][factor] != effect["from"]
        assert effect["matched"] == (16 if whole else 8)
        assert effect["difference"]["value"] == 0
        assert effect["p"] == 1


def test_an_effect_upon_one_end_only_is_measured(tmp_path):
    rows = rows_in_order(CELLS)
    hard = ("lay", "inferior")
    write_run(tmp_path, rows, lambda each: "no" if (each["register"], each["relation"]) == hard else each["answer"])
    reading = read_runs([str(tmp_path)])
    (effect,) = (e for e in effects(Sheet(reading.runs[0], reading.questions)) if e["factor"] == "register")
    assert (effect["matched"], effect["difference"]["value"]) == (16, -0.5)


def test_the_number_of_an_image_does_not_tell_questions_apart(tmp_path):
    """Turned round, what is first in image 2 of 6 is last in image 5: the same fact asked again."""
    rows = []
    for number in range(6):
        for order, names in (("ascending", ("first", 2)), ("descending", ("last", 5))):
            for member, name in enumerate(("liver", "spleen")):
                changes = {"structures": [name], "relation": f"{names[0]} in image {names[1] + member}"}
                changes |= {"stack_order": order, "fact_id": f"f{number}", "subject": f"s{number}", "input": "stack"}
                rows.append(row(f"{number}-{order}", member, terminology="relational", **changes))
    write_run(tmp_path, rows, lambda each: each["answer"] if each["structures"] == ["liver"] else "no")
    reading = read_runs([str(tmp_path)])
    (effect,) = (e for e in effects(Sheet(reading.runs[0], reading.questions)) if e["factor"] == "stack_order")
    assert (effect["matched"], effect["difference"]["value"]) == (12, 0)


def test_questions_that_only_their_number_tells_apart_are_matched_by_it_or_not_at_all(tmp_path):
    rows = [each | {"relation": "in a row"} for each in rows_in_order(CELLS)]
    write_run(tmp_path / "a", rows, lambda each: each["answer"] if each["id"].endswith("-0") else "no")
    named = [each | {"id": each["id"] + "x"} for each in rows]
    write_run(tmp_path / "b", named, lambda each: each["answer"])
    numbered, unnumbered = (read_runs([str(tmp_path / name)]) for name in "ab")
    (effect,) = effects(Sheet(numbered.runs[0], numbered.questions))
    assert (effect["matched"], effect["difference"]["value"]) == (16, 0)
    matched_by_end = effects(Sheet(unnumbered.runs[0], unnumbered.questions))
    assert [e["matched"] for e in matched_by_end] == [16]  # "0x" and "1x" still tell them apart
    alike = [each | {"id": f"{number}-{each['id'].replace('-', '')}"} for number, each in enumerate(rows)]
    write_run(tmp_path / "c", alike, lambda each: each["answer"])
    reading = read_runs([str(tmp_path / "c")])
    assert effects(Sheet(reading.runs[0], reading.questions)) == []
