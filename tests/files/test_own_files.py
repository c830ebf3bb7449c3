import os

import pytest

from dataset_builder.core.errors import BuildError
from dataset_builder.files.own_files import (
    LIST_NAME,
    add_to_list,
    check_may_replace,
    check_may_write,
    foreign_files,
    free_name,
    make_work_folder,
    read_list,
    remove_listed,
    remove_own_files,
    remove_work_folder,
    write_list,
)
from tests.helpers.folders import contents


@pytest.fixture
def folder(tmp_path):
    """A folder with three files of ours."""
    made = tmp_path / "made"
    (made / "data" / "ct").mkdir(parents=True)
    (made / "README.md").write_text("card")
    (made / "data" / "ct" / "rows.parquet").write_bytes(b"rows")
    (made / "data" / "more.parquet").write_bytes(b"more")
    write_list(made)
    return made


def test_a_folder_that_nobody_touched_goes_as_a_whole(folder):
    assert list(foreign_files(folder)) == []
    assert remove_own_files(folder)
    assert not folder.exists()


def test_what_a_file_manager_left_counts_as_nothing(folder):
    (folder / "data" / ".DS_Store").write_bytes(b"\0")
    assert list(foreign_files(folder)) == []
    assert remove_own_files(folder)


def _write(folder):
    (folder / "data" / "notes.txt").write_text("mine")
    return "data/notes.txt"


def _edit(folder):
    (folder / "README.md").write_text("card, with my own words")
    return "README.md (changed since it was written)"


def _nest(folder):
    (folder / "other" / "data").mkdir(parents=True)
    (folder / "other" / "data" / "x.parquet").write_bytes(b"x")
    return "other/"


def _link_file(folder):
    (folder.parent / "mine.parquet").write_bytes(b"more")
    (folder / "data" / "more.parquet").unlink()
    (folder / "data" / "more.parquet").symlink_to(folder.parent / "mine.parquet")
    return "data/more.parquet (a link)"


def _link_folder(folder):
    (folder / "data").rename(folder.parent / "elsewhere")
    (folder / "data").symlink_to(folder.parent / "elsewhere")
    return "data (a link)"


def _hide(folder):
    (folder / ".git").mkdir()
    (folder / ".git" / "HEAD").write_text("ref: refs/heads/main")
    return ".git/"


def _replace_by_a_folder(folder):
    (folder / "README.md").unlink()
    (folder / "README.md").mkdir()
    (folder / "README.md" / "a").write_text("a")
    return "README.md/"


@pytest.mark.parametrize(
    "touch", [_write, _edit, _nest, _link_file, _link_folder, _hide, _replace_by_a_folder], ids=lambda f: f.__name__
)
def test_what_is_the_users_is_named_and_stays(folder, touch):
    named = touch(folder)
    assert list(foreign_files(folder)) == [named]
    before = contents(folder.parent)
    kept = {name: sha for name, sha in before.items() if not name.startswith("made/")}
    place = folder / named.rstrip("/").removesuffix(" (a link)").removesuffix(" (changed since it was written)")
    mine = contents(place) if place.is_dir() else place.read_bytes()
    assert not remove_own_files(folder)
    assert (contents(place) if place.is_dir() else place.read_bytes()) == mine
    after = contents(folder.parent)
    assert {name: sha for name, sha in after.items() if not name.startswith("made/")} == kept
    assert "made/data/ct/rows.parquet" not in after or place.is_symlink()


def test_a_folder_without_a_list_is_all_the_users(folder):
    (folder / LIST_NAME).unlink()
    assert list(foreign_files(folder)) == ["README.md", "data/"]
    before = contents(folder)
    assert not remove_own_files(folder)
    assert contents(folder) == before


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"written_by": "conda", "files": {"README.md": "x"}}', "\xff"])
def test_a_list_that_is_not_ours_lists_nothing(folder, text):
    (folder / LIST_NAME).write_text(text, encoding="latin-1")
    assert read_list(folder) is None
    assert not remove_own_files(folder)
    assert (folder / "README.md").read_text() == "card"


def test_a_list_cannot_name_a_file_outside(folder):
    outside = folder.parent / "outside.txt"
    outside.write_text("mine")
    add_to_list(folder, ["../outside.txt"])
    assert "../outside.txt" not in (read_list(folder) or {})
    assert remove_own_files(folder)
    assert outside.read_text() == "mine"


def test_a_link_to_a_folder_of_ours_is_not_followed(folder):
    (folder.parent / "link").symlink_to(folder)
    assert not remove_own_files(folder.parent / "link")
    assert (folder / "README.md").exists()


def test_files_are_written_only_over_our_own(folder):
    check_may_write(folder, ["README.md", "new.csv"])
    (folder / "new.csv").write_text("the user's")
    (folder / "README.md").write_text("edited")
    os.symlink(folder / "nowhere", folder / "link.md")
    with pytest.raises(BuildError, match=r"README\.md \(changed since it was written\), new\.csv, link\.md\]"):
        check_may_write(folder, ["README.md", "new.csv", "link.md"])


def test_only_unchanged_listed_files_are_removed(folder):
    (folder / "data" / "more.parquet").write_bytes(b"changed")
    (folder / "mine.md").write_text("mine")
    remove_listed(folder, ["README.md", "data/more.parquet", "mine.md"])
    assert not (folder / "README.md").exists()
    assert (folder / "data" / "more.parquet").read_bytes() == b"changed"
    assert (folder / "mine.md").read_text() == "mine"
    assert list(read_list(folder) or {}) == ["data/ct/rows.parquet"]


def test_a_work_folder_is_ours_or_nothing(tmp_path):
    work = tmp_path / ".out.partial"
    make_work_folder(work)
    (work / "parts").mkdir()
    make_work_folder(work)  # a build that was stopped goes on
    assert (work / "parts").is_dir()
    remove_work_folder(work)
    assert not work.exists()


@pytest.mark.parametrize("kind", ["folder", "file", "link", "dangling link"])
def test_what_is_no_work_folder_is_left(tmp_path, kind):
    work, other = tmp_path / ".out.partial", tmp_path / "other"
    other.mkdir()
    (other / "a").write_text("mine")
    if kind == "folder":
        other.rename(work)
    elif kind == "file":
        work.write_text("mine")
    else:
        work.symlink_to(other if kind == "link" else tmp_path / "nowhere")
    before = contents(tmp_path)
    with pytest.raises(BuildError, match="holds something else"):
        make_work_folder(work)
    remove_work_folder(work)
    assert contents(tmp_path) == before


def test_a_file_with_the_mark_is_replaced_and_no_other(tmp_path):
    page = tmp_path / "page.html"
    check_may_replace(page, b"MARK")
    page.touch()
    check_may_replace(page, b"MARK")
    page.write_bytes(b"<html>MARK")
    check_may_replace(page, b"MARK")
    page.write_text("my own page")
    with pytest.raises(BuildError, match="not a page of MIS-Ground"):
        check_may_replace(page, b"MARK")


def test_a_free_name_is_free(tmp_path):
    assert free_name(tmp_path / "a").name == "a"
    (tmp_path / "a").mkdir()
    (tmp_path / "a-2").symlink_to(tmp_path / "nowhere")
    assert free_name(tmp_path / "a").name == "a-3"
