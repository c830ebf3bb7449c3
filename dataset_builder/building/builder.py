"""From sources to a data set on disk.

``build`` makes the rows volume by volume (:mod:`dataset_builder.building.rows`) in as many processes as asked, and puts
the parts together in a fixed order, so that the bytes do not depend on how many there were.

Layout of the data set (``load_dataset`` and the Hub read it as it stands)::

    README.md                                    the card, whose `configs:` name the files below
    data/<modality>_<plane>/<terminology>_<prompt>.parquet      of more than 500 MB: ...-00000-of-00003.parquet
    data/stack/test.parquet                      relations across slices
    data/blank/test.parquet                      controls: the markers on an empty canvas
    data/view/test.parquet                       controls: the image mirrored or turned
    slices/test.parquet                          the slice store
    quarantine.jsonl                             the cases that could not be used, and why

A training split is a data set of its own, with ``train`` in place of ``test``; no subject is in both.
"""

import shutil
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from dataset_builder.building.balance import balance, draw_volumes
from dataset_builder.building.engines import Engine, Processes, in_stage
from dataset_builder.building.held_out import SplitGuard, check_held_out, write_taken
from dataset_builder.building.merge import merge_parts
from dataset_builder.building.parts import Part, Parts
from dataset_builder.building.quarantine import Quarantine
from dataset_builder.building.queues import AskQueue, CaseList
from dataset_builder.building.target import OnlyBuild, check_target, put_in_place, resolve_target
from dataset_builder.building.worker import Listed, Quarantined, lost_case, store_listed, write_part
from dataset_builder.core.errors import BuildError, CaseError, naming
from dataset_builder.core.factors import TEST, Split
from dataset_builder.core.settings import Settings
from dataset_builder.dataset.card import write_card
from dataset_builder.dataset.manifest import QUARANTINE_NAME, SLICES, Key, read_record
from dataset_builder.dataset.parquet import FileNote
from dataset_builder.dataset.summary import distinct_scans
from dataset_builder.files.disk_list import SizedIterable, Spool
from dataset_builder.files.object_storage import Place, is_remote
from dataset_builder.files.own_files import make_work_folder, remove_work_folder, write_list
from dataset_builder.files.paths import PathLike, as_paths, as_store
from dataset_builder.files.progress import Progress, reporting_to, silent
from dataset_builder.slices.store import StoredVolume, each_volume, volume_notes
from dataset_builder.sources.base import Case, Source, folder_of, left_out_of
from dataset_builder.sources.private import publishable_names
from dataset_builder.vocabulary import structures

MOST_NAMED = 10_000
"""So many files of a kind, and volumes, are named in ``build.json``."""


@dataclass(frozen=True)
class BuildSummary:
    """Result of a build."""

    out: Path
    volumes: int
    slices: int
    rows: dict[tuple[str, str], int]  # (config, split) -> rows
    quarantined: Quarantine
    data_bytes: int
    kept: Path | None = None  # the old data set, if files of the user's came into it while this one was built
    left_out: Mapping[str, int] = field(default_factory=dict)  # files and series that no case is made of, by kind
    warnings: tuple[str, ...] = ()  # what is odd about single volumes
    files_left_out: Mapping[str, Sequence[str]] = field(default_factory=dict)  # by kind, as far as they may be named
    without_rows: tuple[str, ...] = ()  # volumes that no question is about, and why
    labels_left_out: Mapping[str, int] = field(default_factory=dict)  # name of a label -> scans that have it
    excluded: Mapping[str, int] = field(default_factory=dict)  # facts listed and met, and questions about them
    unmatched: int = 0  # questions for which no other subject's slice has another answer (view swapped)
    scans: int = 0  # volumes, but each scan counted once that is there under several names

    @property
    def total_rows(self) -> int:
        """Rows over all cells."""
        return sum(self.rows.values())


