"""The audit's own view of what is too unclear, or too small in the image, to be found."""

from dataclasses import replace

import numpy as np
import pytest

from dataset_builder.check.limits import Limits
from dataset_builder.check.located import unclear
from dataset_builder.check.maps import Map
from dataset_builder.core.settings import ClarityLimits, Settings
from dataset_builder.slices.selection import cut
from tests.helpers.places_and_numbers import index_at, rows, trunk

LIMITS = Limits(min_border_mm=4.0, min_area_mm2=100.0, min_main_piece=0.9, max_stray_mm=6.0, min_box_pixels=6.0)
SPACING = (1.0, 2.0)


class Row:
    """What is looked at of a row."""

    structures = ("liver",)

    def __init__(self, box):
        self.boxes = (box,)


def reported(*parts, box=(10, 10, 20, 20), limits=LIMITS):
    """Parts are (first column, first row, last column + 1, last row + 1) of a slice of 60 x 40 voxels of 1 x 2 mm."""
    labels = np.zeros((40, 60), np.uint8)
    for x0, y0, x1, y1 in parts:
        labels[y0:y1, x0:x1] = 1
    key = ("s", "one", "axial", 0)
    here = Map(key, None, labels, labels.astype(float), {"liver": 1}, SPACING, None, "", {})
    return unclear(Row(box), here, limits)


WHOLE = (20, 10, 40, 30)


@pytest.mark.parametrize(
    ("parts", "box", "said"),
    [
        ([WHOLE], (10, 10, 20, 20), ""),
        ([(4, 10, 24, 30)], (10, 10, 20, 20), ""),
        ([(3, 10, 24, 30)], (10, 10, 20, 20), "within 3 mm of the edge"),
        ([(40, 10, 57, 30)], (10, 10, 20, 20), "within 3 mm of the edge"),
        ([(20, 2, 40, 30)], (10, 10, 20, 20), ""),
        ([(20, 1, 40, 30)], (10, 10, 20, 20), "within 2 mm of the edge"),
        ([(20, 10, 40, 39)], (10, 10, 20, 20), "within 2 mm of the edge"),
        ([(20, 10, 30, 15)], (10, 10, 20, 20), ""),
        ([(20, 10, 29, 15)], (10, 10, 20, 20), "covers 90 mm2"),
        ([WHOLE, (45, 10, 46, 12)], (10, 10, 20, 20), ""),
        ([WHOLE, (42, 10, 46, 30)], (10, 10, 20, 20), "2 pieces, the largest 83% of it"),
        ([WHOLE, (46, 10, 47, 12)], (10, 10, 20, 20), "reaches 7 mm beyond"),
        ([WHOLE, (30, 32, 31, 33)], (10, 10, 20, 20), ""),
        ([WHOLE, (30, 33, 31, 34)], (10, 10, 20, 20), "reaches 8 mm beyond"),
        ([WHOLE, (40, 30, 44, 31)], (10, 10, 20, 20), ""),  # they touch at a corner: one piece
        ([WHOLE], (10, 10, 16, 30), ""),
        ([WHOLE], (10, 10, 15, 30), "5 pixels at its shorter side"),
        ([WHOLE], (10, 10, 30, 15), "5 pixels at its shorter side"),
        ([], (10, 10, 20, 20), ""),  # reported elsewhere
    ],
)
def test_what_has_no_clear_box_is_told(parts, box, said):
    found = reported(*parts, box=box)
    assert said in found if said else not found, found


def test_without_limits_only_what_the_edge_cuts_off_is_told():
    none = Limits.of_settings([{}])
    assert none == Limits()
    assert not reported((1, 10, 3, 12), (30, 10, 31, 11), box=(1, 1, 2, 2), limits=none)
    assert "edge" in reported((0, 10, 20, 30), limits=none)
    assert "edge" in reported((20, 20, 40, 40), limits=none)


def test_of_several_builds_the_widest_limits_count():
    strict, loose = ({"min_border_mm": border, "max_stray_mm": stray} for border, stray in ((4, 2), (1, 9)))
    assert Limits.of_settings([strict, loose]) == Limits(min_border_mm=1.0, max_stray_mm=9.0)
    assert Limits.of_settings([strict, {}]) == Limits()


@pytest.fixture(scope="module")
def slice_of_trunk():
    """A coronal slice of the small trunk."""
    body = trunk()
    return cut(body, "coronal", index_at(body, 1, -50.0))


def sides(found):
    """The shorter side of the box of each row."""
    return [min(x1 - x0, y1 - y0) for (x0, y0, x1, y1), *_ in (row["boxes"] for row in found)]


@pytest.mark.parametrize("size", [64, 128])
def test_what_is_tiny_in_the_image_is_not_asked_for(slice_of_trunk, size):
    """Whatever the view and the convention; what is left out at one size is asked for at a larger one."""
    asked = Settings(
        image_size=size,
        answer_types=("box",),
        locate_questions_per_volume=None,
        inputs=("slice",),
        prompts=("none",),
        registers=("clinical",),
    )
    kept = rows([slice_of_trunk], asked)
    assert min(sides(kept)) >= ClarityLimits().min_box_pixels == 6
    every = rows([slice_of_trunk], replace(asked, clarity=ClarityLimits(min_box_pixels=0.0)))
    small = [row["id"] for row, side in zip(every, sides(every), strict=True) if side < 5]
    assert bool(small) == (size < 128)
    assert not {row["id"] for row in kept} & set(small)


def test_a_pixel_off_along_both_axes_is_still_right():
    """What the limit is for: at 6 pixels the overlap is above one half, at 5 it is not."""

    def shifted(side):
        shared = (side - 1) ** 2
        return shared / (2 * side**2 - shared)

    assert shifted(ClarityLimits().min_box_pixels) > 0.5 > shifted(ClarityLimits().min_box_pixels - 1)
