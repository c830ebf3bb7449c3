"""Painting and scanning on small grids whose every voxel is known."""

import numpy as np
import pytest

from dataset_builder.sources.phantoms import canvas as module
from dataset_builder.sources.phantoms.canvas import KNOT_MM, Canvas, Warp, draw_warp, smooth_field, tissues
from dataset_builder.sources.phantoms.shapes import ellipsoid, half_space, sphere, tube

STILL = Warp(np.zeros((3, 6, 6, 6), np.float32), (-100, -100, -100))


def grid(shape=(20, 24, 28), spacing=(2.0, 1.5, 1.0), scale=(1.0, 1.0, 1.0), warp=STILL):
    """A canvas around the origin."""
    origin = tuple(-(count - 1) / 2 * step for count, step in zip(shape, spacing, strict=True))
    return Canvas(shape, spacing, origin, scale, warp)


def positions(canvas_shape=(20, 24, 28), spacing=(2.0, 1.5, 1.0)):
    """World position of every voxel of such a canvas, three arrays."""
    return np.meshgrid(
        *((np.arange(n) - (n - 1) / 2) * step for n, step in zip(canvas_shape, spacing, strict=True)), indexing="ij"
    )


def tissue(name):
    return tissues()[name].number


def test_tissues_are_numbered_from_air():
    listed = tissues()
    assert next(iter(listed)) == "air"
    assert [row.number for row in listed.values()] == list(range(len(listed)))
    assert all(0 <= row.t1 <= 1000 and 0 <= row.t2 <= 1000 and 0 <= row.dess <= 1000 for row in listed.values())


def test_paint_covers_the_voxels_inside_and_no_others():
    canvas = grid()
    canvas.paint(ellipsoid((3, -2, 1), (9, 8, 7)), "liver", "liver")
    x, y, z = positions()
    wanted = ((x - 3) / 9) ** 2 + ((y + 2) / 8) ** 2 + ((z - 1) / 7) ** 2 < 1
    np.testing.assert_array_equal(canvas.labels == canvas.number("liver"), wanted)
    np.testing.assert_array_equal(canvas.tissue == tissue("liver"), wanted)
    assert canvas.names == {1: "liver"}


def test_later_paint_lies_over_earlier_paint():
    canvas = grid()
    canvas.paint(sphere((0, 0, 0), 9), "liver", "liver")
    canvas.paint(half_space((0, 0, 0), (-1, 0, 0)) & sphere((0, 0, 0), 9), "spleen", "spleen")
    x, y, z = positions()
    ball = x**2 + y**2 + z**2 < 81
    np.testing.assert_array_equal(canvas.labels == 1, ball & (x < 0))
    np.testing.assert_array_equal(canvas.labels == 2, ball & (x > 0))
    canvas.paint(sphere((0, 0, 0), 9), "fat")  # no structure
    assert not canvas.labels.any()


def test_paint_can_keep_to_a_structure_or_to_tissues():
    canvas = grid()
    canvas.paint(sphere((0, 0, 0), 9), "liver", "liver")
    canvas.paint(sphere((9, 0, 0), 6), "vessel", "aorta", only_in="liver")
    x, y, z = positions()
    ball, other = x**2 + y**2 + z**2 < 81, (x - 9) ** 2 + y**2 + z**2 < 36
    np.testing.assert_array_equal(canvas.labels == 2, ball & other)
    canvas.paint(sphere((9, 0, 0), 6), "fat", only_on=("air", "vessel"), keep_label=True)
    np.testing.assert_array_equal(canvas.tissue == tissue("fat"), other)
    np.testing.assert_array_equal(canvas.labels == 2, ball & other)
    canvas.paint(sphere((9, 0, 0), 6), "gas", only_in="liver", only_on=("fat",))
    assert not (canvas.tissue == tissue("gas")).any()
    canvas.paint(sphere((9, 0, 0), 6), None, "stomach", only_in="aorta", only_on=("fat",))
    np.testing.assert_array_equal(canvas.labels == 3, ball & other)
    np.testing.assert_array_equal(canvas.tissue == tissue("fat"), other)


def test_a_core_lies_under_its_rind_through_all_segments():
    canvas = grid()
    canvas.paint(tube([(0, 0, -20), (0, 0, 0), (0, 0, 20)], 8), "compact_bone", "femur_left", core="marrow", rind=3)
    x, y, _ = positions()
    across = np.hypot(x, y)
    np.testing.assert_array_equal(canvas.tissue == tissue("marrow"), across < 5)
    np.testing.assert_array_equal(canvas.tissue == tissue("compact_bone"), (across >= 5) & (across < 8))
    np.testing.assert_array_equal(canvas.labels == 1, across < 8)


def test_paint_beside_the_grid_is_lost():
    canvas = grid()
    canvas.paint(sphere((500, 0, 0), 9), "liver", "liver")
    assert not canvas.labels.any()


def test_a_larger_individual_is_larger():
    canvas = grid(scale=(1.5, 1.0, 0.5))
    canvas.paint(sphere((0, 0, 0), 9), "liver", "liver")
    x, y, z = positions()
    np.testing.assert_array_equal(canvas.labels == 1, (x / 1.5) ** 2 + y**2 + (z / 0.5) ** 2 < 81)


