"""A build replaces nothing that a build did not make: every kind of folder that --out can meet."""

import json
import os

import pytest

from dataset_builder.building.builder import build
from dataset_builder.building.target import check_target, moved_aside, put_in_place, resolve_target
from dataset_builder.core.errors import BuildError
from dataset_builder.core.settings import Settings
from dataset_builder.dataset.manifest import RECORD_NAME, BuildNote, Record, record_to_text
from dataset_builder.files.own_files import foreign_files, write_list
from dataset_builder.sources import open_source
from tests.helpers.folders import contents

SMALL = Settings(
    slices_per_volume=1,
    questions_per_volume=6,
    prompts=("none",),
    inputs=("slice",),
    views=("plain",),
    image_size=64,
    answer_types=("choice",),
)


def dataset(folder, text="rows", listed=True):
    """A data set folder in small, as a build leaves it."""
    (folder / "data" / "ct_axial").mkdir(parents=True)
    (folder / "data" / "ct_axial" / "directional_box.parquet").write_text(text)
    (folder / "README.md").write_text("mis-ground")
    note = BuildNote("1", "1", {}, "", (), (), 0, 0, {"rows": {}})
    (folder / RECORD_NAME).write_text(record_to_text(Record((note,))))
    if listed:
        write_list(folder)
    return folder


def check(out, **more):
    out = resolve_target(out)
    check_target(out, out.parent / f".{out.name}.partial", "test", **more)


def clone(out):
    """A clone of this repository: same name, same words, a build.json for something else."""
    (out / ".git").mkdir(parents=True)
    (out / ".git" / "HEAD").write_text("ref: refs/heads/main")
    (out / "README.md").write_text("# MIS-Ground\nmis-ground build --out mis-ground")


def readme(out):
    out.mkdir()
    (out / "README.md").write_text("My notes on mis-ground.")


def conda(out):
    out.mkdir()
    (out / RECORD_NAME).write_text(json.dumps({"build": "py312_0", "build_number": 0, "depends": []}))


def npm(out):
    out.mkdir()
    (out / RECORD_NAME).write_text(json.dumps({"builds": [], "content": ""}))
    (out / "package.json").write_text("{}")


def broken(out):
    dataset(out)
    (out / RECORD_NAME).write_text("{")


def notes(out):
    (dataset(out) / "notes.txt").write_text("what I saw")


def card(out):
    (dataset(out) / "README.md").write_text("mis-ground, and what I think of it")


def nested(out):
    dataset(dataset(out) / "inner")


def cache(out):
    (dataset(out) / ".cache" / "huggingface").mkdir(parents=True)


def downloaded(out):
    dataset(out, listed=False)


def file(out):
    out.write_text("a file")


def link_to_file(out):
    (out.parent / "a").write_text("a file")
    out.symlink_to(out.parent / "a")


def link_to_folder(out):
    (out.parent / "elsewhere").mkdir()
    (out.parent / "elsewhere" / "a").write_text("mine")
    out.symlink_to(out.parent / "elsewhere")


def link_in_a_circle(out):
    out.symlink_to(out)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (clone, r"not a MIS-Ground data set.*\.git, README\.md"),
        (readme, r"not a MIS-Ground data set.*README\.md"),
        (conda, r"not a MIS-Ground data set.*build\.json"),
        (npm, "not a MIS-Ground data set"),
        (broken, "not a MIS-Ground data set"),
        (notes, r"files that a build did not write.*notes\.txt"),
        (card, r"files that a build did not write.*README\.md \(changed"),
        (nested, "files that a build did not write.*inner/"),
        (cache, r"files that a build did not write.*\.cache/"),
        (downloaded, "without a list of its files"),
        (file, "is a file"),
        (link_to_file, "is a file"),
        (link_to_folder, "not a MIS-Ground data set"),
        (link_in_a_circle, "is a broken link|file"),
    ],
)
def test_what_a_build_did_not_make_is_refused_by_name_and_stays(tmp_path, make, message):
    out = tmp_path / "mis-ground"
    make(out)
    before = {**contents(tmp_path), "link": out.is_symlink()}
    with pytest.raises(BuildError, match=message):
        check(out)
    assert {**contents(tmp_path), "link": out.is_symlink()} == before


@pytest.mark.parametrize("there", ["nothing", "empty", "data set", "link to a data set", "link to an empty folder"])
def test_nothing_an_empty_folder_and_a_data_set_of_ours_are_taken(tmp_path, there):
    out, real = tmp_path / "mis-ground", tmp_path / "mis-ground"
    if there.startswith("link"):
        real = tmp_path / "disk" / "data"
        real.parent.mkdir()
        out.symlink_to(real)
    if "empty" in there:
        real.mkdir()
    elif "data set" in there:
        dataset(real, "old rows")
    check(out)
    made = dataset(tmp_path / "made", "new rows")
    assert put_in_place(made, resolve_target(out)) is None
    assert (out / "data" / "ct_axial" / "directional_box.parquet").read_text() == "new rows"
    assert out.is_symlink() == there.startswith("link")
    assert not list(tmp_path.rglob("*.old"))
    assert list(foreign_files(out)) == []


