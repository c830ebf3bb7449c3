"""Images: each is decoded once, its markers are compared with the places that the row states, a print is kept."""

import hashlib
import io
import os
import pickle
import struct
import tempfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from dataset_builder.check.findings import Findings
from dataset_builder.check.glyphs import Glyph, read_glyphs
from dataset_builder.check.items import Item
from dataset_builder.check.measured_images import measuring_problems
from dataset_builder.check.prints import Print, channels, extremes, print_of
from dataset_builder.core.factors import DRAWN_PROMPTS
from dataset_builder.pictures.render import MARKER_COLOURS

LINE_SHARE = 0.25
"""The least share of a box's line that must have its colour: letters and other lines may cover the rest."""
Pixels = npt.NDArray[np.uint8]
"""RGB [height, width, 3]."""

Digest = bytes

_TEXT_CHUNKS = (b"tEXt", b"zTXt", b"iTXt", b"eXIf")
_PNG = b"\x89PNG\r\n\x1a\n"


@dataclass(frozen=True, eq=False)
class Seen:
    """What is kept of an image.

    Args:
        width, height: in pixels; 0 if it cannot be decoded.
        bytes: size of the encoded image.
        pixels: digest of its pixels, however they are encoded (see :func:`pixels_digest`).
        printed: where its print is kept; -1 if it has none.
        glyphs: the letters that are read in it, by the letter whose tint they have.
    """

    width: int
    height: int
    bytes: int
    pixels: Digest = b""
    printed: int = -1
    glyphs: Mapping[str, Glyph] = field(default_factory=dict)


class Images:
    """All images of a data set by their digest; rows are given batch by batch, so that few are in memory at a time.

    Used as a context manager: it decodes in several threads.
    """

    def __init__(self, findings: Findings) -> None:
        self.seen: dict[bytes, Seen] = {}
        self.blank_greys: dict[int, Item] = {}
        self._findings = findings
        self._checked: set[tuple[object, ...]] = set()
        self._prints = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the pool
        self._pool = ThreadPoolExecutor(min(4, os.cpu_count() or 1))  # OpenCV and zlib let other threads run

    def __enter__(self) -> "Images":
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown()
        self._prints.close()

    def look(self, batch: Sequence[tuple[Item, dict[bytes, bytes]]]) -> None:
        """Check the images of rows: (row, encoded images by digest)."""
        wanted: dict[bytes, tuple[bytes, Item]] = {}
        for item, encoded in batch:
            open_keys = [key for key, _ in _marks(item) if key not in self._checked]
            measured = (
                item.answer_type == "number"
            )  # its lines and scale bar are looked at, whoever else shows the image
            for digest, data in encoded.items():
                if digest not in self.seen or measured or any(key[0] == digest for key in open_keys):
                    wanted.setdefault(digest, (data, item))
        decoded: dict[bytes, Pixels | None] = {}
        found = self._pool.map(lambda pair: _decode(*pair), wanted.values())
        for (digest, (_, item)), (image, seen, printed, problems) in zip(wanted.items(), found, strict=True):
            decoded[digest] = image
            if digest not in self.seen:
                self.seen[digest] = seen if printed is None else replace(seen, printed=self._keep(printed))
                self._findings.looked("pictures")
                for problem, detail in problems:
                    self._findings.violation("pictures", problem, str(item), detail)
                if item.input == "blank" and printed is not None and printed.flat is not None:
                    self.blank_greys.setdefault(printed.flat, item)
                elif item.input == "blank":
                    self._findings.violation("blanks", "A blank canvas shows more than markers.", str(item))
        for item, encoded in batch:
            if encoded:
                self._check_row(item, decoded)

    def _keep(self, printed: Print) -> int:
        """Put a print into the file; returns where it begins."""
        at = self._prints.seek(0, os.SEEK_END)
        pickle.dump(printed, self._prints)
        return at

    def print_of(self, digest: bytes) -> Print | None:
        """What was kept of an image; ``None`` if it could not be decoded, is not square or was left out."""
        seen = self.seen.get(digest)
        if seen is None or seen.printed < 0:
            return None
        self._prints.seek(seen.printed)
        printed: Print = pickle.load(self._prints)
        return printed

    def size_of(self, item: Item) -> int:
        """Side of a row's images in pixels; 0 if there are none."""
        return max((self.seen[one].width for one in item.images if one in self.seen), default=0)

    def glyphs_of(self, digest: bytes) -> Mapping[str, Glyph]:
        """The letters that were read in an image."""
        return self.seen[digest].glyphs if digest in self.seen else {}

    def _check_row(self, item: Item, decoded: dict[bytes, Pixels | None]) -> None:
        findings = self._findings
        sizes = {(seen.width, seen.height) for seen in (self.seen[digest] for digest in item.images) if seen.width}
        if len(item.images) != len(item.slice_index):
            found = f"{len(item.images)} images, {len(item.slice_index)} slices"
            findings.violation("pictures", "There is not one image for each slice.", str(item), found)
        if len(sizes) > 1:
            findings.violation("pictures", "The images of a row have different sizes.", str(item), sorted(sizes))
        findings.looked("boxes")
        for problem, detail in _outside(item, sizes):
            findings.violation("boxes", problem, str(item), detail)
        if item.answer_type == "number" and (image := decoded.get(item.images[0])) is not None:
            findings.looked("markers")
            for problem, detail in measuring_problems(image, item):
                findings.violation("markers", problem, str(item), detail)
        for key, marks in _marks(item):
            image = decoded.get(key[0])  # type: ignore[call-overload]
            if key not in self._checked and image is not None:
                self._checked.add(key)
                findings.looked("markers")
                for problem, detail in _marker_problems(image, item.prompt, marks):
                    findings.violation("markers", problem, str(item), detail)


