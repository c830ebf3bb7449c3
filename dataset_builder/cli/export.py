"""``mis-ground export``: the questions of a data set for other harnesses."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from dataset_builder.cli.terminal import console


class To(StrEnum):
    """The harnesses."""

    INSPECT = "inspect"
    LMMS_EVAL = "lmms-eval"
    VLMEVALKIT = "vlmevalkit"


def export_command(
    to: Annotated[To, typer.Option(help="The harness.", show_default=False)],
    dataset: Annotated[str, typer.Argument(help="A data set folder, or its name on the Hub.")] = "mis-ground",
    out: Annotated[Path | None, typer.Option(help="Folder to write; by default export-HARNESS.")] = None,
    style: Annotated[str, typer.Option(help="Prompt: direct, reasoning or native.")] = "direct",
    letters: Annotated[bool, typer.Option("--letters", help="Letter the options, and ask for the letter.")] = False,
    stack: Annotated[str, typer.Option(help="A stack's images: images (one by one) or sheet (all on one).")] = "images",
    coordinates: Annotated[
        str, typer.Option(help="Form in which points and boxes are written; auto: that of the family of --model.")
    ] = "pixel",
    model: Annotated[str | None, typer.Option(help="The model's name, for --coordinates auto.")] = None,
) -> None:
    """Write what another harness loads as its own: the same questions, images and reader of answers.

    The settings are written to the folder; the scores of one model agree across the harnesses, question by question.
    """
    from lm_eval_tasks.export.write import export, next_steps

    folder = out or Path(f"export-{to}")
    settings = {"style": style, "letters": letters, "stack": stack, "coordinates": coordinates}
    benchmark = export(dataset, to.value, folder, settings | ({"model": model} if model else {}))
    count = benchmark.count(benchmark.tasks)
    console.print(
        f"{count} questions in {len(benchmark.tasks)} tasks: {escape(str(folder))}", soft_wrap=True, highlight=False
    )
    for line in next_steps(to.value, folder):
        console.print(line, soft_wrap=True, highlight=False, markup=False)
