"""The scores of boxes and points. Pure functions on pixels of the stored image.

A box is ``(x0, y0, x1, y1)``, half-open; a point is a pixel ``(x, y)``; a mask is a COCO run-length, as the data set
stores it: ``{"size": [height, width], "counts": text}``.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

ENOUGH = 0.5
"""Intersection over union from which on a box counts as right."""

Box = Sequence[float]


def overlap(one: Box, other: Box) -> float:
    """Intersection over union of two boxes, between 0 and 1.

    >>> overlap((0, 0, 2, 2), (1, 0, 3, 2))
    0.3333333333333333
    """
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    if width <= 0 or height <= 0:
        return 0.0
    shared = width * height
    return shared / (area(one) + area(other) - shared)


def area(box: Box) -> float:
    """Square pixels of a box."""
    return (box[2] - box[0]) * (box[3] - box[1])


def centre(box: Box) -> tuple[float, float]:
    """Middle x and y of a box's centre."""
    return (box[0] + box[2]) / 2, (box[1] + box[3]) / 2


def score_box(said: Box, truth: Box, pixel_mm: float) -> dict[str, float]:
    """The scores of a box.

    Returns:
        ``iou``; ``acc``: whether that is at least 0.5; ``centre_mm``: distance of the centres; ``size_ratio``: the area
        that was said in parts of the true one.
    """
    iou = overlap(said, truth)
    distance = math.dist(centre(said), centre(truth)) * pixel_mm
    return {
        "acc": float(iou >= ENOUGH),
        "iou": iou,
        "centre_mm": distance,
        "size_ratio": area(said) / area(truth),
    }


def score_point(said: Sequence[float], mask: NDArray[np.bool_], pixel_mm: float) -> dict[str, float]:
    """The scores of a point.

    Args:
        said: the pixel.
        mask: bool[height, width], the structure.
        pixel_mm: size of a pixel.

    Returns:
        ``acc``: whether it lies on the structure; ``distance_mm``: to the structure's nearest pixel, 0 on it.
    """
    x, y = int(said[0]), int(said[1])
    height, width = mask.shape
    on_it = 0 <= x < width and 0 <= y < height and bool(mask[y, x])
    rows, columns = np.nonzero(mask)
    nearest = float(np.hypot(columns - x, rows - y).min()) if len(rows) else math.nan
    return {"acc": float(on_it), "distance_mm": 0.0 if on_it else nearest * pixel_mm}


def decoded(mask: Mapping[str, Any]) -> NDArray[np.bool_]:
    """bool[height, width] of a mask in the form of COCO."""
    from pycocotools import mask as coco

    height, width = (int(length) for length in mask["size"])
    counts = mask["counts"]
    found = coco.decode({"size": [height, width], "counts": counts.encode() if isinstance(counts, str) else counts})
    return np.asarray(found, dtype=bool)
