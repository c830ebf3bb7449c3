"""Looking or knowing: controls against their originals, of models that look, that know, and that choose a place."""

from collections import defaultdict

import pytest

from lm_eval_tasks.report.answers import Answer
from lm_eval_tasks.report.items import Sheet
from lm_eval_tasks.report.looking import looking
from lm_eval_tasks.report.looking_page import looking_part
from lm_eval_tasks.report.runs import Run
from tests.helpers.harness_files import ORGANS, luck, row

PLAIN = {"view": "plain", "statement": "edges", "option_form": "listed", "answer_type": "choice"}
VOLUMES = 8


def rows():
    """Pairs of directions and of names with every control, in eight volumes."""
    made = []
    for volume in range(VOLUMES):
        for member in (0, 1):
            terms, names = ("right", "left"), ORGANS
            structures = ["liver", "spleen"][:: 1 - 2 * member]
            about = {"subject": f"s{volume}", "fact_id": f"d{volume}", "options": list(terms), **PLAIN}
            asked = about | {"relation": terms[member], "structures": structures, "answer_index": member}
            made.append(row(f"d{volume}", member, **asked))
            made.append(row(f"o{volume}", member, **asked | {"view": "occluded"}))
            made.append(row(f"b{volume}", member, **asked | {"input": "blank"}))
            made.append(row(f"n{volume}", member, **asked | {"statement": "name"}))
            other = {"view": "swapped", "subject": f"s{(volume + 1) % VOLUMES}", "answer_index": 1 - member}
            swapped = other | {"relation": terms[1 - member], "structures": structures[::-1]}
            made.append(row(f"s{volume}", member, **asked | swapped))
            claim = {"option_form": "yes_no", "options": ["yes", "no"]}
            made.append(row(f"y{volume}", member, **asked | claim))
            about = {"subject": f"s{volume}", "fact_id": f"a{volume}", "terminology": "anatomical", **PLAIN}
            for by in range(4):
                options = [*names[by:], *names[:by]]
                form = {"options": options, "answer_index": options.index(names[member])}
                form |= {"option_form": f"shifted{by}" if by else "listed"}
                made.append(
                    row(
                        f"a{volume}-{by}",
                        member,
                        **about | form | {"relation": names[member], "structures": [names[member]]},
                    )
                )
    return made


ROWS = rows()


def looks(each):
    """Right wherever something is to be seen; else it guesses."""
    if each["view"] == "occluded" or each["input"] == "blank":
        return each["options"][int(luck("guess", each["id"]) * len(each["options"]))]
    return each["answer"]


def knows(each):
    """Says what the words told it, whatever the image shows: of swapped rows what was right of the original."""
    if each["view"] == "swapped":
        return next(option for option in each["options"] if option != each["answer"])
    return each["answer"]


def takes_the_first(each):
    return each["options"][0]


def sheet(answer):
    answers = {}
    for each in ROWS:
        said = answer(each)
        answers[each["id"]] = Answer(said or "", said, said == each["answer"])
    run = Run("made", "pictures", "made", {}, {}, answers)
    return Sheet(run, {each["id"]: each for each in ROWS})


def found(answer):
    result = looking(sheet(answer))
    return {each["control"]: each for each in result["controls"]}, result["circular"]


def test_every_control_is_matched_with_its_own_original():
    controls, circular = found(looks)
    assert set(controls) == {"occluded", "swapped", "blank", "name", "yes_no"}
    assert {each["matched"] for each in controls.values()} == {2 * VOLUMES}
    assert {each["volumes"] for each in controls.values()} == {VOLUMES}
    assert (circular["questions"], circular["orders"]) == (2 * VOLUMES, 8 * VOLUMES)


def test_who_looks_is_lost_where_structures_are_hidden_and_changes_its_answer():
    controls, circular = found(looks)
    by_hand = [looks(each) == each["answer"] for each in ROWS if each["view"] == "occluded"]
    assert controls["occluded"]["accuracy_original"]["value"] == 1
    assert controls["occluded"]["accuracy_control"]["value"] == pytest.approx(sum(by_hand) / len(by_hand), abs=1e-3)
    assert controls["occluded"]["difference"]["high"] < 0
    assert controls["swapped"]["accuracy_control"]["value"] == 1
    assert controls["swapped"]["same_answer"]["value"] == 0
    assert controls["swapped"]["both_right"]["value"] == 1
    assert circular["all_right"]["value"] == circular["consistent"]["value"] == 1


def test_who_knows_is_right_without_seeing_and_wrong_of_another_subject():
    controls, _ = found(knows)
    assert controls["occluded"]["difference"]["value"] == 0
    assert controls["swapped"]["accuracy_control"]["value"] == 0
    assert controls["swapped"]["same_answer"]["value"] == 1
    assert controls["swapped"]["both_right"]["value"] == 0


def test_who_takes_a_place_is_right_once_in_four_orders():
    _, circular = found(takes_the_first)
    assert circular["accuracy"]["value"] == pytest.approx(0.25)
    assert circular["all_right"]["value"] == circular["consistent"]["value"] == 0
    assert circular["same_place"]["value"] == 1
    assert circular["all_right_by_chance"] == pytest.approx(0.25**4, abs=1e-3)


def test_controls_stay_out_of_the_headline():
    made = sheet(takes_the_first)
    counted = defaultdict(int)
    for number in made.scored:
        counted[made.questions[number]["pair_id"][0]] += 1
    assert counted == {"d": 2 * VOLUMES, "a": 2 * VOLUMES}


def test_a_set_of_orders_that_is_not_whole_is_not_counted():
    made = sheet(looks)
    left = {key: value for key, value in made.run.answers.items() if not key.startswith("a0-2")}
    part = Sheet(Run("made", "pictures", "made", {}, {}, left), dict(zip(made.ids, made.questions, strict=True)))
    assert looking(part)["circular"]["questions"] == 2 * VOLUMES - 2


def test_the_page_has_a_table_of_each():
    run = {"name": "<model>", "looking": looking(sheet(looks))}
    text = looking_part({"runs": [run, run | {"name": "other"}]})
    assert "&lt;model&gt;" in text
    assert text.count("<table") == 4
    assert "another subject" in text
    nothing = {"name": "x", "looking": {"controls": [], "circular": None}}
    assert looking_part({"runs": [nothing]}) == ""
