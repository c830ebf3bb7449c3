"""Confusions, counted by plain loops over the rows."""

from collections import Counter, defaultdict

from lm_eval_tasks.report.confusions import confusions
from lm_eval_tasks.report.contents import contents
from lm_eval_tasks.report.runs import read_runs
from tests.helpers.harness_files import LAY, row, write_run
from tests.helpers.report_numbers import rows_where


def test_opposites_are_counted_by_meaning(reading, sheets):
    found = confusions(sheets[0])
    meaning = {LAY[term]: term for term in LAY} | {term: term for term in LAY}
    expected = defaultdict(Counter)
    taken = Counter()
    for question, answer in rows_where(reading, reading.runs[0], input="slice"):
        if question["terminology"] == "directional":
            expected[question["relation"]][meaning[answer.said] if answer.said else "no answer"] += 1
        elif not answer.right:
            taken[question["answer"], answer.said or "no answer"] += 1
    assert found["terms"] == expected
    assert {(each["answer"], each["said"]): each["count"] for each in found["taken_for"]} == taken
    asked = Counter(q["answer"] for q, _ in rows_where(reading, reading.runs[0], terminology="anatomical"))
    assert all(each["of"] == asked[each["answer"]] for each in found["taken_for"])


def test_relations_are_named_without_the_number_of_an_image(tmp_path):
    rows = [
        row("a", 0, input="stack", terminology="relational", relation="largest in image 3"),
        row("b", 0, input="stack", terminology="relational", relation="largest in image 12"),
        row("c", 0, relation="left"),
    ]
    write_run(tmp_path, rows, lambda each: each["answer"])
    report = contents(read_runs([str(tmp_path)]))
    found = {s["value"][0]: s["items"] for s in report["runs"][0]["scores"] if s["by"] == ["relation"]}
    assert found == {"left": 1, "largest": 2}
