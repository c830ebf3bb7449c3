"""Python's garbage collector while a model answers."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def old_objects_left_alone() -> Iterator[None]:
    """Inside, a collection looks only at objects that were made inside.

    The harness asks for a full collection after every batch with images. Once its packages are loaded that takes a
    third of a second, more than a small model's answers; what a batch leaves behind is still found.
    """
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
