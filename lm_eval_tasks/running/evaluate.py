"""The harness's own command line with MIS-Ground's tasks and models registered: ``mis-ground eval ARGS``.

Two options are this package's own: ``--resume DIR`` keeps every answer in DIR and never asks for it again, and
``--strict`` stops a run whose pictures do not seem to reach the model.
"""

import argparse
import filecmp
import importlib
import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path

from dataset_builder.core.errors import DatasetNotFoundError, MISGroundError

TASKS = Path(__file__).parents[1] / "mis_ground"
"""The task files."""

MODEL_MODULES = ("lm_eval_tasks.running.baselines", "semsam.harness")
"""Modules that register models when they are imported."""


def register_models() -> None:
    """Make ``mis-ground-constant``, ``mis-semsam`` and ``mis-semsam-text`` known to the harness."""
    for module in MODEL_MODULES:
        importlib.import_module(module)


def tasks_are_installed() -> bool:
    """Whether the installed harness holds these very task files.

    The wheel puts them there; in a source checkout there may be none, or those of an earlier install.
    """
    harness = importlib.util.find_spec("lm_eval")
    if harness is None or harness.origin is None:
        return False
    installed = Path(harness.origin).parent / "tasks" / TASKS.name
    names = [
        str(path.relative_to(TASKS))
        for path in TASKS.rglob("*")
        if path.is_file() and path.parent.name != "__pycache__"
    ]
    _, different, missing = filecmp.cmpfiles(TASKS, installed, names, shallow=False)
    return not different and not missing


def harness_arguments(arguments: Sequence[str]) -> list[str]:
    """The harness's arguments, with the folder of the task files where it has none of its own.

    Raises:
        MISGroundError: if the harness would need two folders of tasks.
    """
    if not arguments or {"-h", "--help"} & set(arguments) or tasks_are_installed():
        return list(arguments)
    if any(argument.split("=", 1)[0] == "--include_path" for argument in arguments):
        raise MISGroundError(
            "The harness takes one --include_path, and MIS-Ground's tasks need it here.",
            remedy="Install the package (pip install .): then the tasks are the harness's own.",
        )
    return [*arguments, "--include_path", str(TASKS)]


def own_options(arguments: Sequence[str]) -> tuple[argparse.Namespace, list[str]]:
    """This package's options, and the arguments that are left for the harness.

    Raises:
        MISGroundError: if ``--resume`` names no folder, or stands beside the harness's own cache.
    """
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    parser.add_argument("--resume", type=Path)
    parser.add_argument("--strict", action="store_true")
    try:
        options, rest = parser.parse_known_args(list(arguments))
    except argparse.ArgumentError as error:
        raise MISGroundError("--resume needs a folder.", remedy="Give one: --resume DIR.") from error
    caches = {"--use_cache", "-c"}
    if options.resume and any(argument.split("=", 1)[0] in caches for argument in rest):
        raise MISGroundError(
            "--resume and --use_cache both keep answers.", remedy="Leave out --use_cache: it takes no note of pictures."
        )
    return options, rest


HELP = """\
options of mis-ground eval, beside all of the harness's own:
  --resume DIR   keep every answer in DIR; give the same command again after an interruption, and only what is missing
                 is asked
  --strict       stop if the pictures do not seem to reach the model (otherwise: warn)
"""


def main(arguments: Sequence[str]) -> int:
    """Run the harness's command line.

    Args:
        arguments: what ``lm_eval`` takes, without the program's name, and this package's own options.

    Returns:
        The exit status.

    Raises:
        DatasetNotFoundError: if there is no data set to evaluate on.
        MISGroundError: if the options do not go together, or a check of ``--strict`` fails.
    """
    options, rest = own_options(arguments)
    if not rest or {"-h", "--help"} & set(rest):
        print(HELP)
    given = harness_arguments(rest)
    register_models()
    from lm_eval.__main__ import cli_evaluate

    from lm_eval_tasks.running.watching import Watch, watched

    watch = Watch(options.resume, options.strict)
    before, sys.argv = sys.argv, ["mis-ground eval", *given]
    try:
        with watched(watch):
            cli_evaluate()
    except FileNotFoundError as error:
        if "MIS-Ground data set" in str(error):
            raise DatasetNotFoundError(str(error)) from error
        raise
    finally:
        sys.argv = before
    watch.summary()
    return 0
