"""The command line of ``mis-ground eval``: this package's own options, and the harness's, read by its own parser."""

import argparse
import difflib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn, get_args

from dataset_builder.core.errors import MISGroundError
from lm_eval_tasks.mis_ground.coordinates import AUTO, FORMS
from lm_eval_tasks.mis_ground.settings import DATASET, NAMES, Stack, Style, is_secret

HELP = """\
mis-ground eval [DATASET] --model KIND --model_args pretrained=MODEL --apply_chat_template --tasks TASKS

  DATASET        a data set folder, or USER/NAME[@REVISION][:CONFIG] on the Hub; without it, the data set is looked for
                 in the environment variable MIS_GROUND_DATASET, in ./mis-ground, and on the Hub

options of mis-ground eval, beside all of the harness's own:
  --style STYLE  direct (default): the answer and nothing else; reasoning: the prompt asks to think, and to end with the
                 answer; native: as direct, with room for models that think by themselves
  --letters      list the options as "A. right; B. left", and ask for the letter
  --stack sheet  put the images of a stack on one contact sheet, for models that take one image
  --coordinates FORM  how points and boxes are written: pixel (default), norm1000, norm1, percent, yx1000, loc1024,
                 pixel28; auto: as the model was trained (docs/coordinates.md)
  --resume DIR   keep every answer in DIR; after an interruption the same command
                 resumes and asks only what is missing
  --strict       stop if the images do not seem to reach the model (otherwise: warn)
  --dry-run      ask nothing: print questions, images, tokens, and, with what follows, GPU hours and price
                 (docs/cost.md)
  --rate N       with --dry-run: questions a second; or IN,OUT: tokens of prompts and of answers a second
  --probe N      with --dry-run: load the model and ask N questions to find the rate and the length of answers
  --gpus N       with --dry-run: GPUs that the model runs on (default: as its arguments say, else 1)
  --answer-tokens N  with --dry-run: tokens of an answer
  --prices FILE  with --dry-run: YAML or JSON with MODEL: {input: PRICE, output: PRICE}, of a million tokens, or
                 MODEL: {gpu_hour: PRICE}
  --family NAME  with --dry-run: count tokens as this family of models does
  --json         with --dry-run: print JSON

Results go to the folder results, with every answer, unless --output_path names another.
"""

RESULTS = "results"
COMMANDS = ("run", "ls", "validate")
"""The harness's own commands, which may stand first."""


@dataclass(frozen=True)
class DryRun:
    """What is known for an estimate of a run's cost.

    Args:
        rate: as given.
        probe: how many questions to ask to find it; 0: none.
        gpus: that the model runs on.
        answer_tokens: of an answer.
        prices: the user's table.
        family: whose way of counting tokens is used.
        json: whether JSON is printed.
    """

    rate: str | None = None
    probe: int = 0
    gpus: int | None = None
    answer_tokens: float | None = None
    prices: Path | None = None
    family: str | None = None
    json: bool = False


@dataclass(frozen=True)
class Options:
    """What was asked for.

    Args:
        dataset: as named, if it was.
        resume: where answers are kept.
        strict: whether a doubt about the images stops the run.
        settings: of the tasks, as given by options of this package.
        harness: the harness's own arguments.
        secrets: arguments of the model that must stand in no file; not among the harness's.
        dry_run: what an estimate of the cost is made with; None: the run is made.
    """

    dataset: str | None
    resume: Path | None
    strict: bool
    settings: Mapping[str, Any]
    harness: argparse.Namespace
    secrets: Mapping[str, Any] = field(default_factory=dict, repr=False)
    dry_run: DryRun | None = None


class _Parser(argparse.ArgumentParser):
    """Its errors are sentences."""

    def error(self, message: str) -> NoReturn:
        raise MISGroundError(f"The command cannot be parsed: {message}.", remedy="See mis-ground eval --help.")


def _whole(text: str) -> int:
    """A number of at least one."""
    number = int(text)
    if number < 1:
        raise ValueError
    return number


def _positive(text: str) -> float:
    """A number above zero."""
    number = float(text)
    if not 0 < number < float("inf"):
        raise ValueError
    return number


DRY_RUN: dict[str, Any] = {
    "--rate": str,
    "--probe": _whole,
    "--gpus": _whole,
    "--answer-tokens": _positive,
    "--prices": Path,
    "--family": str,
    "--json": bool,
}
"""Options that go with ``--dry-run``, and what they take."""


def _attribute(option: str) -> str:
    return option.strip("-").replace("-", "_")


def is_for_the_harness(arguments: Sequence[str]) -> bool:
    """Whether the harness's help is asked for, or another of its commands."""
    return not arguments or bool({"-h", "--help"} & set(arguments)) or arguments[0] in ("ls", "validate")


