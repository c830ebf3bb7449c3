"""What kind of data a folder holds, by its files' names and first bytes: for ``auto:DIR``, and for a hint in errors."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from dataset_builder.core.errors import SourceError
from dataset_builder.imaging.scan_files import NIFTI, ending_of

LOOKED_AT = 20_000
"""How many files are looked at, at most."""
_PROBED = 200
"""How many files without a known name are opened, to see whether they are DICOM."""


@dataclass(frozen=True)
class Found:
    """What a folder holds.

    Args:
        source: the source that reads it; empty if none does.
        what: a sentence that says what was found.
    """

    source: str
    what: str


def recognise(folder: Path) -> Found:
    """The source that reads a folder.

    Raises:
        SourceError: says what the folder holds and what could be done with it.
    """
    found = look_at(folder)
    if not found.source:
        raise SourceError(
            "It is unclear what kind of data this folder contains.",
            file=folder,
            value=found.what,
            remedy="Name the source (--source NAME:DIR), or list images and labels with pairs:FILE.yaml; "
            "docs/own-scans.md has a table of what is read.",
        )
    return found


def hint(folder: Path, given: str) -> str:
    """A sentence for the remedy of an error where another source than the one named reads a folder; else empty."""
    if not folder.is_dir():
        return ""
    found = look_at(folder)
    return f"{found.what}: use {found.source}:{folder}. " if found.source and found.source != given else ""


def look_at(folder: Path) -> Found:
    """What a folder holds; ``source`` is empty where no source reads it."""
    if (folder / "dataset.json").is_file() and any(
        (folder / name).is_dir() for name in ("imagesTr", "labelsTr", "labelsTs", "labelsVa")
    ):
        return Found("nnunet", "This folder contains a data set in nnU-Net's layout")
    inner = [path for path in _folders(folder) if (path / "dataset.json").is_file()]
    if len(inner) == 1:
        return Found("nnunet", f"This folder contains a data set in nnU-Net's layout, {inner[0].name}")
    if (folder / "mri").is_dir() or any((path / "mri" / "orig.mgz").is_file() for path in _folders(folder)):
        return Found("freesurfer", "This folder contains FreeSurfer's output")
    files = list(islice(_files(folder), LOOKED_AT))
    names = [path.name.lower() for path in files]
    segmentations = sum(name.endswith((".seg.nrrd", ".seg.nhdr")) for name in names)
    if segmentations:
        return Found("slicer", f"This folder contains 3D Slicer's files ({segmentations} segmentations)")
    if (folder / "dataset_description.json").is_file() or any("_dseg.nii" in name for name in names):
        if any("_dseg.nii" in name for name in names):
            return Found("bids", "This folder contains a BIDS data set with segmentations")
        return Found("", "a BIDS data set without a segmentation (*_dseg.nii.gz)")
    if any(path.parent.name == "segmentations" and ending_of(path.name) for path in files):
        mri = any(name == "mri.nii.gz" for name in names)
        kind = "totalsegmentator_mri" if mri else "totalsegmentator"
        return Found(kind, "This folder contains masks in TotalSegmentator's layout")
    if any(_has_label_table(path) for path in files[:_PROBED]):
        return Found("totalsegmentator", "This folder contains output of TotalSegmentator (--ml)")
    dicom = _dicom(files)
    if dicom:
        return Found("dicom", f"This folder contains DICOM ({dicom})")
    if {"info.zip", "imagestr.zip", "labelstr.zip"} & set(names):
        return Found("oai_knee", "This folder contains OAIZIB-CM")
    scans = sum(bool(ending_of(name)) for name in names)
    return Found("", f"{scans} images or label maps, {len(files) - scans} other files")


def _folders(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.iterdir()) if path.is_dir() and not path.name.startswith("."))


def _files(folder: Path) -> Iterator[Path]:
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(place) / name for name in sorted(names) if not name.startswith("."))


def _has_label_table(path: Path) -> bool:
    from dataset_builder.sources.totalsegmentator_output import label_table

    return ending_of(path.name).lower() in NIFTI and bool(label_table(path))


def _dicom(files: list[Path]) -> str:
    """What of a list of files is DICOM, as words; empty if nothing is."""
    count = 0
    candidates = [path for path in files if not ending_of(path.name)]
    for path in candidates[:_PROBED]:
        try:
            with path.open("rb") as file:
                count += file.read(132)[128:] == b"DICM"
        except OSError:
            continue
    if not count:
        return ""
    more = "at least " if len(candidates) > _PROBED else ""
    return f"{more}{count} files" if count > 1 else "1 file"
