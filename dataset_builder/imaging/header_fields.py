"""What the readers of headers in text share: numbers that mean one thing, and the error about a damaged field."""

import math
import re
from pathlib import Path

from dataset_builder.core.errors import UnreadableError

COPY_AGAIN = "Copy the file again from its source, or leave the case out."
LARGEST = 1e6
"""No place in a patient is farther away in mm."""

_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?", re.ASCII)
_LONGEST_NUMBER = 40


def plain_numbers(text: str) -> list[float]:
    """The numbers of a field; none if one of its words is not a plain finite number.

    >>> plain_numbers("1 -2.5e1"), plain_numbers("1 nan"), plain_numbers("1_0")
    ([1.0, -25.0], [], [])
    """
    words = text.split()
    if not all(len(word) < _LONGEST_NUMBER and _NUMBER.fullmatch(word) for word in words):
        return []
    numbers = [float(word) for word in words]
    return numbers if all(map(math.isfinite, numbers)) else []


def damaged_header(path: Path, value: str, format_name: str = "MetaImage") -> UnreadableError:
    """The error that names what is damaged in a header."""
    said = "".join(letter if letter.isprintable() else "?" for letter in value)
    return UnreadableError(
        f"The header of the {format_name} file is damaged.", file=path, value=said, remedy=COPY_AGAIN
    )


def file_beside(path: Path, named: str) -> Path | None:
    """The file with the voxels that a header names, in the header's folder; None if there is none."""
    try:
        beside = path.parent / named.encode("latin-1").decode("utf-8", "surrogateescape")
        return beside if beside.is_file() else None
    except (OSError, ValueError):
        return None


def other_length(path: Path, there: int, stated: int) -> UnreadableError:
    """The error about voxels that are more or fewer than the header says."""
    return UnreadableError(
        "The file has more or fewer voxels than its header says.",
        file=path,
        value=f"{there} bytes in place of {stated}",
        remedy=COPY_AGAIN,
    )
