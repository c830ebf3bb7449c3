"""Wheel and source archive as a release makes them: a package index takes them and shows the README's images."""

import hashlib
import os
import re
import subprocess
import sys
import tarfile
import time
from io import BytesIO
from pathlib import Path
from zipfile import ZipFile

import pytest

ROOT = Path(__file__).parents[2]
REPOSITORY = "https://github.com/owner/mis-ground"


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


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


def unlike(folder: Path, place: str, mode: int, mtime: int) -> Path:
    """A clone at another place, whose files have other modes and times."""
    clone = folder / place
    subprocess.run(["git", "clone", "--quiet", "--shared", str(ROOT), str(clone)], check=True)
    for path in clone.rglob("*"):
        if path.is_file() and ".git" not in path.parts:
            path.chmod(mode | (path.stat().st_mode & 0o111))
            os.utime(path, (mtime, mtime))
    return clone


def built(clone: Path, **variables: str) -> dict[str, bytes]:
    command = [sys.executable, "-m", "hatchling", "build", "--directory", "out"]
    environment = os.environ | {"MIS_GROUND_REPOSITORY": REPOSITORY} | variables
    subprocess.run(command, check=True, cwd=clone, env=environment, capture_output=True)
    return {path.name: path.read_bytes() for path in (clone / "out").iterdir()}


def test_two_clones_give_the_same_bytes(tmp_path):
    """At other places and times, with other umasks and time zones, and dates from SOURCE_DATE_EPOCH."""
    epoch = 1_790_000_000
    one = built(unlike(tmp_path, "a", 0o644, 1_700_000_000), SOURCE_DATE_EPOCH=str(epoch), TZ="UTC")
    other = built(unlike(tmp_path, "b/another place", 0o600, 10**9), SOURCE_DATE_EPOCH=str(epoch), TZ="Asia/Tokyo")
    assert {name: sha256(data) for name, data in one.items()} == {name: sha256(data) for name, data in other.items()}
    for name, data in one.items():
        if name.endswith(".whl"):
            with ZipFile(BytesIO(data)) as file:
                dates = {member.date_time[:3] for member in file.infolist()}
        else:
            with tarfile.open(fileobj=BytesIO(data)) as file:
                dates = {time.gmtime(member.mtime)[:3] for member in file.getmembers()}
        assert dates == {time.gmtime(epoch)[:3]}, name


def test_a_release_is_built_by_the_version_that_is_pinned():
    """The wheel names what built it: in an environment of its own, `build` would take today's version."""
    lines = (ROOT / "Makefile").read_text(encoding="utf-8").splitlines()
    builds = [line for line in lines if "-m build" in line]
    assert len(builds) == 2
    assert all("--no-isolation" in line for line in builds)


def test_without_an_address_the_readme_is_as_it_stands(monkeypatch):
    from hatchling.metadata.core import ProjectMetadata
    from hatchling.plugin.manager import PluginManager

    monkeypatch.delenv("MIS_GROUND_REPOSITORY", raising=False)
    core = ProjectMetadata(str(ROOT), PluginManager()).core
    assert core.readme == (ROOT / "README.md").read_text(encoding="utf-8")
    assert core.urls == {}
