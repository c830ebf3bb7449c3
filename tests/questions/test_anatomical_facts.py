"""Names: which structure is marked, and which one a slice shows."""

import itertools

import pytest

from dataset_builder.questions.facts import find_facts
from dataset_builder.questions.facts.anatomical import series, tell_apart
from dataset_builder.vocabulary import confusable, structures
from tests.helpers.drawn_slices import ABSENT, body, draw

WORDS = structures()


def test_naming_asks_for_two_of_the_same_four_options():
    record = body(absent=ABSENT)
    facts = [fact for fact in find_facts(record) if fact.kind == "naming"]
    shown = {name for value, name in record.names.items() if (record.labels == value).any()}
    assert {name for fact in facts for name in (fact.relation, fact.inverse_relation)} == shown
    for fact in facts:
        assert fact.structures == (fact.relation,)
        assert fact.inverse_structures == (fact.inverse_relation,)
        assert len(set(fact.options)) == 4
        assert list(fact.options) == sorted(fact.options)
        assert {fact.relation, fact.inverse_relation} <= set(fact.options)
        assert fact.relation != fact.inverse_relation
        assert fact.margin_mm > 5


def test_naming_asks_nothing_twice():
    facts = [fact for fact in find_facts(body(absent=ABSENT)) if fact.kind == "naming"]
    items = [(name, fact.options) for fact in facts for name in (fact.relation, fact.inverse_relation)]
    assert len(set(items)) == len(items)


@pytest.mark.parametrize("seed", range(5))
def test_options_can_be_told_apart(seed):
    facts = [fact for fact in find_facts(body(seed, ABSENT), seed=seed) if fact.options]
    assert {fact.kind for fact in facts} == {"naming", "visible"}
    for fact in facts:
        for one, other in itertools.combinations(fact.options, 2):
            assert not confusable(one, other)
            assert series(one) is None or series(one) != series(other)


def test_visible_shows_one_and_no_pixel_of_the_others_nor_of_their_like():
    record = body(absent=ABSENT)
    shown = {name for value, name in record.names.items() if (record.labels == value).any()}
    facts = [fact for fact in find_facts(record) if fact.kind == "visible"]
    assert {fact.relation for fact in facts} == shown
    for fact in facts:
        assert (fact.inverse_structures, fact.inverse_relation) == ((), "")
        assert set(fact.options) & shown == {fact.relation}
        # small_bowel: the duodenum, a part of it, is there; vertebrae_L2, rib_left_11: like ones are.
        assert not set(fact.options) & {"small_bowel", "vertebrae_L2", "rib_left_11"}


def test_a_speck_is_neither_visible_nor_absent():
    record = body(absent=ABSENT)
    record.labels[159, 119] = next(value for value, name in record.names.items() if name == "pancreas")
    for fact in find_facts(record):
        if fact.kind == "visible":
            assert "pancreas" not in fact.options
        assert "pancreas" not in (*fact.structures, *fact.inverse_structures)


def test_options_come_from_the_region():
    """The liver beside what else the abdomen holds, not beside the brain."""
    record = draw(
        liver=(10, 40, 10, 40),
        spleen=(60, 90, 10, 40),
        absent=("brain", "skull", "stomach", "pancreas", "gallbladder", "kidney_left", "femur_left"),
    )
    facts = [fact for fact in find_facts(record) if fact.options]
    assert facts
    assert {WORDS[name].region for fact in facts for name in fact.options} == {"abdomen"}


def test_a_box_that_fits_two_is_not_named():
    ring = [(20, 60, 20, 24), (20, 60, 56, 60), (20, 24, 20, 60), (56, 60, 20, 60)]
    record = draw(liver=ring, spleen=(25, 55, 25, 55), stomach=(80, 100, 5, 25), colon=(80, 100, 60, 80))
    facts = [fact for fact in find_facts(record) if fact.kind == "naming"]
    assert facts
    for fact in facts:
        marked = {fact.relation, fact.inverse_relation}
        assert not (marked & {"liver", "spleen"} and {"liver", "spleen"} <= set(fact.options))


def test_fewer_than_four_names_make_no_options():
    assert not [fact for fact in find_facts(draw(liver=(0, 30, 0, 30), spleen=(60, 90, 0, 30))) if fact.options]


def test_series_are_those_of_numbered_names():
    assert series("vertebrae_T12") == series("vertebrae_S1") == "vertebrae"
    assert series("rib_left_1") == "rib_left" != series("rib_right_1")
    assert series("kidney_left") is None
    assert tell_apart("rib_left_1", "rib_right_1")
    assert not tell_apart("rib_left_1", "rib_left_12")
    assert not tell_apart("heart", "atrial_appendage_left")