def build(
    sources: Sequence[Source],
    out: PathLike,
    settings: Settings | None = None,
    *,
    store: PathLike | Place | None = None,
    num_proc: int = 1,
    strict: bool = False,
    vocabulary: PathLike | None = None,
    split: Split = TEST,
    held_out: PathLike | Sequence[PathLike] = (),
    progress: Progress = silent,
    engine: Engine | None = None,
    verify_content: bool = False,
) -> BuildSummary:
    """Build a data set folder from sources, or from a slice store alone.

    The work is done in a hidden folder beside ``out`` that takes its place at the end; an interrupted build resumes
    there. An older data set in ``out`` stays until that moment.

    Args:
        sources: where volumes come from; empty to use everything in ``store``.
        out: the data set folder to make or replace.
        settings: what to ask.
        store: a folder that keeps the slices for later builds, here or in object storage (``s3://...``).
        num_proc: worker processes; the result does not depend on it.
        strict: stop at the first case that cannot be used instead of quarantining it.
        vocabulary: a YAML file with structures of the user's own.
        split: purpose of the data set, ``test`` or ``train``.
        held_out: data sets that this one must be disjoint from; their subjects are quarantined.
        progress: called after every volume.
        engine: where the build runs, if not in ``num_proc`` processes on this machine.
        verify_content: detect changed input files by their content, not by size and modification time alone.

    Raises:
        BuildError: if the build cannot start, or no question can be asked.
        CaseError: the first one, if ``strict``.
    """
    if not sources and store is None:
        raise BuildError(
            "There is nothing to build from.", remedy="Give --source NAME[:DIR], or --store DIR with slices in it."
        )
    words = None if vocabulary is None else Path(vocabulary)
    structures(words)  # a wrong file is found before anything is written
    processes = Processes(num_proc)
    out, others = resolve_target(Path(out)), as_paths(held_out)
    kept = None if store is None else as_store(store)
    work = out.parent / f".{out.name}.partial"
    reads = [folder for source in sources if (folder := folder_of(source)) is not None]
    check_target(out, work, split, [*reads, *others, *([] if words is None else [words])], kept)
    check_held_out(split, others, [source.name for source in sources])
    with ExitStack() as held:
        held.callback(processes.close)
        held.enter_context(OnlyBuild(out))
        # What an interrupted build leaves does not list its inputs: their paths may name patients.
        held.callback((work / "cases").unlink, missing_ok=True)
        if kept and not is_remote(kept):
            kept = kept.absolute()
        if sources and kept and not is_remote(kept):  # in object storage nothing can be locked
            kept.parent.mkdir(parents=True, exist_ok=True)
            held.enter_context(OnlyBuild(kept))
        make_work_folder(work)
        held.enter_context(naming(work))
        running = _Build(
            out,
            work,
            settings or Settings(),
            split,
            kept,
            words,
            strict,
            verify_content,
            engine or processes,
            progress,
        )
        held.callback(running.quarantined.close)
        refuse = running.guard(others)
        if sources:
            running.fill_store(sources, refuse)
        else:
            running.use_store(refuse)
        running.ask()
        summary = running.finish(running.merge())
        remove_work_folder(work)
    return summary


