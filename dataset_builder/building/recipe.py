"""Recipes: a data set without its images, for scans that may not be redistributed, and the data set rebuilt from one.

A recipe has every row with all its columns but the images, whose sha256 stand in their place, and the settings of the
build. A build is a function of volumes, settings and seed: whoever has the scans makes the same rows and images, and
every one of them is checked against the recipe.
"""

import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.parquet as pq

from dataset_builder.building.builder import BuildSummary, build
from dataset_builder.core.errors import BuildError, DatasetNotFoundError
from dataset_builder.dataset.card import CARD_NAME, make_card
from dataset_builder.dataset.croissant import CROISSANT_NAME, croissant_text
from dataset_builder.dataset.manifest import (
    QUARANTINE_NAME,
    RECORD_NAME,
    BuildNote,
    Record,
    is_slices,
    read_record,
    record_to_text,
    settings_of,
)
from dataset_builder.dataset.parquet import writer_options
from dataset_builder.dataset.summary import content_version, file_hashes, note_split
from dataset_builder.files.hub_errors import in_plain_words
from dataset_builder.files.own_files import foreign_files, free_name, remove_own_files
from dataset_builder.files.paths import PathLike
from dataset_builder.files.progress import Progress, silent
from dataset_builder.imaging.volume import Volume
from dataset_builder.sources import open_source
from dataset_builder.sources.base import Case, Source, SourceOf

IMAGES, HASHES = "images", "image_sha256"


def write_recipe(folder: PathLike, out: PathLike) -> Path:
    """The recipe of a data set folder, as a folder that can be pushed.

    Args:
        folder: as a build makes it.
        out: is made; must not be there.
    """
    folder, out = Path(folder), Path(out)
    record = read_record(folder)
    out.mkdir(parents=True)
    builds = []
    for one in record.builds:
        splits = {}
        for key, note in one.splits.items():
            if is_slices(key):
                continue  # images too
            for file in note.files:
                _without_images(folder / file, out / file)
            splits[key] = note_split(out, note.files)
        if not splits:
            continue
        features = {"rows": _features(out / next(iter(splits.values())).files[0])}
        builds.append(replace(one, splits=splits, features=features, examples=(), pictures=False))
    if (folder / QUARANTINE_NAME).is_file():
        shutil.copyfile(folder / QUARANTINE_NAME, out / QUARANTINE_NAME)
    hashes = file_hashes(out)
    made = Record(tuple(builds), content_version(hashes))
    (out / RECORD_NAME).write_text(record_to_text(made), encoding="utf-8")
    (out / CROISSANT_NAME).write_text(croissant_text(made, hashes), encoding="utf-8")
    (out / CARD_NAME).write_text(make_card(made), encoding="utf-8")
    return out


def _features(path: Path) -> dict[str, Any]:
    return datasets.Features.from_arrow_schema(pq.read_schema(path)).to_dict()


def _without_images(path: Path, target: Path) -> None:
    """Write a file's rows with the sha256 of each image in its place."""
    source = pq.ParquetFile(path)
    features = datasets.Features.from_arrow_schema(source.schema_arrow)
    columns = [HASHES if name == IMAGES else name for name in features]
    kept = {name: kind for name, kind in features.items() if name != IMAGES}
    listed = datasets.List(datasets.Value("string"))
    schema = datasets.Features({name: listed if name == HASHES else kept[name] for name in columns}).arrow_schema
    target.parent.mkdir(parents=True, exist_ok=True)
    with pq.ParquetWriter(target, schema, **writer_options(schema)) as writer:
        for group in range(source.num_row_groups):
            table = source.read_row_group(group)
            writer.write_table(_hashed(table).select(columns).cast(schema))


def _hashed(table: pa.Table) -> pa.Table:
    known: dict[bytes, str] = {}
    hashes = []
    for images in table[IMAGES].to_pylist():
        row = []
        for image in images:
            content = image["bytes"]
            if content not in known:
                known[content] = hashlib.sha256(content).hexdigest()
            row.append(known[content])
        hashes.append(row)
    return table.drop_columns([IMAGES]).append_column(HASHES, pa.array(hashes, pa.list_(pa.string())))


# -------------------------------------------------------------------------------------------------------- making again


@dataclass(frozen=True)
class _OnlySubjects(SourceOf):
    """A source with some of its subjects."""

    subjects: frozenset[str]

    def cases(self) -> Iterable[Case]:
        return (case for case in self.source.cases() if case.subject in self.subjects)

    def read(self, case: Case) -> Volume:
        return self.source.read(case)