def test_what_comes_into_the_old_data_set_while_the_new_one_is_built_is_kept_with_all_of_it(tmp_path):
    out = dataset(tmp_path / "mis-ground", "old rows")
    check(out)
    (out / "notes.txt").write_text("written while it ran")
    before = contents(out)
    kept = put_in_place(dataset(tmp_path / "made", "new rows"), out)
    assert kept == tmp_path / "mis-ground-before"
    assert contents(kept) == before
    assert not (out / "notes.txt").exists()


def test_folders_that_the_build_needs_are_not_replaced(tmp_path):
    out, work = tmp_path / "out", tmp_path / ".out.partial"
    for place in (out, out / "scans"):
        with pytest.raises(BuildError, match="The build needs files in a folder that it would replace"):
            check(out, reads=[place])
        with pytest.raises(BuildError, match="The build needs files in a folder that it would replace"):
            check(out, store=place)
    with pytest.raises(BuildError, match="The build needs files in a folder that it would replace"):
        check(out, store=work / "store")
    with pytest.raises(BuildError, match="lies in the slice store"):
        check(out, store=tmp_path)
    with pytest.raises(BuildError, match="lies in a data set"):
        check(dataset(tmp_path / "outer") / "out")
    check(out, reads=[tmp_path], store=tmp_path / "store")  # a data set beside its scans


def test_the_folder_that_one_is_in_is_not_pulled_away(tmp_path, monkeypatch):
    out = dataset(tmp_path / "out")
    monkeypatch.chdir(out)
    with pytest.raises(BuildError, match="the current folder, or contains it"):
        check(out)
    monkeypatch.chdir(out / "data")
    with pytest.raises(BuildError, match="the current folder, or contains it"):
        check(out)


@pytest.mark.parametrize("what", ["folder", "link"])
def test_a_folder_under_the_name_to_move_the_old_data_set_to_is_left(tmp_path, what):
    out = dataset(tmp_path / "out")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "a").write_text("mine")
    if what == "folder":
        (tmp_path / "mine").rename(moved_aside(out))
    else:
        moved_aside(out).symlink_to(tmp_path / "mine")
    before = contents(tmp_path)
    with pytest.raises(BuildError, match="would move the old data set"):
        check(out)
    assert contents(tmp_path) == before


@pytest.mark.parametrize("touched", [False, True])
def test_an_old_data_set_left_behind_goes_or_is_kept(tmp_path, touched):
    """Power went after the new one had its name and before the old one was deleted."""
    out = dataset(tmp_path / "out", "new rows")
    old = dataset(moved_aside(out), "old rows")
    if touched:
        (old / "notes.txt").write_text("mine")
    check(out)
    assert not old.exists()
    kept = tmp_path / "out-before"
    assert kept.exists() == touched
    assert not touched or (kept / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize("which", ["out", "."])
def test_read_only_folders_are_refused_before_any_work(tmp_path, monkeypatch, which):
    """Root, as tests often are, may write anywhere: the system's answer is put in its mouth."""
    out, closed = dataset(tmp_path / "out"), (tmp_path / which).resolve()
    monkeypatch.setattr(os, "access", lambda path, mode: path != closed)
    before = contents(tmp_path)
    with pytest.raises(BuildError, match="cannot be written"):
        check(out)
    assert contents(tmp_path) == before


def test_a_build_lists_what_it_wrote_and_replaces_it_again(tmp_path):
    out = tmp_path / "out"
    build([open_source("phantom:1")], out, SMALL)
    assert list(foreign_files(out)) == []
    before = contents(out)
    build([open_source("phantom:1")], out, SMALL)
    assert contents(out) == before
    (out / "README.md").write_text((out / "README.md").read_text() + "\nMy own words.\n")
    edited = contents(out)
    with pytest.raises(BuildError, match=r"README\.md \(changed"):
        build([open_source("phantom:1")], out, SMALL)
    assert contents(out) == edited
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == ["out"]


def test_a_work_folder_of_the_users_stops_a_build(tmp_path):
    work = tmp_path / ".out.partial"
    work.mkdir()
    (work / "mine").write_text("mine")
    with pytest.raises(BuildError, match="holds something else"):
        build([open_source("phantom:1")], tmp_path / "out", SMALL)
    assert (work / "mine").read_text() == "mine"


@pytest.mark.parametrize("suffix", [".json", ".parquet"])
def test_a_file_of_the_users_in_a_store_is_left(tmp_path, suffix):
    (case,) = open_source("phantom:1").cases()
    mine = tmp_path / "store" / "phantom" / f"{case.subject}{suffix}"
    mine.parent.mkdir(parents=True)
    mine.write_text('{"rating": "my own notes of this case"}')
    with pytest.raises(BuildError, match=f"no build wrote.*{case.subject}"):
        build([open_source("phantom:1")], tmp_path / "out", SMALL, store=tmp_path / "store")
    assert mine.read_text() == '{"rating": "my own notes of this case"}'
