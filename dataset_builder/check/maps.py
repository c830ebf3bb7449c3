"""Label maps of the slice store, and where they are in an image, by the audit's own way of working it out.

The store's images show the slice with columns = first in-plane index, rows = second. An image of the data set is
that, in square pixels, padded to a square, turned by 180 degrees if radiological, and then as the view says. Here only
the corners of voxels are moved, as numbers; nothing is shared with :mod:`dataset_builder.imaging.geometry`.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, TypeVar

import cv2
import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq

from dataset_builder.check.items import SliceKey

IN_PLANE = {"axial": "RA", "coronal": "RS", "sagittal": "AS"}
"""The patient's axes along the columns and rows of a stored slice: each grows toward the letter."""

COLUMNS = (
    *("source", "subject", "plane", "slice_index", "side", "image", "slope", "intercept", "labels", "names"),
    *("spacing_mm", "thickness_mm", "stack", "through_mm", "midline_mm", "licence", "modality", "affine"),
)

Rectangle = tuple[float, float, float, float]
Number = TypeVar("Number", bound=np.generic)


@dataclass(frozen=True)
class Structure:
    """One structure of a slice, measured.

    Args:
        area_mm2: its pixels' area.
        centre: mean position of its voxels (columns, rows) in mm from the corner of the stored slice.
        voxels: (first column, first row, last column + 1, last row + 1).
    """

    area_mm2: float
    centre: tuple[float, float]
    voxels: tuple[int, int, int, int]


@dataclass(frozen=True, eq=False)
class Map:
    """A slice of the store.

    Args:
        key: source, subject, plane and index.
        labels: [rows, columns] as stored.
        values: label value of each structure that the source labels.
        spacing: size of a voxel along columns and rows in mm.
        through: mean position of structures in the volume along the plane's axis in mm, by name; of stacks.
        thickness: distance between slices in mm.
        directions: [3, 3] where the array's axes lead in the patient: R, A and S of each, one a column.
    """

    key: SliceKey
    side: str | None
    labels: npt.NDArray
    grey: npt.NDArray[np.float64]
    values: Mapping[str, int]
    spacing: tuple[float, float]
    midline_mm: float | None
    stack: str
    through: Mapping[str, float]
    licence: str = ""
    modality: str = "ct"
    thickness: float = 1.0
    directions: npt.NDArray[np.float64] = field(default_factory=lambda: np.eye(3))

    @property
    def straight(self) -> bool:
        """Whether the array's axes are the patient's."""
        return bool(np.allclose(self.directions, np.eye(3), atol=1e-3))

    def contact_mm(self, one: str, other: str) -> float:
        """Length of the border that two structures share in mm."""
        a, b = self.of(one), self.of(other)
        along = np.count_nonzero(a[1:] & b[:-1]) + np.count_nonzero(a[:-1] & b[1:])
        across = np.count_nonzero(a[:, 1:] & b[:, :-1]) + np.count_nonzero(a[:, :-1] & b[:, 1:])
        return along * self.spacing[0] + across * self.spacing[1]

    def rendered(self, low: float, high: float, size: int, blocks: int) -> npt.NDArray[np.float32]:
        """The slice as stored, through a window, in a square image of that side, averaged over blocks [blocks, blocks].

        Each pixel is a weighted sum of voxels, along columns and rows by themselves: two matrices do it.
        """
        grey = np.clip((self.grey - low) * (255 / (high - low if high > low else 1.0)), 0, 255)
        rows, columns = self.labels.shape
        side = max(self.extent)
        across = _weights(columns, self.spacing[0], side, size, blocks)
        down = _weights(rows, self.spacing[1], side, size, blocks)
        return down @ np.rint(grey).astype(np.float32) @ across.T

    def unsure(self, size: int, blocks: int) -> npt.NDArray[np.bool_]:
        """Blocks in which the middle of a pixel falls on the edge of the slice: it may be padding or not."""
        rows, columns = self.labels.shape
        side = max(self.extent)
        across = _unsure(columns, self.spacing[0], side, size, blocks)
        down = _unsure(rows, self.spacing[1], side, size, blocks)
        return down[:, None] | across[None]

    def share(self, name: str, size: int, blocks: int) -> npt.NDArray[np.float32]:
        """Share of each block that shows a structure, in the square image as stored [blocks, blocks]."""
        rows, columns = self.labels.shape
        side = max(self.extent)
        across = _cover(columns, self.spacing[0], side, size, blocks)
        down = _cover(rows, self.spacing[1], side, size, blocks)
        return down @ self.of(name).astype(np.float32) @ across.T

    @cached_property
    def extent(self) -> tuple[float, float]:
        """Width and height of the stored slice in mm."""
        rows, columns = self.labels.shape
        return columns * self.spacing[0], rows * self.spacing[1]

    @cached_property
    def structures(self) -> dict[str, Structure]:
        """Every structure with a voxel in the slice."""
        rows, columns = np.nonzero(self.labels)
        found = self.labels[rows, columns]
        if not len(found):
            return {}  # a slice of a stack may show nothing that is labelled
        order = np.argsort(found, kind="stable")
        rows, columns, found = rows[order], columns[order], found[order]
        values, starts = np.unique(found, return_index=True)
        names = {value: name for name, value in self.values.items()}
        measured = {}
        for value, part in zip(values.tolist(), np.split(np.arange(len(found)), starts[1:]), strict=True):
            if value in names:
                x, y = columns[part], rows[part]
                measured[names[value]] = Structure(
                    len(part) * self.spacing[0] * self.spacing[1],
                    ((float(x.mean()) + 0.5) * self.spacing[0], (float(y.mean()) + 0.5) * self.spacing[1]),
                    (int(x.min()), int(y.min()), int(x.max()) + 1, int(y.max()) + 1),
                )
        return measured

    def shown(self, size: int, convention: str, view: str) -> "Shown":
        """The slice in an image of that side."""
        return Shown(self, size, convention, view)

    def of(self, name: str) -> npt.NDArray[np.bool_]:
        """Where a structure is [rows, columns]."""
        return np.asarray(self.labels == self.values[name])


