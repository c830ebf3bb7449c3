"""The commit that the harness notes in results as ``git_hash``: that of the folder in which it runs."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager


def commit_here() -> str | None:
    """The commit, as ``git describe --always`` names it; None outside of a repository."""
    from lm_eval.loggers.utils import get_commit_from_path

    try:
        asked = subprocess.run(["git", "describe", "--always"], capture_output=True, text=True, check=False)
    except OSError:  # git is not installed: the harness looks into .git itself
        return get_commit_from_path(os.getcwd())
    return asked.stdout.strip() or None


@contextmanager
def asked_quietly() -> Iterator[None]:
    """Inside, the harness notes the same commit, and the user sees nothing of what git says on standard error.

    The harness lets that through: outside of a repository every run ended with "fatal: not a git repository".
    """
    from lm_eval import evaluator

    original = evaluator.get_git_commit_hash
    evaluator.get_git_commit_hash = commit_here
    try:
        yield
    finally:
        evaluator.get_git_commit_hash = original
