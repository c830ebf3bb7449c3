"""Where a structure is in a shown image: its box and a point on it, in pixels."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

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


@remembered
def too_close(record: SliceRecord, conventions: Sequence[Convention], image_size: int) -> frozenset[frozenset[str]]:
    """Pairs of structures whose markers could not be told apart, in an image so small or of structures so close.

    Their points lie less than a pixel apart, and so may be one pixel in some convention or view.
    """
    transform = DisplayTransform(record.shape, record.spacing, conventions[0], image_size)
    values, measured = measured_structures(record)
    exact = {
        record.names[value]: transform.to_pixels(voxel)
        for value, voxel in zip(values, measured.point_voxel, strict=True)
    }
    shown = [placements(record, convention, image_size) for convention in conventions]
    return frozenset(
        frozenset((one, other))
        for one, other in combinations(exact, 2)
        if np.abs(np.subtract(exact[one], exact[other])).max() < 1
        or any(where[one].point == where[other].point for where in shown)
    )
