"""``mis-ground power``: how many volumes and questions are enough."""

import json
from pathlib import Path
from typing import Annotated

import typer

from dataset_builder.cli.terminal import console


def power_command(
    dataset: Annotated[Path, typer.Argument(help="A data set folder.")] = Path("mis-ground"),
    runs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[RUN]...",
            help="Evaluated runs, as for mis-ground report: the accuracy and what questions of a volume have in common "
            "are measured in the first, how often models differ in the first two. Without, they are assumed.",
            show_default=False,
        ),
    ] = None,
    accuracy: Annotated[float | None, typer.Option(help="Accuracy to expect.", show_default="measured, or 0.6")] = None,
    icc: Annotated[
        float | None,
        typer.Option(help="Intraclass correlation of a volume's questions.", show_default="measured, or 0.05"),
    ] = None,
    discordant: Annotated[
        float | None,
        typer.Option(
            help="Share of questions that one of two models gets right and the other wrong.",
            show_default="measured, or of answers that correlate by 0.5",
        ),
    ] = None,
    out: Annotated[Path, typer.Option(help="The page to write, with plots.")] = Path("power.html"),
    as_json: Annotated[bool, typer.Option("--json", help="Print all numbers as JSON instead of tables.")] = False,
) -> None:
    """Forecast intervals, and which differences can be seen, by volumes, questions, pairs and their clustering.

    A difference can be seen if a test at 5 % finds it in 80 of 100 studies.
    """
    from dataset_builder.gallery.pages import check_page, write_page
    from lm_eval_tasks.power.counts import sheet_of
    from lm_eval_tasks.power.forecast import forecast
    from lm_eval_tasks.power.page import make_page
    from lm_eval_tasks.power.terminal import show
    from lm_eval_tasks.report.human import read_all
    from lm_eval_tasks.report.items import Sheet

    check_page(out)
    asked = sheet_of(dataset)
    reading = read_all(runs, dataset) if runs else None
    # Of a folder with both kinds, what was answered with images counts.
    found_runs = sorted(reading.runs, key=lambda run: run.mode != "pictures") if reading else []
    sheets = [Sheet(run, reading.questions) for run in found_runs] if reading else []
    found = forecast(asked, sheets, accuracy, icc, discordant)
    write_page(out, make_page(found, asked))
    if as_json:
        print(json.dumps(found, indent=1, ensure_ascii=False, allow_nan=False))
        return
    show(found, console)
    console.print(f"Open in a browser: {out}", soft_wrap=True)
