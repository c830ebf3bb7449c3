"""What the program TotalSegmentator writes for scans of your own, beside the image.

::

    case1/ct.nii.gz                any name: the one scan that is no segmentation
    case1/seg.nii.gz               from --ml: names of the labels are in the file's NIfTI extension
    case2/scan.nii.gz
    case2/segmentations/*.nii.gz   one mask per structure, in a folder of any name

The cases may lie in the folder itself, or a folder each.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ClassVar

import nibabel

from dataset_builder.core.errors import CaseError, SourceError
from dataset_builder.core.factors import Modality
from dataset_builder.imaging.scan_files import NIFTI, ending_of, stem_of
from dataset_builder.imaging.volume import Volume, read_masks
from dataset_builder.sources.base import Case, LeftOut
from dataset_builder.sources.labelled_files import Files, read_files
from dataset_builder.sources.left_over import left_over
from dataset_builder.sources.modality import modality_or_problem
from dataset_builder.sources.named_labels import name_labels
from dataset_builder.sources.recognise import hint
from dataset_builder.vocabulary import Structure, find, normalise

_LABEL = re.compile(r'<Label\s[^>]*?Key="(\d+)"[^>]*>\s*(?:<!\[CDATA\[)?(.*?)(?:\]\]>)?\s*</Label>', re.DOTALL)


@dataclass(frozen=True)
class _Unclear(Case):
    """A case whose image could not be read, or is neither surely CT nor MR."""

    problem: CaseError = field(kw_only=True)


@dataclass(frozen=True)
class ProgramOutput:
    """A source of images with what TotalSegmentator made of them.

    Args:
        folder: that holds the cases.
        words: the vocabulary.
        ignore: labels to leave out, normalised.
        modality: of all images; by default CT for the source ``totalsegmentator``, else recognised by values.
    """

    folder: Path
    words: Mapping[str, Structure]
    ignore: Collection[str]
    modality: Modality | None
    name: str = "totalsegmentator"
    licence: str = "unknown"
    citation: str = ""
    url: str = ""
    public: ClassVar[bool] = False
    _files: dict[str, Files] = field(default_factory=dict, compare=False)
    _left: list[LeftOut] = field(default_factory=list, compare=False)
    _used: set[Path] = field(default_factory=set, compare=False)

    def cases(self) -> Iterator[Case]:
        """Every image with a segmentation, by name."""
        self._files.clear()
        self._left.clear()
        self._used.clear()
        found = [case for place in self._places() for case in self._cases_in(place)]
        if not found:
            raise SourceError(
                "This folder contains no subjects, and no scan with a segmentation beside it.",
                file=self.folder,
                remedy=f"{hint(self.folder, self.name)}"
                "Give the folder that contains s0000/ct.nii.gz, s0000/segmentations/ and so on, the public zip "
                "file, or images with the output of TotalSegmentator beside them.",
            )
        yield from sorted(found, key=lambda case: case.subject)

    def left_out(self) -> Iterator[LeftOut]:
        """Scans without a segmentation."""
        yield from self._left
        named = {self.folder / one.file for one in self._left}
        yield from left_over(self.folder, {*self._used, *named}, "No segmentation belongs to this scan.")

    def read(self, case: Case) -> Volume:
        """One case."""
        image, labels = case.paths[:2]
        if isinstance(case, _Unclear):
            raise case.problem
        if labels.is_file():
            return read_files(self._multi_label(case.subject, image, labels, case.modality), case)
        masks = self._masks(labels)
        identity = {"source": case.source, "subject": case.subject, "licence": case.licence}
        volume = read_masks(image, masks, modality=case.modality, side=case.side, **identity)
        return replace(volume, ignored=self._ignored_masks(labels))

    def reads_as(self, case: Case) -> object:
        """The labels that are left out."""
        return sorted(self.ignore)

    def _places(self) -> Iterator[Path]:
        yield self.folder
        yield from sorted(path for path in self.folder.iterdir() if path.is_dir() and not path.name.startswith("."))

    def _cases_in(self, place: Path) -> Iterator[Case]:
        scans = [path for path in sorted(place.iterdir()) if path.is_file() and _is_nifti(path)]
        named = {path for path in scans if label_table(path)}
        images = [path for path in scans if path not in named]
        if place != self.folder and self._is_masks(place):
            return
        used: set[Path] = set()
        masks = [path for path in sorted(place.iterdir()) if path.is_dir() and self._is_masks(path)]
        for labels in [*sorted(named), *masks]:
            image = _image_of(labels, images, len(named) + len(masks))
            if image is None:
                self._left.append(
                    LeftOut(
                        labels.relative_to(self.folder).as_posix(),
                        "It is unclear which image the segmentation belongs to.",
                        "Put the image beside it, each case in a folder of its own.",
                    )
                )
                continue
            used.add(image)
            self._used.update((image, labels))
            alone = len(named) + len(masks) == 1
            subject = place.name if place != self.folder and alone else stem_of(image.name)
            modality, problem = self._modality(image)
            told = (self.name, subject, modality, self.licence, (image, labels))
            yield Case(*told) if problem is None else _Unclear(*told, problem=problem)
        if named or masks:
            lone = (path for path in images if path not in used)
            self._left.extend(
                LeftOut(path.relative_to(self.folder).as_posix(), "No segmentation belongs to this scan.")
                for path in lone
            )

    def _modality(self, image: Path) -> tuple[Modality, CaseError | None]:
        if self.modality is not None:
            return self.modality, None
        return ("mri", None) if self.name == "totalsegmentator_mri" else modality_or_problem(image)

    def _is_masks(self, folder: Path) -> bool:
        """Whether a folder holds masks: NIfTI files, two at least, each called as a structure is."""
        names = [stem_of(path.name) for path in folder.iterdir() if path.is_file() and _is_nifti(path)]
        known = [name for name in names if find(name, self.words) or normalise(name) in self.ignore]
        return len(known) >= 2 and len(known) * 2 > len(names)

    def _masks(self, folder: Path) -> dict[str, Path]:
        from dataset_builder.sources.totalsegmentator import named_masks

        return named_masks(folder, self.words, self.ignore)

    def _ignored_masks(self, folder: Path) -> tuple[str, ...]:
        from dataset_builder.sources.totalsegmentator import ignored_masks

        return ignored_masks(folder, self.ignore)

    def _multi_label(self, subject: str, image: Path, labels: Path, modality: Modality) -> Files:
        naming = name_labels(label_table(labels).items(), self.words, self.ignore).check(labels, self.words)
        return Files(subject, image, labels, modality, naming)


def label_table(path: Path) -> dict[int, str]:
    """Names of the labels in a NIfTI file's extension, as TotalSegmentator writes them; empty if there are none."""
    try:
        extensions = nibabel.load(path).header.extensions  # type: ignore[attr-defined]
    except Exception:  # reading it as a scan says what is wrong
        return {}
    names: dict[int, str] = {}
    for extension in extensions:
        content = extension.get_content()
        text = content.decode("utf-8", "replace") if isinstance(content, bytes) else str(content)
        names |= {int(key): name.strip() for key, name in _LABEL.findall(text) if name.strip()}
    return names


def _is_nifti(path: Path) -> bool:
    return ending_of(path.name).lower() in NIFTI and not path.name.startswith(".")


def _image_of(labels: Path, images: list[Path], count: int) -> Path | None:
    """The image of a segmentation: the only one there, or the one whose name its name begins with."""
    if count == 1 and len(images) == 1:
        return images[0]
    stem = stem_of(labels.name).lower()
    named = [
        path
        for path in images
        if re.fullmatch(rf"{re.escape(stem_of(path.name).lower())}([_\-. ].*)?", stem)
        or re.fullmatch(rf"{re.escape(stem)}([_\-. ](ct|mr|mri|image|img|0000))", stem_of(path.name).lower())
    ]
    return max(named, key=lambda path: len(path.name)) if named else None
