"""Cases made of an image file and a label file, in whatever format and on whatever part of the image's grid.

What lists them is a source of its own (``pairs``, ``bids``, ``freesurfer``, ``slicer``); reading is the same for all.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from dataset_builder.core.errors import (
    CaseError,
    EmptyLabelsError,
    MISGroundError,
    MissingLabelsError,
    SourceError,
    UnknownLabelError,
    UnreadableError,
)
from dataset_builder.core.factors import Modality, Side
from dataset_builder.imaging.label_grid import lay_into, merge_labels
from dataset_builder.imaging.label_volume import label_values, values_of
from dataset_builder.imaging.scan_files import Scan, read_layers, read_scan
from dataset_builder.imaging.volume import Volume, volume_from_arrays
from dataset_builder.sources.base import Case, LeftOut
from dataset_builder.sources.left_over import left_over
from dataset_builder.sources.named_labels import NOTHING, Naming, left_out_labels
from dataset_builder.sources.published import stated_licence
from dataset_builder.vocabulary import normalise


@dataclass(frozen=True)
class Files:
    """What a case is made of.

    Args:
        subject: unique in the source.
        image, labels: the files.
        modality: of the image.
        naming: what the labels mean.
        tables: other files that decide what comes out, such as a table of names.
        channel: of an image with several.
        side: of the limb, for a scan of one limb.
        layers: for each layer of the label file its own values, and under which number ``naming`` has each; where
            structures overlap, the larger number has the voxel. Empty for a label map of one layer.
        problem: why it cannot be read, if that was seen when it was listed.
        patient: whose scan it is, if that is not the subject itself.
    """

    subject: str
    image: Path
    labels: Path
    modality: Modality
    naming: Naming
    tables: tuple[Path, ...] = ()
    channel: int | None = None
    side: Side | None = None
    layers: tuple[Mapping[int, int], ...] = ()
    problem: CaseError | None = None
    patient: str | None = None


_NO_CASE = {
    "pairs": "It matches neither of the two patterns.",
    "slicer": "No segmentation belongs to it.",
    "bids": "It is no segmentation, and none belongs to it.",
    "freesurfer": "It is neither the image nor the labels that are read of the subject.",
}
"""Why a file is part of no case, by source."""


@dataclass(frozen=True)
class LabelledFiles:
    """A source of such cases.

    Args:
        name: of the source.
        folder: that holds them.
        files: the cases, by subject.
        licence: of the scans; private ones have none that is known.
    """

    name: str
    folder: Path
    files: Mapping[str, Files]
    licence: str = "unknown"
    citation: str = ""
    url: str = ""
    public: ClassVar[bool] = False
    unmatched: tuple[tuple[str, str], ...] = field(default=())

    def cases(self) -> Iterator[Case]:
        """Every case, by name."""
        for subject in sorted(self.files):
            one = self.files[subject]
            paths = (one.image, one.labels, *one.tables)
            yield Case(self.name, subject, one.modality, self.licence, paths, one.side, one.patient)

    @property
    def remarks(self) -> tuple[str, ...]:
        """Which labels are left out because the user wants it; of FreeSurfer's, those without a structure are not."""
        namings = {id(one.naming): one.naming for one in self.files.values()}.values()
        ignored = dict.fromkeys(name for naming in namings for name in naming.ignored.values())
        left_out = left_out_labels(name for name in ignored if normalise(name) not in NOTHING)
        return (*left_out, *stated_licence(self.licence, "the YAML file"))

    def with_channel(self, channel: str | None) -> "LabelledFiles":
        """The same source, with this channel of images that have several.

        Raises:
            SourceError: if it is no number: these files do not say what their channels are called.
        """
        if channel is None:
            return self
        if not (channel.isascii() and channel.isdecimal()):
            raise SourceError(
                f"The source '{self.name}' does not know channels by name.",
                value=channel,
                remedy="Give --channel with its number, counted from 0.",
            )
        return replace(self, files={name: replace(one, channel=int(channel)) for name, one in self.files.items()})

    def left_out(self) -> Iterator[LeftOut]:
        """Files that look like an image or labels and belong to no case."""
        yield from (LeftOut(file, reason) for file, reason in self.unmatched)
        used = {path for one in self.files.values() for path in (one.image, one.labels)}
        used |= {self.folder / file for file, _ in self.unmatched}
        yield from left_over(self.folder, used, _NO_CASE[self.name])

    def reads_as(self, case: Case) -> object:
        """The channel, and the labels that are left out."""
        one = self._files_of(case)
        return one.channel, sorted(set(one.naming.ignored.values()))

    def read(self, case: Case) -> Volume:
        """One case."""
        return read_files(self._files_of(case), case)

    def _files_of(self, case: Case) -> Files:
        return next(files for files in self.files.values() if (files.image, files.labels) == case.paths[:2])


