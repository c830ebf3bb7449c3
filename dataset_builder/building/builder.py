"""From sources to a data set on disk: ``build`` for the command line, ``MISGround`` as a ``datasets`` builder.

Both make rows with :func:`dataset_builder.building.rows.volume_rows`. ``build`` works volume by volume in as many
processes as asked and puts the parts together in a fixed order, so that the bytes do not depend on how many there were.

Layout of the data set (``load_dataset`` and the Hub read it as it stands)::

    README.md                                    the card, whose `configs:` name the files below
    data/<modality>_<plane>/<terminology>_<prompt>.parquet      of more than 500 MB: ...-00000-of-00003.parquet
    data/stack/test.parquet                      relations across slices
    data/blank/test.parquet                      controls: the markers on an empty canvas
    data/view/test.parquet                       controls: the picture mirrored or turned
    slices/test.parquet                          the slice store
    quarantine.jsonl                             the cases that could not be used, and why

A training split is a data set of its own, with ``train`` in place of ``test``; no subject is in both.
"""

import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import datasets
import pyarrow.parquet as pq
from filelock import FileLock, Timeout

from dataset_builder.building.engines import Engine, Processes
from dataset_builder.building.held_out import SplitGuard, check_held_out, write_taken
from dataset_builder.building.merge import Merge, plan
from dataset_builder.building.parts import Parts
from dataset_builder.building.quarantine import Quarantine
from dataset_builder.building.target import check_target, put_in_place, resolve_target
from dataset_builder.building.worker import Listed, Quarantined, lost_case, store_listed, write_part
from dataset_builder.core.errors import BuildError, CaseError, naming
from dataset_builder.core.factors import INPUT_CONFIGS, MODALITIES, PLANES, TEST, Split, config_name
from dataset_builder.core.settings import Settings, digest
from dataset_builder.dataset.card import write_card
from dataset_builder.dataset.format import ROW_SCHEMA, VERSION
from dataset_builder.dataset.manifest import QUARANTINE_NAME, SLICES, Key
from dataset_builder.dataset.parquet import FileNote
from dataset_builder.files.disk_list import SizedIterable, Spool, in_order
from dataset_builder.files.object_storage import is_remote
from dataset_builder.files.own_files import make_work_folder, remove_work_folder, write_list
from dataset_builder.files.progress import Progress, reporting_to, silent
from dataset_builder.questions.quotas import Mixture
from dataset_builder.slices.selection import SLICE_SCHEMA
from dataset_builder.slices.store import StoredVolume, each_volume, volume_notes, volumes_in
from dataset_builder.sources.base import Case, Source, folder_of, left_out_of

