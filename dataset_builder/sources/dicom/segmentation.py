"""Voxels of DICOM segmentations (SEG): binary, fractional and label map, their frames in any order."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from dataset_builder.core.errors import AffineMismatchError, SlicePositionError, UnknownLabelError, UnreadableError
from dataset_builder.sources.dicom.grid import Grid, Placement
from dataset_builder.sources.dicom.pixels import check_decoder, check_length, frames_of
from dataset_builder.sources.dicom.planes import planes_of

DRAW_AGAIN = "Export the segmentation again from the program that it was drawn in."


def lay_segments(seg: Any, values: Mapping[int, int], grid: Grid, labels: npt.NDArray) -> int:
    """Lay the segments of a segmentation on labels; of two on one voxel the larger value has it.

    Args:
        seg: the data set, with its pixels.
        values: label value of each segment's number; 0 for those to leave out.
        grid: of the image.
        labels: [I, J, K], in place.

    Returns:
        How many voxels had another label already when a segment claimed them.

    Raises:
        CaseError: if the segmentation lies elsewhere, reaches beyond the image, or cannot be decoded.
    """
    check_decoder(seg)
    kind = str(seg.get("SegmentationType") or "BINARY")
    planes = list(planes_of(seg, tags=False))
    if "PixelData" not in seg or not planes:
        return 0
    check_length(seg)
    of_frames = None if kind == "LABELMAP" else _segments_of_frames(seg)
    wanted = [
        number
        for number in range(len(planes))
        if of_frames is None or values.get(of_frames[number], None) != 0 or of_frames[number] not in values
    ]
    threshold = (int(seg.get("MaximumFractionalValue") or 255) + 1) // 2 if kind == "FRACTIONAL" else 1
    overlap = 0
    for number, frame in zip(wanted, frames_of(seg, wanted), strict=True):
        claimed = frame if of_frames is None else frame >= threshold
        box = _box(claimed)
        if box is None:
            continue
        if of_frames is None:
            claimed = _values_of_map(frame, values).astype(labels.dtype)
        else:
            claimed = claimed * labels.dtype.type(_value(of_frames[number], values))
        overlap += _lay(claimed, box, grid.place(planes[number]), labels)
    return overlap


def _segments_of_frames(seg: Any) -> list[int]:
    shared = seg.get("SharedFunctionalGroupsSequence")
    everywhere = shared[0].get("SegmentIdentificationSequence") if shared else None
    found = []
    for frame in seg.get("PerFrameFunctionalGroupsSequence") or ():
        named = frame.get("SegmentIdentificationSequence") or everywhere
        if not named:
            raise UnreadableError("A frame of the segmentation does not name its segment.", remedy=DRAW_AGAIN)
        found.append(int(named[0].ReferencedSegmentNumber))
    return found


def _value(segment: int, values: Mapping[int, int]) -> int:
    if segment not in values:
        raise UnknownLabelError(
            "A frame of the segmentation belongs to a segment that is not in its list of segments.",
            value=segment,
            remedy=DRAW_AGAIN,
        )
    return values[segment]


def _values_of_map(frame: npt.NDArray, values: Mapping[int, int]) -> npt.NDArray[np.intp]:
    """Label values of a frame whose pixels are segment numbers, 0 for nothing."""
    found = np.unique(frame)
    table = np.zeros(int(found.max()) + 1, np.intp)
    for number in found[found > 0]:
        table[number] = _value(int(number), values)
    return table[frame]


Box = tuple[slice, slice]
"""Rows and columns of a frame."""


def _box(frame: npt.NDArray) -> Box | None:
    """The smallest part of a frame with all that is not zero; ``None`` if all is."""
    rows = np.flatnonzero(frame.any(axis=1))
    if not rows.size:
        return None
    columns = np.flatnonzero(frame[rows[0] : rows[-1] + 1].any(axis=0))
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)


def _lay(claimed: npt.NDArray, box: Box, where: Placement, labels: npt.NDArray) -> int:
    window, (of_rows, of_columns) = where.window(labels, (claimed.shape[0], claimed.shape[1]))
    if not window.size:
        raise SlicePositionError(
            "The segmentation has voxels on slices that the series lacks.",
            value=f"{np.count_nonzero(claimed)} voxels on one of them",
            remedy="Add the missing slices to the series.",
        )
    inside = of_rows.start <= box[0].start and box[0].stop <= of_rows.stop
    if not (inside and of_columns.start <= box[1].start and box[1].stop <= of_columns.stop):
        raise AffineMismatchError(
            "The segmentation reaches beyond the image.",
            value=f"{np.count_nonzero(claimed) - np.count_nonzero(claimed[of_rows, of_columns])} voxels of a slice",
            remedy="Give the whole series that it was drawn on.",
        )
    part = claimed[box]
    window = window[
        box[0].start - of_rows.start : box[0].stop - of_rows.start,
        box[1].start - of_columns.start : box[1].stop - of_columns.start,
    ]
    there = window[part != 0]
    overlap = int(np.count_nonzero((there != 0) & (there != part[part != 0]))) if there.any() else 0
    np.maximum(window, part, out=window)
    return overlap
