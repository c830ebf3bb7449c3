"""What :mod:`tests.benchmarks.fuzz` reads: a sound file of each kind, what changes it, and what reads it."""

import gzip
import io
import random
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np

from dataset_builder.core.errors import MISGroundError
from dataset_builder.imaging.volume import read_masks, read_volume
from dataset_builder.sources import open_source
from dataset_builder.sources.download.archives import unpack
from dataset_builder.sources.packed import _listed, _opened, packed_subjects, taken_out
from tests.benchmarks.fuzz_formats import format_targets, summary
from tests.benchmarks.fuzz_mutations import mutate, mutate_dicom, mutate_packed

NAMES = {1: "liver", 2: "spleen"}
IDENTITY = {"source": "fuzz", "subject": "one", "modality": "ct", "licence": ""}

Read = Callable[[Path, bytes], object]


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
