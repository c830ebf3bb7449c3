"""3D Slicer's files: an image (``.nrrd``, or any other format that is read) and a segmentation ``.seg.nrrd``.

::

    case1/CT.nrrd              or          case1.nrrd
    case1/Segmentation.seg.nrrd            case1.seg.nrrd

Names, values and layers of the segments are in the segmentation's header. Segments may overlap; the same rule as for
masks decides which one has the voxel (:mod:`dataset_builder.sources.overlap`), and one that is left out has none. A
segmentation may cover less than the image, as Slicer saves it by default.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from dataset_builder.core.errors import CaseError, LabelConflictError, SourceError, UnreadableError
from dataset_builder.core.factors import Modality
from dataset_builder.imaging.scan_files import ending_of, read_header, stem_of
from dataset_builder.sources.labelled_files import Files, LabelledFiles, by_subject
from dataset_builder.sources.modality import modality_of, modality_or_problem
from dataset_builder.sources.named_labels import Naming, name_labels
from dataset_builder.sources.overlap import in_laying_order
from dataset_builder.sources.recognise import hint
from dataset_builder.vocabulary import Structure

_SAVE_AGAIN = "Save it again from 3D Slicer."
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
        SourceError: if there is no segmentation, none can be read, or a segment is not in the vocabulary.
    """
    segmentations = sorted(path for path in folder.rglob("*") if is_segmentation(path) and not _hidden(path, folder))
    if not segmentations:
        raise SourceError(
            "This folder contains no segmentation of 3D Slicer.",
            file=folder,
            remedy=f"{hint(folder, 'slicer')}Give the folder that contains NAME.seg.nrrd beside the image.",
        )
    files = [_case(path, folder, words, ignore, modality) for path in segmentations]
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


def segments(header: Mapping[str, str], file: Path) -> Iterator[tuple[int, int, str]]:
    """Layer, value and name of each segment, in the header's order.

    Raises:
        UnreadableError: if a layer or value is no number.
    """
    number = 0
    while f"Segment{number}_Name" in header or f"Segment{number}_ID" in header:
        key = f"Segment{number}_"
        name = header.get(f"{key}Name") or header.get(f"{key}ID", "")
        layer, value = header.get(f"{key}Layer", "0").strip(), header.get(f"{key}LabelValue", "1").strip()
        if not all(text.isascii() and text.isdecimal() and len(text) < 6 for text in (layer, value)) or value == "0":
            raise UnreadableError(
                "The header of the segmentation gives a segment no layer or no label value.",
                file=file,
                value=f"{key}Layer: {layer}, {key}LabelValue: {value}",
                remedy=_SAVE_AGAIN,
            )
        yield int(layer), int(value), name
        number += 1


def _case(
    path: Path,
    folder: Path,
    words: Mapping[str, Structure],
    ignore: Collection[str],
    modality: Modality | None,
) -> Files:
    stem = stem_of(path.name).removesuffix(".seg").removesuffix(".SEG")
    below = path.parent.relative_to(folder).parts
    alone = sum(map(is_segmentation, path.parent.iterdir())) == 1
    subject = "_".join(below if below and alone else (*below, stem)) or stem
    try:
        found = list(segments(read_header(path), path))
        if not found:
            raise UnreadableError(
                "The header of the segmentation names no segments.",
                file=path,
                remedy="Save it from 3D Slicer as a segmentation (.seg.nrrd), not as a label map.",
            )
        naming, layers = _naming(path, found, words, ignore)
        image = _image_of(path)
        known, problem = modality or modality_of(image.name), None
        if known is None:
            known, problem = modality_or_problem(image)
        return Files(subject, image, path, known, naming, layers=layers, problem=problem)
    except CaseError as error:
        return Files(subject, path, path, modality or "ct", Naming({}, {}, {}), problem=error)


def _naming(
    path: Path, found: Sequence[tuple[int, int, str]], words: Mapping[str, Structure], ignore: Collection[str]
) -> tuple[Naming, tuple[dict[int, int], ...]]:
    """Structures by number, a part after its whole, and of each layer which number its values have."""
    naming = name_labels(enumerate((name for _, _, name in found), start=1), words, ignore).check(path, words)
    numbers = {name: number for number, name in enumerate(in_laying_order(set(naming.names.values()), words), start=1)}
    layers: list[dict[int, int]] = [{} for _ in range(max(layer for layer, _, _ in found) + 1)]
    for number, (layer, value, name) in enumerate(found, start=1):
        if value in layers[layer]:
            raise LabelConflictError(
                "Two segments have the same label value in the same layer.",
                file=path,
                value=f"{name}: layer {layer}, value {value}",
                remedy=_SAVE_AGAIN,
            )
        layers[layer][value] = numbers[naming.names[number]] if number in naming.names else 0
    spellings = {numbers[name]: naming.spellings[number] for number, name in naming.names.items()}
    structures = {number: name for name, number in numbers.items()}
    return replace(naming, names=structures, spellings=spellings), tuple(layers)


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
    raise LabelConflictError(
        "It is unclear which image the segmentation belongs to.",
        file=path,
        value=", ".join(other.name for other in others[:5]) or "no image beside it",
        remedy=f"Name the image {path.name[: -len('.seg.nrrd')]}.nrrd, or give each case a folder of its own; or list "
        "the files with pairs:FILE.yaml.",
    )


def _hidden(path: Path, folder: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(folder).parts)
