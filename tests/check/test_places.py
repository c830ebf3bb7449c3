"""How images are turned: the eight ways against the builder's own."""

import numpy as np
import pytest

from dataset_builder.check.content import turns
from dataset_builder.check.maps import as_shown
from dataset_builder.core.factors import CONVENTIONS, TURNED_VIEWS
from dataset_builder.imaging.geometry import DisplayTransform

VIEWS = ("plain", *TURNED_VIEWS)


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("convention", CONVENTIONS)
def test_a_square_is_turned_as_the_builder_turns_images(convention, view):
    stored = np.arange(64 * 64, dtype=np.uint16).reshape(64, 64)  # rows = v, columns = u
    shown = DisplayTransform((64, 64), (1, 1), convention, 64, view).show_labels(stored.T)
    assert np.array_equal(as_shown(stored, convention, view), shown)


def test_there_are_eight_turns():
    square = np.arange(9.0).reshape(3, 3)
    ways = {turned.tobytes() for turned in map(np.ascontiguousarray, turns(square))}
    assert len(ways) == 8
    for convention in CONVENTIONS:
        for view in VIEWS:
            assert np.ascontiguousarray(as_shown(square, convention, view)).tobytes() in ways