@dataclass(frozen=True)
class Shown:
    """A slice in a square image of side ``size``."""

    map: Map
    size: int
    convention: str
    view: str

    @cached_property
    def pixel_mm(self) -> float:
        """Side of a pixel in mm."""
        return max(self.map.extent) / self.size

    @cached_property
    def _padding(self) -> tuple[float, float]:
        """Left and above the stored slice, in mm."""
        side = max(self.map.extent)
        return (side - self.map.extent[0]) / 2, (side - self.map.extent[1]) / 2

    def to_image(self, place: Rectangle) -> Rectangle:
        """A rectangle in mm of the stored slice, in pixels of the image."""
        (left, above), mm = self._padding, self.pixel_mm
        x0, y0, x1, y1 = place
        corners = [((x0 + left) / mm, (y0 + above) / mm), ((x1 + left) / mm, (y1 + above) / mm)]
        return _around([_turn(corner, self.size, self.convention, self.view) for corner in corners])

    def to_slice(self, place: Rectangle) -> Rectangle:
        """A rectangle in pixels of the image, in mm of the stored slice."""
        (left, above), mm = self._padding, self.pixel_mm
        x0, y0, x1, y1 = place
        back = [_turn_back(corner, self.size, self.convention, self.view) for corner in ((x0, y0), (x1, y1))]
        return _around([(x * mm - left, y * mm - above) for x, y in back])

    def box(self, name: str) -> Rectangle:
        """Around a structure's voxels, in pixels of the image."""
        x0, y0, x1, y1 = self.map.structures[name].voxels
        u, v = self.map.spacing
        return self.to_image((x0 * u, y0 * v, x1 * u, y1 * v))

    def has_box(self, name: str, box: tuple[int, ...]) -> bool:
        """Whether a box is that of a structure, to a pixel.

        Pixels belong to the structure that their middle lies on. Where voxels are smaller than pixels, thin parts fall
        between the middles, and a small structure may do so as a whole: its box is a single pixel then.
        """
        if _differ(box, self.box(name)) <= 1:
            return True
        sampled = [self._sampled(name, across, down) for across in (-1, 1) for down in (-1, 1)]
        if any(found is not None and _differ(box, found) <= 1 for found in sampled):
            return True
        return None in sampled and box[2] - box[0] == box[3] - box[1] == 1

    def pixels(self, name: str) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
        """The pixels of the image that surely show a structure, and those that may [S, S] each.

        Sure is not what has its middle on the border of two voxels.
        """
        found = [self._middles_on(name, across, down) for across in (-1, 1) for down in (-1, 1)]
        sure, possible = np.logical_and.reduce(found), np.logical_or.reduce(found)
        return as_shown(sure, self.convention, self.view), as_shown(possible, self.convention, self.view)

    def _sampled(self, name: str, across: int, down: int) -> Rectangle | None:
        """Around the pixels whose middles lie on a structure; ``None`` if there are none."""
        down_to, along = np.nonzero(self._middles_on(name, across, down))
        if not len(along):
            return None
        corners = [(float(along.min()), float(down_to.min())), (float(along.max()) + 1, float(down_to.max()) + 1)]
        return _around([_turn(corner, self.size, self.convention, self.view) for corner in corners])

    def _middles_on(self, name: str, across: int, down: int) -> npt.NDArray[np.bool_]:
        """The pixels of the square as stored whose middles lie on a structure [S, S].

        A middle on the border of two voxels counts to the next one or the one before, as ``across`` and ``down`` say.
        """
        mm = (np.arange(self.size) + 0.5) * self.pixel_mm
        rows, columns = self.map.labels.shape
        x = np.floor((mm - self._padding[0]) / self.map.spacing[0] + across * 1e-6).astype(int)
        y = np.floor((mm - self._padding[1]) / self.map.spacing[1] + down * 1e-6).astype(int)
        inside = ((y >= 0) & (y < rows))[:, None] & ((x >= 0) & (x < columns))[None]
        there = self.map.of(name)[np.clip(y, 0, rows - 1)[:, None], np.clip(x, 0, columns - 1)[None]] & inside
        return np.asarray(there)

    def touches(self, name: str, point: tuple[int, ...]) -> bool:
        """Whether a pixel covers part of a voxel of a structure."""
        x, y = point
        x0, y0, x1, y1 = self.to_slice((x, y, x + 1, y + 1))
        u, v = self.map.spacing
        rows, columns = self.map.labels.shape
        slack = 1e-6  # a pixel's border on a voxel's border
        across = slice(*np.clip([np.floor(x0 / u - slack), np.ceil(x1 / u + slack)], 0, columns).astype(int))
        down = slice(*np.clip([np.floor(y0 / v - slack), np.ceil(y1 / v + slack)], 0, rows).astype(int))
        there = self.map.labels[down, across]
        return bool((there == self.map.values[name]).any())


