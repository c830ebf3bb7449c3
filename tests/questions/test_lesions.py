"""What is asked about a lesion in slices drawn by hand, and what its words would give away and is never asked."""

from dataclasses import replace

import numpy as np
import pytest

from dataset_builder.core.settings import ClarityLimits
from dataset_builder.imaging.hosts import foci
from dataset_builder.questions.facts import find_facts
from dataset_builder.questions.facts.scene import Scene
from dataset_builder.questions.facts.stack import StackScene
from tests.helpers.drawn_slices import draw, statements

ABDOMEN = {
    "liver": (50, 110, 40, 100),
    "tumour": (80, 96, 70, 86),
    "spleen": (5, 25, 20, 45),
    "stomach": (8, 32, 70, 95),
    "aorta": (34, 46, 10, 24),
}


def scene(record, **limits):
    return Scene.of(record, ClarityLimits(**limits), 0)


def about(facts, name):
    return [fact for fact in facts if name in {*fact.structures, *fact.inverse_structures, *fact.options}]


# Where a lesion lies -------------------------------------------------------------------------------------------------


def test_a_lesion_lies_in_what_surrounds_it():
    found = scene(draw(**ABDOMEN))
    host = found.lesions.host[found.names.index("tumour")]
    assert found.names[host] == "liver"
    assert found.with_lesions == {"liver"}


@pytest.mark.parametrize(
    ("tumour", "host"),
    [
        ((80, 96, 70, 86), "liver"),  # inside
        ((50, 66, 60, 76), "liver"),  # at the border: three of its four sides
        ((42, 58, 60, 76), None),  # half out: less than half of its border is on the liver
        ((112, 118, 60, 90), None),  # beside
    ],
)
def test_half_of_the_border_decides(tumour, host):
    found = scene(draw(**ABDOMEN | {"tumour": tumour}), min_host_share=0.55)
    row = found.lesions.host[found.names.index("tumour")]
    assert (None if row < 0 else found.names[row]) == host


def test_lesions_that_touch_are_one_focus_with_one_border():
    """An enhancing rim whose border is edema all around lies in the brain as the edema does."""
    record = draw(
        brain=(10, 110, 10, 110), edema=(40, 80, 40, 80), enhancing_tumour=(50, 70, 50, 70), necrosis=(56, 64, 56, 64)
    )
    found = scene(record, min_area_mm2=50)
    for name in ("edema", "enhancing_tumour", "necrosis"):
        assert found.names[found.lesions.host[found.names.index(name)]] == "brain"


def test_border_shares_add_up_and_leave_out_the_edge_of_the_image():
    labels = np.zeros((30, 20), np.uint8)
    labels[:, :12] = 1
    labels[0:10, 6:16] = 2
    found = foci(labels, (2.0, 0.5), [2])
    # By hand: one long side of 10 x 2 mm and 6 x 0.5 mm on the liver, the other long side and 4 x 0.5 mm on nothing.
    assert found.border_share[0] == pytest.approx([22 / 45, 23 / 45, 0])
    assert found.host(1, 0.5) == 1


# What is never asked -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("plane", ["axial", "coronal", "sagittal"])
def test_no_size_enclosure_or_name_of_a_lesion_is_asked(plane):
    record = draw(**ABDOMEN, absent=("cyst", "pancreas", "kidney_left"), record={"plane": plane, "midline": 40.0})
    facts = find_facts(record)
    for lesion in ("tumour", "cyst"):
        kinds = {fact.kind for fact in about(facts, lesion)}
        assert not kinds & {"size", "enclosure", "naming", "visible"}
    assert about(facts, "tumour")


def test_a_lesion_is_never_compared_with_what_it_lies_in():
    facts = find_facts(draw(**ABDOMEN | {"tumour": (92, 108, 78, 96)}))
    for fact in about(facts, "tumour"):
        if fact.kind in ("adjacency", "side", "between", "nearer"):
            for names in (fact.structures, fact.inverse_structures):
                assert not {"tumour", "liver"} <= set(names)


def test_several_pieces_are_not_the_lesion():
    one, other = (80, 96, 70, 86), (56, 70, 46, 58)
    assert about(find_facts(draw(**ABDOMEN)), "tumour")
    several = draw(**ABDOMEN | {"tumour": [one, other]})
    assert not about(find_facts(several), "tumour")
    assert scene(several).with_lesions == {"liver"}  # its label has two holes


def test_a_lesion_is_compared_with_other_organs():
    said = statements(find_facts(draw(**ABDOMEN)), "direction", "right_left")
    assert said["tumour", "spleen"] == "right"
    assert said["spleen", "tumour"] == "left"


# Stacks --------------------------------------------------------------------------------------------------------------


HERE, THERE, SMALL = (80, 96, 70, 86), (56, 72, 46, 62), (82, 94, 72, 84)


def stack_of(boxes):
    """Slices of a stack in which the lesion is where ``boxes`` says, and absent where that is None."""
    records = []
    for index, box in enumerate(boxes):
        parts = ABDOMEN | ({"tumour": box} if box else {"tumour": (0, 0, 0, 0)})
        record = draw(**parts)
        through = {value: (0.0, 8.0 * value, 1.0) for value in record.names}
        records.append(replace(record, index=index * 4, through_mm=through, stack="axial 0-28 by 4"))
    return records


@pytest.mark.parametrize(
    ("boxes", "asked"),
    [
        ([None, None, SMALL, HERE, SMALL, None, None, None], True),
        ([None, SMALL, HERE, None, SMALL, None, None, None], False),  # a gap
        ([None, None, SMALL, HERE, THERE, None, None, None], False),  # another place
        ([None, None, SMALL, [HERE, THERE], SMALL, None, None, None], False),  # two pieces in one image
    ],
)
def test_a_stack_asks_about_one_lesion_only(boxes, asked):
    found = StackScene.of(stack_of(boxes), ClarityLimits(), 0)
    assert ("tumour" in found.names) == asked
    if asked:
        tumour, liver, spleen = (found.names.index(name) for name in ("tumour", "liver", "spleen"))
        assert not found.compared[tumour, liver]
        assert found.compared[tumour, spleen]
