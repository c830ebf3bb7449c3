import dataclasses
import itertools
from collections import Counter, defaultdict

import pytest

from dataset_builder.core.factors import DRAWN_PROMPTS, TEXT_PROMPTS
from dataset_builder.core.settings import Settings
from dataset_builder.questions.facts import find_facts
from dataset_builder.questions.sampling import Unit, choose, fits, frames_of, units
from dataset_builder.questions.slice_questions import ask
from dataset_builder.questions.wording import opposites, wording
from dataset_builder.slices.selection import choose_slices, cut
from dataset_builder.sources import open_source
from dataset_builder.vocabulary import structures

ALL = Settings(slices_per_volume=3, questions_per_volume=None, answer_types=("choice",))
WORDS = structures()


@pytest.fixture(scope="module")
def slices():
    """Slices of a CT torso and of a knee, with their facts."""
    source = open_source("phantom")
    cases = {case.subject: case for case in source.cases()}
    chosen = [next(c for c in cases.values() if c.modality == "ct"), next(c for c in cases.values() if c.side)]
    records = []
    for case in chosen:
        volume = source.read(case)
        records += [cut(volume, plane, index) for plane, index in choose_slices(volume, ALL.planes, 3, 0)]
    return records, [find_facts(record) for record in records]


@pytest.fixture(scope="module")
def questions(slices):
    """A thinned list of all (record, unit, questions) of the slices."""
    records, facts = slices
    every = list(units(facts, ALL))
    return [(records[unit.position], unit, ask(unit, records[unit.position], ALL, WORDS)) for unit in every[::29]]


def test_every_question_lists_its_options_and_the_answer_is_one(questions):
    for _, _, asked in questions:
        for question in asked:
            assert question.question.endswith("Options: " + "; ".join(question.options))
            assert question.answer in question.options
            assert question.options[question.answer_index] == question.answer
            assert len(set(question.options)) == (4 if question.terminology == "anatomical" else 2)


def test_a_pair_has_the_same_options_in_the_same_order_and_different_answers(questions):
    for _, unit, asked in questions:
        assert len(asked) == unit.size
        if len(asked) == 2:
            first, second = asked
            assert first.options == second.options
            assert first.answer != second.answer
            assert first.pair_id == second.pair_id != ""
            assert first.window == second.window
        else:
            assert asked[0].pair_id == ""


def test_a_constant_answer_gets_half_of_the_two_option_items_and_no_pair(questions):
    for choice in (0, 1):
        right = [
            [question.answer_index == choice for question in asked]
            for _, _, asked in questions
            if asked[0].terminology != "anatomical"
        ]
        assert right
        assert all(sum(pair) == 1 for pair in right)


def test_words_are_as_frequent_as_their_opposites(questions):
    count = Counter(q.relation for _, _, asked in questions for q in asked if q.terminology != "anatomical")
    assert all(count[term] == count[opposites()[term]] for term in count)


def test_the_right_option_stands_anywhere(questions):
    position = Counter(q.answer_index for _, _, asked in questions for q in asked if q.terminology == "anatomical")
    total = sum(position.values())
    assert set(position) == {0, 1, 2, 3}
    # Units of one fact share their structures, not their draw: five standard deviations of a fair die.
    assert all(abs(count - total / 4) < 5 * (total * 3 / 16) ** 0.5 for count in position.values())


def test_a_marker_stands_in_for_the_name(questions):
    for _, unit, asked in questions:
        for question in asked:
            if unit.prompt == "none" or unit.fact.terminology == "anatomical":
                continue
            stem = question.question.split("\n")[0]
            for name in question.structures:
                assert WORDS[name].clinical not in stem
                assert WORDS[name].lay not in stem


def test_named_prompts_name_the_structures_in_their_register(questions):
    for _, unit, asked in questions:
        if unit.prompt == "none" and unit.fact.kind != "visible":
            for question in asked:
                for name in question.structures:
                    assert f"the {getattr(WORDS[name], unit.register)}" in question.question


def test_image_frame_answers_are_what_the_points_show(questions):
    seen = set()
    for _, unit, asked in questions:
        if unit.frame != "image":
            continue
        for question in asked:
            (ax, ay), (bx, by) = question.points[:2]
            truth = {"left": ax < bx, "right": ax > bx, "above": ay < by, "below": ay > by}
            assert truth[question.answer], question
            seen.add(question.answer)
    assert seen == {"left", "right", "above", "below"}


def test_patient_frame_answers_follow_from_the_picture_and_the_stated_edges(questions):
    """Read the edges out of the question, as a model has to, and answer from the points."""
    flipped = {
        "the patient's right": "the patient's left",
        "the patient's left": "the patient's right",
        "anterior": "posterior",
        "posterior": "anterior",
        "superior": "inferior",
        "inferior": "superior",
    }
    answers = {"the patient's right": "right", "the patient's left": "left"}
    checked = 0
    for _, unit, asked in questions:
        cardinal = unit.fact.axis in ("right_left", "anterior_posterior", "superior_inferior")
        if unit.fact.kind != "direction" or not cardinal or unit.frame != "patient" or unit.register != "clinical":
            continue
        for question in asked:
            left = question.question.split("left edge of the image is ")[1].split(",")[0]
            top = question.question.split("the top edge is ")[1].split(".")[0]
            (ax, ay), (bx, by) = question.points[:2]
            horizontal, vertical = (left if ax < bx else flipped[left]), (top if ay < by else flipped[top])
            assert question.answer in {answers.get(word, word) for word in (horizontal, vertical)}
            checked += 1
    assert checked > 50


