"""TotalSegmentator's public CT data, versions 1 and 2: one folder per subject, one mask per structure.

::

    meta.csv                                 separated by ";", one row per subject (may be absent)
    s0000/ct.nii.gz
    s0000/segmentations/kidney_left.nii.gz   0 and 1; many are empty

The zip file that they are published in will do as well, unpacked or not.

A mask means what its file name says, never what place it has in a list: the versions number their structures
differently. Masks overlap in every subject. They are laid on top of each other sorted by name, but a part after the
whole that it is part of (``part_of`` in the vocabulary), and the last one has the voxel.
"""

import csv
import os
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain, groupby
from pathlib import Path

from dataset_builder.core.errors import CaseError, MissingLabelsError, SourceError, UnknownLabelError
from dataset_builder.core.factors import Modality
from dataset_builder.files.disk_list import in_order
from dataset_builder.files.object_storage import is_remote
from dataset_builder.imaging.scan_files import ending_of, stem_of
from dataset_builder.imaging.volume import Volume, read_masks
from dataset_builder.sources.base import Case, LeftOut
from dataset_builder.sources.overlap import in_laying_order
from dataset_builder.sources.packed import packed_subjects, taken_out
from dataset_builder.sources.published import OfAnArchive, Terms, is_published_file, is_published_list
from dataset_builder.sources.recognise import hint
from dataset_builder.sources.unknown import how_to_add
from dataset_builder.vocabulary import Structure, find, normalise, structures

SEGMENTATIONS = "segmentations"
PUBLIC_COLUMNS = frozenset({"image_id", "institute"})
"""Columns that the public lists of subjects have, among others."""
ENDINGS = (".nii.gz", ".nii")


@dataclass(frozen=True)
class MaskFolders(OfAnArchive):
    """One folder per subject with an image and a folder of masks; what its own kinds differ in are the fields.

    Args:
        folder: of the whole data set.
        vocabulary: a user's own structures, if any.
        image: name of the image in a subject's folder.
        ignore: names of masks to leave out, normalised.
    """

    folder: Path
    vocabulary: Path | None
    name: str
    modality: Modality
    image: str
    archive: Terms
    ignore: frozenset[str] = frozenset()

    @cached_property
    def public(self) -> bool:
        """Whether the folder holds the public archive, by its whole ``meta.csv`` or by name and size of zip files.

        The same layout with other scans in it is somebody's own, and has no licence that is known. So is a folder with
        the archive's ``meta.csv`` and a subject that is not in it.
        """
        if next(self._folders(), None) is None:
            zips = list(self.folder.glob("[!.]*.zip"))
            return bool(zips) and all(map(is_published_file, zips))
        table = self.folder / "meta.csv"
        try:
            listed = set(listed_subjects(table, PUBLIC_COLUMNS))
        except SourceError:
            return False
        return is_published_list(self.name, listed) and all(subject in listed for subject in self._folders())

    @property
    def remarks(self) -> tuple[str, ...]:
        """That the scans are not the public archive's, where the list of subjects may have been meant to say so."""
        if self.public or not (self.folder / "meta.csv").is_file():
            return ()
        return (
            "These scans are treated as private (licence unknown, pseudonyms): meta.csv is not the whole list of a "
            "public archive, or a subject is not in it.",
        )

    @property
    def has_layout(self) -> bool:
        """Whether the folder is laid out as the public archive is.

        Folders with masks may also be what the program wrote beside images of other names: these tell.
        """
        if (self.folder / "meta.csv").is_file():
            return True
        beside = [name for subject in set(self._folders()) for name in self._scans_of(subject)]
        if any(map(self._is_image, beside)) or (not beside and next(self._folders(), None) is not None):
            return True
        return next(self.folder.glob("[!.]*.zip"), None) is not None

    def cases(self) -> Iterator[Case]:
        """The subjects of ``meta.csv`` and those that have a folder, by name.

        A subject of ``meta.csv`` whose folder is not there is a case too: reading it says what is missing.
        """
        if next(self._folders(), None) is None:
            packed = packed_subjects(self.folder, self.image)
            if not packed:
                raise SourceError(
                    "This folder contains no subjects.",
                    file=self.folder,
                    remedy=f"{hint(self.folder, self.name)}"
                    f"Give the folder that contains s0000/{self.image}, s0000/{SEGMENTATIONS}/ and so on, or "
                    "the zip file with them.",
                )
            licence = self.licence
            for subject, archive in packed.items():
                yield Case(self.name, subject, self.modality, licence, (archive,))
            return
        licence = self.licence
        listed = listed_subjects(self.folder / "meta.csv")
        for subject, _ in groupby(in_order(chain(self._folders(), listed), key=str)):
            paths = (self._image_of(subject), self.folder / subject / SEGMENTATIONS)
            yield Case(self.name, subject, self.modality, licence, paths)

    def _image_of(self, subject: str) -> Path:
        """A subject's image: under its usual name, or spelled otherwise (``ct.nii``, ``CT.NII.GZ``)."""
        usual = self.folder / subject / self.image
        if is_remote(usual) or usual.exists() or not usual.parent.is_dir():
            return usual
        return next((path for path in sorted(usual.parent.iterdir()) if self._is_image(path.name)), usual)

    def _scans_of(self, subject: str) -> list[str]:
        return [path.name for path in (self.folder / subject).iterdir() if path.is_file() and ending_of(path.name)]

    def _is_image(self, name: str) -> bool:
        return ending_of(name).lower() in ENDINGS and stem_of(name).lower() == stem_of(self.image)

    def left_out(self) -> Iterator[LeftOut]:
        """Scans that are neither a subject's image nor one of its masks."""
        if is_remote(self.folder):  # a request for each folder
            return
        for place, folders, files in os.walk(self.folder):
            here = Path(place).relative_to(self.folder)
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            masks = len(here.parts) == 2 and here.name == SEGMENTATIONS
            for name in sorted(files):
                ending = ending_of(name).lower()
                if not ending or name.startswith(".") or (masks and ending in ENDINGS):
                    continue
                if len(here.parts) != 1 or self._image_of(here.name).name != name:
                    yield LeftOut(
                        (here / name).as_posix(),
                        "It is neither a subject's image nor one of its masks.",
                        f"Images are named {self.image}, masks lie in {SEGMENTATIONS}.",
                    )

    def _folders(self) -> Iterator[str]:
        """The subjects that have a folder, in no order, most of them twice."""
        yield from (path.parent.name for path in self.folder.glob(f"[!.]*/{self.image}"))
        yield from (path.parent.name for path in self.folder.glob(f"[!.]*/{SEGMENTATIONS}") if path.is_dir())

    def read(self, case: Case) -> Volume:
        """A subject with all its masks, the empty ones included: their structures are known to be absent."""
        if case.paths[0].suffix == ".zip":
            with taken_out(case.paths[0], case.subject, self.image) as folder:
                return self._read(case, folder / self.image, folder / SEGMENTATIONS)
        return self._read(case, *case.paths)

    def _read(self, case: Case, image: Path, folder: Path) -> Volume:
        masks = named_masks(folder, structures(self.vocabulary), self.ignore)
        volume = read_masks(
            image,
            masks,
            source=case.source,
            subject=case.subject,
            modality=case.modality,
            licence=case.licence,
            side=case.side,
        )
        return replace(volume, ignored=ignored_masks(folder, self.ignore))

    def reads_as(self, case: Case) -> object:
        """The masks that are left out."""
        return sorted(self.ignore)


