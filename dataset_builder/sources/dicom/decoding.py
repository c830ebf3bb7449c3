"""Compressed pixels, decoded by a process of their own that may end without harm.

Decoders in C and C++ end the process, or never return, on some damaged data. A process that reads cases has one helper
that decodes for it (:mod:`dataset_builder.sources.dicom.decoder`), and starts another one when that is lost.
"""

import atexit
import os
import pickle
import selectors
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy.typing as npt

from dataset_builder.core.errors import UnreadableError
from dataset_builder.sources.dicom.planes import CONVERT_AGAIN

LONGEST = 120.0
"""Seconds that a frame may take; the largest ones take a few tenths of one."""
SCRIPT = Path(__file__).with_name("decoder.py")
_ELEMENTS = (
    "Rows",
    "Columns",
    "NumberOfFrames",
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "PlanarConfiguration",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
    "ExtendedOffsetTable",
    "ExtendedOffsetTableLengths",
    "PixelData",
)
"""What of an image a decoder has to know."""


def decoded(image: Any, numbers: Sequence[int], plugin: str) -> Iterator[npt.NDArray]:
    """Frames [rows, columns] of a compressed image, as stored.

    Args:
        image: a pydicom data set.
        numbers: of the frames.
        plugin: pydicom's name of the decoder.

    Raises:
        UnreadableError: if they are damaged.
    """
    elements = {keyword: image[keyword].value for keyword in _ELEMENTS if keyword in image}
    job = {
        "syntax": str(image.file_meta.TransferSyntaxUID),
        "elements": {keyword: _plain(value) for keyword, value in elements.items() if value is not None},
        "numbers": [*map(int, numbers)],
        "plugin": plugin,
    }
    whole = False
    try:
        _helper.ask(job)
        for _ in numbers:
            answer = _helper.answer()
            if isinstance(answer, str):
                whole = True
                raise _damaged(answer)
            yield answer
        whole = True
    except (OSError, EOFError) as error:
        raise _damaged("the decoder was ended") from error
    finally:
        if not whole:
            _helper.end()  # what it still says belongs to this job


def _plain(value: Any) -> Any:
    """A value that the helper reads without importing pydicom's classes first."""
    if isinstance(value, bytes):
        return value
    return str(value) if isinstance(value, str) else int(value)


def _damaged(said: str) -> UnreadableError:
    return UnreadableError("The compressed pixels of a file are damaged.", value=said, remedy=CONVERT_AGAIN)


class _Helper:
    """The process that decodes; started when it is first needed."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._owner = 0

    def ask(self, job: dict[str, Any]) -> None:
        """Hand over a job."""
        if self._owner != os.getpid():  # a copy of the process that started it
            self._process, self._owner = None, os.getpid()
        if self._process is None or self._process.poll() is not None:
            self.end()
            # Not of this process's group: Ctrl-C is for the one that reads; without a reader the helper ends.
            self._process = subprocess.Popen(
                [sys.executable, "-P", str(SCRIPT)],
                bufsize=0,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                start_new_session=True,
            )
        assert self._process.stdin is not None
        with os.fdopen(os.dup(self._process.stdin.fileno()), "wb") as stream:
            pickle.dump(job, stream, protocol=5)

    def answer(self) -> Any:
        """The next frame, or what went wrong.

        Raises:
            OSError, EOFError: if there is none.
        """
        return pickle.loads(self._read(int.from_bytes(self._read(8), "big")))

    def _read(self, count: int) -> bytearray:
        assert self._process is not None
        assert self._process.stdout is not None
        stream, found = self._process.stdout, bytearray()
        with selectors.DefaultSelector() as waiting:
            waiting.register(stream, selectors.EVENT_READ)
            while len(found) < count:
                came = stream.read(count - len(found)) if waiting.select(LONGEST) else b""
                if not came:
                    raise EOFError
                found += came
        return found

    def end(self) -> None:
        """End the process, if there is one."""
        if self._process is not None and self._owner == os.getpid():
            self._process.kill()
            self._process.wait()
            for stream in (self._process.stdin, self._process.stdout):
                if stream is not None:
                    stream.close()
        self._process = None


_helper = _Helper()
atexit.register(_helper.end)