@dataclass
class _Build:
    """A build under way: one method per stage, each of which prepares what the next one needs.

    Args:
        out: the data set folder to make or replace.
        work: the hidden folder that the build works in.
        store: that keeps the slices for later builds, if any.
        engine: where the work is done.
    """

    out: Path
    work: Path
    settings: Settings
    split: Split
    store: Place | None
    vocabulary: Path | None
    strict: bool
    verify_content: bool
    engine: Engine
    progress: Progress

    def __post_init__(self) -> None:
        self.quarantined = Quarantine(self.work / QUARANTINE_NAME)
        self.volumes: Spool[StoredVolume] = Spool(self.work / "volumes")
        self.slices = self.store or self.work / "store"
        self.left_out: Counter[str] = Counter()
        self.files_left_out: dict[str, list[str]] = {}
        self.published: dict[str, list[str]] = {}  # the same as they may be called in the record
        self.without_rows: list[str] = []

    def guard(self, held_out: Sequence[Path]) -> SplitGuard:
        """Refuses subjects that must not be in this split."""
        if not held_out:
            return SplitGuard(self.split)
        write_taken(held_out, self.work / "held-out")
        return SplitGuard(self.split, self.work / "held-out")

    def fill_store(self, sources: Sequence[Source], refuse: SplitGuard) -> None:
        """Cut every case of every source into the store; cases that cannot be used go to quarantine."""
        read = partial(
            store_listed,
            settings=self.settings,
            store=self.slices,
            vocabulary=self.vocabulary,
            strict=self.strict,
            verify_content=self.verify_content,
            refuse=refuse,
        )
        key = self.engine.share(sources)
        with reporting_to(self.progress):
            cases = self._drawn_cases(CaseList(sources, key, self.work))

        def lost(item: Listed) -> Quarantined:
            return lost_case(item.case, self.strict)

        for result in in_stage(read, cases, self.engine, "volumes", self.progress, lost):
            if isinstance(result, Quarantined):
                self.quarantined.add(result)
            else:
                self.volumes.add(result)
        for source in sources:
            files: dict[str, list[str]] = {}
            for one in left_out_of(source):
                self.left_out[one.reason] += one.count
                files.setdefault(one.reason, []).append(one.file)
            for reason, of_reason in files.items():
                named = self.files_left_out.setdefault(reason, [])
                more = [file for file in of_reason if file][: MOST_NAMED - len(named)]
                named += more
                self.published.setdefault(reason, []).extend(publishable_names(source, more))

    def use_store(self, refuse: SplitGuard) -> None:
        """Take the volumes of the store that may be in this split; the others go to quarantine."""
        for volume in self._drawn_volumes():
            try:
                refuse(volume.source, volume.subject, volume.patient)
                self.volumes.add(volume)
            except CaseError as error:
                if self.strict:
                    raise
                self.quarantined.add(Quarantined.of(Case(volume.source, volume.subject, volume.modality, ""), error))

    def _drawn_cases(self, cases: CaseList) -> SizedIterable[Listed]:
        """The cases that are read: all, or so many of each modality."""
        most = self.settings.volumes_per_modality
        if most is None:
            return cases
        of = ((item.case.modality, item.case.source, item.case.subject) for item in cases)
        return draw_volumes(zip(cases, of, strict=True), most)

    def _drawn_volumes(self) -> Iterable[StoredVolume]:
        """The volumes of the store that are asked about: all, or so many of each modality."""
        most = self.settings.volumes_per_modality
        volumes = each_volume(self.slices, self.work)
        if most is None:
            return volumes
        named = ((volume, (volume.modality, volume.source, volume.subject)) for volume in volumes)
        return draw_volumes(named, most)

    def ask(self) -> None:
        """Write the rows of each volume to a file of its own."""
        folder = self._fresh("parts")
        make = partial(write_part, vocabulary=self.vocabulary, folder=folder, split=self.split)
        self.parts = Parts(folder)
        queue = AskQueue(self.volumes, self.settings)
        parts = in_stage(make, queue, self.engine, "questions", self.progress)
        made: list[Part] = []
        for asked, part in zip(queue, parts, strict=True):
            if part is not None and self.settings.questions_per_cell:
                made.append(part)
            elif part is not None:
                self.parts.add(part)
            elif len(self.without_rows) < MOST_NAMED:
                self.without_rows.append(f"{asked.volume.identity}: {_why_without_rows(asked.volume)}")
        if self.settings.questions_per_cell:
            for part in balance(made, folder, self.settings.questions_per_cell, self.settings.seed):
                self.parts.add(part)
        if not self.parts:
            raise BuildError(
                "No question could be asked about these volumes.",
                file=None if not self.quarantined else self.quarantined.keep_at(beside(self.out)),
                value=f"{len(self.volumes)} usable volumes, {len(self.quarantined)} in quarantine"
                + "".join(
                    f"; {reported}" for reported in (*map(_in_full, self.quarantined[:3]), *self.without_rows[:3])
                ),
                remedy="Look at the reasons, all of which are in the file; check the labels and the settings (planes, "
                "prompts)."
                if self.quarantined
                else "Look at the reasons; check the labels and the settings (planes, prompts).",
            )

    def merge(self) -> tuple[dict[Key, list[str]], dict[str, FileNote]]:
        """Put the volumes' rows and slices together: the files of each split, and what is in each file."""
        self.target = self._fresh("dataset")
        return merge_parts(self.parts, self.volumes, self.target, self.split, self.engine, self.progress)

    def finish(self, merged: tuple[dict[Key, list[str]], dict[str, FileNote]]) -> BuildSummary:
        """Write card and record, and give the finished folder its name."""
        files, made = merged
        rows = {key: sum(made[path].rows for path in paths) for key, paths in files.items()}
        slices = rows.pop((SLICES, self.split))
        self.quarantined.move_to(self.target / QUARANTINE_NAME)
        write_card(
            self.target,
            self.settings,
            files,
            slices,
            volume_notes(self.volumes),
            sorted(self.parts.names),
            len(self.quarantined),
            self.vocabulary.read_text(encoding="utf-8") if self.vocabulary else "",
            self.split,
            made,
            self.left_out,
            {
                "files_left_out": self.published,
                "without_rows": tuple(self.without_rows),
                "excluded": self._excluded(),
                "unmatched": self.parts.unmatched,
            },
        )
        size = sum(file.stat().st_size for file in self.target.rglob("*.parquet"))
        write_list(self.target, {path: note.sha256 for path, note in made.items()})
        note = read_record(self.target).builds[0]
        kept = put_in_place(self.target, self.out)
        self.quarantined.path = self.out / QUARANTINE_NAME
        told = (tuple(self.without_rows), note.labels_left_out)
        reported = (kept, self.left_out, note.warnings, self.files_left_out, *told)
        scans = sum(1 for _ in distinct_scans(volume_notes(self.volumes)))
        return BuildSummary(
            self.out,
            len(self.volumes),
            slices,
            rows,
            self.quarantined,
            size,
            *reported,
            self._excluded(),
            self.parts.unmatched,
            scans,
        )

    def _excluded(self) -> dict[str, int]:
        """How many facts the settings exclude, how many of them the volumes have, and the questions left out."""
        found = self.parts.excluded
        return (
            {
                "listed": len(self.settings.exclude),
                "facts": len(found),
                "questions": found.total(),
            }
            if self.settings.exclude
            else {}
        )

    def _fresh(self, name: str) -> Path:
        """An empty folder in the work folder."""
        folder = self.work / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        return folder


def beside(out: Path) -> Path:
    """Where the quarantine is kept of a build that made no data set."""
    return out.with_name(f"{out.name}-{QUARANTINE_NAME}")


def _in_full(case: Quarantined) -> str:
    """A case that cannot be used, with file, value and remedy."""
    found = "".join(f" [{name}: {text}]" for name, text in (("file", case.file), ("found", case.found)) if text)
    return f"{case.source}/{case.subject}: {case.problem}{found} {case.remedy}".rstrip()


def _why_without_rows(volume: StoredVolume) -> str:
    note = next(iter(volume_notes([volume])))
    return str(
        note.get("nothing") or f"None of its {note.get('slices')} slice(s) gives a question that is clear enough."
    )
