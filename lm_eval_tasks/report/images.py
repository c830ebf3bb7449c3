"""The images of a report: read from the data set, and stored in the page or, if there are many, beside it.

Sample files hold no images but their SHA-256; an image of the data set that has another one is not what the model
was shown, and is left out.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path

from PIL import Image

from dataset_builder.core.errors import BuildError, DatasetNotFoundError
from dataset_builder.files.progress import Progress
from dataset_builder.gallery.pages import data_url
from lm_eval_tasks.report.runs import Reading

FOLDER = "images"
EMBEDDED_BYTES = 12_000_000
"""Images that together take more than this are stored beside the page, reduced in size."""
THUMBNAIL = 384
"""Longer side of an image beside the page, in pixels."""


@dataclass
class Images:
    """Where the page finds its images.

    Args:
        addresses: of the images: data URLs, or paths from the page.
        widths: of the images as the data set holds them, in pixels: boxes and points are given in these.
        of: numbers in ``addresses`` of each question's images, by question id; a question whose images were not
            found is missing.
        warnings: what a reader should know.
    """

    addresses: list[str] = field(default_factory=list)
    widths: list[int] = field(default_factory=list)
    of: dict[str, list[int]] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    @property
    def files(self) -> list[str]:
        """Paths of those beside the page, in its folder."""
        return [] if self.embedded else self.addresses

    @property
    def embedded(self) -> bool:
        """Whether the page holds them itself."""
        return not self.addresses or self.addresses[0].startswith("data:")


def gather(reading: Reading, dataset: Path | None, out: Path, progress: Progress | None = None) -> Images:
    """Find the images of all questions.

    Args:
        reading: the runs' questions, with the hashes of their images.
        dataset: the data set folder; None: where the runs found it, or where the tasks would look for it.
        out: the report's folder.
        progress: called as ``progress(stage, done, total)``.

    Raises:
        DatasetNotFoundError: if ``dataset`` is given and holds no data set.
    """
    images = Images()
    place = find_place(reading, dataset)
    files = sorted((place / "data").rglob("*.parquet")) if place else []
    if dataset and not files:
        raise DatasetNotFoundError(
            "This is not a MIS-Ground data set.", file=dataset, remedy="Give the folder that was evaluated on."
        )
    if not files:
        images.warnings.append("No data set was found, so there are no images. Give its folder: --dataset DIR.")
        return images
    keeper = _Keeper(images, out)
    changed = 0
    for identity, encoded in _read(files, reading.questions, progress):
        hashes = [hashlib.sha256(image).hexdigest() for image in encoded]
        expected = reading.questions[identity]["image_hashes"]
        if expected and hashes != expected:
            changed += 1
            continue
        images.of[identity] = [keeper.keep(name, image) for name, image in zip(hashes, encoded, strict=True)]
    keeper.finish()
    missing = len(reading.questions) - len(images.of) - changed
    if changed:
        images.warnings.append(f"{changed} question(s) have another image in {place} than the model was shown.")
    if missing:
        images.warnings.append(f"{missing} question(s) are not in {place}; they are shown without an image.")
    return images


def find_place(reading: Reading, dataset: Path | None) -> Path | None:
    """The folder to read; None where the data set is not in a folder."""
    if dataset:
        return dataset
    for run in reading.runs:
        if run.dataset and Path(run.dataset).expanduser().is_dir():
            return Path(run.dataset).expanduser()
    from lm_eval_tasks.mis_ground.rows import find_dataset

    try:
        found = Path(find_dataset())
    except FileNotFoundError:
        return None
    return found if found.is_dir() else None


def _read(
    files: list[Path], wanted: Mapping[str, object], progress: Progress | None
) -> Iterator[tuple[str, list[bytes]]]:
    """Ids and encoded images of the wanted questions."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    for done, path in enumerate(files):
        if progress:
            progress("images", done, len(files))
        try:
            for batch in pq.ParquetFile(path).iter_batches(batch_size=64, columns=["id", "images"]):
                for row in batch.to_pylist():
                    if row["id"] in wanted:
                        yield row["id"], [image["bytes"] for image in row["images"]]
        except (pa.ArrowException, KeyError, OSError) as error:
            raise BuildError(
                "A file of the data set cannot be read.", file=path, value=error, remedy="Build the data set again."
            ) from error
    if progress:
        progress("images", len(files), len(files))


class _Keeper:
    """Keeps each image once: in memory while they are few, in files from when they are many."""

    def __init__(self, images: Images, out: Path) -> None:
        self._images = images
        self._folder = out / FOLDER
        self._numbers: dict[str, int] = {}
        self._waiting: dict[str, bytes] | None = {}
        self._bytes = 0

    def keep(self, name: str, image: bytes) -> int:
        """Number of the image in the list of addresses."""
        if name not in self._numbers:
            self._numbers[name] = len(self._numbers)
            with Image.open(BytesIO(image)) as header:
                self._images.widths.append(header.width)
            if self._waiting is None:
                self._write(name, image)
            else:
                self._waiting[name] = image
                self._bytes += len(image)
                if self._bytes > EMBEDDED_BYTES:
                    waiting, self._waiting = self._waiting, None
                    for each, data in waiting.items():
                        self._write(each, data)
        return self._numbers[name]

    def finish(self) -> None:
        """Put the images that are few into the list as they are."""
        if self._waiting is not None:
            self._images.addresses += map(data_url, self._waiting.values())

    def _write(self, name: str, encoded: bytes) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / f"{name[:20]}.webp"
        with Image.open(BytesIO(encoded)) as image:
            small = image.convert("RGB")
            small.thumbnail((THUMBNAIL, THUMBNAIL), Image.Resampling.LANCZOS)
            small.save(path, "WEBP", quality=82, method=2)
        self._images.addresses.append(f"{FOLDER}/{path.name}")
