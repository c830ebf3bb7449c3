"""What a push would do, worked out before anything is sent: which splits are new, what is sent, what is deleted."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatch
from pathlib import Path
from typing import Literal

import pyarrow.parquet as pq
from huggingface_hub.utils.sha import git_hash

from dataset_builder.core.errors import BuildError, HubError
from dataset_builder.dataset.card import CARD_NAME, edited_cards, make_card, merge_card, with_own_text
from dataset_builder.dataset.card_text import all_of
from dataset_builder.dataset.croissant import CROISSANT_NAME, croissant_text
from dataset_builder.dataset.licences import licence
from dataset_builder.dataset.manifest import (
    QUARANTINE_NAME,
    RECORD_NAME,
    SLICES,
    BuildNote,
    Key,
    Record,
    SplitNote,
    is_slices,
    record_to_text,
)
from dataset_builder.dataset.parquet import shard, stem_of_file
from dataset_builder.dataset.summary import content_version, note_split
from dataset_builder.files.atomic import sha256_of

State = Literal["new", "same", "replaced"]


@dataclass(frozen=True)
class Local:
    """What is to be pushed.

    Args:
        record: the chosen splits, their files named as they will be on the Hub.
        files: path on the Hub -> file here, of all data.
        hashes: path on the Hub -> sha256.
        images: path on the Hub -> file here, of the card's examples.
        quarantine: lines of the cases that could not be used.
        card: of the folder, which its owner may have edited.
    """

    record: Record
    files: dict[str, Path]
    hashes: dict[str, str]
    images: dict[str, Path] = field(default_factory=dict)
    quarantine: tuple[str, ...] = ()
    card: str = ""


@dataclass(frozen=True)
class RemoteFile:
    """A file on the Hub; ``sha256`` only of large ones, ``oid`` is git's hash of the content."""

    size: int
    oid: str
    sha256: str | None


@dataclass(frozen=True)
class Remote:
    """What is on the Hub; ``head`` is ``None`` if there is no repository."""

    head: str | None = None
    files: dict[str, RemoteFile] = field(default_factory=dict)
    record: Record | None = None
    card: str | None = None
    quarantine: tuple[str, ...] = ()
    private: bool = True


@dataclass(frozen=True)
class Plan:
    """What a push will do.

    Args:
        states: of the splits that are pushed.
        kept: splits on the Hub that stay as they are.
        data: large files to send, by path on the Hub.
        texts: small files to send, by path on the Hub.
        deleted: files that are deleted.
        record: of the data set as it will be.
        hashes: sha256 of all its data files.
        sizes: bytes of each file to send; the plan outlives the folder that some of them are in.
        edited: where the card has text of its owner's, which is kept: ``in the folder``, ``on the Hub``.
    """

    states: dict[Key, State]
    kept: tuple[Key, ...]
    data: dict[str, Path]
    texts: dict[str, bytes]
    deleted: tuple[str, ...]
    record: Record
    hashes: dict[str, str]
    sizes: dict[str, int]
    edited: tuple[str, ...] = ()

    @property
    def empty(self) -> bool:
        """Whether the Hub holds all of it already."""
        return not (self.data or self.texts or self.deleted)

    @property
    def send_bytes(self) -> int:
        """How much is to be sent if the Hub has none of it."""
        return sum(self.sizes.values())

    @property
    def config(self) -> str:
        """The config that was pushed: ``all`` where it holds every question, else the first."""
        pushed = list(dict.fromkeys(config for config, _ in self.states))
        return "all" if set(self.states) & set(all_of(self.record)) else pushed[0]

    @property
    def tag(self) -> str:
        """A tag for this content."""
        return f"v{max(build.version for build in self.record.builds)}-{self.record.content[:8]}"


# ------------------------------------------------------------------------------------------------------- what is here


def choose(record: Record, only: Sequence[str]) -> list[Key]:
    """The selected splits: ``ct_axial``, ``ct_axial/directional_box``, ``*/*_mask``; all if none are given.

    Raises:
        BuildError: if a pattern matches no split.
    """
    if not only:
        return list(record.splits)
    chosen: list[Key] = []
    for pattern in only:
        found = [key for key in record.splits if fnmatch(key[0], pattern) or fnmatch("/".join(key), pattern)]
        if not found:
            raise BuildError(
                "No config or split has this name.",
                value=pattern,
                remedy=f"Configs: {', '.join(dict.fromkeys(config for config, _ in record.splits))}.",
            )
        chosen += found
    return [key for key in record.splits if key in chosen]


