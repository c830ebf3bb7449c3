"""Reads damaged files that still are read, by another reader: ``python tests/benchmarks/fuzz_compare.py``.

Of the inputs of :mod:`tests.benchmarks.fuzz` some are read with other values than the sound file: a bit of a voxel or
of the affine was changed. Are these the values that the file states? A reader that shares no code with the one under
test says so: nibabel for NIfTI, SimpleITK for DICOM, a few lines of Python for MGH, NRRD and MetaImage. Exit status 1
if one of both readers sees another image or other labels.
"""

import argparse
import gzip
import logging
import os
import random
import re
import shutil
import sys
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import nibabel
import numpy as np
import SimpleITK as sitk  # noqa: N813 - its usual name

sys.path.insert(0, str(Path(__file__).parents[2]))

from dataset_builder.core.errors import MISGroundError
from dataset_builder.imaging.scan_files import itk_affine
from tests.benchmarks import fuzz_targets

Read = tuple[np.ndarray, np.ndarray]
"""Voxels [I, J, K] as stored and the affine to RAS+ mm."""

LPS = np.diag([-1.0, -1, 1, 1])
NRRD_TYPES = {"short": "i2", "int16": "i2", "unsigned char": "u1", "uint8": "u1", "uchar": "u1", "ushort": "u2"}
META_TYPES = {"MET_SHORT": "i2", "MET_UCHAR": "u1", "MET_CHAR": "i1", "MET_USHORT": "u2", "MET_INT": "i4"}


def by_nibabel(path: Path) -> Read:
    """NIfTI."""
    image: Any = nibabel.load(path)
    return np.asanyarray(image.dataobj), image.affine


def by_hand_mgh(path: Path) -> Read:
    """MGH, as FreeSurfer describes it: big-endian, the affine by its directions and the centre of the voxels."""
    data = gzip.decompress(path.read_bytes())
    sizes, kind, good = (
        np.frombuffer(data, ">i4", 3, 4),
        int(np.frombuffer(data, ">i4", 1, 20)[0]),
        np.frombuffer(data, ">i2", 1, 28),
    )
    if good[0] <= 0:
        raise ValueError("no directions")
    steps, directions, centre = (np.frombuffer(data, ">f4", n, at) for n, at in ((3, 30), (9, 42), (3, 78)))
    affine = np.eye(4)
    affine[:3, :3] = directions.astype(float).reshape(3, 3).T * steps
    affine[:3, 3] = centre - affine[:3, :3] @ (sizes / 2)
    values = np.frombuffer(data, {0: "u1", 1: ">i4", 3: ">f4", 4: ">i2"}[kind], int(np.prod(sizes)), 284)
    return values.reshape(sizes, order="F"), affine


def by_hand_nrrd(path: Path) -> Read:
    """NRRD with its voxels in the same file."""
    start, _, rest = path.read_bytes().partition(b"\n\n")
    keys = dict(
        line.split(": ", 1) for line in start.decode("latin-1").splitlines()[1:] if ": " in line and line[0] != "#"
    )
    data = gzip.decompress(rest) if keys["encoding"].strip() in ("gzip", "gz") else rest
    order = ">" if keys.get("endian", "little").strip() == "big" else "<"
    sizes = [int(one) for one in keys["sizes"].split()]
    kind = np.dtype(NRRD_TYPES[keys["type"].strip()]).newbyteorder(order)
    values = np.frombuffer(data, kind, count=int(np.prod(sizes))).reshape(sizes, order="F")
    affine = np.eye(4)
    vectors = re.findall(r"\(([^)]*)\)", keys["space directions"])
    affine[:3, :3] = np.array([[float(one) for one in vector.split(",")] for vector in vectors]).T
    affine[:3, 3] = [float(one) for one in keys["space origin"].strip(" ()").split(",")]
    signs = [1 if word in ("right", "anterior", "superior") else -1 for word in keys["space"].strip().split("-")]
    return values, np.diag([*signs, 1]) @ affine


def by_hand_meta(path: Path) -> Read:
    """MetaImage with its voxels in the same file."""
    start, _, rest = path.read_bytes().partition(b"ElementDataFile")
    keys = dict(re.split(r"\s*=\s*", line, maxsplit=1) for line in start.decode("latin-1").splitlines() if "=" in line)
    data = rest.partition(b"\n")[2]
    if keys.get("CompressedData", "False").strip() == "True":
        import zlib

        data = zlib.decompress(data)
    order = ">" if keys.get("BinaryDataByteOrderMSB", "False").strip() == "True" else "<"
    sizes = [int(one) for one in keys["DimSize"].split()]
    kind = np.dtype(META_TYPES[keys["ElementType"].strip()]).newbyteorder(order)
    values = np.frombuffer(data, kind, count=int(np.prod(sizes))).reshape(sizes, order="F")
    affine = np.eye(4)
    axes = np.array([float(one) for one in keys["TransformMatrix"].split()]).reshape(3, 3)
    affine[:3, :3] = axes.T * [float(one) for one in keys["ElementSpacing"].split()]
    affine[:3, 3] = [float(one) for one in keys["Offset"].split()]
    return values, LPS @ affine


