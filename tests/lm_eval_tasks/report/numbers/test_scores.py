"""Scores of groups, recomputed by plain loops over the rows."""

import math
from collections import Counter, defaultdict

import numpy as np
import pytest
from scipy import stats

from lm_eval_tasks.report.contents import contents
from lm_eval_tasks.report.items import Sheet
from lm_eval_tasks.report.runs import read_runs
from lm_eval_tasks.report.scores import blind_reference, scores
from tests.helpers.harness_files import row, write_run
from tests.helpers.report_numbers import ROWS, guess, rows_where, score_of


def test_every_group_has_its_items_and_accuracy(reading, sheets):
    run = reading.runs[0]
    found = scores(sheets[0])
    assert found[0]["items"] == len(ROWS)  # without the blank and the mirrored ones
    seen = set()
    for score in found:
        wanted = dict(zip(score["by"], score["value"], strict=True))
        if "structure" in wanted or "margin_mm" in wanted:
            continue
        wanted.setdefault("view", "plain")
        if "input" not in wanted:
            wanted["input"] = "slice"
        here = rows_where(reading, run, **wanted)
        if "relation" in wanted:
            here = [each for each in here if each[0]["terminology"] != "anatomical"]
        assert score["items"] == len(here) > 0
        assert score["accuracy"]["value"] == pytest.approx(np.mean([answer.right for _, answer in here]), abs=1e-6)
        assert score["invalid"]["value"] == pytest.approx(
            np.mean([answer.said is None for _, answer in here]), abs=1e-6
        )
        assert score["chance"] == pytest.approx(np.mean([1 / len(q["options"]) for q, _ in here]), abs=1e-6)
        assert score["volumes"] == len({q["subject"] for q, _ in here})
        seen.add(tuple(score["by"]))
    factors = ("terminology", "prompt", "register", "convention", "frame", "view", "input", "modality", "plane")
    assert seen == {(), *((name,) for name in (*factors, "source", "relation")), ("terminology", "prompt")}


def test_columns_that_the_data_lack_are_absent(reading, sheets):
    assert "stack_order" not in {name for score in scores(sheets[0]) for name in score["by"]}
    assert "stack_order" not in contents(reading)["data"]["factors"]


def test_a_question_counts_for_each_of_its_structures(reading, sheets):
    found = [score for score in scores(sheets[0]) if score["by"] == ["structure"]]
    run = reading.runs[0]
    expected = Counter(name for q, _ in rows_where(reading, run, input="slice") for name in set(q["structures"]))
    assert {score["value"][0]: score["items"] for score in found} == expected


def test_margins_are_grouped_in_millimetres(reading, sheets):
    found = {s["value"][0]: s["items"] for s in scores(sheets[0]) if s["by"] == ["margin_mm"]}
    expected = Counter()
    for question, _ in rows_where(reading, reading.runs[0], input="slice"):
        margin = question["margin_mm"]
        expected["below 8" if margin < 8 else "8-15" if margin < 15 else "15-30" if margin < 30 else "30-60"] += 1
    assert found == expected


def test_pairs_count_when_both_are_right(reading, sheets):
    run = reading.runs[0]
    pairs = defaultdict(list)
    for question, answer in rows_where(reading, run, input="slice", register="lay"):
        pairs[question["pair_id"]].append(answer.right)
    score = score_of(scores(sheets[0]), "lay")
    assert score["pairs"] == len(pairs)
    assert score["pair_accuracy"]["value"] == pytest.approx(np.mean([all(pair) for pair in pairs.values()]), abs=1e-6)
    assert score["pair_chance"] == 0.25
    assert score_of(scores(sheets[0]), "right")["pair_accuracy"] is None  # the partner's relation is another


def test_half_a_pair_is_no_pair(tmp_path):
    write_run(tmp_path, [row("p", 0), row("p", 1), row("q", 0)], lambda each: each["answer"])
    reading = read_runs([str(tmp_path)])
    assert scores(Sheet(reading.runs[0], reading.questions))[0]["pairs"] == 1


