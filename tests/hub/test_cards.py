"""Cards that people edited, in the folder or on the Hub."""

import json
import shutil
from pathlib import Path

import pytest

from dataset_builder.core.errors import HubError
from dataset_builder.hub.push import push
from tests.helpers.hub_checks import PLACE, metadata
from tests.helpers.loopback_repositories import Blob


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
