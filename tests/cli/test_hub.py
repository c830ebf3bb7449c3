"""The commands push and rebuild, in this process, against a Hub on loopback."""

import re
import shutil

import pytest
from typer.testing import CliRunner

from dataset_builder.cli import main as cli
from dataset_builder.core.errors import HubError
from dataset_builder.dataset.format import VERSION
from tests.helpers.hub_checks import check_whole
from tests.helpers.loopback_hub import LoopbackHub, client
from tests.helpers.loopback_repositories import TOKEN, Fault
from tests.helpers.small_ground import CELLS, write_ground

PLACE = "me/ground"


@pytest.fixture
def hub(monkeypatch):
    with LoopbackHub() as one:
        client(one, monkeypatch)
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        yield one


@pytest.fixture(scope="module")
def grounds(tmp_path_factory):
    root = tmp_path_factory.mktemp("grounds")
    return {
        "first": write_ground(root / "first", CELLS[:3]),
        "changed": write_ground(root / "changed", CELLS[:1], first=50, slices=False),
        "secret": write_ground(root / "secret", CELLS[3:], licence="hospital only"),
    }


def run(*arguments, **more):
    """The command's output, as one line; errors are raised as they are."""
    done = CliRunner().invoke(cli.app, [str(argument) for argument in arguments], catch_exceptions=False, **more)
    assert TOKEN not in done.output
    return done, " ".join(done.output.split())


def fails(*arguments):
    with pytest.raises(HubError) as caught:
        run(*arguments)
    assert TOKEN not in str(caught.value)
    return str(caught.value)


def test_a_push_says_that_it_keeps_an_edited_card(hub, grounds, tmp_path):
    _, said = run("push", PLACE, grounds["first"])
    assert "card" not in said
    folder = shutil.copytree(grounds["first"], tmp_path / "ground")
    card = folder / "README.md"
    card.write_text(card.read_text() + "\nEthics vote 12/34.\n")
    _, said = run("push", PLACE, folder)
    assert "The card was edited in the folder: what was written there is kept, the rest is renewed." in said
    assert "Ethics vote 12/34." in hub.read(PLACE, "README.md").decode()


def test_what_a_push_says(hub, grounds):
    done, said = run("push", PLACE, grounds["first"], "--dry-run")
    assert "Dry run: 10 file(s)" in said
    assert f"to a new repository {PLACE}, tag v{VERSION}-" in said
    assert hub.repos == {}
    _, said = run("push", PLACE, grounds["first"], "--config", "clinic", "--dry-run")
    assert "clinic" in said
    assert float(re.search(r"([\d.]+) MB at most", said)[1]) > 0
    assert hub.repos == {}
    done, said = run("push", PLACE, grounds["first"], "--private", "--tag", "v1")
    assert done.exit_code == 0
    assert f'load_dataset("{PLACE}", "all", revision="v1")' in said
    assert "2 splits" in said
    assert hub.repos[PLACE].private
    _, said = run("push", PLACE, grounds["first"], "--tag", "v1")
    assert "is up to date" in said


def test_replace_only_and_create_pr(hub, grounds):
    run("push", PLACE, grounds["first"], "--only", "ct_axial", "--only", "*/*_mask")
    assert ("slices", "test") not in check_whole(hub).splits
    assert "--replace" in fails("push", PLACE, grounds["changed"])
    _, said = run("push", PLACE, grounds["changed"], "--replace", "--create-pr")
    assert "1 replaced" in said
    assert f"{hub.endpoint}/datasets/{PLACE}/discussions/1" in said.replace(" ", "")
    assert "3 other split(s)" not in said
    assert "2 other split(s) on the Hub stay" in said


def test_a_recipe_instead_of_images_that_may_not_be_passed_on(hub, grounds):
    assert "--recipe" in fails("push", PLACE, grounds["secret"])
    run("push", PLACE, grounds["secret"], "--recipe")
    assert not check_whole(hub).builds[0].pictures
    run("push", "me/other", grounds["secret"], "--accept-licence", "hospital only")
    assert check_whole(hub, "me/other").builds[0].pictures


def test_a_refusal_is_told_in_a_sentence(hub, grounds, monkeypatch, capsys):
    hub.faults.append(Fault(r"^POST .*/commit/", 403, message=f"no rights for Bearer {TOKEN}"))
    monkeypatch.setattr("sys.argv", ["mis-ground", "push", PLACE, str(grounds["first"])])
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    assert stopped.value.code == 2
    said = " ".join(capsys.readouterr().err.split())
    assert f"Error: Your token does not let you write to {PLACE}." in said
    assert "Traceback" not in said
    assert TOKEN not in said


def test_a_new_repository_is_private_unless_everyone_may_read_it(hub, grounds):
    done, said = run("push", PLACE, grounds["first"], "--dry-run")
    assert done.exit_code == 0
    assert f"Who can read {PLACE}: you and those you give access (--public for everyone)." in said
    run("push", PLACE, grounds["first"])
    assert hub.repos[PLACE].private
    _, said = run("push", "me/open", grounds["first"], "--public")
    assert not hub.repos["me/open"].private
    assert "Who can read me/open: everyone." in said
