"""Comparisons of runs, recomputed by plain loops over the rows."""

import numpy as np
import pytest
from scipy import stats

from cluster_statistics import mean_difference
from lm_eval_tasks.report.comparisons import comparisons
from lm_eval_tasks.report.contents import contents, digest
from lm_eval_tasks.report.items import Sheet
from lm_eval_tasks.report.runs import read_runs
from tests.helpers.harness_files import factorial_rows, luck, write_run
from tests.helpers.report_numbers import better, guess, other, rows_where, worse_in_lay_words


def test_comparison_is_on_the_shared_questions(reading, sheets):
    (found,) = comparisons(sheets)
    assert (found["from"], found["to"]) == ("some-model", "better")
    one, two = reading.runs[:2]
    for group in [found["overall"], *found["groups"]]:
        wanted = dict(zip(group["by"], group["value"], strict=True))
        if "margin_mm" in wanted:
            continue
        wanted.setdefault("input", "slice")
        wanted.setdefault("view", "plain")
        both = [
            (answer.right, two.answers[q["id"]].right)
            for q, answer in rows_where(reading, one, **wanted)
            if "relation" not in wanted or q["terminology"] != "anatomical"
        ]
        assert group["items"] == len(both)
        assert group["lost"] == sum(a and not b for a, b in both)
        assert group["won"] == sum(b and not a for a, b in both)
        first, second = np.mean(both, axis=0)
        assert group["difference"]["value"] == pytest.approx(second - first, abs=1e-6)
        low, high = group["difference"]["low"], group["difference"]["high"]
        assert low <= group["difference"]["value"] <= high
        assert (group["p"] < 0.05) == (not low <= 0 <= high)
        assert group["p_mcnemar"] is None
    assert found["overall"]["p_holm"] is None
    assert all(group["p_holm"] >= group["p"] for group in found["groups"])
    assert found["overall"]["difference"]["method"] == "t by volume"


def test_a_comparison_is_by_volume(reading, sheets):
    (found,) = comparisons(sheets)
    differences, subjects = [], []
    for question, answer in rows_where(reading, reading.runs[0], input="slice"):
        differences.append(float(reading.runs[1].answers[question["id"]].right) - float(answer.right))
        subjects.append(question["subject"])
    by_volume = mean_difference(differences, subjects)
    assert found["overall"]["difference"] == by_volume.interval.to_json()
    assert found["overall"]["p"] == pytest.approx(by_volume.p, abs=1e-6)
    # All volumes have as many questions: close to the t-test of their means, which knows of no bounds.
    means = [np.mean([d for d, s in zip(differences, subjects, strict=True) if s == name]) for name in set(subjects)]
    low, high = stats.ttest_1samp(means, 0).confidence_interval(0.95)
    assert (by_volume.interval.low, by_volume.interval.high) == pytest.approx((low, high), abs=0.02)


def test_questions_of_six_volumes_are_not_six_hundred_proofs(tmp_path):
    """One run better in every volume by a little: McNemar's test of the questions says p < 0.001."""
    rows = factorial_rows(volumes=6, facts=6)
    gain = {f"s{number}": gain for number, gain in enumerate((0.02, 0.35, 0.05, 0.3, 0.02, 0.03))}
    for name in "ab":
        write_run(
            tmp_path / name,
            rows,
            lambda each, name=name: (
                each["answer"]
                if luck(each["id"]) < 0.4 + (gain[each["subject"]] if name == "b" else 0)
                else other(each)
            ),
            model_args={"pretrained": name},
        )
    (found,) = contents(read_runs([str(tmp_path / name) for name in "ab"]))["comparisons"]
    overall = found["overall"]
    assert stats.binomtest(overall["won"], overall["won"] + overall["lost"]).pvalue < 0.001
    assert overall["p"] > 0.02


def test_few_volumes_are_compared_within_bounds(tmp_path):
    rows = factorial_rows(volumes=3, facts=2)
    write_run(tmp_path / "a", rows, worse_in_lay_words)
    write_run(tmp_path / "b", rows[: len(rows) - 5], better, model_args={"pretrained": "b"})
    reading = read_runs([str(tmp_path / name) for name in "ab"])
    (found,) = comparisons([Sheet(run, reading.questions) for run in reading.runs])
    assert found["overall"]["items"] == len(rows) - 5
    assert found["overall"]["difference"]["method"] == "t by volume"
    for group in [found["overall"], *found["groups"]]:
        assert group["difference"]["clusters"] == group["volumes"]
        assert -1 <= group["difference"]["low"] < group["difference"]["high"] <= 1


def test_one_volume_is_compared_by_fact(tmp_path):
    rows = factorial_rows(volumes=1, facts=6)
    for name in "ab":
        write_run(tmp_path / name, rows, worse_in_lay_words if name == "a" else better, model_args={"pretrained": name})
    report = contents(read_runs([str(tmp_path / name) for name in "ab"]))
    overall = report["comparisons"][0]["overall"]
    assert (overall["difference"]["method"], overall["difference"]["clusters"]) == ("t by fact", 12)
    assert overall["p_mcnemar"] == pytest.approx(
        stats.binomtest(overall["won"], overall["won"] + overall["lost"]).pvalue, abs=1e-6
    )
    score = report["runs"][0]["scores"][0]
    for name in ("accuracy", "above_chance", "pair_accuracy", "invalid"):
        assert score[name]["method"] == "t by fact"


@pytest.mark.parametrize(("volumes", "said"), [(1, "one volume"), (4, "4 volumes"), (5, "")])
def test_few_volumes_are_told(tmp_path, volumes, said):
    write_run(tmp_path, factorial_rows(volumes=volumes, facts=1), better)
    warnings = contents(read_runs([str(tmp_path)]))["warnings"]
    assert [said in warning for warning in warnings] == [True] * bool(said)


def test_many_runs_are_compared_with_the_first(tmp_path):
    rows = factorial_rows(volumes=2, facts=1)
    places = []
    for name in "abcdef":
        write_run(tmp_path / name, rows, guess, model_args={"pretrained": name})
        places.append(str(tmp_path / name))
    reading = read_runs(places)
    sheets = [Sheet(run, reading.questions) for run in reading.runs]
    assert [(c["from"], c["to"]) for c in comparisons(sheets)] == [("a", other) for other in "bcdef"]
    assert len(comparisons(sheets[:4])) == 6


def test_digest_tells_whether_the_same_questions_were_answered():
    assert digest(["a", "b"]) == digest(["b", "a"]) != digest(["a", "c"])
