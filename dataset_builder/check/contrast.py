"""Whether what is asked about can be seen: grey differs across a structure's border by more than noise does.

A route of its own, without smoothing: pixels on either side of the border, some millimetres apart, are compared as they
are stored, and what pixels of one label differ by at that distance is taken off. The bound is far below the builder's
own, and what chance could have hidden counts as seen, so that only structures that melt into what is around them are
reported.
"""

import numpy as np
import numpy.typing as npt

from dataset_builder.check.maps import Map

APART_MM = 3.0
"""So far apart are the pixels that are compared."""
SHARE = 1 / 3
"""Of the builder's least contrast, below which a structure is reported."""
FULL_SCALE = 255.0
MAX_WIDTH = 400.0
"""Of a window: a structure shown in a wider one, among bones, has been judged in that of soft tissue."""
SPREADS = 3.0
"""So many standard errors of the difference across the border are added to it."""
MIN_PAIRS = 20
"""With fewer pixels along the border nothing is concluded."""


def contrast(here: Map, name: str, low: float, high: float) -> float | None:
    """The most that the root mean square difference across a structure's border may be, in grey levels, without noise.

    Args:
        here: the slice.
        name: of the structure.
        low, high: values that the row's window shows as black and as white.

    Returns:
        ``None`` if the structure has too little border in the slice.
    """
    mask = here.of(name)
    across: list[npt.NDArray[np.float64]] = []
    within: list[npt.NDArray[np.float64]] = []
    for axis, spacing in ((0, here.spacing[1]), (1, here.spacing[0])):
        step = max(1, round(APART_MM / spacing))
        if mask.shape[axis] <= step:
            continue
        one, other = np.s_[:-step], np.s_[step:]
        at, to = ((one, np.s_[:]), (other, np.s_[:])) if axis == 0 else ((np.s_[:], one), (np.s_[:], other))
        change = here.grey[at] - here.grey[to]
        across.append(change[mask[at] != mask[to]])
        same = (here.labels[at] == here.labels[to]) & (here.labels[at] != 0)
        within.append(change[same])
    if not across or (count := sum(map(len, across))) < MIN_PAIRS:
        return None
    signal = sum(float(np.square(part).sum()) for part in across) / count * (1 + SPREADS * np.sqrt(2 / count))
    # The median of what one label differs by is noise alone: few of its pixels lie on edges of their own.
    quiet = np.abs(np.concatenate(within)) if sum(map(len, within)) else np.zeros(1)
    noise = float(np.square(np.median(quiet) / 0.6745))
    width = min(high - low, MAX_WIDTH) if here.modality == "ct" else high - low
    return float(np.sqrt(max(0.0, signal - noise)) * FULL_SCALE / width) if width > 0 else None
