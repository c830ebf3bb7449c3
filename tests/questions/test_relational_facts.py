"""Relations of two and three structures: adjacent, between, nearer, larger, of the same side, enclosed."""

from collections import Counter

import pytest

from dataset_builder.questions.facts import find_facts
from tests.helpers.drawn_slices import both_ways, draw, statements


def test_adjacent_and_apart():
    record = draw(liver=(60, 90, 20, 60), gallbladder=(45, 60, 30, 45), spleen=(10, 25, 80, 100))
    (fact,) = [fact for fact in find_facts(record) if fact.kind == "adjacency"]
    assert statements([fact]) in (
        {("gallbladder", "liver"): "adjacent", ("gallbladder", "spleen"): "apart"},
        {("liver", "gallbladder"): "adjacent", ("liver", "spleen"): "apart"},
    )
    assert fact.margin_mm == 15  # of border


@pytest.mark.parametrize(
    ("gap", "height", "asked"),
    [(0, 15, True), (0, 5, True), (0, 4, False), (1, 15, False)],
)
def test_adjacent_means_a_shared_border(gap, height, asked):
    record = draw(liver=(60, 90, 20, 60), gallbladder=(30 - gap, 60 - gap, 30, 30 + height), spleen=(2, 15, 90, 110))
    assert bool(statements(find_facts(record), "adjacency")) == asked


@pytest.mark.parametrize(("gap", "asked"), [(15, True), (14, False)])
def test_apart_means_fifteen_millimetres(gap, asked):
    # Nearest pixel centres of liver and spleen, in mm.
    record = draw(liver=(60, 90, 20, 60), gallbladder=(90, 110, 20, 60), spleen=(30, 61 - gap, 20, 60))
    shared = ("liver", "spleen") in statements(find_facts(record), "adjacency")
    assert shared or not asked
    pairs = {tuple(sorted(names)) for names in statements(find_facts(record, seed=1), "adjacency")}
    assert (("liver", "spleen") in pairs) <= asked


def test_adjacency_says_nothing_twice_and_is_balanced():
    names = ("liver", "spleen", "stomach", "kidney_left", "kidney_right", "gallbladder", "colon", "pancreas")
    grid = {name: (15 * i, 15 * i + 15, 0, 30) for i, name in enumerate(names)}
    said = statements(find_facts(draw(**grid)), "adjacency")
    assert len({frozenset(pair) for pair in said}) == len(said)
    assert Counter(said.values()) == {"adjacent": 7, "apart": 7}
    for (a, b), relation in said.items():
        assert (abs(names.index(a) - names.index(b)) == 1) == (relation == "adjacent")


def test_between_and_outside():
    record = draw(liver=(5, 25, 40, 60), stomach=(50, 70, 45, 65), spleen=(95, 115, 40, 60))
    (fact,) = [fact for fact in find_facts(record) if fact.kind == "between"]
    said = statements([fact])
    middle = {names: relation for names, relation in said.items() if relation == "between"}
    ((names, _),) = middle.items()
    assert names[0] == "stomach"
    assert set(names[1:]) == {"liver", "spleen"}
    end, far = names[1:]
    assert said == {names: "between", (end, "stomach", far): "outside"}
    assert fact.margin_mm == 45


def test_a_corner_of_a_triangle_is_not_between():
    record = draw(liver=(5, 25, 10, 30), stomach=(50, 70, 80, 100), spleen=(95, 115, 10, 30))
    assert statements(find_facts(record), "between") == {}


def test_between_up_and_down_too():
    record = draw(
        liver=(40, 60, 5, 25), stomach=(45, 65, 50, 70), spleen=(40, 60, 95, 115), record={"plane": "coronal"}
    )
    assert {
        names[0] for names, relation in statements(find_facts(record), "between").items() if relation == "between"
    } == {"stomach"}


def test_nearer_and_farther():
    record = draw(liver=(5, 25, 40, 60), stomach=(40, 60, 40, 60), spleen=(80, 100, 40, 60))
    facts = find_facts(record)
    assert statements(facts, "nearer") == {
        ("stomach", "spleen", "liver"): "nearer",
        ("spleen", "stomach", "liver"): "farther",
        ("stomach", "liver", "spleen"): "nearer",
        ("liver", "stomach", "spleen"): "farther",
    }