def open_ct(folder: Path, vocabulary: Path | None = None) -> MaskFolders:
    """The source ``totalsegmentator``."""
    return MaskFolders(
        folder,
        vocabulary,
        name="totalsegmentator",
        modality="ct",
        image="ct.nii.gz",
        archive=Terms(
            "CC-BY-4.0",
            "Wasserthal et al., TotalSegmentator: Robust Segmentation of 104 Anatomic Structures in CT Images, "
            "Radiology: Artificial Intelligence 2023",
            "https://doi.org/10.5281/zenodo.10047292",
        ),
    )


def listed_subjects(table: Path, columns: Collection[str] = ("image_id",)) -> list[str]:
    """The subjects that ``meta.csv`` lists; none if there is no such file.

    Args:
        table: the file.
        columns: that it must have, ``image_id`` among them.

    Raises:
        SourceError: if it cannot be read, or is not separated by ";" with these columns.
    """
    if not table.exists():
        return []
    remedy = "Restore it from the archive, or remove it: then every folder with an image is used."
    try:
        with table.open(newline="", encoding="utf-8-sig") as file:
            rows = csv.DictReader(file, delimiter=";")
            header = list(rows.fieldnames or ())
            if not set(header) >= set(columns):
                raise SourceError(
                    f'The list of subjects is not separated by ";" with a column {" and ".join(sorted(columns))}.',
                    file=table,
                    value=", ".join(header),
                    remedy=remedy,
                )
            subjects = [(row["image_id"] or "").strip() for row in rows]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise SourceError(
            "The list of subjects cannot be read.", file=table, value=str(error), remedy=remedy
        ) from error
    for subject in subjects:
        if subject and (Path(subject).name != subject or subject == ".."):
            raise SourceError("A subject is not the name of a folder.", file=table, value=subject, remedy=remedy)
    return [subject for subject in subjects if subject]


def ignored_masks(folder: Path, ignore: Collection[str]) -> tuple[str, ...]:
    """The masks of a folder that are left out, by their names."""
    names = (normalise(stem_of(path.name)) for path in folder.iterdir() if ending_of(path.name).lower() in ENDINGS)
    return tuple(sorted({name for name in names if name in ignore}))


def named_masks(folder: Path, words: Mapping[str, Structure], ignore: Collection[str] = ()) -> dict[str, Path]:
    """The masks of a folder by canonical structure name, in the order in which they are laid on top of each other.

    Other files than NIfTI ones are passed over, and hidden ones.

    Raises:
        MissingLabelsError: if the folder is not there or holds no mask.
        UnknownLabelError: if the vocabulary lacks a mask's name.
        CaseError: if two masks are of the same structure.
    """
    files = sorted(folder.iterdir()) if folder.is_dir() else []
    files = [path for path in files if ending_of(path.name).lower() in ENDINGS and not path.name.startswith(".")]
    if not files:
        problem = "The folder of masks is empty." if folder.is_dir() else "The image has no folder of masks."
        raise MissingLabelsError(problem, file=folder, remedy="Add the masks, or remove the subject.")
    masks: dict[str, Path] = {}
    unknown: dict[str, Path] = {}
    for path in files:
        name = stem_of(path.name)
        if normalise(name) in ignore:
            continue
        structure = find(name, words)
        if structure is None:
            unknown[name] = path
            continue
        if structure.name in masks:
            raise CaseError(
                f"Two masks show the same structure, {structure.name}.",
                file=path,
                value=f"{masks[structure.name].name} and {path.name}",
                remedy="Keep one of them.",
            )
        masks[structure.name] = path
    if unknown:
        raise UnknownLabelError(
            "The vocabulary has no structure with the name of a mask.",
            file=next(iter(unknown.values())),
            value=", ".join(unknown),
            remedy=f"Move such masks out of the folder, or describe them. {how_to_add(unknown, words)}",
        )
    return {name: masks[name] for name in in_laying_order(masks, words)}
