"""What differs between two torsos: drawn first, then painted by fixed rules. Right and left are not among it."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dataset_builder.sources.phantoms.anatomy.standard import (
    COVERAGE,
    DEPTH,
    HIGHEST,
    LOWEST,
    WARP_MM,
    WIDTH,
)
from dataset_builder.sources.phantoms.canvas import Warp, draw_warp
from dataset_builder.sources.phantoms.shapes import (
    Point,
    smooth_path,
)


@dataclass(frozen=True, eq=False)
class Individual:
    """All that differs between two torsos.

    Args:
        scale: size along x, y, z.
        fat: thickness of the fat under the skin, mm.
        offsets: displacement of each organ from its standard place, mm.
        sizes: size of each organ, 1 is standard.
        full: how far stomach, bladder and bowel are filled, 0 to 1.
        branches: directions of the vessels in the lungs.
        warp: the smooth displacement of everything.
    """

    scale: Point
    fat: float
    offsets: Mapping[str, Point]
    sizes: Mapping[str, float]
    full: Mapping[str, float]
    branches: npt.NDArray[np.float64]
    warp: Warp

    def move(self, organ: str, point: Point) -> Point:
        """A standard position moved with its organ."""
        dx, dy, dz = self.offsets[organ]
        return (point[0] + dx, point[1] + dy, point[2] + dz)

    def path(self, organ: str, *points: Point) -> list[Point]:
        """A smooth path moved with its organ."""
        return smooth_path([self.move(organ, point) for point in points])


ORGANS = ("liver", "spleen", "stomach", "pancreas", "kidney_left", "kidney_right", "gallbladder", "colon", "bladder",
          "heart", "vessels", "bowel")  # fmt: skip


def draw_individual(random: np.random.Generator) -> Individual:
    """A random individual."""
    size = random.uniform(0.92, 1.08)
    scale: Point = (
        float(size * random.uniform(0.95, 1.05)),
        float(size * random.uniform(0.95, 1.05)),
        float(size * random.uniform(0.97, 1.03)),
    )
    fat = float(random.uniform(6, 24))
    offsets: dict[str, Point] = {}
    sizes = {}
    for organ in ORGANS:
        dx, dy, dz = random.uniform(-1, 1, 3) * (4, 4, 9)
        offsets[organ] = (float(dx), float(dy), float(dz))
        sizes[organ] = float(random.uniform(0.9, 1.1))
    full = {organ: float(random.uniform(0, 1)) for organ in ("stomach", "bladder", "colon", "couch")}
    branches = random.normal(size=(2, 12, 3, 3))
    warp = draw_warp(random, (-WIDTH / 2, -DEPTH / 2 - 20, LOWEST), (WIDTH / 2, DEPTH / 2, HIGHEST), WARP_MM)
    return Individual(scale, fat, offsets, sizes, full, branches, warp)


def field_of_view(individual: Individual, coverage: str) -> tuple[Point, Point]:
    """Lowest and highest corner of the scanned region in the world, mm."""
    low, high = COVERAGE[coverage]
    sx, sy, sz = individual.scale
    return (-WIDTH / 2 * sx, (-DEPTH / 2 - 12) * sy, low * sz), (WIDTH / 2 * sx, (DEPTH / 2 - 12) * sy, high * sz)
