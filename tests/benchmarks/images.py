"""Time and size of images and tables: ``python tests/benchmarks/images.py``. Exit status 1 if a bar is missed.

Draws and encodes the images of phantoms in CT and MR at 1.5 mm with the noise of a scanner, marker by marker, and
writes the rows of one data set into Parquet in several ways. Phantoms are the hard case for size: noise does not pack.
"""

import argparse
import io
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from datasets import Dataset, Image, List, load_dataset
from PIL import Image as Pillow

from dataset_builder.building import rows as rows_module
from dataset_builder.building.builder import build
from dataset_builder.core.factors import DRAWN_PROMPTS
from dataset_builder.core.presets import PRESETS, PUBLISHED_QUESTIONS
from dataset_builder.core.settings import Settings
from dataset_builder.pictures.render import draw, encode_png, show
from dataset_builder.slices.store import volumes_in
from dataset_builder.sources import open_source

MAX_TABLE, MAX_GROUP_MB, MAX_MS, MAX_PUBLISHED_GB, MIN_DB = 1.1, 200, 10.0, 3.0, 45.0
"""The bars: table to unique image bytes, row group, drawing and encoding of an image, published mixture, loss."""


def best_of(function: Callable[[], object], repeats: int = 5) -> float:
    """Least CPU time in ms."""
    spent = []
    for _ in range(repeats):
        begun = time.process_time()
        function()
        spent.append(time.process_time() - begun)
    return 1000 * min(spent)


def png(image: npt.NDArray, *options: int) -> bytes:
    shown = image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    return cv2.imencode(".png", shown, list(options))[1].tobytes()


def palette(image: npt.NDArray) -> bytes:
    made = io.BytesIO()
    Pillow.fromarray(image).quantize(256).save(made, "png", compress_level=6)
    return made.getvalue()


ENCODERS: dict[str, Callable[[npt.NDArray], bytes]] = {
    "as built": encode_png,
    "OpenCV's default": png,
    "level 6, RLE": lambda p: png(p, 16, 6, 17, cv2.IMWRITE_PNG_STRATEGY_RLE),
    "level 2, filter up": lambda p: png(p, 16, 2, 17, cv2.IMWRITE_PNG_STRATEGY_FILTERED, 19, cv2.IMWRITE_PNG_FILTER_UP),
    "level 6, filter up": lambda p: png(p, 16, 6, 17, cv2.IMWRITE_PNG_STRATEGY_FILTERED, 19, cv2.IMWRITE_PNG_FILTER_UP),
}


def encoders(images: dict[str, npt.NDArray]) -> None:
    """A table of ways to encode."""
    print("| image | way | KB | ms |\n| --- | --- | ---: | ---: |")
    for kind, image in images.items():
        ways = ENCODERS | ({"palette of 256 (Pillow)": palette} if image.ndim == 3 else {})
        for name, encode in ways.items():
            took = best_of(partial(encode, image))
            print(f"| {kind} | {name} | {len(encode(image)) / 1e3:.0f} | {took:.1f} |")


class Drawn:
    """Counts and times what a build draws and encodes; the newest images of each prompt are kept."""

    def __init__(self) -> None:
        self.spent = Counter()
        self.count = Counter()
        self.shared = 0
        self.bytes = Counter()
        self.kept: dict[str, npt.NDArray] = {}
        self._prompt = ""

    def show(self, *args):
        begun = time.process_time()
        image = show(*args)
        self.spent["shared", "show"] += time.process_time() - begun
        self.shared += 1
        return image

    def draw(self, record, convention, prompt, *args, **kwargs):
        begun = time.process_time()
        image = draw(record, convention, prompt, *args, **kwargs)
        self._prompt = "blank" if kwargs.get("blank") else "grey" if image.ndim == 2 else prompt
        self.spent[self._prompt, "draw"] += time.process_time() - begun
        self.kept[self._prompt] = image
        return image

    def encode(self, image):
        begun = time.process_time()
        data = encode_png(image)
        self.spent[self._prompt, "encode"] += time.process_time() - begun
        self.count[self._prompt] += 1
        self.bytes[self._prompt] += len(data)
        return data


def loss_in_db(images: dict[str, npt.NDArray]) -> float:
    """Peak signal to noise of the grey pixels, worst image; infinite without loss."""
    worst = float("inf")
    for image in images.values():
        back = np.asarray(Pillow.open(io.BytesIO(encode_png(image))))
        error = float(np.mean((back.astype(float) - image.astype(float)) ** 2))
        worst = min(worst, 10 * np.log10(255**2 / error) if error else float("inf"))
    return worst


def unique_bytes(files: list[Path]) -> tuple[int, int, int]:
    """Bytes of different images, number of different images, number of images in rows."""
    sizes, shown = {}, 0
    for file in files:
        for images in pq.read_table(file, columns=["images"])["images"].to_pylist():
            for image in images:
                sizes[hash(image["bytes"])] = len(image["bytes"])
                shown += 1
    return sum(sizes.values()), len(sizes), shown