def by_gdcm(path: Path) -> Read:
    """A folder with one DICOM series."""
    reader = sitk.ImageSeriesReader()
    (series,) = reader.GetGDCMSeriesIDs(str(path))
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(path), series))
    image = reader.Execute()
    return sitk.GetArrayFromImage(image).T, itk_affine(image)


READERS: dict[str, tuple[str, Callable[[Path], Read]]] = {
    "label map .nii": (".nii", by_nibabel),
    "label map .nii.gz": (".nii.gz", by_nibabel),
    "image .nii.gz": (".nii.gz", by_nibabel),
    "MGH .mgz image": (".mgz", by_hand_mgh),
    "MGH .mgz labels": (".mgz", by_hand_mgh),
    "NRRD image": (".nrrd", by_hand_nrrd),
    "NRRD labels": (".nrrd", by_hand_nrrd),
    "MetaImage .mha image": (".mha", by_hand_meta),
    "MetaImage .mha labels": (".mha", by_hand_meta),
    "DICOM slice": ("", by_gdcm),
}


def same(name: str, ours: Any, theirs: Read) -> bool:
    """Whether both readers see the same: of an image shape, affine and sum, of labels the count of each value."""
    shape, affine, total, counts = ours
    values, stored_affine = theirs
    if "label" in name:
        found = np.rint(values)
        return all(int((found == value).sum()) == counts.get(word, 0) for value, word in fuzz_targets.NAMES.items())
    turned: Any = nibabel.as_closest_canonical(nibabel.Nifti1Image(values.astype(np.float64), stored_affine))
    close = np.allclose(turned.affine, affine, rtol=1e-4, atol=2e-3)
    return turned.shape == shape and close and int(np.asarray(turned.dataobj).sum()) == total


def compare(count: int, seed: int, only: str = "") -> tuple[dict[str, Counter[str]], list[str]]:
    """Read changed files twice where they are read with other values than the sound ones.

    Returns:
        What came out by target, and the inputs that the two readers see differently.
    """
    outcomes: dict[str, Counter[str]] = {}
    differing = []
    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        slices = fuzz_targets.sound_dicom()[0]
        for name, (sound, change, read) in fuzz_targets.targets(folder).items():
            if name not in READERS or only not in name:
                continue
            suffix, other = READERS[name]
            as_sound, counts = read(folder / "fuzzed", sound), outcomes.setdefault(name, Counter())
            for number in range(count):
                data = change(sound, random.Random(f"{seed} {number}"))
                try:
                    ours = read(folder / "fuzzed", data)
                except MISGroundError:
                    counts["refused"] += 1
                    continue
                if ours == as_sound:
                    counts["as the sound one"] += 1
                    continue
                place = folder / f"other{suffix}"
                if suffix:
                    place.write_bytes(data)
                else:
                    shutil.rmtree(place, ignore_errors=True)
                    place.mkdir()
                    for at, one in enumerate([*slices[:2], slices[3], data]):
                        (place / str(at)).write_bytes(one)
                volumes = ours if isinstance(ours, list) else [ours]
                try:
                    theirs = other(place)
                except Exception:
                    counts["refused by the other reader only"] += 1
                    continue
                if len(volumes) == 1 and same(name, volumes[0], theirs):
                    counts["other values, the same by both"] += 1
                else:
                    counts["DIFFERENT"] += 1
                    differing.append(f"{name} {number}: {volumes}, by the other {theirs[0].shape} {theirs[1].tolist()}")
    return outcomes, differing


def main() -> int:
    """Print a table of outcomes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=1000, help="inputs of each target")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="")
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    logging.disable(logging.CRITICAL)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # ITK prints what it dislikes
    outcomes, differing = compare(given.count, given.seed, given.only)
    print("| what | outcomes |\n| --- | --- |")
    for name, counts in outcomes.items():
        print(f"| {name} | {', '.join(f'{outcome} {count:,}' for outcome, count in counts.most_common())} |")
    print("\n".join(differing[:20]))
    return 1 if differing else 0


if __name__ == "__main__":
    raise SystemExit(main())
