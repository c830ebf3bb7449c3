"""The harness's own command line with MIS-Ground's tasks and models registered: ``mis-ground eval DATASET ARGS``.

What can be known to be wrong is found before anything heavy is loaded; what goes wrong later is reported in a sentence.
"""

import argparse
import filecmp
import importlib
import importlib.util
import os
import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from dataset_builder.core.errors import MISGroundError
from lm_eval_tasks.mis_ground.settings import ON_THE_HUB, RunSettings, RunSettingsError
from lm_eval_tasks.running import checks
from lm_eval_tasks.running.checks import TASKS
from lm_eval_tasks.running.failures import as_user_error
from lm_eval_tasks.running.options import HELP, Options, is_for_the_harness, read_options
from semsam import git_commit

MODEL_MODULES = ("lm_eval_tasks.running.baselines", "semsam.harness", "semsam.arms.harness")
"""Modules that register models when they are imported."""


def register_models() -> None:
    """Make ``mis-ground-constant``, ``mis-semsam`` and ``mis-semsam-text`` known to the harness."""
    for module in MODEL_MODULES:
        importlib.import_module(module)


def tasks_are_installed() -> bool:
    """Whether the installed harness holds these very task files.

    The wheel puts them there; in a source checkout there may be none, or those of an earlier install. All are compared:
    that takes 7 ms, and a version would not tell a checkout's changed file from the installed one.
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


def with_our_tasks(given: str | None) -> str | list[str] | None:
    """Folders of task files beside the harness's own."""
    if tasks_are_installed():
        return given
    return [given, str(TASKS)] if given else str(TASKS)


@contextmanager
def only_our_tasks(only: bool) -> Iterator[None]:
    """Where only this package's tasks are asked for, the harness indexes no other: its own take it ten seconds."""
    import lm_eval.tasks

    manager = lm_eval.tasks.TaskManager
    if only:
        lm_eval.tasks.TaskManager = partial(manager, include_defaults=False)
    try:
        yield
    finally:
        lm_eval.tasks.TaskManager = manager


def check(options: Options) -> bool:
    """Look at everything that is cheap to look at; returns whether only this package's tasks are asked for.

    Raises:
        MISGroundError: if something is wrong.
    """
    harness = options.harness
    try:
        RunSettings.from_metadata({**harness.model_args, **harness.metadata})
    except RunSettingsError as error:
        raise MISGroundError(str(error)) from error
    only_ours = checks.check_tasks(harness.tasks or [])
    if only_ours:
        checks.check_dataset(options.dataset, ON_THE_HUB)
    if (
        options.dry_run and not options.dry_run.probe
    ):  # nothing is loaded: the model, its packages, a key may be elsewhere
        checks.check_kind(harness.model or "hf", harness.tasks or [])
    else:
        checks.check_model(harness.model or "hf", harness.model_args, options.secrets, harness.tasks or [])
    return only_ours


def main(arguments: Sequence[str]) -> int:
    """Run the harness's command line.

    Args:
        arguments: what ``lm_eval`` takes, without the program's name, and this package's own: see `HELP`.

    Returns:
        The exit status.

    Raises:
        DatasetNotFoundError: if there is no data set to evaluate on.
        MISGroundError: for any other error, in a sentence.
    """
    if is_for_the_harness(arguments):
        return _as_the_harness(arguments)
    options = read_options(arguments)
    only_ours = check(options)
    try:
        if options.dry_run:
            from lm_eval_tasks.running.dry_run import main as dry_run

            return dry_run(options, lambda make: _count(make, options, only_ours))
        return _run(options, only_ours, arguments)
    except KeyboardInterrupt:
        print(_how_to_go_on(options, arguments), file=sys.stderr)
        return 130
    except SystemExit:
        raise
    except Exception as error:
        if os.environ.get("MIS_GROUND_TRACEBACK") and not isinstance(error, MISGroundError):
            raise
        harness = options.harness
        context = {name: getattr(harness, name, None) for name in ("model", "model_args", "batch_size")}
        raise as_user_error(error, context) from error


def _as_the_harness(arguments: Sequence[str]) -> int:
    """The harness's help, and its commands that ask no model."""
    if not arguments or {"-h", "--help"} & set(arguments):
        print(HELP)
    from lm_eval.__main__ import cli_evaluate

    register_models()
    more = [] if not arguments or arguments[0] not in ("ls", "validate") or tasks_are_installed() else [str(TASKS)]
    given = [*arguments, *(["--include_path", *more] if more and "--include_path" not in arguments else [])]
    before, sys.argv = sys.argv, ["mis-ground eval", *given]
    try:
        cli_evaluate()
    finally:
        sys.argv = before
    return 0


def _run(options: Options, only_ours: bool, arguments: Sequence[str]) -> int:
    from lm_eval._cli.run import Run
    from lm_eval.utils import setup_logging

    from lm_eval_tasks.running.watching import Watch, watched

    harness = options.harness
    register_models()
    harness.include_path = str(TASKS) if only_ours else with_our_tasks(harness.include_path)
    watch = Watch(options.resume, options.strict, secrets=options.secrets)
    setup_logging()
    with watched(watch), only_our_tasks(only_ours), git_commit.asked_quietly():
        Run._execute(_harness_namespace(harness))
    watch.summary(scored(options) if only_ours else None, harness.output_path)
    return 0


def _count(make: Callable[[Any], Any], options: Options, only_ours: bool) -> None:
    """Let the harness ask a model all that it would ask in the run, and score nothing.

    Args:
        make: gives the model, from the harness's configuration of the run.
        options: of the command.
        only_ours: whether only this package's tasks are asked for.
    """
    from lm_eval import simple_evaluate
    from lm_eval.config.evaluate_config import EvaluatorConfig

    harness = options.harness
    register_models()
    harness.include_path = str(TASKS) if only_ours else with_our_tasks(harness.include_path)
    with only_our_tasks(only_ours), git_commit.asked_quietly():
        config = EvaluatorConfig.from_cli(_harness_namespace(harness))
        tasks = config.process_tasks(config.metadata)
        simple_evaluate(
            model=make(config),
            tasks=config.tasks,
            task_manager=tasks,
            num_fewshot=config.num_fewshot,
            limit=config.limit,
            samples=config.samples,
            system_instruction=config.system_instruction,
            apply_chat_template=config.apply_chat_template,
            fewshot_as_multiturn=config.fewshot_as_multiturn,
            gen_kwargs=config.gen_kwargs,
            predict_only=True,
            bootstrap_iters=0,
        )


def _harness_namespace(harness: argparse.Namespace) -> argparse.Namespace:
    """Without what the harness would take for settings of its own."""
    return argparse.Namespace(**{name: value for name, value in vars(harness).items() if name != "config" or value})


def scored(options: Options) -> dict[str, Any]:
    """What was scored: place, version, digest and rows of the data set, which is open already."""
    from lm_eval_tasks.mis_ground.rows import find_dataset, open_rows, stamp

    place = find_dataset(options.harness.metadata.get("dataset"))
    return open_rows(place, stamp(place)).facts()


def _how_to_go_on(options: Options, arguments: Sequence[str]) -> str:
    if options.resume:
        return (
            f"Stopped. The answers so far are in {options.resume}; to resume: mis-ground eval {shlex.join(arguments)}"
        )
    return (
        "Stopped. No answers were stored; with --resume DIR they are, and the same command resumes: "
        f"mis-ground eval {shlex.join([*arguments, '--resume', 'answers'])}"
    )
