"""Draw the training pictures once, a file a volume, so that the training itself reads arrays and nothing else.

    python prepare.py STORE OUT [--part I/N]

STORE is a slice store of the training split: ``mis-ground build --split train --store STORE ...``.
"""

import argparse
import json
import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from dataset_builder.core.settings import Settings
from dataset_builder.slices.store import volumes_in
from dataset_builder.vocabulary import structures
from lm_eval_tasks.small_vlm.training.items import items_of_volume

ARRAYS = ("places", "map", "marked", "midline", "images")
"""Fields of an item that are kept as arrays, an item a row."""


def write(path: Path, content: np.ndarray | Mapping[str, np.ndarray]) -> None:
    """Write an array, or several by name, whole or not at all."""
    temporary = path.with_name(f".{path.name}")
    if isinstance(content, Mapping):
        np.savez(temporary, **content)
    else:
        np.save(temporary, content)
    os.replace(temporary, path)


def prepare(store: Path, out: Path, part: int = 0, parts: int = 1) -> None:
    """Write ``OUT/<subject>.npy`` (pictures), ``.npz`` (arrays) and ``.json`` (texts) for each that has none."""
    words = structures(None)
    numbers = {name: number for number, name in enumerate(sorted(words), 1)}
    settings = Settings()
    out.mkdir(parents=True, exist_ok=True)
    for volume in volumes_in(store)[part::parts]:
        target = out / f"{volume.subject}.json"
        if target.exists():
            continue
        items = list(items_of_volume(volume.load(), settings, words, numbers, volume.identity))
        if not items:
            continue
        # Apart from the rest, so that it can be mapped into memory: two processes share what they read of it.
        write(out / f"{volume.subject}.npy", np.concatenate([item.pictures for item in items]))
        arrays = {name: np.stack([np.asarray(getattr(item, name)) for item in items]) for name in ARRAYS}
        write(out / f"{volume.subject}.npz", arrays)
        notes = [{"kind": i.kind, "pictures": len(i.pictures), "turns": i.turns} for i in items]
        temporary = out / f".{volume.subject}.json"
        temporary.write_text(json.dumps(notes), encoding="utf-8")
        os.replace(temporary, target)
        print(volume.subject, len(items), flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("store", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--part", default="0/1")
    given = parser.parse_args()
    index, of = map(int, given.part.split("/"))
    prepare(given.store, given.out, index, of)
