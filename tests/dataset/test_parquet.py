import hashlib

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataset_builder.dataset import parquet
from dataset_builder.dataset.parquet import cuts, fits, shard, writer_options

IMAGE = pa.list_(pa.struct({"bytes": pa.binary(), "path": pa.string()}))
SCHEMA = pa.schema({"id": pa.string(), "images": IMAGE, "boxes": pa.list_(pa.list_(pa.int32()))})


def table(first, rows, size=20_000, shared=1):
    """Rows with images of random bytes; ``shared`` rows in a row show the same."""
    made = []
    for number in range(first, first + rows):
        image = np.random.default_rng(number // shared).bytes(size)
        made.append({"id": str(number), "images": [{"bytes": image, "path": None}], "boxes": [[1, 2, 3, number]]})
    return pa.Table.from_pylist(made, schema=SCHEMA)


def write(path, *tables):
    with pq.ParquetWriter(path, SCHEMA, **writer_options(SCHEMA)) as writer:
        for one in tables:
            writer.write_table(one)
    return path


def test_images_are_stored_as_they_are_and_once(tmp_path):
    path = write(tmp_path / "a.parquet", table(0, 40, shared=8))
    group = pq.read_metadata(path).row_group(0)
    columns = {group.column(i).path_in_schema: group.column(i) for i in range(group.num_columns)}
    assert columns["images.list.element.bytes"].compression == "UNCOMPRESSED"
    assert columns["id"].compression == columns["boxes.list.element.list.element"].compression == "ZSTD"
    assert path.stat().st_size < 1.1 * 5 * 20_000
    assert all(column.has_offset_index for column in columns.values())


def test_a_file_that_fits_goes_as_it_is(tmp_path):
    path = write(tmp_path / "a.parquet", table(0, 10))
    assert shard([path], "data/x/y", tmp_path / "new") == {"data/x/y.parquet": path}
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("fault", ["no page index", "large row group", "large file"])
def test_a_file_that_the_viewer_would_not_read_is_written_anew(tmp_path, fault, monkeypatch):
    path = tmp_path / "a.parquet"
    if fault == "no page index":
        pq.write_table(table(0, 10), path)
    else:
        write(path, table(0, 10))
        monkeypatch.setattr(parquet, "MAX_GROUP_BYTES" if fault == "large row group" else "MAX_SHARD_BYTES", 100_000)
    assert not fits(path)
    made = shard([path], "data/x/y", tmp_path / "new")
    assert list(made) == ["data/x/y.parquet"]
    (new,) = made.values()
    assert pq.read_table(new) == table(0, 10)
    monkeypatch.setattr(parquet, "MAX_SHARD_BYTES", 10**9)
    assert fits(new)


def test_a_large_split_is_cut_between_row_groups_and_small_files_are_joined(tmp_path):
    large = write(tmp_path / "large.parquet", *(table(10 * n, 10) for n in range(6)))
    small = [write(tmp_path / f"{n}.parquet", table(60 + n, 1)) for n in range(5)]
    made = shard([large, *small], "mine/test", tmp_path / "new", shard_bytes=450_000)
    assert list(made) == [f"mine/test-{n:05d}-of-00004.parquet" for n in range(4)]
    assert all(path.stat().st_size < 500_000 for path in made.values())
    assert pa.concat_tables(pq.read_table(path) for path in made.values()) == table(0, 65)


@given(st.lists(st.integers(0, 1000), max_size=60), st.integers(1, 3000), st.integers(1, 3000))
def test_items_are_cut_into_files_of_about_a_size(sizes, shard_bytes, more):
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(parquet, "SHARD_BYTES", shard_bytes)
        monkeypatch.setattr(parquet, "MAX_SHARD_BYTES", shard_bytes + more)
        pieces = list(cuts(sizes, sum(sizes)))
    assert [number for start, stop, _ in pieces for number in range(start, stop)] == list(range(len(sizes)))
    assert [sum(sizes[start:stop]) for start, stop, _ in pieces] == [size for _, _, size in pieces]
    if sum(sizes) <= shard_bytes + more:
        assert len(pieces) == 1
        return
    assert all(size > 0 for _, _, size in pieces)
    assert len(pieces) <= -(-sum(sizes) // shard_bytes)
    assert max(size for _, _, size in pieces) <= shard_bytes + max(sizes)


def test_a_series_of_files_that_fit_goes_as_it_is(tmp_path):
    names = [f"y-{n:05d}-of-00002.parquet" for n in range(2)]
    files = [write(tmp_path / name, table(10 * n, 10)) for n, name in enumerate(names)]
    assert shard(files, "data/x/y", tmp_path / "new") == {
        f"data/x/{name}": file for name, file in zip(names, files, strict=True)
    }
    assert list(shard(files[::-1], "data/x/y", tmp_path / "new")) == ["data/x/y.parquet"]
    assert list(shard(files, "mine/test", tmp_path / "new")) == ["mine/test.parquet"]


def test_shards_are_the_same_bytes_every_time(tmp_path):
    large = write(tmp_path / "large.parquet", *(table(10 * n, 10) for n in range(4)))
    made = [shard([large, large], "s", tmp_path / name, shard_bytes=300_000) for name in "ab"]
    hashes = [[hashlib.sha256(path.read_bytes()).digest() for path in one.values()] for one in made]
    assert hashes[0] == hashes[1]


def test_an_enlarged_split_shares_most_of_its_bytes_with_the_one_before(tmp_path):
    """A volume is added in the middle: its images are new, the others are found again by their content."""
    less = write(tmp_path / "less.parquet", table(0, 200))
    more = write(tmp_path / "more.parquet", pa.concat_tables([table(0, 100), table(900, 12), table(100, 100)]))
    known, new = pieces(less), pieces(more)
    moved = sum(size for piece, size in new.items() if piece not in known)
    assert 12 * 20_000 <= moved < 3 * 12 * 20_000 + 300_000
    assert moved < 0.15 * more.stat().st_size


def pieces(path):
    """Content-defined pieces of a file with their sizes, as the Hub's storage cuts them: gear hash, 8 to 128 KiB."""
    data = path.read_bytes()
    sums = np.random.default_rng(7).integers(0, 2**64, 256, dtype=np.uint64)[np.frombuffer(data, np.uint8)]
    step = 1
    while step < 64:
        before = np.zeros_like(sums)
        before[step:] = sums[:-step]
        sums = sums + (before << np.uint64(step))
        step *= 2
    cuts = np.flatnonzero((sums >> np.uint64(48)) == 0) + 1
    found, start = {}, 0
    while start < len(data):
        later = cuts[np.searchsorted(cuts, start + (8 << 10)) :]
        end = min(start + (128 << 10), len(data), int(later[0]) if len(later) else len(data))
        found[hashlib.sha256(data[start:end]).digest()] = end - start
        start = end
    return found
