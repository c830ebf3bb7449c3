"""Whether the body lies as its header says: anatomy as a witness of what is right, front and up.

A header whose axes are reversed is as good as any other to a program, and often no label names a side that would give
it away. But the spine lies behind the heart, the liver to the right of the spleen, a lumbar vertebra below a thoracic
one: the table ``vocabulary/anatomy_order.yaml`` lists what is sure, and how sure. Each pair that is there votes for or
against an axis; an axis is refused if what speaks against it is decisive and hardly anything speaks for it. A structure
alone, or a pair that nothing is known of, is no evidence.

Positions are in world coordinates, so that tilted scans are measured as the body lies.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import translate
from functools import cache
from importlib import resources
from itertools import combinations, product
from typing import Any

import numpy as np
import numpy.typing as npt
import yaml

from dataset_builder.core.errors import OrientationError

AXES = ("right", "anterior", "superior")
"""Sections of the table, in the order of the world's axes."""

_REVERSED = {
    "right": "left to right (a mirror image, or situs inversus)",
    "anterior": "front to back",
    "superior": "head to foot",
}


@cache
def anatomy_order() -> Mapping[str, Any]:
    """The table."""
    text = resources.files("dataset_builder.vocabulary").joinpath("anatomy_order.yaml").read_text(encoding="utf-8")
    return yaml.safe_load(text)


@cache
def _pattern_of(group: str) -> re.Pattern[str]:
    """What the names of a group of the table, or of one structure, look like."""
    return re.compile("|".join(map(translate, anatomy_order()["groups"].get(group, [group]))))


@dataclass(frozen=True)
class Vote:
    """What a pair of structures says of an axis.

    Args:
        text: what was found, for people.
        weight: above 0 for the axis as it is, below 0 against it.
    """

    axis: str
    text: str
    weight: float


