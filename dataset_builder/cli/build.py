"""``mis-ground build``: its options, and what it says at the end."""

import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.markup import escape

from dataset_builder.cli.build_summary import print_summary, show_short_cells
from dataset_builder.cli.terminal import console, errors, progress_bars
from dataset_builder.core.errors import MISGroundError
from dataset_builder.core.factors import (
    ANSWER_TYPES,
    CONVENTIONS,
    INPUTS,
    OPTION_FORMS,
    PLANES,
    PROMPTS,
    REGISTERS,
    STATEMENTS,
    TERMINOLOGIES,
    TEST,
    VIEWS,
    Modality,
    Split,
)

if TYPE_CHECKING:
    from dataset_builder.building.engines import Engine

EngineName = Literal["processes", "dask"]
Size = Literal["small", "paper", "full"]

SourceOption = Annotated[
    list[str],
    typer.Option(
        "--source",
        metavar="NAME[:DIR]",
        help="Source of volumes; repeatable. "
        "sample, phantom[:N], totalsegmentator:DIR, totalsegmentator_mri:DIR, oai_knee:DIR, nnunet:DIR, dicom:DIR, "
        "slicer:DIR, freesurfer:DIR, bids:DIR, pairs:FILE.yaml; auto:DIR finds out which. "
        "DIR may be in object storage: s3://BUCKET/DIR.",
        show_default=False,
    ),
]


def listed(text: str) -> tuple[Any, ...]:
    """Comma-separated values; the settings say which are legal."""
    return tuple(part.strip() for part in text.split(",") if part.strip())


def number_or_all(name: str, text: str) -> int | None:
    """A whole number, or ``None`` for "all"."""
    if text != "all" and not text.isdecimal():
        raise MISGroundError(f"--{name} takes a whole number or 'all'.", value=text)
    return None if text == "all" else int(text)


def plain_source(spec: str) -> str:
    """A source by its name; of ``auto:DIR``, what was recognised is reported."""
    if not spec.startswith("auto:"):
        return spec
    from dataset_builder.sources import recognised

    found = recognised(spec.removeprefix("auto:"))
    errors.print(escape(found.said), soft_wrap=True)
    return found.spec


