import io
import json
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from dataset_builder.core.errors import BuildError, DatasetNotFoundError, HubError
from dataset_builder.core.settings import Settings
from dataset_builder.dataset import parquet
from dataset_builder.dataset.card import write_card
from dataset_builder.dataset.format import VERSION
from dataset_builder.dataset.manifest import read_record
from dataset_builder.hub import push as hub_module
from dataset_builder.hub.push import push
from tests.helpers.hub_checks import check_whole, metadata
from tests.helpers.loopback_hub import TOKEN, Blob, Fault, LoopbackHub, client
from tests.helpers.small_ground import CELLS, write_ground

PLACE = "me/ground"
MORE = (("mri", "coronal", "relational", "none"), ("ct", "axial", "directional", "mask"))


@pytest.fixture(scope="module")
def grounds(tmp_path_factory):
    """Folders by name; tests must not change them."""
    root = tmp_path_factory.mktemp("grounds")
    return {
        "first": write_ground(root / "first"),
        "more": write_ground(root / "more", MORE, slices=False, seed=1),
        "changed": write_ground(root / "changed", CELLS[:1], first=50, slices=False),
        "small": write_ground(root / "small", MORE[:1], slices=False),
        "secret": write_ground(root / "secret", CELLS[:2], licence="hospital only", source="clinic", first=10),
    }


@pytest.fixture
def hub():
    with LoopbackHub() as one:
        yield one


@pytest.fixture
def api(hub, monkeypatch):
    return client(hub, monkeypatch)


