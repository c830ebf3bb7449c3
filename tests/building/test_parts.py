"""The index of a data set's rows by cell, against a list that is gone through in full."""

import pickle
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataset_builder.building import parts as module
from dataset_builder.building.parts import Part, Parts, part_path

CELLS = [("ct_axial", "relational_box"), ("ct_axial", "relational_none"), ("stack", "test"), ("blank", "train")]


@st.composite
def made(draw):
    """Parts as builds make them: numbers grow with gaps, and each cell stands once in a part, in any order."""
    numbers = sorted(draw(st.sets(st.integers(0, 10**8), max_size=30)))
    sizes = st.integers(0, 2**40)
    parts = []
    for number in numbers:
        cells = draw(st.lists(st.sampled_from(CELLS), unique=True, min_size=1))
        names = draw(st.sets(st.sampled_from(["liver", "spleen", "heart"])))
        of = [tuple(draw(sizes) for _ in cells) for _ in range(2)]
        parts.append(Part(number, tuple(cells), tuple(1 for _ in cells), *of, tuple(sorted(names))))
    return parts


@given(made(), st.integers(1, 40))
def test_each_cell_finds_its_batches_in_order(listed, waiting):
    with tempfile.TemporaryDirectory() as temporary, pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(module, "WAITING", waiting)
        folder = Path(temporary)
        index = Parts(folder)
        for part in listed:
            index.add(part)
        travelled = pickle.loads(pickle.dumps(index))
        assert bool(index) == bool(listed)
        assert index.names == {name for part in listed for name in part.names}
        for cell in CELLS:
            expected = [
                (folder / f"{part.number:08d}.arrow", place, part.sizes[place], part.distinct[place])
                for part in listed
                for place in range(len(part.cells))
                if part.cells[place] == cell
            ]
            assert index.distinct.get(cell, 0) == sum(batch[3] for batch in expected)
            if expected:
                assert list(index.of(cell)) == list(travelled.of(cell)) == expected
                assert list(index.distinct_of(cell)) == [batch[3] for batch in expected]
                first = len(expected) // 3
                assert list(index.of(cell, first, len(expected) - 1)) == expected[first:-1]


def test_a_part_has_a_name_that_sorts_as_its_number(tmp_path):
    numbers = [0, 9, 10, 99_999, 100_000, 10**7]
    paths = [part_path(tmp_path, number) for number in numbers]
    assert sorted(paths) == paths
