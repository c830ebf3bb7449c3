"""A push: what the repository then holds, proposals, licences, names."""

import json
from pathlib import Path

import pytest

from dataset_builder.core.errors import BuildError, DatasetNotFoundError, HubError
from dataset_builder.dataset.format import VERSION
from dataset_builder.hub import push as hub_module
from dataset_builder.hub.push import push
from tests.helpers.hub_checks import PLACE, check_whole, data_files, metadata
from tests.helpers.loopback_hub import LoopbackHub, client
from tests.helpers.small_ground import CELLS, write_ground


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


@pytest.mark.parametrize("name", ["all", "slices", "ct_axial", "a b", "x_slices", "../up", ""])
def test_a_config_cannot_take_a_name_of_ours(api, grounds, name):
    with pytest.raises(BuildError, match="cannot have this name"):
        push(grounds["first"], PLACE, config=name, api=api)


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
