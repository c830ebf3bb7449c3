import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from semsam.selection import top_k

DTYPES = (torch.float32, torch.bfloat16, torch.float16)


def ordered(row: torch.Tensor, k: int) -> list[int]:
    """By Python's own stable sort, in which -0.0 equals 0.0 too."""
    values = [math.inf if math.isnan(value) else value for value in row.tolist()]
    return sorted(range(len(values)), key=lambda column: -values[column])[:k]


@given(st.lists(st.floats(width=32, allow_nan=False), min_size=1, max_size=60), st.integers(1, 70))
def test_any_floats_in_order(row, k):
    values = torch.tensor([row], dtype=torch.float32)
    assert top_k(values, k)[0].tolist() == ordered(values[0], k)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("width", [63, 500, 2048, 2049, 9999, 50257])
@pytest.mark.parametrize("k", [1, 7, 50])
def test_wide_rows_in_order(width, k, dtype):
    values = torch.randn(3, width, generator=torch.Generator().manual_seed(width)).to(dtype)
    values[1] = (values[1] * 2).round() / 2  # many equal values: which are in is a matter of order only
    values[2] = -values[2].abs()
    assert top_k(values, k).tolist() == [ordered(row, k) for row in values]


@pytest.mark.parametrize("value", [0.0, -3.5, -math.inf])
def test_equal_values_come_by_column(value):
    assert top_k(torch.full((2, 5000), value), 40).tolist() == [list(range(40))] * 2


def test_zeros_of_both_signs_are_equal():
    values = torch.zeros(1, 3000)
    values[0, ::3] = -0.0
    assert top_k(values, 5).tolist() == [[0, 1, 2, 3, 4]]


@pytest.mark.parametrize("place", [0, 1234, 4999])
def test_nan_comes_first(place):
    values = torch.randn(1, 5000)
    values[0, place] = math.nan
    assert top_k(values, 3)[0, 0] == place


def test_largest_in_the_last_columns_beyond_the_blocks_are_found():
    values = torch.zeros(1, 50257)
    values[0, -1], values[0, -2] = 2.0, 1.0
    assert top_k(values, 3).tolist() == [[50256, 50255, 0]]
