"""Questions for places and numbers about the small trunk, in memory, and where things are in it by arithmetic."""

import itertools
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from dataset_builder.building.rows import rows_of
from dataset_builder.core.settings import Settings
from dataset_builder.imaging.volume import Volume
from dataset_builder.slices.selection import SliceRecord, cut
from dataset_builder.slices.stacks import cut_stack
from dataset_builder.vocabulary import structures
from tests.helpers.small_body import ORGANS, affine_of, draw, volume_of

Row = dict[str, Any]

ASKED = Settings(
    image_size=128,
    answer_types=("point", "box", "number"),
    locate_questions_per_volume=160,
    measure_questions_per_volume=120,
)
MIDDLES = {name: np.array(middle, float) for name, middle, *_ in ORGANS}
HALVES = {name: np.array(half, float) for name, _, half, *_ in ORGANS}


def trunk(mm: float = 4.0, noise: float = 0.0) -> Volume:
    """The small trunk, without noise unless wanted."""
    shape = tuple(round(size * 6 / mm) for size in (66, 44, 86))
    affine = affine_of(mm, shape)
    return volume_of(*draw(affine, shape, noise=noise), affine)


def index_at(volume: Volume, axis: int, mm: float) -> int:
    """The slice along an array axis that lies nearest to a position in the world."""
    return round((mm - volume.affine[axis, 3]) / volume.affine[axis, axis])


def records_of(volume: Volume, stack: bool = True) -> list[SliceRecord]:
    """An axial, a coronal and a sagittal slice through kidneys, aorta and spine, and a coronal stack."""
    at = [("axial", 2, -10.0), ("coronal", 1, -50.0), ("sagittal", 0, -5.0)]
    found = [cut(volume, plane, index_at(volume, axis, mm)) for plane, axis, mm in at]
    if stack:
        low = index_at(volume, 1, -80.0)
        step = round(20 / volume.affine[1, 1])
        found += cut_stack(volume, "coronal", [low + step * number for number in range(8)])
    return found


def rows(records: list[SliceRecord], settings: Settings = ASKED) -> list[Row]:
    """Rows about slices; their images are arrays."""
    return list(rows_of(records, settings, structures(), encode=lambda image: image))


def shown_at(
    record: SliceRecord, size: int, convention: str, view: str, world: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Where places in the world [..., 3] come to lie in the image of a slice, in pixels [..., 2]: worked out by hand.

    Radiological: the patient's right, or front, is at the left edge; front, or head, at the top.
    """
    across, up = {"axial": (0, 1), "coronal": (0, 2), "sagittal": (1, 2)}[record.plane]
    at = (world - record.affine[:3, 3]) / np.diag(record.affine)[:3]  # voxel middles at whole numbers
    u, v = (at[..., axis] + 0.5 for axis in (across, up))
    wide, high = (count * step for count, step in zip(record.shape, record.spacing, strict=True))
    side = max(wide, high)
    x = (u * record.spacing[0] + (side - wide) / 2) / side * size
    y = (v * record.spacing[1] + (side - high) / 2) / side * size
    if convention == "radiological":
        x, y = size - x, size - y
    if view == "mirrored":
        x = size - x
    elif view == "rotated90":
        x, y = size - y, x
    elif view == "rotated180":
        x, y = size - x, size - y
    return np.stack([x, y], axis=-1)


def box_at(record: SliceRecord, name: str, size: int, convention: str, view: str) -> npt.NDArray[np.float64]:
    """The box of an ellipsoid of the trunk, cut by the slice, in pixels; not rounded."""
    axis = {"axial": 2, "coronal": 1, "sagittal": 0}[record.plane]
    off = (record.affine[axis, axis] * record.index + record.affine[axis, 3] - MIDDLES[name][axis]) / HALVES[name][axis]
    half = HALVES[name] * np.sqrt(max(0.0, 1 - off**2))
    if name.startswith("vertebrae"):
        half = HALVES[name].copy()  # a block
    corners = np.array([MIDDLES[name] + half * signs for signs in itertools.product((-1, 1), repeat=3)])
    shown = shown_at(record, size, convention, view, corners)
    return np.concatenate([shown.min(axis=0), shown.max(axis=0)])


def stored_in_every_order(volume: Volume) -> Iterator[Volume]:
    """The volume stored in each of the 48 orders that an array's axes can have."""
    for order in itertools.permutations(range(3)):
        for flips in itertools.product((False, True), repeat=3):
            image, labels = volume.image.transpose(order), volume.labels.transpose(order)
            turn = np.zeros((4, 4))
            turn[3, 3] = 1
            for new, old in enumerate(order):
                turn[old, new] = -1 if flips[new] else 1
                turn[old, 3] = volume.labels.shape[old] - 1 if flips[new] else 0
            flipped = tuple(slice(None, None, -1) if flip else slice(None) for flip in flips)
            yield volume_of(image[flipped], labels[flipped], volume.affine @ turn, names=volume.names)


def with_voxels_of(record: SliceRecord, factor: float) -> SliceRecord:
    """The same slice, said to have voxels of another size."""
    affine = record.affine.copy()
    affine[:3] *= factor
    u, v = record.spacing
    return replace(
        record,
        spacing=(u * factor, v * factor),
        thickness_mm=record.thickness_mm * factor,
        affine=affine,
        midline_mm=None if record.midline_mm is None else record.midline_mm * factor,
    )
