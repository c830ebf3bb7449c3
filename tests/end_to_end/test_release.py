"""Wheel and source archive as a release makes them: a package index takes them and shows the README's images."""

import os
import re
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest

ROOT = Path(__file__).parents[2]
REPOSITORY = "https://github.com/owner/mis-ground"


@pytest.fixture(scope="module")
def archives(tmp_path_factory) -> list[Path]:
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "hatchling", "build", "--directory", str(folder)]
    environment = os.environ | {"MIS_GROUND_REPOSITORY": REPOSITORY}
    subprocess.run(command, check=True, cwd=ROOT, env=environment, capture_output=True, text=True)
    return sorted(folder.iterdir())


def description(wheel: Path) -> str:
    with ZipFile(wheel) as file:
        (name,) = (name for name in file.namelist() if name.endswith(".dist-info/METADATA"))
        return file.read(name).decode("utf-8").partition("\n\n")[2]


def test_twine_accepts_both_archives(archives):
    from twine.commands.check import check

    assert [path.suffix for path in archives] == [".whl", ".gz"]
    assert check([str(path) for path in archives], strict=True) is False  # true: something is wrong


def test_an_index_shows_every_image_of_the_readme(archives):
    from readme_renderer import markdown

    shown = markdown.render(description(archives[0]))
    assert shown is not None
    images = re.findall(r'<img[^>]* src="([^"]*)"', shown)
    assert len(images) == len(re.findall(r"!\[", (ROOT / "README.md").read_text(encoding="utf-8")))
    for address in images:
        match = re.fullmatch(rf"{REPOSITORY}/raw/v[\d.\w]+?/((?:docs|lm_eval_tasks)/.*)", address)
        assert match, address
        assert (ROOT / match[1]).is_file()


def test_links_lead_to_the_tag_and_the_clone_line_to_the_repository(archives):
    text = description(archives[0])
    assert f"git clone {REPOSITORY} mis-ground" in text
    assert "REPOSITORY" not in text
    assert f"({REPOSITORY}/blob/v" in text
    relative = re.findall(r"\]\((?!https://|#)[^)]*\)|^\[[^\]]+\]: (?!https://)", text, flags=re.MULTILINE)
    assert relative == []


def test_without_an_address_the_readme_is_as_it_stands(monkeypatch):
    from hatchling.metadata.core import ProjectMetadata
    from hatchling.plugin.manager import PluginManager

    monkeypatch.delenv("MIS_GROUND_REPOSITORY", raising=False)
    core = ProjectMetadata(str(ROOT), PluginManager()).core
    assert core.readme == (ROOT / "README.md").read_text(encoding="utf-8")
    assert core.urls == {}
