"""What is kept of an image after it was decoded: enough to compare it with its slice, and with the other images of it.

A data set's images do not fit into memory, and they stand in another order than the slices. Of each image stay

* its grey values, averaged over at most 128 x 128 blocks,
* which of the blocks markers touch,
* a hash of each tile of 16 x 16 pixels that no marker touches, so that two images of one slice can be held to be the
  same, bit for bit, wherever none of them has a marker,
* where the colour of each letter is.

Markers are coloured, and scans are not: what has a colour, and what lies within a rim's width of that, is marker.
"""

import zlib
from collections.abc import Mapping
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from dataset_builder.pictures.render import MARKER_COLOURS

BLOCKS = 128
"""How many blocks per side an image is averaged over, or kept as it is if it is smaller."""
TILE = 16
"""Side of the tiles that are hashed, in pixels."""
FILL = 0.25
"""Opacity of the fill of an overlay."""

Grey = npt.NDArray[np.uint8]
Truth = npt.NDArray[np.bool_]
Rectangle = tuple[int, int, int, int]


def blocks_of(size: int) -> int:
    """How many blocks per side an image of that side has."""
    return min(size, BLOCKS)


@dataclass(frozen=True)
class Print:
    """What is kept of one image [S, S]; T = blocks_of(S).

    Args:
        size: S.
        grey: uint8 [T, T] as bytes: mean grey value of each block.
        touched: [T, T] as bytes, packed and compressed: whether a marker touches the block.
        tiles: uint32 hashes of the tiles as bytes, 0 where a marker touches.
        flat: the one grey value of all pixels that no marker touches; ``None`` if they differ.
        mean: mean grey value of the pixels that no marker touches.
        low_bits: share of them whose lowest bit is set.
        corner: the lowest bits of the first eight pixels, as a number.
        boxes: letter -> box around the pixels that have exactly its marker's colour.
        overlays: letter -> [T, T] packed and compressed: blocks that its overlay fills for the most part.
    """

    size: int
    grey: bytes
    touched: bytes
    tiles: bytes
    flat: int | None
    mean: float
    low_bits: float
    corner: int
    boxes: Mapping[str, Rectangle]
    overlays: Mapping[str, bytes]

    @property
    def means(self) -> Grey:
        """Mean grey value of each block [T, T]."""
        side = blocks_of(self.size)
        return np.frombuffer(self.grey, np.uint8).reshape(side, side)

    @property
    def marked(self) -> Truth:
        """Whether a marker touches a block [T, T]."""
        return unpack(self.touched, blocks_of(self.size))

    @property
    def hashes(self) -> npt.NDArray[np.uint32]:
        """Hash of each tile, 0 where a marker touches it."""
        return np.frombuffer(self.tiles, np.uint32)


def pack(truth: Truth) -> bytes:
    """A square of truth values, small."""
    return zlib.compress(np.packbits(truth).tobytes(), 1)


def unpack(packed: bytes, side: int) -> Truth:
    """The square again."""
    bits = np.unpackbits(np.frombuffer(zlib.decompress(packed), np.uint8))
    return bits[: side * side].reshape(side, side).astype(bool)


def rim(size: int) -> int:
    """So far beside coloured pixels the dark rims of markers reach, in pixels."""
    return max(1, round(size * 2 / 512)) + 2


