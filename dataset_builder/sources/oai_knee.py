"""OAIZIB-CM: knees of the Osteoarthritis Initiative in MR (DESS), as published on the Hugging Face Hub.

::

    imagesTr/oaizib_001_0000.nii.gz  or imagesTr.zip with these files in it
    labelsTr/oaizib_001.nii.gz       or labelsTr.zip; values as in the label map oaizib_cm
    imagesTs, labelsTs               the same
    kneeSideInfo.csv                 which knee each is; also found in info/ and in info.zip

Archives are not unpacked: a case's two files are taken out of them when it is read, and are gone after that.
"""

import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath

from dataset_builder.core.errors import MissingLabelsError, SourceError, UnreadableError
from dataset_builder.imaging.volume import Volume, read_volume
from dataset_builder.sources.base import Case, LeftOut
from dataset_builder.sources.knee_sides import CSV_NAME, read_sides, without_ending
from dataset_builder.sources.left_over import left_over
from dataset_builder.sources.packed import BROKEN_ARCHIVE, open_zip, pieces
from dataset_builder.sources.published import OfAnArchive, Terms, is_published_list
from dataset_builder.sources.recognise import hint
from dataset_builder.vocabulary import label_map

_CHANNEL = "_0000"

ARCHIVE = Terms(
    "CC-BY-NC-4.0",
    "Yao et al., CartiMorph: A framework for automated knee articular cartilage morphometrics, Medical Image "
    "Analysis 2024; segmentations: Ambellan et al., Automated segmentation of knee bone and cartilage combining "
    "statistical shape knowledge and convolutional neural networks, Medical Image Analysis 2019; scans: "
    "Osteoarthritis Initiative",
    "https://huggingface.co/datasets/YongchengYAO/OAIZIB-CM",
)


@dataclass(frozen=True)
class OAIKnees(OfAnArchive):
    """The source ``oai_knee``.

    Args:
        folder: of the whole data set.
    """

    folder: Path
    name: str = "oai_knee"
    archive: Terms = ARCHIVE

    @cached_property
    def public(self) -> bool:
        """Whether the folder holds the public archive: the list of sides is the published one, and has every knee."""
        try:
            listed = read_sides(self.folder, ARCHIVE.url)
            return is_published_list(self.name, listed) and all(
                subject in listed for images, labels in self._parts() for subject in (*images.names, *labels.names)
            )
        except SourceError:  # which listing the cases says
            return False

    @property
    def remarks(self) -> tuple[str, ...]:
        """That the scans are not known to be the public archive's."""
        if self.public:
            return ()
        return (
            f"These scans are treated as private (licence unknown, pseudonyms): {CSV_NAME} is not the whole list of "
            "OAIZIB-CM, or a knee is not in it.",
        )

    def _parts(self) -> "list[tuple[_Files, _Files]]":
        """Images and labels, of training and of test."""
        return [(_Files.of(self.folder, f"images{part}"), _Files.of(self.folder, f"labels{part}")) for part in _PARTS]

    def cases(self) -> Iterator[Case]:
        """The training knees, then the test knees, each by name: all that have an image or labels.

        Images or labels of a part without an image are skipped.
        """
        listed = [
            (images, labels, subject)
            for images, labels in self._parts()
            if images.names
            for subject in sorted({*images.names, *labels.names})
        ]
        if not listed:
            raise SourceError(
                "This folder contains no knees.",
                file=self.folder,
                remedy=f"{hint(self.folder, self.name)}"
                f"Give the folder that contains imagesTr and labelsTr, or their zip files, from {ARCHIVE.url}.",
            )
        sides = read_sides(self.folder, ARCHIVE.url)
        if not any(subject in sides for _, _, subject in listed):
            raise SourceError(
                "The list of sides names none of the knees in this folder.",
                file=self.folder,
                value=f"{next(iter(sides), 'nothing')}, but here is {listed[0][2]}",
                remedy="Use the kneeSideInfo.csv that came with the scans.",
            )
        for images, labels, subject in listed:
            paths = images.path_of(subject, _CHANNEL), labels.path_of(subject, "")
            yield Case(self.name, subject, "mri", self.licence, paths, sides.get(subject))

    def left_out(self) -> Iterator[LeftOut]:
        """Scans that are none of the images and labels that are read."""
        used = {files.path_of(subject, "") for part in self._parts() for files in part for subject in files.names}
        yield from left_over(self.folder, used, "It is neither a knee's image nor its labels.")

    def read(self, case: Case) -> Volume:
        """One knee. Its side is checked against its labels later, by ``dataset_builder.imaging.laterality``."""
        image, labels = case.paths
        with tempfile.TemporaryDirectory(prefix="mis-ground-") as temporary:
            return read_volume(
                _taken_out(image, case.subject, Path(temporary)),
                _taken_out(labels, case.subject, Path(temporary), labels=True),
                label_map("oaizib_cm"),
                source=case.source,
                subject=case.subject,
                modality=case.modality,
                licence=case.licence,
                side=case.side,
            )


