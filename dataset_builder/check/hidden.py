"""Structures that are to be hidden (view ``occluded``): what is seen where they lie, against their slice.

The label map says where that is, and the image's blocks what is shown there. How the area was filled does not matter:
it must be unlike the slice and follow nothing of it.
"""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from dataset_builder.check.items import Item
from dataset_builder.check.maps import Map, as_shown
from dataset_builder.check.prints import Print, blocks_of

MARGIN_MM = 4.0
"""So far beyond a structure the image may differ from its slice."""
MIN_BLOCKS = 6
"""Fewer blocks inside of a structure say nothing."""
COPY = 0.6
"""Grey values by which the hidden area must differ from the slice in the mean. A copy differs by 0.3."""
MIN_COMPARED = 40
"""So many blocks are compared with the slice one by one."""
MIN_SPREAD, MAX_LIKENESS = 1.0, 0.6
"""Where the slice varies by so many grey values (standard deviation), what is shown may not be as much like it (r)."""

Truth = npt.NDArray[np.bool_]


def hidden_blocks(item: Item, here: Map, size: int) -> Truth:
    """Blocks of the square image as stored that may differ from the slice, since structures are hidden there."""
    reach = max(MARGIN_MM, 3 * max(here.spacing))  # in which an image between two pixels has a part of both
    return _distance(item, here, size) <= reach + max(here.spacing) + 2 * _block_mm(here, size)


def _block_mm(here: Map, size: int) -> float:
    return max(here.extent) / blocks_of(size)


def _distance(item: Item, here: Map, size: int) -> npt.NDArray[np.float64]:
    """How far each block lies from the hidden structures and what they enclose, in mm."""
    side = blocks_of(size)
    there = np.zeros((side, side), bool)
    for name in item.structures:
        if name in here.structures:
            there |= here.share(name, size, side) > 0
    if not there.any():
        return np.full((side, side), np.inf)
    filled = ndimage.binary_fill_holes(there)
    return np.asarray(ndimage.distance_transform_edt(~filled, sampling=_block_mm(here, size)))


def hidden_problems(
    item: Item, here: Map, printed: Print, own: npt.NDArray[np.float32]
) -> Iterator[tuple[str, object]]:
    """What is wrong with the hidden area of an image: (problem, found).

    Args:
        own: the slice in blocks, as the image would show it.
    """
    side = blocks_of(printed.size)
    shown = printed.means.astype(np.float32)
    for name in item.structures:
        if name not in here.structures:
            continue
        share = as_shown(here.share(name, printed.size, side), item.convention, item.view)
        inside = (share > 0.9) & ~printed.marked
        if inside.sum() < MIN_BLOCKS:
            continue
        is_now, was = shown[inside], own[inside]
        off = float(np.abs(is_now - was).mean())
        if off <= COPY:
            yield "A structure that is to be hidden is seen.", f"{name}: as in its slice, but for {off:.1f} grey values"
        elif inside.sum() >= MIN_COMPARED:
            likeness = _likeness(is_now, was, np.argwhere(inside))
            if likeness > MAX_LIKENESS:
                yield "A structure that is to be hidden is seen.", f"{name}: r = {likeness:.2f} with its slice"


def _likeness(is_now: npt.NDArray[np.float32], was: npt.NDArray[np.float32], at: npt.NDArray[np.int64]) -> float:
    """Correlation of what is shown with the slice, without what both may have from their surroundings: a smooth trend.

    Args:
        is_now, was: grey values of blocks [N].
        at: where they are [N, 2].
    """
    y, x = (at - at.mean(axis=0)).T / (at.std() + 1e-9)
    trend = np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=1)
    one, other = (values - trend @ np.linalg.lstsq(trend, values, rcond=None)[0] for values in (is_now, was))
    return float(np.corrcoef(one, other)[0, 1]) if one.std() > 0 and other.std() > MIN_SPREAD else 0.0
