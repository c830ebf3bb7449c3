"""Whether what is asked about can be seen: grey differs across a structure's border by more than noise does.

A route of its own, without smoothing: pixels on either side of the border, some millimetres apart, are compared as they
are stored. The fifth of the border that differs most is left out: a border that stands out there only cannot be
followed. What noise makes neighbours of one label differ by, as the window shows them, is taken off: the texture of
lung and bone, white or black in the window of soft tissue, hides nothing. The bound is far below the builder's own, and
what chance could have hidden counts as seen, so that only structures that melt into what is around them are reported.
"""

import numpy as np
import numpy.typing as npt

from dataset_builder.check.maps import Map

APART_MM = 3.0
"""So far apart are the pixels that are compared, but at least two: the one between may be part structure, part not."""
SHARE = 1 / 3
"""Of the builder's least contrast, below which a structure is reported."""
FULL_SCALE = 255.0
MAX_WIDTH = 400.0
"""Of a window: a structure shown in a wider one, among bones, has been judged in that of soft tissue."""
LEFT_OUT = 0.2
"""Share of the pairs along the border, those that differ most, that do not count."""
NOISE_LEFT = 0.4378
"""What is left of the mean square of normally distributed noise when its largest fifth is left out."""
SPREADS = 4.0
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
    if not high > low:
        return None
    width = min(high - low, MAX_WIDTH) if here.modality == "ct" else high - low
    shown = np.clip(here.grey, low, high)
    across: list[npt.NDArray[np.float64]] = []
    within: list[npt.NDArray[np.float64]] = []
    beside: list[npt.NDArray[np.float64]] = []
    near = _around(mask)
    for axis, spacing in ((0, here.spacing[1]), (1, here.spacing[0])):
        at, to = _apart(axis, max(2, round(APART_MM / spacing)))
        across.append((here.grey[at] - here.grey[to])[mask[at] != mask[to]])
        at, to = _apart(axis, 1)
        alike = (here.labels[at] == here.labels[to]) & (here.labels[at] != 0)
        within.append((shown[at] - shown[to])[alike])
        beside.append((shown[at] - shown[to])[alike & near[at]])
    squares = np.sort(np.square(np.concatenate(across)))
    if (count := len(squares)) < MIN_PAIRS:
        return None
    kept = squares[: count - int(LEFT_OUT * count)]
    signal = float(kept.mean()) * (1 + SPREADS * np.sqrt(2 / count))
    noise = min(_variance(np.concatenate(within)), _variance(np.concatenate(beside)))
    return float(np.sqrt(max(0.0, signal - NOISE_LEFT * noise)) * FULL_SCALE / width)


def _variance(differences: npt.NDArray[np.float64]) -> float:
    """Of noise: the median of what neighbours of one label differ by knows little of the few that lie on edges."""
    return float(np.square(np.median(np.abs(differences)) / 0.6745)) if len(differences) else 0.0


def _around(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Where the box of a structure is, and as much again on every side: in MR, noise differs from place to place."""
    near = np.zeros_like(mask)
    if mask.any():
        spans = [np.flatnonzero(mask.any(axis=1 - axis))[[0, -1]] for axis in (0, 1)]
        rows, columns = (slice(max(0, 2 * low - high - 1), 2 * high - low + 2) for low, high in spans)
        near[rows, columns] = True
    return near


def _apart(axis: int, step: int) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """Where pixels of a slice are, and those a step farther along an axis; nowhere if the slice is shorter."""
    one, other, all_ = slice(None, -step), slice(step, None), slice(None)
    return ((one, all_), (other, all_)) if axis == 0 else ((all_, one), (all_, other))