FEATURES = datasets.Features.from_arrow_schema(ROW_SCHEMA)
SLICE_FEATURES = datasets.Features.from_arrow_schema(SLICE_SCHEMA)
"""Features of a row, and of a slice, as ``load_dataset`` shows them."""

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True)
class BuildSummary:
    """What a build made."""

    out: Path
    volumes: int
    slices: int
    rows: dict[tuple[str, str], int]  # (config, split) -> rows
    quarantined: Quarantine
    data_bytes: int
    kept: Path | None = None  # the old data set, if files of the user's came into it while this one was built
    left_out: Mapping[str, int] = field(default_factory=dict)  # files and series that no case is made of, by kind

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
    progress: Progress = silent,
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
            (:func:`dataset_builder.files.object_storage.place_of_store`).
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
    out = resolve_target(out)
    work = out.parent / f".{out.name}.partial"
    reads = [folder for source in sources if (folder := folder_of(source)) is not None]
    check_target(out, work, split, [*reads, *held_out, *([] if vocabulary is None else [vocabulary])], store)
    check_held_out(split, held_out, [source.name for source in sources])
    with ExitStack() as held:
        held.callback(processes.close)
        engine = engine or processes
        held.enter_context(_only_build(out))
        # What an interrupted build leaves does not list its inputs: their paths may name patients.
        held.callback((work / "cases").unlink, missing_ok=True)
        if store and not is_remote(store):
            store = store.absolute()
        if sources and store and not is_remote(store):  # in object storage nothing can be locked
            store.parent.mkdir(parents=True, exist_ok=True)
            held.enter_context(_only_build(store))
        make_work_folder(work)
        held.enter_context(naming(work))
        slices_folder = store or work / "store"
        refuse = SplitGuard(split)
        if held_out:
            refuse = SplitGuard(split, work / "held-out")
            write_taken(held_out, work / "held-out")
        quarantined = Quarantine(work / QUARANTINE_NAME)
        held.callback(quarantined.close)
        left_out: Counter[str] = Counter()
        volumes: Spool[StoredVolume] = Spool(work / "volumes")
        if sources:
            read = partial(
                store_listed,
                settings=settings,
                store=slices_folder,
                vocabulary=vocabulary,
                strict=strict,
                verify_content=verify_content,
                refuse=refuse,
            )
            key = engine.share(sources)
            with reporting_to(progress):
                cases = CaseList(sources, key, work)
            _fill_store(cases, read, strict, engine, progress, volumes, quarantined)
            for source in sources:
                for one in left_out_of(source):
                    left_out[one.reason] += one.count
        else:
            _find_usable(each_volume(slices_folder, work), refuse, strict, volumes, quarantined)
        folder = work / "parts"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        make = partial(write_part, vocabulary=vocabulary, folder=folder, split=split)
        parts = Parts(folder)
        for part in _each(make, AskQueue(volumes, settings), engine, "questions", progress):
            if part is not None:
                parts.add(part)
        if not parts:
            raise BuildError(
                "No question could be asked of these volumes.",
                value=f"{len(volumes)} usable volumes, {len(quarantined)} in quarantine"
                + "".join(f"; {case.subject}: {case.problem}" for case in quarantined[:3]),
                remedy="Look at the reasons; check the labels and the settings (planes, prompts).",
            )
        target = work / "dataset"
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir()
        files, made = _merge(parts, volumes, target, split, engine, progress)
        rows = {key: sum(made[path].rows for path in paths) for key, paths in files.items()}
        slices = rows.pop((SLICES, split))
        quarantined.move_to(target / QUARANTINE_NAME)
        own = vocabulary.read_text(encoding="utf-8") if vocabulary else ""
        notes = volume_notes(volumes)
        write_card(
            target, settings, files, slices, notes, sorted(parts.names), len(quarantined), own, split, made, left_out
        )
        size = sum(file.stat().st_size for file in target.rglob("*.parquet"))
        write_list(target, {path: note.sha256 for path, note in made.items()})
        kept = put_in_place(target, out)
        quarantined.path = out / QUARANTINE_NAME
        remove_work_folder(work)
    return BuildSummary(out, len(volumes), slices, rows, quarantined, size, kept, left_out)


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


