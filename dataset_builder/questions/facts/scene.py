"""A slice made ready for asking: its visible structures, measured, and the seed's draws."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, reduce
from operator import or_
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from dataset_builder.core.factors import Terminology
from dataset_builder.core.hashing import coin, digest
from dataset_builder.core.settings import ClarityLimits
from dataset_builder.imaging.geometry import IN_PLANE_AXES, PLANE_AXIS, world_directions
from dataset_builder.imaging.measurements import QUARTILES, Floats, mask_distances
from dataset_builder.imaging.pieces import Pieces, ahead, pieces
from dataset_builder.pictures.contrast import contrasts
from dataset_builder.questions.facts.fact import ROUNDING_MM, Fact, Kind, Truth
from dataset_builder.questions.facts.lesions import Lesions, can_be_named, is_one_piece
from dataset_builder.slices.measured import measured_structures
from dataset_builder.slices.selection import SliceRecord
from dataset_builder.vocabulary import Structure, structures

Item: TypeAlias = tuple[tuple[str, ...], str]
"""Structures, A first, and what A is to the others."""


@dataclass(frozen=True, eq=False)
class Positions:
    """Where structures lie along one direction, in mm: by pixels (centroid, middle half), point and box; all [n].

    Args:
        world: the same along the world's axis, of a tilted scan; ``None`` if that is the array's.
    """

    centroid: Floats
    low: Floats
    high: Floats
    point: Floats
    box: Floats
    world: "Positions | None" = None

    def turned(self, sign: int, origin: float = 0.0, world_origin: float = 0.0) -> "Positions":
        """Counted from an origin, the other way round if ``sign`` is -1."""
        low, high = (self.low, self.high) if sign > 0 else (self.high, self.low)
        centroid, low, high, point, box = (
            sign * (part - origin) for part in (self.centroid, low, high, self.point, self.box)
        )
        world = None if self.world is None else self.world.turned(sign, world_origin)
        return Positions(centroid, low, high, point, box, world)

    def gaps(self) -> Floats:
        """[n, n]: how much farther the centroid of i lies than that of j; along both axes at least."""
        gaps = _differences(self.centroid)
        return gaps if self.world is None else np.minimum(gaps, self.world.gaps())

    def beyond_origin(self, gap: float) -> npt.NDArray[np.bool_]:
        """[n]: whether point and box lie beyond the origin by a gap."""
        beyond = (self.point >= gap) & (self.box >= gap)
        return beyond if self.world is None else beyond & self.world.beyond_origin(gap)

    def from_origin(self) -> Floats:
        """[n]: how far centroids lie from the origin; along both axes at least."""
        off = np.abs(self.centroid)
        return off if self.world is None else np.minimum(off, self.world.from_origin())

    def beyond(self, clarity: ClarityLimits) -> Truth:
        """Whether i lies clearly farther than j, whichever marker shows it."""
        marker_gap = clarity.min_marker_gap_mm - ROUNDING_MM
        beyond = (
            (_differences(self.centroid) >= clarity.min_gap_mm - ROUNDING_MM)
            & (self.low[:, None] > self.high[None, :] + ROUNDING_MM)
            & (_differences(self.point) >= marker_gap)
            & (_differences(self.box) >= marker_gap)
        )
        return beyond if self.world is None else beyond & self.world.beyond(clarity)


def slice_to_world(record: SliceRecord, world_axis: int) -> tuple[Floats, float]:
    """How positions in a slice become positions along the world's axis, counted from the volume's first voxel.

    Returns:
        What mm (u, v) are multiplied by, and what is added.
    """
    along = world_directions(record.affine)[world_axis]
    first, second = IN_PLANE_AXES[record.plane]
    through = along[PLANE_AXIS[record.plane]] * record.index * record.thickness_mm
    return np.array([along[first], along[second]]), float(through)


def _differences(values: Floats) -> Floats:
    return values[:, None] - values[None, :]


@dataclass(frozen=True, eq=False)
class Scene:
    """The visible structures of a slice that the vocabulary knows, sorted by name; n structures.

    Visible is what is large enough and stands out from its surroundings; of lesions, only what is one piece.

    Args:
        visible: the structures; row i of every array is ``visible[i]``.
        values: their label values.
        area, depth: [n], see :class:`dataset_builder.imaging.measurements.Measured`.
        centroid, point, box, box_low, box_high: [n, 2] mm; ``box`` is the box's centre.
        known: all structures that the source labels and the vocabulary knows, sorted by name.
        present_known: names of those of them with a pixel in the slice, however few.
        vocabulary: structures by canonical name.
    """

    record: SliceRecord
    clarity: ClarityLimits
    seed: int
    visible: tuple[Structure, ...]
    values: tuple[int, ...]
    area: Floats
    depth: Floats
    centroid: Floats
    quartile_low: Floats
    quartile_high: Floats
    point: Floats
    box_low: Floats
    box_high: Floats
    profiles: tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]
    known: tuple[Structure, ...]
    present_known: tuple[str, ...]
    vocabulary: Mapping[str, Structure]

    @classmethod
    def of(
        cls,
        record: SliceRecord,
        clarity: ClarityLimits,
        seed: int,
        vocabulary: Mapping[str, Structure] | None = None,
    ) -> "Scene":
        """Measure a slice.

        Args:
            vocabulary: structures by canonical name; the package's own if not given. Others are never asked about.
        """
        words = structures() if vocabulary is None else vocabulary
        values, measured = measured_structures(record)
        rows = [
            row
            for row, value in enumerate(values)
            if record.names[value] in words and measured.area[row] >= clarity.min_area_mm2 - ROUNDING_MM
        ]
        rows = [row for row in rows if can_be_named(record, values[row], words, clarity)]
        seen = contrasts(record, [values[row] for row in rows], words)
        rows = [row for row, contrast in zip(rows, seen, strict=True) if contrast >= clarity.min_contrast]
        rows.sort(key=lambda row: record.names[values[row]])
        return cls(
            record=record,
            clarity=clarity,
            seed=seed,
            visible=tuple(words[record.names[values[row]]] for row in rows),
            values=tuple(values[row] for row in rows),
            area=measured.area[rows],
            depth=measured.depth[rows],
            centroid=measured.centroid[rows],
            quartile_low=measured.quartile_low[rows],
            quartile_high=measured.quartile_high[rows],
            point=measured.point_voxel[rows] * np.asarray(record.spacing),
            box_low=measured.box_low[rows],
            box_high=measured.box_high[rows],
            profiles=(measured.profile[0][rows], measured.profile[1][rows]),
            known=tuple(words[name] for name in sorted(set(record.names.values()) & words.keys())),
            present_known=tuple(name for name in map(record.names.__getitem__, values) if name in words),
            vocabulary=words,
        )

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Canonical names of the visible structures."""
        return tuple(structure.name for structure in self.visible)

    @cached_property
    def box(self) -> Floats:
        """Centres of the boxes [n, 2]."""
        return (self.box_low + self.box_high) / 2

    def shown_alone(self, names: Sequence[str]) -> list[int]:
        """In how many of the volume's slices each of some structures is clearly visible and none of the others is."""
        seen = [self._seen_in.get(name, (0, 0)) for name in names]
        return [
            (visible & ~reduce(or_, (other for k, (_, other) in enumerate(seen) if k != i), 0)).bit_count()
            for i, (visible, _) in enumerate(seen)
        ]

    @cached_property
    def _seen_in(self) -> Mapping[str, tuple[int, int]]:
        return {self.record.names[value]: masks for value, masks in self.record.seen_in.items()}

    @cached_property
    def pieces(self) -> Pieces:
        """Whether each is one piece, and what its box holds."""
        return pieces(self.record.labels, self.record.spacing, self.values)

    @cached_property
    def is_lesion(self) -> npt.NDArray[np.bool_]:
        """[n]: which of the visible structures are lesions."""
        return np.array([structure.is_lesion for structure in self.visible], bool)

    @cached_property
    def lesions(self) -> Lesions:
        """Where the lesions of the slice lie."""
        return Lesions.of(self.record, self.values, self.clarity, self.vocabulary)

    @cached_property
    def with_lesions(self) -> frozenset[str]:
        """Names of the visible structures that a lesion lies in: their labels leave it out."""
        differ = self.lesions.whole != self.record.labels
        hosts = set(np.unique(self.lesions.whole[differ]).tolist())
        return frozenset(name for name, value in zip(self.names, self.values, strict=True) if value in hosts)

    @cached_property
    def scattered(self) -> frozenset[str]:
        """Names of those that are several pieces: a marker would show something else, too."""
        whole = is_one_piece(self.pieces, self.clarity)
        return frozenset(name for name, is_whole in zip(self.names, whole, strict=True) if not is_whole)

    def clearly_ahead(self, axis: int) -> Truth:
        """[n, n]: whether most pixels of i lie farther along in-plane axis 0 (u) or 1 (v) than most of j."""
        return ahead(self.profiles[axis]) >= self.clarity.min_pair_share - 1e-9

    @cached_property
    def distances(self) -> Floats:
        """Distance between the nearest pixels of i and j [n, n]."""
        return mask_distances(self.record.labels, self.record.spacing, self.values)

    def along(self, axis: int) -> Positions:
        """Positions along in-plane axis 0 (u) or 1 (v), growing as the index does."""
        parts = (self.centroid, self.quartile_low, self.quartile_high, self.point, self.box)
        centroid, low, high, point, box = (part[:, axis] for part in parts)
        return Positions(centroid, low, high, point, box, self._along_world(axis) if self.record.oblique else None)

    def _along_world(self, axis: int) -> Positions:
        """Positions along the world's axis that an in-plane axis stands for."""
        world_axis = IN_PLANE_AXES[self.record.plane][axis]
        across, origin = slice_to_world(self.record, world_axis)
        low, high = (
            np.array([np.percentile(at, 100 * share) for at in self.world_pixels(world_axis)]) for share in QUARTILES
        )
        centroid, point, box = (part @ across + origin for part in (self.centroid, self.point, self.box))
        return Positions(centroid, low, high, point, box)

    def world_pixels(self, world_axis: int) -> list[Floats]:
        """Of each visible structure where each of its pixels lies along a world's axis."""
        across, origin = slice_to_world(self.record, world_axis)
        return [pixels @ across + origin for pixels in self._pixels]

    @cached_property
    def _pixels(self) -> list[Floats]:
        """Of each visible structure where its pixels lie, in mm [pixels, 2]."""
        step = np.asarray(self.record.spacing)
        return [np.argwhere(self.record.labels == value) * step for value in self.values]

    @cached_property
    def _identity(self) -> tuple[object, ...]:
        record = self.record
        return self.seed, *record.drawn_by, record.plane, record.index

    def random(self, purpose: str) -> random.Random:
        """A generator for one purpose in this slice."""
        return random.Random(digest(*self._identity, purpose))

    def pair(
        self,
        terminology: Terminology,
        kind: Kind,
        axis: str | None,
        items: tuple[Item, Item],
        margin_mm: float,
        options: tuple[str, ...] = (),
    ) -> Fact:
        """A fact of two items; which comes first is drawn, so that no word is favoured."""
        first, second = items
        if coin(*self._identity, kind, axis, *first[0], *second[0]):
            first, second = second, first
        return Fact(terminology, kind, axis, *first, *second, options, float(margin_mm))
