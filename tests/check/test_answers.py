"""The audit's answers against the questions of the builder: it finds all of them true, and their opposites false."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from dataset_builder.check.answers import in_slice, in_stack
from dataset_builder.check.maps import read_maps, window_limits
from dataset_builder.core.settings import Settings
from dataset_builder.pictures.render import Window
from dataset_builder.questions.facts import find_facts, find_stack_facts
from dataset_builder.questions.sampling import Unit, units
from dataset_builder.questions.slice_questions import ask
from dataset_builder.questions.stack_questions import ask_of_stack, shown_order
from dataset_builder.questions.wording import opposites, relation_term
from dataset_builder.slices.selection import load_slices
from dataset_builder.slices.stacks import group_stacks
from dataset_builder.vocabulary import structures
from tests.helpers.audit_items import item_of, opposed

WORDS = structures()
ALL = Settings(questions_per_volume=None, image_size=128, answer_types=("choice",))
PER_KIND = 12


@pytest.fixture(scope="module")
def stored(ground):
    """The slices of the small data set, as the builder reads them and as the audit does."""
    path = ground / "slices" / "test.parquet"
    maps = {(here.key, here.stack): here for here in read_maps([path])}
    return load_slices(path), maps


def test_every_kind_of_question_about_a_slice_is_judged(stored):
    records, maps = stored
    records = [record for record in records if not record.stack]
    seen = Counter()
    for unit in units([find_facts(record) for record in records], ALL):
        record = records[unit.position]
        key = (unit.fact.kind, unit.fact.axis, unit.frame, unit.convention, unit.position)
        # Prompts share their answers: a few of each kind do.
        if seen[key] >= PER_KIND:
            continue
        here = maps[(record.source, record.subject, record.plane, record.index), ""]
        for view in ("plain", "mirrored", "rotated90") if unit.frame == "image" else ("plain",):
            for question in ask(replace(unit, view=view), record, ALL, WORDS):
                seen[key] += 1
                item = item_of(question, [record])
                shown = here.shown(128, item.convention, view)
                assert in_slice(item, here, shown, WORDS) == "", item
                assert in_slice(opposed(item), here, shown, WORDS) != "", item
    kinds = {key[0] for key in seen}
    assert kinds >= {"naming", "visible", "direction", "adjacency", "between", "nearer", "size", "side", "enclosure"}
    axes = {key[1] for key in seen if key[1]}
    assert axes == {"right_left", "anterior_posterior", "superior_inferior", "medial_lateral", "proximal_distal"}


def test_an_answer_that_does_not_say_its_relation_is_found(stored):
    records, maps = stored
    record = next(record for record in records if not record.stack)
    fact = next(fact for fact in find_facts(record) if fact.kind == "size")
    question = ask(Unit(0, fact, "box", "lay", "ras", "patient"), record, ALL, WORDS)[0]
    item = item_of(question, [record])
    here = maps[(record.source, record.subject, record.plane, record.index), ""]
    wrong = replace(item, answer=relation_term(opposites()[item.relation], "lay"))
    assert "relation" in in_slice(wrong, here, here.shown(128, "ras", "plain"), WORDS)


def test_every_kind_of_question_about_a_stack_is_judged(stored):
    records, maps = stored
    kinds = Counter()
    for stack in group_stacks(records):
        for number, fact in enumerate(find_stack_facts(stack)):
            if kinds[fact.kind, stack[0].plane] >= PER_KIND:
                continue
            orders = ("ascending", "descending", "unstated")
            prompt = ("none", "box")[number % 2]
            unit = Unit(0, fact, prompt, "clinical", "ras", "patient", "stack", stack_order=orders[number % 3])
            in_order = shown_order(unit, stack, ALL)
            here = [maps[(r.source, r.subject, r.plane, r.index), r.stack] for r in in_order]
            areas = [{name: found.area_mm2 for name, found in each.structures.items()} for each in here]
            for question in ask_of_stack(unit, stack, ALL, WORDS):
                kinds[fact.kind, stack[0].plane] += 1
                item = item_of(question, in_order)
                through = here[0].through
                assert in_stack(item, areas, through, WORDS) == "", item
                for option in set(item.options) - {item.answer}:
                    assert in_stack(replace(item, answer=option), areas, through, WORDS) != "", item
                turned = replace(item, slice_index=item.slice_index[::-1])
                if item.stack_order != "unstated":
                    assert in_stack(turned, areas[::-1], through, WORDS) != ""
    assert {kind for kind, _ in kinds} == {"direction", "order", "largest", "low_end", "high_end"}


def test_windows_are_read_back_from_their_text():
    for window in (
        Window("soft tissue", -160, 240),
        Window("percentiles 0.5-99.5", -12.5, 1.5e6),
        Window("lung", -1350, 150),
    ):
        assert np.allclose(window_limits(str(window)), (window.low, window.high), rtol=1e-4)
    with pytest.raises(ValueError, match="bright"):
        window_limits("bright")
