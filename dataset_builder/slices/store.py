"""The slice store: a folder with one Parquet file per volume, made once, from which every data set is derived.

``STORE/<source>/<subject>.parquet`` holds the slices of a volume, ``.json`` beside it what they were made of. The note
is written last, so that a volume counts as done only when all of it is; it is used again as long as the input files,
the settings that decide the slices and this package's format are the same. The note also says which version of the
package made it, and, where that was asked for, what the content of the input files was.

The folder may be in object storage (:mod:`dataset_builder.files.object_storage`). Nothing can be locked there: one
build at a time should fill it, while any number may ask from it.
"""

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import islice, tee
from pathlib import Path
from urllib.parse import quote

import pyarrow as pa

from dataset_builder.core.errors import BuildError
from dataset_builder.core.factors import Modality
from dataset_builder.core.settings import Settings, digest
from dataset_builder.core.version import package_version
from dataset_builder.files.atomic import sha256_of, write_atomically
from dataset_builder.files.disk_list import in_order
from dataset_builder.files.object_storage import (
    TOGETHER,
    Place,
    files_below,
    get_bytes,
    get_many,
    is_remote,
    key_of,
    remove,
    storage_of,
    telling,
)
from dataset_builder.imaging.acceptance import accept
from dataset_builder.imaging.volume import numbered_by_name
from dataset_builder.slices.selection import SliceRecord, choose_slices, cut, load_slices, read_slices, save_slices
from dataset_builder.slices.stacks import choose_stacks, cut_stack
from dataset_builder.slices.visibility import narrow_planes, scan_sha256, why_nothing
from dataset_builder.sources.base import Case, Source, is_public, reading_of
from dataset_builder.sources.remote import blaming, stamps
from dataset_builder.vocabulary import structures

_NOTED = frozenset({"source", "subject", "fingerprint"})
"""Fields of every note of a build."""

_KEY_COLUMNS = ["source", "subject", "plane", "slice_index"]
"""Columns of every table of slices."""

FORMAT = 6
"""Raised whenever slices of the same volume can come out different."""


@dataclass(frozen=True)
class StoredVolume:
    """One volume of a store: where its slices lie, in how many bytes, its names in the data set, and whose it is."""

    source: str
    subject: str
    path: Place
    size: int
    patient: str | None = None
    slices: int = 1  # that are asked about by themselves

    @property
    def identity(self) -> str:
        """What names the volume and, with the seed, decides every random choice about it."""
        return f"{self.source}/{self.subject}"

    @property
    def modality(self) -> Modality:
        """As its slices say."""
        return read_slices(self.path, ["modality"])["modality"][0].as_py()

    def load(self) -> list[SliceRecord]:
        """The slices, in the order in which they were chosen, and after them those of stacks."""
        return load_slices(self.path)


def input_fingerprint(case: Case, settings: Settings, vocabulary: Path | None = None, reading: object = None) -> str:
    """Changes whenever the case's files, the settings that decide its slices or the user's own structures do.

    Files are identified by name, size and modification time.

    Args:
        reading: what else decides how they are read (:func:`dataset_builder.sources.base.reading_of`).

    Raises:
        OSError: if a file cannot be looked at.
        CaseError, SourceError: the same of files in object storage (see :func:`dataset_builder.sources.remote.stamps`).
    """
    files: list[object] = []
    for path in case.paths:
        if is_remote(path):
            files.append((path.name, stamps(path)))
            continue
        status = path.stat() if path.exists() else None
        members = sorted(path.iterdir()) if path.is_dir() else []
        seen = [(member.name, member.stat().st_size, member.stat().st_mtime_ns) for member in members]
        files.append((path.name, status and (status.st_size, status.st_mtime_ns), seen))
    return _fingerprint(case, settings, vocabulary, files, reading)


def content_fingerprint(case: Case, settings: Settings, vocabulary: Path | None = None, reading: object = None) -> str:
    """As :func:`input_fingerprint`, by names and contents of files: a copy has the same one, whenever it was made."""
    files = []
    for path in case.paths:
        members = sorted(path.iterdir()) if path.is_dir() else [path]
        files.append((path.name, [(member.name, _sha256(member)) for member in members if member.is_file()]))
    return _fingerprint(case, settings, vocabulary, files, reading)


