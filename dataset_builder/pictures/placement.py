"""Where a structure is in a shown image: its box and a point on it, in pixels."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from dataset_builder.core.factors import Convention, View
from dataset_builder.files.memoize import remembered
from dataset_builder.imaging.geometry import DisplayTransform
from dataset_builder.slices.measured import measured_structures
from dataset_builder.slices.selection import SliceRecord


@dataclass(frozen=True)
class Placement:
    """One structure in one shown image.

    Args:
        box: (x0, y0, x1, y1), half-open: the tight box around the structure's pixels.
        point: (x, y), the pixel of the structure that stands for it.
    """

    box: tuple[int, int, int, int]
    point: tuple[int, int]


@remembered
def placements(
    record: SliceRecord, convention: Convention, image_size: int, view: View = "plain"
) -> Mapping[str, Placement]:
    """Every structure of a slice, also too small to be asked about, in the image that shows it.

    The point is the same voxel in every convention and view. In an image so small that a structure falls between the
    pixels, its box is the one pixel that its point lies in.
    """
    transform = DisplayTransform(record.shape, record.spacing, convention, image_size, view)
    shown = transform.show_labels(record.labels)
    boxes = ndimage.find_objects(shown)
    values, measured = measured_structures(record)
    placed = {}
    for value, voxel in zip(values, measured.point_voxel, strict=True):
        exact = transform.to_pixels(voxel)
        x, y = (int(at) for at in np.clip(np.floor(exact), 0, image_size - 1))
        window = boxes[value - 1] if value <= len(boxes) else None
        if window is None:
            placed[record.names[value]] = Placement((x, y, x + 1, y + 1), (x, y))
            continue
        rows, columns = window
        if shown[y, x] != value:
            pixels = np.argwhere(shown[window] == value)[:, ::-1] + (columns.start, rows.start)
            nearest = ((pixels + 0.5 - exact) ** 2).sum(axis=1).argmin()
            x, y = (int(at) for at in pixels[nearest])
        placed[record.names[value]] = Placement((columns.start, rows.start, columns.stop, rows.stop), (x, y))
    return placed
