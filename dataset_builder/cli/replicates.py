"""``mis-ground build --seeds N``: data sets that differ in the seed alone, and where they and their slices are."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dataset_builder.core.errors import MISGroundError
from dataset_builder.dataset.manifest import RECORD_NAME
from dataset_builder.files.object_storage import Place


@dataclass(frozen=True)
class Replicate:
    """One of several data sets with seeds of their own, or the only one.

    Args:
        seed: of its build.
        out: its folder.
        store: of its slices, if any; other seeds cut other slices.
    """

    seed: int
    out: Path
    store: Place | None


def replicates_of(out: Path, seed: int, seeds: int | None, store: Place | None) -> Iterator[Replicate]:
    """The data sets to build.

    Args:
        out: the folder; with several seeds, the folder of their folders.
        seed: the first.
        seeds: how many; ``None`` for one data set in ``out`` itself.
        store: that keeps the slices; with several seeds each has a folder of its own in it.

    Raises:
        MISGroundError: if the folder of the folders is a data set itself.
    """
    if seeds is None:
        yield Replicate(seed, out, store)
        return
    if (out / RECORD_NAME).exists():
        raise MISGroundError(
            "The folder is a data set; those of several seeds need a folder of their own.",
            file=out,
            remedy="Give another --out.",
        )
    out.mkdir(parents=True, exist_ok=True)
    for each in range(seed, seed + seeds):
        yield Replicate(each, out / f"seed-{each}", None if store is None else store / f"seed-{each}")
