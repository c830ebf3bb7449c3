"""``kneeSideInfo.csv`` of OAIZIB-CM: which knee each file shows.

As published it has no header and one line per knee, ``oaizib_001.nii.gz,right``. A header that names a column "side",
other separators, and the Osteoarthritis Initiative's own numbers (1 right, 2 left) are understood too. A knee without
a side is one whose side is unknown.
"""

import csv
import re
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

from dataset_builder.core.errors import SourceError
from dataset_builder.core.factors import Side
from dataset_builder.sources.packed import open_zip

CSV_NAME = "kneeSideInfo.csv"

_SIDES: Mapping[str, Side] = {"right": "right", "r": "right", "1": "right", "left": "left", "l": "left", "2": "left"}
_UNKNOWN = frozenset({"", "unknown", "na", "n/a", "nan", "none", "?"})
_FORM = "Write one line per knee: oaizib_001.nii.gz,right."


def without_ending(name: str) -> str | None:
    """A NIfTI file's name without its ending; ``None`` for other files.

    >>> without_ending("oaizib_001.nii.gz")
    'oaizib_001'
    """
    found = re.fullmatch(r"(.+)\.nii(\.gz)?", name)
    return found[1] if found else None


def read_sides(folder: Path, url: str) -> dict[str, Side | None]:
    """Side by subject; ``None`` where the list leaves it open.

    Args:
        folder: of the data set; the list is in it, in ``info/`` or in ``info.zip``.
        url: where to download the list.

    Raises:
        SourceError: if there is no list, or a line of it cannot be understood.
    """
    file, content = _find(folder, url)
    try:
        text = content.decode("utf-8-sig")
        first = text.partition("\n")[0]
        separator = max(",;\t", key=first.count)
        rows = [[cell.strip() for cell in row] for row in csv.reader(text.splitlines(), delimiter=separator)]
    except (UnicodeDecodeError, csv.Error) as error:
        raise SourceError(
            "The list of sides cannot be read as text.",
            file=file,
            value=str(error),
            remedy="Restore it from the archive.",
        ) from error
    return _sides([row for row in rows if any(row)], file)


def _find(folder: Path, url: str) -> tuple[Path, bytes]:
    for path in (folder / CSV_NAME, folder / "info" / CSV_NAME):
        if path.is_file():
            return path, path.read_bytes()
    archive = folder / "info.zip"
    if archive.is_file():
        try:
            with open_zip(archive) as packed:
                for member in packed.namelist():
                    if PurePosixPath(member).name == CSV_NAME:
                        return archive, packed.read(member)
        except zipfile.BadZipFile as error:
            raise SourceError(
                "The archive cannot be read.", file=archive, value=str(error), remedy="Download it again."
            ) from error
    raise SourceError(
        f"There is no {CSV_NAME}: without it, it is unknown which knee each scan shows.",
        file=folder,
        remedy=f"Download it from {url}. {_FORM}",
    )


def _sides(rows: Sequence[Sequence[str]], file: Path) -> dict[str, Side | None]:
    """Side by subject from rows of cells."""
    name_column, side_column = 0, 1
    headed = [at for at, cell in enumerate(rows[0]) if "side" in cell.lower()] if rows else []
    if headed:
        side_column, name_column = headed[0], 0 if headed[0] else 1
        rows = rows[1:]
    sides: dict[str, Side | None] = {}
    for row in rows:
        name = PurePosixPath(row[name_column].replace("\\", "/")).name if len(row) > name_column else ""
        said = row[side_column].lower() if len(row) > side_column else ""
        subject = (without_ending(name) or name).removesuffix("_0000")
        if not subject or (said not in _SIDES and said not in _UNKNOWN):
            raise SourceError(
                "A line of the list of sides gives neither left nor right for a knee.",
                file=file,
                value=", ".join(row),
                remedy=f"{_FORM} Leave the side empty where it is unknown.",
            )
        side = _SIDES.get(said)
        if sides.setdefault(subject, side) != side:
            raise SourceError(
                "The list of sides gives two sides for one knee.",
                file=file,
                value=subject,
                remedy="Keep only one of the lines.",
            )
    return sides
