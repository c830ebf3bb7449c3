"""Tilted scans: what is asked holds along the array's axes and in the world, worked out from the original volume."""

import numpy as np
import pytest

from dataset_builder.imaging.geometry import AXIS_DIRECTIONS, PLANE_AXIS, obliquity_deg
from dataset_builder.imaging.laterality import midline, world_midline
from dataset_builder.questions.facts import find_facts, find_stack_facts
from dataset_builder.slices.selection import choose_slices, cut, load_slices, save_slices
from dataset_builder.slices.stacks import choose_stacks, cut_stack
from tests.helpers.small_body import NAMES, affine_of, draw, volume_of

SHAPE = (66, 54, 92)
AXIS_OF = {word: axis for axis, ends in enumerate(AXIS_DIRECTIONS) for word in ends}


def tilted(degrees):
    """The trunk on a tilted grid, stored with its axes exchanged and flipped: as files may have it."""
    affine = affine_of(shape=SHAPE, tilt_deg=degrees)
    image, labels = draw(affine, SHAPE)
    stored = affine @ np.array([[0, 0, -1.0, SHAPE[0] - 1], [1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 1]])
    turned = [array[::-1].transpose(1, 2, 0) for array in (image, labels)]
    return volume_of(*turned, stored), turned[1], stored


@pytest.fixture(scope="module", params=[0.0, 8.0, 28.0])
def scan(request):
    volume, labels, affine = tilted(request.param)
    return request.param, volume, places_of(labels, affine)


def places_of(labels, affine):
    """World coordinates of the voxels of each structure in the stored volume."""
    found = {}
    for value, name in NAMES.items():
        found[name] = np.argwhere(labels == value) @ affine[:3, :3].T + affine[:3, 3]
    return found


def in_slice(volume, plane, index):
    """Whether world positions lie in a slice of the volume."""
    back = np.linalg.inv(volume.affine)
    axis = PLANE_AXIS[plane]
    return lambda at: np.rint(at @ back[axis, :3] + back[axis, 3]) == index


def check_direction(one, other, word, margin):
    """One set of positions lies clearly farther that way than another."""
    axis = AXIS_OF[word]
    sign = 1 if word in ("right", "anterior", "superior") else -1
    a, b = sign * one[:, axis], sign * other[:, axis]
    assert a.mean() - b.mean() >= margin - 0.2 >= 8 - 0.2
    assert np.percentile(a, 25) > np.percentile(b, 75) - 0.2


def test_directions_in_slices_hold_in_the_world(scan):
    _, volume, places = scan
    counted = 0
    for plane, index in choose_slices(volume, ("axial", "coronal", "sagittal"), 9, seed=1):
        for fact in find_facts(cut(volume, plane, index)):
            if fact.kind == "direction" and fact.relation in AXIS_OF:
                keep = in_slice(volume, plane, index)
                check_direction(*(places[n][keep(places[n])] for n in fact.structures), fact.relation, fact.margin_mm)
                counted += 1
    assert counted > 20


def test_directions_across_slices_hold_in_the_world(scan):
    _, volume, places = scan
    counted = 0
    for plane, indices in choose_stacks(volume, ("axial", "coronal", "sagittal"), 3, 8, seed=1):
        for fact in find_stack_facts(cut_stack(volume, plane, indices)):
            if fact.kind == "direction":
                check_direction(*(places[n] for n in fact.structures), fact.relation, fact.margin_mm)
                counted += 1
            elif fact.kind == "order":
                for low, high in zip(fact.options, fact.options[1:], strict=False):
                    word = AXIS_DIRECTIONS[PLANE_AXIS[plane]][1]
                    check_direction(places[high], places[low], word, fact.margin_mm)
    assert counted


def test_a_tilt_takes_directions_away_that_hold_along_the_array_only():
    """Bladder and spine: far in front of it in the world, behind along the array of a scan tilted by 28 degrees."""
    volume, _, _ = tilted(28.0)
    array, asked = 0, 0
    for index in range(20, volume.labels.shape[0] - 20, 4):
        record = cut(volume, "sagittal", index)
        untilted = cut(volume, "sagittal", index)
        object.__setattr__(untilted, "affine", np.diag([6.0, 6, 6, 1]))  # as if the array's axes were the world's
        array += sum(fact.kind == "direction" for fact in find_facts(untilted))
        asked += sum(fact.kind == "direction" for fact in find_facts(record))
    assert 0 < asked < array


def test_the_angle_and_the_midline(scan):
    degrees, volume, _ = scan
    assert obliquity_deg(volume.affine) == pytest.approx(degrees, abs=0.01)
    assert world_midline(volume) + volume.affine[0, 3] == pytest.approx(0, abs=1)
    if not degrees:
        assert midline(volume) == pytest.approx(world_midline(volume))


def test_the_store_keeps_what_tilted_slices_need(scan, tmp_path):
    degrees, volume, places = scan
    record = cut(volume, "axial", 40)
    save_slices([record], tmp_path / "s.parquet")
    (again,) = load_slices(tmp_path / "s.parquet")
    assert again.through_world_mm == record.through_world_mm
    assert again.midline_world_mm == record.midline_world_mm
    assert again.oblique == (degrees > 0)
    for value, (low, mean, high) in record.through_world_mm.items():
        at = places[NAMES[value]][:, 2] - volume.affine[2, 3]
        wanted = [np.percentile(at, 25), at.mean(), np.percentile(at, 75)]
        assert [low, mean, high] == pytest.approx(wanted, abs=0.15)
