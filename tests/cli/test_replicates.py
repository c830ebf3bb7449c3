"""``mis-ground build --seeds N``: data sets of the same volumes with other slices, and nothing in two of them."""

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from dataset_builder.cli.main import app
from dataset_builder.cli.replicates import replicates_of
from dataset_builder.core.errors import MISGroundError
from dataset_builder.dataset.manifest import read_record, settings_of

FEW = "--inputs slice --views plain --answer-types choice --prompts box --questions-per-volume 8 --image-size 64"


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("seeds")
    asked = ["build", "--source", "phantom:2", "--seeds", "2", "--seed", "3", "--out", str(root / "again")]
    made = CliRunner().invoke(app, [*asked, "--store", str(root / "store"), *FEW.split()])
    assert made.exit_code == 0, made.output
    assert "mis-ground report RUN RUN" in made.output
    return root


def columns(folder, *names):
    files = sorted((folder / "data").rglob("*.parquet"))
    return [tuple(row.values()) for file in files for row in pq.read_table(file, columns=list(names)).to_pylist()]


def test_each_seed_has_a_data_set_of_the_same_volumes_and_no_question_is_in_two(folders):
    assert sorted(path.name for path in (folders / "again").glob("[!.]*")) == ["seed-3", "seed-4"]
    both = [folders / "again" / f"seed-{seed}" for seed in (3, 4)]
    assert [settings_of(read_record(folder).builds[0]).seed for folder in both] == [3, 4]
    assert set(columns(both[0], "subject")) == set(columns(both[1], "subject"))
    for name in ("id", "pair_id", "fact_id"):
        one, other = ({value for (value,) in columns(folder, name)} - {""} for folder in both)
        assert one
        assert not one & other
    shown = [{(plane, *index) for plane, index in columns(folder, "plane", "slice_index")} for folder in both]
    assert shown[0] != shown[1]


def test_each_seed_keeps_its_slices_apart_and_is_what_a_build_of_that_seed_makes(folders, tmp_path):
    assert sorted(path.name for path in (folders / "store").iterdir() if path.is_dir()) == ["seed-3", "seed-4"]
    store = str(folders / "store" / "seed-4")
    made = CliRunner().invoke(
        app, ["build", "--store", store, "--seed", "4", "--out", str(tmp_path / "alone"), *FEW.split()]
    )
    assert made.exit_code == 0, made.output
    names = ("id", "question", "answer")
    assert columns(tmp_path / "alone", *names) == columns(folders / "again" / "seed-4", *names)


def test_without_seeds_there_is_one_data_set_under_its_own_name(tmp_path):
    (one,) = replicates_of(tmp_path / "mis-ground", 5, None, tmp_path)
    assert (one.seed, one.out, one.store) == (5, tmp_path / "mis-ground", tmp_path)
    (tmp_path / "build.json").touch()
    with pytest.raises(MISGroundError, match="is a data set"):
        list(replicates_of(tmp_path, 0, 2, None))
    alone = CliRunner().invoke(app, ["build", "--source", "phantom:1", "--seeds", "1"])
    assert alone.exit_code == 2