@lru_cache(maxsize=64)
def _weights(count: int, step: float, side: float, size: int, blocks: int) -> npt.NDArray[np.float32]:
    """What each of ``count`` voxels of that size adds to each block along one axis of the image [blocks, count].

    Voxels smaller than pixels are averaged first, to whole numbers of them; between their centres values are linear.
    """
    scale = step * size / side  # pixels a voxel
    kept = max(1, round(count * scale)) if scale < 1 else count
    averaged = _overlaps(count, kept) * (kept / count)
    first = (size - count * scale) / 2
    at = (np.arange(size) + 0.5 - first) / (count * scale) * kept - 0.5
    inside = (at + 0.5 >= -1e-9) & (at + 0.5 < kept + 1e-9)
    low = np.clip(np.floor(at), 0, kept - 1).astype(int)
    part = np.clip(at - low, 0, 1)
    linear = np.zeros((size, kept))
    linear[np.arange(size), low] += 1 - part
    linear[np.arange(size), np.minimum(low + 1, kept - 1)] += part
    linear[~inside] = 0
    return (_overlaps(size, blocks) * (blocks / size) @ linear @ averaged).astype(np.float32)


@lru_cache(maxsize=64)
def _unsure(count: int, step: float, side: float, size: int, blocks: int) -> npt.NDArray[np.bool_]:
    length = count * step * size / side  # of the slice along the axis, in pixels
    first = (size - length) / 2
    at = np.arange(size) + 0.5
    on_edge = np.minimum(abs(at - first), abs(at - first - length)) < 1e-6 * size
    return (_overlaps(size, blocks) @ on_edge) > 0


@lru_cache(maxsize=64)
def _cover(count: int, step: float, side: float, size: int, blocks: int) -> npt.NDArray[np.float32]:
    """Share of each block along one axis that each voxel covers [blocks, count]: of pixels whose middles lie in it."""
    at = np.floor(((np.arange(size) + 0.5) * side / size - (side - count * step) / 2) / step).astype(int)
    there = (at >= 0) & (at < count)
    nearest = np.zeros((size, count))
    nearest[np.flatnonzero(there), at[there]] = 1
    return (_overlaps(size, blocks) * (blocks / size) @ nearest).astype(np.float32)


