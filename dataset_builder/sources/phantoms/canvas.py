"""The voxel grid that a body is painted on, and the image that a scanner would make of it.

Body coordinates (RAS+ mm, see ``shapes``) reach each voxel through the individual's size and a smooth random
displacement, so that no two bodies are alike while what lies beside, inside or left of what stays true.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Literal

import numpy as np
import numpy.typing as npt
import yaml

from dataset_builder.sources.phantoms.shapes import Point, Shape

Contrast = Literal["ct", "t1", "t2", "dess"]
KNOT_MM = 45.0
"""Distance between the points where the displacement is drawn; it is smooth in between."""

SLAB_VOXELS = 100_000
"""How many voxels a shape is worked out for at once."""

Box = tuple[slice, slice, slice]
_Where = npt.NDArray[np.bool_] | None


@dataclass(frozen=True)
class Tissue:
    """How one tissue looks.

    Args:
        number: value in the tissue map.
        ct: Hounsfield units without contrast agent.
        enhancement: Hounsfield units that a full dose of contrast agent adds.
        grain: standard deviation of its own texture, Hounsfield units.
        t1, t2, dess: MR signal, 0 to 1000.
    """

    number: int
    ct: float
    enhancement: float
    grain: float
    t1: float
    t2: float
    dess: float


@cache
def tissues() -> Mapping[str, Tissue]:
    """All tissues by name, from ``tissues.yaml``."""
    rows = yaml.safe_load(
        (resources.files("dataset_builder.sources.phantoms") / "tissues.yaml").read_text(encoding="utf-8")
    )
    return {name: Tissue(number, *map(float, values)) for number, (name, values) in enumerate(rows.items())}


@dataclass(frozen=True, eq=False)
class Warp:
    """A smooth displacement of body coordinates.

    Args:
        knots: float32[3, a, b, c], displacement in mm along each axis at points ``KNOT_MM`` apart.
        start: body coordinates of the first knot.
    """

    knots: npt.NDArray[np.float32]
    start: Point

    def along(self, component: int, axes: Sequence[npt.NDArray]) -> npt.NDArray[np.float32]:
        """One component of the displacement on the grid spanned by three arrays of coordinates."""
        positions = [(axis - at) / KNOT_MM for axis, at in zip(axes, self.start, strict=True)]
        return smooth_field(self.knots[component], positions)

    def mirrored(self) -> "Warp":
        """The displacement that moves the other side's twin the same way; left and right ends must match."""
        knots = self.knots[:, ::-1].copy()
        knots[0] *= -1
        return Warp(knots, (-(self.start[0] + (knots.shape[1] - 1) * KNOT_MM), self.start[1], self.start[2]))


def draw_warp(random: np.random.Generator, low: Point, high: Point, mm: float) -> Warp:
    """A random displacement of at most ``mm`` (and mostly half of it) in the box between the corners."""
    start: Point = (low[0] - KNOT_MM, low[1] - KNOT_MM, low[2] - KNOT_MM)
    shape = [int(np.ceil((high[i] - start[i]) / KNOT_MM)) + 2 for i in range(3)]
    return Warp(random.uniform(-mm, mm, (3, *shape)).astype(np.float32), start)


def smooth_field(knots: npt.NDArray, positions: Sequence[npt.NDArray]) -> npt.NDArray[np.float32]:
    """Values between knots: [a, b, c] and three arrays of knot positions [I], [J], [K] to [I, J, K], float32.

    Only element-wise arithmetic, so that the bytes do not depend on a linear-algebra library or its threads.
    """
    field = np.asarray(knots, dtype=np.float32)
    for axis, position in enumerate(positions):
        index = np.clip(np.floor(position).astype(np.intp), 0, field.shape[axis] - 2)
        t = np.clip(position - index, 0, 1)
        t = (t * t * (3 - 2 * t)).astype(np.float32).reshape([-1 if i == axis else 1 for i in range(3)])
        first = np.take(field, index, axis=axis)
        field = first + t * (np.take(field, index + 1, axis=axis) - first)
    return field


