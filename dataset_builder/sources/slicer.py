"""3D Slicer's files: an image (``.nrrd``, or any other format that is read) and a segmentation ``.seg.nrrd``.

::

    case1/CT.nrrd              or          case1.nrrd
    case1/Segmentation.seg.nrrd            case1.seg.nrrd

Names, values and layers of the segments are in the segmentation's header. Segments may overlap; the same rule as for
masks decides which one has the voxel (:mod:`dataset_builder.sources.overlap`), and one that is left out has none. A
segmentation may cover less than the image, as Slicer saves it by default.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from dataset_builder.core.errors import SourceError
from dataset_builder.core.factors import Modality
from dataset_builder.imaging.scan_files import ending_of, read_header, stem_of
from dataset_builder.sources.dataset_json import modality_of
from dataset_builder.sources.labelled_files import Files, LabelledFiles, by_subject
from dataset_builder.sources.modality import modality_of_scan
from dataset_builder.sources.named_labels import name_labels
from dataset_builder.sources.overlap import in_laying_order
from dataset_builder.vocabulary import Structure

SEGMENTATION = (".seg.nrrd", ".seg.nhdr")


def open_slicer(
    folder: Path, words: Mapping[str, Structure], ignore: Collection[str] = (), modality: Modality | None = None
) -> LabelledFiles:
    """The source of a folder with segmentations, nested as you like.

    Args:
        folder: with the files.
        words: the vocabulary.
        ignore: labels to leave out, normalised.
        modality: of all images, where neither file names nor values say it.

    Raises:
        SourceError: if there is no segmentation, an image is ambiguous, or a segment is not in the vocabulary.
    """
    segmentations = sorted(path for path in folder.rglob("*") if is_segmentation(path) and not _hidden(path, folder))
    if not segmentations:
        raise SourceError(
            "This folder contains no segmentation of 3D Slicer.",
            file=folder,
            remedy="Give the folder that contains NAME.seg.nrrd beside the image.",
        )
    files = [_case(path, folder, words, ignore, modality, len(segmentations)) for path in segmentations]
    taken = {one.image for one in files} | {one.labels for one in files}
    left = [
        (path.relative_to(folder).as_posix(), "No segmentation belongs to this image.")
        for path in sorted(folder.rglob("*"))
        if path.is_file() and ending_of(path.name) and path not in taken and not _hidden(path, folder)
    ]
    return LabelledFiles("slicer", folder, by_subject(files, folder), unmatched=tuple(left))


def is_segmentation(path: Path) -> bool:
    """Whether a file is a segmentation by its name."""
    return path.name.lower().endswith(SEGMENTATION)


def segments(header: Mapping[str, str]) -> Iterator[tuple[int, int, str]]:
    """Layer, value and name of each segment, in the header's order."""
    number = 0
    while f"Segment{number}_Name" in header or f"Segment{number}_ID" in header:
        key = f"Segment{number}_"
        name = header.get(f"{key}Name") or header.get(f"{key}ID", "")
        yield int(header.get(f"{key}Layer", 0)), int(header.get(f"{key}LabelValue", 1)), name
        number += 1


def _case(
    path: Path,
    folder: Path,
    words: Mapping[str, Structure],
    ignore: Collection[str],
    modality: Modality | None,
    count: int,
) -> Files:
    image = _image_of(path)
    found = list(segments(read_header(path)))
    if not found:
        raise SourceError(
            "The header of the segmentation names no segments.",
            file=path,
            remedy="Save it from 3D Slicer as a segmentation (.seg.nrrd), not as a label map.",
        )
    naming = name_labels(enumerate((name for _, _, name in found), start=1), words, ignore)
    naming.check(path, words)
    layers: list[dict[int, int]] = [{} for _ in range(max(layer for layer, _, _ in found) + 1)]
    rank = {name: number for number, name in enumerate(in_laying_order(set(naming.names.values()), words), start=1)}
    for number, (layer, value, _) in enumerate(found, start=1):
        layers[layer][value] = rank[naming.names[number]] if number in naming.names else 0
    spellings = {rank[name]: naming.spellings[number] for number, name in naming.names.items()}
    naming = replace(naming, names={number: name for name, number in rank.items()}, spellings=spellings)
    stem = stem_of(path.name).removesuffix(".seg").removesuffix(".SEG")
    below = path.parent.relative_to(folder).parts
    alone = sum(map(is_segmentation, path.parent.iterdir())) == 1
    subject = "_".join(below if below and alone else (*below, stem)) or stem
    known = modality or modality_of(image.name) or modality_of_scan(image)
    return Files(subject, image, path, known, naming, layers=tuple(layers))


def _image_of(path: Path) -> Path:
    """The image that a segmentation is of: of the same name, or the only other scan in its folder."""
    stem = path.name[: -len(".seg.nrrd")].lower()
    others = sorted(
        other
        for other in path.parent.iterdir()
        if other.is_file() and ending_of(other.name) and not is_segmentation(other) and not other.name.startswith(".")
    )
    for rule in (
        lambda name: name == stem,
        lambda name: stem.startswith((f"{name}-", f"{name}_", f"{name} ")),
        lambda name: name.startswith((f"{stem}-", f"{stem}_", f"{stem} ")),
    ):
        same = [other for other in others if rule(stem_of(other.name).lower())]
        if len(same) == 1:
            return same[0]
    if len(others) == 1:
        return others[0]
    raise SourceError(
        "It is unclear which image the segmentation belongs to.",
        file=path,
        value=", ".join(other.name for other in others[:5]) or "no image beside it",
        remedy=f"Name the image {path.name[: -len('.seg.nrrd')]}.nrrd, or give each case a folder of its own; or list "
        "the files with pairs:FILE.yaml.",
    )


def _hidden(path: Path, folder: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(folder).parts)
