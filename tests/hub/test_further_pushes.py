"""More data for a repository: what is kept, replaced, refused."""

import io
import json

import pyarrow.parquet as pq
import pytest

from dataset_builder.core.errors import HubError
from dataset_builder.core.settings import Settings
from dataset_builder.dataset import parquet
from dataset_builder.dataset.card import write_card
from dataset_builder.dataset.manifest import read_record
from dataset_builder.hub.push import push
from tests.helpers.hub_checks import MORE, PLACE, check_whole, data_files, metadata
from tests.helpers.loopback_repositories import Blob
from tests.helpers.small_ground import CELLS, write_ground


def test_a_further_build_keeps_what_is_there(hub, api, grounds):
    first = push(grounds["first"], PLACE, api=api)
    done = push(grounds["more"], PLACE, api=api)
    record = check_whole(hub)
    for name in ("first", "more"):
        for path, content in data_files(grounds[name]).items():
            assert hub.read(PLACE, path) == content
    assert len(record.builds) == 2
    assert record.build_of(("ct_axial", "directional_mask")).settings["seed"] == 1
    assert metadata(hub)["configs"][0]["config_name"] == "all"
    assert {ref for ref in hub.repos[PLACE].refs if "tags" in ref} == {
        f"refs/tags/{first.tag}",
        f"refs/tags/{done.tag}",
    }
    check_whole(hub, revision=first.tag)


def test_a_split_with_other_content_is_not_overwritten(hub, api, grounds):
    push(grounds["first"], PLACE, api=api)
    before = hub.state()
    with pytest.raises(HubError, match=r"ct_axial/directional_box.*--replace.*--config"):
        push(grounds["changed"], PLACE, api=api)
    assert hub.state() == before
    done = push(grounds["changed"], PLACE, replace_splits=True, api=api)
    assert done.plan.states == {("ct_axial", "directional_box"): "replaced"}
    path = "data/ct_axial/directional_box.parquet"
    assert hub.read(PLACE, path) == (grounds["changed"] / path).read_bytes()
    assert check_whole(hub).splits["mri_axial", "anatomical_label"].rows == 4


def test_stale_shards_go_away(hub, api, grounds, monkeypatch, tmp_path):
    large = write_ground(tmp_path / "large", CELLS[:1], rows=40, size=96, slices=False)
    path = large / "data" / "ct_axial" / "directional_box.parquet"
    table = pq.read_table(path)
    pq.write_table(table, path, row_group_size=10)  # no page index either: it is written anew
    monkeypatch.setattr(parquet, "SHARD_BYTES", 300_000)
    monkeypatch.setattr(parquet.shard, "__defaults__", (300_000,))
    push(large, PLACE, api=api)
    record = check_whole(hub)
    files = record.splits["ct_axial", "directional_box"].files
    assert files == tuple(f"data/ct_axial/directional_box-{n:05d}-of-00004.parquet" for n in range(4))
    rows = [pq.read_table(io.BytesIO(hub.read(PLACE, file))) for file in files]
    assert [row for one in rows for row in one["id"].to_pylist()] == table["id"].to_pylist()
    done = push(grounds["changed"], PLACE, replace_splits=True, api=api)
    assert done.plan.deleted == files
    assert set(check_whole(hub).splits) == {("ct_axial", "directional_box")}


