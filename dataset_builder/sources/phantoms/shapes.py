"""Solid shapes as signed distances: what the phantom's bodies are put together from.

Body coordinates are RAS+ millimetres. A shape's ``distance`` takes three arrays of one shape (x, y, z in mm) and
returns the distance to its surface in mm, negative inside. Distances are exact for tubes and plates, close near the
surface for ellipsoids and columns. ``low`` and ``high`` bound the inside, so that only a small box of voxels is ever
looked at.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np
import numpy.typing as npt

Point = tuple[float, float, float]
"""A position in body coordinates: mm to the Right, Anterior, Superior."""
Coordinates = npt.NDArray[np.float32]
Distance = Callable[[Coordinates, Coordinates, Coordinates], npt.NDArray[np.float32]]

EVERYWHERE = 1e6


@dataclass(frozen=True, eq=False)
class Shape:
    """A solid: its signed distance and the box that it lies in.

    Args:
        low, high: corners of a box that holds every inside point, mm.
        distance: signed distance in mm, negative inside.
    """

    low: Point
    high: Point
    distance: Distance

    def __and__(self, other: "Shape") -> "Shape":
        """What lies in both."""
        return Shape(
            _corner(max, self.low, other.low),
            _corner(min, self.high, other.high),
            lambda x, y, z: np.maximum(self.distance(x, y, z), other.distance(x, y, z)),
        )

    def __sub__(self, other: "Shape") -> "Shape":
        """What lies in the first and not in the second."""
        return Shape(self.low, self.high, lambda x, y, z: np.maximum(self.distance(x, y, z), -other.distance(x, y, z)))

    def __or__(self, other: "Shape") -> "Shape":
        """What lies in either."""
        return Shape(
            _corner(min, self.low, other.low),
            _corner(max, self.high, other.high),
            lambda x, y, z: np.minimum(self.distance(x, y, z), other.distance(x, y, z)),
        )

    def grow(self, mm: float) -> "Shape":
        """The shape with its surface moved outward by ``mm``, inward where negative."""
        return Shape(
            (self.low[0] - mm, self.low[1] - mm, self.low[2] - mm),
            (self.high[0] + mm, self.high[1] + mm, self.high[2] + mm),
            lambda x, y, z: self.distance(x, y, z) - np.float32(mm),
        )


def _corner(choose: Callable[[float, float], float], first: Point, second: Point) -> Point:
    return (choose(first[0], second[0]), choose(first[1], second[1]), choose(first[2], second[2]))


def union(shapes: Sequence[Shape]) -> Shape:
    """What lies in any of the shapes."""
    return reduce(lambda first, second: first | second, shapes)


def blend(first: Shape, second: Shape, mm: float) -> Shape:
    """Both shapes with the crease between them filled, over about ``mm``."""

    def distance(x: Coordinates, y: Coordinates, z: Coordinates) -> npt.NDArray[np.float32]:
        a, b = first.distance(x, y, z), second.distance(x, y, z)
        near = np.maximum(np.float32(mm) - np.abs(a - b), 0)
        return np.minimum(a, b) - near * near / np.float32(4 * mm)

    reach = mm / 4
    both = first | second
    return Shape(
        (both.low[0] - reach, both.low[1] - reach, both.low[2] - reach),
        (both.high[0] + reach, both.high[1] + reach, both.high[2] + reach),
        distance,
    )


def half_space(point: Point, normal: Point) -> Shape:
    """All points on the side of the plane through ``point`` that ``normal`` points away from."""
    unit = np.asarray(normal, dtype=np.float64) / np.linalg.norm(normal)
    nx, ny, nz = (np.float32(value) for value in unit)
    offset = np.float32(unit @ np.asarray(point, dtype=np.float64))
    return Shape(
        (-EVERYWHERE,) * 3,
        (EVERYWHERE,) * 3,
        lambda x, y, z: nx * x + ny * y + nz * z - offset,
    )


def region(inside: Distance) -> Shape:
    """An unbounded shape from a distance function of its own; combine it with a bounded one by ``&``."""
    return Shape((-EVERYWHERE,) * 3, (EVERYWHERE,) * 3, inside)


def ellipsoid(centre: Point, radii: Point, toward: Point | None = None) -> Shape:
    """An ellipsoid.

    Args:
        centre: mm.
        radii: half axes in mm; with ``toward``, the third lies along that direction, and the first stays as close to
            the body's right-left axis as it can.
        toward: direction of the third axis; superior if not given.
    """
    middle = np.asarray(centre, dtype=np.float64)
    third = np.asarray(toward if toward is not None else (0.0, 0.0, 1.0), dtype=np.float64)
    third = third / np.linalg.norm(third)
    second = np.cross(third, (1.0, 0.0, 0.0))
    if np.linalg.norm(second) < 1e-6:
        second = np.array((0.0, 1.0, 0.0))
    second = second / np.linalg.norm(second)
    frame = np.stack([np.cross(second, third), second, third])  # rows: unit vectors of the half axes
    half = np.asarray(radii, dtype=np.float64)
    reach = np.sqrt(((frame * half[:, None]) ** 2).sum(axis=0))

    def distance(x: Coordinates, y: Coordinates, z: Coordinates) -> npt.NDArray[np.float32]:
        dx, dy, dz = (value - np.float32(offset) for value, offset in zip((x, y, z), middle, strict=True))
        scaled = np.zeros_like(dx)
        steep = np.zeros_like(dx)
        for row, radius in zip(frame, half, strict=True):
            along = (np.float32(row[0]) * dx + np.float32(row[1]) * dy + np.float32(row[2]) * dz) / np.float32(radius)
            along *= along
            scaled += along
            steep += along / np.float32(radius * radius)
        scaled = np.sqrt(scaled)
        # Dividing by the gradient's length turns the scaled radius into a distance, exact at the surface.
        return scaled * (scaled - 1) / np.maximum(np.sqrt(steep), np.float32(1 / (20 * half.max())))

    return Shape(_point(middle - reach), _point(middle + reach), distance)


def sphere(centre: Point, radius: float) -> Shape:
    """A ball, mm."""
    return ellipsoid(centre, (radius, radius, radius))


def tube(points: Sequence[Point], radii: float | Sequence[float], squash: Point = (1.0, 1.0, 1.0)) -> list[Shape]:
    """A tube along a path, one shape a segment, so that each is painted in its own small box.

    Args:
        points: two or more positions, mm.
        radii: one radius, or one a point, mm.
        squash: the radius along each axis is divided by these: (0.5, 1, 1) makes a band twice as wide as it is deep.
    """
    sizes = [float(radii)] * len(points) if isinstance(radii, int | float) else [float(value) for value in radii]
    return [_segment(points[i], points[i + 1], sizes[i], sizes[i + 1], squash) for i in range(len(points) - 1)]


def _segment(start: Point, end: Point, first: float, last: float, squash: Point) -> Shape:
    factors = np.asarray(squash, dtype=np.float64)
    a = np.asarray(start, dtype=np.float64)
    b = np.asarray(end, dtype=np.float64)
    reach = max(first, last) / factors
    along = (b - a) * factors
    length2 = max(float(along @ along), 1e-9)
    fx, fy, fz = (np.float32(value) for value in factors)
    ax, ay, az = (np.float32(value) for value in a)
    ux, uy, uz = (np.float32(value) for value in along)

    def distance(x: Coordinates, y: Coordinates, z: Coordinates) -> npt.NDArray[np.float32]:
        dx, dy, dz = (x - ax) * fx, (y - ay) * fy, (z - az) * fz
        t = np.clip((dx * ux + dy * uy + dz * uz) * np.float32(1 / length2), 0, 1)
        dx, dy, dz = dx - t * ux, dy - t * uy, dz - t * uz
        return np.sqrt(dx * dx + dy * dy + dz * dz) - (np.float32(first) + t * np.float32(last - first))

    return Shape(_point(np.minimum(a, b) - reach), _point(np.maximum(a, b) + reach), distance)


def smooth_path(points: Sequence[Point], per_segment: int = 4) -> list[Point]:
    """A curved path through the points (Catmull-Rom), with ``per_segment`` steps between two of them."""
    given = np.asarray(points, dtype=np.float64)
    padded = np.vstack([2 * given[0] - given[1], given, 2 * given[-1] - given[-2]])
    curve = []
    for i in range(1, len(given)):
        before, here, there, after = padded[i - 1 : i + 3]
        for t in np.arange(per_segment) / per_segment:
            curve.append(
                0.5
                * (
                    2 * here
                    + (there - before) * t
                    + (2 * before - 5 * here + 4 * there - after) * t**2
                    + (3 * here - before - 3 * there + after) * t**3
                )
            )
    return [_point(position) for position in [*curve, given[-1]]]


def plate(first: Point, second: Point, third: Point, thickness: float) -> Shape:
    """A flat triangular bone with rounded edges; ``thickness`` in mm."""
    corners = [np.asarray(corner, dtype=np.float64) for corner in (first, second, third)]
    edges = [corners[1] - corners[0], corners[2] - corners[1], corners[0] - corners[2]]
    normal = np.cross(edges[0], edges[2])
    normal = normal / np.linalg.norm(normal)
    inward = [np.cross(normal, edge) for edge in edges]
    radius = thickness / 2

    def distance(x: Coordinates, y: Coordinates, z: Coordinates) -> npt.NDArray[np.float32]:
        over = np.ones(x.shape, dtype=bool)
        rim = np.full(x.shape, np.inf, dtype=np.float32)
        for corner, edge, side in zip(corners, edges, inward, strict=True):
            cx, cy, cz = (np.float32(value) for value in corner)
            ex, ey, ez = (np.float32(value) for value in edge)
            sx, sy, sz = (np.float32(value) for value in side)
            dx, dy, dz = x - cx, y - cy, z - cz
            over &= dx * sx + dy * sy + dz * sz <= 0
            t = np.clip((dx * ex + dy * ey + dz * ez) / np.float32(edge @ edge), 0, 1)
            dx, dy, dz = dx - t * ex, dy - t * ey, dz - t * ez
            rim = np.minimum(rim, dx * dx + dy * dy + dz * dz)
        nx, ny, nz = (np.float32(value) for value in normal)
        above = np.abs(x * nx + y * ny + z * nz - np.float32(normal @ corners[0]))
        return np.where(over, above, np.sqrt(rim)) - np.float32(radius)

    low = np.min(corners, axis=0) - radius
    high = np.max(corners, axis=0) + radius
    return Shape(_point(low), _point(high), distance)


@dataclass(frozen=True)
class Column:
    """A solid with an oval cross-section that changes along the body's long axis: skin, chest, pelvis, shin.

    Args:
        knots: rows (z, centre y, half width, half depth) in mm, z rising.
        squareness: 0 for ellipses, towards 1 for rounded boxes.
    """

    knots: tuple[tuple[float, float, float, float], ...]
    squareness: float = 0.0

    def at(self, z: float) -> tuple[float, float, float]:
        """(centre y, half width, half depth) at height z."""
        rows = np.asarray(self.knots, dtype=np.float64)
        return tuple(float(np.interp(z, rows[:, 0], rows[:, i])) for i in (1, 2, 3))  # type: ignore[return-value]

    def rim(self, z: float, angle_deg: float, outward: float = 0.0) -> Point:
        """The surface point at height z, moved ``outward`` mm; angle 0 is posterior, 90 right, 180 anterior."""
        centre, width, depth = self.at(z)
        sine, cosine = np.sin(np.radians(angle_deg)), np.cos(np.radians(angle_deg))
        stretch = (1 - self.squareness) + self.squareness * (sine**4 + cosine**4) ** 0.25
        return (
            float((width / stretch + outward) * sine),
            float(centre - (depth / stretch + outward) * cosine),
            z,
        )

    def shape(self) -> Shape:
        """The solid."""
        rows = np.asarray(self.knots, dtype=np.float64)
        bottom, top = float(rows[0, 0]), float(rows[-1, 0])
        heights = np.arange(bottom, top + 1)
        centres, widths, depths = (np.interp(heights, rows[:, 0], rows[:, i]).astype(np.float32) for i in (1, 2, 3))
        squareness = np.float32(self.squareness)

        def distance(x: Coordinates, y: Coordinates, z: Coordinates) -> npt.NDArray[np.float32]:
            # One row of the table a millimetre; looking up is far cheaper than interpolating each voxel.
            row = np.clip(z - np.float32(bottom) + np.float32(0.5), 0, len(heights) - 1).astype(np.intp)
            wide, deep = widths[row], depths[row]
            dy = y - centres[row]
            # In place where it can be: these arrays are large, and most of the time goes into moving them.
            ray = x * x
            ray += dy * dy
            np.sqrt(ray, out=ray)
            u, v = x / wide, dy / deep
            u *= u
            v *= v
            scaled = u + v
            np.sqrt(scaled, out=scaled)
            if squareness:
                u *= u
                v *= v
                u += v
                np.sqrt(u, out=u)
                np.sqrt(u, out=u)
                u -= scaled
                u *= squareness
                scaled += u
            # Distance along the ray from the axis; the small terms keep the axis itself well inside.
            ray += np.float32(1e-3) * np.minimum(wide, deep)
            ray *= scaled - 1
            scaled += np.float32(1e-3)
            ray /= scaled
            np.maximum(ray, np.float32(bottom) - z, out=ray)
            return np.maximum(ray, z - np.float32(top), out=ray)

        half = rows[:, 2].max()
        return Shape(
            (-half, float((rows[:, 1] - rows[:, 3]).min()), bottom),
            (half, float((rows[:, 1] + rows[:, 3]).max()), top),
            distance,
        )


def _point(values: npt.NDArray) -> Point:
    return (float(values[0]), float(values[1]), float(values[2]))
