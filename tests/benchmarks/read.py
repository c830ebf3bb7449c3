"""Time and memory of reading scans: ``python tests/benchmarks/read.py`` prints a table; exit status 1: a bar is missed.

Builds a subject like the public TotalSegmentator's (a CT of 280 x 220 x 300 and 117 masks of which 62 are not empty) in
a temporary folder and reads it in several ways, each in a process of its own, in turns. Every way is single-threaded,
so that CPU time compares them even on a busy machine. Needs Linux, and imagecodecs for the floor:
``pip install imagecodecs``.

A DICOM series of 500 slices of 512 x 512 is read as well, against pydicom's bare decoding of the same files; and once
more with the listing of its folder and a segmentation of ten structures, which is the whole way from folder to volume.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import nibabel
import numpy as np
import numpy.typing as npt
from isal import igzip_lib

sys.path.insert(0, str(Path(__file__).parents[2]))

SHAPE = (280, 220, 300)
LARGE = (512, 512, 1000)
SERIES = (512, 512, 500)
MASKS, NOT_EMPTY = 117, 62
AFFINE = np.diag([1.5, 1.5, 1.5, 1.0])

MAX_FLOOR, MIN_PEERS, MAX_MB, MAX_LARGE_MB = 1.3, 40, 300, 1500
"""The bars: of the floor's time at most, of the peers' time at least, memory of a worker and of a large CT."""
MAX_DICOM, MAX_DICOM_MB = 1.3, 1000
"""The bars of a DICOM series: of pydicom's time at most, memory."""


# ------------------------------------------------------------------------------------------------------- made-up scans


def save(path: Path, values: npt.NDArray, level: int = 1) -> None:
    """Write a ``.nii.gz`` as nibabel does, faster; level 1 is its level, too."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = nibabel.Nifti1Image(values, AFFINE)
    image.set_sform(AFFINE, code=1)
    image.set_qform(AFFINE, code=1)
    if path.name == "ct.nii.gz" and values.shape == LARGE:
        path.write_bytes(igzip_lib.compress(image.to_bytes(), 0, igzip_lib.COMP_GZIP))
    else:
        nibabel.save(image, path)


def blob(random: np.random.Generator, number: int) -> tuple[tuple[slice, ...], npt.NDArray[np.bool_]]:
    """A structure with an uneven surface: where it is, and its voxels in there."""
    centre, radius = random.uniform([60, 60, 40], [220, 160, 260]), random.uniform(6, 45, 3)
    low = np.maximum(0, (centre - 1.1 * radius - 2).astype(int))
    high = np.minimum(SHAPE, (centre + 1.1 * radius + 3).astype(int))
    i, j, k = np.ogrid[low[0] : high[0], low[1] : high[1], low[2] : high[2]]
    uneven = 1 + 0.12 * np.sin(i / 3.1 + number) * np.cos(j / 2.7) * np.sin(k / 4.3)
    distance = sum(((axis - c) / r) ** 2 for axis, c, r in zip((i, j, k), centre, radius, strict=True))
    return tuple(slice(a, b) for a, b in zip(low, high, strict=True)), distance < uneven


def make_subject(folder: Path) -> None:
    """A CT and its masks; the masks overlap here and there, as the public ones do."""
    random = np.random.default_rng(0)
    i, j, _ = np.ogrid[: SHAPE[0], : SHAPE[1], : SHAPE[2]]
    body = (((i - 140) / 125) ** 2 + ((j - 110) / 85) ** 2 < 1) & np.ones(SHAPE, bool)
    ct = np.where(body, np.float32(40), np.float32(-1000))
    for number in range(MASKS):
        mask = np.zeros(SHAPE, np.uint8)
        if number < NOT_EMPTY:
            where, inside = blob(random, number)
            mask[where][inside] = 1
            ct[where][inside] = random.uniform(0, 300)
        save(folder / "segmentations" / f"structure_{number:03d}.nii.gz", mask)
    ct += np.where(body, random.normal(0, 18, SHAPE), 0).astype(np.float32)
    save(folder / "ct.nii.gz", np.round(ct).astype(np.int16))


def make_large(folder: Path) -> None:
    """A CT of half a gigabyte, all noise, and a label map."""
    random = np.random.default_rng(0)
    noise = random.normal(0, 40, (*LARGE[:2], 10)).astype(np.int16)
    save(folder / "ct.nii.gz", np.tile(noise, (1, 1, LARGE[2] // 10)))
    labels = np.zeros(LARGE, np.int16)
    for value in range(1, 60):
        low = random.integers(0, 400, 3)
        labels[low[0] : low[0] + 90, low[1] : low[1] + 90, 2 * low[2] : 2 * low[2] + 90] = value
    save(folder / "labels.nii.gz", labels)


def make_series(folder: Path) -> None:
    """A CT of 500 slices in files of their own, and a segmentation of ten structures."""
    from tests.helpers import dicom_files as dicom

    random = np.random.default_rng(0)
    noise = random.normal(0, 40, (*SERIES[:2], 10)).astype(np.int16)
    affine = np.diag([-0.8, -0.8, 1.0, 1.0])
    images = dicom.series(np.tile(noise, (1, 1, SERIES[2] // 10)), affine, signed=False, intercept=-1024)
    dicom.save(images, folder / "images")
    for one in images:
        del one.PixelData
        one.PixelData = bytes(2 * SERIES[0] * SERIES[1])
    labels = np.zeros(SERIES, np.uint8)
    names = ("liver", "spleen", "pancreas", "stomach", "aorta", "heart", "colon", "trachea", "sacrum", "sternum")
    for value in range(1, len(names) + 1):
        low = random.integers(0, 350, 3)
        labels[low[0] : low[0] + 120, low[1] : low[1] + 120, low[2] : low[2] + 120] = value
    segments = [dicom.segment(number, name) for number, name in enumerate(names, 1)]
    dicom.save([dicom.segmentation(images, labels, segments)], folder / "labels")


# ---------------------------------------------------------------------------------------------------------------- ways


def files_of(folder: Path) -> tuple[Path, list[Path]]:
    return folder / "ct.nii.gz", sorted((folder / "segmentations").iterdir())


def floor(folder: Path) -> None:
    """Read and inflate all files, with their checksums, into one buffer with slack."""
    import imagecodecs

    buffer = np.empty(int(np.prod(SHAPE)) * 2 + 4096, np.uint8)
    image, masks = files_of(folder)
    for path in (image, *masks):
        imagecodecs.gzip_decode(path.read_bytes(), out=buffer)


def ours(folder: Path) -> None:
    """A volume as the build has it: image, label map of all masks, everything checked."""
    from dataset_builder.imaging.volume import read_masks

    image, masks = files_of(folder)
    names = {path.name.partition(".")[0]: path for path in masks}
    read_masks(image, names, source="benchmark", subject="one", modality="ct", licence="")


def ours_counted(folder: Path) -> None:
    """The same, and the voxels of every structure in every slice along three axes."""
    from dataset_builder.imaging.laterality import label_profiles
    from dataset_builder.imaging.volume import read_masks

    image, masks = files_of(folder)
    names = {path.name.partition(".")[0]: path for path in masks}
    label_profiles(read_masks(image, names, source="benchmark", subject="one", modality="ct", licence=""))


def raw_boxes(folder: Path) -> None:
    """nibabel's raw arrays, and a box of each mask by ``np.any``."""
    image, masks = files_of(folder)
    np.asarray(nibabel.load(image).dataobj)
    for path in masks:
        mask = np.asarray(nibabel.load(path).dataobj)
        for axes in ((1, 2), (0, 2), (0, 1)):
            np.flatnonzero(np.any(mask, axis=axes))


