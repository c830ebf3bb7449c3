"""Which structure a lesion lies in: the one that surrounds it.

In label maps of tumours the tumour's voxels are cut out of the organ's label, so that no voxel says where it lies; its
border does. Lesions that touch (edema and tumour, tumour and necrosis) are one focus, with one border.

Arrays in, arrays out, as in :mod:`dataset_builder.imaging.measurements`.
"""

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from dataset_builder.imaging.geometry import Spacing2D
from dataset_builder.imaging.measurements import Floats

_CORNERS_TOUCH = np.ones((3, 3), bool)


@dataclass(frozen=True, eq=False)
class Foci:
    """The foci of lesions in a label slice; n foci.

    Args:
        numbers: int [U, V]: 1 to n inside the foci, 0 elsewhere.
        border_share: [n, values]: share of the border of each focus that lies on each label value, 0 included. What
            lies on the edge of the image is no border.
    """

    numbers: npt.NDArray[np.int64]
    border_share: Floats

    def host(self, focus: int, min_share: float) -> int:
        """The label value that surrounds a focus, counted from 1; 0 if nothing labelled does."""
        share = self.border_share[focus - 1]
        value = int(share[1:].argmax()) + 1 if len(share) > 1 else 0
        return value if value and share[value] >= min_share - 1e-9 else 0


def foci(labels: npt.NDArray, spacing: Spacing2D, lesions: Collection[int]) -> Foci:
    """Find the foci of lesions and what borders on them.

    Args:
        labels: unsigned integers [U, V].
        spacing: (u, v) mm.
        lesions: the label values of lesions.
    """
    size = int(labels.max(initial=0)) + 1
    inside = np.isin(labels, np.asarray(sorted(lesions), labels.dtype))
    numbers, count = ndimage.label(inside, structure=_CORNERS_TOUCH)
    length = np.zeros((count + 1, size))
    for axis, edge in ((0, spacing[1]), (1, spacing[0])):
        low, high = (slice(None, -1), slice(1, None))
        one = tuple(low if k == axis else slice(None) for k in (0, 1))
        other = tuple(high if k == axis else slice(None) for k in (0, 1))
        for here, there in ((one, other), (other, one)):
            across = inside[here] & ~inside[there]
            np.add.at(length, (numbers[here][across], labels[there][across].astype(np.int64)), edge)
    length = length[1:]
    total = length.sum(axis=1, keepdims=True)
    return Foci(numbers.astype(np.int64), np.divide(length, total, out=np.zeros_like(length), where=total > 0))
