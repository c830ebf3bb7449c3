"""Stacks: runs of evenly spaced slices of a volume along a plane's axis, for relations that no single slice shows."""

import random
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from dataset_builder.core.factors import PLANES, Plane
from dataset_builder.core.hashing import digest
from dataset_builder.core.settings import VISIBLE_MM2
from dataset_builder.imaging.geometry import IN_PLANE_AXES, PLANE_AXIS
from dataset_builder.imaging.laterality import label_profiles
from dataset_builder.imaging.volume import Volume
from dataset_builder.slices.selection import SliceRecord, cut
from dataset_builder.vocabulary import Structure

MIN_STEP_MM, MAX_STEP_MM = 3.0, 25.0
"""Distance between the images of a stack: neighbours must differ, and nothing large may lie unseen between them."""
GOOD = 0.8
"""Runs count as good from this share of the score of the volume's best run on."""
MIN_STRUCTURES = 3


def choose_stacks(
    volume: Volume, planes: Sequence[Plane], count: int, size: int, seed: int, min_area_mm2: float = VISIBLE_MM2
) -> list[tuple[Plane, tuple[int, ...]]]:
    """Runs of slices in which many structures come and go.

    Args:
        planes: the planes to cut along; they take turns, the first drawn for this volume.
        count: stacks of the volume in total. Fewer come out where a plane shows too few structures.
        size: images of a stack.
        min_area_mm2: area from which on a structure is visible.

    Returns:
        (plane, indices ascending), of a plane's stacks those that begin lower first.
    """
    draw = random.Random(digest("stacks", seed, *volume.drawn_by))
    runs = {plane: _runs(volume, plane, size, min_area_mm2) for plane in PLANES if plane in planes}
    turns = [plane for plane in runs if runs[plane]]
    start = draw.randrange(len(turns)) if turns else 0
    turns = turns[start:] + turns[:start]
    chosen: dict[Plane, list[tuple[int, ...]]] = {plane: [] for plane in runs}
    while sum(map(len, chosen.values())) < count:
        open_planes = [plane for plane in turns if runs[plane]]
        if not open_planes:
            break
        for plane in open_planes[: count - sum(map(len, chosen.values()))]:
            best = max(runs[plane].values())
            good = sorted(run for run, score in runs[plane].items() if score >= GOOD * best)
            run = good[draw.randrange(len(good))]
            chosen[plane].append(run)
            # The next one of this plane shows something else: none of the same slices.
            runs[plane] = {other: score for other, score in runs[plane].items() if not set(other) & set(run)}
    return [(plane, run) for plane in chosen for run in sorted(chosen[plane])]


def _runs(volume: Volume, plane: Plane, size: int, min_area_mm2: float) -> dict[tuple[int, ...], int]:
    """Every run that could be a stack, and its score: how many structures come or go inside of it."""
    axis = PLANE_AXIS[plane]
    first, second = IN_PLANE_AXES[plane]
    profile = label_profiles(volume)[axis]
    known = [value for value in volume.names if 0 < value < len(profile)]
    visible = profile[known] * (volume.spacing[first] * volume.spacing[second]) >= min_area_mm2
    shown = np.flatnonzero(visible.any(axis=0))
    if not len(shown):
        return {}
    low, high, step_mm = int(shown[0]), int(shown[-1]), volume.spacing[axis]
    fewest, most = max(1, round(MIN_STEP_MM / step_mm)), max(1, int(MAX_STEP_MM / step_mm))
    # As wide a step as there is room for: the more of the body a stack covers, the more it has in order.
    step = min(most, (high - low) // (size - 1))
    if step < fewest:
        return {}
    runs = {}
    for begin in range(low, high - step * (size - 1) + 1, max(1, step // 2)):
        run = tuple(range(begin, begin + step * size, step))
        score = _score(visible[:, run])
        if score >= MIN_STRUCTURES:
            runs[run] = score
    return runs


def _score(visible: npt.NDArray[np.bool_]) -> int:
    """Structures that are visible in some of the images [structures, images] but not in all."""
    return int((visible.any(axis=1) & ~visible.all(axis=1)).sum())


def cut_stack(
    volume: Volume, plane: Plane, indices: Sequence[int], vocabulary: Mapping[str, Structure] | None = None
) -> list[SliceRecord]:
    """The slices of a stack, ascending along the plane's axis."""
    name = f"{plane} {indices[0]}-{indices[-1]} by {indices[1] - indices[0]}"
    return [cut(volume, plane, index, vocabulary, stack=name) for index in indices]


def group_stacks(records: Sequence[SliceRecord]) -> list[list[SliceRecord]]:
    """The stacks among slices, each in ascending order; slices that belong to none are left out."""
    stacks: dict[str, list[SliceRecord]] = {}
    for record in records:
        if record.stack:
            stacks.setdefault(record.stack, []).append(record)
    return [sorted(stack, key=lambda record: record.index) for stack in stacks.values()]
