"""The slices behind a row's images, in full resolution, and what is drawn on them.

The slice store inside a data set has the values of every slice. What a reader sees is the slice through a window of
their own, placed as in the row's image, with the row's markers on top; through the row's own window it is the row's
image, pixel by pixel. Where it is not (another version of the package drew it, or its pixels were changed), or where
the store lacks the slice, the row's image itself is shown.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from dataset_builder.building.rows import markers_of
from dataset_builder.core.factors import DRAWN_PROMPTS
from dataset_builder.core.settings import Settings
from dataset_builder.dataset.manifest import Record, is_slices
from dataset_builder.imaging.geometry import DisplayTransform
from dataset_builder.pictures.render import Window, choose_window, ct_windows, show
from dataset_builder.pictures.scale_bar import bar_length_mm
from dataset_builder.questions.question import Question
from dataset_builder.slices.selection import SliceRecord, records_of

Key = tuple[str, str, str, int, bool]
"""Source, subject, plane, index, and whether the slice belongs to a stack."""

MOST_OFF = 4
"""By how many grey values of 255 rounding may change a pixel, where markers are faint."""


@dataclass(frozen=True)
class StoredSlice:
    """A slice as the store holds it: grey values as a 16-bit PNG (rows = v, columns = u), with slope and intercept."""

    record: SliceRecord
    png: bytes
    slope: float
    intercept: float


@dataclass(frozen=True)
class Shown:
    """How one image of a row is shown.

    Args:
        stored: the slice.
        matrix: a, b, c, d, e, f: column x and row y of the slice's PNG (its first pixel reaches from 0 to 1) lie at
            (a x + c y + e, b x + d y + f) of the row's image.
        window: of the row: the values that are black and white.
        markers: uint8 [S, S, 4], RGB and opacity; ``None`` if nothing is drawn.
    """

    stored: StoredSlice
    matrix: tuple[float, ...]
    window: tuple[float, float]
    markers: npt.NDArray[np.uint8] | None


def read_stored(folder: Path, record: Record, volumes: Iterable[tuple[str, str]]) -> dict[Key, StoredSlice]:
    """The slices of some volumes, as far as the data set has a slice store."""
    wanted = set(volumes)
    files = [file for key, note in record.splits.items() if is_slices(key) for file in note.files]
    found: dict[Key, StoredSlice] = {}
    for file in files:
        opened = pq.ParquetFile(folder / file)
        for group in range(opened.num_row_groups):
            of = opened.read_row_group(group, columns=["source", "subject"]).to_pylist()
            rows = [i for i, row in enumerate(of) if (row["source"], row["subject"]) in wanted]
            if rows:
                table = opened.read_row_group(group).take(rows)
                try:
                    found |= {_key(one.record): one for one in _stored(table)}
                except KeyError:
                    break  # a store of an early version lacks what is needed
    return found


def _key(record: SliceRecord) -> Key:
    return record.source, record.subject, record.plane, record.index, bool(record.stack)


def _stored(table: pa.Table) -> Iterable[StoredSlice]:
    encoded = [image["bytes"] for image in table["image"].to_pylist()]
    numbers = (table[name].to_pylist() for name in ("slope", "intercept"))
    for record, png, slope, intercept in zip(records_of(table), encoded, *numbers, strict=True):
        yield StoredSlice(record, png, slope, intercept)


def shown_of(row: Mapping[str, Any], slices: Mapping[Key, StoredSlice]) -> list[Shown] | None:
    """How each image of a row is shown in full resolution; ``None`` if the row's own images have to do."""
    if row["input"] == "blank":
        return None
    of_stack = row["input"] == "stack"
    keys = [(row["source"], row["subject"], row["plane"], index, of_stack) for index in row["slice_index"]]
    if not keys or len(keys) != len(row["images"]) or any(key not in slices for key in keys):
        return None
    try:
        found = [_shown(row, slices[key], image["bytes"]) for key, image in zip(keys, row["images"], strict=True)]
    except (ValueError, KeyError, LookupError, TypeError, cv2.error):
        return None  # drawn by another version
    return None if None in found else [one for one in found if one is not None]


def _shown(row: Mapping[str, Any], stored: StoredSlice, encoded: bytes) -> Shown | None:
    if row["view"] == "occluded":
        return None  # the slice shows what is to be hidden
    record = stored.record
    expected = _decoded(encoded)
    size = expected.shape[0]
    window = _window(row["window"], record)
    transform = DisplayTransform(record.shape, record.spacing, row["convention"], size, row["view"])
    question = _question(row, window)
    if row.get("scale") == "bar":
        question = replace(question, bar_mm=bar_length_mm(transform.pixel_mm, size))
    plain = row["prompt"] not in DRAWN_PROMPTS and row["answer_type"] != "number"
    markers = None if plain else markers_of(question, record, Settings(image_size=size))
    seen = seen_through(show(record, row["convention"], window, size, row["view"]), markers)
    if np.abs(seen.astype(int) - expected).max() > MOST_OFF:
        return None
    corner, right, below = transform.to_pixels(np.array([(0, 0), (1, 0), (0, 1)]) - 0.5)
    matrix = (*(right - corner), *(below - corner), *corner)
    return Shown(
        stored,
        tuple(round(float(number), 6) for number in matrix),
        (window.low, window.high),
        markers if markers is not None and markers[..., 3].any() else None,
    )


def seen_through(grey: npt.NDArray[np.uint8], markers: npt.NDArray[np.uint8] | None) -> npt.NDArray[np.uint8]:
    """A grey image [S, S] under markers [S, S, 4], as a browser shows it: uint8 [S, S, 3]."""
    if markers is None:
        return np.repeat(grey[..., None], 3, axis=2)
    opacity = markers[..., 3:] / 255
    return np.rint(grey[..., None] * (1 - opacity) + markers[..., :3] * opacity).astype(np.uint8)


def _question(row: Mapping[str, Any], window: Window) -> Question:
    known = {field.name: row[field.name] for field in fields(Question) if field.name in row}
    lists = {name: tuple(value) for name, value in known.items() if isinstance(value, list)}
    places = {name: tuple(map(tuple, row[name])) for name in ("boxes", "points")}
    return Question(**known | lists | places | {"window": window})


def _window(text: str, record: SliceRecord) -> Window:
    if record.modality == "mri":
        return choose_window(record, ())
    return next(window for window in ct_windows().values() if str(window) == text)


def _decoded(encoded: bytes) -> npt.NDArray[np.uint8]:
    """uint8 [S, S, 3], RGB."""
    found = cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_COLOR)
    if found is None:
        raise ValueError("an image that cannot be decoded")
    return np.asarray(cv2.cvtColor(found, cv2.COLOR_BGR2RGB), np.uint8)


def read_rows(folder: Path, files: Sequence[str], ids: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Rows of a data set by id, with all columns; only the row groups that hold them are read."""
    wanted = pa.array(sorted(ids), pa.string())
    found: dict[str, dict[str, Any]] = {}
    for file in files:
        opened = pq.ParquetFile(folder / file)
        for group in range(opened.num_row_groups):
            held = pc.is_in(opened.read_row_group(group, columns=["id"])["id"], value_set=wanted)
            if pc.any(held).as_py():
                rows = opened.read_row_group(group).filter(held).to_pylist()
                found |= {row["id"]: row for row in rows}
    return found