_PARTS = ("Tr", "Ts")


@dataclass(frozen=True)
class _Files:
    """The files of a folder, or of the archive that it was packed into.

    Args:
        place: the folder or archive.
        names: by subject, the name in it.
    """

    place: Path
    names: Mapping[str, str]

    @classmethod
    def of(cls, folder: Path, name: str) -> "_Files":
        """What ``folder/name`` holds; if that is not there or empty, what ``folder/name.zip`` holds."""
        place, archive = folder / name, folder / f"{name}.zip"
        files = _by_subject(sorted(path.relative_to(place).as_posix() for path in place.rglob("*.nii*")))
        if not files and archive.is_file():
            return cls(archive, _members(archive))
        return cls(place, files)

    def path_of(self, subject: str, suffix: str) -> Path:
        """The subject's own file, there or not; of an archive, the archive."""
        if self.place.suffix == ".zip":
            return self.place
        return self.place / self.names.get(subject, f"{subject}{suffix}.nii.gz")


def _by_subject(files: list[str]) -> dict[str, str]:
    """Names of NIfTI files by subject; what an operating system hides among them is passed over."""
    found: dict[str, str] = {}
    for file in files:
        path = PurePosixPath(file)
        stem = without_ending(path.name)
        if stem is not None and not path.name.startswith(".") and "__MACOSX" not in path.parts:
            found.setdefault(stem.removesuffix(_CHANNEL), file)
    return found


def _members(archive: Path) -> dict[str, str]:
    try:
        with open_zip(archive) as packed:
            return _by_subject(sorted(packed.namelist()))
    except (*BROKEN_ARCHIVE, OSError) as error:
        raise SourceError(
            "The archive cannot be read.",
            file=archive,
            value=f"{type(error).__name__}: {error}",
            remedy="Download it again; it may be truncated.",
        ) from error


def _taken_out(path: Path, subject: str, temporary: Path, *, labels: bool = False) -> Path:
    """The file itself, or a copy of the subject's member of an archive in a temporary folder of the archive's name."""
    if path.suffix != ".zip":
        return path
    member = _members(path).get(subject)
    if member is None:
        kind, what = (MissingLabelsError, "labels") if labels else (UnreadableError, "image")
        raise kind(
            f"The archive contains no {what} for this knee.", file=path, value=subject, remedy="Download it again."
        )
    copy = temporary / path.name / PurePosixPath(member).name
    copy.parent.mkdir()
    try:
        with open_zip(path) as packed, copy.open("wb") as file:
            for piece in pieces(packed, packed.getinfo(member), Path(path.name) / member):
                file.write(piece)
    except BROKEN_ARCHIVE as error:
        raise UnreadableError(
            "The archive cannot be read.", file=path, value=str(error), remedy="Download the archive again."
        ) from error
    return copy
