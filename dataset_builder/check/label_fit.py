"""Whether the labels of a volume lie on its image: borders of labels run along edges of grey, unless one is flipped.

Worked out from the slice store alone, in two dimensions, about 3 mm apart. Of each slice the local difference of grey
is ranked from 0 to 1. Its mean along the labels' borders says how well they fit; the same borders mirrored say how well
they would fit. Where everything is an edge, borders fit as well some millimetres aside, so that only what fits sharply
counts. Symmetric labels fit as well either way: nothing is said of them.
"""

from collections.abc import Mapping
from itertools import combinations

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

from dataset_builder.check.findings import Findings
from dataset_builder.check.maps import IN_PLANE, Map

GRID_MM = 3.0
"""Slices finer than this are looked at in steps of about this size."""
ASIDE_MM = 9.0
"""So far aside a border should fit less well."""
MIN_BORDER = 400
"""With fewer pixels of border nothing is concluded."""
INSIDE = 0.6
"""At least this share of a shifted border must lie in the slice."""

Floats = npt.NDArray[np.float64]
Truth = npt.NDArray[np.bool_]
Axes = frozenset[str]


def bound(pixels: float) -> float:
    """By how much mirrored labels must fit better to be called flipped, of so many pixels of border.

    Measured on real scans and phantoms: right labels gain nothing (-0.28 to 0.00), flipped ones 0.04 to 0.20, but those
    of a brain from left to right, which are all but symmetric, 0.005.
    """
    return 0.02 + 0.8 / float(np.sqrt(pixels))


class LabelFit:
    """How well labels fit, and would fit mirrored, of all slices of each volume."""

    def __init__(self) -> None:
        self._sums: dict[tuple[str, str], dict[Axes, Floats]] = {}
        self._seen: set[tuple[str, str, str, int]] = set()

    def add(self, here: Map) -> None:
        """Take in a slice; one that comes twice counts once."""
        if here.key in self._seen:
            return
        self._seen.add(here.key)
        grey, labels, spacing = _coarse(here)
        border = _border(labels)
        pixels = int(border.sum())
        if not pixels or min(labels.shape) < 4:
            return
        edge = _edges(grey, spacing, here.modality)
        sums = self._sums.setdefault(here.key[:2], {})
        axes = IN_PLANE[here.key[2]]
        across, down = axes[0], axes[1]
        still = _fit(edge, border, spacing)
        for count in (1, 2):
            for flipped in combinations((across, down), count):
                turned = border[:: -1 if down in flipped else 1, :: -1 if across in flipped else 1]
                gain = _fit(edge, turned, spacing) - still
                total = sums.setdefault(frozenset(flipped), np.zeros(3))
                total += np.array([*(gain * pixels), pixels])

    def flipped(self) -> Mapping[tuple[str, str], str]:
        """Volumes whose labels fit much better mirrored: what along, and by how much."""
        found = {}
        for volume, sums in self._sums.items():
            gains = {
                axes: (float((total[:2] / total[2]).min()), total[2])
                for axes, total in sums.items()
                if total[2] >= MIN_BORDER
            }
            sure = {axes: gain for axes, (gain, pixels) in gains.items() if gain > bound(pixels)}
            if sure:
                axes = max(sure, key=lambda each: sure[each])
                called = " and ".join(_NAMES[axis] for axis in "RAS" if axis in axes)
                found[volume] = f"{called}; borders fit better by {sure[axes]:.3f}, {gains[axes][1]:.0f} pixels"
        return found

    def report(self, findings: Findings) -> None:
        """Name the volumes."""
        findings.looked("labels", len(self._sums))
        for volume, found in self.flipped().items():
            findings.violation(
                "labels", "The labels of a volume are flipped relative to its image.", "/".join(volume), found
            )


_NAMES = {"R": "left to right", "A": "front to back", "S": "head to foot"}


def _coarse(here: Map) -> tuple[Floats, npt.NDArray, tuple[float, float]]:
    """Grey, labels and spacing (columns, rows) of a slice on a grid of about 3 mm."""
    along, down = (max(1, round(GRID_MM / step)) for step in here.spacing)
    spacing = here.spacing[0] * along, here.spacing[1] * down
    # A flip must map the grid on itself: it begins in the middle of what is left over.
    rows, columns = here.labels.shape
    first = ((rows - 1) % down) // 2, ((columns - 1) % along) // 2
    return here.grey[first[0] :: down, first[1] :: along], here.labels[first[0] :: down, first[1] :: along], spacing


def _border(labels: npt.NDArray) -> Truth:
    """Pixels on either side of a change of label."""
    border = np.zeros(labels.shape, bool)
    down, across = labels[1:] != labels[:-1], labels[:, 1:] != labels[:, :-1]
    border[1:] |= down
    border[:-1] |= down
    border[:, 1:] |= across
    border[:, :-1] |= across
    return border


def _edges(grey: Floats, spacing: tuple[float, float], modality: str) -> Floats:
    """Rank of the greatest difference of grey per mm to a neighbour, 0 to 1."""
    low, high = (-1000.0, 500.0) if modality == "ct" else np.percentile(grey, (0.5, 99.5))
    clipped = np.clip(grey, low, high)
    down = np.abs(np.diff(clipped, axis=0)) / spacing[1]
    across = np.abs(np.diff(clipped, axis=1)) / spacing[0]
    most = np.zeros(grey.shape)
    for part, there in (
        (down, (slice(1, None), slice(None))),
        (down, (slice(None, -1), slice(None))),
        (across, (slice(None), slice(1, None))),
        (across, (slice(None), slice(None, -1))),
    ):
        np.maximum(most[there], part, out=most[there])
    ranks = rankdata(most, method="average").reshape(grey.shape)
    return (ranks - 1) / max(1, ranks.size - 1)


def _fit(edge: Floats, border: Truth, spacing: tuple[float, float]) -> Floats:
    """How high the ranks are along a border, and how much higher than beside it."""
    on = float(edge[border].mean())
    beside = []
    for axis, step in ((0, spacing[1]), (1, spacing[0])):
        off = max(1, round(ASIDE_MM / step))
        for sign in (-1, 1):
            moved = _moved(border, axis, sign * off)
            if moved.sum() >= INSIDE * border.sum():
                beside.append(float(edge[moved].mean()))
    return np.array([on, on - float(np.mean(beside)) if beside else 0.0])


def _moved(border: Truth, axis: int, by: int) -> Truth:
    moved = np.zeros_like(border)
    if abs(by) >= border.shape[axis]:
        return moved
    source = [slice(None), slice(None)]
    target = [slice(None), slice(None)]
    source[axis] = slice(max(0, -by), border.shape[axis] - max(0, by))
    target[axis] = slice(max(0, by), border.shape[axis] - max(0, -by))
    moved[tuple(target)] = border[tuple(source)]
    return moved