def _fingerprint(case: Case, settings: Settings, vocabulary: Path | None, files: object, reading: object) -> str:
    own = vocabulary.read_text(encoding="utf-8") if vocabulary else ""
    patient = () if case.patient is None else (case.patient,)  # stores made before there were any are as good
    what = (case.modality, case.side, case.licence, *patient)
    return digest(FORMAT, settings.slice_fingerprint(), *what, own, files, reading)


def _sha256(path: Place) -> str:
    if is_remote(path):
        with blaming(path, path.parent.parent), path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type] # has readinto
    status = path.stat()
    return _sha256_once(path, status.st_size, status.st_ctime_ns)  # unlike mtime, nobody can set it back


@lru_cache(maxsize=64)  # an archive is of many cases
def _sha256_once(path: Path, size: int, changed: int) -> str:
    return sha256_of(path)


def store_volume(
    source: Source,
    case: Case,
    settings: Settings,
    store: Place,
    vocabulary: Path | None = None,
    verify_content: bool = False,
) -> StoredVolume:
    """Cut a case's slices into the store, unless they are there already.

    Args:
        vocabulary: the user's own structures beside the package's, if any.
        verify_content: detect changed files of the case by their content, not by size and modification time.

    Raises:
        CaseError: if the case cannot be used.
        OSError: if a file cannot be looked at, or the store cannot be written.
    """
    path = store / quote(case.source, safe="") / f"{quote(case.subject, safe='')}.parquet"
    note_path = path.with_suffix(".json")
    reading = reading_of(source, case)
    fingerprints = {"fingerprint": input_fingerprint(case, settings, vocabulary, reading)}
    if verify_content:
        fingerprints["content"] = content_fingerprint(case, settings, vocabulary, reading)
    _check_own(path, note_path, case)
    known, deciding = _note(note_path), "content" if verify_content else "fingerprint"
    if known.get(deciding) == fingerprints[deciding] and (there := _size_of(path)) is not None:
        if known.get("fingerprint") != fingerprints["fingerprint"]:  # the same files, copied or touched
            _write_note(note_path, known | fingerprints)
        return StoredVolume(case.source, case.subject, path, there, case.patient, _count(known))
    volume = replace(source.read(case), patient=case.patient)
    scan = scan_sha256(volume.image)
    if not is_public(source):
        volume = replace(numbered_by_name(volume), scan_sha256=scan)
    words = structures(vocabulary)
    warnings = accept(volume, words, settings.trust)
    narrow = narrow_planes(volume, settings.planes, settings.clarity)
    planes = [plane for plane in settings.planes if plane not in narrow]
    warnings = [*warnings, *(f"no {plane} image is shown, it would be {size}" for plane, size in narrow.items())]
    chosen = choose_slices(volume, planes, settings.slices_per_volume, settings.seed, vocabulary=words)
    if is_remote(note_path):
        remove(note_path)
    else:
        path.parent.mkdir(parents=True, exist_ok=True)
        note_path.unlink(missing_ok=True)
    records = [cut(volume, plane, index, words) for plane, index in chosen]
    if "stack" in settings.inputs and settings.stacks_per_volume:
        runs = choose_stacks(volume, planes, settings.stacks_per_volume, settings.stack_size, settings.seed)
        records += [record for plane, indices in runs for record in cut_stack(volume, plane, indices, words)]
    size = save_slices(records, path)
    note = {
        "source": case.source,
        "subject": case.subject,
        "patient": case.patient,
        **fingerprints,
        "package": package_version(),
        "slices": len(chosen),
        "narrow_planes": narrow,
        "slices_of_stacks": len(records) - len(chosen),
        "citation": source.citation,
        "url": source.url,
        "licence": case.licence,
        "obliquity_deg": round(volume.obliquity_deg, 3),
        "stored_axes": volume.stored_axes,
        "overlap_voxels": volume.overlap_voxels,
        "ignored": list(volume.ignored),
        "warnings": warnings,
        "nothing": "" if records else why_nothing(volume, planes),
        "scan_sha256": scan,
    }
    _write_note(note_path, note)
    return StoredVolume(case.source, case.subject, path, size, case.patient, len(chosen))


def _count(note: Mapping[str, object]) -> int:
    """How many slices of a volume are asked about by themselves."""
    count = note.get("slices")
    return count if isinstance(count, int) else 1


