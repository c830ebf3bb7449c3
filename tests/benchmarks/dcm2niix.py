"""DICOM series read as dcm2niix converts them: ``python tests/benchmarks/dcm2niix.py``.

Writes series in many directions and stored forms, converts them with dcm2niix (``pip install dcm2niix``, or
``--program``), and compares its NIfTI files with what the source ``dicom`` makes of the same files: affine and voxels.
Exit status 1 if one differs. (tests/sources/dicom/test_series.py does the same with SimpleITK.)
"""

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import nibabel
import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))

from dataset_builder.sources import open_source
from tests.helpers import dicom_files as dicom
from tests.helpers.dicom_body import AFFINE, CORONAL, SAGITTAL, SHAPE, rotated

SERIES: dict[str, tuple[np.ndarray, dict[str, Any]]] = {
    "axial": (AFFINE, {}),
    "axial, slices downward": (AFFINE @ np.diag([1, 1, -1, 1.0]), {}),
    "axial, feet first": (np.diag([-1, 1, -1, 1.0]) @ AFFINE, {}),
    "oblique, 9 and 6 degrees": (rotated(9, 2) @ rotated(6, 0) @ AFFINE, {}),
    "oblique, 25 degrees": (rotated(25, 0) @ AFFINE, {}),
    "sagittal": (SAGITTAL, {}),
    "coronal": (CORONAL, {}),
    "unsigned, intercept -1024": (AFFINE, {"signed": False, "intercept": -1024}),
    "slope 2": (AFFINE, {"slope": 2.0, "intercept": -1000}),
}


def compare(program: str, folder: Path, affine: np.ndarray, options: dict[str, Any]) -> str:
    """What differs between both, or nothing."""
    image = np.random.default_rng(0).integers(-1000, 1500, SHAPE).astype(np.int16)
    images = dicom.series(image, affine, **options)
    mask = np.ones(SHAPE, np.uint8)
    dicom.save(images, folder / "study" / "images")
    seg = dicom.segmentation(images, mask, [dicom.segment(1, "liver")])
    (folder / "out").mkdir()
    command = [program, "-z", "n", "-f", "series", "-o", str(folder / "out"), str(folder / "study" / "images")]
    done = subprocess.run(command, capture_output=True, text=True)
    made = sorted((folder / "out").glob("*.nii"))
    if len(made) != 1:
        return f"dcm2niix made {len(made)} files: {done.stdout[-200:]}"
    dicom.save([seg], folder / "study" / "seg")
    source = open_source(f"dicom:{folder / 'study'}")
    (case,) = source.cases()
    volume = source.read(case)
    theirs: Any = nibabel.as_closest_canonical(nibabel.load(made[0]))
    if not np.allclose(theirs.affine, volume.affine, atol=1e-3):
        return f"affine {volume.affine.tolist()}, by dcm2niix {theirs.affine.tolist()}"
    if not np.array_equal(theirs.get_fdata(), volume.image):
        return f"{int((theirs.get_fdata() != volume.image).sum())} voxels"
    return ""


def main() -> int:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", default=shutil.which("dcm2niix") or "dcm2niix")
    given, wrong = parser.parse_args(), 0
    with TemporaryDirectory() as temporary:
        os.environ["MIS_GROUND_PSEUDONYMS"] = f"{temporary}/pseudonyms.json"
        for number, (name, (affine, options)) in enumerate(SERIES.items()):
            said = compare(given.program, Path(temporary) / str(number), affine, options)
            wrong += bool(said)
            print(f"| {name} | {said or 'affine and voxels equal'} |", flush=True)
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
