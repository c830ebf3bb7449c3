"""The voxels of a series: decoded slice by slice, rescaled, padding made air, in the smallest type that holds them."""

import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from dataset_builder.core.errors import BurnedInTextError, CaseError, MissingDecoderError, UnreadableError
from dataset_builder.core.factors import Modality
from dataset_builder.sources.dicom.decoding import decoded
from dataset_builder.sources.dicom.files import INSTALL
from dataset_builder.sources.dicom.planes import CONVERT_AGAIN, Plane

AIR = -1024
"""Hounsfield units of what lies outside the scanned field."""
MAX_EXPANSION = 20_000
"""The most that a compressed byte can stand for: an empty slice of a megabyte takes some fifty bytes."""
_DEFLATED = "1.2.840.10008.1.2.1.99"
_LONG = frozenset(b"OB OD OF OL OV OW SQ SV UC UN UR UT UV".split())
"""Types of values whose length takes four bytes."""
_PADDING = 1 << 16
"""So many bytes behind the pixels are looked at."""
_TISSUE = (-900, 3000)
"""A padding value that means Hounsfield units in this range is one that real voxels have, too: it is left alone."""


def check_pixels(image: Any) -> None:
    """Refuse an image that is no grey-value scan, or that no installed package decodes.

    Raises:
        CaseError: a subclass for each reason.
    """
    if str(image.get("BurnedInAnnotation") or "").upper() == "YES":
        raise BurnedInTextError(
            "The header says that text is burned into the image.",
            value="Burned In Annotation: YES",
            remedy="Remove the text, which may name the patient, and set Burned In Annotation to NO; or leave the "
            "series out. See docs/own-scans.md.",
        )
    if int(image.get("SamplesPerPixel") or 1) != 1 or str(image.get("PhotometricInterpretation")) not in (
        "MONOCHROME1",
        "MONOCHROME2",
    ):
        raise CaseError(
            "The image is in colour; a scan has grey values.",
            value=str(image.get("PhotometricInterpretation") or "nothing")[:16],
            remedy="Give the original series.",
        )
    if "PixelData" not in image:
        raise UnreadableError("A file of the series contains no pixels.", remedy=CONVERT_AGAIN)
    check_decoder(image)
    check_length(image)


def check_length(image: Any) -> None:
    """Refuse an image that promises more pixels than its bytes can hold, before memory is asked for, or fewer.

    Raises:
        UnreadableError: names what is promised and what is there.
    """
    bits = int(image.Rows) * int(image.Columns) * int(image.get("NumberOfFrames") or 1) * int(image.BitsAllocated)
    there = len(image.PixelData)
    if bits > 8 * there * (MAX_EXPANSION if _encapsulated(image) else 1):
        raise UnreadableError(
            "The pixel data of a file are truncated.",
            value=f"{bits // 8:,} bytes promised, {there:,} there",
            remedy="Copy the file again from its source.",
        )
    # An odd number of bytes is filled up by one, which some programs write as "0".
    needed = (bits + 7) // 8 + (bits + 7) // 8 % 2
    if not _encapsulated(image) and bytes(image.PixelData[needed:]).strip(b"\0"):
        raise UnreadableError(
            "The pixel data of a file are longer than its rows and columns need.",
            value=f"{bits // 8:,} bytes promised, {there:,} there",
            remedy="Copy the file again from its source.",
        )


def check_end(image: Any, path: Path) -> None:
    """Refuse an uncompressed image whose file does not end after its pixels, nor goes on as DICOM does.

    Bytes that were lost or added in the pixels show in nothing else.

    Raises:
        UnreadableError: if it is so.
    """
    syntax = image.file_meta.get("TransferSyntaxUID") if hasattr(image, "file_meta") else None
    starts = getattr(image["PixelData"], "file_tell", None)
    if _encapsulated(image) or syntax == _DEFLATED or starts is None:
        return
    with path.open("rb") as file:
        file.seek(starts + len(image.PixelData))
        rest = file.read(_PADDING)
        left = path.stat().st_size - file.tell() + len(rest)
    # Some archives fill up their files.
    if not rest.strip(b"\0") or _begins_element(rest, left, *image.original_encoding):
        return
    raise UnreadableError(
        "A file of the series is damaged: something other than DICOM stands behind its pixels.",
        remedy="Copy the file again from its source.",
    )


