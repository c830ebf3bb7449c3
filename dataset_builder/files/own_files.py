"""What MIS-Ground may replace or delete: files that it wrote itself and that nobody has changed since, and no others.

It knows them by three marks, all made here:

- A folder that it writes for a user (a data set, a report, an audit) holds ``.mis-ground-files.json``, the path and
  SHA-256 of each file written there. A file that is not listed, or has another hash by now, is the user's.
- A folder that it works in for a while holds the file ``.mis-ground-work``; all in such a folder goes when the work is
  done.
- A single file (a page) carries a mark in its first bytes.

docs/files-we-replace.md lists every place in the code that deletes or replaces something.
"""

import json
import shutil
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath

from dataset_builder.core.errors import BuildError
from dataset_builder.files.atomic import sha256_of, write_atomically

LIST_NAME = ".mis-ground-files.json"
"""In a folder that was written for a user: what was written there."""

WORK_MARK = ".mis-ground-work"
"""In a folder that goes when the work in it is done."""

SYSTEM_FILES = frozenset({".DS_Store", "Thumbs.db", "desktop.ini"})
"""What a file manager leaves in a folder that one looks at; it counts as nothing."""

NAMED = 5
"""How many files an error names; of more, it gives the number."""


# ------------------------------------------------------------------------------------------------------ listed folders


def write_list(folder: Path, known: Mapping[str, str] | None = None) -> None:
    """List every file of a folder that was just made, by path and SHA-256.

    Args:
        folder: all in it was written by this process.
        known: hashes of files that are known already, by path.
    """
    known = known or {}
    found = {
        path.relative_to(folder).as_posix(): path
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != LIST_NAME
    }
    _save(folder, {name: known.get(name) or sha256_of(path) for name, path in found.items()})


def add_to_list(folder: Path, names: Iterable[str]) -> None:
    """List further files of a folder, which were just written; paths are relative to it."""
    listed = read_list(folder) or {}
    _save(folder, listed | {name: sha256_of(folder / name) for name in names})


def _save(folder: Path, files: Mapping[str, str]) -> None:
    note = {"written_by": "mis-ground", "files": dict(sorted(files.items()))}
    write_atomically(folder / LIST_NAME, json.dumps(note, indent=1, ensure_ascii=False) + "\n")


