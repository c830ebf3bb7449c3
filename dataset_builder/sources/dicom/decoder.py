"""A process of its own that decodes compressed pixels: damaged ones make native decoders end the process they run in.

Run as a script by :mod:`dataset_builder.sources.dicom.decoding`, which says what goes in and comes out.
"""

import os
import pickle
import re
import sys
import tempfile
import warnings
from typing import Any, BinaryIO

_CORRUPT = re.compile(rb"Corrupt JPEG data: (?!\d extraneous)")
"""What the JPEG library prints, and nothing more, where pixels are missing; a few bytes too many do no harm."""


def main() -> None:
    """Answer jobs from standard input until it is closed. What decoders print is not let out."""
    answers = os.fdopen(os.dup(1), "wb")
    said, path = tempfile.mkstemp()
    os.unlink(path)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    os.dup2(said, 2)
    warnings.simplefilter("ignore")
    import pydicom.pixels
    from pydicom import config

    config.settings.reading_validation_mode = config.IGNORE
    while True:
        try:
            job = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        try:
            os.lseek(said, 0, os.SEEK_SET)
            os.ftruncate(said, 0)
            image, numbers, how = _image(job), job["numbers"], {"raw": True, "decoding_plugin": job["plugin"]}
            if len(numbers) == 1:
                frames = iter([pydicom.pixels.pixel_array(image, index=numbers[0], **how)])
            else:
                frames = pydicom.pixels.iter_pixels(image, indices=numbers, **how)
            for frame in frames:
                _send(answers, "Corrupt JPEG data" if _CORRUPT.search(os.pread(said, 1 << 16, 0)) else frame)
        except BaseException as error:  # a decoder in Rust raises what is no Exception
            _send(answers, type(error).__name__)


def _image(job: dict[str, Any]) -> Any:
    from pydicom import Dataset
    from pydicom.dataset import FileMetaDataset
    from pydicom.uid import UID

    image = Dataset()
    image.file_meta = FileMetaDataset()
    image.file_meta.TransferSyntaxUID = UID(job["syntax"])
    for keyword, value in job["elements"].items():
        setattr(image, keyword, value)
    image["PixelData"].VR = "OB"
    return image


def _send(answers: BinaryIO, answer: object) -> None:
    packed = pickle.dumps(answer, protocol=5)
    answers.write(len(packed).to_bytes(8, "big") + packed)
    answers.flush()


if __name__ == "__main__":
    main()