@dataclass(frozen=True, eq=False)
class Places:
    """Where labelled structures lie.

    Args:
        names: structures, [n].
        count: voxels of the subsample at each level, [n, levels].
        sums: float64 [n, levels, 3], of the world coordinates of these voxels.
    """

    names: Sequence[str]
    count: npt.NDArray[np.int64]
    sums: npt.NDArray[np.float64]

    @classmethod
    def of(
        cls, labels: npt.NDArray, names: Mapping[int, str], affine: npt.NDArray[np.float64], spacing: Sequence[float]
    ) -> "Places":
        """Of labels [I, J, K] with an affine to RAS+ mm; structures of less than the least volume are left out."""
        limits = anatomy_order()["limits"]
        steps = [max(1, round(limits["spacing_mm"] / mm)) for mm in spacing]
        steps = [min(step, max(1, size // 8)) for step, size in zip(steps, labels.shape, strict=True)]
        part = labels[tuple(slice(step // 2, None, step) for step in steps)]
        index = np.nonzero(part)
        values = part[index].astype(np.int64)
        stored = np.stack([at * step + step // 2 for at, step in zip(index, steps, strict=True)]).astype(np.float64)
        world = affine[:3, :3] @ stored + affine[:3, 3:]
        level = np.floor(world[2] / limits["level_mm"]).astype(np.int64)
        level -= level.min(initial=0)
        levels, most = int(level.max(initial=0)) + 1, int(values.max(initial=0)) + 1
        at = values * levels + level
        count = np.bincount(at, minlength=most * levels).reshape(most, levels)
        sums = np.stack(
            [np.bincount(at, axis, minlength=most * levels).reshape(most, levels) for axis in world], axis=-1
        )
        voxel_mm3 = float(np.prod(spacing)) * float(np.prod(steps))
        kept = [v for v in sorted(names) if 0 < v < most and count[v].sum() * voxel_mm3 >= limits["volume_mm3"]]
        return cls([names[value] for value in kept], count[kept], sums[kept].astype(np.float64))

    def group(self, name: str) -> npt.NDArray[np.intp]:
        """The rows of a group of the table, or of one structure."""
        belongs = _pattern_of(name).fullmatch
        return np.flatnonzero([belongs(each) is not None for each in self.names])

    def farther(
        self, first: npt.NDArray[np.intp], second: npt.NDArray[np.intp], axis: int, level: bool
    ) -> float | None:
        """By how many mm the first structures lie farther along an axis; ``None`` if they cannot be compared."""
        if not len(first) or not len(second) or set(first) & set(second):
            return None
        of_first, of_second = self.count[first].sum(axis=0), self.count[second].sum(axis=0)
        sums = self.sums[first].sum(axis=0)[:, axis], self.sums[second].sum(axis=0)[:, axis]
        if not level:
            return float(sums[0].sum() / of_first.sum() - sums[1].sum() / of_second.sum())
        both = np.minimum(of_first, of_second)
        where = np.flatnonzero(both >= 2)
        if both[where].sum() < 8:
            return None
        apart = sums[0][where] / of_first[where] - sums[1][where] / of_second[where]
        return float(apart @ both[where] / both[where].sum())


def votes(places: Places) -> Iterator[Vote]:
    """What each pair of the table that is there says."""
    table = anatomy_order()
    named = {name for section in AXES for row in table[section] for side in ("first", "second") for name in row[side]}
    there = {name: rows for name in named if len(rows := places.group(name))}
    for axis, section in enumerate(AXES):
        for row in table[section]:
            for first, second in product(row["first"], row["second"]):
                if first not in there or second not in there:
                    continue
                found = places.farther(there[first], there[second], axis, row.get("level", False))
                if found is not None and abs(found) >= row["gap_mm"]:
                    words = _SAID[section][found > 0]
                    text = f"{_plain(first)} {abs(found):.0f} mm {words} {_plain(second)}"
                    yield Vote(section, text, row["weight"] * (1 if found > 0 else -1))
    row_of = {name: row for row, name in enumerate(places.names)}
    middle = places.sums[:, :, 2].sum(axis=1) / np.maximum(places.count.sum(axis=1), 1)
    for chain in table["chains"]:
        links = [(number, name) for number, name in enumerate(chain["names"]) if name in row_of]
        steps = [
            (a, b, float(middle[row_of[b]] - middle[row_of[a]]))
            for (number, a), (other, b) in combinations(links, 2)
            if other - number >= chain["apart"]
        ]
        steps = [step for step in steps if abs(step[2]) >= chain["gap_mm"]]
        if not steps:
            continue
        up = sum(step[2] > 0 for step in steps) / len(steps)
        for share, (low, high, rise) in (
            (up, max(steps, key=lambda step: step[2])),
            (up - 1, min(steps, key=lambda step: step[2])),
        ):
            if share:
                text = f"{_plain(high)} {abs(rise):.0f} mm {_SAID['superior'][rise > 0]} {_plain(low)}"
                yield Vote("superior", text, chain["weight"] * share)


_SAID = {
    "right": ("to the left of", "to the right of"),
    "anterior": ("behind", "in front of"),
    "superior": ("below", "above"),
}


def _plain(name: str) -> str:
    return name.replace("_", " ")


def check_orientation(
    labels: npt.NDArray, names: Mapping[int, str], affine: npt.NDArray[np.float64], spacing: Sequence[float]
) -> list[str]:
    """Refuse a body that lies the wrong way round along an axis.

    Args:
        labels: [I, J, K]; 0 = nothing.
        names: label value -> canonical structure name.
        affine: [4, 4], index -> world in RAS+ mm.
        spacing: mm.

    Returns:
        What speaks against an axis, but not enough.

    Raises:
        OrientationError: names the axes, the structures that say so, and the remedy.
    """
    limits = anatomy_order()["limits"]
    found = [vote for vote in votes(Places.of(labels, names, affine, spacing)) if vote.weight]
    reversed_axes, doubtful = [], []
    for axis in AXES:
        against = [vote for vote in found if vote.axis == axis and vote.weight < 0]
        weight = -sum(vote.weight for vote in against)
        for_it = sum(vote.weight for vote in found if vote.axis == axis and vote.weight > 0)
        shown = "; ".join(vote.text for vote in sorted(against, key=lambda vote: vote.weight)[:3])
        if weight >= limits["refuse_weight"] and weight >= limits["refuse_ratio"] * for_it:
            reversed_axes.append((axis, shown))
        elif weight >= limits["warn_weight"]:
            doubtful.append(f"Unusual along the {axis} axis: {shown}.")
    if reversed_axes:
        raise OrientationError(
            f"The body is reversed {' and '.join(_REVERSED[axis] for axis, _ in reversed_axes)}.",
            value="; ".join(shown for _, shown in reversed_axes),
            remedy="Convert the scan and its labels again from their originals: the affine does not say where the "
            "patient lies. If the body is made so (situs inversus), say so with --trust-orientation.",
        )
    return doubtful
