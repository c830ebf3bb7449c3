"""Scores, effects, comparisons and confusions, recomputed by plain loops over the rows."""

import itertools
import math
from collections import Counter, defaultdict

import numpy as np
import pytest
from scipy import stats

from cluster_statistics import mean_difference
from lm_eval_tasks.report.comparisons import comparisons
from lm_eval_tasks.report.confusions import confusions
from lm_eval_tasks.report.contents import contents, digest
from lm_eval_tasks.report.effects import effects
from lm_eval_tasks.report.items import Sheet
from lm_eval_tasks.report.runs import read_runs
from lm_eval_tasks.report.scores import blind_reference, scores
from tests.helpers.harness_files import LAY, factorial_rows, luck, row, write_run

ROWS = factorial_rows(volumes=12, facts=3, prior=True)


def other(each):
    return next(option for option in each["options"] if option != each["answer"])


def worse_in_lay_words(each):
    """Right in 9 of 10 clinical and 5 of 10 lay questions; now and then no answer."""
    if luck("silent", each["id"]) < 0.05:
        return "no idea"
    return each["answer"] if luck(each["id"]) < (0.5 if each["register"] == "lay" else 0.9) else other(each)


def better(each):
    return each["answer"] if luck("better", each["id"]) < 0.95 else worse_in_lay_words(each)


def guess(each):
    return each["options"][int(luck("blind", each["id"]) * len(each["options"]))]


@pytest.fixture(scope="module")
def reading(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    blank = [
        each | {"id": f"blank-{each['id']}", "pair_id": f"blank-{each['pair_id']}", "input": "blank"}
        for each in ROWS
        if each["prompt"] == "box" and each["terminology"] == "directional"
    ]
    mirrored = [
        each | {"id": f"mirrored-{each['id']}", "pair_id": f"mirrored-{each['pair_id']}", "view": "mirrored"}
        for each in ROWS
        if each["prompt"] == "none" and each["register"] == "clinical"
    ]
    rows = [{"view": "plain"} | each for each in ROWS + blank + mirrored]
    write_run(folder / "a", rows, worse_in_lay_words)
    write_run(folder / "b", rows, better, model_args={"pretrained": "org/better"})
    write_run(folder / "c", [{"view": "plain"} | each for each in ROWS], guess, blind=True, model="hf")
    return read_runs([str(folder / name) for name in "abc"])


@pytest.fixture(scope="module")
def sheets(reading):
    return [Sheet(run, reading.questions) for run in reading.runs]


def score_of(found, *value):
    return next(score for score in found if score["value"] == list(value))


def rows_where(reading, run, **wanted):
    wanted.setdefault("view", "plain")
    return [
        (question, run.answers[identity])
        for identity, question in reading.questions.items()
        if identity in run.answers and all(question.get(name, "plain") == value for name, value in wanted.items())
    ]


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


# --- effects ---------------------------------------------------------------------------------------------------------

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


# --- comparisons -----------------------------------------------------------------------------------------------------


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


# --- confusions ------------------------------------------------------------------------------------------------------


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


def test_digest_tells_whether_the_same_questions_were_answered():
    assert digest(["a", "b"]) == digest(["b", "a"]) != digest(["a", "c"])


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