def _check_own(path: Place, note_path: Place, case: Case) -> None:
    """Whether what is there under a volume's name was written by a build.

    Raises:
        BuildError: if not; it stays.
    """
    if _note(note_path).keys() >= _NOTED:
        return
    size = _size_of(path)
    if (size and not _is_of_slices(path)) or (not size and _size_of(note_path)):
        foreign = path if size else note_path
        raise BuildError(
            "The slice store contains a file with a volume's name that no build wrote; it is left unchanged.",
            file=foreign,
            value=f"{case.source}/{case.subject}",
            remedy="Choose another --store.",
        )


def _is_of_slices(path: Place) -> bool:
    try:
        return len(read_slices(path, _KEY_COLUMNS).column_names) == len(_KEY_COLUMNS)
    except (pa.ArrowException, OSError, ValueError):
        return False


def _write_note(path: Place, note: Mapping[str, object]) -> None:
    write_atomically(path, json.dumps(note, indent=1, ensure_ascii=False) + "\n")


def _size_of(path: Place) -> int | None:
    """In bytes; nothing if it is not there."""
    if not is_remote(path):
        return path.stat().st_size if path.exists() else None
    with telling(path):
        storage_of(path).invalidate_cache(key_of(path))
        try:
            return int(storage_of(path).info(key_of(path))["size"])
        except FileNotFoundError:
            return None


def _note(path: Place) -> dict[str, object]:
    try:
        return _parsed(get_bytes(path) or b"" if is_remote(path) else path.read_bytes())
    except OSError:
        return {}


def _notes(paths: Iterable[Place]) -> Iterator[dict[str, object]]:
    """Many notes, in their order."""
    coming = iter(paths)
    for first in coming:
        if is_remote(first):
            others = [path for path in islice(coming, TOGETHER - 1) if is_remote(path)]  # as the first is
            yield from map(_parsed, get_many([first, *others]))
        else:
            yield _note(first)


def _parsed(content: bytes) -> dict[str, object]:
    try:
        note = json.loads(content.decode("utf-8"))
    except ValueError:
        return {}
    return note if isinstance(note, dict) else {}


def volume_notes(volumes: Iterable[StoredVolume]) -> Iterator[dict[str, object]]:
    """What is noted of each volume: source, licence, citation, how it was stored."""
    yield from _notes(volume.path.with_suffix(".json") for volume in volumes)


def volumes_in(store: Place) -> list[StoredVolume]:
    """Every finished volume of a store, sorted by source and subject.

    Raises:
        BuildError: if the folder holds none.
    """
    return list(each_volume(store))


def each_volume(store: Place, work: Path | None = None) -> Iterator[StoredVolume]:
    """The same, one after the other: a store of any size does not fill the memory.

    Args:
        work: a folder for temporary files.
    """
    first = True
    for volume in in_order(_finished(store), key=lambda volume: (volume.source, volume.subject), folder=work):
        first = False
        yield volume
    if first:
        raise BuildError(
            "The slice store contains no finished volume.",
            file=store,
            remedy="Fill it with: mis-ground build --source NAME[:DIR] --store DIR.",
        )


def _finished(store: Place) -> Iterator[StoredVolume]:
    paths, again = tee(_pairs(store))
    for (path, size), note in zip(paths, _notes(path.with_suffix(".json") for path, _ in again), strict=True):
        if {"source", "subject"} <= note.keys():
            patient = note.get("patient")
            of_whom = None if patient is None else str(patient)
            yield StoredVolume(str(note["source"]), str(note["subject"]), path, size, of_whom, _count(note))


def _pairs(store: Place) -> Iterator[tuple[Place, int]]:
    """The Parquet files that have a note beside them, and their sizes."""
    if is_remote(store):
        files = files_below(store)
        for path, size in files.items():
            if path.suffix == ".parquet" and path.with_suffix(".json") in files:
                yield path, size
        return
    for folder in store.iterdir() if store.is_dir() else ():
        with os.scandir(folder) if folder.is_dir() else nullcontext(()) as entries:
            for entry in entries:
                note = folder / entry.name
                if note.suffix == ".json" and (there := _size_of(note.with_suffix(".parquet"))) is not None:
                    yield note.with_suffix(".parquet"), there