def peers(folder: Path) -> None:
    """``get_fdata`` and ``np.where``, as in many a script."""
    image, masks = files_of(folder)
    nibabel.load(image).get_fdata()
    for path in masks:
        found = np.where(nibabel.load(path).get_fdata() > 0)
        if len(found[0]):
            [(axis.min(), axis.max(), axis.mean()) for axis in found]


def large(folder: Path) -> None:
    """A 512 x 512 x 1000 CT with a label map."""
    from dataset_builder.imaging.volume import read_volume

    names = {value: str(value) for value in range(1, 60)}
    paths = folder / "ct.nii.gz", folder / "labels.nii.gz"
    read_volume(*paths, names, source="benchmark", subject="large", modality="ct", licence="")


def dicom_floor(folder: Path) -> None:
    """pydicom's own pixels of every image, kept."""
    import pydicom

    kept = [pydicom.dcmread(path).pixel_array for path in sorted((folder / "images").iterdir())]
    assert len(kept) == SERIES[2]


def dicom_images(folder: Path) -> None:
    """The series alone: slices in order, rescaled, on a grid, everything checked."""
    from dataset_builder.sources.base import Case
    from dataset_builder.sources.dicom.identifiers import unheard
    from dataset_builder.sources.dicom.reading import Identifiers, read_images

    paths = tuple(sorted((folder / "images").iterdir()))
    case = Case("dicom", "one", "ct", "unknown", paths)
    with unheard():
        read_images(case, [(number, 0) for number in range(len(paths))], len(paths), Identifiers())


def dicom(folder: Path) -> None:
    """A volume as the build has it: folder listed, slices in order, rescaled, labels laid, everything checked."""
    from dataset_builder.sources import open_source

    os.environ["MIS_GROUND_PSEUDONYMS"] = str(folder.parent / "pseudonyms.json")  # a process of its own
    source = open_source(f"dicom:{folder}")
    (case,) = source.cases()
    volume = source.read(case)
    assert volume.image.shape == SERIES


WAYS: dict[str, tuple[str, Callable[[Path], None]]] = {
    "floor": ("floor: inflate all files into a reused buffer (imagecodecs)", floor),
    "ours": ("`read_masks`: image and label map, all checked", ours),
    "counted": ("`read_masks` and `label_profiles`", ours_counted),
    "raw": ("nibabel's raw arrays and `np.any` (boxes only)", raw_boxes),
    "peers": ("`get_fdata` and `np.where`, as peers do", peers),
    "dicom_floor": ("DICOM, 512 x 512 x 500: pydicom's `dcmread` and `pixel_array`", dicom_floor),
    "dicom_images": ("DICOM, 512 x 512 x 500: read to values and grid, all checked", dicom_images),
    "dicom": ("DICOM, 512 x 512 x 500 and SEG: folder listed, read, labels laid", dicom),
    "large": ("512 x 512 x 1000 CT: `read_volume`", large),
}


