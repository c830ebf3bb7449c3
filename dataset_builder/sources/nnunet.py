"""Scans of your own, in nnU-Net's layout.

::

    dataset.json               channel_names, labels, file_ending; see dataset_json.py
    imagesTr/CASE_0000.nii.gz  the first channel of a case, _0001 the second
    labelsTr/CASE.nii.gz       whole numbers, as dataset.json lists them; 0 is background
    imagesTs/, labelsTs/       the same, as are imagesVa/ and labelsVa/; of these images only those that have labels

Images named ``CASE.nii.gz``, as in the Medical Segmentation Decathlon, are found where there is one channel, or where
they hold all channels as a fourth dimension. Files may have any format that is read, capitals in endings do not matter.
The folder may be ``nnUNet_raw`` itself if it holds one data set.
"""

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ClassVar

import numpy as np

from dataset_builder.core.errors import EmptyLabelsError, SourceError
from dataset_builder.files.object_storage import is_remote
from dataset_builder.imaging.label_volume import values_of
from dataset_builder.imaging.scan_files import NIFTI, count_channels, ending_of, stem_of
from dataset_builder.imaging.volume import Volume, read_volume
from dataset_builder.sources.base import Case, LeftOut
from dataset_builder.sources.dataset_json import Description, read_description
from dataset_builder.sources.labelled_files import Files, read_files
from dataset_builder.sources.named_labels import Naming
from dataset_builder.sources.recognise import hint
from dataset_builder.vocabulary import Structure, normalise

PARTS = (("imagesTr", "labelsTr"), ("imagesTs", "labelsTs"), ("imagesVa", "labelsVa"), ("imagesVal", "labelsVal"))
"""Folders of images and labels; only the training images are expected to have labels."""


