"""Facts of all kinds: what is visible at all, what holds for each, and what must not depend on chance."""

from collections import Counter

import pytest

from dataset_builder.core.errors import BuildError
from dataset_builder.core.settings import ClarityLimits
from dataset_builder.questions.facts import find_facts
from dataset_builder.questions.facts.directional import directional_facts
from dataset_builder.questions.facts.relational import relational_facts
from dataset_builder.questions.facts.scene import Scene
from dataset_builder.vocabulary import structures
from tests.helpers.drawn_slices import ABSENT, OPPOSITE, OPPOSITES, body, both_ways, draw, record_of, statements

WORDS = structures()


@pytest.mark.parametrize(("area", "asked"), [(100, True), (99, False)])
def test_what_is_smaller_than_a_hundred_square_millimetres_is_not_visible(area, asked):
    record = draw(spleen=(10, 10 + area, 10, 11), liver=(10, 110, 60, 80))
    assert bool(statements(find_facts(record), "direction")) == asked


def test_limits_are_settable():
    record = draw(spleen=(10, 15, 10, 15), liver=(17, 22, 10, 15))
    assert find_facts(record) == []
    loose = ClarityLimits(min_area_mm2=25, min_gap_mm=7)
    assert statements(find_facts(record, loose), "direction") == both_ways("liver", "spleen", "right")


@pytest.mark.parametrize(
    ("name", "value"), [("min_ratio", 0.9), ("min_gap_mm", -1.0), ("min_side_share", 0.4), ("min_between_deg", 200.0)]
)
def test_limits_that_make_no_sense_are_refused(name, value):
    with pytest.raises(BuildError, match=name):
        ClarityLimits(**{name: value})


def test_a_structure_that_the_vocabulary_lacks_is_never_asked_about():
    record = draw(spleen=(10, 30, 10, 30), liver=(70, 90, 10, 30), moon=(40, 60, 40, 60), stomach=(5, 30, 90, 110))
    names = {name for fact in find_facts(record) for name in (*fact.structures, *fact.options)}
    assert names == {"spleen", "liver", "stomach"}


def test_a_vocabulary_can_be_given():
    record = draw(spleen=(10, 30, 10, 30), liver=(70, 90, 10, 30))
    assert find_facts(record, vocabulary={"liver": WORDS["liver"]}) == []


def test_no_item_is_said_twice_and_each_has_its_opposite():
    for seed in range(4):
        for fact in find_facts(body(seed, ABSENT), seed=seed):
            if fact.terminology != "anatomical":
                assert OPPOSITE[fact.relation] == fact.inverse_relation
                assert fact.margin_mm > 0
            if fact.kind in ("direction", "size", "enclosure"):
                assert fact.inverse_structures == fact.structures[::-1]
            if fact.kind in ("between", "nearer"):
                a, b, c = fact.structures
                assert set(fact.inverse_structures) == {a, b, c}
                assert fact.inverse_structures[2] == c
                assert fact.inverse_structures[0] == b
            if fact.kind in ("adjacency", "side"):
                assert fact.inverse_structures[0] == fact.structures[0]
        statements(fact for fact in find_facts(body(seed), seed=seed) if fact.terminology != "anatomical")


def test_no_word_is_favoured_as_the_first_item():
    first = Counter()
    for seed in range(12):
        first.update(fact.relation for fact in find_facts(body(seed), seed=seed) if fact.terminology != "anatomical")
    for term, other in OPPOSITES:
        total = first[term] + first[other]
        assert abs(first[term] - total / 2) <= 4 * (total / 4) ** 0.5, (term, first[term], other, first[other])
    assert sum(first[term] > 0 for term in OPPOSITE) == 14  # of 22: neither up nor along a limb, none touch


def test_facts_are_the_same_every_time_and_other_with_another_seed():
    assert find_facts(body(absent=ABSENT)) == find_facts(body(absent=ABSENT))
    assert find_facts(body(absent=ABSENT), seed=1) != find_facts(body(absent=ABSENT))


def test_the_seed_does_not_change_what_is_true():
    one, other = (statements(find_facts(body(), seed=seed), "direction") for seed in (0, 1))
    assert one == other


def test_facts_of_three_are_capped():
    few = ClarityLimits(max_facts=5)
    count = Counter(fact.kind for fact in find_facts(body(), few))
    whole = Counter(fact.kind for fact in find_facts(body()))
    assert whole["nearer"] > 5
    assert count["nearer"] == count["between"] == 5
    assert count["direction"] == whole["direction"]


def test_an_empty_slice_has_no_facts():
    assert find_facts(draw(absent=("liver", "spleen", "stomach", "colon"))) == []


def mirrored(record):
    """The same slice of a patient with left and right exchanged."""
    width = record.shape[0] * record.spacing[0]
    return record_of(
        record.labels[::-1].copy(),
        record.names,
        record.plane,
        record.spacing,
        midline=width - record.spacing[0] - record.midline_mm,
        subject=record.subject,
    )


@pytest.mark.parametrize("plane", ["axial", "coronal"])
def test_a_mirrored_patient_has_right_and_left_exchanged_and_nothing_else(plane):
    # Odd sizes, so that every centroid is a voxel and stays one.
    places = {
        "liver": (80, 111, 40, 61),
        "adrenal_gland_right": (66, 77, 20, 35),
        "spleen": (5, 26, 40, 61),
        "adrenal_gland_left": (42, 53, 20, 35),
        "stomach": (27, 46, 40, 59),
        "aorta": (47, 60, 70, 83),
        "kidney_left": (10, 33, 90, 113),
    }
    record = draw((121, 121), **places, record={"plane": plane, "midline": 60.0})

    def meaning(facts):
        return {
            (fact.kind, fact.axis, *pair, round(fact.margin_mm, 6))
            for fact in facts
            for pair in ((fact.structures, fact.relation), (fact.inverse_structures, fact.inverse_relation))
        }

    def exchange(item):
        kind, axis, names, relation, margin = item
        return (kind, axis, names, OPPOSITE[relation] if axis == "right_left" else relation, margin)

    before, after = meaning(find_facts(record)), meaning(find_facts(mirrored(record)))
    assert {kind for kind, *_ in before} >= {"direction", "between", "nearer", "size", "side"}
    assert {exchange(item) for item in before} == after


def test_terminologies_of_kinds():
    scene = Scene.of(body(absent=ABSENT), ClarityLimits(), 0)
    assert {fact.terminology for fact in directional_facts(scene)} == {"directional"}
    assert {fact.terminology for fact in relational_facts(scene)} == {"relational"}
    kinds = {(fact.terminology, fact.kind) for fact in find_facts(body(absent=ABSENT))}
    assert {kind for terminology, kind in kinds if terminology == "anatomical"} == {"naming", "visible"}