def own_options(arguments: Sequence[str]) -> tuple[argparse.Namespace, list[str]]:
    """This package's options, and the arguments that are left for the harness.

    Raises:
        MISGroundError: if a value is missing or cannot be, or ``--resume`` stands beside the harness's own cache.
    """
    given = list(arguments)
    if given and given[0] == "run":
        del given[0]
    dataset = given.pop(0) if given and not given[0].startswith("-") else None
    parser = _Parser(add_help=False, allow_abbrev=False)
    parser.add_argument("--resume", type=Path, metavar="DIR")
    parser.add_argument("--strict", action="store_true")
    parser.add_argument("--style", choices=get_args(Style))
    parser.add_argument("--letters", action="store_true", default=None)
    parser.add_argument("--stack", choices=get_args(Stack))
    parser.add_argument("--coordinates", choices=(*FORMS, AUTO))
    parser.add_argument("--dry-run", action="store_true")
    for name, kind in DRY_RUN.items():
        parser.add_argument(name, **({"action": "store_true"} if kind is bool else {"type": kind}))
    options, rest = parser.parse_known_args(given)
    options.dataset = dataset
    alone = [name for name in DRY_RUN if getattr(options, _attribute(name))]
    if alone and not options.dry_run:
        raise MISGroundError(f"{alone[0]} is part of an estimate of the cost.", remedy="Give --dry-run, too.")
    if options.resume and any(argument.split("=", 1)[0] in ("--use_cache", "-c") for argument in rest):
        raise MISGroundError(
            "--resume and --use_cache both store answers.", remedy="Leave out --use_cache: its keys ignore images."
        )
    return options, rest


def read_options(arguments: Sequence[str]) -> Options:
    """All options, checked as far as that goes without looking at the disk.

    Raises:
        MISGroundError: if they are not understood or do not go together.
    """
    own, rest = own_options(arguments)
    harness = harness_options(rest)
    settings = {name: value for name in NAMES if (value := getattr(own, name)) is not None}
    metadata = dict(harness.metadata or {})
    for name, value in [*settings.items(), (DATASET, own.dataset)]:
        if value is not None and metadata.get(name, value) != value:
            raise MISGroundError(
                f"--metadata and the command line give two values of {name!r}.",
                value=f"{metadata[name]} and {value}",
                remedy="Leave one out.",
            )
    dataset = own.dataset or metadata.get(DATASET)
    harness.metadata = metadata | settings | ({DATASET: dataset} if dataset else {})
    model_args = dict(harness.model_args or {})
    secrets = {name: value for name, value in model_args.items() if is_secret(name)}
    harness.model_args = {name: value for name, value in model_args.items() if name not in secrets}
    if not harness.output_path:
        harness.output_path = RESULTS
    harness.log_samples = True
    given = {name: value for option in DRY_RUN if (value := getattr(own, name := _attribute(option)))}
    return Options(
        dataset, own.resume, own.strict, settings, harness, secrets, DryRun(**given) if own.dry_run else None
    )


def harness_options(arguments: Sequence[str]) -> argparse.Namespace:
    """The harness's options, read by its own parser; those of a ``--config`` file among them.

    Raises:
        MISGroundError: if an option is unknown, with the one that is nearest, or lacks its value.
    """
    from lm_eval._cli.run import Run

    parser = _Parser(prog="mis-ground eval")
    run = Run.create(parser.add_subparsers(parser_class=_Parser))
    try:
        found, unknown = parser.parse_known_args(["run", *arguments])
    except (ValueError, argparse.ArgumentError) as error:
        raise MISGroundError(f"The command cannot be parsed: {error}.", remedy="See mis-ground eval --help.") from error
    if unknown:
        raise MISGroundError(f"Unknown option or argument: {unknown[0]}.", remedy=_nearest(unknown[0], run._parser))
    config = _config_of(getattr(found, "config", None))
    for name in (
        "model",
        "model_args",
        "tasks",
        "metadata",
        "output_path",
        "log_samples",
        "include_path",
        "gen_kwargs",
    ):
        setattr(found, name, getattr(found, name, None) or config.get(name))
    for name in ("model_args", "metadata", "gen_kwargs"):
        setattr(found, name, _as_dict(name, getattr(found, name)))
    return found


def _as_dict(name: str, value: Any) -> dict[str, Any]:
    from lm_eval._cli.utils import key_val_to_dict

    if value is None or isinstance(value, dict):
        return dict(value or {})
    try:
        return dict(json.loads(value) if str(value).lstrip().startswith("{") else key_val_to_dict(str(value)))
    except (ValueError, TypeError) as error:
        raise MISGroundError(f"--{name} takes NAME=VALUE,... or JSON.", value=value) from error


def _config_of(path: str | None) -> dict[str, Any]:
    """The options in a ``--config`` file."""
    if not path:
        return {}
    import yaml

    try:
        found = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise MISGroundError("The --config file cannot be read.", file=Path(path), value=error) from error
    if not isinstance(found, dict):
        raise MISGroundError(
            "The --config file contains no options.", file=Path(path), remedy="Write NAME: VALUE lines."
        )
    return found


def _nearest(given: str, parser: argparse.ArgumentParser) -> str:
    own = ("--style", "--letters", "--stack", "--coordinates", "--resume", "--strict", "--dry-run", *DRY_RUN)
    known = [*own, *(option for action in parser._actions for option in action.option_strings)]
    if given.lower() in ("true", "false"):
        return "--log_samples, --letters and --strict take no value; answers are logged in any case."
    near = difflib.get_close_matches(given.split("=", 1)[0], known, n=1)
    if near:
        return f"Did you mean {near[0]}?"
    if not given.startswith("-"):
        return "The data set comes first: mis-ground eval DATASET --model ...; separate names of tasks by commas."
    return "See mis-ground eval --help."
