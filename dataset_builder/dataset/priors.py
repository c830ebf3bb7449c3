"""What can be said of a position or a measurement without the image: the baselines of those who do not look.

The prior of a row is made of the rows of the *other* volumes only: for a box the mean box of the same structure in the
same kind of image, for a number the mean of the same measurement. Where no other volume has it, all structures (or all
measurements of this kind) stand in. Beside it stands a box drawn at random. They are what a model must beat.
"""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

Row = Mapping[str, Any]
Box = tuple[float, float, float, float]
Key = tuple[Any, ...]

COLUMNS = (
    "id",
    "answer_type",
    "structures",
    "boxes",
    "answer_image",
    "value",
    "unit",
    "relation",
    "modality",
    "plane",
    "convention",
    "view",
    "input",
    "source",
    "subject",
)
"""Columns that are read."""


def volume_of(row: Row) -> str:
    """The volume that a row is about."""
    return f"{row['source']}/{row['subject']}"


def box_priors(rows: Sequence[Row]) -> list[Box | None]:
    """For each row the mean box of its first structure over the other volumes, in pixels of the stored image.

    Args:
        rows: of answer types ``box`` and ``point``; of others the prior is None, and they count for none.

    Returns:
        In the order of the rows; None where no other volume has a box.
    """
    keys: tuple[Callable[[Row], Key], ...] = (
        lambda row: (row["structures"][0], *(row[name] for name in ("modality", "plane", "convention", "view"))),
        lambda row: tuple(row[name] for name in ("modality", "plane", "convention", "view")),
        lambda row: (),
    )
    wanted = [row["answer_type"] in ("box", "point") and bool(row["boxes"]) for row in rows]
    values = [
        tuple(map(float, row["boxes"][0])) if is_wanted else None for row, is_wanted in zip(rows, wanted, strict=True)
    ]
    return [(x[0], x[1], x[2], x[3]) if x else None for x in _of_other_volumes(rows, values, keys)]


def image_priors(rows: Sequence[Row]) -> list[float | None]:
    """For each row with several images the mean index of the image asked for, over the other volumes."""
    keys: tuple[Callable[[Row], Key], ...] = (
        lambda row: (row["structures"][0], row["modality"], row["plane"]),
        lambda row: (),
    )
    values = [None if row["answer_image"] is None else (float(row["answer_image"]),) for row in rows]
    return [x[0] if x else None for x in _of_other_volumes(rows, values, keys)]


def number_priors(rows: Sequence[Row]) -> list[float | None]:
    """For each row the mean of the same measurement over the other volumes, in the row's unit.

    Args:
        rows: of answer type ``number``; of others the prior is None, and they count for none.

    Returns:
        In the order of the rows; None where no other volume has such a measurement.
    """
    keys: tuple[Callable[[Row], Key], ...] = (
        lambda row: (row["relation"], row["unit"], tuple(row["structures"]), row["modality"], row["plane"]),
        lambda row: (row["relation"], row["unit"], row["modality"], row["plane"]),
        lambda row: (row["relation"], row["unit"]),
    )
    values = [(float(row["value"]),) if row["answer_type"] == "number" else None for row in rows]
    return [x[0] if x else None for x in _of_other_volumes(rows, values, keys)]


def random_box(identity: str, width: int, height: int) -> Box:
    """A box with corners drawn evenly over the image; always the same for a row's id."""
    digest = hashlib.sha256(f"random box {identity}".encode()).digest()
    x0, x1, y0, y1 = (int.from_bytes(digest[8 * n : 8 * n + 8]) / 2**64 for n in range(4))
    left, right, top, bottom = min(x0, x1), max(x0, x1), min(y0, y1), max(y0, y1)
    return left * (width - 1), top * (height - 1), right * (width - 1) + 1, bottom * (height - 1) + 1


def _of_other_volumes(
    rows: Sequence[Row], values: Sequence[tuple[float, ...] | None], keys: Sequence[Callable[[Row], Key]]
) -> list[tuple[float, ...] | None]:
    """For each row that has a value the mean over the other volumes, each volume counted once.

    Args:
        rows: in any order.
        values: of the rows.
        keys: what rows must share; the first for which another volume has any counts.
    """
    found: list[tuple[float, ...] | None] = [None] * len(rows)
    for key_of in keys:
        sums: dict[Key, dict[str, list[tuple[float, ...]]]] = defaultdict(lambda: defaultdict(list))
        for row, value in zip(rows, values, strict=True):
            if value is not None:
                sums[key_of(row)][volume_of(row)].append(value)
        means = {key: {volume: _mean(own) for volume, own in of_key.items()} for key, of_key in sums.items()}
        totals = {key: _sum(list(of_key.values())) for key, of_key in means.items()}
        for number, (row, value) in enumerate(zip(rows, values, strict=True)):
            if value is None or found[number] is not None:
                continue
            key, volume = key_of(row), volume_of(row)
            others = len(means[key]) - 1
            if others:
                own = means[key][volume]
                found[number] = tuple((all_ - one) / others for all_, one in zip(totals[key], own, strict=True))
    return found


def _sum(values: Sequence[tuple[float, ...]]) -> tuple[float, ...]:
    return tuple(map(sum, zip(*values, strict=True)))


def _mean(values: Sequence[tuple[float, ...]]) -> tuple[float, ...]:
    return tuple(total / len(values) for total in _sum(values))
