"""The margins that a data set's builds say they kept, and that the audit holds its rows to."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from math import inf
from typing import Any, Self

from dataset_builder.dataset.manifest import BuildNote


@dataclass(frozen=True)
class Limits:
    """What every build kept; nothing is held to a limit of which a build does not say.

    Args:
        min_contrast: of a structure against what is around it, in grey levels of 255.
        min_border_mm: from a structure that is to be found, to the edge of the scan.
        min_area_mm2: its area in the slice.
        min_main_piece: share of it that is one piece.
        max_stray_mm: by how much the box around all of it reaches beyond that piece.
        min_box_pixels: the shorter side of its box in the image, in pixels.
    """

    min_contrast: float = 0.0
    min_border_mm: float = 0.0
    min_area_mm2: float = 0.0
    min_main_piece: float = 0.0
    max_stray_mm: float = inf
    min_box_pixels: float = 0.0

    @classmethod
    def of(cls, builds: Sequence[BuildNote]) -> Self:
        """The widest limits of these builds."""
        return cls.of_settings([build.settings.get("clarity", {}) for build in builds])

    @classmethod
    def of_settings(cls, kept: Sequence[Mapping[str, Any]]) -> Self:
        """The widest of these settings, each by name as :class:`dataset_builder.core.settings.ClarityLimits` has it."""
        found = {}
        for limit in fields(cls):
            widest, none = (max, inf) if limit.name.startswith("max") else (min, 0.0)
            found[limit.name] = widest((float(each.get(limit.name, none)) for each in kept), default=none)
        return cls(**found)