def _begins_element(rest: bytes, left: int, implicit: bool, little: bool) -> bool:
    """Whether bytes behind the pixels begin as an element that may stand there, and has room: padding, say."""
    order = "<" if little else ">"
    group, _, letters, short, long = struct.unpack(f"{order}HH2sHI", rest[:12].ljust(12, b"\0"))
    if group <= 0x7FE0 or not (group % 2 or group in (0xFFFA, 0xFFFC)):  # private, signatures, padding
        return False
    if implicit:
        return 8 + int(struct.unpack(f"{order}I", rest[4:8].ljust(4, b"\xff"))[0]) <= left
    if not (letters.isalpha() and letters.isupper()):
        return False
    return (12 + long if letters in _LONG else 8 + short) <= left


def check_decoder(image: Any) -> None:
    """Refuse pixels that no installed package decodes, naming the one to install.

    Raises:
        MissingDecoderError: names the compression and the command.
    """
    from pydicom.pixels import get_decoder

    syntax = image.file_meta.get("TransferSyntaxUID") if hasattr(image, "file_meta") else None
    if syntax is None:
        return  # written without a header: plain pixels
    if not syntax.is_transfer_syntax or syntax.is_private:
        raise MissingDecoderError("The pixels are stored in a non-standard way.", remedy=CONVERT_AGAIN)
    if not _encapsulated(image):
        return
    try:
        available = get_decoder(syntax).is_available
    except NotImplementedError:
        available = False
    if not available:
        raise MissingDecoderError(
            "The pixels are compressed, and no package that decodes them is installed.",
            value=syntax.name,
            remedy=f"{INSTALL}, which brings pylibjpeg and gdcm; or decompress the files (gdcmconv --raw IN OUT).",
        )


def frames_of(image: Any, numbers: Sequence[int]) -> Iterator[npt.NDArray]:
    """Decoded frames [rows, columns] of an image, as stored.

    Raises:
        Exception: whatever pydicom and its decoders raise of damaged pixels.
    """
    from pydicom.pixels import iter_pixels, pixel_array

    if int(image.get("BitsAllocated") or 0) == 1 and not _encapsulated(image):
        yield from _unpacked(image, numbers)
        return
    if len(numbers) == 1 and (plain := _plain(image)) is not None:
        yield plain
        return
    if plugin := _plugin(image):
        yield from decoded(image, numbers, plugin)
    elif len(numbers) == 1:
        yield pixel_array(image, index=numbers[0], raw=True)
    else:
        yield from iter_pixels(image, indices=list(numbers), raw=True)


_PREFERRED = ("pyjpegls", "pylibjpeg", "pillow", "gdcm", "pydicom")
"""Decoders, the first to be had is used: damaged pixels make gdcm end its process, where the others raise an error."""


def _plugin(image: Any) -> str:
    """The decoder to use; empty for pixels that are not compressed."""
    from pydicom.pixels import get_decoder

    if not _encapsulated(image):
        return ""
    available = get_decoder(image.file_meta.TransferSyntaxUID).available_plugins
    return next((name for name in _PREFERRED if name in available), "")


def _plain(image: Any) -> npt.NDArray | None:
    """The pixels of a single-frame image whose bytes are the numbers themselves, without pydicom's checks."""
    syntax = image.file_meta.get("TransferSyntaxUID") if hasattr(image, "file_meta") else None
    if syntax not in ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1") or int(image.get("NumberOfFrames") or 1) != 1:
        return None
    size = image.Rows * image.Columns
    if image.BitsAllocated != 16 or image.BitsStored != 16 or len(image.PixelData) != 2 * size:
        return None
    return np.frombuffer(image.PixelData, "<i2" if image.PixelRepresentation else "<u2").reshape(image.Rows, -1)


def _encapsulated(image: Any) -> bool:
    """Whether each frame is compressed by itself."""
    syntax = image.file_meta.get("TransferSyntaxUID") if hasattr(image, "file_meta") else None
    return syntax is not None and syntax.is_compressed and not syntax.is_deflated


