"""From sources to a data set on disk: ``build`` for the command line, ``MISGround`` as a ``datasets`` builder.

Both make rows with :func:`dataset_builder.rows.volume_rows`. ``build`` works volume by volume in as many processes as
asked and puts the parts together in a fixed order, so that the bytes do not depend on how many there were.

Layout of the data set (``load_dataset`` and the Hub read it as it stands)::

    README.md                                    the card, whose `configs:` name the files below
    data/<modality>_<plane>/<terminology>_<prompt>.parquet
    data/stack/test.parquet                      relations across slices
    data/blank/test.parquet                      controls: the markers on an empty canvas
    data/view/test.parquet                       controls: the picture mirrored or turned
    slices/test.parquet                          the slice store
    quarantine.jsonl                             the cases that could not be used, and why

A training split is a data set of its own, with ``train`` in place of ``test``; no subject is in both.
"""

import json
import os
import shutil
import tempfile
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from functools import partial
from itertools import groupby, pairwise, product
from operator import itemgetter
from pathlib import Path
from typing import Any, TypeVar

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
from filelock import FileLock, Timeout

from dataset_builder.card import write_card
from dataset_builder.engines import Engine, Processes
from dataset_builder.errors import BuildError, CaseError, naming
from dataset_builder.factors import (
    INPUT_CONFIGS,
    MODALITIES,
    PLANES,
    PROMPTS,
    TERMINOLOGIES,
    TEST,
    Split,
    cell_of,
    config_name,
    split_name,
)
from dataset_builder.mixture import settings_of_volumes
from dataset_builder.parquet import open_writer
from dataset_builder.record import SLICES
from dataset_builder.rows import ROW_SCHEMA, VERSION
from dataset_builder.settings import Settings, digest
from dataset_builder.slices import SLICE_SCHEMA, read_slices
from dataset_builder.sources.base import Case, Source
from dataset_builder.sources.storage import is_remote
from dataset_builder.split import Apart, split_of_dataset, subjects_apart
from dataset_builder.store import StoredVolume, volume_notes, volumes_in, write_atomically
from dataset_builder.worker import Quarantined, lost_case, store_case, write_part

FEATURES = datasets.Features.from_arrow_schema(ROW_SCHEMA)
SLICE_FEATURES = datasets.Features.from_arrow_schema(SLICE_SCHEMA)
"""Features of a row, and of a slice, as ``load_dataset`` shows them."""

CELL_COLUMNS = ("modality", "plane", "terminology", "prompt", "input", "view")
"""The columns that decide a row's config and split."""

ROW_GROUP_ROWS, ROW_GROUP_BYTES = 1000, 128 << 20
"""A row group is closed at whichever comes first: the Hub's viewer and streaming read whole groups."""

Progress = Callable[[str, int, int], None]
"""Called as ``progress(stage, done, total)``."""

T = TypeVar("T")
R = TypeVar("R")


def _silent(stage: str, done: int, total: int) -> None:
    pass


@dataclass(frozen=True)
class BuildSummary:
    """What a build made."""

    out: Path
    volumes: int
    slices: int
    rows: dict[tuple[str, str], int]  # (config, split) -> rows
    quarantined: list[Quarantined]
    data_bytes: int

    @property
    def total_rows(self) -> int:
        """Rows over all cells."""
        return sum(self.rows.values())