def read_files(one: Files, case: Case) -> Volume:
    """Read image and labels of a case, whatever their formats.

    Raises:
        CaseError: a subclass for each reason why they cannot be used.
    """
    if one.problem is not None:
        raise one.problem
    if not one.labels.is_file():
        raise MissingLabelsError("The image has no label file.", file=one.labels, remedy="Add it, or remove the image.")
    image = read_scan(one.image, one.channel)
    labels, overlap = _labels(one, image)
    known = {**one.naming.names, **dict.fromkeys(one.naming.ignored, "")}
    unknown = [int(value) for value in values_of(labels) if value and int(value) not in known]
    if unknown:
        raise _without_name(unknown, one.labels)
    if not labels.any():
        raise EmptyLabelsError(
            "No structure is labelled in the volume.",
            file=one.labels,
            remedy="Check the labels; no question can be asked about an unlabelled scan.",
        )
    merged, names = merge_labels(labels, dict(one.naming.names))
    if not merged.any():
        raise EmptyLabelsError(
            "No structure is labelled in the volume, only ignored labels.",
            file=one.labels,
            value=", ".join(one.naming.ignored.values()),
            remedy="Check the labels and --ignore-labels.",
        )
    volume = volume_from_arrays(
        image.values,
        merged,
        names,
        image.affine,
        source=case.source,
        subject=case.subject,
        modality=case.modality,
        licence=case.licence,
        side=case.side,
    )
    return replace(volume, overlap_voxels=overlap, ignored=tuple(_left_out_here(one, labels)))


def _left_out_here(one: Files, labels: npt.NDArray) -> Iterator[str]:
    """The labels of a case that the user wants left out; FreeSurfer's own without a structure are not among them."""
    ignored = one.naming.ignored
    # Of a file with layers the segments that it lists: in the labels laid on each other they are gone.
    there = ignored.values() if one.layers else (ignored.get(int(value)) for value in values_of(labels))
    yield from sorted({name for name in map(normalise, filter(None, there)) if name not in NOTHING})


def _without_name(values: Sequence[int], file: Path) -> UnknownLabelError:
    return UnknownLabelError(
        "The label map contains values that its list of labels does not name.",
        file=file,
        value=", ".join(map(str, values[:5])) + (" ..." if len(values) > 5 else ""),
        remedy="Add them to the list of labels, or set these voxels to 0.",
    )


def _labels(one: Files, image: Scan) -> tuple[npt.NDArray, int]:
    """Labels on the image's grid, and how many voxels more than one structure claims."""
    if not one.layers:
        scan = read_scan(one.labels)
        whole = label_values(_whole(scan.values), scan.path)
        return lay_into(whole, scan.affine, image.affine, image.values.shape, scan.path, one.image), 0
    layers, affine, _ = read_layers(one.labels)
    laid: npt.NDArray | None = None
    overlap = 0
    for at, layer in enumerate(layers):
        numbers = one.layers[at] if at < len(one.layers) else {}
        values = label_values(_whole(layer), one.labels)
        unknown = [int(value) for value in values_of(values) if value and int(value) not in numbers]
        if unknown:
            raise _without_name(unknown, one.labels)
        lookup = np.zeros(int(values.max(initial=0)) + 1, np.uint16)
        for value, number in numbers.items():
            if value < len(lookup):
                lookup[value] = number
        numbered = lookup[values]
        if laid is None:
            laid = numbered
            continue
        overlap += int(np.count_nonzero((laid > 0) & (numbered > 0) & (laid != numbered)))
        np.maximum(laid, numbered, out=laid)
    assert laid is not None  # a file has a layer
    return lay_into(laid, affine, image.affine, image.values.shape, one.labels, one.image), overlap


def _whole(values: npt.NDArray) -> npt.NDArray:
    """Labels that a scale in the header made fractions of, as whole numbers again; others as they are."""
    if values.dtype.kind in "iub":
        return values
    whole = np.rint(values)
    return whole if float(np.abs(values - whole).max(initial=0)) <= 1e-3 else values


def as_problem(error: MISGroundError) -> CaseError:
    """An error that concerns a single case, to be raised when that case is read."""
    if isinstance(error, CaseError):
        return error
    return UnreadableError(error.problem, file=error.file, value=error.value, remedy=error.remedy)


def by_subject(files: Iterable[Files], folder: Path) -> dict[str, Files]:
    """Cases by subject.

    Raises:
        SourceError: if two have the same name, or none can be read.
    """
    found: dict[str, Files] = {}
    for one in files:
        if one.subject in found:
            raise SourceError(
                "Two cases have the same name.",
                file=folder,
                value=f"{one.subject}: {found[one.subject].labels.name} and {one.labels.name}",
                remedy="Rename one of them.",
            )
        found[one.subject] = one
    problems = [one.problem for one in found.values() if one.problem is not None]
    if problems and len(problems) == len(found):
        first = problems[0]
        raise SourceError(first.problem, file=first.file, value=first.value, remedy=first.remedy)
    return found


def only(names: Sequence[Path]) -> Path | None:
    """The one file of a list, or none."""
    return names[0] if len(names) == 1 else None