def _each(
    function: Callable[[T], R],
    items: SizedIterable[T],
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


class CaseList:
    """Every case of every source, sorted by source and subject; listed once, then read from a file.

    Args:
        sources: that list the cases.
        key: by which the workers have the sources.
        work: a folder for files.

    Raises:
        BuildError: if two cases have the same name.
    """

    def __init__(self, sources: Sequence[Source], key: str, work: Path) -> None:
        self._cases: Spool[Listed] = Spool(work / "cases")
        listed = (Listed(key, number, case) for number, source in enumerate(sources) for case in source.cases())
        before = None
        for item in in_order(listed, key=lambda item: (item.case.source, item.case.subject), folder=work):
            name = (item.case.source, item.case.subject)
            if name == before:
                raise BuildError(
                    "Two cases have the same source and subject.",
                    value="/".join(name),
                    remedy="Give each folder once; rename a case that two folders share.",
                )
            self._cases.add(item)
            before = name

    def __len__(self) -> int:
        return len(self._cases)

    def __iter__(self) -> Iterator[Listed]:
        return iter(self._cases)


def _fill_store(
    cases: CaseList,
    read: Callable[[Listed], "StoredVolume | Quarantined"],
    strict: bool,
    engine: Engine,
    progress: Progress,
    volumes: Spool[StoredVolume],
    quarantined: Quarantine,
) -> None:
    """Cut every case of every source into the store; cases that cannot be used are added to ``quarantined``."""

    def lost(item: Listed) -> Quarantined:
        return lost_case(item.case, strict)

    for result in _each(read, cases, engine, "volumes", progress, lost):
        if isinstance(result, Quarantined):
            quarantined.add(result)
        else:
            volumes.add(result)


def _find_usable(
    found: Iterable[StoredVolume],
    refuse: SplitGuard,
    strict: bool,
    volumes: Spool[StoredVolume],
    quarantined: Quarantine,
) -> None:
    """The volumes of a store that may be in this split; the others are added to ``quarantined``."""
    for volume in found:
        try:
            refuse(volume.source, volume.subject)
            volumes.add(volume)
        except CaseError as error:
            if strict:
                raise
            quarantined.add(Quarantined.of(Case(volume.source, volume.subject, volume.modality, ""), error))


class AskQueue:
    """Number, volume and its own settings of every volume that is asked about."""

    def __init__(self, volumes: SizedIterable[StoredVolume], settings: Settings) -> None:
        self._volumes = volumes
        self._mixture = Mixture(settings)
        self._kinds = bytearray()  # of each volume; none if it does not matter
        if settings.ct_share is not None:
            for volume in volumes:
                modality = volume.modality
                self._kinds.append(MODALITIES.index(modality))
                self._mixture.count(volume.identity, modality)
        self._count = sum(1 for _ in self) if settings.ct_share is not None else len(volumes)

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[tuple[int, StoredVolume, Settings]]:
        for number, volume in enumerate(self._volumes):
            kind = MODALITIES[self._kinds[number]] if self._kinds else MODALITIES[0]
            settings = self._mixture.settings_of(volume.identity, kind)
            if settings is not None:
                yield number, volume, settings


def _merge(
    parts: Parts, volumes: Spool[StoredVolume] | None, folder: Path, split: Split, engine: Engine, progress: Progress
) -> tuple[dict[Key, list[str]], dict[str, FileNote]]:
    """Put the volumes' rows together, and their slices; returns the files of each split, and what is in each file."""
    planned = plan(parts, volumes, split)
    files: dict[Key, list[str]] = {}
    for file in planned:
        files.setdefault(file.key, []).append(file.path)
    # The longest work first: where there are many processes, none is left with it at the end.
    planned.sort(key=lambda file: -file.size)
    notes = _each(Merge(parts, volumes, folder), planned, engine, "data set", progress)
    return files, {file.path: note for file, note in zip(planned, notes, strict=True)}


@dataclass
class MISGroundConfig(datasets.BuilderConfig):
    """A config of :class:`MISGround`: ``all``, one modality and plane, or ``slices``.

    Args:
        store: folder of the slice store (see :mod:`dataset_builder.slices.store`).
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
            files = [file for of_cell in made.values() for file in of_cell]
            return [datasets.SplitGenerator(TEST, gen_kwargs={"files": files, "key": "id"})]
        return [datasets.SplitGenerator(split, gen_kwargs={"files": made[split], "key": "id"}) for split in made]

    def _make_files(self) -> dict[str, list[Path]]:
        """Every question of this config asked and drawn once: the Parquet files of each split, or of each cell."""
        self._work = tempfile.TemporaryDirectory(prefix="mis-ground-")  # goes away with the builder
        folder, data = Path(self._work.name) / "parts", Path(self._work.name)
        folder.mkdir()
        vocabulary = Path(self.config.vocabulary) if self.config.vocabulary else None
        asked = AskQueue(volumes_in(Path(self.config.store)), self.config.settings)
        only = None if self.config.name == "all" else self.config.name
        made = Parts(folder)
        for item in asked:
            part = write_part(item, vocabulary, folder, TEST, only)
            if part is not None:
                made.add(part)
        files, _ = _merge(made, None, data, TEST, Processes(), silent)
        return {key[1] if only else "/".join(key): [data / path for path in paths] for key, paths in files.items()}

    def _generate_examples(self, files: Sequence[Path], key: str | None) -> Iterator[tuple[str, dict[str, Any]]]:
        for file in files:
            number = 0
            for batch in pq.ParquetFile(file).iter_batches(batch_size=64):
                for row in batch.to_pylist():
                    yield row[key] if key else f"{file.stem}/{number}", row
                    number += 1