def build(
    sources: Sequence[Source],
    out: Path,
    settings: Settings | None = None,
    *,
    store: Path | None = None,
    num_proc: int = 1,
    strict: bool = False,
    vocabulary: Path | None = None,
    split: Split = TEST,
    held_out: Sequence[Path] = (),
    progress: Progress = _silent,
    engine: Engine | None = None,
    verify_content: bool = False,
) -> BuildSummary:
    """Build a data set folder from sources, or from a slice store alone.

    Work goes on in a hidden folder beside ``out`` that takes its place when all is done; a build that was stopped
    goes on from there. An older data set in ``out`` stays until that moment.

    Args:
        sources: where volumes come from; empty to use all that ``store`` holds.
        out: the data set folder to make or replace.
        settings: what to ask.
        store: a folder that keeps the slices for later builds, here or in object storage
            (:func:`dataset_builder.sources.storage.place_of_store`).
        num_proc: worker processes; the result does not depend on it.
        strict: stop at the first case that cannot be used instead of putting it into quarantine.
        vocabulary: a YAML file with structures of the user's own.
        split: what the data set is for.
        held_out: data sets whose subjects must not be in this one; what is left out is put into quarantine.
        progress: told of every volume.
        engine: where the work is done, if not in ``num_proc`` processes on this machine.
        verify_content: tell by their content, not by size and time alone, whether input files are as they were.

    Raises:
        BuildError: if the build cannot start, or nothing can be asked of what is there.
        CaseError: the first one, if ``strict``.
    """
    settings = settings or Settings()
    processes = Processes(num_proc)
    if not sources and store is None:
        raise BuildError("Nothing to build from.", remedy="Give --source NAME[:DIR], or --store DIR with slices in it.")
    out = out.absolute()
    _check_target(out, split)
    refuse = subjects_apart(split, held_out, [source.name for source in sources])
    work = out.parent / f".{out.name}.partial"
    with ExitStack() as held:
        held.callback(processes.close)
        engine = engine or processes
        held.enter_context(_only_build(out))
        if store and not is_remote(store):
            store = store.absolute()
        if sources and store and not is_remote(store):  # in object storage nothing can be locked
            store.parent.mkdir(parents=True, exist_ok=True)
            held.enter_context(_only_build(store))
        work.mkdir(parents=True, exist_ok=True)
        slices_folder = store or work / "store"
        quarantined: list[Quarantined] = []
        if sources:
            read = partial(
                store_case,
                settings=settings,
                store=slices_folder,
                vocabulary=vocabulary,
                strict=strict,
                verify_content=verify_content,
                refuse=refuse,
            )
            volumes = _fill_store(sources, read, engine, progress, quarantined, partial(lost_case, strict=strict))
        else:
            volumes = _usable(volumes_in(slices_folder), refuse, strict, quarantined)
        parts = work / "parts"
        shutil.rmtree(parts, ignore_errors=True)
        parts.mkdir()
        make = partial(write_part, vocabulary=vocabulary, folder=parts)
        made = list(_each(make, list(_to_ask(volumes, settings)), engine, "questions", progress))
        if not any(made):
            raise BuildError(
                "No question could be asked of these volumes.",
                value=f"{len(volumes)} usable volumes, {len(quarantined)} in quarantine"
                + "".join(f"; {case.subject}: {case.problem}" for case in quarantined[:3]),
                remedy="Look at the reasons; check the labels and the settings (planes, prompts).",
            )
        target = work / "dataset"
        shutil.rmtree(target, ignore_errors=True)
        rows, names = _merge([path for path in made if path], target / "data", split, progress)
        slices = _merge_slices(volumes, target / SLICES / f"{split}.parquet")
        lines = [json.dumps(asdict(case), ensure_ascii=False) + "\n" for case in quarantined]
        write_atomically(target / "quarantine.jsonl", "".join(lines))
        own = vocabulary.read_text(encoding="utf-8") if vocabulary else ""
        with naming(target):
            write_card(target, settings, rows, slices, volume_notes(volumes), names, len(quarantined), own, split)
        size = sum(file.stat().st_size for file in target.rglob("*.parquet"))
        _put_in_place(target, out)
        shutil.rmtree(work, ignore_errors=True)
    return BuildSummary(out, len(volumes), slices, rows, quarantined, size)


