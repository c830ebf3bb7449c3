"""Folders of others: recipes, cut into shards, without record or slices, with columns of other types or none."""

import hashlib
import shutil

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dataset_builder.check import check_dataset
from dataset_builder.check.findings import Findings
from dataset_builder.check.images import Images
from dataset_builder.check.items import split_of
from dataset_builder.check.reading import Folder, check_files, read_items
from dataset_builder.core.errors import DatasetNotFoundError


def rewrite(folder, change):
    """Change the table of each file of questions."""
    for path in sorted((folder / "data").rglob("*.parquet")):
        pq.write_table(change(pq.read_table(path)), path)


def only(ground, folder, *files):
    """A folder with some of the files and nothing else."""
    for name in files:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ground / name, folder / name)
    return folder


def read(folder):
    findings = Findings()
    opened = Folder(folder, findings)
    check_files(opened, findings)
    with Images(findings) as images:
        items = read_items(opened, images, findings, lambda *_: None)
    return items, {name: set(check.violations) for name, check in findings.checks.items() if check.violations}


def a_file(ground):
    return next(path.relative_to(ground).as_posix() for path in sorted((ground / "data").rglob("*_box.parquet")))


def test_a_data_set_without_images_and_slices_is_checked_as_far_as_it_goes(ground, tmp_path):
    folder = tmp_path / "recipe"
    shutil.copytree(ground / "data", folder / "data")

    def without_images(table):
        listed = [[hashlib.sha256(i["bytes"]).hexdigest() for i in images] for images in table["images"].to_pylist()]
        return table.drop_columns(["images"]).append_column("image_sha256", pa.array(listed, pa.list_(pa.string())))

    rewrite(folder, without_images)
    audit = check_dataset(folder)
    left = {check.name for check in audit.findings.checks.values() if check.status == "not checked"}
    left.discard("swapped")  # of a torso and a knee none can be made
    assert left == {"reproduction", "pictures", "boxes", "markers", "orientation", "pixels", "labels", "answers"}
    wrong = {check.name for check in audit.findings.checks.values() if check.violations}
    assert wrong == {"files"}  # there is no card
    assert audit.findings.checks["pairs"].looked_at > 50


def test_types_that_hold_the_same_are_taken(ground, tmp_path):
    name = a_file(ground)
    folder = only(ground, tmp_path, name)
    table = pq.read_table(folder / name)
    large = table.set_column(0, "id", table["id"].cast(pa.large_string()))
    pq.write_table(large, folder / name)
    items, wrong = read(folder)
    assert len(items.rows) == table.num_rows
    assert "schema" not in wrong


def test_a_file_without_a_column_is_named_and_left_out(ground, tmp_path):
    name = a_file(ground)
    folder = only(ground, tmp_path, name)
    table = pq.read_table(folder / name)
    pq.write_table(table.drop_columns(["fact_id"]).set_column(0, "id", pa.array(range(table.num_rows))), folder / name)
    items, wrong = read(folder)
    assert not items.rows
    assert wrong["schema"] == {"A column is missing.", "A column has the wrong type."}


def test_a_file_that_is_no_parquet_is_named(ground, tmp_path):
    name = a_file(ground)
    folder = only(ground, tmp_path, name, "README.md", "build.json")
    (folder / "data" / "ct_axial" / "broken.parquet").write_bytes(b"PAR1 not at all")
    items, wrong = read(folder)
    assert len(items.rows) == pq.read_metadata(ground / name).num_rows
    assert "A file cannot be read." in wrong["files"]


def test_a_broken_record_is_told(ground, tmp_path):
    folder = only(ground, tmp_path, a_file(ground), "README.md")
    (folder / "build.json").write_text("{")
    assert "The record of the build cannot be read." in read(folder)[1]["files"]


@pytest.mark.parametrize(
    ("file", "split"),
    [
        ("data/ct_axial/directional_box.parquet", ("ct_axial", "directional_box")),
        ("data/view/test-00001-of-00012.parquet", ("view", "test")),
        ("mine.parquet", (".", "mine")),
    ],
)
def test_config_and_split_of_a_file(file, split):
    assert split_of(file) == split


def test_a_folder_without_questions_is_refused(tmp_path):
    with pytest.raises(DatasetNotFoundError, match="not a MIS-Ground data set"):
        check_dataset(tmp_path)
