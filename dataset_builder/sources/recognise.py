"""What kind of data a folder holds, by its files' names and first bytes: for ``auto:DIR``, and for a hint in errors."""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from dataset_builder.core.errors import SourceError
from dataset_builder.imaging.scan_files import NIFTI, ending_of

LOOKED_AT = 20_000
"""How many files are looked at, at most."""
ARCHIVES = "archives that have to be unpacked first"
_PROBED = 200
"""How many files without a known name are opened, to see whether they are DICOM."""


@dataclass(frozen=True)
class Found:
    """What a folder holds.

    Args:
        source: the source that reads it; empty if none does.
        what: a sentence that says what was found.
        place: what the source takes: the folder, or a file.
        also: further kinds of data in it, which this source does not read.
    """

    source: str
    what: str
    place: Path = Path()
    also: tuple[str, ...] = ()

    @property
    def spec(self) -> str:
        """As ``--source`` takes it."""
        return f"{self.source}:{self.place}"

    @property
    def said(self) -> str:
        """What was found and how it is read, in words."""
        also = f" It also contains {', and '.join(self.also)}: not read." if self.also else ""
        return f"{self.what}: read as {self.spec}.{also}"


def recognise(place: Path) -> Found:
    """The source that reads a folder, or the file that describes a data set.

    Raises:
        SourceError: says what is there and what could be done with it.
    """
    if place.is_file():
        return _of_file(place)
    found = look_at(place)
    if not found.source:
        remedy = "Unpack the archives, and give the folder. " if ARCHIVES in found.what else ""
        raise SourceError(
            "It is unclear what kind of data this folder contains.",
            file=place,
            value=found.what,
            remedy=f"{remedy}Name the source (--source NAME:DIR), or list images and labels with pairs:FILE.yaml; "
            "docs/own-scans.md has a table of what is read.",
        )
    return found


def _of_file(file: Path) -> Found:
    if file.suffix.lower() in (".yaml", ".yml"):
        return Found("pairs", "This is a YAML file", file)
    if file.name == "dataset.json":
        return Found("nnunet", "This file describes a data set in nnU-Net's layout", file.parent)
    packed = file.suffix.lower() in (".zip", ".tar", ".tgz", ".7z", ".rar", ".gz") and not ending_of(file.name)
    raise SourceError(
        "A folder is read, or a YAML file that lists images and labels; this is another file.",
        file=file,
        remedy="Unpack it, and give the folder." if packed else "Give the folder that contains it.",
    )


def hint(folder: Path, given: str) -> str:
    """A sentence for the remedy of an error where another source than the one named reads a folder; else empty."""
    if not folder.is_dir():
        return ""
    found = look_at(folder)
    return f"{found.what}: use {found.source}:{folder}. " if found.source and found.source != given else ""


def look_at(folder: Path) -> Found:
    """What a folder holds; ``source`` is empty where no source reads it."""
    files = list(islice(_files(folder), LOOKED_AT))
    kinds: dict[str, str] = {}
    for source, what in _kinds(folder, files):
        kinds.setdefault(source, what)
    readable = [source for source in kinds if source]
    if not readable and (described := _description(folder)):
        return Found("pairs", f"This folder contains {described.name}, which lists images and labels", described)
    if not readable:
        return Found("", next(iter(kinds.values()), "") or _plain_count(files), folder)
    first, *others = readable
    return Found(first, f"This folder contains {kinds[first]}", folder, tuple(kinds[source] for source in others))


def _description(folder: Path) -> Path | None:
    """The YAML file of a folder that lists images and labels; ``None`` if none does, or several do."""
    found = []
    for path in sorted((*folder.glob("*.yaml"), *folder.glob("*.yml"))):
        try:
            text = path.read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
        if all(re.search(rf"^{key}\s*:", text, re.MULTILINE) for key in ("images", "labels")):
            found.append(path)
    return found[0] if len(found) == 1 else None


def _kinds(folder: Path, files: list[Path]) -> Iterator[tuple[str, str]]:
    """Source and description of each kind of data in a folder, the most telling first; no source if none reads it."""
    names = [path.name.lower() for path in files]
    inner = [path for path in _folders(folder) if (path / "dataset.json").is_file()]
    if (folder / "dataset.json").is_file():
        yield "nnunet", "a data set in nnU-Net's layout"
    elif len(inner) == 1:
        yield "nnunet", f"a data set in nnU-Net's layout, {inner[0].name}"
    elif inner:
        yield "", f"several data sets of nnU-Net; give one of them: {', '.join(path.name for path in inner[:5])}"
    if (folder / "mri").is_dir() or any((path / "mri" / "orig.mgz").is_file() for path in _folders(folder)):
        yield "freesurfer", "FreeSurfer's output"
    segmentations = sum(name.endswith((".seg.nrrd", ".seg.nhdr")) for name in names)
    if segmentations:
        yield "slicer", f"3D Slicer's files ({segmentations} segmentations)"
    if any("_dseg.nii" in name for name in names):
        yield "bids", "a BIDS data set with segmentations"
    elif (folder / "dataset_description.json").is_file():
        yield "", "a BIDS data set without a segmentation (*_dseg.nii.gz)"
    if any(path.parent.name == "segmentations" and ending_of(path.name) for path in files):
        mri = any(name == "mri.nii.gz" for name in names)
        yield "totalsegmentator_mri" if mri else "totalsegmentator", "masks in TotalSegmentator's layout"
    elif any(_has_label_table(path) for path in files[:_PROBED]):
        yield "totalsegmentator", "output of TotalSegmentator (--ml)"
    dicom = _dicom(files)
    if dicom:
        yield "dicom", f"DICOM ({dicom})"
    if {"info.zip", "imagestr.zip", "labelstr.zip"} & set(names):
        yield "oai_knee", "OAIZIB-CM"
    packed = [path for path in files if path.suffix.lower() in (".zip", ".tar", ".tgz", ".7z", ".rar")]
    if packed:
        shown = packed[0].relative_to(folder)
        more = f" and {len(packed) - 1} more" if len(packed) > 1 else ""
        yield "", f"{ARCHIVES}: {shown}{more}; {_plain_count(files)}"


def _plain_count(files: list[Path]) -> str:
    scans = sum(bool(ending_of(path.name)) for path in files)
    if not files:
        return "no files"
    return f"{scans} images or label maps, {len(files) - scans} other files"


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
    looked_at = candidates[:: max(1, -(-len(candidates) // _PROBED))]  # evenly: a CD holds a viewer's files, too
    for path in looked_at:
        try:
            with path.open("rb") as file:
                count += file.read(132)[128:] == b"DICM"
        except OSError:
            continue
    if not count:
        return ""
    more = "at least " if len(candidates) > len(looked_at) else ""
    return f"{more}{count} files" if count > 1 else "1 file"
