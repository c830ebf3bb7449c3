import numpy as np
import pytest

from dataset_builder.imaging.pieces import ahead, pieces


def test_pieces_and_what_lies_in_a_box():
    labels = np.zeros((20, 30), np.uint8)
    labels[2:12, 3:13] = 1  # 100 pixels
    labels[12, 13] = 1  # touches at a corner: the same piece
    labels[18, 3:8] = 1  # 5 pixels, six rows below
    labels[4:8, 4:8] = 2
    found = pieces(labels, (2.0, 1.0), (1, 2))
    own = 100 - 16 + 1 + 5
    assert found.main_share == pytest.approx([1 - 5 / own, 1])
    assert found.stray_mm.tolist() == [12, 0]  # rows 13 to 18 of 2 mm
    assert found.in_box == pytest.approx(np.array([[own, 16], [0, 16]]) / [[17 * 11], [16]])


def test_the_order_of_the_values_is_kept():
    labels = np.array([[5, 0, 0], [0, 0, 2], [5, 0, 2]], np.uint8)
    one, other = pieces(labels, (1.0, 1.0), (2, 5)), pieces(labels, (1.0, 1.0), (5, 2))
    assert one.main_share.tolist() == other.main_share[::-1].tolist() == [1, 0.5]
    assert one.in_box.tolist() == other.in_box[::-1, ::-1].tolist()


def test_share_of_pairs_ahead_is_that_of_all_pairs():
    draw = np.random.default_rng(0)
    profile = draw.integers(0, 5, (4, 12))
    places = [np.repeat(np.arange(12), row) for row in profile]
    for i, j in np.ndindex(4, 4):
        gaps = np.subtract.outer(places[i], places[j])
        assert ahead(profile)[i, j] == pytest.approx((gaps > 0).mean() + 0.5 * (gaps == 0).mean())