def print_of(image: npt.NDArray[np.uint8], overlay: bool) -> Print:
    """What is kept of an image.

    Args:
        image: RGB [S, S, 3].
        overlay: whether overlays are to be looked for.
    """
    size, side = image.shape[0], blocks_of(image.shape[0])
    red, green, blue = channels(image)
    low, high = extremes(red, green, blue)
    coloured = np.asarray(cv2.compare(low, high, cv2.CMP_NE), np.uint8)
    boxes: dict[str, Rectangle] = {}
    overlays: dict[str, bytes] = {}
    if cv2.countNonZero(coloured):
        reach = rim(size)
        touched = np.asarray(cv2.dilate(coloured, np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)), np.uint8)
        for letter, colour in MARKER_COLOURS.items():
            exact = cv2.inRange(image, colour, colour)
            x, y, width, height = cv2.boundingRect(exact)
            if width:
                boxes[letter] = (x, y, x + width, y + height)
            if overlay:
                filled = np.asarray(cv2.bitwise_or(exact, _filled(red, green, blue, colour)), np.uint8)
                if cv2.countNonZero(filled):
                    overlays[letter] = pack(_mean(filled, side) >= 128)
        blocks = _mean(touched, side) > 0
        free = low[touched == 0]
    else:
        touched, blocks, free = coloured, np.zeros((side, side), bool), low.ravel()
    flat = int(free[0]) if len(free) and int(free.min()) == int(free.max()) else None
    return Print(
        size=size,
        grey=_mean(low, side).tobytes(),
        touched=pack(blocks),
        tiles=_tiles(low, touched).tobytes(),
        flat=flat,
        mean=float(free.mean()) if len(free) else 0.0,
        low_bits=float((free & 1).mean()) if len(free) else 0.0,
        corner=int(np.packbits(image[0, :8, 0] & 1)[0]),
        boxes=boxes,
        overlays=overlays,
    )


def channels(image: npt.NDArray[np.uint8]) -> tuple[Grey, Grey, Grey]:
    """Red, green and blue of an image [S, S, 3]."""
    red, green, blue = cv2.split(image)
    return np.asarray(red, np.uint8), np.asarray(green, np.uint8), np.asarray(blue, np.uint8)


def extremes(red: Grey, green: Grey, blue: Grey) -> tuple[Grey, Grey]:
    """The darkest and the brightest of the channels in each pixel."""
    low, high = cv2.min(cv2.min(red, green), blue), cv2.max(cv2.max(red, green), blue)
    return np.asarray(low, np.uint8), np.asarray(high, np.uint8)


def _mean(square: Grey, side: int) -> Grey:
    if square.shape[0] == side:
        return square
    return np.asarray(cv2.resize(square, (side, side), interpolation=cv2.INTER_AREA), np.uint8)


def _filled(red: Grey, green: Grey, blue: Grey, colour: tuple[int, int, int]) -> Grey:
    """Where grey was mixed with a colour as overlays are: the channels differ by that share of the colour's [S, S]."""
    r, g, b = (float(part) for part in colour)
    one = cv2.subtract(red, green, dtype=cv2.CV_16S)
    other = cv2.subtract(green, blue, dtype=cv2.CV_16S)
    both = cv2.merge([one, other])
    middle = FILL * (r - g), FILL * (g - b)
    lower, upper = (tuple(float(np.rint(part + off)) for part in middle) for off in (-1.6, 1.6))
    return np.asarray(cv2.inRange(both, lower, upper), np.uint8)


_FACTORS = np.random.default_rng(0).integers(1, 1 << 62, TILE * TILE, np.uint64) | np.uint64(1)


def _tiles(low: Grey, touched: Grey) -> npt.NDArray[np.uint32]:
    """Hash of each tile [number of tiles]; 0 where a marker touches it."""
    size = low.shape[0]
    count = -(-size // TILE)
    if count * TILE != size:
        pad = ((0, count * TILE - size), (0, count * TILE - size))
        low, touched = np.pad(low, pad), np.pad(touched, pad)

    def tiles(square: Grey) -> Grey:
        return square.reshape(count, TILE, count, TILE).swapaxes(1, 2).reshape(count * count, TILE * TILE)

    with np.errstate(over="ignore"):
        sums = (tiles(low).astype(np.uint64) * _FACTORS).sum(axis=1, dtype=np.uint64)
    hashes = (sums >> np.uint64(32)).astype(np.uint32) | np.uint32(1)
    hashes[tiles(touched).any(axis=1)] = 0
    return hashes