def _unpacked(image: Any, numbers: Sequence[int]) -> Iterator[npt.NDArray]:
    """Frames of one bit a pixel: they follow each other without a gap, so that most begin within a byte."""
    rows, columns = int(image.Rows), int(image.Columns)
    packed = np.frombuffer(image.PixelData, np.uint8)
    size = rows * columns
    for number in numbers:
        first, last = number * size, (number + 1) * size
        bits = np.unpackbits(packed[first // 8 : -(-last // 8)], bitorder="little")[first % 8 :][:size]
        if len(bits) < size:
            raise UnreadableError(
                "The pixel data of a segmentation are truncated.",
                value=f"in frame {number + 1}",
                remedy="Copy the file again from its source.",
            )
        yield bits.reshape(rows, columns)


class Voxels:
    """The voxels of a series, filled slice by slice.

    Args:
        shape: (columns, rows, slices).
        modality: ``ct`` or ``mri``: what padding becomes depends on it.
    """

    def __init__(self, shape: tuple[int, int, int], modality: Modality) -> None:
        columns, rows, slices = shape
        self._values = np.empty((slices, rows, columns), np.int16)
        self._modality = modality

    def put(self, index: int, stored: npt.NDArray, plane: Plane, image: Any) -> None:
        """Rescale a decoded slice [rows, columns] of that plane, and put it at an index."""
        if stored.shape != self._values.shape[1:]:
            raise UnreadableError(
                "A slice decodes to another size than its header says.", value=stored.shape, remedy=CONVERT_AGAIN
            )
        stored = stored.astype(stored.dtype.newbyteorder("="), copy=False)  # big-endian files are decoded as such
        padding = _padding(stored, image, plane, self._modality)
        slope, intercept = plane.slope, plane.intercept
        if slope.is_integer() and intercept.is_integer() and stored.dtype.kind in "iu":
            low, high = (int(slope) * int(end) + int(intercept) for end in (stored.min(), stored.max()))
            self._widen(_smallest(min(low, high), max(low, high)))
        else:
            self._widen(np.dtype(np.float32))
        target = self._values[index]
        if slope == 1 and target.dtype.kind == "i" and target.dtype.itemsize == stored.dtype.itemsize:
            # Sums wrap around within the type, and come out right since the result fits.
            np.add(stored.view(target.dtype), target.dtype.type(int(intercept)), out=target)
        else:
            scalar = target.dtype.type
            np.multiply(stored.astype(target.dtype), scalar(slope), out=target)
            target += scalar(intercept)
        if padding is not None and padding.any():
            if self._modality == "ct":
                target[padding] = AIR
            else:
                inside = target[~padding]
                target[padding] = inside.min() if inside.size else 0

    def _widen(self, kind: np.dtype) -> None:
        held = np.promote_types(self._values.dtype, kind) if kind.kind != "f" else kind
        if self._values.dtype.kind != "f" and held != self._values.dtype:
            self._values = self._values.astype(held)

    def array(self, order: npt.NDArray[np.intp] | None = None) -> npt.NDArray:
        """All of them [columns, rows, slices], the first index fastest.

        Args:
            order: the slices' numbers in the order wanted, if not as they were put.
        """
        values = self._values if order is None else self._values[order]
        return values.T


def _smallest(low: int, high: int) -> np.dtype:
    """The smallest signed type, from int16 on, that holds values from low to high; float32 if none of 32 bits does."""
    for kind in (np.int16, np.int32):
        limits = np.iinfo(kind)
        if limits.min <= low and high <= limits.max:
            return np.dtype(kind)
    return np.dtype(np.float32)


def _padding(stored: npt.NDArray, image: Any, plane: Plane, modality: Modality) -> npt.NDArray[np.bool_] | None:
    """Which pixels are padding, as stored; ``None`` if none is said to be."""
    first = image.get("PixelPaddingValue")
    if first is None or stored.dtype.kind not in "iu":
        return None
    last = image.get("PixelPaddingRangeLimit")
    ends = [int(first), int(first if last is None else last)]
    limits = np.iinfo(stored.dtype)
    span = int(limits.max) - int(limits.min) + 1
    # Written as signed where pixels are unsigned, or the other way round.
    low, high = sorted((end - limits.min) % span + limits.min for end in ends)
    values = [plane.slope * end + plane.intercept for end in (low, high)]
    if modality == "ct" and any(_TISSUE[0] < value < _TISSUE[1] for value in values):
        return None
    return stored == low if low == high else (stored >= low) & (stored <= high)
