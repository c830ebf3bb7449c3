"""Scans of your own, in nnU-Net's layout.

::

    dataset.json               channel_names, labels, file_ending; see dataset_json.py
    imagesTr/CASE_0000.nii.gz  the first channel of a case, _0001 the second
    labelsTr/CASE.nii.gz       whole numbers, as dataset.json lists them; 0 is background
    imagesTs/, labelsTs/       the same; of the test images only those that have labels

Images named ``CASE.nii.gz``, as in the Medical Segmentation Decathlon, are found where there is one channel only.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from dataset_builder.core.errors import EmptyLabelsError, SourceError
from dataset_builder.imaging.volume import Volume, read_volume
from dataset_builder.sources.base import Case
from dataset_builder.sources.dataset_json import Description, read_description
from dataset_builder.vocabulary import structures


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

    @property
    def licence(self) -> str:
        """As ``dataset.json`` says; else ``unknown``."""
        return self.description.licence

    @property
    def citation(self) -> str:
        """As ``dataset.json`` says."""
        return self.description.citation

    @property
    def url(self) -> str:
        """As ``dataset.json`` says."""
        return self.description.url

    def cases(self) -> Iterator[Case]:
        """Every training case that has an image or labels, then every test case that has labels, each by name."""
        known = self.description
        found = [
            (images, labels, case)
            for images, labels in (("imagesTr", "labelsTr"), ("imagesTs", "labelsTs"))
            for case in sorted(self._subjects(images, labels))
        ]
        if not found:
            raise SourceError(
                "This folder contains no cases.",
                file=self.folder,
                remedy=f"Put images into imagesTr/CASE_{known.channel:04d}{known.ending} and labels into "
                f"labelsTr/CASE{known.ending}.",
            )
        for images, labels, case in found:
            image = self.folder / images / f"{case}_{known.channel:04d}{known.ending}"
            plain = image.with_name(f"{case}{known.ending}")
            if known.channels == 1 and plain.exists() and not image.exists():
                image = plain
            # dataset.json is part of every case: what it says of the labels is cut into the slices.
            paths = (image, self.folder / labels / f"{case}{known.ending}", self.folder / "dataset.json")
            yield Case(self.name, case, known.modality, known.licence, paths, known.sides.get(case))

    def _subjects(self, images: str, labels: str) -> set[str]:
        labelled = {path.name.removesuffix(self.description.ending) for path in self._files(labels)}
        if images == "imagesTs":
            return labelled
        stems = {path.name.removesuffix(self.description.ending) for path in self._files(images)}
        return labelled | {re.sub(r"_\d{4}$", "", stem) for stem in stems - labelled}

    def _files(self, folder: str) -> Iterator[Path]:
        return (
            path for path in (self.folder / folder).glob(f"*{self.description.ending}") if not path.name.startswith(".")
        )

    def read(self, case: Case) -> Volume:
        """One case; voxels that are labelled to be ignored count as nothing."""
        image, labels, _ = case.paths
        ignored = dict.fromkeys(self.description.nothing, "")
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
        kept = np.where(np.isin(volume.labels, self.description.nothing), volume.labels.dtype.type(0), volume.labels)
        if not kept.any():
            raise EmptyLabelsError(
                "No structure is labelled in the volume, only ignored voxels.",
                file=labels,
                remedy="Check the labels; no question can be asked about an unlabelled scan.",
            )
        return replace(volume, labels=kept, names=dict(self.description.names))


def open_nnunet(folder: Path, vocabulary: Path | None = None) -> NNUNet:
    """The source of that folder.

    Args:
        folder: holds ``dataset.json``.
        vocabulary: a user's own structures, if any.

    Raises:
        SourceError: names what is wrong in ``dataset.json`` and how to write it; for unknown labels, the rows to add.
        BuildError: if the vocabulary file is wrong.
    """
    return NNUNet(folder, read_description(folder / "dataset.json", structures(vocabulary)))