def prepare(folder: Path, record: Record, keys: Sequence[Key], own: str | None, work: Path) -> Local:
    """Name and cut the files of some splits as they will be on the Hub.

    Args:
        folder: the data set.
        record: what it holds.
        keys: the selected splits.
        own: put all questions into one split (that of their build) of a config of this name, and the slices into
            ``<name>_slices``.
        work: folder for files that have to be rewritten.
    """
    targets: dict[Key, tuple[str, list[str]]] = {}
    for key in keys:
        files = list(record.splits[key].files)
        if own is None:
            stem = stem_of_file(files[0])
            targets[key] = (stem, files)
        else:
            target = (f"{own}_{SLICES}" if is_slices(key) else own, record.build_of(key).split)
            targets.setdefault(target, ("/".join(target), []))[1].extend(files)
    builds: dict[Key, BuildNote] = {}
    splits: dict[Key, SplitNote] = {}
    hashes: dict[str, str] = {}
    files_here: dict[str, Path] = {}
    for key, (stem, files) in targets.items():
        made = shard([folder / file for file in files], stem, work)
        files_here |= made
        hashes |= {path: sha256_of(here) for path, here in made.items()}
        note = record.splits.get(key)
        if note is None or made != {file: folder / file for file in files}:
            first = next(iter(made.values()))
            root = work if first.is_relative_to(work) else folder
            relative = [here.relative_to(root).as_posix() for here in made.values()]
            note = replace(note_split(root, relative), files=tuple(made))
        splits[key] = note
        builds[key] = record.build_of(next(k for k in keys if set(record.splits[k].files) & set(files)))
    kept = [
        replace(build, splits={key: note for key, note in splits.items() if builds[key] is build})
        for build in record.builds
    ]
    return Local(
        Record(tuple(build for build in kept if build.splits)),
        files_here,
        hashes,
        {example.picture: folder / example.picture for build in kept if build.splits for example in build.examples},
        _lines(folder / QUARANTINE_NAME),
        _text(folder / CARD_NAME),
    )


def forbidden_sources(folder: Path, record: Record, keys: Sequence[Key]) -> dict[str, str]:
    """Sources of these splits that do not allow redistributing images: licence -> source, as the rows say."""
    found: dict[str, str] = {}
    for key in keys:
        for file in record.splits[key].files:
            for batch in pq.ParquetFile(folder / file).iter_batches(columns=["source", "licence"]):
                for source, name in {(row["source"], row["licence"]) for row in batch.to_pylist()}:
                    if not licence(name or "").share:
                        found.setdefault(name or "not stated", source)
    return found


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8") if path.is_file() else ""
    except UnicodeDecodeError as error:
        raise BuildError("The card is not UTF-8 text.", file=path, value=error, remedy="Save it as UTF-8.") from error


def _lines(path: Path) -> tuple[str, ...]:
    return tuple(path.read_text(encoding="utf-8").splitlines()) if path.is_file() else ()


# ------------------------------------------------------------------------------------------------- what is to be done


def make_plan(local: Local, remote: Remote, place: str, replace_splits: bool = False) -> Plan:
    """What a push changes on the Hub.

    Args:
        local: what is pushed.
        remote: what is on the Hub.
        place: name of the repository.
        replace_splits: whether splits with other content may be replaced.

    Raises:
        HubError: if the repository is not a MIS-Ground data set, or a split has other content and may not be replaced.
    """
    before = remote.record or Record(())
    _check_kind(remote, place)
    states: dict[Key, State] = {}
    for key, note in local.record.splits.items():
        there = before.splits.get(key)
        if there is None:
            states[key] = "new"
        else:
            same = there.files == note.files and all(_is_there(remote, file, local) for file in note.files)
            states[key] = "same" if same else "replaced"
    changed = ["/".join(key) for key, state in states.items() if state == "replaced"]
    if changed and not replace_splits:
        raise HubError(
            f"{len(changed)} of these splits are on the Hub with other content; nothing was sent.",
            value=", ".join(changed[:5]) + (", ..." if len(changed) > 5 else ""),
            remedy="Add --replace to put these in their place, --only to push others, or --config NAME to push them "
            "beside the ones that are there.",
        )
    merged = before.merged_with(local.record)
    _check_columns(before, local.record)
    hashes = {path: file.sha256 for path, file in remote.files.items() if file.sha256 is not None} | local.hashes
    wanted = [file for note in merged.splits.values() for file in note.files]
    if lost := [file for file in wanted if file not in hashes]:
        raise HubError(
            f"{place} lacks files that its record lists; nothing was sent.",
            value=", ".join(lost[:3]),
            remedy="Push these splits again, or restore the files from an earlier revision.",
        )
    hashes = {file: hashes[file] for file in wanted}
    merged = replace(merged, content=content_version(hashes))
    data = {path: here for path, here in local.files.items() if not _is_there(remote, path, local)}
    for example in merged.examples:
        here = local.images.get(example.picture)
        if here is not None and example in local.record.examples and not _same_image(remote, example.picture, here):
            data[example.picture] = here
    texts = {
        name: text
        for name, text in _texts(merged, hashes, local, remote, place).items()
        if _differs(remote, name, text)
    }
    return Plan(
        states,
        tuple(key for key in before.splits if key not in states),
        data,
        texts,
        _stale(before, merged, local, remote),
        merged,
        hashes,
        {path: here.stat().st_size for path, here in data.items()} | {path: len(text) for path, text in texts.items()},
        edited_cards(remote.card, local.card, merged, place),
    )


