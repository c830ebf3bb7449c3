import dataclasses
import json
import subprocess
import sys

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import load_dataset

from dataset_builder.building.builder import build
from dataset_builder.building.datasets_builder import FEATURES, MISGround
from dataset_builder.building.parts import part_path
from dataset_builder.building.worker import write_part
from dataset_builder.check import check_dataset
from dataset_builder.core.errors import BuildError, CaseError, EmptyLabelsError
from dataset_builder.core.factors import ANSWER_CONFIGS, INPUT_CONFIGS, MODALITIES, PLANES
from dataset_builder.core.settings import Settings
from dataset_builder.dataset import parquet
from dataset_builder.dataset.format import COLUMNS
from dataset_builder.dataset.manifest import read_record
from dataset_builder.gallery.gallery import write_gallery
from dataset_builder.slices.store import volumes_in
from dataset_builder.sources import open_source
from tests.helpers.folders import contents

SMALL = Settings(
    slices_per_volume=3,
    questions_per_volume=40,
    stack_size=4,
    stack_questions_per_volume=8,
    locate_questions_per_volume=8,
    measure_questions_per_volume=6,
    image_size=128,
)
PHANTOMS = "phantom:3"  # one of CT, two of MR: a cell has several volumes


class SomeBroken:
    """The phantom source with a case that cannot be used in the middle."""

    def __init__(self, error: Exception, count: int = 3) -> None:
        self._source = open_source(f"phantom:{count}")
        self.name, self.licence = self._source.name, self._source.licence
        self.citation, self.url = self._source.citation, self._source.url
        self.error = error

    def cases(self):
        return self._source.cases()

    def read(self, case):
        if case.subject == sorted(c.subject for c in self.cases())[1]:
            raise self.error
        return self._source.read(case)


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A data set of the phantoms and the store that it came from."""
    folder = tmp_path_factory.mktemp("built")
    summary = build([open_source(PHANTOMS)], folder / "mis-ground", SMALL, store=folder / "store")
    return summary, folder / "store"


def test_the_bytes_do_not_depend_on_the_number_of_processes_nor_on_the_store(built, tmp_path):
    summary, store = built
    build([open_source(PHANTOMS)], tmp_path / "two", SMALL, num_proc=2)
    build([], tmp_path / "again", SMALL, store=store)
    assert contents(tmp_path / "two") == contents(summary.out)
    assert contents(tmp_path / "again") == contents(summary.out)


@pytest.mark.slow
def test_a_large_data_set_has_several_files_a_split(built, tmp_path, monkeypatch):
    """The same rows and card, whatever the size of the files."""
    whole, store = built
    monkeypatch.setattr(parquet, "MAX_SHARD_BYTES", 24_000)
    monkeypatch.setattr(parquet, "SHARD_BYTES", 16_000)
    cut = [build([], tmp_path / str(n), SMALL, store=store, num_proc=n) for n in (1, 2)]
    assert contents(cut[0].out) == contents(cut[1].out)
    assert cut[0].rows == whole.rows
    record, before = read_record(cut[0].out), read_record(whole.out)
    assert [build.guessing_rates for build in record.builds] == [build.guessing_rates for build in before.builds]
    several = [key for key, note in record.splits.items() if len(note.files) > 1]
    assert {"stack", "blank", "view", "slices", "mri_axial", "locate", "measure"} <= {config for config, _ in several}
    for key, note in record.splits.items():
        stem = before.splits[key].files[0].removesuffix(".parquet")
        assert list(note.files) == parquet.series(stem, len(note.files))
        tables = [pq.read_table(cut[0].out / file) for file in note.files]
        assert pa.concat_tables(tables).equals(pq.read_table(whole.out / before.splits[key].files[0]))
    assert check_dataset(cut[0].out).ok
    pages = [tmp_path / "whole.html", tmp_path / "cut.html"]
    assert len({write_gallery(out, page) for out, page in zip((whole.out, cut[0].out), pages, strict=True)}) == 1
    stacks = load_dataset(str(cut[0].out), "stack", split="test", cache_dir=str(tmp_path / "cache"))
    assert stacks["id"] == pq.read_table(whole.out / "data" / "stack" / "test.parquet")["id"].to_pylist()
    rows = load_dataset(str(cut[0].out), split="test", cache_dir=str(tmp_path / "cache"))
    assert sorted(rows["id"]) == sorted(load_dataset(str(whole.out), split="test", cache_dir=str(tmp_path))["id"])


def test_a_part_tells_what_its_images_take_in_a_file(built, tmp_path):
    """Each different one once, also where slices are shown again unmarked in stacks: files are cut by it."""
    part = write_part((0, volumes_in(built[1])[0], SMALL, ()), None, tmp_path)
    with pa.OSFile(str(part_path(tmp_path, 0))) as file:
        batches = pa.ipc.open_file(file)
        for number, distinct in enumerate(part.distinct):
            rows = batches.get_batch(number)["images"].to_pylist()
            assert distinct == sum(map(len, {image["bytes"] for row in rows for image in row}))
    assert part.sizes[part.cells.index(("stack", "test"))] > part.distinct[part.cells.index(("stack", "test"))]


def test_another_seed_gives_other_questions(tmp_path):
    one, other = (
        build([open_source("phantom:1")], tmp_path / str(seed), dataclasses.replace(SMALL, seed=seed)).out
        for seed in (0, 1)
    )
    files = sorted({*contents(one), *contents(other)} - {"README.md"})
    assert sum(contents(one).get(file) == contents(other).get(file) for file in files) < len(files) / 4


def test_load_dataset_reads_all_a_cell_and_the_slices(built, tmp_path):
    summary, _ = built
    cache = str(tmp_path)
    rows = load_dataset(str(summary.out), split="test", cache_dir=cache)
    assert rows.features == FEATURES
    assert list(rows.features) == list(COLUMNS)
    assert len(rows) == summary.total_rows == sum(summary.rows.values())
    assert len(set(rows["id"])) == len(rows)
    image = rows[0]["images"][0]
    assert image.size == (128, 128)
    (config, split), count = next(iter(summary.rows.items()))
    cell = load_dataset(str(summary.out), config, split=split, cache_dir=cache)
    assert len(cell) == count
    assert {f"{m}_{p}" for m, p in zip(cell["modality"], cell["plane"], strict=True)} == {config}
    assert {f"{t}_{p}" for t, p in zip(cell["terminology"], cell["prompt"], strict=True)} == {split}
    slices = load_dataset(str(summary.out), "slices", split="test", cache_dir=cache)
    assert len(slices) == summary.slices


def test_load_dataset_streams(built):
    summary, _ = built
    first = next(iter(load_dataset(str(summary.out), split="test", streaming=True)))
    assert first["answer"] in first["options"]


def test_the_class_gives_the_same_rows_as_the_folder(built, tmp_path):
    _, store = built
    few = dataclasses.replace(SMALL, prompts=("none", "box"), questions_per_volume=24, inputs=("slice",))
    summary = build([], tmp_path / "folder", few, store=store)
    config = next(iter(summary.rows))[0]
    builder = MISGround("view", store=store, settings=few, cache_dir=str(tmp_path / "parquet"))
    builder.download_and_prepare(file_format="parquet")
    assert list((tmp_path / "parquet").rglob("*.parquet"))
    made = MISGround(config, store=store, settings=few, cache_dir=str(tmp_path / "arrow"))
    made.download_and_prepare()
    splits = made.as_dataset()
    assert {split: len(rows) for split, rows in splits.items()} == {
        split: count for (of, split), count in summary.rows.items() if of == config
    }
    for split, rows in splits.items():
        table = pq.read_table(summary.out / "data" / config / f"{split}.parquet")
        raw = rows.cast_column("images", datasets.List(datasets.Image(decode=False)))
        assert raw["id"] == table["id"].to_pylist()
        assert [r["images"][0]["bytes"] for r in raw] == [r[0]["bytes"] for r in table["images"].to_pylist()]


def test_the_card_names_every_cell_and_its_files(built):
    summary, _ = built
    card = (summary.out / "README.md").read_text()
    for config, split in summary.rows:
        assert f"path: data/{config}/{split}.parquet" in card
    assert f"{summary.total_rows} questions" in card
    assert "Not for clinical use" in card
    assert "{{" not in card


def test_pairs_lie_side_by_side_in_their_cell(built):
    summary, _ = built
    for config, split in summary.rows:
        ids = pq.read_table(summary.out / "data" / config / f"{split}.parquet", columns=["pair_id"])["pair_id"]
        pairs = [pair for pair in ids.to_pylist() if pair]
        assert pairs[::2] == pairs[1::2]


def test_every_row_carries_modality_and_plane_of_its_config(built):
    summary, _ = built
    of_planes = {f"{m}_{p}" for m in MODALITIES for p in PLANES}
    assert {config for config, _ in summary.rows} <= of_planes | {*INPUT_CONFIGS, *ANSWER_CONFIGS.values()}
    assert {"locate", "measure"} <= {config for config, _ in summary.rows}
    for config, split in summary.rows:
        columns = ["modality", "plane", "terminology", "prompt", "input", "view", "answer_type"]
        columns += ["statement", "option_form"]
        for row in pq.read_table(summary.out / "data" / config / f"{split}.parquet", columns=columns).to_pylist():
            assert (row["answer_type"] == "choice") == (config not in ANSWER_CONFIGS.values())
            if config in ANSWER_CONFIGS.values():
                assert (row["answer_type"] == "number") == (config == "measure")
                assert config == "locate" or (row["input"], row["view"]) == ("slice", "plain")
            elif config in of_planes:
                assert (f"{row['modality']}_{row['plane']}", f"{row['terminology']}_{row['prompt']}") == (config, split)
                assert (row["input"], row["view"]) == ("slice", "plain")
            elif config == "view":
                assert row["input"] == "slice"
                assert row["view"] != "plain"
            elif config in ("statement", "options"):
                assert (row["input"], row["view"]) == ("slice", "plain")
                assert (row["statement"] != "edges", row["option_form"] != "listed").count(True) == 1
                assert (row["statement"] != "edges") == (config == "statement")
            else:
                assert (row["input"], row["view"]) == (config, "plain")


@pytest.mark.parametrize("num_proc", [1, 2])
def test_a_case_that_cannot_be_used_is_quarantined_and_the_build_goes_on(tmp_path, num_proc):
    error = EmptyLabelsError("No structure is labelled.", file="/home/someone/x/s1/labels.nii.gz", remedy="Label it.")
    summary = build([SomeBroken(error)], tmp_path / "out", SMALL, num_proc=num_proc)
    assert summary.volumes == 2
    (line,) = (tmp_path / "out" / "quarantine.jsonl").read_text().splitlines()
    case = json.loads(line)
    assert case["reason"] == "empty_labels"
    assert case["remedy"] == "Label it."
    assert case["file"] == "s1/labels.nii.gz"
    assert "someone" not in line


def test_a_fault_of_our_own_in_one_case_does_not_stop_the_others(tmp_path):
    summary = build([SomeBroken(ZeroDivisionError("oh"))], tmp_path / "out", SMALL)
    assert summary.volumes == 2
    assert summary.quarantined[0].reason == "internal_error"
    assert "ZeroDivisionError" in summary.quarantined[0].problem


def test_strict_stops_at_the_first_and_leaves_nothing_behind_its_name(tmp_path):
    with pytest.raises(CaseError, match="No structure"):
        build([SomeBroken(EmptyLabelsError("No structure is labelled."))], tmp_path / "out", SMALL, strict=True)
    assert not (tmp_path / "out").exists()


def test_a_full_disk_is_not_blamed_on_a_case(tmp_path):
    with pytest.raises(OSError, match="No space"):
        build([SomeBroken(OSError(28, "No space left on device"))], tmp_path / "out", SMALL)


def test_a_second_build_reads_no_volume_again(built, tmp_path, monkeypatch):
    _, store = built
    source = open_source(PHANTOMS)
    monkeypatch.setattr(type(source), "read", lambda *_: pytest.fail("a volume was read again"))
    build([source], tmp_path / "out", dataclasses.replace(SMALL, prompts=("none",)), store=store)


def test_a_killed_build_goes_on_and_comes_out_the_same(built, tmp_path):
    summary, _ = built
    code = (
        "import os, sys; from dataset_builder.building import builder, worker\n"
        "from dataset_builder.core.settings import ClarityLimits, Settings\n"
        "from dataset_builder.sources import open_source\n"
        "real = worker.store_volume; count = [0]\n"
        "def dying(*args):\n"
        "    count[0] += 1\n"
        "    if count[0] == 3: os._exit(9)\n"
        "    return real(*args)\n"
        "worker.store_volume = dying\n"
        "builder.build([open_source('phantom')], __import__('pathlib').Path(sys.argv[1]),"
        f" {SMALL!r})\n"
    )
    out = tmp_path / "out"
    killed = subprocess.run([sys.executable, "-c", code, str(out)], check=False)
    assert killed.returncode == 9
    assert not out.exists()
    build([open_source(PHANTOMS)], out, SMALL)
    assert contents(out) == contents(summary.out)
    assert sorted(path.name for path in tmp_path.iterdir() if not path.name.endswith(".lock")) == ["out"]


def test_power_going_between_the_two_renames_loses_nothing(built, tmp_path):
    summary, store = built
    old = tmp_path / ".out.old"
    build([], tmp_path / "out", SMALL, store=store)
    (tmp_path / "out").rename(old)
    with pytest.raises(BuildError, match="no finished volume"):
        build([], tmp_path / "out", SMALL, store=tmp_path / "nowhere")
    assert contents(tmp_path / "out") == contents(summary.out)


def test_a_folder_of_something_else_is_never_replaced(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.tex").write_text("years of work")
    with pytest.raises(BuildError, match="not a MIS-Ground data set"):
        build([open_source("phantom:1")], tmp_path / "out", SMALL)
    assert (tmp_path / "out" / "thesis.tex").read_text() == "years of work"


def test_two_builds_into_one_folder_at_once_are_refused(tmp_path):
    from filelock import FileLock

    with FileLock(tmp_path / ".out.lock"), pytest.raises(BuildError, match="Another build"):
        build([open_source("phantom:1")], tmp_path / "out", SMALL)


def test_nothing_to_build_from_says_what_to_give(tmp_path):
    with pytest.raises(BuildError, match="--source"):
        build([], tmp_path / "out", SMALL)


def test_the_same_source_twice_is_refused(tmp_path):
    with pytest.raises(BuildError, match="same source and subject"):
        build([open_source("phantom:1"), open_source("phantom:1")], tmp_path / "out", SMALL)


@pytest.mark.parametrize(
    ("setting", "value", "message"),
    [
        ("planes", ("oblique",), "planes.*axial"),
        ("prompts", (), "prompts"),
        ("image_size", 1, "image_size"),
        ("slices_per_volume", 0, "slices_per_volume"),
        ("questions_per_volume", 0, "questions_per_volume"),
    ],
)
def test_settings_name_the_bad_value_and_the_legal_ones(setting, value, message):
    with pytest.raises(BuildError, match=message):
        Settings(**{setting: value})


def test_images_are_not_empty(built):
    summary, _ = built
    for row in load_dataset(str(summary.out), split="test").select(range(0, summary.total_rows, 9)):
        assert np.asarray(row["images"][0].convert("L")).std() > 5
