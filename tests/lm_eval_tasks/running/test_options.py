"""The command's own options beside the harness's."""

import pytest

from dataset_builder.core.errors import MISGroundError
from lm_eval_tasks.running import options


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--resume"], "--resume: expected one argument"),
        (["--resume", "x", "--use_cache", "y"], "both store answers"),
        (["--resume=x", "-c", "y"], "both store answers"),
    ],
)
def test_options_that_do_not_go_are_told(given, message):
    with pytest.raises(MISGroundError, match=message):
        options.own_options(["--model", "hf", *given])


def test_own_options_are_taken_out():
    own, rest = options.own_options(["--model", "hf", "--resume", "x", "--strict", "--tasks", "a", "--res", "b"])
    assert (str(own.resume), own.strict, own.dataset) == ("x", True, None)
    assert rest == ["--model", "hf", "--tasks", "a", "--res", "b"]
    own, rest = options.own_options(["run", "my-ground", "--style", "reasoning", "--letters", "--limit", "2"])
    assert (own.dataset, own.style, own.letters, rest) == ("my-ground", "reasoning", True, ["--limit", "2"])