def rebuild(
    place: PathLike,
    sources: Sequence[PathLike],
    out: PathLike,
    *,
    revision: str | None = None,
    num_proc: int = 1,
    progress: Progress = silent,
) -> BuildSummary:
    """Make the data set of a recipe from one's own copy of its scans.

    Args:
        place: the recipe: a folder, or ``user/name`` on the Hub.
        sources: where the scans are, as ``--source`` takes it.
        out: the data set folder to make; must not be there.
        revision: of a recipe on the Hub.
        num_proc: worker processes.
        progress: called after every volume.

    Raises:
        DatasetNotFoundError: if the place holds no record.
        BuildError: if it is not a recipe, scans are missing, or what comes out is not what the recipe says.
        HubError: if the Hub cannot be read.
    """
    place, out = os.fspath(place), Path(out)
    if out.exists():
        raise BuildError("The folder already exists.", file=out, remedy="Choose another --out.")
    with tempfile.TemporaryDirectory(prefix="mis-ground-recipe-") as work:
        folder = Path(place) if Path(place).is_dir() else _fetch_recipe(place, revision, Path(work) / "recipe")
        record = read_record(folder)
        note = _recipe_of(record, place)
        wanted = _subjects(folder, record)
        vocabulary = None
        if note.vocabulary:
            vocabulary = Path(work) / "vocabulary.yaml"
            vocabulary.write_text(note.vocabulary, encoding="utf-8")
        chosen = [_restricted(open_source(spec, vocabulary), wanted) for spec in sources]
        _check_scans(chosen, wanted)
        made = out.with_name(f".{out.name}.rebuilt")  # of an earlier one that was stopped; build looks at what it is
        settings = settings_of(note)
        summary = build(chosen, made, settings, num_proc=num_proc, vocabulary=vocabulary, progress=progress)
        differences = list(islice(_differences(folder, made, record), 4))
        if differences:
            kept = out.with_name(f"{out.name}-different")
            if kept.exists() and next(foreign_files(kept), None) is None:
                remove_own_files(kept)
            kept = free_name(kept)
            made.rename(kept)
            raise BuildError(
                "The result differs from the recipe; it is kept beside the output folder.",
                file=kept,
                value="; ".join(differences[:3]) + ("; ..." if len(differences) > 3 else ""),
                remedy=f"Check that the scans are from the same release, and use MIS-Ground {note.package} with the "
                "package versions of its constraints.txt.",
            )
        made.rename(out)
    return replace(summary, out=out)


def _fetch_recipe(place: str, revision: str | None, folder: Path) -> Path:
    from huggingface_hub import snapshot_download

    if not re.fullmatch(r"[\w.-]+/[\w.-]+", place):
        raise DatasetNotFoundError(
            "This folder does not exist, and it is not the name of a repository.", file=place, remedy="Check the path."
        )
    with in_plain_words(place):
        patterns = [RECORD_NAME, "*.parquet"]
        snapshot_download(place, repo_type="dataset", revision=revision, local_dir=folder, allow_patterns=patterns)
    return folder


def _recipe_of(record: Record, place: str) -> BuildNote:
    if any(build.pictures for build in record.builds):
        raise BuildError("This is not a recipe: it has its images.", file=place, remedy="load_dataset reads it.")
    if len(record.builds) != 1:
        raise BuildError(
            "The recipe has several builds, which have to be made one by one.",
            value=len(record.builds),
            remedy="Ask its owner to push each as a separate recipe, or use a --revision with one.",
        )
    return record.builds[0]


def _subjects(folder: Path, record: Record) -> dict[str, set[str]]:
    """The subjects that the rows are about, by source."""
    found: dict[str, set[str]] = {}
    for note in record.questions.values():
        for file in note.files:
            for row in pq.read_table(folder / file, columns=["source", "subject"]).to_pylist():
                found.setdefault(row["source"], set()).add(row["subject"])
    return found


def _restricted(source: Source, wanted: Mapping[str, set[str]]) -> _OnlySubjects:
    return _OnlySubjects(source, frozenset(wanted.get(source.name, set())))


def _check_scans(sources: Sequence[_OnlySubjects], wanted: Mapping[str, set[str]]) -> None:
    here: dict[str, set[str]] = {}
    for source in sources:
        here.setdefault(source.name, set()).update(case.subject for case in source.cases())
    for name, subjects in wanted.items():
        missing = sorted(subjects - here.get(name, set()))
        if missing:
            raise BuildError(
                f"The recipe needs {len(subjects)} scans of the source '{name}', and {len(missing)} are not here.",
                value=", ".join(missing[:5]) + (", ..." if len(missing) > 5 else ""),
                remedy=f"Give their folder: --source {name}:DIR.",
            )


def _differences(recipe: Path, made: Path, record: Record) -> Iterator[str]:
    """What differs between a recipe and the data set made of it, row by row."""
    splits = read_record(made).splits
    for key, note in record.questions.items():
        name = "/".join(key)
        if key not in splits:
            yield f"{name} is missing"
            continue
        expected = pa.concat_tables(pq.read_table(recipe / file) for file in note.files)
        tables = (pq.read_table(made / file) for file in splits[key].files)
        found = pa.concat_tables(_hashed(table) for table in tables).select(expected.column_names)
        if found.cast(expected.schema).equals(expected):
            continue
        if found["id"].to_pylist() != expected["id"].to_pylist():
            yield f"{name} has other questions"
            continue
        for column in expected.column_names:
            pairs = zip(
                found[column].to_pylist(), expected[column].to_pylist(), expected["id"].to_pylist(), strict=True
            )
            odd = [identifier for one, other, identifier in pairs if one != other]
            if odd:
                yield f"{name}: {column} of {len(odd)} row(s), such as {odd[0]}"
    for key in splits:
        if not is_slices(key) and key not in record.splits:
            yield f"{'/'.join(key)} is not in the recipe"