@dataclass(frozen=True)
class NNUNet:
    """The source ``nnunet``.

    Args:
        folder: holds ``dataset.json``.
        description: what it says.
    """

    folder: Path
    description: Description
    name: str = "nnunet"
    public: ClassVar[bool] = False
    _left: list[LeftOut] = field(default_factory=list, compare=False)

    @property
    def licence(self) -> str:
        """As ``dataset.json`` says; else ``unknown``."""
        return self.description.licence

    @property
    def remarks(self) -> tuple[str, ...]:
        """Which channel is read, and which labels are left out."""
        return self.description.remarks

    @property
    def citation(self) -> str:
        """As ``dataset.json`` says."""
        return self.description.citation

    @property
    def url(self) -> str:
        """As ``dataset.json`` says."""
        return self.description.url

    def cases(self) -> Iterator[Case]:
        """Every training case that has an image or labels, then every other case that has labels, each by name."""
        known = self.description
        self._left.clear()
        found = [*self._listed(), *(one for part in PARTS for one in self._of_part(*part))]
        if not found:
            raise SourceError(
                "This folder contains no cases.",
                file=self.folder,
                remedy=f"Put images into imagesTr/CASE_{known.channel:04d}{known.ending} and labels into "
                f"labelsTr/CASE{known.ending}.",
            )
        self._left.extend(self._elsewhere())
        for case, image, labels in found:
            # dataset.json is part of every case: what it says of the labels is cut into the slices.
            paths = (image, labels, self.folder / "dataset.json")
            yield Case(
                self.name, case, known.modality, known.licence, paths, known.sides.get(case), known.patients.get(case)
            )

    def left_out(self) -> Iterator[LeftOut]:
        """Files in the folders of images and labels that are part of no case."""
        return iter(self._left)

    def _elsewhere(self) -> Iterator[LeftOut]:
        """Scans that lie beside the folders that are read, or in folders inside them."""
        if is_remote(self.folder):  # a request for each folder
            return
        read = {name for part in PARTS for name in part}
        taken = {path for case in self.description.listed.values() for path in (*case[0], case[1])}
        for place, folders, files in os.walk(self.folder):
            here = Path(place).relative_to(self.folder)
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            for name in sorted(files):
                file = (here / name).as_posix()
                if ending_of(name) and not name.startswith(".") and here.as_posix() not in read and file not in taken:
                    folders_read = "imagesTr and labelsTr, or the same with Ts, Va or Val"
                    yield LeftOut(file, "It lies in none of the folders that are read.", f"These are {folders_read}.")

    def _listed(self) -> Iterator[tuple[str, Path, Path]]:
        """The cases of the table ``dataset``."""
        for case, (images, label) in sorted(self.description.listed.items()):
            number = self.description.channel if len(images) > self.description.channel else 0
            yield case, self.folder / images[number], self.folder / label

    def _of_part(self, images: str, labels: str) -> Iterator[tuple[str, Path, Path]]:
        """Case, image and label file of each case of one part."""
        known = self.description
        taken = {path for case in known.listed.values() for path in (*case[0], case[1])}
        label_files = self._scans(labels, taken)
        channels: dict[str, dict[int | None, Path]] = {}
        for stem, path in self._scans(images, taken).items():
            case, number = self._case_of(stem, label_files)
            channels.setdefault(case, {})[number] = path
        for case in sorted(channels.keys() | label_files.keys() if images == PARTS[0][0] else label_files.keys()):
            of_case = channels.get(case, {})
            default = self.folder / images / f"{case}_{known.channel:04d}{known.ending}"
            image = of_case.get(known.channel, of_case.get(None, default))
            yield case, image, label_files.get(case, self.folder / labels / f"{case}{known.ending}")
        for case in sorted(channels.keys() - label_files.keys() if images != PARTS[0][0] else ()):
            for path in channels[case].values():
                self._left.append(LeftOut(f"{images}/{path.name}", f"It has no labels in {labels}."))

    def _case_of(self, stem: str, labelled: Mapping[str, Path]) -> tuple[str, int | None]:
        """The case that an image belongs to, and the number of its channel, if its name has one."""
        found = re.fullmatch(r"(.+)_(\d{4})", stem)
        if stem in labelled or found is None:
            return stem, None
        if found[1] in labelled or int(found[2]) < self.description.channels:
            return found[1], int(found[2])
        return stem, None  # amos_0507: the number of a case, not of a channel

    def _scans(self, folder: str, taken: set[str]) -> dict[str, Path]:
        """The scans of a folder by their names without ending."""
        found: dict[str, Path] = {}
        place = self.folder / folder
        for path in sorted(place.iterdir()) if place.is_dir() else ():
            if path.name.startswith(".") or not path.is_file() or f"{folder}/{path.name}" in taken:
                continue
            if not ending_of(path.name):
                if path.suffix.lower() != ".raw":  # the voxels of a header beside them
                    self._left.append(LeftOut(f"{folder}/{path.name}", "It has a format that cannot be read."))
                continue
            stem = stem_of(path.name)
            if stem in found:
                first = found[stem].name
                self._left.append(
                    LeftOut(
                        f"{folder}/{path.name}",
                        "Another file with the same name and a different ending is read instead.",
                        f"Keep one of {first} and {path.name}.",
                    )
                )
                continue
            found[stem] = path
        return found

    def read(self, case: Case) -> Volume:
        """One case; voxels that are labelled to be ignored count as nothing."""
        image, labels, _ = case.paths
        ignored = dict.fromkeys(self.description.nothing, "")
        # As many volumes in the file as dataset.json has channels; any other number are frames, and nobody knows which.
        several = image.is_file() and 1 < count_channels(image) == self.description.channels
        formats = {ending_of(path.name).lower() for path in (image, labels)}
        if several or not formats <= {*NIFTI, ".mgz", ".mgh"}:
            left_out = {**dict.fromkeys(self.description.nothing, "ignore"), **self.description.ignored}
            naming = Naming(self.description.names, left_out, {}, self.description.names)
            channel = self.description.channel if several else None
            files = Files(case.subject, image, labels, case.modality, naming, channel=channel, side=case.side)
            return read_files(files, case)
        volume = read_volume(
            image,
            labels,
            {**self.description.names, **ignored},
            source=case.source,
            subject=case.subject,
            modality=case.modality,
            licence=case.licence,
            side=case.side,
        )
        if not ignored:
            return volume
        there = {int(value) for value in values_of(volume.labels)}
        named = {normalise(name) for value, name in self.description.ignored.items() if value in there}
        kept = np.where(np.isin(volume.labels, self.description.nothing), volume.labels.dtype.type(0), volume.labels)
        if not kept.any():
            raise EmptyLabelsError(
                "No structure is labelled in the volume, only ignored voxels.",
                file=labels,
                remedy="Check the labels; no question can be asked about an unlabelled scan.",
            )
        return replace(volume, labels=kept, names=dict(self.description.names), ignored=tuple(sorted(named)))

    def reads_as(self, case: Case) -> object:
        """The channel, and the label values that are left out."""
        return self.description.channel, sorted(self.description.nothing)


def open_nnunet(
    folder: Path, words: Mapping[str, Structure], ignore: frozenset[str] = frozenset(), channel: str | None = None
) -> NNUNet:
    """The source of that folder.

    Args:
        folder: holds ``dataset.json``, or one folder that does.
        words: the vocabulary.
        ignore: names of labels to leave out, normalised.
        channel: number or name of the channel to read.

    Raises:
        SourceError: names what is wrong in ``dataset.json`` and how to write it; for unknown labels, the rows to add.
    """
    if not (folder / "dataset.json").is_file():
        inner = sorted(path.parent for path in folder.glob("*/dataset.json"))
        if len(inner) > 1:
            raise SourceError(
                "This folder contains several data sets.",
                file=folder,
                value=", ".join(path.name for path in inner[:5]),
                remedy=f"Give one of them: nnunet:{inner[0]}; --source can be given several times.",
            )
        if inner:
            folder = inner[0]
        elif other := hint(folder, "nnunet"):
            raise SourceError("There is no dataset.json in this folder.", file=folder, remedy=other.strip())
    return NNUNet(folder, read_description(folder / "dataset.json", words, ignore, channel))
