"""Every kind of defect, planted in a row, in a cell and everywhere, is found by name, by each line of defence alone.

All kinds that can go side by side are planted in one copy, each in rows of its own. What is planted everywhere needs a
copy of its own: `make test` tries all kinds in rows, and some of each family everywhere; `make test-defects` tries all
in rows, cells and everywhere.
"""

import os
from dataclasses import replace

import pytest

from dataset_builder import check
from dataset_builder.building.builder import build
from dataset_builder.check import check_dataset, findings, reading
from dataset_builder.check.baselines import BlindBaselines
from dataset_builder.core.factors import ANSWER_TYPES
from dataset_builder.core.settings import Settings
from dataset_builder.sources import open_source
from tests.helpers import planted_texts  # noqa: F401 - its kinds come first, and take their rows first

# isort: split
from tests.helpers import planted_answers, planted_columns, planted_controls, planted_images  # noqa: F401 - they add theirs
from tests.helpers.planting import KINDS, Planting

SMALL = Settings(
    seed=8,
    slices_per_volume=3,
    questions_per_volume=100,
    stack_size=5,
    stack_questions_per_volume=48,
    image_size=128,
    answer_types=ANSWER_TYPES,
    locate_questions_per_volume=36,
    measure_questions_per_volume=32,
)
OF_SLICES = Settings(
    seed=1,
    planes=("sagittal",),
    slices_per_volume=2,
    questions_per_volume=60,
    inputs=("slice",),
    answer_types=("choice",),
    image_size=128,
)
CONTROLS = [name for name, kind in KINDS.items() if kind.change.__module__ == planted_controls.__name__]
ALL = os.environ.get("MIS_GROUND_ALL_DEFECTS") == "1"
SOME = (
    "left_and_right_edge_exchanged_in_the_text",
    "the_question_asks_the_inverse",
    "letters_exchanged_in_the_image",
    "the_overlay_of_another_structure",
    "the_image_of_another_slice",
    "a_stack_reversed",
    "the_scan_faintly_on_a_blank_canvas",
    "another_prior_answer",
    "the_lowest_bits_of_unmarked_images_that_tell_the_answer",
    "the_place_of_the_answer_in_the_id",
    "all_places_mirrored",
    "measurements_a_twentieth_too_long",
    "the_opposite_to_be_confirmed",
    "the_hidden_structures_faintly_seen",
)
EVERYWHERE = [name for name, kind in KINDS.items() if "everywhere" in kind.scopes]


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """A data set of a torso (CT) and a knee (MR) of some hundred rows, in memory."""
    out = tmp_path_factory.mktemp("planted") / "mis-ground"
    build([open_source("phantom:2")], out, SMALL)
    return Planting.of(out)


@pytest.fixture(scope="module")
def knees(tmp_path_factory):
    """Two knees (MR), which can lend each other their slices, with all controls of single slices."""
    out = tmp_path_factory.mktemp("knees") / "mis-ground"
    store = out.with_name("store")
    build([open_source("phantom:4")], store / "all", replace(OF_SLICES, questions_per_volume=2), store=store / "slices")
    for path in (store / "slices").glob("*/torso*"):
        path.unlink()
    build([], out, OF_SLICES, store=store / "slices")
    return Planting.of(out)


def audited(planting, reproduce=False, guessers=False):
    """The audit of rows in memory: check -> problem -> places."""

    def batches(name, file, of):
        of.looked("schema")
        yield planting.ground.files[name]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "_batches", batches)
        patch.setattr(findings, "EXAMPLES", 100_000)
        patch.setattr(check, "check_files", lambda *_: None)
        if not guessers:
            patch.setattr(check, "check_baselines", lambda *_: BlindBaselines([], [], []))
        audit = check_dataset(planting.ground.folder, reproduce=reproduce)
    return {
        one.name: {violation.problem: violation.examples for violation in one.violations.values()}
        for one in audit.findings.checks.values()
        if one.violations
    }


def missed(kind, found, marks):
    """What of a kind was not found at the rows that have it."""
    return [
        f"{kind.name}: {check}: {problem}"
        for check, problem in kind.found.items()
        if not any(
            problem in what and any(mark in place for place in places for mark in marks)
            for what, places in found.get(check, {}).items()
        )
    ]


def test_the_sound_rows_pass(base):
    assert audited(base, reproduce=True, guessers=True) == {}


@pytest.mark.parametrize("scope", ["row", "cell"] if ALL else ["row"])
def test_a_defect_of_a_row_or_a_cell_is_found_by_meaning_and_by_reproduction(base, scope):
    impossible = planted_one_by_one(base, [kind for kind in KINDS.values() if kind.name not in CONTROLS], scope)
    assert len(impossible) <= 2, impossible  # a small data set has not every relation


@pytest.mark.parametrize("scope", ["row", "cell"] if ALL else ["row"])
def test_a_defect_of_a_control_is_found_by_meaning_and_by_reproduction(knees, scope):
    assert planted_one_by_one(knees, [KINDS[name] for name in CONTROLS], scope) == []


def planted_one_by_one(base, kinds, scope):
    """Each kind in rows of its own, in as few copies as that takes; returns the kinds that no row can have."""
    waiting = [kind for kind in kinds if scope in kind.scopes]
    lost, unnoticed, impossible = [], [], [kind for kind in waiting if not base.units(kind, set())]
    waiting = [kind for kind in waiting if kind not in impossible]
    while waiting:
        planting, used, planted, later = base.fresh(), set(), [], []
        for kind in waiting:
            marks = planting.plant(kind, scope, used)
            later.append(kind) if marks is None else planted.append((kind, marks))
        assert planted, [kind.name for kind in later]
        found = audited(planting, reproduce=True)
        again = found.pop("reproduction", {})
        for kind, marks in planted:
            lost += missed(kind, found, marks)
            named = any(mark in place for places in again.values() for place in places for mark in marks)
            if named != kind.made_again:
                unnoticed.append(kind.name)
        waiting = later
    assert not lost, lost
    assert not unnoticed, unnoticed
    return [kind.name for kind in impossible]


@pytest.mark.parametrize("name", EVERYWHERE if ALL else SOME)
def test_a_defect_that_is_everywhere_is_found_by_meaning(base, name):
    kind, planting = KINDS[name], base.fresh()
    if planting.plant(kind, "everywhere", set()) is None:
        pytest.skip("no row of this small data set can have it")
    found = audited(planting, guessers="leakage" in kind.found)
    assert not missed(kind, found, {""}), found


def test_there_are_many_kinds():
    assert len(KINDS) >= 80
    assert sum(len(kind.scopes) for kind in KINDS.values()) >= 88
    assert set(SOME) <= set(EVERYWHERE)