def data_files(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*.parquet"))}


# ------------------------------------------------------------------------------------------------ a first push


def test_a_first_push_makes_the_repository_with_the_folders_bytes(hub, api, grounds):
    done = push(grounds["first"], PLACE, private=True, api=api)
    assert done.created
    assert hub.repos[PLACE].private
    for path, content in data_files(grounds["first"]).items():
        assert hub.read(PLACE, path) == content
    record = check_whole(hub)
    assert hub.repos[PLACE].refs[f"refs/tags/{done.tag}"] == done.commit == hub.repos[PLACE].refs["refs/heads/main"]
    assert done.tag == f"v{VERSION}-{record.content[:8]}"
    assert f'load_dataset("{PLACE}", "all", split="test")' in hub.read(PLACE, "README.md").decode()
    assert len(hub.repos[PLACE].messages) == 2  # the Hub's own, and one for all


def test_pushing_the_same_again_sends_nothing(hub, api, grounds):
    first = push(grounds["first"], PLACE, api=api)
    before, sent = hub.state(), len(hub.uploaded)
    again = push(grounds["first"], PLACE, api=api)
    assert hub.state() == before
    assert len(hub.uploaded) == sent
    assert (again.commit, again.tag, again.plan.empty, again.created) == (first.commit, first.tag, True, False)


def test_a_dry_run_tells_all_and_changes_nothing(hub, api, grounds):
    plan = push(grounds["first"], PLACE, dry_run=True, api=api).plan
    assert hub.writes() == []
    assert hub.repos == {}
    assert set(plan.states.values()) == {"new"}
    images = {path for path in plan.data if path.endswith(".png")}
    assert set(plan.data) - images == set(data_files(grounds["first"]))
    push(grounds["first"], PLACE, api=api)
    hub.requests.clear()
    plan = push(grounds["more"], PLACE, dry_run=True, api=api).plan
    assert hub.writes() == []
    assert set(plan.states) == {("mri_coronal", "relational_none"), ("ct_axial", "directional_mask")}
    assert ("mri_axial", "anatomical_label") in plan.kept


def test_only_chosen_splits(hub, api, grounds):
    push(grounds["first"], PLACE, only=["mri_axial", "*/directional_b*"], api=api)
    record = check_whole(hub)
    assert set(record.splits) == {("ct_axial", "directional_box"), ("mri_axial", "anatomical_label")}
    push(grounds["first"], PLACE, only=["slices"], api=api)
    push(grounds["first"], PLACE, api=api)
    assert len(check_whole(hub).builds) == 1
    with pytest.raises(BuildError, match="ct_axial, ct_coronal, mri_axial, slices"):
        push(grounds["first"], PLACE, only=["ct_sagittal"], api=api)


def test_large_objects_go_in_parts(grounds, monkeypatch):
    with LoopbackHub(multipart_bytes=10_000) as hub:
        push(grounds["first"], PLACE, api=client(hub, monkeypatch))
        assert any("/part/" in line for line in hub.requests)
        for path, content in data_files(grounds["first"]).items():
            assert hub.read(PLACE, path) == content


# --------------------------------------------------------------------------------------------------- more data


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


@pytest.mark.parametrize("name", ["all", "slices", "ct_axial", "a b", "x_slices", "../up", ""])
def test_a_config_cannot_take_a_name_of_ours(api, grounds, name):
    with pytest.raises(BuildError, match="cannot have this name"):
        push(grounds["first"], PLACE, config=name, api=api)


def test_an_edited_card_and_foreign_configs_stay(hub, api, grounds):
    push(grounds["first"], PLACE, api=api)
    repo = hub.repos[PLACE]
    text = hub.read(PLACE, "README.md").decode()
    text = text.replace("# MIS-Ground\n", "# MIS-Ground at our place\n").replace("configs:\n", "configs:\n" + FOREIGN)
    tree = hub.tree(PLACE) | {"README.md": Blob(len(text.encode()), text.encode()), "notes/a.csv": Blob(4, b"a\n1\n")}
    repo.commit("refs/heads/main", tree, "an edit by hand")
    push(grounds["more"], PLACE, api=api)
    text = hub.read(PLACE, "README.md").decode()
    assert "# MIS-Ground at our place\n" in text
    assert "24 questions" in text
    assert hub.read(PLACE, "notes/a.csv") == b"a\n1\n"
    configs = [config["config_name"] for config in metadata(hub)["configs"]]
    assert configs == ["all", "ct_axial", "ct_coronal", "mri_axial", "mri_coronal", "slices", "notes"]


FOREIGN = "- config_name: notes\n  data_files: notes/*.csv\n"


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


def test_an_audit_comes_into_the_card(hub, api, grounds, tmp_path):
    content = json.loads((grounds["first"] / "build.json").read_text())["content"]
    guessers = {"first": {"accuracy": 0.503, "standard_error": 0.011, "chance": 0.5}}
    audit = {
        "content": content,
        "checks": [{"name": "pairs", "violations": []}, {"name": "words", "violations": [{}, {}]}],
        "guessers": {"pooled": [{"name": "directional, marked", "guessers": guessers}]},
    }
    (tmp_path / "check.json").write_text(json.dumps(audit))
    push(grounds["first"], PLACE, audit=tmp_path, api=api)
    text = hub.read(PLACE, "README.md").decode()
    assert "of its checks violated are: words (2)." in text
    assert "| directional, marked | 50.0 | 50.3 ± 1.1 |" in text
    check_whole(hub)
    with pytest.raises(BuildError, match="belongs to other data"):
        push(grounds["more"], PLACE, audit=tmp_path, api=api)
    (tmp_path / "check.json").write_text("{}")
    with pytest.raises(BuildError, match="cannot be read"):
        push(grounds["more"], PLACE, audit=tmp_path, api=api)


# ------------------------------------------------------------------------------------------------------- pull requests


def test_a_proposal_leaves_main_as_it_is(hub, api, grounds):
    push(grounds["first"], PLACE, api=api)
    main = hub.repos[PLACE].refs["refs/heads/main"]
    done = push(grounds["more"], PLACE, create_pr=True, api=api)
    assert hub.repos[PLACE].refs["refs/heads/main"] == main
    assert (done.tag, done.url) == (None, f"{hub.endpoint}/datasets/{PLACE}/discussions/1")
    assert ("mri_coronal", "relational_none") in check_whole(hub, revision="refs/pr/1").splits


def test_a_proposal_to_someone_elses_repository(hub, api, grounds, monkeypatch):
    push(grounds["first"], PLACE, api=api)
    hub.user = "guest"
    with pytest.raises(HubError, match=r"does not let you write to me/ground.*as it was before.*--create-pr"):
        push(grounds["more"], PLACE, api=api)
    push(grounds["more"], PLACE, create_pr=True, api=api)
    assert "refs/pr/1" in hub.repos[PLACE].refs
    with pytest.raises(HubError, match="no me/nothing to propose"):
        push(grounds["more"], "me/nothing", create_pr=True, api=api)


# ----------------------------------------------------------------------------------------------------------- licences


def test_images_that_may_not_be_passed_on_are_not_sent(hub, api, grounds):
    with pytest.raises(HubError, match=r"'clinic'.*hospital only.*--recipe.*--accept-licence 'hospital only'"):
        push(grounds["secret"], PLACE, api=api)
    assert hub.requests == []
    push(grounds["secret"], PLACE, accepted_licences=["Hospital Only"], api=api)
    data = metadata(hub)
    assert (data.license, data["license_name"]) == ("other", "hospital-only")


def test_no_example_of_a_forbidden_source_slips_through(hub, api, grounds, tmp_path):
    mixed = write_ground(tmp_path / "mixed", CELLS[:2], slices=False)
    written = json.loads((mixed / "build.json").read_text())
    written["builds"][0]["examples"][0]["licence"] = "hospital only"
    (mixed / "build.json").write_text(json.dumps(written))
    push(mixed, PLACE, api=api)
    assert sorted(path for path in hub.tree(PLACE) if path.endswith(".png")) == ["examples/box.png"]
    check_whole(hub)


# --------------------------------------------------------------------------------------------------------------- faults

STAGES = {
    "look": r"^GET /api/datasets/me/ground$",
    "list": r"^GET .*/tree/",
    "read": r"/resolve/",
    "create": r"^POST /api/repos/create",
    "preupload": r"^POST .*/preupload/",
    "batch": r"objects/batch",
    "upload": r"^PUT /upload",
    "verify": r"^POST /verify",
    "commit": r"^POST .*/commit/",
}
PLAIN = {
    401: "there is no token, or it is no longer valid",
    403: "does not let you write to me/ground",
    404: "no me/ground on the Hub",
    409: "busy with another change",
    412: "Someone else has changed me/ground",
    413: "so large a request",
    429: "too many requests",
    500: "The Hub has a problem",
    503: "The Hub has a problem",
}
FAULTS = [(stage, status) for stage in STAGES for status in (401, 403, 404, 429, 503, 0)]
FAULTS += [("commit", status) for status in (409, 412, 413, 500)]
FAULTS.remove(("look", 404))  # that is how the Hub says that there is no repository yet


@pytest.mark.parametrize(("stage", "status"), FAULTS)
def test_whatever_fails_the_repository_is_as_before_and_a_second_try_completes(
    stage, status, grounds, monkeypatch, capfd
):
    with LoopbackHub() as hub:
        api = client(hub, monkeypatch)
        if stage != "create":
            push(grounds["small"], PLACE, api=api)
        before, sent = hub.state(), len(hub.uploaded)
        hub.faults.append(
            Fault(STAGES[stage], status, headers={"X-Error-Code": "RepoNotFound"} if status == 404 else {})
        )
        with pytest.raises(HubError, match=PLAIN.get(status, "connection to the Hub was lost")) as caught:
            push(grounds["changed"], PLACE, api=api)
        assert hub.state() == before
        assert TOKEN not in str(caught.value)
        assert "Traceback" not in str(caught.value)
        hub.faults.clear()
        push(grounds["changed"], PLACE, api=api)
        record = check_whole(hub)
        assert len(record.splits) == (1 if stage == "create" else 2)
        assert len(hub.uploaded) - sent == len({name for name, _ in hub.uploaded[sent:]}), "something was sent twice"
    out, err = capfd.readouterr()
    assert TOKEN not in out + err


@pytest.mark.parametrize("status", [429, 503, 0])
@pytest.mark.parametrize("stage", STAGES)
def test_passing_trouble_is_waited_out(stage, status, hub, api, grounds):
    if stage in ("list", "read"):
        push(grounds["small"], PLACE, api=api)
    hub.faults.append(Fault(STAGES[stage], status, times=2))
    push(grounds["changed"], PLACE, api=api)
    check_whole(hub)
    assert hub.faults[0].times == 0


@pytest.mark.parametrize("create_pr", [False, True])
def test_a_commit_whose_answer_was_lost_is_not_made_twice(hub, api, grounds, create_pr):
    push(grounds["first"], PLACE, api=api)
    hub.faults.append(Fault(STAGES["commit"], after=True, times=1))
    done = push(grounds["more"], PLACE, create_pr=create_pr, api=api)
    assert len(hub.repos[PLACE].messages) == 3
    ref = "refs/pr/1" if create_pr else "refs/heads/main"
    assert hub.repos[PLACE].refs[ref] == done.commit
    check_whole(hub, revision=ref if create_pr else "main")


def test_an_upload_cut_in_the_middle_goes_on_with_the_files_that_are_missing(hub, api, grounds):
    hub.faults.append(Fault(STAGES["upload"], skip=3, body_bytes=5000))
    with pytest.raises(HubError, match=r"connection to the Hub was lost.*made and is still empty"):
        push(grounds["first"], PLACE, api=api)
    assert set(hub.tree(PLACE)) == {".gitattributes"}
    arrived = {name for name, _ in hub.uploaded}
    assert len(arrived) >= 3
    hub.faults.clear()
    push(grounds["first"], PLACE, api=api)
    names = [name for name, _ in hub.uploaded]
    assert len(names) == len(set(names))
    check_whole(hub)


def test_someone_elses_commit_in_the_meantime_is_not_lost(hub, api, grounds):
    push(grounds["first"], PLACE, api=api)

    def meanwhile(repo):
        hub.before_commit = None
        repo.commit(
            "refs/heads/main", repo.commits[repo.refs["refs/heads/main"]] | {"LICENSE": Blob(2, b"ok")}, "theirs"
        )

    hub.before_commit = meanwhile
    with pytest.raises(HubError, match="Someone else has changed"):
        push(grounds["more"], PLACE, api=api)
    assert ("mri_coronal", "relational_none") not in check_whole(hub).splits
    push(grounds["more"], PLACE, api=api)
    assert hub.read(PLACE, "LICENSE") == b"ok"
    check_whole(hub)


def test_a_tag_that_cannot_be_made_is_told_and_made_by_the_next_push(hub, api, grounds):
    hub.faults.append(Fault(r"^POST .*/tag/", 500))
    with pytest.raises(HubError, match="complete on the Hub, but the tag 'v1'"):
        push(grounds["first"], PLACE, tag="v1", api=api)
    check_whole(hub)
    hub.faults.clear()
    push(grounds["first"], PLACE, tag="v1", api=api)
    assert hub.repos[PLACE].refs["refs/tags/v1"] == hub.repos[PLACE].refs["refs/heads/main"]
    with pytest.raises(HubError, match="already exists for other content"):
        push(grounds["more"], PLACE, tag="v1", api=api)


def test_the_hubs_own_check_of_the_card_is_told(hub, api, grounds):
    hub.faults.append(Fault("validate-yaml", 400))
    with pytest.raises(HubError, match=r"does not accept the card's metadata.*as it was before|does not accept"):
        push(grounds["first"], PLACE, api=api)


def test_the_wait_that_the_hub_asks_for_is_told(hub, api, grounds):
    push(grounds["first"], PLACE, api=api)
    hub.faults.append(Fault(STAGES["commit"], 429, headers={"Retry-After": "900"}))
    with pytest.raises(HubError, match="Wait 900 seconds"):
        push(grounds["more"], PLACE, api=api)
    assert sum("commit" in line for line in hub.requests[-5:]) == 1


def test_without_a_token(hub, monkeypatch, grounds):
    nobody = client(hub, monkeypatch, token=None)
    with pytest.raises(HubError, match="hf auth login"):
        push(grounds["first"], PLACE, api=nobody)
    assert hub.repos == {}


def test_without_a_network(hub, api, grounds, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(HubError, match="HF_HUB_OFFLINE"):
        push(grounds["first"], PLACE, api=api)


def test_a_folder_that_is_no_data_set(api, tmp_path):
    with pytest.raises(DatasetNotFoundError, match=r"build\.json"):
        push(tmp_path, PLACE, api=api)
    (tmp_path / "build.json").write_text("{}")
    with pytest.raises(DatasetNotFoundError, match="cannot be read"):
        push(tmp_path, PLACE, api=api)


@pytest.mark.parametrize("place", ["ground", "a/b/c", "me/", "https://x/y"])
def test_the_name_of_a_repository(api, grounds, place):
    with pytest.raises(BuildError, match="user/name"):
        push(grounds["first"], place, api=api)


def test_progress_counts_all_bytes(hub, api, grounds, monkeypatch):
    monkeypatch.setattr(hub_module, "BATCH_FILES", 2)
    reported = []
    done = push(grounds["first"], PLACE, progress=lambda *call: reported.append(call), api=api)
    size = sum(Path(here).stat().st_size for here in done.plan.data.values())
    assert reported[0] == ("upload", 0, size)
    assert reported[-1] == ("upload", size, size)
    assert len(reported) == 1 + -(-len(done.plan.data) // 2)


# ------------------------------------------------------------------------------------------- cards with own words

NOTES = "## Notes of our own\n\nEthics vote 12/34."


@pytest.fixture
def folder(grounds, tmp_path):
    return Path(shutil.copytree(grounds["first"], tmp_path / "ground"))


def edit(folder, text=f"\n{NOTES}\n", **metadata):
    path = folder / "README.md"
    lines = "".join(f"{name}: {value}\n" for name, value in metadata.items())
    path.write_text(path.read_text().replace("---\n", f"---\n{lines}", 1) + text)


def card_of(hub):
    return hub.read(PLACE, "README.md").decode()


def test_a_card_edited_in_the_folder_is_pushed(hub, api, folder):
    edit(folder, doi="10.1/x")
    assert push(folder, PLACE, api=api).plan.edited == ("in the folder",)
    assert NOTES in card_of(hub)
    assert f'load_dataset("{PLACE}", "all", split="test")' in card_of(hub)
    assert metadata(hub)["doi"] == "10.1/x"
    head = hub.repos[PLACE].refs["refs/heads/main"]
    push(folder, PLACE, api=api)
    assert hub.repos[PLACE].refs["refs/heads/main"] == head, "nothing is sent again"


def test_a_card_edited_in_the_folder_later_is_pushed(hub, api, folder):
    assert push(folder, PLACE, api=api).plan.edited == ()
    edit(folder)
    push(folder, PLACE, api=api)
    assert card_of(hub).count(NOTES) == 1
    edit(folder, "\nA further remark.\n")
    push(folder, PLACE, api=api)
    assert card_of(hub).count(NOTES) == card_of(hub).count("A further remark.") == 1


def test_cards_edited_here_and_there_keep_both(hub, api, folder):
    push(folder, PLACE, api=api)
    on_hub(
        hub, lambda card: card.replace("---\n", "---\nannotations_creators: expert\n", 1) + "\nWritten on the Hub.\n"
    )
    edit(folder, doi="10.1/x")
    assert push(folder, PLACE, api=api).plan.edited == ("in the folder", "on the Hub")
    card = card_of(hub)
    assert card.count("Written on the Hub.") == card.count("Ethics vote 12/34.") == 1
    assert (metadata(hub)["doi"], metadata(hub)["annotations_creators"]) == ("10.1/x", "expert")
    push(folder, PLACE, api=api)
    assert card_of(hub) == card


def test_a_card_that_nobody_edited_here_leaves_the_hubs_alone(hub, api, grounds):
    push(grounds["first"], PLACE, api=api)
    on_hub(hub, lambda card: card + "\nWritten on the Hub.\n")
    assert push(grounds["more"], PLACE, api=api).plan.edited == ("on the Hub",)
    assert card_of(hub).count("Written on the Hub.") == 1


def on_hub(hub, change):
    """Edit the card on the Hub."""
    text = change(card_of(hub)).encode()
    hub.repos[PLACE].commit("refs/heads/main", hub.tree(PLACE) | {"README.md": Blob(len(text), text)}, "by hand")


@pytest.mark.parametrize("head", ["a: [1\n", "- a\n- b\n", "a: b: c\n", "\tx: 1\n"])
@pytest.mark.parametrize("where", ["hub", "folder"])
def test_a_card_whose_metadata_is_no_yaml_is_told_in_a_sentence(hub, api, folder, head, where):
    push(folder, PLACE, api=api)
    if where == "hub":
        on_hub(hub, lambda card: card.replace("---\n", f"---\n{head}", 1))
    else:
        path = folder / "README.md"
        path.write_text(path.read_text().replace("---\n", f"---\n{head}", 1))
    with pytest.raises(
        HubError, match=r"not valid YAML; nothing was sent.*README\.md.*between the two '---'"
    ) as caught:
        push(folder, PLACE, api=api)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("foreign", [{"config_name": "default"}, {}, {"config_name": "theirs", "default": True}])
def test_the_printed_line_names_the_config_beside_one_that_is_not_ours(hub, api, grounds, foreign):
    push(grounds["first"], PLACE, api=api)
    entry = json.dumps(foreign | {"data_files": "theirs/*.parquet"})
    on_hub(hub, lambda card: card.replace("configs:\n", f"configs:\n- {entry}\n", 1))
    done = push(grounds["more"], PLACE, api=api)
    assert done.plan.config == "all"
    configs = metadata(hub)["configs"]
    assert any("theirs" in str(config["data_files"]) for config in configs)
    defaults = [c["config_name"] for c in configs if c.get("default") or c["config_name"] == "default"]
    assert len(defaults) == 1, "two would keep load_dataset from reading any"


def test_the_printed_line_names_a_config_of_ones_own(hub, api, grounds):
    assert push(grounds["first"], PLACE, config="mine", only=["ct_axial"], api=api).plan.config == "mine"
