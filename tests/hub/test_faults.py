"""Whatever fails, the repository is as before, and the message says what to do."""

import pytest

from dataset_builder.core.errors import HubError
from dataset_builder.hub.push import push
from tests.helpers.hub_checks import PLACE, check_whole
from tests.helpers.loopback_hub import LoopbackHub, client
from tests.helpers.loopback_repositories import TOKEN, Blob, Fault

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
