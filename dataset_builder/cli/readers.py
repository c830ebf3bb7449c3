"""``mis-ground read``: a page for a human reader."""

from pathlib import Path
from typing import Annotated

import typer

from dataset_builder.cli.build import listed
from dataset_builder.cli.terminal import console, progress_bars
from dataset_builder.core.factors import ANSWER_TYPES


def read_command(
    dataset: Annotated[Path, typer.Argument(help="A data set folder.")] = Path("mis-ground"),
    items: Annotated[int, typer.Option(help="At most this many questions; pairs stay whole.")] = 120,
    reader: Annotated[str, typer.Option(help="Name or initials of the reader; without it, the page asks.")] = "",
    out: Annotated[Path, typer.Option(help="The page to write.")] = Path("reader.html"),
    seed: Annotated[int, typer.Option(help="Readers with the same seed get the same questions in the same order.")] = 0,
    inputs: Annotated[str, typer.Option(help="Comma-separated: slice, stack, blank (control).")] = "slice,stack",
    views: Annotated[str, typer.Option(help="Comma-separated: plain, or views that are controls.")] = "plain",
    answer_types: Annotated[
        str, typer.Option(help="Comma-separated; those that the data set lacks do not matter.")
    ] = ",".join(ANSWER_TYPES),
) -> None:
    """Write a page on which a person answers questions: one file, without network, for a desktop or a phone.

    The questions are spread over factors and volumes, in random order, and the page does not contain their answers.
    The reader exports a JSON file, which mis-ground report takes like any run.
    """
    from dataset_builder.readers.page import check_reader_name, write_reader_page

    name = check_reader_name(reader)
    with progress_bars() as progress:
        made = write_reader_page(
            dataset,
            out,
            items,
            name,
            seed,
            inputs=listed(inputs),
            views=listed(views),
            answer_types=listed(answer_types),
            progress=progress,
        )
    console.print(
        f"{made.items} questions about {made.volumes} volume(s), {made.full_resolution} with the slice in full "
        f"resolution, in {made.out} ({made.size / 1e6:.1f} MB, page {made.page})",
        soft_wrap=True,
    )
    console.print("The reader opens it in a browser and exports a file; then:", soft_wrap=True)
    console.print(f"  mis-ground report results answers-NAME-{made.page[:8]}.json --dataset {dataset}", soft_wrap=True)
