"""BIDS: images of a data set and discrete segmentations of its derivatives, matched by their entities.

::

    sub-01/anat/sub-01_T1w.nii.gz
    derivatives/PIPELINE/sub-01/anat/sub-01_space-orig_desc-aseg_dseg.nii.gz    labels
    derivatives/PIPELINE/sub-01/anat/sub-01_space-orig_desc-aseg_dseg.tsv       their names; or one for all, above

A segmentation belongs to the image of the same subject, session and run in the same space: without ``space``, or with
the name of the image's own (``orig``, ``T1w`` ...), to the raw image; in another space, to a derivative that is in it.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from dataset_builder.core.errors import SourceError
from dataset_builder.core.factors import Modality
from dataset_builder.imaging.scan_files import NIFTI, ending_of
from dataset_builder.sources.label_names import read_label_names
from dataset_builder.sources.labelled_files import Files, LabelledFiles, as_problem, by_subject
from dataset_builder.sources.named_labels import Naming, name_labels
from dataset_builder.sources.recognise import hint
from dataset_builder.vocabulary import Structure

OWN_SPACES = frozenset({"orig", "native", "individual", "scanner", "t1w", "t2w", "flair", "pdw", "ct", "anat"})
"""Spaces of a raw image itself, as pipelines call them."""
_MR = frozenset({"T1w", "T2w", "T1rho", "T2star", "FLAIR", "PDw", "PDT2", "inplaneT1", "inplaneT2", "UNIT1", "T2starw"})
_WHICH = ("sub", "ses", "run", "acq")


@dataclass(frozen=True)
class _Name:
    """A file's name, taken apart."""

    path: Path
    entities: Mapping[str, str]
    suffix: str

    @property
    def space(self) -> str:
        """Of the file; empty if it is the raw image's own."""
        space = self.entities.get("space", "")
        return "" if space.lower() in OWN_SPACES else space


def open_bids(folder: Path, words: Mapping[str, Structure], ignore: Collection[str] = ()) -> LabelledFiles:
    """The source of a BIDS data set.

    Args:
        folder: of the data set, which holds ``sub-*`` and ``derivatives``; or of derivatives with images.
        words: the vocabulary.
        ignore: labels to leave out, normalised.

    Raises:
        SourceError: if there is no segmentation or none belongs to an image; if names are missing or unknown.
    """
    names = [name for path in sorted(folder.rglob("*")) if (name := _parsed(path, folder)) is not None]
    labels = [name for name in names if name.suffix == "dseg"]
    images = [name for name in names if name.suffix in _MR or name.suffix in ("CT", "ct")]
    if not labels:
        raise SourceError(
            "This BIDS data set contains no segmentation.",
            file=folder,
            remedy=f"{hint(folder, 'bids')}Give the folder that contains sub-*/ and derivatives/**/*_dseg.nii.gz.",
        )
    files: list[Files] = []
    left: list[tuple[str, str]] = []
    named: dict[Path, Naming] = {}
    for one in labels:
        candidates = [image for image in images if _belongs(one, image)]
        image = _best(one, candidates)
        if image is None:
            why = f"No image of its subject, session and run is in its space ({one.space or 'the image’s own'})."
            left.append((one.path.relative_to(folder).as_posix(), why if not candidates else _several(candidates)))
            continue
        subject, modality = _subject(one, labels), _modality(image)
        patient = f"sub-{one.entities['sub']}"
        try:
            table = _table_of(one, folder)
            rows = read_label_names(table)
        except SourceError as error:  # of this segmentation alone
            nothing = Naming({}, {}, {})
            files.append(
                Files(subject, image.path, one.path, modality, nothing, problem=as_problem(error), patient=patient)
            )
            continue
        if table not in named:
            named[table] = name_labels(rows.items(), words, ignore).check(table, words)
        files.append(Files(subject, image.path, one.path, modality, named[table], (table,), patient=patient))
    if not files:
        raise SourceError(
            "No segmentation of this BIDS data set belongs to an image.",
            file=folder,
            value="; ".join(f"{place}: {why}" for place, why in left[:3]),
            remedy="Add the images, or list the pairs with pairs:FILE.yaml.",
        )
    used = {path for one in files for path in (one.image, one.labels)}
    lone = [name for name in images if name.path not in used]
    left += [(name.path.relative_to(folder).as_posix(), "No segmentation belongs to this image.") for name in lone]
    return LabelledFiles("bids", folder, by_subject(files, folder), unmatched=tuple(left))


