"""Work for torch's own threads, which have just made the logits and are still awake.

A thread of our own wakes when a step of eight rows is all but done. torch's OpenMP keeps its threads turning for some
milliseconds behind each operation, and its library has one function that hands them work, ``GOMP_parallel``, which
GCC's OpenMP and LLVM's both have.
"""

import ctypes
import functools
import os
from typing import Any

import numba
import numpy as np
import torch
from numba import types
from numba.extending import intrinsic


@intrinsic
def pointer(typing_context, address):  # type: ignore[no-untyped-def]
    """An int64 address as a pointer."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        return builder.inttoptr(arguments[0], context.get_value_type(signature.return_type))

    return types.voidptr(types.int64), generate


@intrinsic
def fetch_and_add(typing_context, place):  # type: ignore[no-untyped-def]
    """Add one to the int64 that a pointer is to, so that no other thread comes between; returns what it was before."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        integer = context.get_value_type(types.int64)
        place = builder.bitcast(arguments[0], integer.as_pointer())
        return builder.atomic_rmw("add", place, integer(1), "monotonic")

    return types.int64(types.voidptr), generate


@functools.cache
def _parallel() -> Any:
    """``GOMP_parallel(function, data, threads, flags)`` of torch's OpenMP; ``None`` if it has none."""
    if numba.config.DISABLE_JIT or not torch.backends.openmp.is_available():
        return None
    try:
        function = ctypes.CDLL(None).GOMP_parallel
    except (OSError, AttributeError, TypeError):  # TypeError: Windows
        return None
    function.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint]
    function.restype = None
    return function


def available() -> bool:
    """Whether :func:`run` can be used here: not without torch's OpenMP, and not in a forked process."""
    return _parallel() is not None


def run(function: Any, job: np.ndarray, threads: int) -> None:
    """Call a compiled function in so many of torch's threads at once, this one among them; returns when all are done.

    Args:
        function: ``numba.cfunc`` of signature ``void(voidptr)``.
        job: an array that it is given the address of; the caller keeps all that it points to alive.
    """
    _parallel()(function.address, job.ctypes.data, threads, 0)


if hasattr(os, "register_at_fork"):
    # A forked child has none of its parent's threads, and OpenMP would wait for them.
    os.register_at_fork(after_in_child=lambda: globals().__setitem__("_parallel", lambda: None))