def read_list(folder: Path) -> dict[str, str] | None:
    """The files that MIS-Ground wrote to a folder, with their SHA-256; ``None`` if the folder has no such list."""
    try:
        note = json.loads((folder / LIST_NAME).read_text(encoding="utf-8"))
        if note["written_by"] != "mis-ground":
            return None
        files = {str(name): str(sha256) for name, sha256 in note["files"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return {name: sha256 for name, sha256 in files.items() if _is_inside(name)}


def _is_inside(name: str) -> bool:
    path = PurePosixPath(name)
    return bool(path.parts) and not path.is_absolute() and ".." not in path.parts


def foreign_files(folder: Path) -> Iterator[str]:
    """What a folder holds beside the files that MIS-Ground wrote: paths in it, each with a word on what it is.

    A file counts as the user's if it is not listed or was changed; links and folders without a listed file, always.
    """
    listed = read_list(folder) or {}
    ours = {parent.as_posix() for name in listed for parent in PurePosixPath(name).parents}

    def look(place: Path, before: str) -> Iterator[str]:
        for path in sorted(place.iterdir()):
            name = f"{before}{path.name}"
            if path.is_symlink():
                yield f"{name} (a link)"
            elif path.is_dir():
                if name in ours:
                    yield from look(path, f"{name}/")
                else:
                    yield f"{name}/"
            elif name == LIST_NAME or path.name in SYSTEM_FILES:
                continue
            elif name not in listed:
                yield name
            elif not path.is_file() or sha256_of(path) != listed[name]:
                yield f"{name} (changed since it was written)"

    return look(folder, "")


def remove_own_files(folder: Path) -> bool:
    """Delete the files that MIS-Ground wrote to a folder and that are unchanged, and then the folders that are empty.

    What is not MIS-Ground's stays where it is.

    Returns:
        Whether the folder is gone.
    """
    listed = read_list(folder)
    if listed is None or folder.is_symlink():
        return not folder.exists()
    for name, sha256 in listed.items():
        _remove_if_own(folder, name, sha256)
    # The deepest first; one that holds anything else is not empty, and stays.
    places = {parent for name in listed for parent in PurePosixPath(name).parents if parent.parts}
    for place in (*sorted(places, key=lambda place: (-len(place.parts), place)), PurePosixPath()):
        _remove_if_empty(folder / place, SYSTEM_FILES if place.parts else SYSTEM_FILES | {LIST_NAME})
    return not folder.exists()


def _remove_if_empty(folder: Path, nothing: frozenset[str]) -> None:
    """Delete a folder that holds at most these files, which count as nothing."""
    try:
        if folder.is_symlink() or not {path.name for path in folder.iterdir()} <= nothing:
            return
        for path in folder.iterdir():
            path.unlink()
        folder.rmdir()
    except OSError:
        return


def _remove_if_own(folder: Path, name: str, sha256: str) -> None:
    path = folder / name
    parents = [folder / parent for parent in PurePosixPath(name).parents if parent.parts]
    if any(place.is_symlink() for place in (path, *parents)):
        return
    try:
        if path.is_file() and sha256_of(path) == sha256:
            path.unlink()
    except OSError:
        return  # a read-only folder: it stays


def check_may_write(folder: Path, names: Iterable[str]) -> None:
    """Whether files may be written into a folder that can hold others: none of them is there, or MIS-Ground wrote it.

    Raises:
        BuildError: names those that are the user's.
    """
    listed = read_list(folder) or {}
    foreign = []
    for name in names:
        path = folder / name
        if path.is_symlink() or (path.exists() and not path.is_file()):
            foreign.append(name)
        elif path.is_file() and path.stat().st_size and sha256_of(path) != listed.get(name):
            foreign.append(f"{name} (changed since it was written)" if name in listed else name)
    if foreign:
        raise BuildError(
            "The folder has files of the same names that MIS-Ground did not write; nothing was written.",
            file=folder,
            value=some_of(foreign),
            remedy="Choose another --out, or move these files away.",
        )


def remove_listed(folder: Path, names: Iterable[str]) -> None:
    """Delete those of these files that MIS-Ground wrote to the folder and that are unchanged; the others stay."""
    listed = read_list(folder) or {}
    gone = [name for name in names if name in listed]
    for name in gone:
        _remove_if_own(folder, name, listed[name])
    if gone:
        _save(folder, {name: sha256 for name, sha256 in listed.items() if name not in gone})


def some_of(names: Iterable[str], count: int = NAMED) -> str:
    """The first names, and how many more there are."""
    found = list(names)
    more = f" and {len(found) - count} more" if len(found) > count else ""
    return ", ".join(found[:count]) + more


# --------------------------------------------------------------------------------------------------------- work folders


def make_work_folder(folder: Path) -> None:
    """Make a folder to work in, or continue in one that MIS-Ground made.

    Raises:
        BuildError: if something else has this name.
    """
    if folder.is_symlink() or (folder.exists() and not _is_empty_folder(folder) and not is_work_folder(folder)):
        raise BuildError(
            "MIS-Ground would work in a folder of this name, and it holds something else.",
            file=folder,
            remedy="Move it away, or choose another --out.",
        )
    folder.mkdir(parents=True, exist_ok=True)
    (folder / WORK_MARK).write_text("MIS-Ground works here; all of this folder is deleted when it is done.\n")


def is_work_folder(folder: Path) -> bool:
    """Whether MIS-Ground made the folder to work in."""
    return not folder.is_symlink() and (folder / WORK_MARK).is_file()


def remove_work_folder(folder: Path) -> None:
    """Delete a folder that MIS-Ground worked in; any other stays as it is."""
    if is_work_folder(folder):
        shutil.rmtree(folder, ignore_errors=True)


def _is_empty_folder(folder: Path) -> bool:
    return folder.is_dir() and not any(folder.iterdir())


# --------------------------------------------------------------------------------------------------------- single files


def check_may_replace(path: Path, mark: bytes, what: str = "page") -> None:
    """Whether a file may be written at a place that the user named: nothing is there, or a file with the mark.

    Args:
        path: to write.
        mark: what the first bytes of MIS-Ground's own files of this kind hold.
        what: the file is, for the error.

    Raises:
        BuildError: if another file is there.
    """
    if not path.is_file() or not path.stat().st_size:
        return
    with path.open("rb") as file:
        if mark in file.read(4096):
            return
    raise BuildError(
        f"There is a file of this name that is not a {what} of MIS-Ground; it is left unchanged.",
        file=path,
        remedy="Choose another --out, or move the file away.",
    )


def free_name(path: Path) -> Path:
    """The path, or with a number behind it where something is there already."""
    number, free = 1, path
    while free.exists() or free.is_symlink():
        number += 1
        free = path.with_name(f"{path.name}-{number}")
    return free
