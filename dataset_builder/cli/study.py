"""``mis-ground study``: a planned comparison of decodings, run, resumed and reported."""

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from dataset_builder.cli.terminal import console, progress_bars
from dataset_builder.core.errors import MISGroundError


def study_command(
    plan: Annotated[Path | None, typer.Argument(metavar="PLAN.yaml", help="The plan.", show_default=False)] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder of the study; by default the plan's name, in the working directory.")
    ] = None,
    init: Annotated[bool, typer.Option("--init", help="Write a plan to begin with, and stop.")] = False,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Count the questions, estimate time and power, and stop; nothing is stored."),
    ] = False,
    report_only: Annotated[
        bool, typer.Option("--report-only", help="Write the report from the stored answers; no model is loaded.")
    ] = False,
    share: Annotated[
        str | None,
        typer.Option(
            metavar="I/N",
            help="Give part I of N of the answers, as one of several processes on the same folder (one for each GPU); "
            "afterwards the command without --share writes the report.",
        ),
    ] = None,
) -> None:
    """Compare decodings on the same questions as planned: the plan is recorded before the first answer.

    An interrupted study resumes when the same command is given again. The report says which analyses were planned, and
    marks a plan that was changed midway.
    """
    from lm_eval_tasks.study import command

    if init:
        path = command.write_template(plan or Path("plan.yaml"))
        console.print(f"The plan is in {escape(str(path))}. Next: mis-ground study {escape(str(path))} --dry-run")
        return
    if plan is None:
        raise MISGroundError("No plan is given.", remedy="'mis-ground study --init' writes one.")
    if dry_run:
        for line in command.dry_run(plan, out):
            console.print(line, soft_wrap=True, highlight=False, markup=False)
        return
    with progress_bars() as progress:
        found = command.run_study(plan, out, progress, share=share, report_only=report_only)
    for line in found:
        console.print(line, soft_wrap=True, highlight=False, markup=False)
    sys.stdout.flush()
