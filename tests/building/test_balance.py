"""Small data sets: as many questions in every cell, whole pairs, controls beside their questions."""

from collections import Counter, defaultdict
from dataclasses import replace

import pyarrow.parquet as pq
import pytest

from dataset_builder.building.balance import draw_volumes
from dataset_builder.building.builder import build
from dataset_builder.building.rows import volume_rows
from dataset_builder.core.errors import BuildError
from dataset_builder.core.factors import PLANES, TERMINOLOGIES
from dataset_builder.core.presets import PRESETS, SIZES, with_size
from dataset_builder.core.settings import Settings
from dataset_builder.dataset.manifest import read_record, settings_of
from dataset_builder.slices.store import volumes_in
from dataset_builder.sources import open_source
from tests.helpers.folders import contents

PER_CELL = 4
PROMPTS = ("box", "text_box")
SETTINGS = Settings(
    answer_types=("choice",),
    prompts=PROMPTS,
    inputs=("slice", "blank"),
    slices_per_volume=3,
    questions_per_volume=90,
    image_size=64,
    questions_per_cell=PER_CELL,
    volumes_per_modality=2,
)


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """One CT and two MR phantoms; and the store that they came from."""
    folder = tmp_path_factory.mktemp("balanced")
    return build([open_source("phantom:3")], folder / "small", SETTINGS, store=folder / "store"), folder / "store"


@pytest.fixture(scope="module")
def rows(built):
    names = ["id", "fact_id", "pair_id", "subject", "modality", "plane", "terminology", "prompt", "register"]
    names += ["convention", "frame", "input", "view", "statement", "option_form"]
    files = (built[0].out / "data").rglob("*.parquet")
    return [row for file in sorted(files) for row in pq.read_table(file, columns=names).to_pylist()]


def is_own(row):
    """Whether it is no control."""
    return [row[name] for name in ("input", "view", "statement", "option_form")] == [
        "slice",
        "plain",
        "edges",
        "listed",
    ]


def test_every_cell_is_there_with_the_same_number_of_questions(built, rows):
    counts = Counter((row["modality"], row["plane"], row["terminology"], row["prompt"]) for row in rows if is_own(row))
    every = {(m, p, t, q) for m in ("ct", "mri") for p in PLANES for t in TERMINOLOGIES for q in PROMPTS}
    assert counts == dict.fromkeys(every, PER_CELL)
    assert len({row["subject"] for row in rows}) == built[0].volumes == 3


def test_pairs_are_whole_and_controls_stay_with_their_questions(rows):
    pairs = Counter(row["pair_id"] for row in rows if row["pair_id"])
    assert set(pairs.values()) == {2}
    asked = ("fact_id", "prompt", "register", "convention", "frame")
    own = {tuple(row[name] for name in asked) for row in rows if is_own(row)}
    controls = [row for row in rows if not is_own(row)]
    assert {row["input"] for row in controls} == {"slice", "blank"}
    assert {tuple(row[name] for name in asked) for row in controls} <= own
    blank = Counter(row["plane"] for row in controls if row["input"] == "blank")
    assert blank == dict.fromkeys(PLANES, 2 * len(TERMINOLOGIES) * PER_CELL)  # a twin of each question with a box


def test_prompts_ask_about_the_same_facts(rows):
    facts = defaultdict(set)
    for row in rows:
        facts[row["prompt"]].add(row["fact_id"])
    shared = facts["box"] & facts["text_box"]
    assert len(shared) >= 0.6 * len(facts["box"] | facts["text_box"])


def test_a_store_gives_the_same_bytes_and_rebuilt_rows_are_the_same(built, tmp_path):
    summary, store = built
    build([], tmp_path / "again", SETTINGS, store=store)
    assert contents(tmp_path / "again") == contents(summary.out)
    fewer = build([], tmp_path / "fewer", replace(SETTINGS, volumes_per_modality=1), store=store)
    assert fewer.volumes == 2  # one of each modality
    record = read_record(summary.out)
    settings = settings_of(record.builds[0])
    made = {row["id"] for volume in volumes_in(store) for row in volume_rows(volume, settings)}
    ids = {id for file in (summary.out / "data").rglob("*.parquet") for id in pq.read_table(file)["id"].to_pylist()}
    assert ids < made  # what the audit takes for left out, not for missing


def test_volumes_are_drawn_by_modality_and_keep_their_order():
    named = [((kind, number), (kind, "source", f"{number}")) for number in range(40) for kind in ("ct", "mri")]
    one = draw_volumes(named, 5)
    assert Counter(kind for kind, _ in one) == {"ct": 5, "mri": 5}
    assert one == sorted(one, key=lambda item: (item[1], item[0]))
    assert one != [item for item, _ in named[:10]]
    assert draw_volumes(named, 100) == [item for item, _ in named]
    # Who else is there decides nothing between two volumes.
    fewer = draw_volumes([each for each in named if each[0] not in one[:1]], 5)
    assert set(one[1:]) <= set(fewer)


@pytest.mark.parametrize("size", SIZES)
def test_a_size_holds_where_no_option_says_otherwise(size):
    made = with_size(size, {"seed": 3, "slices_per_volume": 9}, {"slices_per_volume"})
    assert made["slices_per_volume"] == 9
    assert Settings(**made) == Settings(**{**SIZES[size], "slices_per_volume": 9, "seed": 3})


def test_sizes_that_do_not_exist_or_hold_no_pair_are_refused():
    assert SIZES["paper"] == PRESETS["paper"]
    with pytest.raises(BuildError, match="size does not exist") as caught:
        with_size("tiny", {}, ())
    assert "small, paper, full" in str(caught.value.remedy)
    with pytest.raises(BuildError, match="at least 2"):
        Settings(questions_per_cell=1)
    with pytest.raises(BuildError, match="at least 1"):
        Settings(volumes_per_modality=0)