def pixels_digest(image: Pixels) -> bytes:
    """What identifies an image's pixels: equal for a grey image, and for the same one stored as RGB."""
    shown = image
    if (
        shown.ndim == 3
        and np.array_equal(shown[..., 0], shown[..., 1])
        and np.array_equal(shown[..., 1], shown[..., 2])
    ):
        shown = shown[..., 0]
    size = f"{shown.shape}".encode()
    return hashlib.blake2b(size + np.ascontiguousarray(shown).tobytes(), digest_size=16).digest()


def digest_of(data: bytes) -> bytes:
    """What identifies an image: the sha256 of its bytes."""
    return hashlib.sha256(data).digest()


Mark = tuple[str, tuple[int, ...], tuple[int, ...]]
"""Letter, box and point."""


def _marks(item: Item) -> Iterator[tuple[tuple[object, ...], list[Mark]]]:
    """For each image with drawn markers: the key of the check (first the image's digest), and the markers."""
    if item.prompt not in DRAWN_PROMPTS:
        return
    for number, digest in enumerate(item.images):
        marks = [
            (letter, box, point)
            for letter, (box, point, image) in zip(MARKER_COLOURS, _places(item)[item.unmarked :], strict=False)
            if image == number
        ]
        if marks:
            yield (digest, item.prompt, tuple(marks)), marks


def _places(item: Item) -> list[tuple[tuple[int, ...], tuple[int, ...], int]]:
    """Box, point and image of each structure."""
    return list(zip(item.boxes, item.points, item.box_images, strict=False))


def _outside(item: Item, sizes: set[tuple[int, int]]) -> Iterator[tuple[str, object]]:
    """Boxes and points that do not lie in the image, or not in each other."""
    width, height = min(sizes, default=(1 << 30, 1 << 30))
    for box, point, _ in _places(item):
        x0, y0, x1, y1 = box
        if not (0 <= x0 < x1 <= width and 0 <= y0 < y1 <= height):
            yield "A box does not lie in the image.", box
        elif not (x0 <= point[0] < x1 and y0 <= point[1] < y1):
            yield "A point does not lie in its box.", f"{point}, {box}"


Decoded = tuple[Pixels | None, Seen, Print | None, list[tuple[str, object]]]
"""An image as RGB, what is kept of it in memory and in a file, and what is wrong with it."""


