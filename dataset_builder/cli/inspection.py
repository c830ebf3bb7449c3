"""``mis-ground inspect`` and ``mis-ground vocabulary``: what would be read, and what structures are called."""

import dataclasses
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from dataset_builder.cli.build import listed, plain_source
from dataset_builder.cli.terminal import console, errors, progress_bars
from dataset_builder.core.errors import LabelsNotInVocabularyError
from dataset_builder.core.factors import Modality

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dataset_builder.core.settings import Trust
    from dataset_builder.sources.base import LeftOut, Source
    from dataset_builder.sources.inspection import Inspection
    from dataset_builder.vocabulary import Structure

VocabularyOption = Annotated[Path | None, typer.Option("--vocabulary", help="YAML file with additional structures.")]


def inspect_command(
    place: Annotated[str, typer.Argument(metavar="DIR", help="A folder, or a source as --source takes it: NAME:DIR.")],
    vocabulary: VocabularyOption = None,
    ignore_labels: Annotated[str, typer.Option(help="Comma-separated names of labels to leave out.")] = "",
    channel: Annotated[str | None, typer.Option(help="Number or name of the channel to read.")] = None,
    modality: Annotated[Modality | None, typer.Option(help="Modality of the images, if nothing else gives it.")] = None,
    keep_names: Annotated[bool, typer.Option("--keep-names", help="Show the names of private scans.")] = False,
    trust: Annotated[
        str, typer.Option(help="Comma-separated, what not to check: affine, values, labels, orientation.")
    ] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
) -> None:
    """Show what a build would read: cases, geometry, labels and their structures, and what is wrong with which case.

    Nothing is written. The exit status is 1 if no case can be used.
    """
    from dataset_builder.sources import KNOWN, check_channel
    from dataset_builder.sources.base import remarks_of
    from dataset_builder.sources.inspection import inspect_source
    from dataset_builder.vocabulary import structures

    names = {known.partition(":")[0].partition("[")[0] for known in KNOWN}
    name, colon, _ = place.partition(":")
    is_source = name in names and (bool(colon) or (f"{name}:DIR" not in KNOWN and not Path(place).exists()))
    spec = plain_source(place if is_source else f"auto:{place}")
    options = {"vocabulary": vocabulary, "keep_names": keep_names, "channel": channel, "modality": modality}
    source, unknown = _opened(spec, listed(ignore_labels), options)
    check_channel([source], channel)
    for remark in remarks_of(source):
        errors.print(remark, soft_wrap=True, markup=False)
    with progress_bars() as progress:
        found = inspect_source(source, dict(structures(vocabulary)), unknown, progress, _trusted(trust))
    if as_json:
        print(json.dumps(dataclasses.asdict(found), indent=1, ensure_ascii=False))
    else:
        _show(found, vocabulary)
    if not found.usable:
        sys.exit(1)


def _trusted(trust: str) -> "tuple[Trust, ...]":
    from dataset_builder.core.settings import Settings

    return Settings(trust=listed(trust)).trust  # which refuses all others


def _opened(spec: str, ignore: tuple[str, ...], options: dict) -> "tuple[Source, tuple[str, ...]]":
    """The source, and the labels that the vocabulary lacks: they are left out, so that the rest can be looked at."""
    from dataset_builder.sources import open_source

    unknown: tuple[str, ...] = ()
    while True:
        try:
            source = open_source(spec, ignore_labels=(*ignore, *unknown), **options)
            list(source.cases())
            return source, unknown
        except LabelsNotInVocabularyError as error:
            if set(error.labels) <= set(unknown):
                raise
            unknown += error.labels