def _parsed(path: Path, folder: Path) -> _Name | None:
    if not path.is_file() or ending_of(path.name).lower() not in NIFTI or path.name.startswith("."):
        return None
    if any(part.startswith(".") for part in path.relative_to(folder).parts):
        return None
    *pairs, suffix = path.name.removesuffix(ending_of(path.name)).split("_")
    entities = dict(pair.split("-", 1) for pair in pairs if "-" in pair)
    return _Name(path, entities, suffix) if "sub" in entities else None


def _belongs(labels: _Name, image: _Name) -> bool:
    same = all(labels.entities.get(e) == image.entities.get(e) for e in ("sub", "ses"))
    stated = [entity for entity in ("run", "acq", "ce", "rec") if entity in labels.entities]
    chosen = all(labels.entities[entity] == image.entities.get(entity) for entity in stated)
    return same and chosen and labels.space == image.space


def _best(labels: _Name, images: list[_Name]) -> _Name | None:
    """The one image of several: of the segmentation's own folder, else of the sequence that its space names."""
    if len(images) > 1:
        space = labels.entities.get("space", "").lower()
        images = (
            [image for image in images if image.suffix.lower() == space]
            or [image for image in images if image.path.parent == labels.path.parent]
            or [image for image in images if "derivatives" not in image.path.parts]
        )
    if len(images) > 1:
        images = [image for image in images if image.suffix == "T1w"] or images
    return images[0] if len(images) == 1 else None


def _several(images: list[_Name]) -> str:
    return f"It is unclear which image it belongs to: {', '.join(image.path.name for image in images[:4])}."


def _table_of(labels: _Name, folder: Path) -> Path:
    """The table of names: of the same name, or by inheritance one above whose entities the file has, too."""
    beside = labels.path.with_name(labels.path.name.removesuffix(ending_of(labels.path.name)) + ".tsv")
    if beside.is_file():
        return beside
    place = labels.path.parent
    while True:
        found = sorted(path for path in place.glob("*dseg.tsv") if _applies(path, labels))
        if found:
            return max(found, key=lambda path: len(path.name.split("_")))
        if place == folder:
            break
        place = place.parent
    raise SourceError(
        "The segmentation has no table of names.",
        file=labels.path,
        value=beside.name,
        remedy="Add it, a TSV file with the columns index and name; or one dseg.tsv for all in the folder above.",
    )


def _applies(table: Path, labels: _Name) -> bool:
    pairs = [pair for pair in table.name.removesuffix(".tsv").split("_") if "-" in pair]
    return all(labels.entities.get(key) == value for key, value in (pair.split("-", 1) for pair in pairs))


def _subject(one: _Name, labels: list[_Name]) -> str:
    """Subject, session and run; where several segmentations share them, also what they differ in."""

    def key(name: _Name, entities: Iterator[str] | tuple[str, ...]) -> str:
        return "_".join(f"{e}-{name.entities[e]}" for e in entities if e in name.entities)

    short = key(one, _WHICH)
    if sum(key(other, _WHICH) == short for other in labels) == 1:
        return short
    return key(one, tuple(one.entities))


def _modality(image: _Name) -> Modality:
    return "mri" if image.suffix in _MR or re.fullmatch(r"T\d.*", image.suffix) else "ct"
