"""Views that separate looking from knowing: structures hidden, and another subject's slice, in a built data set."""

import io
import re
from collections import defaultdict
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from dataset_builder.building.builder import build
from dataset_builder.building.queues import followers
from dataset_builder.core.factors import DRAWN_PROMPTS
from dataset_builder.core.settings import Settings
from dataset_builder.pictures.occlusion import hidden_area, hide
from dataset_builder.pictures.render import Window, choose_window, show
from dataset_builder.questions.swaps import is_another_scan
from dataset_builder.slices.selection import load_slices
from dataset_builder.slices.store import volumes_in
from dataset_builder.sources import open_source

SIZE = 128
SETTINGS = Settings(
    seed=2,
    slices_per_volume=3,
    questions_per_volume=60,
    inputs=("slice",),
    answer_types=("choice",),
    statements=("edges",),
    option_forms=("listed",),
    image_size=SIZE,
)
HOW = ("fact_id", "prompt", "register", "convention", "frame")


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Rows of plain slices and of views, and the slices by source, subject, plane and index."""
    folder = tmp_path_factory.mktemp("hidden")
    summary = build([open_source("phantom:4")], folder / "mis-ground", SETTINGS, store=folder / "store")
    plain, views = [], []
    for path in sorted((folder / "mis-ground" / "data").rglob("*.parquet")):
        (views if path.parent.name == "view" else plain).extend(pq.read_table(path).to_pylist())
    slices = {
        (record.source, record.subject, record.plane, record.index): record
        for volume in volumes_in(folder / "store")
        for record in load_slices(volume.path)
    }
    return plain, views, slices, summary


def slice_of(slices, row):
    return slices[row["source"], row["subject"], row["plane"], row["slice_index"][0]]


def pixels(row):
    return np.asarray(Image.open(io.BytesIO(row["images"][0]["bytes"])))


def test_only_the_image_differs_where_structures_are_hidden(built):
    plain, views, _, _ = built
    known = {(*(row[name] for name in HOW), row["id"][-1]): row for row in plain}
    hidden = [row for row in views if row["view"] == "occluded"]
    assert len(hidden) >= 40
    for row in hidden:
        original = known[(*(row[name] for name in HOW), row["id"][-1])]
        assert {name for name in row if row[name] != original[name]} - {"pair_id"} == {"id", "view", "images"}


@pytest.mark.parametrize("values", ["noise", "bright", "dark"])
def test_nothing_of_hidden_structures_is_in_the_image(built, values):
    """With other values in the structures the image stays the same, byte for byte."""
    _, views, slices, _ = built
    clean = [row for row in views if row["view"] == "occluded" and row["prompt"] not in DRAWN_PROMPTS][:10]
    assert clean
    for row in clean:
        record = slice_of(slices, row)
        there = np.isin(record.labels, [v for v, name in record.names.items() if name in row["structures"]])
        changed = record.image.copy()
        low, high = float(changed.min()), float(changed.max())
        noise = np.random.default_rng(0).uniform(low, high, int(there.sum()))
        changed[there] = {"noise": noise, "bright": high, "dark": low}[values]
        other = replace(record, image=changed)
        window = choose_window(record, row["structures"])
        shown = show(other, row["convention"], window, SIZE, "occluded", row["structures"])
        if str(window) == row["window"]:  # that of all four options of a naming question
            np.testing.assert_array_equal(shown, pixels(row))
        np.testing.assert_array_equal(shown, show(record, row["convention"], window, SIZE, "plain", row["structures"]))
        assert (shown != show(other, row["convention"], window, SIZE)).any()


def test_what_lies_around_hidden_structures_stays(built):
    _, views, slices, _ = built
    for row in [row for row in views if row["view"] == "occluded"][:12]:
        record = slice_of(slices, row)
        window = choose_window(record, row["structures"])
        low = np.clip((record.image - window.low) / (window.high - window.low), 0, 1)
        grey = np.round(255 * low).astype(np.uint8)
        covered = hidden_area(record, row["structures"])
        filled = hide(grey, record, row["structures"])
        np.testing.assert_array_equal(filled[~covered], grey[~covered])
        own = np.isin(record.labels, [v for v, name in record.names.items() if name in row["structures"]])
        assert (covered >= own).all()
        assert covered.sum() > own.sum()


def test_a_fill_is_like_what_surrounds_it(built):
    """A disc brighter than an even background with noise leaves neither its grey nor a step at its border."""
    _, _, slices, _ = built
    record = next(iter(slices.values()))
    u, v = np.meshgrid(*(np.arange(160.0),) * 2, indexing="ij")
    disc = (u - 80) ** 2 + (v - 70) ** 2 < 30**2
    background = 80 + 0.2 * u + np.random.default_rng(1).normal(0, 3, disc.shape)
    made = replace(
        record,
        image=np.where(disc, 200.0, background),
        labels=disc.astype(np.uint8),
        names={1: "liver"},
        spacing=(1.0, 1.0),
    )
    window = Window("all", 0, 255)
    grey = np.round(np.clip(made.image, 0, 255)).astype(np.uint8)
    filled = hide(grey, made, ["liver"]).astype(float)
    assert np.abs(filled[disc] - (80 + 0.2 * u)[disc]).mean() < 4
    assert 1.5 < (filled - (80 + 0.2 * u))[disc].std() < 5
    assert window.low < filled.min()


def test_swapped_rows_have_the_words_of_their_originals_and_another_answer(built):
    plain, views, slices, _ = built
    by_words = defaultdict(list)
    for row in plain:
        by_words[tuple(row[name] for name in HOW)].append(row)
    swapped = [row for row in views if row["view"] == "swapped"]
    assert len(swapped) >= 10
    for row in swapped:
        same = by_words[tuple(row[name] for name in HOW)]
        (original,) = [one for one in same if one["relation"] != row["relation"]]
        assert row["options"] == original["options"]
        assert row["answer"] != original["answer"]
        assert row["subject"] != original["subject"]
        assert [row[name] for name in ("modality", "plane")] == [original[name] for name in ("modality", "plane")]
        said, before = (re.sub(r"\(\d+, \d+\)", "", one["question"]) for one in (row, original))
        assert said == before
        assert is_another_scan(slice_of(slices, row), slice_of(slices, original))
        if row["prompt"] not in DRAWN_PROMPTS:
            record = slice_of(slices, row)
            window = Window("", *_limits(row["window"], record))
            np.testing.assert_array_equal(pixels(row), show(record, row["convention"], window, SIZE))


def _limits(window, record):
    found = re.search(r"W(-?[\d.]+) L(-?[\d.]+)", window)
    if found is None:
        return tuple(float(value) for value in record.intensity_range)
    width, level = float(found[1]), float(found[2])
    return level - width / 2, level + width / 2


def test_answers_of_swapped_rows_are_what_the_points_show(built):
    """By the places in the image, for directions along its axes."""
    _, views, _, _ = built
    axes = {"axial": ("right", "anterior"), "coronal": ("right", "superior"), "sagittal": ("anterior", "superior")}
    opposite = {"right": "left", "anterior": "posterior", "superior": "inferior"}
    judged = 0
    for row in views:
        if row["view"] != "swapped" or row["terminology"] != "directional":
            continue
        (ax, ay), (bx, by) = row["points"]
        across, up = axes[row["plane"]]
        sign = 1 if row["convention"] == "radiological" else -1
        lies = {across: sign * (bx - ax), up: sign * (by - ay)}
        lies |= {opposite[name]: -much for name, much in lies.items()}
        if row["relation"] in lies:
            assert lies[row["relation"]] > 0
            judged += 1
    assert judged


def test_what_no_other_slice_can_be_asked_of_is_counted(built):
    *_, summary = built
    assert summary.unmatched > 0


def test_every_volume_is_followed_by_the_next_ones_in_a_circle():
    found = list(followers(list(range(7)), 3, lambda item: item % 2 == 0))
    assert found == [
        (0, (2, 4, 6)),
        (1, (2, 4, 6)),
        (2, (4, 6, 0)),
        (3, (4, 6, 0)),
        (4, (6, 0, 2)),
        (5, (6, 0, 2)),
        (6, (0, 2, 4)),
    ]
    assert list(followers([1], 3, lambda item: True)) == [(1, ())]
    assert list(followers([], 3, lambda item: True)) == []
