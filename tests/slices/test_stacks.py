"""Stacks: evenly spaced runs where structures come and go, and their slices in ascending order."""

import numpy as np
import pytest

from dataset_builder.core.factors import PLANES
from dataset_builder.imaging.volume import volume_from_arrays
from dataset_builder.slices.selection import load_slices, save_slices
from dataset_builder.slices.stacks import MAX_STEP_MM, choose_stacks, cut_stack, group_stacks

AXIS = {"sagittal": 0, "coronal": 1, "axial": 2}
NAMES = {1: "liver", 2: "spleen", 3: "stomach", 4: "urinary_bladder", 5: "heart"}


def ladder(steps=(3.0, 3.0, 3.0), size=40):
    """Five boxes, one after the other along every axis."""
    labels = np.zeros((size, size, size), np.uint8)
    for value in NAMES:
        low = (value - 1) * size // 5
        labels[low : low + size // 5, low : low + size // 5, low : low + size // 5] = value
    identity = {"source": "test", "subject": "one", "modality": "ct", "licence": ""}
    return volume_from_arrays(np.zeros(labels.shape, np.int16), labels, NAMES, np.diag([*steps, 1.0]), **identity)


@pytest.mark.parametrize("size", [4, 8])
def test_runs_are_even_and_inside_of_what_is_labelled(size):
    volume = ladder()
    stacks = choose_stacks(volume, PLANES, 3, size, seed=0)
    assert [plane for plane, _ in stacks] == list(PLANES)
    for plane, run in stacks:
        assert len(run) == size
        steps = set(np.diff(run))
        assert len(steps) == 1
        assert 3.0 <= steps.pop() * 3.0 <= MAX_STEP_MM
        assert 0 <= run[0] < run[-1] < volume.labels.shape[AXIS[plane]]


def test_at_least_three_structures_come_or_go():
    volume = ladder()
    for plane, run in choose_stacks(volume, PLANES, 3, 8, seed=1):
        seen = [set(np.unique(np.take(volume.labels, index, axis=AXIS[plane]))) - {0} for index in run]
        assert len(set.union(*seen) - set.intersection(*seen)) >= 3


def test_the_seed_decides_and_two_stacks_of_a_plane_share_no_slice():
    volume = ladder(steps=(1.0, 1.0, 1.0), size=150)
    assert choose_stacks(volume, PLANES, 2, 4, seed=3) == choose_stacks(volume, PLANES, 2, 4, seed=3)
    assert len({tuple(choose_stacks(volume, ("axial",), 1, 4, seed=seed)) for seed in range(12)}) > 1
    both = choose_stacks(volume, ("axial",), 2, 4, seed=0)
    if len(both) == 2:
        assert not set(both[0][1]) & set(both[1][1])


def test_there_are_none_without_room_or_labels():
    assert choose_stacks(ladder(steps=(0.5, 0.5, 0.5), size=20), PLANES, 3, 8, seed=0) == []
    assert choose_stacks(ladder(), (), 3, 8, seed=0) == []
    assert choose_stacks(ladder(), PLANES, 0, 8, seed=0) == []


def test_a_cut_stack_is_ascending_and_survives_the_store(tmp_path):
    volume = ladder()
    ((plane, run),) = choose_stacks(volume, ("coronal",), 1, 4, seed=0)
    records = cut_stack(volume, plane, run)
    assert [record.index for record in records] == sorted(run)
    assert len({record.stack for record in records}) == 1
    save_slices(records[::-1], tmp_path / "s.parquet")
    (stack,) = group_stacks(load_slices(tmp_path / "s.parquet"))
    assert [record.index for record in stack] == list(run)
    for record, index in zip(stack, run, strict=True):
        np.testing.assert_array_equal(record.labels, volume.labels[:, index, :])
    # Where each box lies in the volume: its eight slices are 24 mm, from value * 24 - 24 on.
    for value in NAMES:
        first = (value - 1) * 24
        low, mean, high = stack[0].through_mm[value]
        positions = first + 3.0 * np.arange(8)
        np.testing.assert_allclose(
            (low, mean, high), (np.quantile(positions, 0.25), positions.mean(), np.quantile(positions, 0.75)), atol=2
        )
        assert mean == pytest.approx(positions.mean())


def test_slices_that_stand_alone_are_no_stack():
    volume = ladder()
    from dataset_builder.slices.selection import cut

    assert group_stacks([cut(volume, "axial", 3)]) == []
