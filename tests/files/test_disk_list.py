import pickle
import tracemalloc
from operator import itemgetter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataset_builder.files import disk_list as module
from dataset_builder.files.disk_list import Spool, in_order

PAIRS = st.lists(st.tuples(st.integers(0, 9), st.text(max_size=2)), max_size=60)


@given(PAIRS, st.integers(1, 7), st.integers(2, 4))
def test_the_order_is_that_of_sorted_and_equal_ones_keep_theirs(pairs, many, max_files):
    found = in_order(iter(pairs), itemgetter(0), many=many, max_files=max_files)
    assert list(found) == sorted(pairs, key=itemgetter(0))


def test_sorting_holds_a_few_items_only(tmp_path):
    count, size = 8_000, 1_000

    def peak(many: int) -> int:
        tracemalloc.start()
        try:
            items = ((number * 4_001 % count, b"x" * size) for number in range(count))
            keys = [key for key, _ in in_order(items, itemgetter(0), tmp_path, many=many)]
            assert keys == list(range(count))
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    assert peak(200) < count * size / 4 < peak(count + 1)
    assert not list(tmp_path.iterdir())


def test_a_list_that_is_left_early_leaves_no_file_open_and_none_behind(tmp_path):
    found = in_order(range(100), lambda n: -n, tmp_path, many=10)
    assert next(found) == 99
    found.close()
    assert not list(tmp_path.iterdir())


@given(st.lists(st.one_of(st.none(), st.text(), st.integers()), max_size=20), st.integers(0, 20))
def test_a_spool_is_a_list_that_can_grow_and_travel(tmp_path_factory, items, first):
    spool: Spool[object] = Spool(tmp_path_factory.mktemp("spool") / "items")
    for item in items[:first]:
        spool.add(item)
    assert list(spool) == items[:first]
    for item in items[first:]:
        spool.add(item)
    copy = pickle.loads(pickle.dumps(spool))
    assert len(spool) == len(copy) == len(items)
    assert list(copy) == list(spool) == list(spool) == items


@given(st.lists(st.text(max_size=3), max_size=30), st.integers(1, 8), st.data())
def test_some_items_of_a_spool_are_read_alone(tmp_path_factory, items, marked, data):
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(module, "MARKED", marked)
        spool: Spool[str] = Spool(tmp_path_factory.mktemp("spool") / "items")
        for number, item in enumerate(items):
            spool.add(item)
            if number == len(items) // 2:
                assert list(spool) == items[: number + 1]  # it is read and goes on
        stop = data.draw(st.integers(0, len(items)))
        start = data.draw(st.integers(0, stop))
        assert list(pickle.loads(pickle.dumps(spool)).between(start, stop)) == items[start:stop]


def test_a_spool_begins_anew(tmp_path):
    Spool(tmp_path / "items").add("of a build that was killed")
    assert list(Spool(tmp_path / "items")) == []