def test_boxes_and_points_are_in_the_picture_and_belong_together(questions):
    for _, _, asked in questions:
        for question in asked:
            assert len(question.boxes) == len(question.points) == len(question.structures)
            for (x0, y0, x1, y1), (x, y) in zip(question.boxes, question.points, strict=True):
                assert 0 <= x0 <= x < x1 <= ALL.image_size
                assert 0 <= y0 <= y < y1 <= ALL.image_size


def test_text_coordinates_are_those_of_the_columns(questions):
    for _, unit, asked in questions:
        for question in asked:
            if unit.prompt == "text_point":
                assert all(f"({x}, {y})" in question.question for x, y in question.points)
            if unit.prompt == "text_box":
                assert all(
                    f"from ({x0}, {y0}) to ({x1}, {y1})" in question.question for x0, y0, x1, y1 in question.boxes
                )


def test_ids_are_unique_and_stable(slices):
    records, facts = slices
    every = list(units(facts, ALL))[::61]
    first = [q.id for unit in every for q in ask(unit, records[unit.position], ALL, WORDS)]
    again = [q.id for unit in every for q in ask(unit, records[unit.position], ALL, WORDS)]
    assert first == again
    assert len(set(first)) == len(first)


def test_what_is_asked_fits_the_prompt(slices):
    _, facts = slices
    for unit in units(facts, ALL):
        if unit.fact.kind == "visible":
            assert unit.prompt == "none"
        if unit.fact.kind == "naming":
            assert unit.prompt in (*DRAWN_PROMPTS, *TEXT_PROMPTS)
        assert unit.frame == "patient" or unit.fact.kind == "direction"
        assert fits(unit.fact, unit.prompt)
        assert unit.frame in frames_of(unit.fact)


@pytest.mark.parametrize("wanted", [1, 2, 30, 200])
def test_choice_keeps_pairs_whole_and_the_number(slices, wanted):
    records, facts = slices
    settings = dataclasses.replace(ALL, questions_per_volume=wanted)
    planes = [record.plane for record in records]
    chosen = choose(planes, facts, settings, "phantom/one")
    assert chosen == choose(planes, facts, settings, "phantom/one")
    rows = sum(unit.size for unit in chosen)
    assert rows == wanted
    assert len(set(map(repr, chosen))) == len(chosen)


def test_choice_is_stratified_over_the_cells(slices):
    records, facts = slices
    planes = [record.plane for record in records]

    def cell(unit: Unit) -> tuple[str, str, str]:
        return planes[unit.position], unit.fact.terminology, unit.prompt

    possible = {cell(unit) for unit in units(facts, ALL)}
    settings = dataclasses.replace(ALL, questions_per_volume=2 * len(possible))
    count = Counter(cell(unit) for unit in choose(planes, facts, settings, "phantom/one"))
    assert set(count) == possible
    assert max(count.values()) - min(count.values()) <= 2


def test_different_volumes_draw_different_cells_first(slices):
    records, facts = slices
    planes = [record.plane for record in records]
    settings = dataclasses.replace(ALL, questions_per_volume=8)
    firsts = {repr(choose(planes, facts, settings, f"phantom/{n}")[0]) for n in range(8)}
    assert len(firsts) > 4


def test_choice_keeps_items_that_differ_in_one_factor_only(slices):
    records, facts = slices
    planes = [record.plane for record in records]
    settings = dataclasses.replace(ALL, questions_per_volume=2000)
    by_fact = defaultdict(list)
    for unit in choose(planes, facts, settings, "phantom/one"):
        by_fact[(unit.position, unit.fact)].append((unit.prompt, unit.register, unit.convention, unit.frame))
    differing = Counter()
    for variants in by_fact.values():
        for one, other in itertools.combinations(variants, 2):
            unequal = [i for i in range(4) if one[i] != other[i]]
            if len(unequal) == 1:
                differing[("prompt", "register", "convention", "frame")[unequal[0]]] += 1
    assert min(differing[factor] for factor in ("prompt", "register", "convention", "frame")) > 10


def test_facts_of_one_fact_id_share_slice_and_structures(questions):
    by_id = defaultdict(set)
    for record, unit, asked in questions:
        for question in asked:
            by_id[question.fact_id].add((record.plane, record.index, unit.fact))
    assert all(len(found) == 1 for found in by_id.values())


def test_opposites_table_covers_every_relation(questions):
    used = {q.relation for _, _, asked in questions for q in asked if q.terminology != "anatomical"}
    assert used <= set(wording()["terms"])
