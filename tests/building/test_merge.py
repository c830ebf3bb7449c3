"""The files of a data set, made of volumes' parts: what is in them is tested by the builds of test_builder.py."""

import dataclasses

import numpy as np
import pyarrow.parquet as pq
import pytest

from dataset_builder.building import merge as merging
from dataset_builder.building.merge import Merge, cells, plan, stem_of
from dataset_builder.building.parts import Parts
from dataset_builder.dataset import parquet
from dataset_builder.files.disk_list import Spool
from dataset_builder.slices.selection import SliceRecord, save_slices
from dataset_builder.slices.store import StoredVolume

RECORD = SliceRecord(
    source="made",
    subject="",
    modality="ct",
    licence="MIT",
    side=None,
    plane="axial",
    index=0,
    image=np.zeros((4, 4), np.int16),
    labels=np.ones((4, 4), np.uint8),
    names={1: "liver"},
    spacing=(1.0, 1.0),
    thickness_mm=1.0,
    affine=np.eye(4),
    volume_shape=(4, 4, 4),
    midline_mm=None,
    intensity_range=(0.0, 1.0),
)


@pytest.fixture
def volumes(tmp_path):
    """Seven volumes of one, two, three ... slices."""
    spool: Spool[StoredVolume] = Spool(tmp_path / "volumes")
    for number in range(7):
        path = tmp_path / f"{number}.parquet"
        of = dataclasses.replace(RECORD, subject=f"s{number}")
        size = save_slices([dataclasses.replace(of, index=index) for index in range(number + 1)], path)
        assert size == path.stat().st_size
        spool.add(StoredVolume("made", of.subject, path, size))
    return spool


def merged(volumes, folder):
    """What is noted of the files of these volumes' slices."""
    (folder / "parts").mkdir()
    parts = Parts(folder / "parts")
    return [Merge(parts, volumes, folder / "out")(file) for file in plan(parts, volumes, "test")]


def groups(path):
    """Rows of each row group, and subject and index of every row."""
    file = pq.ParquetFile(path)
    sizes = [file.metadata.row_group(number).num_rows for number in range(file.num_row_groups)]
    rows = file.read(columns=["subject", "slice_index"]).to_pylist()
    return sizes, [(row["subject"], row["slice_index"]) for row in rows]


@pytest.mark.parametrize(
    ("most", "sizes"), [(7, [1, 2, 3, 4, 5, 6, 7]), (4, [3, 7, 11, 7]), (3, [6, 15, 7]), (1, [28])]
)
def test_slices_of_many_volumes_share_row_groups_in_order(volumes, tmp_path, monkeypatch, most, sizes):
    monkeypatch.setattr(merging, "MAX_SLICE_GROUPS", most)
    (note,) = merged(volumes, tmp_path)
    path = tmp_path / "out" / "slices" / "test.parquet"
    assert groups(path) == (sizes, [(f"s{n}", index) for n in range(7) for index in range(n + 1)])
    assert (note.rows, note.file_bytes) == (28, path.stat().st_size)
    assert [file.name for file in path.parent.iterdir()] == ["test.parquet"]


def test_a_row_group_of_slices_stays_small(volumes, tmp_path, monkeypatch):
    monkeypatch.setattr(merging, "MAX_SLICE_GROUPS", 1)
    monkeypatch.setattr(merging, "ROW_GROUP_BYTES", 1)
    merged(volumes, tmp_path)
    assert groups(tmp_path / "out" / "slices" / "test.parquet")[0] == [1, 2, 3, 4, 5, 6, 7]


def test_a_file_that_cannot_be_finished_leaves_nothing(volumes, tmp_path):
    (tmp_path / "3.parquet").write_bytes(b"not Parquet")
    with pytest.raises(ValueError, match="magic bytes"):
        merged(volumes, tmp_path)
    assert not list((tmp_path / "out" / "slices").iterdir())


def test_every_cell_has_a_file_of_its_own():
    stems = [stem_of(key) for key in cells()]
    assert len(set(stems)) == len(stems) == 2 * 3 * 3 * 7 + 7
    assert stem_of(("slices", "train")) == "slices/train"


def test_slices_of_many_volumes_are_cut_into_files_of_a_size(volumes, tmp_path, monkeypatch):
    sizes = [volume.size for volume in volumes]
    monkeypatch.setattr(parquet, "MAX_SHARD_BYTES", sum(sizes) - 1)
    monkeypatch.setattr(parquet, "SHARD_BYTES", sum(sizes) // 3 + 1)
    notes = merged(volumes, tmp_path)
    files = sorted((tmp_path / "out" / "slices").iterdir())
    assert [file.name for file in files] == [f"test-0000{n}-of-00003.parquet" for n in range(3)]
    rows = [row for file in files for row in groups(file)[1]]
    assert rows == [(f"s{n}", index) for n in range(7) for index in range(n + 1)]
    assert [note.rows for note in notes] == [sum(groups(file)[0]) for file in files]
    assert all(note.file_bytes == file.stat().st_size for note, file in zip(notes, files, strict=True))