def _show(found: "Inspection", vocabulary: Path | None) -> None:
    from dataset_builder.files.own_files import some_of
    from dataset_builder.sources.named_labels import suggestions
    from dataset_builder.vocabulary import structures

    labels = Table(title="Labels")
    for column in ("label", "structure", "", "side", "kind"):
        labels.add_column(column)
    words = structures(vocabulary)
    for label in found.labels:
        near = ", ".join(suggestions(label.label, words)) if label.how == "unknown" else ""
        structure = label.structure or (f"perhaps {near}" if near else "")
        labels.add_row(label.label, structure, label.how, label.side, label.kind)
    console.print(labels)
    cases = Table(title=f"Source {found.source}: {found.usable} of {len(found.cases)} cases can be used")
    for column in ("case", "", "voxels", "mm", "stored", "oblique", "structures"):
        cases.add_column(column)
    for case in found.cases:
        shape = " x ".join(map(str, case.shape))
        steps = " x ".join(f"{step:g}" for step in case.spacing_mm)
        what = case.problem or f"{len(case.structures)}"
        oblique = f"{case.oblique_degrees:g}°" if case.shape else ""
        cases.add_row(case.subject, case.modality, shape, steps, case.stored_axes, oblique, what)
    console.print(cases)
    for case in found.cases:
        if case.problem:
            said = f"{case.subject}: {case.problem} [{case.found}] {case.remedy}"
            errors.print(said, soft_wrap=True, markup=False, highlight=False)
        for remark in case.remarks:
            errors.print(f"{case.subject}: {remark}", soft_wrap=True, markup=False, highlight=False)
    left_out: dict[tuple[str, str], list[LeftOut]] = {}
    for left in found.left_out:
        left_out.setdefault((left.reason, left.remedy), []).append(left)
    for (reason, remedy), files in left_out.items():
        total = sum(left.count for left in files)
        count = f"{total} x " if total > 1 else ""
        named = some_of((left.file for left in files if left.file), 10)
        errors.print(f"Not read: {count}{named} {reason} {remedy}", soft_wrap=True, markup=False)


def _with_word(wanted: str, words: "Iterable[Structure]") -> "list[Structure]":
    """The structures that have a text in one of their names, those first that have it in their own name."""
    from dataset_builder.vocabulary import is_part_of_name, names_in_other_languages, normalise, without_accents

    found = []
    for structure in words:
        texts = [normalise(text) for text in (structure.clinical, structure.lay, *structure.aliases)]
        foreign = [without_accents(name) for said in names_in_other_languages(structure.name).values() for name in said]
        if any(wanted in text for text in (normalise(structure.name), *texts)) or any(
            is_part_of_name(without_accents(wanted), text) for text in foreign
        ):
            found.append(structure)
    return sorted(found, key=lambda structure: wanted not in normalise(structure.name))


def vocabulary_command(
    word: Annotated[str | None, typer.Argument(help="Part of a name; without it, all structures are listed.")] = None,
    vocabulary: VocabularyOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """List the structures that labels can be named after, or search them; an unknown word gets its near misses."""
    from dataset_builder.sources.named_labels import suggestions
    from dataset_builder.vocabulary import find, names_in_other_languages, normalise, structures

    words = structures(vocabulary)
    chosen = list(words.values())
    if word is not None:
        chosen = _with_word(normalise(word), words.values())
        exact = find(word, words)
        if exact is not None:
            chosen = [exact, *(structure for structure in chosen if structure is not exact)]
        near = [words[name] for name in suggestions(word, words, most=8)]
        if chosen and not any(normalise(word) in normalise(structure.name) for structure in chosen):
            chosen = [*near, *(structure for structure in chosen if structure not in near)]  # lungs: the lungs first
        if not chosen:
            chosen = near
            errors.print(f"No structure is called '{word}'." + (" Near it:" if chosen else ""), markup=False)
    if as_json:
        rows = [
            {key: value for key, value in dataclasses.asdict(one).items() if value}
            | {"other_languages": names_in_other_languages(one.name)}
            for one in chosen
        ]
        print(json.dumps(rows, indent=1, ensure_ascii=False))
    elif chosen:
        table = Table()
        for column in ("name", "clinical", "lay", "side", "region", "also called"):
            table.add_column(column)
        for one in chosen:
            where = one.region or one.kind
            foreign = [f"{', '.join(said)} ({key})" for key, said in names_in_other_languages(one.name).items()]
            also = ", ".join([*one.aliases, *foreign])
            table.add_row(one.name, one.clinical, one.lay, one.side or "", where, also)
        console.print(table)
    if word is not None and not chosen:
        sys.exit(1)
