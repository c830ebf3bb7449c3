"""Reads damaged files by the hundred thousand: ``python tests/benchmarks/fuzz.py``. Exit status 1 if one did harm.

Sound NIfTI files, masks and archives are changed at random (bits, numbers, pieces cut, doubled or swapped, before or
after compression) and read as the build reads them. Every input must give a volume or an error of a case or a source:
nothing else may be raised, nothing may take long, and no memory beyond a stated bound may be asked for.
"""

import argparse
import gzip
import io
import logging
import multiprocessing
import os
import random
import resource
import struct
import sys
import time
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

import nibabel
import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))

from dataset_builder.core.errors import CaseError, FetchError, MISGroundError, SourceError
from dataset_builder.imaging.volume import read_masks, read_volume
from dataset_builder.sources import open_source
from dataset_builder.sources.download.archives import unpack
from dataset_builder.sources.packed import _listed, _opened, packed_subjects, taken_out
from tests.benchmarks.fuzz_formats import format_targets, summary

MAX_SECONDS = 5.0
"""Of the processor's time for one input, which does not depend on what else the machine does."""
MAX_HANG = 120
"""Seconds after which a process that says nothing is ended."""
MAX_BYTES = 256 << 20
"""By so much the process's largest memory may grow with one input; the sound files hold less than a kilobyte of voxels,
and a small file can promise no more than 1100 bytes a byte."""

NAMES = {1: "liver", 2: "spleen"}
IDENTITY = {"source": "fuzz", "subject": "one", "modality": "ct", "licence": ""}
NUMBERS = (0, 1, -1, 127, 128, 255, 256, 32767, -32768, 65535, 2**31 - 1, -(2**31), 2**32 - 1)

Read = Callable[[Path, bytes], object]


# ------------------------------------------------------------------------------------------------------------- mutation


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


# ---------------------------------------------------------------------------------------------------------- sound files


def sound_nifti(values: np.ndarray, kind: type = nibabel.Nifti1Image) -> bytes:
    """A NIfTI or MGH file in memory."""
    image = kind(values, np.diag([2.0, 2, 2, 1]))
    if kind is not nibabel.MGHImage:
        image.set_sform(image.affine, code=1)
        image.set_qform(image.affine, code=1)
    return image.to_bytes()


