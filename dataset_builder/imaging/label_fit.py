"""Whether labels lie on their image: their borders should lie on its edges.

A label map that was flipped or shifted against its image has its borders at random places, and lies on edges
when it is flipped or shifted back. So the labels as they are compete with all their flips, and with shifts of some
centimetres. Of each the mean edge strength under the borders is taken, and its sharpness: by how much it falls when
the labels are moved by 9 mm. Only where another place is better by both, beyond chance, the labels are refused:
bodies are nearly symmetric, and a small structure may find an edge anywhere.

Everything is measured on a subsample of about 3 mm. Limits: section ``label_fit`` of ``vocabulary/acceptance.yaml``,
measured on the sample, on phantoms and on their subsets (docs/accepting-scans.md).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import permutations, product
from typing import Any

import numpy as np
import numpy.typing as npt

from dataset_builder.core.errors import LabelFitError
from dataset_builder.core.factors import Modality
from dataset_builder.vocabulary.limits import acceptance

Flip = tuple[bool, ...]
AS_IT_IS: Flip = (False, False, False)
NO_SHIFT: tuple[int, ...] = (0, 0, 0)
_SEARCHED = 4000
"""So many border voxels tell where a shift may be."""
_PARTS, _LEAST_IN_PART = 3, 20
"""The border is parted into thirds along each axis; parts with fewer voxels are not counted."""
_AXES = ("left-right", "front-back", "head-foot")


def check_label_fit(
    image: npt.NDArray, labels: npt.NDArray, spacing: Sequence[float], modality: Modality, same_order: bool = True
) -> None:
    """Refuse labels that fit the image better when flipped, turned or shifted.

    Args:
        image: [I, J, K] in RAS+.
        labels: of the same shape; 0 = nothing.
        spacing: mm.
        modality: of the image.
        same_order: whether labels with exchanged axes are looked at, too.

    Raises:
        LabelFitError: says which flip or shift fits better, and by how much.
    """
    limits = acceptance()["label_fit"]
    where = _subsample(image.shape, spacing, limits)
    placed = Placed.of(
        image[where], labels[where], [s * part.step for s, part in zip(spacing, where, strict=True)], modality
    )
    if placed.count < limits["least_border"]:
        return
    flip, order, gain = placed.best_flip(same_order and len(set(image.shape)) < 3)
    bound = limits["flip"][0] + limits["flip"][1] / placed.count**0.5
    sure = placed.strength(flip, order=order) > limits["least_strength"]
    if sure and gain > bound and placed.agreement(flip, order=order) > limits["agreement"][0]:
        axes = [name for name, flipped in zip(_AXES, flip, strict=True) if flipped]
        how = " and ".join(
            filter(
                None,
                ["with axes exchanged" if order != (0, 1, 2) else "", f"flipped {' and '.join(axes)}" if axes else ""],
            )
        )
        raise _refused(how, placed, gain)
    if placed.count < limits["least_border_of_shift"]:
        return
    shift, gain = placed.best_shift()
    bound = limits["shift"][0] + limits["shift"][1] / placed.count**0.5
    blunt = placed.sharpness() < limits["shift_sharpness"] * placed.sharpness(shift=shift)
    sure = blunt and placed.strength(shift=shift) > limits["least_strength"]
    if sure and gain > bound and placed.agreement(shift=shift) > limits["agreement"][1]:
        reported = ", ".join(
            f"{step * mm:+.0f} mm {name}" for step, mm, name in zip(shift, placed.spacing, _AXES, strict=True) if step
        )
        raise _refused(f"shifted by {reported}", placed, gain)


def _refused(how: str, placed: "Placed", gain: float) -> LabelFitError:
    return LabelFitError(
        f"The labels do not lie on the image: they fit better {how}.",
        value=f"mean edge strength under their borders {placed.strength():.3f}, {gain:.3f} less than that",
        remedy="Save the labels again from the tool that drew them, with their own affine, never with a copied one; if "
        "they are right as they are, say so with --trust-labels.",
    )


def _subsample(shape: Sequence[int], spacing: Sequence[float], limits: Mapping[str, Any]) -> tuple[slice, slice, slice]:
    steps = [
        max(1, round(limits["spacing_mm"] / mm), -(-size // limits["most_voxels"]))
        for mm, size in zip(spacing, shape, strict=True)
    ]
    i, j, k = (slice(step // 2 if size > step // 2 else 0, None, step) for step, size in zip(steps, shape, strict=True))
    return i, j, k


@dataclass(frozen=True, eq=False)
class Placed:
    """Labels on an image.

    Args:
        edges: float32 [I, J, K], rank of the edge strength of each voxel, 0 to 1.
        border: int [n, 3], voxels on either side of a change of label.
        count: of border voxels, of which ``border`` may be a part.
        spacing: mm.
    """

    edges: npt.NDArray[np.float32]
    border: npt.NDArray[np.int64]
    count: int
    spacing: Sequence[float]

    @classmethod
    def of(cls, image: npt.NDArray, labels: npt.NDArray, spacing: Sequence[float], modality: Modality) -> "Placed":
        """Measure labels on an image of the same shape."""
        border = np.argwhere(borders(labels))
        step = max(1, -(-len(border) // acceptance()["label_fit"]["most_points"]))
        return cls(edge_ranks(image, spacing, modality), border[::step], len(border), spacing)

    def _under(self, flip: Flip, shift: Sequence[int], order: Sequence[int]) -> npt.NDArray[np.float32]:
        """Edge rank under each border voxel of the labels so flipped and shifted; not a number outside the image."""
        size = np.array(self.edges.shape)
        at = self.border[:, order]
        at = np.where(flip, size - 1 - at, at) + np.asarray(shift)
        inside = ((at >= 0) & (at < size)).all(axis=1)
        found = np.full(len(at), np.nan, np.float32)
        i, j, k = at[inside].T
        found[inside] = self.edges[i, j, k]
        return found

    def strength(
        self, flip: Flip = AS_IT_IS, shift: Sequence[int] = NO_SHIFT, order: Sequence[int] = (0, 1, 2)
    ) -> float:
        """Mean edge rank under the borders of the labels so flipped and shifted; 0 if most of them are outside."""
        under = self._under(flip, shift, order)
        known = under[~np.isnan(under)]
        if len(known) < acceptance()["label_fit"]["least_inside"] * len(under):
            return 0.0
        return float(known.mean(dtype=np.float64))

    def agreement(
        self, flip: Flip = AS_IT_IS, shift: Sequence[int] = NO_SHIFT, order: Sequence[int] = (0, 1, 2)
    ) -> float:
        """How much alike the parts of the label map fit better so: mean gain of its parts over its standard error.

        Labels that are wrong as a whole fit better everywhere; where chance makes a part fit better, others do not.
        """
        better = self._under(flip, shift, order) - self._under(AS_IT_IS, NO_SHIFT, (0, 1, 2))
        part = np.zeros(len(better), np.int64)
        for along in self.border.T:
            part = part * _PARTS + np.searchsorted(np.quantile(along, np.arange(1, _PARTS) / _PARTS), along, "right")
        known = ~np.isnan(better)
        count = np.bincount(part[known], minlength=_PARTS**3)
        sums = np.bincount(part[known], better[known], minlength=_PARTS**3)
        gains = sums[count >= _LEAST_IN_PART] / count[count >= _LEAST_IN_PART]
        if len(gains) < _PARTS:
            return 0.0
        return float(gains.mean() / max(gains.std(ddof=1) / len(gains) ** 0.5, 1e-9))

    def sharpness(
        self, flip: Flip = AS_IT_IS, shift: Sequence[int] = NO_SHIFT, order: Sequence[int] = (0, 1, 2)
    ) -> float:
        """By how much the strength falls when the labels are moved along an axis."""
        around = []
        for axis, mm in enumerate(self.spacing):
            for sign in (-1, 1):
                moved = list(shift)
                moved[axis] += sign * max(2, round(acceptance()["label_fit"]["around_mm"] / mm))
                around.append(self.strength(flip, moved, order))
        found = [strength for strength in around if strength]
        return self.strength(flip, shift, order) - float(np.mean(found)) if found else 0.0

    @cached_property
    def _as_it_is(self) -> tuple[float, float]:
        return self.strength(), self.sharpness()

    def gain(self, flip: Flip = AS_IT_IS, shift: Sequence[int] = NO_SHIFT, order: Sequence[int] = (0, 1, 2)) -> float:
        """By how much the labels fit better so: by strength and by sharpness, the lesser of the two."""
        better = self.strength(flip, shift, order) - self._as_it_is[0]
        if better <= 0:
            return better
        return min(better, self.sharpness(flip, shift, order) - self._as_it_is[1])

    def best_flip(self, exchanged: bool = False) -> tuple[Flip, tuple[int, ...], float]:
        """The flip, other than none, that fits best; also with axes of the same size exchanged, if asked."""
        shape = self.edges.shape
        orders = (
            [o for o in permutations(range(3)) if tuple(shape[a] for a in o) == shape] if exchanged else [(0, 1, 2)]
        )
        tried = [(f, o) for o in orders for f in product((False, True), repeat=3) if any(f) or o != (0, 1, 2)]
        return max(((f, o, self.gain(f, order=o)) for f, o in tried), key=lambda found: found[2])

    def best_shift(self) -> tuple[tuple[int, ...], float]:
        """The shift that fits best, one axis after the other, and by how much; none if it is too small to tell."""
        least, most = acceptance()["label_fit"]["shift_mm"]
        few = replace(
            self, border=self.border[:: max(1, len(self.border) // _SEARCHED)]
        )  # the outcome is measured by all
        at, best = NO_SHIFT, few.strength()
        for _ in range(3):
            moves = [
                (*at[:axis], step, *at[axis + 1 :])
                for axis, reach in enumerate(self._reach(most))
                for step in range(-reach, reach + 1)
            ]
            found, _, move = max((few.strength(shift=move), -sum(map(abs, move)), move) for move in moves)
            if found <= best + 1e-9:
                break
            at, best = move, found
        if float(np.linalg.norm(np.multiply(at, self.spacing))) < least:
            return NO_SHIFT, 0.0
        return at, self.gain(shift=at)

    def _reach(self, most_mm: float) -> list[int]:
        """How many voxels a shift along each axis may be."""
        sizes = zip(self.spacing, self.edges.shape, strict=True)
        return [min(int(most_mm / mm), size // 3) for mm, size in sizes]


def edge_ranks(image: npt.NDArray, spacing: Sequence[float], modality: Modality) -> npt.NDArray[np.float32]:
    """Rank, from 0 to 1, of each voxel's largest difference to a neighbour along an axis, per mm; of any dimensions."""
    values = np.asarray(image, np.float32)
    low, high = (-1000, 500) if modality == "ct" else np.percentile(values, [0.5, 99.5])
    values = np.clip(values, low, high)
    strength = np.zeros_like(values)
    for axis, mm in enumerate(spacing):
        if values.shape[axis] < 2:
            continue
        change = np.abs(np.diff(values, axis=axis)) / mm
        for part in (_but_last(values.ndim, axis), _but_first(values.ndim, axis)):
            np.maximum(strength[part], change, out=strength[part])
    scale = 4095 / max(float(strength.max()), 1e-9)
    # Edges are few and strong: the square root spreads the weak ones over the steps in which they are counted.
    levels = np.sqrt(strength * (4095 * scale)).astype(np.int64)
    counts = np.bincount(levels.ravel(), minlength=4097)
    ranks = (np.cumsum(counts) - counts / 2) / strength.size
    return ranks[levels].astype(np.float32)


def borders(labels: npt.NDArray) -> npt.NDArray[np.bool_]:
    """Voxels that have a neighbour of another label along an axis; of any dimensions."""
    found = np.zeros(labels.shape, bool)
    for axis in range(labels.ndim):
        first, last = _but_first(labels.ndim, axis), _but_last(labels.ndim, axis)
        change = labels[first] != labels[last]
        found[first] |= change
        found[last] |= change
    return found


def _but_first(dimensions: int, axis: int) -> tuple[slice, ...]:
    return tuple(slice(1, None) if a == axis else slice(None) for a in range(dimensions))


def _but_last(dimensions: int, axis: int) -> tuple[slice, ...]:
    return tuple(slice(None, -1) if a == axis else slice(None) for a in range(dimensions))