def measure(way: str, folder: Path, repeats: int) -> dict[str, float]:
    """Least CPU and wall time in s of some repeats in a process of its own, and its peak memory in MB."""
    command = [sys.executable, __file__, "--way", way, "--folder", str(folder), "--repeats", str(repeats)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def run_way(way: str, folder: Path, repeats: int) -> None:
    """What the process of its own does."""
    cpu, wall = [], []
    for _ in range(repeats):
        start, spent = time.perf_counter(), time.process_time()
        WAYS[way][1](folder)
        cpu.append(time.process_time() - spent)
        wall.append(time.perf_counter() - start)
    # Not getrusage: that counts what the process was before it became this program.
    (peak,) = (line.split()[1] for line in Path("/proc/self/status").read_text().splitlines() if "VmHWM" in line)
    print(json.dumps({"cpu": min(cpu), "wall": min(wall), "peak": int(peak) / 1024}))


def main() -> int:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, help="how often each way has its turn")
    parser.add_argument("--only-dicom", action="store_true", help="the DICOM series alone")
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--repeats", type=int, default=3, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.way:
        run_way(given.way, given.folder, given.repeats)
        return 0
    if given.only_dicom:
        return only_dicom(given.rounds)
    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        make_subject(folder)
        packed = sum(path.stat().st_size for path in folder.rglob("*.gz"))
        print(f"{MASKS} masks ({NOT_EMPTY} not empty) and a CT, {packed / 1e6:.1f} MB\n")
        found: dict[str, list[dict[str, float]]] = {}
        for turn in range(given.rounds):
            for way in ("floor", "ours", "counted", "raw", "peers"):
                if turn == 0 or way not in ("raw", "peers"):  # they take long, and the bars are far away
                    found.setdefault(way, []).append(
                        measure(way, folder, 3 if way in ("floor", "ours", "counted") else 1)
                    )
        found |= measure_dicom(folder / "series", given.rounds)
        make_large(folder / "large")
        found["large"] = [measure("large", folder / "large", 1)]
    least = show(found)
    bars = {
        f"with profiles at most {MAX_FLOOR} x the floor": least["counted"] <= MAX_FLOOR * least["floor"],
        f"at least {MIN_PEERS} x faster than peers": least["peers"] >= MIN_PEERS * least["counted"],
        f"at most {MAX_MB} MB": max(run["peak"] for run in found["counted"]) <= MAX_MB,
        f"the large CT in at most {MAX_LARGE_MB} MB": found["large"][0]["peak"] <= MAX_LARGE_MB,
        **dicom_bars(found, least),
    }
    return judge(bars)


Runs = dict[str, list[dict[str, float]]]


def only_dicom(rounds: int) -> int:
    """Print the tables of the DICOM series."""
    with TemporaryDirectory() as temporary:
        found = measure_dicom(Path(temporary) / "series", rounds)
    return judge(dicom_bars(found, show(found)))


def measure_dicom(folder: Path, rounds: int) -> Runs:
    """A series is made and read in turns."""
    make_series(folder)
    found: Runs = {}
    for _ in range(rounds):
        for way in ("dicom_floor", "dicom_images", "dicom"):
            found.setdefault(way, []).append(measure(way, folder, 3))
    return found


def dicom_bars(found: Runs, least: dict[str, float]) -> dict[str, bool]:
    """What a DICOM series has to meet."""
    return {
        f"DICOM at most {MAX_DICOM} x pydicom's bare decoding": least["dicom_images"]
        <= MAX_DICOM * least["dicom_floor"],
        f"DICOM in at most {MAX_DICOM_MB} MB": max(run["peak"] for run in found["dicom"]) <= MAX_DICOM_MB,
    }


def show(found: Runs) -> dict[str, float]:
    """Print a table; returns the least CPU time of each way."""
    least = {way: min(run["cpu"] for run in runs) for way, runs in found.items()}
    print("| way | CPU s | wall s | against the floor | peak MB |\n| --- | ---: | ---: | ---: | ---: |")
    for way, runs in found.items():
        floor_of = "dicom_floor" if way.startswith("dicom") else "" if way == "large" else "floor"
        against = f"{least[way] / least[floor_of]:.2f}" if floor_of else ""
        wall, peak = min(run["wall"] for run in runs), max(run["peak"] for run in runs)
        print(f"| {WAYS[way][0]} | {least[way]:.2f} | {wall:.2f} | {against} | {peak:.0f} |")
    return least


def judge(bars: dict[str, bool]) -> int:
    """Print what was met; returns the exit status."""
    print("\nBars: " + "; ".join(f"{bar}: {'met' if met else 'MISSED'}" for bar, met in bars.items()))
    return 0 if all(bars.values()) else 1


if __name__ == "__main__":
    raise SystemExit(main())
