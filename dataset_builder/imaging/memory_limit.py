"""How much memory there is to read a volume into, and the refusal of one that needs more, before any is asked for.

A process may use what the machine, its control group (cgroup) and its own limit (``ulimit -v``) leave; where several
processes share the work, each its share of that; on a Dask cluster no more than the worker was given. The environment
variable ``MIS_GROUND_MEMORY`` sets it instead, such as ``6G``.
"""

import gc
import os
import re
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from dataset_builder.core.errors import BuildError, TooLargeError

if TYPE_CHECKING:
    import numpy as np  # which engines do not need


class Grid(Protocol):
    """What is known of an image before its voxels are read, whatever format it has."""

    @property
    def path(self) -> Path | None:
        """Of the file, for messages."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """(I, J, K)."""

    @property
    def value_type(self) -> "np.dtype":
        """Of the values that are read."""


VARIABLE = "MIS_GROUND_MEMORY"

WORKING_BYTES = 64 << 20
"""Beside the voxels themselves: what has been inflated, profiles, slices."""
WORKING_SLICES = 32
"""Bytes for each voxel of a slice, since slabs are at least a slice thick and are converted."""

_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
_DASK_SHARE = 0.9  # a nanny ends a worker that comes near its limit

_share: int | None = None


def set_share(size: int | None) -> None:
    """Say how many bytes this process may use at most, as one of several."""
    global _share
    _share = size


def left() -> int:
    """Bytes that this process can still use.

    Raises:
        BuildError: if the environment variable says no size.
    """
    text = os.environ.get(VARIABLE, "").strip()
    if text:
        return _size(text)
    limits = [*_of_machine(), *_of_groups(), *_of_process(), *_of_dask()]
    if _share is not None:
        limits.append(_share)
    return max(0, min(limits, default=sys.maxsize))


def _size(text: str) -> int:
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]?)(?:i?B)?", text, re.IGNORECASE)
    if found is None:
        raise BuildError(
            f"{VARIABLE} is not a size.", value=text, remedy="Write bytes, or a number with K, M, G or T: 6G."
        )
    return int(float(found[1]) * _UNITS[found[2].upper()])


def check_fits(grid: Grid, label_bytes: int) -> None:
    """Refuse a volume that cannot be read into the memory that is left.

    Args:
        grid: the image, its voxels not read yet.
        label_bytes: of a voxel of its labels.

    Raises:
        TooLargeError: names what reading takes and what is left.
    """
    row, column, count = grid.shape
    voxel_bytes = grid.value_type.itemsize + label_bytes
    needed = row * column * (count * voxel_bytes + WORKING_SLICES) + WORKING_BYTES
    there = left()
    if needed > there:
        raise TooLargeError(
            "The volume is too large for the available memory.",
            file=grid.path,
            value=f"{row} x {column} x {count} voxels take {_reported(needed)}; this process has {_reported(there)}",
            remedy=REMEDY,
        )


REMEDY = (
    "Give the same command again with fewer processes or on a machine with more memory, or resample or crop the scan "
    f"with its labels; {VARIABLE}, such as 6G, sets what a process may use."
)


def too_large(error: MemoryError) -> TooLargeError | None:
    """The error of a case that memory did not suffice for; ``None`` if the machine has none even without the case.

    What the case had got so far is let go.
    """
    traceback.clear_frames(error.__traceback__)
    error.__traceback__ = None
    gc.collect()
    try:
        bytearray(WORKING_BYTES)
    except MemoryError:
        return None
    return TooLargeError("There was not enough memory for the case.", value=str(error) or None, remedy=REMEDY)


def _reported(size: int) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e8 else f"{size / 1e6:.1f} MB"


def _of_machine() -> Iterator[int]:
    """The memory that the kernel can give without swapping."""
    text = _text(Path("/proc/meminfo"))
    found = re.search(r"^MemAvailable:\s+(\d+) kB", text, re.MULTILINE)
    if found:
        yield int(found[1]) << 10
    elif hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        yield os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _of_groups(groups: Path = Path("/proc/self/cgroup"), mount: Path = Path("/sys/fs/cgroup")) -> Iterator[int]:
    """What is left to the process's control group and to those above it; memory of cached files can be reclaimed."""
    for line in _text(groups).splitlines():
        _, controllers, name = line.split(":", 2)
        if "memory" in controllers.split(","):
            top, limit, usage, cached = mount / "memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_"
        elif not controllers:
            top, limit, usage, cached = mount, "memory.max", "memory.current", ""
        else:
            continue
        folder = top / name.lstrip("/")
        for place in (folder, *folder.parents):
            size = _text(place / limit).strip()
            if size.isdecimal():  # not "max"
                used = int(_text(place / usage).strip() or 0)
                found = re.search(rf"^{cached}inactive_file (\d+)", _text(place / "memory.stat"), re.MULTILINE)
                yield int(size) - used + (int(found[1]) if found else 0)
            if place == top:
                break


def _of_process() -> Iterator[int]:
    """What ``ulimit -v`` leaves."""
    try:
        import resource
    except ImportError:  # Windows
        return
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    pages = _text(Path("/proc/self/statm")).split()
    if limit != resource.RLIM_INFINITY:
        yield limit - (int(pages[0]) * resource.getpagesize() if pages else 0)


def _of_dask() -> Iterator[int]:
    """What a Dask worker was given, if this is one."""
    if "distributed.worker" not in sys.modules:
        return
    from distributed import get_worker

    try:
        limit = get_worker().memory_manager.memory_limit
    except (ValueError, AttributeError):
        return
    if limit:
        yield int(limit * _DASK_SHARE)


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