def tables(files: list[Path], folder: Path) -> dict[str, int]:
    """Bytes of the same rows written in other ways."""
    table = pa.concat_tables(pq.read_table(file) for file in files)
    pq.write_table(table, folder / "default.parquet")
    Dataset(table).cast_column("images", List(Image(decode=False))).to_parquet(folder / "datasets.parquet")
    names = {"default.parquet": "pyarrow's defaults", "datasets.parquet": "`Dataset.to_parquet`"}
    return {names[path.name]: path.stat().st_size for path in folder.glob("*.parquet")}


def main() -> int:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", action="append", default=[], help="default: phantom:6 and the sample scans")
    given = parser.parse_args()
    settings = Settings(**PRESETS["paper"])
    drawn = Drawn()
    rows_module.show, rows_module.draw, rows_module.encode_png = drawn.show, drawn.draw, drawn.encode
    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        sources = [open_source(spec) for spec in given.source or ["phantom:6", "sample"]]
        # Without the share of CT: what a question takes is asked for, and not which ones are dropped.
        summary = build(sources, folder / "ground", replace(settings, ct_share=None), store=folder / "store")
        files = [folder / "ground" / "data" / config / f"{split}.parquet" for config, split in summary.rows]
        size = sum(file.stat().st_size for file in files)
        bytes_, different, shown = unique_bytes(files)
        groups = [
            pq.read_metadata(file).row_group(number).total_byte_size
            for file in [*files, folder / "ground" / "slices" / "test.parquet"]
            for number in range(pq.read_metadata(file).num_row_groups)
        ]
        of_slices = [f for f in files if f.parent.name not in ("stack", "blank", "view")]
        questions = sum(pq.read_metadata(file).num_rows for file in of_slices)
        published = sum(file.stat().st_size for file in of_slices) / questions * PUBLISHED_QUESTIONS
        with_controls = size / questions * PUBLISHED_QUESTIONS
        store = sum(volume.path.stat().st_size for volume in volumes_in(folder / "store"))
        again = load_dataset(str(folder / "ground"), split="test", cache_dir=str(folder / "cache"))
        cache = sum(file.stat().st_size for file in (folder / "cache").rglob("*.arrow"))
        (folder / "others").mkdir()
        others = tables(files, folder / "others")
    encoders(drawn.kept)
    print("\n| drawn | images | KB each | draw ms | encode ms |\n| --- | ---: | ---: | ---: | ---: |")
    for kind, count in drawn.count.items():
        each = [1000 * drawn.spent[kind, what] / count for what in ("draw", "encode")]
        print(f"| {kind} | {count} | {drawn.bytes[kind] / count / 1e3:.0f} | {each[0]:.1f} | {each[1]:.1f} |")
    each_ms = 1000 * drawn.spent["shared", "show"] / drawn.shared
    print(f"| of these without markers, shared | {drawn.shared} | | {each_ms:.1f} | |")
    total_ms = 1000 * sum(drawn.spent.values()) / sum(drawn.count.values())
    print(f"| **all** | {sum(drawn.count.values())} | | {total_ms:.1f} in all | |")
    print(f"\n{summary.total_rows} rows show {shown} images, {different} of them different ({bytes_ / 1e6:.1f} MB).\n")
    print("| table | MB | against the different images |\n| --- | ---: | ---: |")
    for name, has in {"as built, one file per cell": size, **others, "Arrow cache of `load_dataset`": cache}.items():
        print(f"| {name} | {has / 1e6:.1f} | {has / bytes_:.2f} |")
    print(
        f"\nLargest row group {max(groups) / 1e6:.1f} MB; slice store {store / 1e6:.1f} MB; {len(again)} rows loaded."
    )
    print(
        f"{PUBLISHED_QUESTIONS:,} questions: {published / 1e9:.2f} GB, "
        f"{with_controls / 1e9:.2f} GB with stacks and controls."
    )
    assert set(drawn.count) & set(DRAWN_PROMPTS)
    bars = {
        f"table at most {MAX_TABLE} x the different images": size <= MAX_TABLE * bytes_,
        f"row groups under {MAX_GROUP_MB} MB": max(groups) < MAX_GROUP_MB * 1e6,
        f"at most {MAX_MS:g} ms an image": total_ms <= MAX_MS,
        f"published mixture at most {MAX_PUBLISHED_GB:g} GB": published <= MAX_PUBLISHED_GB * 1e9,
        f"at least {MIN_DB:g} dB": loss_in_db(drawn.kept) >= MIN_DB,
    }
    print("\nBars: " + "; ".join(f"{bar}: {'met' if met else 'MISSED'}" for bar, met in bars.items()))
    return 0 if all(bars.values()) else 1


if __name__ == "__main__":
    raise SystemExit(main())
