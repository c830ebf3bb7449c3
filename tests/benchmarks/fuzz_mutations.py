"""How :mod:`tests.benchmarks.fuzz` changes a file: bits, numbers, pieces, anywhere or where it decides something."""

import gzip
import random
import struct

NUMBERS = (0, 1, -1, 127, 128, 255, 256, 32767, -32768, 65535, 2**31 - 1, -(2**31), 2**32 - 1)


def mutate(data: bytes, draw: random.Random) -> bytes:
    """The data changed in one to eight places."""
    changed = bytearray(data)
    for _ in range(draw.choice((1, 1, 2, 3, 8))):
        if not changed:
            break
        # Headers decide most: half of the changes are in the first bytes.
        at = draw.randrange(min(len(changed), 352) if draw.random() < 0.5 else len(changed))
        length = draw.choice((1, 2, 4, 8, 64, len(changed)))
        kind = draw.randrange(7)
        if kind == 0:
            changed[at] ^= 1 << draw.randrange(8)
        elif kind == 1:
            changed[at : at + length] = draw.randbytes(length)
        elif kind == 2:
            del changed[at : at + length]
        elif kind == 3:
            changed[at:at] = changed[at : at + min(length, 4096)]
        elif kind == 4:
            size, number = draw.choice((1, 2, 4)), draw.choice(NUMBERS)
            changed[at : at + size] = (number % 2 ** (8 * size)).to_bytes(size, draw.choice(("little", "big")))
        elif kind == 5:
            number = draw.choice((float("nan"), float("inf"), 1e30, -1e30, 0.0, 1e-30))
            changed[at : at + 4] = struct.pack(draw.choice("<>") + "f", number)
        else:
            changed = changed[:at]
    return bytes(changed)


def mutate_packed(data: bytes, draw: random.Random) -> bytes:
    """A gzip file changed as it is, or in what it holds."""
    if draw.random() < 0.5:
        return mutate(data, draw)
    return gzip.compress(mutate(gzip.decompress(data), draw), draw.choice((0, 1, 6)))


def mutate_dicom(data: bytes, draw: random.Random) -> bytes:
    """A DICOM file changed anywhere, or in what follows the tag of an attribute that decides something."""
    if draw.random() < 0.5:
        return mutate(data, draw)
    changed = bytearray(data)
    for _ in range(draw.choice((1, 1, 2))):
        tag = draw.choice(DECIDING)
        places = [at for at in range(len(changed)) if changed.startswith(tag, at)]
        if places:
            at = draw.choice(places) + 4
            end = min(len(changed), at + 8 + draw.choice((0, 4, 16, 64)))
            changed[at:end] = mutate(bytes(changed[at:end]), draw)
    return bytes(changed)


DECIDING = tuple(
    struct.pack("<HH", group, element)
    for group, element in (
        (0x0002, 0x0010),  # Transfer Syntax UID
        (0x0008, 0x0016),  # SOP Class UID
        (0x0020, 0x0032),  # Image Position (Patient)
        (0x0020, 0x0037),  # Image Orientation (Patient)
        (0x0028, 0x0008),  # Number of Frames
        (0x0028, 0x0010),  # Rows
        (0x0028, 0x0011),  # Columns
        (0x0028, 0x0030),  # Pixel Spacing
        (0x0028, 0x0100),  # Bits Allocated
        (0x0028, 0x0101),  # Bits Stored
        (0x0028, 0x0103),  # Pixel Representation
        (0x0028, 0x1052),  # Rescale Intercept
        (0x0028, 0x1053),  # Rescale Slope
        (0x3006, 0x0050),  # Contour Data
        (0x5200, 0x9230),  # Per-Frame Functional Groups Sequence
        (0x0062, 0x0002),  # Segment Sequence
        (0x0062, 0x000B),  # Referenced Segment Number
        (0x7FE0, 0x0010),  # Pixel Data
    )
)