def _overlaps(fine: int, coarse: int) -> npt.NDArray[np.float64]:
    """How much of each of ``fine`` equal parts of a line lies in each of ``coarse`` ones [coarse, fine]."""
    edges = np.arange(coarse + 1) * (fine / coarse)
    parts = np.arange(fine)
    return np.clip(np.minimum(edges[1:, None], parts + 1) - np.maximum(edges[:-1, None], parts), 0, None)


def _differ(box: Sequence[float], other: Sequence[float]) -> float:
    """How far apart the edges of two boxes are at most."""
    return max(abs(edge - wanted) for edge, wanted in zip(box, other, strict=True))


def _turn(place: tuple[float, float], size: int, convention: str, view: str) -> tuple[float, float]:
    """Where a place of the stored slice's square image comes to lie."""
    x, y = place
    if convention == "radiological":
        x, y = size - x, size - y
    if view == "mirrored":
        return size - x, y
    if view == "rotated90":
        return size - y, x
    return (size - x, size - y) if view == "rotated180" else (x, y)


def _turn_back(place: tuple[float, float], size: int, convention: str, view: str) -> tuple[float, float]:
    x, y = place
    if view == "mirrored":
        x = size - x
    elif view == "rotated90":
        x, y = y, size - x
    elif view == "rotated180":
        x, y = size - x, size - y
    return (size - x, size - y) if convention == "radiological" else (x, y)


def _around(corners: list[tuple[float, float]]) -> Rectangle:
    (xa, ya), (xb, yb) = corners
    return min(xa, xb), min(ya, yb), max(xa, xb), max(ya, yb)


def read_maps(files: list[Path]) -> Iterator[Map]:
    """The slices of the store, few at a time in memory.

    Raises:
        ValueError, OSError, KeyError, pyarrow.ArrowException: if a file cannot be read.
    """
    for file in files:
        for batch in pq.ParquetFile(file).iter_batches(batch_size=16, columns=list(COLUMNS)):
            for row in batch.to_pylist():
                yield _map(row)


def _map(row: Mapping[str, Any]) -> Map:
    labels, grey = _decode(row["labels"]["bytes"]), _decode(row["image"]["bytes"])
    names = {entry["value"]: entry["name"] for entry in row["names"]}
    through = {entry["value"]: entry["positions"] for entry in row["through_mm"] or ()}
    return Map(
        key=(row["source"], row["subject"], row["plane"], row["slice_index"]),
        side=row["side"],
        labels=labels,
        grey=grey.astype(np.float64) * row["slope"] + row["intercept"],
        values={name: value for value, name in names.items()},
        spacing=(row["spacing_mm"][0], row["spacing_mm"][1]),
        midline_mm=row["midline_mm"],
        stack=row["stack"] or "",
        through={names[value]: positions[1] for value, positions in through.items() if value in names},
        licence=row["licence"],
        modality=row["modality"],
        thickness=row["thickness_mm"],
        directions=_directions(row["affine"]),
    )


def _directions(affine: Sequence[Sequence[float]]) -> npt.NDArray[np.float64]:
    axes = np.asarray(affine, np.float64)[:3, :3]
    return np.asarray(axes / np.linalg.norm(axes, axis=0))


def _decode(data: bytes) -> npt.NDArray:
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if image is None:
        raise ValueError("an image of the slice store cannot be decoded")
    return np.asarray(image)


def as_shown(square: npt.NDArray[Number], convention: str, view: str) -> npt.NDArray[Number]:
    """A stored slice's square [rows, columns] turned as a convention and view say."""
    if convention == "radiological":
        square = square[::-1, ::-1]
    if view == "mirrored":
        return square[:, ::-1]
    if view == "rotated90":
        return square.T[:, ::-1]  # what was the bottom row becomes the left column
    return square[::-1, ::-1] if view == "rotated180" else square


def window_limits(window: str) -> tuple[float, float]:
    """The values that a window shows as black and as white, from its text in the column ``window``.

    Raises:
        ValueError: if it is not a window's text.
    """
    number = r"(-?\d+(?:\.\d+)?(?:e[+-]?\d+)?)"
    if found := re.search(rf"W{number} L{number}$", window):
        width, level = float(found[1]), float(found[2])
        return level - width / 2, level + width / 2
    if found := re.search(rf"\({number}-{number}\)$", window):
        return float(found[1]), float(found[2])
    raise ValueError(f"not a window: {window}")
