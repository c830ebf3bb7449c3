"""The pages of docs/ build as a site, without a network; the README is one page."""

import re
import socket
from pathlib import Path

import pytest

from dataset_builder.dataset.format import VERSION

ROOT = Path(__file__).parents[2]
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
]


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """The site, built strictly: a dead link or a name that the API pages do not find fails."""
    from mkdocs.commands.build import build
    from mkdocs.config import load_config

    def refuse(*_: object) -> None:
        raise AssertionError("the build of the pages asked the network")

    folder = tmp_path_factory.mktemp("site")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", refuse)
        patch.setattr(socket, "getaddrinfo", refuse)
        patch.setenv("NO_MKDOCS_2_WARNING", "1")
        build(load_config(str(ROOT / "mkdocs.yml"), strict=True, site_dir=str(folder)))
    return folder


def test_every_page_is_built_and_the_api_has_signatures(site):
    for page in (ROOT / "docs").rglob("*.md"):
        assert (site / page.relative_to(ROOT / "docs").with_suffix(".html")).is_file()
    api = (site / "api.html").read_text(encoding="utf-8")
    assert 'id="dataset_builder.build"' in api
    assert "held_out" in api


def test_the_site_loads_nothing_from_elsewhere(site):
    loads = r'<(?:script|img|link|iframe)[^>]+(?:src|href)=["\']?(?:https?:)?//[^"\' >]+'
    loaded = [found for page in site.rglob("*.html") for found in re.findall(loads, page.read_text(encoding="utf-8"))]
    assert loaded == []
    assert not [css for css in site.rglob("*.css") if re.search(r"url\(['\"]?(?:https?:)?//", css.read_text())]


def test_the_readme_is_one_page():
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    assert len(lines) < 150
    assert [line for line in lines if len(line) > 120] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_no_page_links_to_a_file_that_is_not_there(page):
    text = re.sub(r"^(```|~~~).*?^\1", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    targets = re.findall(r"\]\(([^)\s#]+)[^)]*\)|^\[[^\]]+\]:\s+(\S+)", text, flags=re.MULTILINE)
    local = [target for pair in targets for target in pair if target and not re.match(r"[a-z]+:", target)]
    assert [target for target in local if not (page.parent / target).exists()] == []


def test_every_page_can_be_found_from_the_readme():
    linked = set(re.findall(r"\]\(docs/([\w-]+\.md)\)", (ROOT / "README.md").read_text(encoding="utf-8")))
    index = set(re.findall(r"\]\(([\w-]+\.md)\)", (ROOT / "docs" / "index.md").read_text(encoding="utf-8")))
    listed = set(re.findall(r"- ([\w-]+\.md)", (ROOT / "mkdocs.yml").read_text(encoding="utf-8")))
    assert linked <= listed
    assert index <= listed


def test_the_data_version_has_a_row_in_the_table_of_versions():
    page = (ROOT / "docs" / "data-versions.md").read_text(encoding="utf-8")
    versions = re.findall(r"^\| (\d+\.\d+\.\d+) \| ", page, flags=re.MULTILINE)
    assert versions == sorted(versions, key=lambda version: [int(part) for part in version.split(".")])
    assert VERSION in versions
    assert versions[0] == "1.0.0"