def _check_kind(remote: Remote, place: str) -> None:
    if remote.record is None:
        foreign = [path for path in remote.files if path not in (".gitattributes", CARD_NAME)]
        if foreign:
            raise HubError(
                f"{place} is not a MIS-Ground data set; nothing was sent.",
                value=", ".join(foreign[:3]),
                remedy="Choose another name.",
            )
        return
    known = {file for note in remote.record.splits.values() for file in note.files}
    unknown = [path for path in remote.files if fnmatch(path, "data/*/*.parquet") and path not in known]
    stems = {stem_of_file(file) for file in known}
    unknown = [path for path in unknown if stem_of_file(path) not in stems]
    if unknown:
        raise HubError(
            f"{place} has files under data/ that its record does not list; the config 'all' would read them.",
            value=", ".join(unknown[:3]),
            remedy="Move them to another folder on the Hub.",
        )


def _check_columns(before: Record, added: Record) -> None:
    """Splits that ``all`` reads together must have the same columns."""
    kept = before.only(set(before.splits) - set(added.splits))
    for old in kept.builds:
        for new in added.builds:
            shared = any(not is_slices(key) for key in old.splits) and any(not is_slices(key) for key in new.splits)
            if shared and old.features["rows"] != new.features["rows"]:
                odd = set(old.features["rows"]) ^ set(new.features["rows"])
                raise HubError(
                    "The splits on the Hub have other columns: they belong to another version of the data.",
                    value=f"versions {old.version} and {new.version}; {', '.join(sorted(odd)) or 'other types'}",
                    remedy="Build and push all splits with one version, with --replace.",
                )


def _is_there(remote: Remote, path: str, local: Local) -> bool:
    return path in remote.files and remote.files[path].sha256 == local.hashes[path]


def _same_image(remote: Remote, path: str, here: Path) -> bool:
    there = remote.files.get(path)
    return there is not None and (there.sha256 == sha256_of(here) or there.oid == git_hash(here.read_bytes()))


def _differs(remote: Remote, path: str, content: bytes) -> bool:
    return path not in remote.files or remote.files[path].oid != git_hash(content)


def _texts(merged: Record, hashes: Mapping[str, str], local: Local, remote: Remote, place: str) -> dict[str, bytes]:
    before = with_own_text(remote.card, local.card, merged, place) if local.card else remote.card
    text = make_card(merged, place) if before is None else merge_card(before, merged, place)
    quarantine = dict.fromkeys((*remote.quarantine, *local.quarantine))
    written = {
        CARD_NAME: text,
        RECORD_NAME: record_to_text(merged),
        CROISSANT_NAME: croissant_text(merged, hashes),
        QUARANTINE_NAME: "".join(f"{line}\n" for line in quarantine),
    }
    return {name: content.encode() for name, content in written.items() if content}


def _stale(before: Record, merged: Record, local: Local, remote: Remote) -> tuple[str, ...]:
    """Files on the Hub that belonged to splits that are replaced, and images that no example shows any more."""
    wanted = {file for note in merged.splits.values() for file in note.files}
    stale = {file for note in before.splits.values() for file in note.files} - wanted
    for key in local.record.splits:
        stem = stem_of_file(local.record.splits[key].files[0])
        stale |= {path for path in remote.files if path.endswith(".parquet") and stem_of_file(path) == stem} - wanted
    shown = {example.picture for example in merged.examples}
    stale |= {example.picture for example in before.examples} - shown
    return tuple(sorted(stale & set(remote.files)))
