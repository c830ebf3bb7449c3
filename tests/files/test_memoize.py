import gc
import weakref

from dataset_builder.files.memoize import remembered


class Thing:
    pass


def test_a_result_is_made_once_for_each_thing_and_arguments():
    calls = []

    @remembered
    def double(thing, number, extra=0):
        calls.append((thing, number, extra))
        return 2 * number + extra

    one, other = Thing(), Thing()
    assert [double(one, 1), double(one, 1), double(one, 2), double(other, 1), double(one, 1, extra=5)] == [
        2,
        2,
        4,
        2,
        7,
    ]
    assert calls == [(one, 1, 0), (one, 2, 0), (other, 1, 0), (one, 1, 5)]


def test_a_thing_is_not_kept_alive():
    @remembered
    def size(thing):
        return 1

    thing = Thing()
    size(thing)
    gone = weakref.ref(thing)
    del thing
    gc.collect()
    assert gone() is None
