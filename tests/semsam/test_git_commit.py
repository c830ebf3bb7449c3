import subprocess

import pytest
from lm_eval import evaluator
from lm_eval.loggers import utils as harness

from semsam.git_commit import asked_quietly, commit_here

IDENTITY = ("-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false")


def git(*arguments):
    subprocess.run(["git", *arguments], check=True, capture_output=True)


def outside(folder, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(folder.parent))


def without_a_commit(folder, monkeypatch):
    git("init", str(folder))


def with_a_commit(folder, monkeypatch):
    git("init", str(folder))
    git(*IDENTITY, "-C", str(folder), "commit", "--allow-empty", "--message", "first")


def with_a_broken_head(folder, monkeypatch):
    with_a_commit(folder, monkeypatch)
    (folder / ".git/HEAD").write_text("nothing\n")


def where_git_is_not_installed(folder, monkeypatch):
    with_a_commit(folder, monkeypatch)
    monkeypatch.setenv("PATH", str(folder))


PLACES = (outside, without_a_commit, with_a_commit, with_a_broken_head, where_git_is_not_installed)


@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.__name__)
def test_the_commit_is_the_harnesss_and_git_says_nothing(place, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    place(tmp_path, monkeypatch)
    expected = harness.get_git_commit_hash()
    capfd.readouterr()
    assert commit_here() == expected
    assert (expected is not None) == (place in (with_a_commit, where_git_is_not_installed))
    assert tuple(capfd.readouterr()) == ("", "")


def test_only_inside_is_the_harness_quiet():
    original = evaluator.get_git_commit_hash
    with asked_quietly():
        assert evaluator.get_git_commit_hash is commit_here
    assert evaluator.get_git_commit_hash is original is harness.get_git_commit_hash
