"""Whether a structure can be seen in its slice: by how much grey changes across its border.

On either side of the border the mean grey within some mm is taken, inside the structure and outside of it. What noise
adds to the difference is subtracted, so that a structure without any contrast has none, however noisy the image. A
border that stands out on a short stretch only, beside bone or air, shows nobody where the rest of it runs: what counts
is the change of grey that a third of the border has.
"""

from collections.abc import Mapping, Sequence

import cv2
import numpy as np
import numpy.typing as npt

from dataset_builder.imaging.geometry import Spacing2D
from dataset_builder.pictures.render import choose_window, to_grey
from dataset_builder.slices.selection import SliceRecord
from dataset_builder.vocabulary import Structure

REACH_MM = 4.0
"""So far from a border pixel the grey on its two sides is looked at."""
SEEN_SHARE = 1 / 3
"""At least this share of a structure's border must stand out."""


def contrasts(
    record: SliceRecord, values: Sequence[int], vocabulary: Mapping[str, Structure] | None = None
) -> npt.NDArray[np.float64]:
    """Contrast of structures of a slice in the window that shows their tissue, in grey levels of 255: [n].

    Args:
        values: label values that occur in the slice.
        vocabulary: structures by canonical name; the package's own if not given.
    """
    shown: dict[str, tuple[npt.NDArray[np.float32], float]] = {}
    found = []
    for value in values:
        window = choose_window(record, [record.names[value]], vocabulary)
        if str(window) not in shown:
            grey = to_grey(record.image, window).astype(np.float32)
            shown[str(window)] = grey, noise_of(grey, record.labels)
        found.append(border_contrast(*shown[str(window)], record.labels == value, record.spacing))
    return np.array(found, np.float64)


def noise_of(grey: npt.NDArray[np.float32], labels: npt.NDArray) -> float:
    """Standard deviation of the noise, from neighbours of one label: their median difference knows of no edges.

    Black and white, where the window ends, hide the noise: gas and bone tell nothing of it.
    """
    graded = (grey > 0) & (grey < 255)
    steps = [np.abs(np.diff(grey, axis=axis))[_same(labels, graded, axis)] for axis in (0, 1)]
    found = np.concatenate(steps)
    return float(np.median(found)) / (0.6745 * 2**0.5) if len(found) else 0.0


def _same(labels: npt.NDArray, graded: npt.NDArray[np.bool_], axis: int) -> npt.NDArray[np.bool_]:
    """Where neighbours along an axis have one label, and not 0, and both are grey."""
    one, other = (np.s_[:-1], np.s_[1:]) if axis == 0 else (np.s_[:, :-1], np.s_[:, 1:])
    return (labels[one] == labels[other]) & (labels[one] != 0) & graded[one] & graded[other]


def border_contrast(
    grey: npt.NDArray[np.float32], noise: float, mask: npt.NDArray[np.bool_], spacing: Spacing2D
) -> float:
    """The difference of grey across the border of a mask, without what noise adds to it.

    It is the root mean square along the border, or what `SEEN_SHARE` of the border has or exceeds, if that is less.

    Args:
        grey: [U, V].
        noise: standard deviation of the grey of a pixel.
        mask: [U, V], not empty.
        spacing: (u, v) mm.

    Returns:
        0 for a mask that fills the slice.
    """
    size = [2 * max(1, round(REACH_MM / step)) + 1 for step in spacing]
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    part = (
        slice(max(0, rows[0] - size[0]), rows[-1] + size[0] + 1),
        slice(max(0, columns[0] - size[1]), columns[-1] + size[1] + 1),
    )
    grey, inside = grey[part], mask[part].astype(np.float32)
    eroded = cv2.erode(inside, np.ones((3, 3), np.uint8), borderType=cv2.BORDER_REPLICATE)
    border = (inside > 0) & (eroded == 0)
    sides = []
    for side in (inside, 1 - inside):
        sides.append([_sums(values, size)[border] for values in (side, side * grey)])
    (inner, of_inner), (outer, of_outer) = sides
    reported = (np.rint(inner) > 0) & (np.rint(outer) > 0)
    if not reported.any():
        return 0.0
    inner, outer = inner[reported], outer[reported]
    squared = (of_inner[reported] / inner - of_outer[reported] / outer) ** 2 - noise**2 * (1 / inner + 1 / outer)
    ranked = np.sort(squared)[::-1]
    of_the_share = ranked[int(np.ceil(SEEN_SHARE * len(ranked))) - 1]
    return float(np.sqrt(max(0.0, min(float(squared.mean()), float(of_the_share)))))


def _sums(values: npt.NDArray[np.float32], size: Sequence[int]) -> npt.NDArray[np.float64]:
    """Sums over a box around each pixel."""
    summed = cv2.boxFilter(
        values.astype(np.float64), -1, (size[1], size[0]), normalize=False, borderType=cv2.BORDER_CONSTANT
    )
    return np.asarray(summed, np.float64)
