"""The images of questions as files, for harnesses that take paths."""

import hashlib
from io import BytesIO
from pathlib import Path

from PIL import Image

from dataset_builder.files.atomic import write_atomically
from dataset_builder.sources.download.package_index import cache_folder


def encoded(image: Image.Image) -> bytes:
    """An image as PNG; one of the data set as it is stored there."""
    stream = BytesIO()
    image.save(stream, "PNG")
    return stream.getvalue()


def image_file(image: Image.Image, folder: Path | None = None) -> Path:
    """The file of an image, written if it is not there; equal images share one.

    Args:
        image: of a question.
        folder: by default one in the cache folder (``MIS_GROUND_CACHE``).
    """
    data = encoded(image)
    path = (folder or cache_folder() / "images") / f"{hashlib.sha256(data).hexdigest()[:32]}.png"
    if not path.is_file():
        write_atomically(path, data)
    return path
