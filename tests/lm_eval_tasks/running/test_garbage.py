"""Collections while a model answers look only at what is new."""

import gc
import weakref

from lm_eval_tasks.running.garbage import old_objects_left_alone


class Knot:
    """An object that refers to itself."""

    def __init__(self) -> None:
        self.itself = self


def test_what_is_made_inside_is_collected_and_what_was_there_is_not_looked_at():
    old = Knot()
    seen_old = weakref.ref(old)
    del old
    with old_objects_left_alone():
        new = Knot()
        seen_new = weakref.ref(new)
        del new
        gc.collect()
        assert seen_new() is None
        assert seen_old() is not None
    gc.collect()
    assert seen_old() is None