def _check_target(out: Path, split: Split) -> None:
    if not out.exists() and _moved_aside(out).exists():
        _moved_aside(out).rename(out)  # power went between the two renames of an earlier build
    if out.exists() and not out.is_dir():
        raise BuildError("The output is a file; it must be a folder.", file=out)
    if out.is_dir() and any(out.iterdir()) and not _is_dataset(out):
        raise BuildError(
            "The output folder holds something that is not a MIS-Ground data set; it is left as it is.",
            file=out,
            remedy="Choose another --out.",
        )
    found = split_of_dataset(out)
    if found not in (None, split):
        raise BuildError(
            f"The output folder holds a data set of the split '{found}'; one of '{split}' does not take its place.",
            file=out,
            remedy="Choose another --out.",
        )
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BuildError("The output folder cannot be made.", file=out, value=error.strerror) from error
    if not os.access(out.parent, os.W_OK):
        raise BuildError("The output folder cannot be written.", file=out.parent, remedy="Choose another --out.")


def _is_dataset(folder: Path) -> bool:
    card = folder / "README.md"
    return card.is_file() and "mis-ground" in card.read_text(encoding="utf-8")[:4000].lower()


class _only_build(FileLock):  # noqa: N801 - used as a context manager
    """Refuses a second build into the same folder at the same time."""

    def __init__(self, out: Path) -> None:
        super().__init__(out.parent / f".{out.name}.lock", timeout=0)
        self._out = out

    def __enter__(self) -> "_only_build":
        try:
            super().__enter__()
        except Timeout as error:
            raise BuildError(
                "Another build into this folder is running.",
                file=self._out,
                remedy="Wait for it, or choose another --out.",
            ) from error
        return self


def _moved_aside(out: Path) -> Path:
    return out.parent / f".{out.name}.old"


def _put_in_place(target: Path, out: Path) -> None:
    """Rename the finished folder to its name; the old one is moved aside first and deleted last."""
    old = _moved_aside(out)
    shutil.rmtree(old, ignore_errors=True)
    if out.exists():
        out.rename(old)
    target.rename(out)
    shutil.rmtree(old, ignore_errors=True)


def _each(
    function: Callable[[T], R],
    items: Sequence[T],
    engine: Engine,
    stage: str,
    progress: Progress,
    lost: Callable[[T], R] | None = None,
) -> Iterator[R]:
    """Results of a function in the order of the items."""
    progress(stage, 0, len(items))
    for done, result in enumerate(engine.each(function, items, lost), 1):
        yield result
        progress(stage, done, len(items))


def _fill_store(
    sources: Sequence[Source],
    read: Callable[[tuple[Source, Case]], "StoredVolume | Quarantined"],
    engine: Engine,
    progress: Progress,
    quarantined: list[Quarantined],
    lost: Callable[[tuple[Source, Case]], Quarantined],
) -> list[StoredVolume]:
    """Cut every case of every source into the store; cases that cannot be used are added to ``quarantined``."""
    cases = [(source, case) for source in sources for case in source.cases()]
    cases.sort(key=lambda item: (item[1].source, item[1].subject))
    for (_, one), (_, case) in pairwise(cases):
        if (one.source, one.subject) == (case.source, case.subject):
            raise BuildError(
                "Two cases have the same source and subject.",
                value=f"{case.source}/{case.subject}",
                remedy="Give each folder once; rename a case that two folders share.",
            )
    volumes = []
    for result in _each(read, cases, engine, "volumes", progress, lost):
        if isinstance(result, Quarantined):
            quarantined.append(result)
        else:
            volumes.append(result)
    return volumes


def _usable(
    volumes: Iterable[StoredVolume], refuse: Apart, strict: bool, quarantined: list[Quarantined]
) -> list[StoredVolume]:
    """The volumes of a store that may be in this split; the others are added to ``quarantined``."""
    usable = []
    for volume in volumes:
        try:
            refuse(volume.source, volume.subject)
            usable.append(volume)
        except CaseError as error:
            if strict:
                raise
            quarantined.append(Quarantined.of(Case(volume.source, volume.subject, volume.modality, ""), error))
    return usable


