"""Facts across slices, against positions and areas that are known because they were put there."""

import itertools

import numpy as np
import pytest

from dataset_builder.core.settings import ClarityLimits
from dataset_builder.imaging.volume import volume_from_arrays
from dataset_builder.questions.facts import find_stack_facts
from dataset_builder.slices.stacks import cut_stack

AXIS = {"sagittal": 0, "coronal": 1, "axial": 2}
ENDS = {"sagittal": ("left", "right"), "coronal": ("posterior", "anterior"), "axial": ("inferior", "superior")}
NAMES = {1: "liver", 2: "spleen", 3: "stomach", 4: "urinary_bladder", 5: "humerus_left"}
STEP = 4  # voxels between the images of a stack


def stack_of(spans, plane="axial", count=8, areas=None):
    """A stack of ``count`` images, ``STEP`` voxels of 2 mm apart; structure by value -> (first, last) image it is in.

    ``areas``: value -> side in voxels of its square in each image.
    """
    shape = [40, 40, 40]
    shape[AXIS[plane]] = STEP * count
    labels = np.moveaxis(np.zeros(shape, np.uint8), AXIS[plane], 0)
    for value, (first, last) in spans.items():
        for index in range(STEP * first, STEP * last + 1):
            side = areas[value][index // STEP] if areas and value in areas else 6
            corner = 8 * (value - 1)
            labels[index, corner : corner + side, corner : corner + side] = value
    labels = np.moveaxis(labels, 0, AXIS[plane])
    identity = {"source": "test", "subject": "one", "modality": "ct", "licence": ""}
    image = np.where(labels == 0, -160, labels.astype(np.int16) * 67 % 290 - 60).astype(np.int16)
    volume = volume_from_arrays(image, labels, NAMES, np.diag([2.0, 2, 2, 1]), **identity)
    return cut_stack(volume, plane, range(0, STEP * count, STEP))


def reported(facts, kind):
    """What the facts of a kind say, both items: {(structures, relation)}."""
    found = set()
    for fact in facts:
        if fact.kind == kind:
            found |= {(fact.structures, fact.relation), (fact.inverse_structures, fact.inverse_relation)}
    return found


@pytest.mark.parametrize("plane", ENDS)
def test_direction_along_the_axis(plane):
    low, high = ENDS[plane]
    facts = find_stack_facts(stack_of({1: (0, 1), 2: (5, 7)}, plane))
    assert reported(facts, "direction") == {(("spleen", "liver"), high), (("liver", "spleen"), low)}
    (fact,) = [fact for fact in facts if fact.kind == "direction"]
    assert fact.axis == f"{high}_{low}"
    assert fact.margin_mm == pytest.approx(np.mean(range(20, 29)) * 2 - np.mean(range(5)) * 2)


@pytest.mark.parametrize(
    "spans",
    [
        {1: (0, 5), 2: (2, 7)},  # their middle halves meet
        {1: (2, 3), 2: (2, 3)},
        {1: (0, 7), 2: (3, 4)},  # one begins before and ends after the other
    ],
)
def test_no_direction_where_it_is_not_clear(spans):
    assert reported(find_stack_facts(stack_of(spans)), "direction") == set()


def test_arms_are_not_asked_about_up_and_down():
    spans = {1: (0, 1), 5: (5, 6)}
    assert reported(find_stack_facts(stack_of(spans, "axial")), "direction") == set()
    assert len(reported(find_stack_facts(stack_of(spans, "coronal")), "direction")) == 2


def test_three_in_order_are_asked_from_both_ends():
    facts = find_stack_facts(stack_of({3: (0, 1), 1: (3, 4), 2: (6, 7)}))
    (fact,) = [fact for fact in facts if fact.kind == "order"]
    assert fact.options == ("stomach", "liver", "spleen")
    assert set(fact.structures) == set(fact.options)
    assert fact.structures == fact.inverse_structures
    assert {fact.relation, fact.inverse_relation} == {"superior", "inferior"}


def test_which_structure_is_a_in_an_order_is_drawn():
    spans = dict(zip((1, 2, 3, 4), ((0, 0), (2, 2), (4, 4), (6, 6)), strict=True))
    first = [
        fact.options.index(fact.structures[0])
        for seed in range(30)
        for fact in find_stack_facts(stack_of(spans), seed=seed)
        if fact.kind == "order"
    ]
    counts = np.bincount(first, minlength=3)
    assert counts.sum() == 120
    assert counts.min() > 20


def test_first_and_last_image_and_largest():
    areas = {1: [0, 6, 8, 12, 6, 0, 0, 0], 2: [0, 0, 6, 6, 6, 9, 14, 6]}
    facts = find_stack_facts(stack_of({1: (1, 4), 2: (2, 6)}, areas=areas))
    assert reported(facts, "largest") == {(("liver",), "3"), (("spleen",), "6")}
    assert reported(facts, "low_end") == {(("liver",), "1"), (("spleen",), "2")}
    assert reported(facts, "high_end") == {(("liver",), "4"), (("spleen",), "6")}
    for fact in facts:
        if fact.kind in ("largest", "low_end", "high_end"):
            assert len(fact.options) == len(set(fact.options)) == 4
            assert {fact.relation, fact.inverse_relation} <= set(fact.options)
            assert list(fact.options) == sorted(fact.options, key=int)
    (largest,) = [fact for fact in facts if fact.kind == "largest"]
    for option in map(int, largest.options):
        for value, right in ((1, 3), (2, 6)):
            if option != right:  # a wrong option is clearly smaller
                assert areas[value][right] ** 2 >= 1.5 * areas[value][option] ** 2


def test_what_reaches_the_end_of_the_stack_has_no_end_there():
    facts = find_stack_facts(stack_of({1: (0, 3), 2: (2, 7)}))
    assert reported(facts, "low_end") == set()
    assert reported(facts, "high_end") == set()


def test_an_image_that_shows_a_crumb_is_in_doubt():
    areas = {1: [0, 2, 6, 6, 6, 0, 0, 0], 2: [0, 0, 0, 6, 6, 6, 0, 0]}  # 2 x 2 voxels are 16 mm2
    facts = find_stack_facts(stack_of({1: (1, 4), 2: (3, 5)}, areas=areas))
    assert reported(facts, "low_end") == set()


def test_margins_are_settable():
    records = stack_of({1: (0, 1), 2: (3, 4)})
    assert reported(find_stack_facts(records, ClarityLimits(min_gap_mm=10)), "direction")
    assert not reported(find_stack_facts(records, ClarityLimits(min_gap_mm=60)), "direction")


def test_facts_are_a_function_of_the_seed():
    records = stack_of({1: (0, 1), 2: (3, 4), 3: (6, 7)})
    assert find_stack_facts(records, seed=4) == find_stack_facts(records, seed=4)
    assert any(
        find_stack_facts(records, seed=a) != find_stack_facts(records, seed=b)
        for a, b in itertools.combinations(range(4), 2)
    )