@pytest.mark.parametrize("seed", range(4))
def test_a_displaced_shape_is_not_cut_by_its_box(seed, monkeypatch):
    """Each voxel by itself, through its displaced position: no box, no slabs."""
    random = np.random.default_rng(seed)
    warp = draw_warp(random, (-40, -40, -40), (40, 40, 40), 8.0)
    canvas = grid((40, 40, 40), (2, 2, 2), warp=warp)
    monkeypatch.setattr(module, "SLAB_VOXELS", 700)
    shape = ellipsoid(tuple(random.uniform(-20, 20, 3)), (18, 9, 13), tuple(random.normal(size=3)))
    canvas.paint(shape, "liver", "liver")
    axes = [(np.arange(40) - 19.5) * 2] * 3
    here = [axis + warp.along(i, axes) for i, axis in enumerate(positions((40, 40, 40), (2, 2, 2)))]
    distance = shape.distance(*(axis.astype(np.float32) for axis in here))
    clear = np.abs(distance) > 1e-3
    np.testing.assert_array_equal((canvas.labels == 1)[clear], (distance < 0)[clear])
    assert (canvas.labels == 1).any()


def test_displacements_stay_within_their_limit():
    warp = draw_warp(np.random.default_rng(0), (-100, -50, 0), (100, 50, 300), 7.0)
    axes = [np.linspace(low, high, 30) for low, high in ((-100, 100), (-50, 50), (0, 300))]
    for component in range(3):
        moved = warp.along(component, axes)
        assert moved.shape == (30, 30, 30)
        assert 3 < np.abs(moved).max() <= 7


def test_a_mirrored_displacement_moves_the_twin_likewise():
    warp = draw_warp(np.random.default_rng(0), (-100, -50, 0), (100, 50, 300), 7.0)
    axes = [np.linspace(-90, 90, 20), np.linspace(-40, 40, 10), np.linspace(10, 280, 15)]
    for component, sign in enumerate((-1, 1, 1)):
        one = warp.along(component, axes)
        twin = warp.mirrored().along(component, [-axes[0], axes[1], axes[2]])
        np.testing.assert_allclose(twin, sign * one, atol=1e-4)


def test_a_smooth_field_passes_through_its_knots_and_stays_between_them():
    knots = np.random.default_rng(1).uniform(-1, 1, (3, 4, 5))
    at_knots = smooth_field(knots, [np.arange(3.0), np.arange(4.0), np.arange(5.0)])
    np.testing.assert_allclose(at_knots, knots, atol=1e-6)
    half_way = smooth_field(knots, [np.array([0.5]), np.array([1.5]), np.array([2.5])])
    assert half_way.item() == pytest.approx(knots[:2, 1:3, 2:4].mean(), abs=1e-6)
    fine = smooth_field(knots, [np.linspace(-1, 3, 50), np.zeros(1), np.zeros(1)])
    assert np.abs(np.diff(fine[:, 0, 0])).max() < 0.3
    assert fine[0, 0, 0] == pytest.approx(knots[0, 0, 0])  # beyond the knots, as at the last one
    assert KNOT_MM > 30


def blocks(*names):
    """A canvas of the tissues side by side, 10 voxels each."""
    canvas = grid((10 * len(names), 20, 20), (1, 1, 1))
    for i, name in enumerate(names):
        canvas.tissue[10 * i : 10 * i + 10] = tissue(name)
    return canvas


def test_ct_shows_hounsfield_units_and_contrast_agent():
    names = ("air", "fat", "liver", "artery")
    random = np.random.default_rng
    plain, dosed = (blocks(*names).scan("ct", random(0), agent=agent) for agent in (0.0, 1.0))
    assert plain.dtype == np.int16
    for i, name in enumerate(names):
        inner = slice(10 * i + 2, 10 * i + 8)
        row = tissues()[name]
        assert plain[inner].mean() == pytest.approx(row.ct, abs=3)
        assert dosed[inner].mean() == pytest.approx(row.ct + row.enhancement, abs=3)
        # Each voxel takes a part of its neighbours' noise, along three axes in turn.
        blurred = np.sqrt(0.68**2 + 2 * 0.16**2) ** 3
        assert plain[inner].std() == pytest.approx(blurred * (34 + row.grain), rel=0.1, abs=0.3)
    assert plain.min() >= -1024


@pytest.mark.parametrize("contrast", ["t1", "t2", "dess"])
def test_mr_shows_signal_with_shading_and_is_never_negative(contrast):
    names = ("air", "fat", "liver", "urine")
    image = blocks(*names).scan(contrast, np.random.default_rng(0))
    assert image.dtype == np.int16
    assert image.min() >= 0
    for i, name in enumerate(names[1:], 1):
        wanted = getattr(tissues()[name], contrast)
        assert image[10 * i + 2 : 10 * i + 8].mean() == pytest.approx(wanted, rel=0.2)


def test_noise_is_that_of_the_generator():
    one, same, other = (blocks("liver").scan("ct", np.random.default_rng(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert (one != other).any()


def test_a_grid_one_voxel_thick_can_be_scanned():
    assert grid((1, 5, 5), (3, 1, 1)).scan("ct", np.random.default_rng(0)).shape == (1, 5, 5)
