"""The sample's real CT and MR through every format and order of storage: ``python tests/benchmarks/ways_in.py``.

Prints a table of the ways, and how many rows of a build (questions, answers, boxes, images) equal those of the same
scan as NIfTI; exit status 1 if one differs. Only FreeSurfer's way is left out: it holds brains
(tests/sources/test_ways_in.py has one). A few minutes.
"""

import argparse
import os
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))

from dataset_builder.core.settings import Settings
from dataset_builder.imaging.volume import Volume
from dataset_builder.sources.sample import Sample
from tests.helpers.asked import asked
from tests.helpers.ways_in import STORED, WAYS, Scan

SETTINGS = Settings(slices_per_volume=3, stacks_per_volume=1, stack_size=4, image_size=128, answer_types=("choice",))
REFERENCE = "nnunet .nii.gz"


def scan_of(volume: Volume) -> Scan:
    """The volume's arrays with those structures that have a voxel."""
    names = {value: name for value, name in volume.names.items() if (volume.labels == value).any()}
    labels = np.where(np.isin(volume.labels, list(names)), volume.labels, 0).astype(np.uint8)
    whole = np.rint(volume.image).astype(np.int16)
    return Scan(whole, labels, names, volume.affine, "CT" if volume.modality == "ct" else "MR")


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stored", default=",".join(STORED).replace(", ", "; "), help="separated by commas")
    parser.add_argument("--only", choices=("CT", "MR"), help="one of the two scans")
    given = parser.parse_args()
    orders = [name.replace("; ", ", ") for name in given.stored.split(",")]
    source, wrong = Sample(), 0
    print(f"| scan | way | rows | {' | '.join(orders)} |\n| --- | --- | ---: |{' --- |' * len(orders)}")
    with TemporaryDirectory() as temporary:
        os.environ["MIS_GROUND_PSEUDONYMS"] = f"{temporary}/pseudonyms.json"
        for case in source.cases():
            if not case.subject.endswith("_sm") or given.only not in (None, case.modality.upper().replace("MRI", "MR")):
                continue
            scan, expected = scan_of(source.read(case)), {}
            for way, write in WAYS.items():
                said = []
                for stored in orders if way != "freesurfer" else ():
                    place = Path(temporary) / case.subject / f"{way} {stored}"
                    rows = asked(write(place / "in", STORED[stored](scan)), SETTINGS, place / "store")
                    known = expected.setdefault("oblique" in stored, rows)
                    same = sum(_same(row, other) for row, other in zip(rows, known, strict=False))
                    whole = same == len(rows) == len(known)
                    wrong += not whole
                    said.append("equal" if whole else f"{same} of {len(known)} equal")
                if said:
                    print(f"| {scan.modality} | {way} | {len(rows)} | {' | '.join(said)} |", flush=True)
    return 1 if wrong else 0


def _same(row: dict, other: dict) -> bool:
    return abs(row["margin_mm"] - other["margin_mm"]) < 1e-3 and all(
        row[key] == other[key] for key in other if key != "margin_mm"
    )


if __name__ == "__main__":
    raise SystemExit(main())