def cut_ground(folder, rows=40):
    """A data set whose only split has four files, as a large build has, and those files."""
    write_ground(folder, CELLS[:1], rows=rows, size=96, slices=False)
    (path,) = (folder / "data").rglob("*.parquet")
    table = pq.read_table(path)
    pq.write_table(table, path, row_group_size=rows // 4)
    stem = "data/ct_axial/directional_box"
    made = parquet.shard([path], stem, folder.with_name("cut"), shard_bytes=path.stat().st_size // 5)
    path.unlink()
    for name, file in made.items():
        file.rename(folder / name)
    write_card(folder, Settings(), {("ct_axial", "directional_box"): list(made)}, 0, [{"licence": "CC0-1.0"}])
    assert list(made) == parquet.series(stem, 4)
    return list(made)


def test_the_files_of_a_large_split_are_pushed_as_they_are(hub, api, tmp_path):
    files = cut_ground(tmp_path / "large")
    push(tmp_path / "large", PLACE, api=api)
    assert check_whole(hub).splits["ct_axial", "directional_box"].files == tuple(files)
    assert all(hub.read(PLACE, file) == (tmp_path / "large" / file).read_bytes() for file in files)
    assert push(tmp_path / "large", PLACE, api=api).plan.empty


def test_files_that_are_cut_anew_under_their_names_are_noted_anew(hub, api, monkeypatch, tmp_path):
    files = cut_ground(tmp_path / "large")
    before = read_record(tmp_path / "large").splits["ct_axial", "directional_box"]
    size = max((tmp_path / "large" / file).stat().st_size for file in files)
    monkeypatch.setattr(parquet, "MAX_SHARD_BYTES", size - 1)
    monkeypatch.setattr(parquet.shard, "__defaults__", (size // 2,))
    monkeypatch.setattr(parquet, "GROUP_ROWS", 5)
    push(tmp_path / "large", PLACE, api=api)
    after = check_whole(hub).splits["ct_axial", "directional_box"]
    assert after.files == before.files
    assert after.file_bytes == sum(len(hub.read(PLACE, file)) for file in files) != before.file_bytes


def test_own_volumes_become_a_config_of_their_own(hub, api, grounds, tmp_path):
    push(grounds["first"], PLACE, api=api)
    own = write_ground(tmp_path / "own", CELLS[:3], source="nnunet", licence="CC-BY-NC-4.0", first=20)
    push(own, PLACE, config="my_hospital", api=api)
    record = check_whole(hub)
    assert record.splits["my_hospital", "test"].rows == 12
    assert record.splits["my_hospital", "test"].files == ("my_hospital/test.parquet",)
    assert ("my_hospital_slices", "test") in record.splits
    ids = pq.read_table(io.BytesIO(hub.read(PLACE, "my_hospital/test.parquet")))["id"].to_pylist()
    written = [pq.read_table(path)["id"].to_pylist() for path in (own / "data").rglob("*.parquet")]
    assert sorted(ids) == sorted(i for ids in written for i in ids)
    data = metadata(hub)
    assert data.license == "cc-by-nc-4.0"
    counts = {info["config_name"]: info["splits"][0]["num_examples"] for info in data["dataset_info"]}
    assert (counts["all"], counts["my_hospital"]) == (16, 12)
    done = push(own, PLACE, config="my_hospital", api=api)
    assert done.plan.empty


def test_a_repository_of_another_kind_is_left_alone(hub, api, grounds):
    api.create_repo(PLACE, repo_type="dataset")
    push(grounds["more"], PLACE, api=api)  # an empty one is taken
    api.create_repo("me/other", repo_type="dataset")
    repo = hub.repos["me/other"]
    repo.commit("refs/heads/main", hub.tree("me/other") | {"train.csv": Blob(1, b"x")}, "other")
    before = hub.state()
    with pytest.raises(HubError, match=r"not a MIS-Ground data set.*train\.csv"):
        push(grounds["first"], "me/other", api=api)
    tree = hub.tree(PLACE) | {"data/x/y.parquet": Blob(1, b"x")}
    hub.repos[PLACE].commit("refs/heads/main", tree, "a stray file")
    before = hub.state()
    with pytest.raises(HubError, match=r"its record does not list.*data/x/y\.parquet"):
        push(grounds["first"], PLACE, api=api)
    assert hub.state() == before


def test_splits_with_other_columns_are_refused(hub, api, grounds, tmp_path):
    push(grounds["first"], PLACE, api=api)
    later = write_ground(tmp_path / "later", MORE, slices=False)
    written = json.loads((later / "build.json").read_text())
    written["builds"][0]["features"]["rows"]["zoom"] = {"dtype": "string", "_type": "Value"}
    (later / "build.json").write_text(json.dumps(written))
    with pytest.raises(HubError, match=r"other columns.*zoom"):
        push(later, PLACE, api=api)