def _decode(data: bytes, item: Item) -> Decoded:
    """Decode an image of a row; nothing is kept of one that cannot be decoded."""
    problems: list[tuple[str, object]] = []
    image: npt.NDArray | None = None
    if data.startswith(_PNG):
        chunks = _png_chunks(data)
        if chunks is not None:
            problems += [("An image file contains text.", kind.decode()) for kind in chunks if kind in _TEXT_CHUNKS]
            image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
            image = None if image is None else cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
    elif data:
        try:
            with Image.open(io.BytesIO(data)) as opened:
                image = np.array(opened.convert("RGB"))
        except (OSError, ValueError, SyntaxError):
            image = None
    if image is None:
        nothing = Seen(0, 0, len(data))
        return None, nothing, None, [("An image cannot be decoded.", f"{len(data)} bytes")]
    height, width = image.shape[:2]
    if height != width:
        problems.append(("An image is not square.", f"{width} x {height}"))
    shown = np.asarray(image, dtype=np.uint8)
    low, high = extremes(*channels(shown))
    coloured = bool(cv2.countNonZero(cv2.compare(low, high, cv2.CMP_NE)))
    seen = Seen(
        width=width,
        height=height,
        bytes=len(data),
        pixels=pixels_digest(shown),
        glyphs=read_glyphs(shown) if coloured and height == width else {},
    )
    printed = print_of(shown, item.prompt == "mask") if height == width else None
    return shown, seen, printed, problems


def _png_chunks(data: bytes) -> list[bytes] | None:
    """The kinds of the chunks of a PNG; ``None`` if the file is cut off or a checksum is wrong."""
    kinds = []
    at = len(_PNG)
    while at + 12 <= len(data):
        (length,), kind = struct.unpack(">I", data[at : at + 4]), data[at + 4 : at + 8]
        end = at + 12 + length
        if end > len(data) or zlib.crc32(data[at + 4 : end - 4]) != struct.unpack(">I", data[end - 4 : end])[0]:
            return None
        kinds.append(kind)
        at = end
    return kinds if kinds and kinds[-1] == b"IEND" and at == len(data) else None


def _marker_problems(image: Pixels, prompt: str, marks: Sequence[Mark]) -> Iterator[tuple[str, object]]:
    """Markers that do not stand where they should."""
    height, width = image.shape[:2]
    for letter, (x0, y0, x1, y1), (x, y) in marks:
        colour = np.array(MARKER_COLOURS[letter], np.uint8)
        if not (0 <= x0 < x1 <= width and 0 <= y0 < y1 <= height and 0 <= x < width and 0 <= y < height):
            continue  # reported already
        if prompt in ("label", "point"):
            if not np.array_equal(image[y, x], colour):
                yield "There is no dot in the letter's colour at the point.", f"{letter} at ({x}, {y})"
        elif prompt == "box":
            line = _line_around(image, (x0, y0, x1, y1))
            if len(line) and float((line == colour).all(axis=1).mean()) < LINE_SHARE:
                yield "There is no line in the letter's colour around the box.", f"{letter} at ({x0}, {y0}, {x1}, {y1})"
        else:
            there = cv2.inRange(image, MARKER_COLOURS[letter], MARKER_COLOURS[letter])
            inside = cv2.countNonZero(there[y0:y1, x0:x1])
            if not inside or inside < cv2.countNonZero(there):
                yield "There is no overlay in the letter's colour in the box.", f"{letter} at ({x0}, {y0}, {x1}, {y1})"


def _line_around(image: Pixels, box: tuple[int, int, int, int]) -> npt.NDArray[np.uint8]:
    """The pixels next to a box, outside of it but in the image [N, 3]."""
    x0, y0, x1, y1 = box
    height, width = image.shape[:2]
    left, top, right, bottom = max(0, x0 - 1), max(0, y0 - 1), min(width, x1 + 1), min(height, y1 + 1)
    parts = []
    if y0 > 0:
        parts.append(image[y0 - 1, left:right])
    if y1 < height:
        parts.append(image[y1, left:right])
    if x0 > 0:
        parts.append(image[top:bottom, x0 - 1])
    if x1 < width:
        parts.append(image[top:bottom, x1])
    return np.concatenate(parts) if parts else np.zeros((0, 3), np.uint8)
