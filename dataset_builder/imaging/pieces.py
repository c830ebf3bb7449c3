"""Whether a structure in a label slice is one piece that a marker can show, and what lies in its box.

Arrays in, arrays out, as in :mod:`dataset_builder.imaging.measurements`: row i of a result belongs to ``values[i]``.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from dataset_builder.imaging.geometry import Spacing2D
from dataset_builder.imaging.measurements import Floats

_CORNERS_TOUCH = np.ones((3, 3), bool)


@dataclass(frozen=True, eq=False)
class Pieces:
    """How the structures of a slice fall into pieces and fill their boxes; n structures.

    Args:
        main_share: [n] share of the area that is in the largest piece; pixels that touch at a corner are one piece.
        stray_mm: [n] by how much the box around all pieces reaches beyond that of the largest, at the farthest side.
        in_box: [n, n] share of the box of i that the pixels of j cover; on the diagonal, how full the own box is.
    """

    main_share: Floats
    stray_mm: Floats
    in_box: Floats


def pieces(labels: npt.NDArray, spacing: Spacing2D, values: Sequence[int]) -> Pieces:
    """Look at structures that occur in a label slice.

    Args:
        labels: unsigned integers [U, V].
        spacing: (u, v) mm.
        values: label values, each of which must occur.
    """
    count, step = len(values), np.asarray(spacing, np.float64)
    rows = np.full(max(int(labels.max(initial=0)), max(values, default=0)) + 1, count)
    rows[np.asarray(values, np.int64)] = np.arange(count)
    windows = ndimage.find_objects(labels.astype(np.int32))
    main_share, stray, in_box = np.ones(count), np.zeros(count), np.zeros((count, count))
    for i, value in enumerate(values):
        part = labels[windows[value - 1]]
        mask = part == value
        in_box[i] = np.bincount(rows[part].ravel(), minlength=count + 1)[:count] / part.size
        numbered, found = ndimage.label(mask, structure=_CORNERS_TOUCH)
        if found > 1:
            sizes = np.bincount(numbered.ravel())[1:]
            main_share[i] = sizes.max() / sizes.sum()
            (window,) = ndimage.find_objects((numbered == 1 + sizes.argmax()).astype(np.uint8))
            beyond = [
                (max(side.start, size - side.stop)) * mm
                for side, size, mm in zip(window, mask.shape, step, strict=True)
            ]
            stray[i] = max(beyond)
    return Pieces(main_share, stray, in_box)


def ahead(profile: npt.NDArray) -> Floats:
    """[n, n]: share of pairs of a pixel of i and one of j in which that of i lies farther; equal ones count half.

    Args:
        profile: [n, size] pixels, or area, of each structure at each index; none is 0 everywhere.
    """
    share = profile / profile.sum(axis=1, keepdims=True)
    before = share.cumsum(axis=1) - 0.5 * share
    return share @ before.T
