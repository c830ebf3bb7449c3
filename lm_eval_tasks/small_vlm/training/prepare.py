"""Draw the training images once, a file a volume, so that the training itself reads arrays and nothing else.

    python prepare.py STORE OUT [--part I/N] [--answers choices|quantities]

STORE is a slice store of the training split: ``mis-ground build --split train --store STORE ...``.
"""

import argparse
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from dataset_builder.core.hashing import digest
from dataset_builder.core.settings import Settings
from dataset_builder.slices.store import volumes_in
from dataset_builder.vocabulary import structures
from lm_eval_tasks.small_vlm.training.items import Item, items_of_volume
from lm_eval_tasks.small_vlm.training.quantities import quantities_of_volume

Answers = Literal["choices", "quantities"]

OF_IMAGE = ("markers", "boxes", "areas", "map")
"""Fields of an item with a row an image; behind each other in the file, as the images are."""
OF_ITEM = ("marked", "midline")
"""Fields with a row an item."""


def write(path: Path, content: npt.NDArray | Mapping[str, npt.NDArray]) -> None:
    """Write an array, or several by name, whole or not at all."""
    temporary = path.with_name(f".{path.name}")
    if isinstance(content, Mapping):
        arrays: Any = dict(content)  # its names are any, and of numpy's own none is among them
        np.savez(temporary, **arrays)
    else:
        np.save(temporary, content)
    os.replace(temporary, path)


def prepare(
    store: Path, out: Path, part: int = 0, parts: int = 1, answers: Sequence[Answers] = ("choices", "quantities")
) -> None:
    """Write images, arrays and texts of each volume that has none: ``OUT/<answers>/<subject>`` and an ending."""
    words = structures(None)
    numbers = {name: number for number, name in enumerate(sorted(words), 1)}
    settings = Settings()
    for kind in answers:
        (out / kind).mkdir(parents=True, exist_ok=True)
    # In an order that has nothing to do with what they show: what is there so far is an even sample.
    for volume in sorted(volumes_in(store), key=lambda volume: digest(volume.subject))[part::parts]:
        missing = [kind for kind in answers if not (out / kind / f"{volume.subject}.json").exists()]
        records = volume.load() if missing else []
        for kind in missing:
            make = items_of_volume if kind == "choices" else quantities_of_volume
            items = [i for i in make(records, settings, words, numbers, f"{volume.identity} {kind}") if i.turns]
            if items:
                write_items(out / kind / volume.subject, items)
                print(volume.subject, kind, len(items), flush=True)


def write_items(place: Path, items: Sequence[Item]) -> None:
    """Write the items of a volume; the texts last, so that a volume counts as done only when all of it is."""
    # Apart from the rest, so that it can be mapped into memory: two processes share what they read of it.
    write(place.with_suffix(".npy"), np.concatenate([item.images for item in items]))
    arrays = {name: np.concatenate([getattr(item, name) for item in items]) for name in OF_IMAGE}
    arrays |= {name: np.stack([np.asarray(getattr(item, name)) for item in items]) for name in OF_ITEM}
    write(place.with_suffix(".npz"), arrays)
    notes = [
        {"kind": item.kind, "images": len(item.images), "turns": [asdict(turn) for turn in item.turns]}
        for item in items
    ]
    temporary = place.with_name(f".{place.name}.json")
    temporary.write_text(json.dumps(notes), encoding="utf-8")
    os.replace(temporary, place.with_suffix(".json"))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("store", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--part", default="0/1")
    parser.add_argument("--answers", choices=get_args(Answers), action="append", help="Default: both.")
    given = parser.parse_args()
    index, of = map(int, given.part.split("/"))
    prepare(given.store, given.out, index, of, given.answers or get_args(Answers))
