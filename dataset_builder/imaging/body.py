"""Where the patient's body is in a slice: what is not air, in one piece."""

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from dataset_builder.core.factors import Modality

CT_LEVELS_HU = (-700.0, -500.0, -300.0)
MRI_LEVELS = (0.06, 0.12, 0.2)
"""Where air ends: the middle one counts, the outer ones show whether it matters. MRI: shares of the volume's range."""


def body_levels(modality: Modality, intensity_range: tuple[float, float]) -> tuple[float, ...]:
    """The values at which air ends: the lowest, the one that counts, the highest.

    Args:
        intensity_range: the low and the high end of the volume's values; not looked at for CT.
    """
    if modality == "ct":
        return CT_LEVELS_HU
    low, high = intensity_range
    return tuple(low + share * (high - low) for share in MRI_LEVELS)


def body_mask(image: npt.NDArray, level: float) -> npt.NDArray[np.bool_]:
    """The largest connected piece of what is above a value [U, V]; empty if nothing is."""
    numbered, found = ndimage.label(image > level)
    if not found:
        return np.zeros(image.shape, bool)
    return np.asarray(numbered == 1 + np.bincount(numbered.ravel())[1:].argmax())


def reach(line: npt.NDArray[np.bool_]) -> tuple[int, int] | None:
    """The first index of a line [n] that is true, and the one after the last; ``None`` if none is."""
    there = np.flatnonzero(line)
    return (int(there[0]), int(there[-1]) + 1) if len(there) else None
