"""Letters stay in the picture, off the points of marked structures and off each other, whatever is marked."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dataset_builder.core.factors import DRAWN_PROMPTS
from dataset_builder.pictures.letters import LETTERS, Mark, Strokes, glyph, leader, place_letters

SIZES = (64, 128, 200, 333, 512, 1024)


def ellipse(box, size):
    x0, y0, x1, y1 = box
    y, x = np.mgrid[:size, :size] + 0.5
    return ((x - (x0 + x1) / 2) / (x1 - x0)) ** 2 + ((y - (y0 + y1) / 2) / (y1 - y0)) ** 2 <= 0.25


@st.composite
def layouts(draw):
    """(image size, [(box, point), ...]): one to three structures anywhere, also in corners."""
    size = draw(st.sampled_from(SIZES))
    structures = []
    for _ in range(draw(st.integers(1, 3))):
        x0, y0 = draw(st.integers(0, size - 1)), draw(st.integers(0, size - 1))
        x1, y1 = draw(st.integers(x0 + 1, size)), draw(st.integers(y0 + 1, size))
        point = (draw(st.integers(x0, x1 - 1)), draw(st.integers(y0, y1 - 1)))
        structures.append(((x0, y0, x1, y1), point))
    return size, structures


def corners(size):
    return [((0, 0, 9, 9), (0, 0)), ((size - 9, 0, size, 9), (size - 1, 0)), ((0, size - 9, 9, size), (0, size - 1))]


@pytest.mark.parametrize("prompt", DRAWN_PROMPTS)
@given(layout=layouts())
@example(layout=(128, corners(128)))
@example(layout=(512, corners(512)))
@example(layout=(1024, [((0, 0, 1024, 1024), (512, 512))] * 3))
@example(layout=(64, [((20, 20, 40, 40), (30, 30)), ((22, 22, 42, 42), (31, 31)), ((18, 18, 38, 38), (29, 31))]))
@settings(max_examples=60, deadline=None)
def test_letters_keep_out_of_the_way(prompt, layout):
    size, structures = layout
    marks = [Mark(box, point, ellipse(box, size)) for box, point in structures]
    letters = place_letters(prompt, marks, size)
    assert letters == place_letters(prompt, marks, size)
    assert len(letters) == len(marks)
    for x0, y0, x1, y1 in letters:
        assert 0 <= x0 < x1 <= size
        assert 0 <= y0 < y1 <= size
        for _, (x, y) in structures:
            assert not (x0 <= x < x1 and y0 <= y < y1)
    for i, (ax0, ay0, ax1, ay1) in enumerate(letters):
        for bx0, by0, bx1, by1 in letters[i + 1 :]:
            assert ax1 <= bx0 or bx1 <= ax0 or ay1 <= by0 or by1 <= ay0


def test_letter_stays_near_its_structure():
    size, box, point = 512, (240, 250, 280, 270), (260, 260)
    for prompt in DRAWN_PROMPTS:
        ((x0, y0, x1, y1),) = place_letters(prompt, [Mark(box, point, ellipse(box, size))], size)
        assert np.hypot((x0 + x1) / 2 - 260, (y0 + y1) / 2 - 260) < 60, prompt


def test_letter_of_a_box_stands_outside_when_there_is_room():
    box = (100, 150, 300, 330)
    ((x0, y0, x1, y1),) = place_letters("box", [Mark(box, (200, 200), ellipse(box, 512))], 512)
    assert x1 <= 100 or x0 >= 300 or y1 <= 150 or y0 >= 330


def test_letter_of_a_box_stands_inside_when_the_box_fills_the_picture():
    box = (0, 0, 512, 512)
    ((x0, y0, x1, y1),) = place_letters("box", [Mark(box, (256, 256), ellipse(box, 512))], 512)
    assert min(x0, y0, 512 - x1, 512 - y1) < 20  # in a corner or at an edge


def test_letter_does_not_lie_on_the_other_structure():
    left, right = (100, 200, 250, 300), (255, 200, 400, 300)
    marks = [Mark(left, (240, 250), ellipse(left, 512)), Mark(right, (265, 250), ellipse(right, 512))]
    for prompt in DRAWN_PROMPTS:
        letters = place_letters(prompt, marks, 512)
        for (x0, y0, x1, y1), other in zip(letters, (marks[1], marks[0]), strict=True):
            assert not other.mask[y0:y1, x0:x1].any(), prompt


def test_leaders_do_not_cross():
    boxes = [(200, 200, 230, 230), (232, 200, 262, 230), (216, 232, 246, 262)]
    marks = [Mark(box, ((box[0] + box[2]) // 2, (box[1] + box[3]) // 2), ellipse(box, 512)) for box in boxes]
    lines = [leader(*pair) for pair in zip(place_letters("label", marks, 512), [m.point for m in marks], strict=True)]
    steps = np.linspace(0, 1, 50)[:, None]
    paths = [np.array(start) + steps * (np.array(end) - np.array(start)) for start, end in lines]
    for i, path in enumerate(paths):
        for other in paths[i + 1 :]:
            assert np.linalg.norm(path[:, None] - other[None], axis=2).min() > 4


def test_leader_runs_from_the_letter_to_the_point():
    start, end = leader((10, 10, 30, 40), (100, 24))
    assert start == (30.0, pytest.approx(25, abs=0.1))
    assert end == (100.5, 24.5)


@pytest.mark.parametrize("size", SIZES)
def test_glyphs_share_a_size_and_differ_in_shape(size):
    shapes = [glyph(letter, size) for letter in LETTERS]
    assert {part.shape for pair in shapes for part in pair} == {Strokes.of(size).letter[::-1]}
    for i, (fill, outline) in enumerate(shapes):
        assert fill.min() == 0
        assert fill.max() == 1
        assert (outline >= fill - 1e-6).all()
        # The outline goes all the way round: no letter touches the border of its rectangle.
        assert max(fill[0].max(), fill[-1].max(), fill[:, 0].max(), fill[:, -1].max()) == 0
        for other, _ in shapes[i + 1 :]:
            assert np.abs(fill - other).mean() > 0.08


def test_a_picture_too_small_for_letters_is_refused():
    mark = Mark((0, 0, 8, 8), (4, 4), np.ones((8, 8), bool))
    with pytest.raises(ValueError, match="8 pixels has no room for 1 letters"):
        place_letters("point", [mark], 8)