def _to_ask(volumes: Sequence[StoredVolume], settings: Settings) -> Iterator[tuple[int, StoredVolume, Settings]]:
    """Number, volume and its own settings of every volume that is asked about."""
    if settings.ct_share is None:
        own: list[Settings | None] = [settings] * len(volumes)
    else:
        own = settings_of_volumes([(volume.identity, volume.modality) for volume in volumes], settings)
    for number, (volume, of_volume) in enumerate(zip(volumes, own, strict=True)):
        if of_volume is not None:
            yield number, volume, of_volume


def cells(split: Split = TEST) -> Iterator[tuple[str, str]]:
    """Config and split of every cell of a data set of that split, in a fixed order."""
    for modality, plane, terminology, prompt in product(MODALITIES, PLANES, TERMINOLOGIES, PROMPTS):
        yield config_name(modality, plane), split_name(terminology, prompt)
    for config in INPUT_CONFIGS:
        yield config, split


class _CellWriter:
    """Writes one cell's Parquet file, gathering rows of many volumes into row groups."""

    def __init__(self, writer: pq.ParquetWriter) -> None:
        self._writer = writer
        self._waiting: list[pa.Table] = []

    def add(self, table: pa.Table) -> None:
        self._waiting.append(table)
        waiting_rows = sum(part.num_rows for part in self._waiting)
        if waiting_rows >= ROW_GROUP_ROWS or sum(part.nbytes for part in self._waiting) >= ROW_GROUP_BYTES:
            self.flush()

    def flush(self) -> None:
        if self._waiting:
            self._writer.write_table(pa.concat_tables(self._waiting), row_group_size=ROW_GROUP_ROWS)
            self._waiting = []


def _merge(
    parts: Sequence[Path], folder: Path, split: Split, progress: Progress
) -> tuple[dict[tuple[str, str], int], list[str]]:
    """Put the volumes' rows together, a file a cell; returns rows by (config, split) and the structures asked.

    Cell after cell, so that the pictures of one row group are all that is in memory.
    """
    names: set[str] = set()
    where: dict[tuple[str, str], tuple[array[int], array[int]]] = {}  # part and row, of every row of a cell
    for number, part in enumerate(parts):
        with pa.memory_map(str(part)) as file:
            table = pa.ipc.open_file(file).read_all()
            for row, factors in enumerate(table.select(CELL_COLUMNS).to_pylist()):
                of_cell = where.setdefault(cell_of(**factors, split=split), (array("I"), array("I")))
                of_cell[0].append(number)
                of_cell[1].append(row)
            names.update(name for asked in table["structures"].to_pylist() for name in asked)
    found = [cell for cell in cells(split) if cell in where]
    progress("data set", 0, len(found))
    for done, cell in enumerate(found, 1):
        with open_writer(folder / cell[0] / f"{cell[1]}.parquet", ROW_SCHEMA) as opened:
            writer = _CellWriter(opened)
            for number, pairs in groupby(zip(*where[cell], strict=True), key=itemgetter(0)):
                with pa.memory_map(str(parts[number])) as file:
                    writer.add(pa.ipc.open_file(file).read_all().take([row for _, row in pairs]))
            writer.flush()
        progress("data set", done, len(found))
    return {cell: len(where[cell][0]) for cell in found}, sorted(names)


def _merge_slices(volumes: Iterable[StoredVolume], path: Path) -> int:
    """The slices of all volumes as one file; returns their number."""
    count = 0
    with open_writer(path, SLICE_SCHEMA) as writer:
        for volume in volumes:
            table = read_slices(volume.path).cast(SLICE_SCHEMA)
            writer.write_table(table)
            count += table.num_rows
    return count


