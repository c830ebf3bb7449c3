"""Stacks: the planes of a series in order, and the affine that they make together.

The order and the distance of the slices come from their positions alone. The affine is the one that ITK's series
reader (SimpleITK) and dcm2niix make: the slices ascend along the normal (row x column), the distance is that of the
first and the last slice by the number of steps.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt

from dataset_builder.core.errors import AffineError, CaseError, DimensionError, GantryTiltError, SlicePositionError
from dataset_builder.imaging.nifti import Affine
from dataset_builder.sources.dicom.planes import CONVERT_AGAIN, TELLING_APART, Plane, normal

MAX_DRIFT_VOXELS = 0.5
"""So far, in voxels, a slice may lie aside of the one at the bottom of the stack: rounding, not a tilted gantry."""
MAX_UNEVEN = 0.05
"""So far, as a share of their distance, slices may lie from their even places: positions are often rounded."""
ROUNDED_MM = 0.101
"""What positions rounded to 0.1 mm can be off, at both ends of a step."""
SAME_MM = 1e-3
"""Positions nearer than this are one."""

LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


@dataclass(frozen=True, eq=False)
class Stack:
    """Planes in order, as a grid.

    Args:
        planes: ascending along the normal.
        affine: [4, 4], (column, row, slice) -> world in RAS+ mm.
    """

    planes: tuple[Plane, ...]
    affine: Affine

    @property
    def shape(self) -> tuple[int, int, int]:
        """(columns, rows, slices): that of the array [I, J, K]."""
        rows, columns = self.planes[0].shape
        return columns, rows, len(self.planes)


def stack_of(planes: Sequence[Plane]) -> Stack:
    """The stack that planes make, whatever order they come in.

    Raises:
        DimensionError: for fewer than two planes, or planes of several sizes.
        AffineError: if they are not parallel or their voxels are not of one size.
        SlicePositionError: if planes are missing, lie at the same place, or are unevenly spaced.
        GantryTiltError: if the stack leans.
    """
    if len(planes) < 2:
        raise DimensionError(
            "The series has a single slice; a volume needs at least two.",
            value=f"{len(planes)} slice",
            remedy="Export the whole series, or leave it out (localizers and key images are not volumes).",
        )
    _check_alike(planes)
    across = normal(planes[0])
    ordered = sorted(planes, key=lambda plane: (float(across @ np.array(plane.position)), plane.tags, plane.uid))
    positions = np.array([plane.position for plane in ordered])
    _check_even(positions @ across)
    step = (positions[-1] - positions[0]) / (len(ordered) - 1)
    first = ordered[0]
    affine = np.eye(4)
    affine[:3, 0] = np.array(first.along_row) * first.spacing[1]
    affine[:3, 1] = np.array(first.along_column) * first.spacing[0]
    affine[:3, 2] = step
    affine[:3, 3] = first.position
    aside = positions - positions[0] - np.outer((positions - positions[0]) @ across, across)
    drift = np.linalg.norm(aside, axis=1) / min(first.spacing)
    if drift.max() > MAX_DRIFT_VOXELS:
        leaning = np.degrees(np.arctan2(np.linalg.norm(aside[-1]), abs((positions[-1] - positions[0]) @ across)))
        raise GantryTiltError(
            "The slices are not stacked at right angles, as when the gantry is tilted.",
            value=f"{leaning:.1f} degrees, {drift.max():.1f} voxels aside",
            remedy="Correct the tilt of the image and of its labels alike, and give them as NIfTI: dcm2niix writes a "
            "corrected image (its name ends in _Tilt), 3D Slicer resamples labels to it (nearest neighbour).",
        )
    # What is left of a lean is rounding: ITK's reader leaves it out of the affine as well.
    affine[:3, 2] = across * (step @ across)
    return Stack(tuple(ordered), LPS_TO_RAS @ affine)


def _check_alike(planes: Sequence[Plane]) -> None:
    first = planes[0]
    if any(plane.frame_of_reference != first.frame_of_reference for plane in planes):
        raise AffineError(
            "The slices of the series lie in several frames of reference: their positions cannot be compared.",
            value=f"{len({plane.frame_of_reference for plane in planes})} frames of reference",
            remedy="Export the series again; anonymisation must give all slices of a scan the same new UID.",
        )
    if any(plane.shape != first.shape for plane in planes):
        raise DimensionError(
            "The slices of the series differ in size.",
            value=", ".join(sorted({f"{p.shape[1]} x {p.shape[0]}" for p in planes})[:4]),
            remedy="Export each scan as a separate series.",
        )
    if not np.allclose([plane.spacing for plane in planes], first.spacing, rtol=1e-3, atol=1e-4):
        raise AffineError(
            "The slices of the series have several pixel spacings.", remedy="Export each scan as a separate series."
        )
    directions = np.array([(*plane.along_row, *plane.along_column) for plane in planes])
    if not np.allclose(directions, directions[0], atol=SAME_DIRECTION):
        raise AffineError(
            "The slices of the series point in several directions.",
            remedy="Export each direction as a separate series; a localizer is not a volume.",
        )


SAME_DIRECTION = 2e-3
"""Direction cosines that differ by less are one direction (a tenth of a degree)."""


def _check_even(places: npt.NDArray[np.float64]) -> None:
    """Refuse ascending places along the normal, in mm, unless they are evenly spaced."""
    gaps = np.diff(places)
    same = int((gaps < SAME_MM).sum())
    if same:
        raise SlicePositionError(
            "Slices of the series lie at the same position, and nothing shows which belong together.",
            value=f"{same + 1 if same == 1 else same} of {len(places)} slices",
            remedy="Export each volume (echo, phase, time point, repetition) as a separate series, and every slice "
            "once.",
        )
    step = float(np.median(gaps))
    tolerance = max(MAX_UNEVEN * step, min(ROUNDED_MM, step / 4))
    missing = np.rint(gaps / step).astype(int) - 1
    if (missing > 0).any() and (np.abs(gaps - (missing + 1) * step) <= 2 * tolerance).all():
        at = int(np.argmax(missing > 0))
        raise SlicePositionError(
            "Slices of the series are missing.",
            value=f"{int(missing.sum())} missing, the first between slices {at + 1} and {at + 2} of {len(places)}: "
            f"{gaps[at]:.2f} mm apart, the others {step:.2f} mm",
            remedy=f"Add the missing slices. {CONVERT_AGAIN}",
        )
    even = np.linspace(places[0], places[-1], len(places))
    off = float(np.abs(places - even).max())
    if off > tolerance:
        raise SlicePositionError(
            "The slices of the series are unevenly spaced.",
            value=f"from {gaps.min():.2f} to {gaps.max():.2f} mm apart",
            remedy="Export each scan as a separate series; a scan of uneven spacing has to be resampled to an even "
            "one, with its labels.",
        )


# Several volumes in one series ---------------------------------------------------------------------------------------


def split_series(planes: Sequence[Plane]) -> list[list[Plane]]:
    """The volumes of a series, each to be made a stack of.

    Directions, sizes and spacings are separated first. What does not make an even stack then is split by the first
    attribute (or pair of attributes) whose values each do: echoes, phases, time points, b-values. What nothing tells
    apart stays together, and :func:`stack_of` says what is wrong with it.
    """
    found: list[list[Plane]] = []
    groups = _alike(planes)
    if len(groups) > max(3, len(planes) // 3):  # as many directions as slices: one radial series, not many scans
        return [list(planes)]
    for group in groups:
        found += _told_apart(group)
    return found


def _alike(planes: Sequence[Plane]) -> list[list[Plane]]:
    """Planes by size, spacing and direction; directions that differ by rounding are one."""
    groups: dict[tuple[object, ...], list[tuple[npt.NDArray, list[Plane]]]] = defaultdict(list)
    for plane in planes:
        key = (plane.frame_of_reference, plane.shape, round(plane.spacing[0], 3), round(plane.spacing[1], 3))
        direction = np.array((*plane.along_row, *plane.along_column))
        for known, members in groups[key]:
            if np.abs(known - direction).max() < SAME_DIRECTION:
                members.append(plane)
                break
        else:
            groups[key].append((direction, [plane]))
    return [members for alike in groups.values() for _, members in alike]


def _told_apart(planes: list[Plane]) -> list[list[Plane]]:
    if len(planes) < 6 or is_stack(planes):
        return [planes]
    telling = [at for at in range(len(TELLING_APART)) if len({plane.tags[at] for plane in planes if plane.tags}) > 1]
    singly, paired = [(at,) for at in telling], list(combinations(telling, 2))
    for chosen in (*singly, *paired):
        groups = _by(planes, lambda plane, chosen=chosen: tuple(plane.tags[at] for at in chosen))  # type: ignore[misc]
        if len(groups) > 1 and all(len(group) > 2 and is_stack(group) for group in groups):
            return groups
    return [planes]


def _by(planes: Sequence[Plane], key: Callable[[Plane], tuple[str, ...]]) -> list[list[Plane]]:
    groups: dict[tuple[str, ...], list[Plane]] = defaultdict(list)
    for plane in planes:
        groups[key(plane)].append(plane)
    return [groups[value] for value in sorted(groups)]


def is_stack(planes: Sequence[Plane]) -> bool:
    """Whether planes make an even stack, leaning or not."""
    try:
        stack_of(planes)
    except GantryTiltError:
        return True
    except CaseError:
        return False
    return True