class Canvas:
    """A grid of voxels, each with a tissue and a structure, on which shapes are painted one over the other.

    Args:
        shape: (I, J, K) voxels, RAS+.
        spacing: mm.
        origin: position of the first voxel's centre in the world, mm.
        scale: size of the individual along each axis; 1 is the standard body.
        warp: displacement of body coordinates.
    """

    def __init__(self, shape: tuple[int, int, int], spacing: Point, origin: Point, scale: Point, warp: Warp) -> None:
        self._axes = [((origin[i] + np.arange(shape[i]) * spacing[i]) / scale[i]).astype(np.float32) for i in range(3)]
        self._warp = warp
        self._most_displaced = [(float(knots.min()), float(knots.max())) for knots in warp.knots]
        # Each coordinate array holds the displaced position of every voxel, float32[I, J, K].
        self._coordinates = []
        for i, axis in enumerate(self._axes):
            displaced = warp.along(i, self._axes)
            displaced += axis.reshape([-1 if j == i else 1 for j in range(3)])
            self._coordinates.append(displaced)
        self.tissue: npt.NDArray[np.uint8] = np.zeros(shape, dtype=np.uint8)
        self.labels: npt.NDArray[np.uint8] = np.zeros(shape, dtype=np.uint8)
        self._numbers: dict[str, int] = {}

    def number(self, structure: str) -> int:
        """The label value of a structure, given out in order of first use."""
        return self._numbers.setdefault(structure, len(self._numbers) + 1)

    @property
    def names(self) -> dict[int, str]:
        """Label value to structure, as painted so far."""
        return {number: name for name, number in self._numbers.items()}

    def _box(self, shape: Shape) -> Box | None:
        """The voxels that may lie inside, or None."""
        box = self._range(shape, self._most_displaced)
        if box is None:
            return None
        near = tuple(
            slice(
                max(0, int((self._axes[i][box[i].start] - self._warp.start[i]) // KNOT_MM)),
                int((self._axes[i][box[i].stop - 1] - self._warp.start[i]) // KNOT_MM) + 2,
            )
            for i in range(3)
        )
        local = [component[near] for component in self._warp.knots]
        return self._range(shape, [(float(k.min()), float(k.max())) for k in local])

    def _range(self, shape: Shape, displacement: Sequence[tuple[float, float]]) -> Box | None:
        slices = []
        for axis, low, high, (least, most) in zip(self._axes, shape.low, shape.high, displacement, strict=True):
            start = int(axis.searchsorted(low - most, side="left"))
            stop = int(axis.searchsorted(high - least, side="right"))
            if start >= stop:
                return None
            slices.append(slice(start, stop))
        return (slices[0], slices[1], slices[2])

    def paint(
        self,
        shapes: Shape | Sequence[Shape],
        tissue: str | None,
        label: str | None = None,
        *,
        core: str | None = None,
        rind: float = 0.0,
        only_in: str | None = None,
        only_on: Sequence[str] = (),
        keep_label: bool = False,
    ) -> None:
        """Paint shapes over what is there.

        Args:
            shapes: one shape or several.
            tissue: what they are made of; None leaves the tissue as it is.
            label: the structure that they belong to; None for no structure.
            core: tissue deeper than ``rind`` mm below the surface: marrow in a bone, fluid in the bowel.
            rind: see ``core``.
            only_in: paint only voxels labelled as this structure.
            only_on: paint only voxels of these tissues.
            keep_label: leave the labels as they are.
        """
        number = 0 if label is None else self.number(label)
        boxes = [
            (shape, box)
            for shape in ([shapes] if isinstance(shapes, Shape) else shapes)
            if (box := self._box(shape)) is not None
        ]
        inner = []
        allowed = np.zeros(256, dtype=bool)
        allowed[[tissues()[name].number for name in only_on]] = True
        for shape, box in boxes:
            where: _Where = None
            if only_in is not None:
                where = self.labels[box] == self.number(only_in)
            if only_on:
                on = allowed[self.tissue[box]]
                where = on if where is None else where & on
            distance = self._distance(shape, box, where)
            inside = distance < 0
            if tissue is not None:
                self.tissue[box][inside] = tissues()[tissue].number
            if not keep_label:
                self.labels[box][inside] = number
            if core is not None:
                inner.append((box, distance < np.float32(-rind)))
        # All rinds first: where two segments of a tube meet, the second must not wall off the first.
        for box, inside in inner:
            self.tissue[box][inside] = tissues()[str(core)].number

    def _distance(self, shape: Shape, box: Box, where: _Where) -> npt.NDArray[np.float32]:
        """A shape's distance in a box of voxels; far outside where it is not asked for."""
        coordinates = [coordinate[box] for coordinate in self._coordinates]
        distance = np.full(coordinates[0].shape, np.inf, np.float32)
        # Slab by slab, so that what is worked out on the way stays in the processor's cache.
        step = max(1, SLAB_VOXELS // distance[0].size)
        for start in range(0, len(distance), step):
            slab = slice(start, start + step)
            if where is None:
                distance[slab] = shape.distance(*(coordinate[slab] for coordinate in coordinates))
            elif where[slab].any():
                distance[slab][where[slab]] = shape.distance(*(axis[slab][where[slab]] for axis in coordinates))
        return distance

    def scan(self, contrast: Contrast, random: np.random.Generator, *, agent: float = 0.0) -> npt.NDArray[np.int16]:
        """The grey image, int16[I, J, K]: Hounsfield units for CT, signal from 0 up for MR.

        Args:
            contrast: what kind of image.
            random: source of the noise.
            agent: dose of CT contrast agent, 0 to 1.
        """
        listed = tissues().values()
        if contrast == "ct":
            means = np.array([tissue.ct + agent * tissue.enhancement for tissue in listed], dtype=np.float32)
            spread = np.array([34 + tissue.grain for tissue in listed], dtype=np.float32)
        else:
            means = np.array([getattr(tissue, contrast) for tissue in listed], dtype=np.float32)
            spread = 25 + 0.05 * means + np.array([0.3 * tissue.grain for tissue in listed], dtype=np.float32)
            spread = spread.astype(np.float32)
        image = means[self.tissue]
        if contrast != "ct":
            image *= self._shading(random)
        noise = random.standard_normal(image.shape, dtype=np.float32)
        noise *= spread[self.tissue]
        image += noise
        _soften(image)
        if contrast == "ct":
            np.clip(image, -1024, 3071, out=image)
        else:
            np.abs(image, out=image)  # the magnitude of a noisy signal, as MR shows it
        return np.round(image).astype(np.int16)

    def _shading(self, random: np.random.Generator) -> npt.NDArray[np.float32]:
        """The slow change of brightness that an MR coil leaves, around 1."""
        knots = random.uniform(0.8, 1.2, (4, 4, 4)).astype(np.float32)
        return smooth_field(knots, [np.linspace(0, 3, count) for count in self.tissue.shape])


def _soften(image: npt.NDArray[np.float32], side: float = 0.16) -> None:
    """Blur in place by a little less than a voxel, as a scanner does: soft edges, and noise that is not salt."""
    weight = np.float32(side)
    for axis in range(3):
        moved = np.moveaxis(image, axis, 0)
        if moved.shape[0] < 2:
            continue
        source = moved.copy()
        moved *= 1 - 2 * weight
        source *= weight
        moved[1:] += source[:-1]
        moved[:-1] += source[1:]
        moved[0] += source[0]
        moved[-1] += source[-1]