@dataclass
class MISGroundConfig(datasets.BuilderConfig):
    """A config of :class:`MISGround`: ``all``, one modality and plane, or ``slices``.

    Args:
        store: folder of the slice store (see :mod:`dataset_builder.store`).
        settings: what to ask.
        vocabulary: a YAML file with structures of the user's own.
    """

    store: str = ""
    settings: Settings = field(default_factory=Settings)
    vocabulary: str | None = None


class MISGround(datasets.GeneratorBasedBuilder):
    """The benchmark as a ``datasets`` builder over a slice store, for use as a class.

    >>> builder = MISGround("ct_axial", store="store")  # doctest: +SKIP
    >>> builder.download_and_prepare(file_format="parquet")  # doctest: +SKIP
    """

    VERSION = datasets.Version(VERSION)
    BUILDER_CONFIG_CLASS = MISGroundConfig
    BUILDER_CONFIGS = [  # noqa: RUF012 - a name that datasets prescribes
        MISGroundConfig(name=name, version=datasets.Version(VERSION))
        for name in ("all", *(config_name(m, p) for m in MODALITIES for p in PLANES), *INPUT_CONFIGS, "slices")
    ]
    DEFAULT_CONFIG_NAME = "all"
    config: MISGroundConfig

    def __init__(self, config_name: str | None = None, **kwargs: Any) -> None:
        if isinstance(kwargs.get("store"), Path):
            kwargs["store"] = str(kwargs["store"].absolute())
        if "hash" not in kwargs and kwargs.get("store"):
            # The cache of datasets must not outlive the store's contents.
            notes = (volume.path.with_suffix(".json").read_text() for volume in volumes_in(Path(kwargs["store"])))
            kwargs["hash"] = digest(*notes)
        super().__init__(config_name=config_name, **kwargs)

    def _info(self) -> datasets.DatasetInfo:
        features = SLICE_FEATURES if self.config.name == "slices" else FEATURES
        return datasets.DatasetInfo(description=__doc__ or "", features=features, license="see column licence")

    def _split_generators(self, dl_manager: Any) -> list[datasets.SplitGenerator]:
        if not self.config.store:
            raise BuildError(
                "MISGround needs a slice store.", remedy="Pass store=FOLDER (mis-ground build --store FOLDER)."
            )
        if self.config.name == "slices":
            files = [volume.path for volume in volumes_in(Path(self.config.store))]
            return [datasets.SplitGenerator(TEST, gen_kwargs={"files": files, "key": None})]
        made = self._make_files()
        if self.config.name == "all":
            return [datasets.SplitGenerator(TEST, gen_kwargs={"files": list(made.values()), "key": "id"})]
        return [datasets.SplitGenerator(split, gen_kwargs={"files": [made[split]], "key": "id"}) for split in made]

    def _make_files(self) -> dict[str, Path]:
        """Every question of this config asked and drawn once: the Parquet file of each split, or of each cell."""
        self._work = tempfile.TemporaryDirectory(prefix="mis-ground-")  # goes away with the builder
        parts, data = Path(self._work.name) / "parts", Path(self._work.name) / "data"
        parts.mkdir()
        vocabulary = Path(self.config.vocabulary) if self.config.vocabulary else None
        asked = _to_ask(volumes_in(Path(self.config.store)), self.config.settings)
        only = None if self.config.name == "all" else self.config.name
        made = [write_part(item, vocabulary, parts, only) for item in asked]
        rows, _ = _merge([path for path in made if path], data, TEST, _silent)
        return {split if only else f"{config}/{split}": data / config / f"{split}.parquet" for config, split in rows}

    def _generate_examples(self, files: Sequence[Path], key: str | None) -> Iterator[tuple[str, dict[str, Any]]]:
        for file in files:
            number = 0
            for batch in pq.ParquetFile(file).iter_batches(batch_size=64):
                for row in batch.to_pylist():
                    yield row[key] if key else f"{file.stem}/{number}", row
                    number += 1