@contextmanager
def _engine(name: EngineName, scheduler: str | None, num_proc: int, sources: Sequence[object]) -> Iterator["Engine"]:
    """Where the work of a build is to be done."""
    from dataset_builder.building.engines import Dask, Processes

    if name == "processes" and scheduler is not None:
        raise MISGroundError("--scheduler needs the Dask engine.", value=scheduler, remedy="Add --engine dask.")
    running = Processes(num_proc) if name == "processes" else Dask(scheduler, num_proc)
    if isinstance(running, Processes):
        running.share(sources)
        running.start()
    else:
        errors.print(f"Dashboard of the cluster: {running.dashboard}", soft_wrap=True)
    try:
        yield running
    finally:
        running.close()


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
            metavar="DIR",
            help="Slice store: keep slices here, or build from it without --source; a folder or s3://BUCKET/DIR.",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of all random choices.")] = 0,
    seeds: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Build N data sets with N seeds, from --seed on: OUT/seed-0, OUT/seed-1 ... They ask about other "
            "slices of the same volumes in other words, and say how far a score moves with that choice.",
            min=2,
            show_default=False,
        ),
    ] = None,
    planes: Annotated[str, typer.Option(help="Comma-separated.")] = ",".join(PLANES),
    prompts: Annotated[str, typer.Option(help="Comma-separated.")] = ",".join(PROMPTS),
    terminologies: Annotated[str, typer.Option(help="Comma-separated.")] = ",".join(TERMINOLOGIES),
    registers: Annotated[str, typer.Option(help="Comma-separated.")] = ",".join(REGISTERS),
    conventions: Annotated[str, typer.Option(help="Comma-separated.")] = ",".join(CONVENTIONS),
    inputs: Annotated[
        str, typer.Option(help="Comma-separated: slices, stacks of slices, blank canvases as controls.")
    ] = ",".join(INPUTS),
    answer_types: Annotated[
        str,
        typer.Option(
            help="Comma-separated: one of several options, a point on a structure, its bounding box, a measurement."
        ),
    ] = ",".join(ANSWER_TYPES),
    views: Annotated[
        str,
        typer.Option(help="Comma-separated; besides plain, each question gets one randomly chosen view as a control."),
    ] = ",".join(VIEWS),
    statements: Annotated[
        str,
        typer.Option(
            help="Comma-separated; besides edges, some questions only name the convention, or do not state it."
        ),
    ] = ",".join(STATEMENTS),
    option_forms: Annotated[
        str,
        typer.Option(
            help="Comma-separated; besides listed, some questions shift their options, or are asked as yes/no."
        ),
    ] = ",".join(OPTION_FORMS),
    slices_per_volume: Annotated[int, typer.Option(help="Slices per volume, over all planes.")] = 2,
    questions_per_volume: Annotated[
        str, typer.Option(help="At most this many questions about a volume's slices, or 'all'; controls come on top.")
    ] = "30",
    stacks_per_volume: Annotated[int, typer.Option(help="Stacks per volume, over all planes.")] = 1,
    stack_size: Annotated[int, typer.Option(help="Images per stack.")] = 8,
    stack_questions_per_volume: Annotated[
        str, typer.Option(help="At most this many questions about a volume's stacks, or 'all'.")
    ] = "24",
    locate_questions_per_volume: Annotated[
        str, typer.Option(help="At most this many questions for a point or box per volume, or 'all'.")
    ] = "16",
    measure_questions_per_volume: Annotated[
        str, typer.Option(help="At most this many questions for a measurement per volume, or 'all'.")
    ] = "12",
    ct_share: Annotated[
        float | None,
        typer.Option(help="Share of questions about CT; volumes of the more frequent modality get fewer questions."),
    ] = None,
    preset: Annotated[
        str | None,
        typer.Option(help="'paper': the published mixture of questions. Options given with it override it."),
    ] = None,
    size: Annotated[
        Size | None,
        typer.Option(
            help="'small': 8 questions of each cell, about at most 24 volumes of each modality, for an answer within "
            "minutes; 'paper': as --preset paper; 'full': two slices and a stack along each plane, all kinds of "
            "answers. Options given with it override it."
        ),
    ] = None,
    volumes_per_modality: Annotated[
        int | None, typer.Option(help="So many volumes of each modality, randomly chosen.", show_default="all")
    ] = None,
    questions_per_cell: Annotated[
        int | None,
        typer.Option(
            help="So many questions of each cell (modality, plane, terminology, prompt), pairs kept whole.",
            show_default="all",
        ),
    ] = None,
    image_size: Annotated[int, typer.Option(help="Image width and height in pixels.")] = 512,
    vocabulary: Annotated[Path | None, typer.Option(help="YAML file with additional structures.")] = None,
    ignore_labels: Annotated[
        str, typer.Option(help="Comma-separated names of labels to ignore; their voxels count as background.")
    ] = "",
    channel: Annotated[
        str | None, typer.Option(help="Number or name of the channel to read, for images with several.")
    ] = None,
    modality: Annotated[
        Modality | None, typer.Option(help="Modality of the images, if neither headers nor names give it.")
    ] = None,
    keep_names: Annotated[
        bool,
        typer.Option(
            "--keep-names", help="Keep the original names (of patients!) of private scans instead of pseudonyms."
        ),
    ] = False,
    split: Annotated[
        Split,
        typer.Option(help="'test': the benchmark; 'train': training data, disjoint by subject from the test split."),
    ] = TEST,
    held_out: Annotated[
        list[Path],
        typer.Option(help="Data set whose subjects are left out of this one; repeatable.", show_default=False),
    ] = [],  # noqa: B006 - typer reads it, nothing changes it
    exclude: Annotated[
        list[Path],
        typer.Option(
            help="List of facts to leave out with all questions about them: flagged.json of mis-ground report, or one "
            "fact_id per line; repeatable.",
            show_default=False,
        ),
    ] = [],  # noqa: B006 - typer reads it, nothing changes it
    num_proc: Annotated[int, typer.Option(help="Number of worker processes; the result does not depend on it.")] = 1,
    engine: Annotated[
        EngineName, typer.Option(help="'processes' on this machine, or 'dask' for the workers of a Dask cluster.")
    ] = "processes",
    scheduler: Annotated[
        str | None,
        typer.Option(
            help="Address of the Dask scheduler, such as tcp://HOST:8786; without it, --num-proc "
            "workers start on this machine."
        ),
    ] = None,
    verify_content: Annotated[
        bool,
        typer.Option(
            "--verify-content", help="Detect changed input files by content, not only by size and modification time."
        ),
    ] = False,
    trust_affine: Annotated[
        bool, typer.Option("--trust-affine", help="Accept affines and sizes that look made up by software.")
    ] = False,
    trust_values: Annotated[
        bool,
        typer.Option("--trust-values", help="Accept values that do not look like Hounsfield units, or like MR."),
    ] = False,
    trust_labels: Annotated[
        bool, typer.Option("--trust-labels", help="Accept labels that seem flipped or shifted relative to their image.")
    ] = False,
    trust_orientation: Annotated[
        bool, typer.Option("--trust-orientation", help="Accept unusual anatomy, such as situs inversus.")
    ] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Stop at the first case that cannot be used.")] = False,
) -> None:
    """Build the benchmark from labelled volumes: Parquet files and a card that load_dataset reads.

    A case that cannot be used is listed in quarantine.jsonl with its reason and remedy. An interrupted build resumes
    when the same command is given again.
    """
    from dataclasses import replace

    from dataset_builder.building.exclusions import read_exclusions
    from dataset_builder.cli.replicates import replicates_of
    from dataset_builder.core.presets import with_preset, with_size
    from dataset_builder.core.settings import Settings
    from dataset_builder.files.object_storage import place_of_store
    from dataset_builder.sources import check_channel, open_source
    from dataset_builder.sources.base import remarks_of
    from dataset_builder.vocabulary import normalise

    options: dict[str, Any] = {
        "seed": seed,
        "planes": listed(planes),
        "prompts": listed(prompts),
        "terminologies": listed(terminologies),
        "registers": listed(registers),
        "conventions": listed(conventions),
        "slices_per_volume": slices_per_volume,
        "inputs": listed(inputs),
        "answer_types": listed(answer_types),
        "views": listed(views),
        "statements": listed(statements),
        "option_forms": listed(option_forms),
        "questions_per_volume": number_or_all("questions-per-volume", questions_per_volume),
        "stacks_per_volume": stacks_per_volume,
        "stack_size": stack_size,
        "stack_questions_per_volume": number_or_all("stack-questions-per-volume", stack_questions_per_volume),
        "locate_questions_per_volume": number_or_all("locate-questions-per-volume", locate_questions_per_volume),
        "measure_questions_per_volume": number_or_all("measure-questions-per-volume", measure_questions_per_volume),
        "volumes_per_modality": volumes_per_modality,
        "questions_per_cell": questions_per_cell,
        "ct_share": ct_share,
        "image_size": image_size,
    }
    sources_of_options = {name: context.get_parameter_source(name) for name in options}
    given = {name for name, origin in sources_of_options.items() if origin is not None and origin.name != "DEFAULT"}
    vouched = {"affine": trust_affine, "values": trust_values, "labels": trust_labels, "orientation": trust_orientation}
    options["exclude"] = tuple(sorted({fact for path in exclude for fact in read_exclusions(path)}))
    options["trust"] = tuple(name for name, said in vouched.items() if said)
    if size and preset and size != preset:
        raise MISGroundError(
            "--size and --preset contradict each other.", value=f"{size}, {preset}", remedy="Give one."
        )
    settings = Settings(**with_size(size, with_preset(preset, options, given), given))
    out = out or Path(("mis-ground" if split == TEST else f"mis-ground-{split}") + ("-seeds" if seeds else ""))
    of_sources: dict[str, Any] = {"ignore_labels": listed(ignore_labels), "channel": channel, "modality": modality}
    source = [plain_source(spec) for spec in source]
    sources = [open_source(spec, vocabulary, split, keep_names, **of_sources) for spec in source]
    check_channel(sources, channel)
    for one in sources:
        for remark in remarks_of(one):
            errors.print(f"{one.name}: {escape(remark)}", soft_wrap=True)
    with _engine(engine, scheduler, num_proc, sources) as running, progress_bars() as progress:
        from dataset_builder.building.builder import build  # takes seconds, in which the workers get ready, too

        kept = None if store is None else place_of_store(store)
        summaries = [
            build(
                sources,
                one.out,
                replace(settings, seed=one.seed),
                store=one.store,
                engine=running,
                strict=strict,
                vocabulary=vocabulary,
                split=split,
                held_out=held_out,
                progress=progress,
                verify_content=verify_content,
            )
            for one in replicates_of(out, settings.seed, seeds, kept)
        ]
    for summary in summaries:
        print_summary(summary)
        for name in listed(ignore_labels):
            if store is None and normalise(name) not in summary.labels_left_out:
                said = f"no scan has a label called {escape(name)} (--ignore-labels)"
                errors.print(f"[yellow]Odd:[/] {said}", soft_wrap=True)
        show_short_cells(summary, settings.questions_per_cell)
    if seeds is not None:
        console.print(
            f"Evaluate a model on each of the {seeds}, and give all runs to one report:  mis-ground report RUN RUN ...",
            soft_wrap=True,
        )
    out = summaries[0].out
    console.print(f"View examples:  mis-ground gallery {out} --out gallery.html", soft_wrap=True)
    if split != TEST:
        console.print(f'Train on it:  datasets.load_dataset("{out}", split="{split}")', soft_wrap=True)
        return
    console.print(
        f"Score a model:  mis-ground eval {shlex.quote(str(out))} --model hf-multimodal --model_args pretrained=MODEL "
        "--apply_chat_template --tasks 'mis_ground_*'",
        soft_wrap=True,
    )
