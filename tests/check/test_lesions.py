"""What the audit says of rows about lesions, by a route of its own."""

from dataclasses import replace

import pytest

from dataset_builder.check.columns import prior_answer
from dataset_builder.check.question_text import question_problems
from dataset_builder.vocabulary import structures
from tests.helpers.audit_items import item

WORDS = structures()
GIVEN_AWAY = "The words alone answer a question about a lesion."


def problems(row, words=WORDS):
    return {problem for problem, _ in question_problems(row, words, 0)}


@pytest.mark.parametrize("relation", ["larger", "smaller", "encloses", "enclosed by"])
@pytest.mark.parametrize("names", [("liver", "cancer"), ("tumour", "kidney_left"), ("kidney_cyst_left", "spleen")])
def test_size_and_enclosure_of_a_lesion_are_violations(relation, names):
    row = item(terminology="relational", relation=relation, structures=names)
    assert GIVEN_AWAY in problems(row)
    assert GIVEN_AWAY in problems(row, {})  # by the words themselves, too
    assert GIVEN_AWAY not in problems(replace(row, relation="adjacent"))
    assert GIVEN_AWAY not in problems(replace(row, structures=("liver", "spleen")))


def test_a_lesion_of_the_users_own_is_known_by_its_kind():
    blob = replace(WORDS["tumour"], name="blob", clinical="blob", lay="blob")
    row = item(terminology="relational", relation="larger", structures=("liver", "blob"))
    assert GIVEN_AWAY in problems(row, {**WORDS, "blob": blob})
    assert GIVEN_AWAY not in problems(row)


def test_anatomy_says_nothing_of_where_a_lesion_lies():
    assert prior_answer(item(structures=("liver", "spleen")), WORDS) == "left"
    assert prior_answer(item(structures=("tumour", "spleen")), WORDS) == ""
    assert prior_answer(item(structures=("spleen", "liver_lesion")), {}) == ""
