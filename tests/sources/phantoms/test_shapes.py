"""Distances of shapes against points whose distance is known, or found by looking at very many."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import KDTree

from dataset_builder.sources.phantoms.shapes import (
    Column,
    blend,
    ellipsoid,
    half_space,
    plate,
    region,
    smooth_path,
    sphere,
    tube,
    union,
)

RANDOM = np.random.default_rng(20)
CLOUD = RANDOM.uniform(-60, 60, (3, 4000)).astype(np.float32)
"""Points all over the place."""


def distance(shape, points):
    """Distances of points [3, n]."""
    return shape.distance(*np.asarray(points, np.float32))


def inside(shape, points=CLOUD):
    return distance(shape, points) < 0


PLACE = st.tuples(*[st.floats(-30, 30)] * 3)
SIZES = st.tuples(*[st.floats(4, 25)] * 3)
DIRECTION = PLACE.filter(lambda direction: np.linalg.norm(direction) > 1)


def test_a_balls_distance_is_the_way_to_its_surface():
    wanted = np.linalg.norm(CLOUD - [[5], [-3], [8]], axis=0) - 20
    away = wanted > -19  # the centre itself has no nearest point
    np.testing.assert_allclose(distance(sphere((5, -3, 8), 20), CLOUD)[away], wanted[away], rtol=1e-4, atol=1e-3)


@settings(max_examples=40)
@given(PLACE, SIZES, st.none() | DIRECTION)
def test_an_ellipsoids_axes_end_on_its_surface(centre, radii, toward):
    shape = ellipsoid(centre, radii, toward)
    third = np.array(toward or (0, 0, 1.0))
    third /= np.linalg.norm(third)
    ends = np.array(centre)[:, None] + radii[2] * third[:, None] * [[-1, 1]]
    np.testing.assert_allclose(distance(shape, ends), 0, atol=1e-2)
    # Everything within the smallest half axis is inside, everything beyond the greatest outside.
    away = np.linalg.norm(CLOUD - np.array(centre)[:, None], axis=0)
    assert inside(shape)[away < min(radii) * 0.999].all()
    assert not inside(shape)[away > max(radii) * 1.001].any()


def test_an_ellipsoids_axes_stand_in_the_bodys_axes():
    shape = ellipsoid((1, 2, 3), (10, 20, 30))
    for axis, radius in enumerate((10, 20, 30)):
        for step, is_inside in ((radius - 0.1, True), (radius + 0.1, False)):
            point = np.array([1.0, 2, 3])
            point[axis] += step
            assert inside(shape, point[:, None])[0] == is_inside


def test_an_ellipsoids_distance_is_right_near_the_surface():
    u, v = np.meshgrid(np.linspace(0, 2 * np.pi, 240), np.linspace(0, np.pi, 240))
    surface = np.stack([24 * np.cos(u) * np.sin(v), 12 * np.sin(u) * np.sin(v), 18 * np.cos(v)]).reshape(3, -1)
    wanted, _ = KDTree(surface.T).query(CLOUD.T)
    near = wanted < 3
    assert near.sum() > 30
    np.testing.assert_allclose(
        np.abs(distance(ellipsoid((0, 0, 0), (24, 12, 18)), CLOUD))[near], wanted[near], atol=0.8
    )


def test_a_half_spaces_distance_is_signed_against_its_normal():
    shape = half_space((0, 0, 10), (0, 0, 5))
    np.testing.assert_allclose(distance(shape, [[0, 7], [3, 3], [4, 15]]), [-6, 5])


@settings(max_examples=20)
@given(PLACE, PLACE, st.floats(2, 9), st.floats(2, 9))
def test_a_tube_is_where_balls_along_its_path_are(start, end, first, last):
    (shape,) = tube([start, end], (first, last))
    share = np.linspace(0, 1, 120)
    path = np.outer(start, 1 - share) + np.outer(end, share)
    balls = np.linalg.norm(CLOUD[:, :, None] - path[:, None, :], axis=0) - (first + share * (last - first))
    # Exact for even tubes; of a cone the surface is steeper than its axis.
    steep = abs(last - first) / max(np.linalg.norm(np.subtract(end, start)), 1e-3)
    clear = np.abs(balls.min(axis=1)) > 0.6 + 3 * min(steep, 2)
    np.testing.assert_array_equal(inside(shape)[clear], (balls.min(axis=1) < 0)[clear])


def test_a_tube_has_a_part_a_segment_and_its_squash_widens_it():
    parts = tube([(0, 0, 0), (0, 0, 50), (30, 0, 80)], 5, (0.5, 1, 1))
    assert len(parts) == 2
    across = [[-9.9, 10.1, 0, 0], [0, 0, 4.9, 5.1], [20, 20, 20, 20]]
    assert inside(parts[0], across).tolist() == [True, False, True, False]


def test_a_plate_is_thick_around_its_triangle():
    corners = np.array([(0, 0, 0), (40, 0, 10), (10, 35, -5)], float)
    shares = RANDOM.dirichlet((1, 1, 1), 6000)
    triangle = np.vstack(
        [shares @ corners, *(corners * np.roll([t, 1 - t, 0], k)[:, None] for t in (0, 1) for k in range(3))]
    )
    wanted = np.array([np.linalg.norm(triangle - point, axis=1).min() for point in CLOUD.T[:600]]) - 3
    np.testing.assert_allclose(distance(plate(*map(tuple, corners), 6), CLOUD[:, :600]), wanted, atol=1.2)


def test_shapes_are_put_together_as_sets():
    one, other = sphere((0, 0, 0), 30), ellipsoid((20, 5, -10), (30, 15, 25))
    a, b = inside(one), inside(other)
    np.testing.assert_array_equal(inside(one | other), a | b)
    np.testing.assert_array_equal(inside(one & other), a & b)
    np.testing.assert_array_equal(inside(one - other), a & ~b)
    np.testing.assert_array_equal(
        inside(union([one, other, sphere((-40, 0, 0), 9)])), a | b | inside(sphere((-40, 0, 0), 9))
    )


def test_growing_moves_the_surface_outward():
    np.testing.assert_array_equal(inside(sphere((0, 0, 0), 20).grow(7)), np.linalg.norm(CLOUD, axis=0) < 27)


def test_a_blend_fills_the_crease_and_no_more():
    one, other = sphere((-18, 0, 0), 20), sphere((18, 0, 0), 20)
    both, blended = inside(one | other), inside(blend(one, other, 12))
    assert (blended | ~both).all()
    assert (blended & ~both).any()
    assert not (blended & ~inside((one | other).grow(3.01))).any()
    assert inside(blend(one, other, 12), [[0], [10], [0]])[0]  # in the crease
    assert not inside(one | other, [[0], [10], [0]])[0]


TRUNK = Column(((-50, 0, 20, 10), (0, 5, 30, 20), (50, -5, 10, 10)), squareness=0.3)


def test_a_columns_cross_section_follows_its_rows():
    assert TRUNK.at(0) == (5, 30, 20)
    assert TRUNK.at(-25) == (2.5, 25, 15)
    ends = [(30, 5, 0), (-30, 5, 0), (0, 25, 0), (0, -15, 0)]
    np.testing.assert_allclose(distance(TRUNK.shape(), np.transpose(ends)), 0, atol=0.5)
    assert inside(TRUNK.shape(), [[0, 0], [5, 5], [49, 51]]).tolist() == [True, False]


@pytest.mark.parametrize("z", [-40, -10, 0, 30])
def test_a_columns_rim_is_on_its_surface(z):
    points = np.transpose([TRUNK.rim(z, angle) for angle in range(0, 360, 15)])
    np.testing.assert_allclose(distance(TRUNK.shape(), points), 0, atol=0.6)


def test_a_columns_rim_begins_behind_and_goes_to_the_right():
    back, right, front = (TRUNK.rim(0, angle) for angle in (0, 90, 180))
    np.testing.assert_allclose([back, right, front], [(0, -15, 0), (30, 5, 0), (0, 25, 0)], atol=1e-9)
    np.testing.assert_allclose(TRUNK.rim(0, 90, 4), (34, 5, 0), atol=1e-9)


SHAPES = [
    ellipsoid((3, 4, 5), (30, 12, 20), (1, 2, -1)),
    *tube([(-30, 0, 10), (20, 25, -5)], (4, 11), (0.6, 1, 1.3)),
    plate((-30, 0, 0), (20, 20, 5), (5, -30, 30), 8),
    TRUNK.shape(),
    blend(sphere((-18, 0, 0), 20), sphere((18, 0, 0), 20), 20),
    sphere((0, 0, 0), 30) - sphere((10, 0, 0), 20),
    sphere((0, 0, 0), 30) & region(lambda x, y, z: np.sin(x / 8)),
    sphere((0, 0, 0), 30) | sphere((20, 0, 20), 25),
    sphere((0, 0, 0), 20).grow(5),
]


@pytest.mark.parametrize("shape", SHAPES)
def test_a_shapes_box_holds_it_tightly(shape):
    held = CLOUD[:, inside(shape)]
    assert held.shape[1] > 20
    assert (held.min(axis=1) >= shape.low).all()
    assert (held.max(axis=1) <= shape.high).all()
    assert (np.array(shape.low) > -70).all()
    assert (np.array(shape.high) < 70).all()


def test_a_smooth_path_passes_its_points_and_does_not_stray():
    knots = [(0, 0, 0), (10, 0, 0), (10, 10, 0), (10, 10, 30)]
    path = np.array(smooth_path(knots, per_segment=8))
    assert len(path) == 3 * 8 + 1
    np.testing.assert_allclose(path[::8], knots, atol=1e-9)
    assert np.linalg.norm(np.diff(path, axis=0), axis=1).max() < 7