def sound_zip() -> bytes:
    """An archive with two subjects."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as packed:
        for subject in ("s0000", "s0001"):
            packed.writestr(f"set/{subject}/ct.nii.gz", bytes(200))
            packed.writestr(f"set/{subject}/segmentations/liver.nii.gz", bytes(range(100)))
    return made.getvalue()


SECRETS = ("Musterfrau", "HOSP-4711", "19640812", "2.25.")


def sound_dicom() -> tuple[list[bytes], bytes, bytes, bytes]:
    """The slices of a CT, the same as one image, and the same labels as a segmentation and as contours."""
    from tests.helpers import dicom_files as dicom

    affine = np.diag([-2.0, -2, 3, 1])
    values = np.arange(10 * 8 * 4, dtype=np.int16).reshape(10, 8, 4)
    labels = np.zeros(values.shape, np.uint8)
    labels[2:8, 2:6] = 1
    labels[4:6, 3:5] = 2
    images = dicom.series(values, affine, study="2.25.1", frame_of_reference="2.25.2")
    for number, one in enumerate(images):
        one.SeriesInstanceUID, one.SOPInstanceUID = "2.25.3", f"2.25.{number + 10}"
    segments = [dicom.segment(number, name) for number, name in NAMES.items()]

    def packed(one: Any) -> bytes:
        made = io.BytesIO()
        one.save_as(made, enforce_file_format=True)
        return made.getvalue()

    whole = dicom.multiframe(images)
    return (
        [packed(one) for one in images],
        packed(whole),
        packed(dicom.segmentation(images, labels, segments)),
        packed(dicom.structure_set(images, labels, affine, NAMES)),
    )


COMPRESSED = {
    "JPEG-LS": "1.2.840.10008.1.2.4.80",
    "RLE": "1.2.840.10008.1.2.5",
}
"""Transfer syntaxes whose decoders are fuzzed, too: they are not Python. (OpenJPEG writes no image this small.)"""


def compressed(data: bytes, syntax: str) -> bytes:
    """The same image in another transfer syntax."""
    import pydicom

    image = pydicom.dcmread(io.BytesIO(data))
    image.compress(syntax, generate_instance_uid=False)
    made = io.BytesIO()
    image.save_as(made, enforce_file_format=True)
    return made.getvalue()


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


# -------------------------------------------------------------------------------------------------------------- reading


def targets(folder: Path) -> dict[str, tuple[bytes, Callable[[bytes, random.Random], bytes], Read]]:
    """What is fuzzed: a sound file, how it is changed, and what reads it."""
    labels = (np.arange(24).reshape(2, 3, 4) % 3).astype(np.uint8)
    image = folder / "image.nii.gz"
    image.write_bytes(gzip.compress(sound_nifti(np.arange(24, dtype=np.int16).reshape(2, 3, 4))))
    good_mask = folder / "mask.nii.gz"
    good_mask.write_bytes(gzip.compress(sound_nifti((labels == 1).astype(np.uint8))))

    def label_map(suffix: str) -> Read:
        def read(path: Path, data: bytes) -> object:
            path = path.with_suffix(suffix)
            path.write_bytes(data)
            return summary(read_volume(image, path, NAMES, **IDENTITY))

        return read

    def as_image(path: Path, data: bytes) -> object:
        path = path.with_suffix(".nii.gz")
        path.write_bytes(data)
        return summary(read_masks(path, {"liver": good_mask}, **IDENTITY))

    def as_mask(path: Path, data: bytes) -> object:
        path = path.with_suffix(".nii.gz")
        path.write_bytes(data)
        return summary(read_masks(image, {"liver": good_mask, "spleen": path, "heart": path}, **IDENTITY))

    def archive(path: Path, data: bytes) -> None:
        place = folder / "archives"
        place.mkdir(exist_ok=True)
        (place / "a.zip").write_bytes(data)
        try:
            for subject, where in packed_subjects(place, "ct.nii.gz").items():
                with taken_out(where, subject, "ct.nii.gz"):
                    pass
        finally:
            _opened.cache_clear()
            _listed.cache_clear()

    def study(beside: list[bytes], name: str) -> Read:
        """A changed file among sound ones, as a folder of DICOM; whatever is said must not say who the patient is."""
        place = folder / "studies" / name
        place.mkdir(parents=True)
        for number, sound in enumerate(beside):
            (place / str(number)).write_bytes(sound)

        def read(path: Path, data: bytes) -> object:
            (place / "changed").write_bytes(data)
            source = open_source(f"dicom:{place}")
            try:
                return [summary(source.read(case)) for case in source.cases()]
            except MISGroundError as error:
                reported = f"{error} {error.__cause__}"
                if any(secret in reported for secret in SECRETS):
                    raise AssertionError(f"the error says who the patient is: {reported}") from None
                raise

        return read

    def unpacked(path: Path, data: bytes) -> None:
        (folder / "b.zip").write_bytes(data)
        unpack(folder / "b.zip", folder / "unpacked")

    slices, multiframe, seg, contours = sound_dicom()
    plain, gzipped = sound_nifti(labels), gzip.compress(sound_nifti(labels))
    mgz = gzip.compress(sound_nifti(labels, nibabel.MGHImage))
    return {
        "label map .nii": (plain, mutate, label_map(".nii")),
        "label map .nii.gz": (gzipped, mutate_packed, label_map(".nii.gz")),
        "label map .mgz": (mgz, mutate_packed, label_map(".mgz")),
        "image .nii.gz": (image.read_bytes(), mutate_packed, as_image),
        "mask .nii.gz": (good_mask.read_bytes(), mutate_packed, as_mask),
        "archive, read": (sound_zip(), mutate, archive),
        "archive, unpacked": (sound_zip(), mutate, unpacked),
        "DICOM slice": (slices[2], mutate_dicom, study([*slices[:2], slices[3], seg], "slice")),
        **{
            f"DICOM {name}": (compressed(slices[2], syntax), mutate_dicom, study([*slices[:2], slices[3], seg], name))
            for name, syntax in COMPRESSED.items()
        },
        "DICOM multi-frame": (multiframe, mutate_dicom, study([contours], "multiframe")),
        "DICOM SEG": (seg, mutate_dicom, study(slices, "seg")),
        "DICOM RTSTRUCT": (contours, mutate_dicom, study(slices, "rtstruct")),
        **format_targets(folder, mutate),
    }


Result = tuple[int, str, str, list[str]]
"""Number of an input, what was fuzzed, what came out, and the harm that was done."""


def each(count: int, seed: int, only: str = "", first: int = 0) -> Iterator[Result]:
    """Read changed files, one after the other.

    Args:
        count, seed: how many, and which; the same number is the same input.
        only: only what has this in its name.
        first: number of the first.
    """
    with TemporaryDirectory() as temporary, TemporaryDirectory() as private:
        folder = Path(temporary)
        own = patch.dict(os.environ, MIS_GROUND_PSEUDONYMS=f"{private}/pseudonyms.json")  # not in the user's
        own.start()
        made = {name: target for name, target in targets(folder).items() if only in name}
        as_sound: dict[str, object] = {}
        known = {path.name for path in folder.iterdir()} | _KNOWN
        for number in range(first, count):
            name = list(made)[number % len(made)]
            sound, change, read = made[name]
            if name not in as_sound:
                as_sound[name] = read(folder / "fuzzed", sound)
            draw = random.Random(f"{seed} {number}")
            data = change(sound, draw)
            harm = []
            held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            begun = time.process_time()
            try:
                outcome = "read" if read(folder / "fuzzed", data) == as_sound[name] else "read, other values"
            except (CaseError, SourceError, FetchError) as error:
                outcome = getattr(error, "reason", type(error).__name__)
                if not error.problem or not error.remedy:
                    harm.append(f"an error without a problem or a remedy: {error}")
            except Exception as error:
                outcome = f"HARM {type(error).__name__}"
                harm.append(f"{type(error).__name__}: {error}")
            taken = time.process_time() - begun
            peak = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - held) * 1024
            if taken > MAX_SECONDS:
                harm.append(f"{taken:.1f} s")
            if peak > MAX_BYTES:
                harm.append(f"{peak / 1e6:.0f} MB")
            if outside := {path.name for path in folder.iterdir()} - known:
                known |= outside
                harm.append(f"written outside of its folder: {sorted(outside)}")
            yield number, name, outcome, [f"{name} {number}: {said}" for said in harm]
        own.stop()


def _send_each(sent: Any, *given: Any) -> None:
    """What the process of its own does."""
    logging.disable(logging.CRITICAL)  # nibabel tells of every header that it mends
    warnings.simplefilter("ignore")
    for result in each(*given):
        sent.send(result)
    sent.send(None)


def each_apart(count: int, seed: int, only: str = "", first: int = 0) -> Iterator[Result]:
    """The same in a process of its own: one that hangs or ends is replaced, and the input to blame is named."""
    while first < count:
        received, sent = multiprocessing.Pipe(duplex=False)
        process = multiprocessing.Process(target=_send_each, args=(sent, count, seed, only, first), daemon=True)
        process.start()
        sent.close()
        said = "the process was ended"
        while True:
            try:
                if not received.poll(MAX_HANG):
                    said = f"more than {MAX_HANG} s"
                    break
                result = received.recv()
            except EOFError:
                break
            if result is None:
                first = count
                break
            first = result[0] + 1
            yield result
        process.kill()
        process.join()
        if first < count:
            yield first, "?", "HARM", [f"? {first}: {said}"]
            first += 1


def fuzz(
    count: int,
    seed: int,
    reported: Callable[[str], None] = lambda _: None,
    only: str = "",
    run: Callable[..., Iterator[Result]] = each,
) -> tuple[dict[str, Counter], list[str]]:
    """Read changed files.

    Returns:
        What came out, by target and kind of outcome, and the inputs that did harm (with the number that makes them).
    """
    outcomes: dict[str, Counter] = {}
    harm: list[str] = []
    for number, name, outcome, done in run(count, seed, only):
        outcomes.setdefault(name, Counter())[outcome] += 1
        harm += done
        if done or number % 5000 == 4999:
            reported("\n".join([f"{number + 1:,} inputs, {len(harm)} did harm", *done]))
    return outcomes, harm


_KNOWN = {
    *(
        "fuzzed.nii",
        "fuzzed.nii.gz",
        "fuzzed.mgz",
        "archives",
        "b.zip",
        "unpacked",
    )
}


def main() -> int:
    """Print a table of outcomes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="only what has this in its name, such as DICOM")
    given = parser.parse_args()
    with suppress(KeyboardInterrupt):
        said = partial(print, file=sys.stderr, flush=True)
        outcomes, harm = fuzz(given.count, given.seed, said, given.only, each_apart)
        print("| what | inputs | outcomes |\n| --- | ---: | --- |")
        for name, counts in outcomes.items():
            reported = ", ".join(f"{outcome} {count:,}" for outcome, count in counts.most_common())
            print(f"| {name} | {counts.total():,} | {reported} |")
        print(f"\n{given.count:,} inputs, {len(harm)} did harm.")
        print("\n".join(harm[:20]))
        return 1 if harm else 0
    return 130


if __name__ == "__main__":
    raise SystemExit(main())
