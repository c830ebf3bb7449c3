"""What the audit says of rows about lesions, by a route of its own."""

from collections import Counter
from dataclasses import replace

import pytest

from dataset_builder.check.answers import in_slice
from dataset_builder.check.columns import margin_problem, prior_answer
from dataset_builder.check.maps import read_maps
from dataset_builder.check.question_text import question_problems
from dataset_builder.core.settings import Settings
from dataset_builder.questions.facts import find_facts
from dataset_builder.questions.facts.lesion_facts import OF_LESIONS
from dataset_builder.questions.sampling import units
from dataset_builder.questions.slice_questions import ask
from dataset_builder.slices.selection import save_slices
from dataset_builder.vocabulary import structures
from tests.helpers.audit_items import item, item_of, opposed
from tests.helpers.drawn_slices import draw

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


# Against the label map -----------------------------------------------------------------------------------------------

ASKED = Settings(
    questions_per_volume=None,
    image_size=128,
    prompts=("none", "box"),
    registers=("clinical",),
    answer_types=("choice",),
)
ABDOMEN = {
    "liver": (50, 110, 40, 100),
    "tumour": (88, 104, 74, 92),
    "spleen": (5, 25, 20, 45),
    "stomach": (8, 32, 70, 95),
    "aorta": (34, 46, 10, 24),
}


@pytest.fixture(scope="module", params=["axial", "coronal"])
def slice_with_lesion(request, tmp_path_factory):
    """A slice as the builder has it, and as the audit reads it from the store."""
    record = draw(**ABDOMEN, record={"plane": request.param, "midline": 45.0})
    path = tmp_path_factory.mktemp("store") / "test.parquet"
    save_slices([record], path)
    return record, next(iter(read_maps([path])))


def asked_of(record):
    """Rows about lesions, of every kind, frame and convention."""
    for unit in units([find_facts(record)], ASKED):
        names = {*unit.fact.structures, *unit.fact.inverse_structures}
        if unit.fact.kind in OF_LESIONS or "tumour" in names:
            for question in ask(unit, record, ASKED, WORDS):
                yield unit.fact.kind, item_of(question, [record])


def test_every_answer_about_a_lesion_is_found_true_and_its_opposite_false(slice_with_lesion):
    record, here = slice_with_lesion
    seen = Counter()
    for kind, row in asked_of(record):
        shown = here.shown(128, row.convention, row.view)
        assert in_slice(row, here, shown, WORDS) == "", row
        assert in_slice(opposed(row), here, shown, WORDS) != "", row
        assert margin_problem(row, here, WORDS) == "", row
        assert not set(problems(row)), row
        seen[kind] += 1
    assert set(seen) >= OF_LESIONS


def test_a_margin_of_an_organ_without_its_lesion_is_found(slice_with_lesion):
    record, here = slice_with_lesion
    for kind, row in asked_of(record):
        if kind == "centre":
            assert margin_problem(replace(row, margin_mm=row.margin_mm + 1.0), here, WORDS)


def test_a_lesion_compared_with_its_organ_is_found(slice_with_lesion):
    record, here = slice_with_lesion
    shown = here.shown(128, "ras", "plain")
    row = next(row for kind, row in asked_of(record) if kind == "inside")
    about = {"terminology": "relational", "frame": "patient", "structures": ("tumour", "liver"), "convention": "ras"}
    planted = replace(row, relation="adjacent", answer="adjacent", options=("adjacent", "apart"), **about)
    assert in_slice(planted, here, shown, WORDS) == "tumour lies in liver"
    planted = replace(row, relation="within", answer="within", **about | {"structures": ("tumour", "spleen")})
    assert in_slice(planted, here, shown, WORDS)


def test_another_host_is_found(slice_with_lesion):
    record, here = slice_with_lesion
    shown = here.shown(128, "ras", "plain")
    for kind, row in asked_of(record):
        if kind == "belonging" and row.structures == ("tumour",):
            planted = replace(row, answer="spleen", relation="spleen")
            assert in_slice(planted, here, shown, WORDS) == "the column relation says spleen"
            assert in_slice(replace(row, answer="spleen"), here, shown, WORDS) == "the structure is liver"


def test_in_which_organ_a_lesion_lies_is_not_asked_by_name():
    """A data set's lesions mostly lie in one organ: whoever knows the data has the answer."""
    for relation in ("within", "elsewhere"):
        row = item(terminology="relational", relation=relation, structures=("tumour", "liver"), prompt="none")
        assert GIVEN_AWAY in problems(row)
        assert GIVEN_AWAY not in problems(replace(row, prompt="box"))


def test_a_side_that_the_name_says_is_not_asked_by_name():
    row = item(structures=("kidney_left",), relation="left", boxes=((1, 1, 2, 2),), points=((1, 1),), box_images=(0,))
    assert GIVEN_AWAY in problems(replace(row, prompt="none"))
    assert GIVEN_AWAY not in problems(row)
    assert GIVEN_AWAY not in problems(replace(row, prompt="none", structures=("spleen",)))