@pytest.mark.parametrize(("far", "asked"), [(30, True), (29, False)])
def test_nearer_by_half_at_least(far, asked):
    # Lines one voxel wide: the nearest pixels are as far apart as the centroids.
    near = 20
    lines = {
        "liver": (50, 51, 0, 110),
        "stomach": (50 - near, 51 - near, 0, 110),
        "spleen": (50 + far, 51 + far, 0, 110),
    }
    said = statements(find_facts(draw(**lines)), "nearer")
    assert (("stomach", "spleen", "liver") in said) == asked


def test_near_by_its_rim_only_is_not_nearer():
    # The stomach comes close with a thin arm; its centroid is farther away than the spleen's.
    record = draw(liver=(0, 20, 40, 60), spleen=(45, 65, 40, 60), stomach=[(100, 119, 70, 110), (22, 100, 80, 81)])
    said = statements(find_facts(record), "nearer")
    assert not any(names[2] == "liver" for names in said)


@pytest.mark.parametrize(("side", "asked"), [(15, True), (14, False)])
def test_larger_by_half_at_least(side, asked):
    record = draw(liver=(0, 10, 0, 15), spleen=(50, 60, 50, 50 + side + 8))
    said = statements(find_facts(record), "size")
    assert said == (both_ways("spleen", "liver", "larger") if asked else {})


def test_larger_by_mask_but_not_by_box_is_not_asked():
    frame = [(60, 110, 0, 2), (60, 110, 48, 50), (60, 62, 0, 50), (108, 110, 0, 50)]
    record = draw(liver=(0, 30, 0, 30), spleen=frame)
    assert statements(find_facts(record), "size") == {}


def test_size_margin_is_that_of_squares_of_equal_area():
    record = draw(liver=(0, 40, 0, 10), spleen=(50, 60, 50, 60))
    (fact,) = [fact for fact in find_facts(record) if fact.kind == "size"]
    assert fact.margin_mm == pytest.approx(10)


def test_same_and_opposite_sides():
    record = draw(
        liver=(80, 110, 40, 60), kidney_right=(75, 95, 5, 25), spleen=(10, 30, 40, 60), record={"midline": 60.0}
    )
    (fact,) = [fact for fact in find_facts(record) if fact.kind == "side"]
    said = statements([fact])
    for (a, b), relation in said.items():
        assert relation == ("opposite sides" if "spleen" in (a, b) else "same side")
    assert len({names[0] for names in said}) == 1
    assert sorted(said.values()) == ["opposite sides", "same side"]


@pytest.mark.parametrize("how", [{}, {"midline": 60.0, "plane": "sagittal"}, {"side": "left", "plane": "coronal"}])
def test_no_sides_without_a_midline_in_the_picture(how):
    record = draw(liver=(80, 110, 40, 60), kidney_right=(75, 95, 5, 25), spleen=(10, 30, 40, 60), record=how)
    assert statements(find_facts(record), "side") == {}


@pytest.mark.parametrize(("start", "asked"), [(63, True), (62, False)])
def test_a_side_is_eight_millimetres_from_the_midline(start, asked):
    record = draw(
        liver=(start, start + 11, 40, 60),
        kidney_right=(90, 110, 5, 25),
        spleen=(10, 30, 40, 60),
        record={"midline": 60.0},
    )
    names = {name for names in statements(find_facts(record), "side") for name in names}
    assert ("liver" in names) == asked


def test_enclosed():
    ring = [(20, 80, 20, 30), (20, 80, 70, 80), (20, 30, 20, 80), (70, 80, 20, 80)]
    record = draw(skull=ring, brain=(40, 60, 40, 60), liver=(90, 110, 90, 110))
    (fact,) = [fact for fact in find_facts(record) if fact.kind == "enclosure"]
    assert statements([fact]) == both_ways("skull", "brain", "encloses")
    assert fact.margin_mm == 21
