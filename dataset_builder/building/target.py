"""Where a data set goes: whether a build may write there, and how the new one takes the old one's place.

A folder is replaced only if it is empty, or a data set of MIS-Ground in which nothing is the user's (see
:mod:`dataset_builder.files.own_files`). Of the old data set only the files are deleted that a build wrote; if anything
else came into it meanwhile, it is kept under another name.
"""

import os
from collections.abc import Iterable
from itertools import islice
from pathlib import Path

from filelock import FileLock, Timeout

from dataset_builder.building.held_out import split_of_record
from dataset_builder.core.errors import BuildError, DatasetNotFoundError
from dataset_builder.core.factors import Split
from dataset_builder.dataset.manifest import RECORD_NAME, read_record
from dataset_builder.files.object_storage import Place, is_remote
from dataset_builder.files.own_files import (
    NAMED,
    foreign_files,
    free_name,
    read_list,
    remove_own_files,
    some_of,
)

ELSEWHERE = "Choose another --out."


def resolve_target(out: Path) -> Path:
    """The folder that is meant: a link is followed, and stays as it is.

    Raises:
        BuildError: if a link leads in a circle.
    """
    try:
        return out.absolute().resolve(strict=out.is_symlink() and out.exists())
    except (OSError, RuntimeError) as error:
        raise BuildError("The output folder is a broken link.", file=out, remedy=ELSEWHERE) from error


def check_target(out: Path, work: Path, split: Split, reads: Iterable[Path] = (), store: Place | None = None) -> None:
    """Whether a data set may be built into a folder.

    Args:
        out: as :func:`resolve_target` gives it.
        work: the folder to work in, which goes when the work is done.
        split: of the data set to build.
        reads: folders and files that the build reads: those of the sources, data sets held out.
        store: the slice store, if it is kept.

    Raises:
        BuildError: if not; the folder is as it was.
    """
    _put_back(out)
    if out.exists() and not out.is_dir():
        raise BuildError("The output is a file; it must be a folder.", file=out, remedy=ELSEWHERE)
    _check_place(out)
    _check_others(out, work, [*reads, *([] if store is None or is_remote(store) else [store])])
    if store is not None and not is_remote(store) and store.absolute().resolve() in out.parents:
        raise BuildError("The output folder lies in the slice store.", file=out, value=str(store), remedy=ELSEWHERE)
    if out.is_dir():
        _check_content(out, split)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BuildError("The output folder cannot be made.", file=out, value=error.strerror) from error
    for folder in (out, out.parent):
        if folder.is_dir() and not os.access(folder, os.W_OK | os.X_OK):
            raise BuildError("The output folder cannot be written.", file=folder, remedy=ELSEWHERE)


def _check_place(out: Path) -> None:
    here = Path.cwd()
    if out == here or out in here.parents:
        raise BuildError(
            "The output is the current folder, or contains it: it cannot be replaced.",
            file=out,
            remedy="Go to another folder first, or choose another --out.",
        )
    if os.path.ismount(out):
        raise BuildError(
            "The output folder is a mount point; it cannot be replaced as a whole.",
            file=out,
            remedy=f"Give a folder in it: --out {out / 'mis-ground'}.",
        )
    inside = next((folder for folder in out.parents if is_dataset(folder)), None)
    if inside is not None:
        raise BuildError("The output folder lies in a data set.", file=out, value=str(inside), remedy=ELSEWHERE)


def _check_others(out: Path, work: Path, others: Iterable[Path]) -> None:
    for folder in others:
        other = folder.absolute().resolve()
        if any(goes == other or goes in other.parents for goes in (out, work)):
            raise BuildError(
                "The build needs files in a folder that it would replace.",
                file=folder,
                value=str(out if out == other or out in other.parents else work),
                remedy=ELSEWHERE,
            )


def _check_content(out: Path, split: Split) -> None:
    if not any(out.iterdir()):
        return
    if not is_dataset(out):
        raise BuildError(
            "The output folder contains something that is not a MIS-Ground data set; it is left unchanged.",
            file=out,
            value=some_of(path.name for path in sorted(out.iterdir())),
            remedy=ELSEWHERE,
        )
    found = split_of_record(read_record(out))
    if found != split:
        raise BuildError(
            f"The output folder contains a data set of the split '{found}'; a '{split}' split does not replace it.",
            file=out,
            remedy=ELSEWHERE,
        )
    if read_list(out) is None:
        raise BuildError(
            "The output folder holds a data set without a list of its files, downloaded or of an earlier version: "
            "it is left unchanged.",
            file=out,
            remedy="Choose another --out, or move the folder away.",
        )
    foreign = [*islice(foreign_files(out), 10 * NAMED)]
    if foreign:
        raise BuildError(
            "The output folder contains a data set with files that a build did not write; it is left unchanged.",
            file=out,
            value=some_of(foreign),
            remedy="Move these files away, or choose another --out.",
        )


def is_dataset(folder: Path) -> bool:
    """Whether a folder holds the record of a build of this package."""
    if not (folder / RECORD_NAME).is_file():
        return False
    try:
        return bool(read_record(folder).builds)
    except DatasetNotFoundError:
        return False


def moved_aside(out: Path) -> Path:
    """Where the old data set is while the new one takes its place."""
    return out.parent / f".{out.name}.old"


def _put_back(out: Path) -> None:
    """What an earlier build left, if power went while its data set took the old one's place."""
    old = moved_aside(out)
    if not old.exists() and not old.is_symlink():
        return
    if old.is_symlink() or not is_dataset(old):
        raise BuildError(
            "A build would move the old data set to this folder, which already exists.",
            file=old,
            remedy="Move it away, or choose another --out.",
        )
    if not out.exists():
        old.rename(out)
    else:
        _keep_or_remove(old, out)


def kept_beside(out: Path) -> Path:
    """Where an old data set is kept if the user's files came into it."""
    return out.with_name(f"{out.name}-before")


def put_in_place(made: Path, out: Path) -> Path | None:
    """Give a finished data set its name.

    Args:
        made: the finished data set, on the same disk.
        out: its name; what is there is moved aside first, and deleted if a build wrote all of it.

    Returns:
        Where the old data set is kept, if it has files that a build did not write: they came while this one ran.
    """
    kept = None
    if out.is_dir() and not any(out.iterdir()):
        out.rmdir()
    if out.exists():
        old = moved_aside(out)
        out.rename(old)
        made.rename(out)
        kept = _keep_or_remove(old, out)
    else:
        made.rename(out)
    return kept


def _keep_or_remove(old: Path, out: Path) -> Path | None:
    """Delete an old data set, or keep all of it if there is anything of the user's in it; returns where."""
    if next(foreign_files(old), None) is None and remove_own_files(old):
        return None
    kept = free_name(kept_beside(out))
    old.rename(kept)
    return kept


class OnlyBuild(FileLock):
    """Refuses a second build into the same folder at the same time."""

    def __init__(self, out: Path) -> None:
        super().__init__(out.parent / f".{out.name}.lock", timeout=0)
        self._out = out

    def __enter__(self) -> "OnlyBuild":
        try:
            super().__enter__()
        except Timeout as error:
            raise BuildError(
                "Another build is writing to this folder.",
                file=self._out,
                remedy="Wait until it has finished, or choose another --out.",
            ) from error
        return self