def test_interval_is_by_volume(sheets):
    """Recomputed: the variance between volumes, relative to that of a share, in Wilson's interval with Student's t.

    All volumes have as many questions here, so that there are 11 degrees of freedom.
    """
    score = scores(sheets[0])[0]
    sheet = sheets[0]
    counted = [q["input"] == "slice" and q["view"] == "plain" for q in sheet.questions]
    right = sheet.right[counted].astype(float)
    subjects = np.array([q["subject"] for q in sheet.questions])[counted]
    means = [right[subjects == name].mean() for name in np.unique(subjects)]
    m = right.mean()
    reach = stats.t.ppf(0.975, 11) ** 2 * np.var(means, ddof=1) / 12 / (m * (1 - m))
    middle, half = m + reach / 2, math.sqrt(reach * m * (1 - m) + reach**2 / 4)
    bounds = ((middle - half) / (1 + reach), (middle + half) / (1 + reach))
    assert (score["accuracy"]["low"], score["accuracy"]["high"]) == pytest.approx(bounds, abs=1e-5)
    assert (score["accuracy"]["method"], score["accuracy"]["clusters"]) == ("t by volume", 12)


def test_following_the_prior_is_counted_where_it_would_be_wrong(reading, sheets):
    run = reading.runs[0]
    here = rows_where(reading, run, input="slice")
    against = [(q, a) for q, a in here if q["prior_answer"] and q["prior_answer"] != q["answer"]]
    along = [a.right for q, a in here if q["prior_answer"] == q["answer"]]
    prior = scores(sheets[0])[0]["prior"]
    assert prior["items"] == len(against) > 0
    followed = np.mean([answer.said == question["prior_answer"] for question, answer in against])
    assert prior["followed"]["value"] == pytest.approx(followed, abs=1e-6)
    right = np.mean([answer.right for _, answer in against])
    assert prior["accuracy_where_it_is_wrong"]["value"] == pytest.approx(right, abs=1e-6)
    assert prior["accuracy_where_it_is_right"]["value"] == pytest.approx(np.mean(along), abs=1e-6)
    assert score_of(scores(sheets[0]), "anatomical")["prior"] is None


def test_gain_over_the_blind_run_is_on_the_same_questions(reading, sheets):
    seeing, blind = sheets[0], sheets[2]
    score = score_of(scores(seeing, blind), "lay")
    pairs = [
        (answer.right, blind.run.answers[question["id"]].right)
        for question, answer in rows_where(reading, seeing.run, input="slice", register="lay")
    ]
    seen, unseen = np.mean(pairs, axis=0)
    assert (score["blind"]["accuracy"], score["blind"]["blind_accuracy"]) == pytest.approx((seen, unseen), abs=1e-6)
    assert score["blind"]["gain"]["value"] == pytest.approx(seen - unseen, abs=1e-6)
    assert score_of(scores(seeing, blind), "blank")["blind"] is None


def test_the_blind_run_of_the_same_model_is_preferred(tmp_path):
    rows = ROWS[:40]
    write_run(tmp_path / "a", rows, guess)
    write_run(tmp_path / "b", rows, lambda each: each["answer"], blind=True, model_args={"pretrained": "clever"})
    write_run(tmp_path / "c", rows, guess, blind=True, model_args={"pretrained": "other"})
    reading = read_runs([str(tmp_path / name) for name in "abc"])
    sheets = [Sheet(run, reading.questions) for run in reading.runs]
    assert blind_reference(sheets[0], sheets).run.name == "clever, blind"
    write_run(tmp_path / "d", rows, guess, blind=True)
    reading = read_runs([str(tmp_path / name) for name in "abcd"])
    sheets = [Sheet(run, reading.questions) for run in reading.runs]
    assert blind_reference(sheets[0], sheets).run.name == "some-model, blind"
    assert blind_reference(sheets[1], sheets) is None
