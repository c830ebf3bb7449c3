"""Where labelled volumes come from, one adapter per file; ``open_source`` makes one from what ``--source`` was given.

May import ``core``, ``files``, ``vocabulary`` and ``imaging``.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from dataset_builder.core.errors import SourceError
from dataset_builder.core.factors import TEST, Modality, Split
from dataset_builder.files.object_storage import as_listed, is_remote, is_url, remote_folder, remote_path, telling
from dataset_builder.files.paths import PathLike
from dataset_builder.sources.base import Source, is_public
from dataset_builder.sources.remote import RemoteSource

if TYPE_CHECKING:
    from dataset_builder.sources.recognise import Found
    from dataset_builder.sources.totalsegmentator import MaskFolders

KNOWN = (
    "sample",
    "phantom[:N]",
    "totalsegmentator:DIR",
    "totalsegmentator_mri:DIR",
    "oai_knee:DIR",
    "nnunet:DIR",
    "dicom:DIR",
    "slicer:DIR",
    "freesurfer:DIR",
    "bids:DIR",
    "pairs:FILE.yaml",
    "auto:DIR",
)


@dataclass(frozen=True)
class Options:
    """Options of a source beside its folder; each source uses those that apply to it.

    Args:
        vocabulary: a YAML file with structures of the user's own.
        split: purpose of the volumes; each split has phantoms of its own.
        keep_names: whether private scans keep their names instead of getting pseudonyms.
        ignore_labels: names of labels to leave out.
        channel: number or name of the channel to read, for images with several.
        modality: of the images, if nothing else gives it.
    """

    vocabulary: Path | None = None
    split: Split = TEST
    keep_names: bool = False
    ignore_labels: tuple[str, ...] = ()
    channel: str | None = None
    modality: Modality | None = None

    @property
    def ignored(self) -> frozenset[str]:
        """The labels to leave out, normalised."""
        from dataset_builder.vocabulary import normalise

        return frozenset(map(normalise, self.ignore_labels))


def open_source(
    spec: PathLike,
    vocabulary: PathLike | None = None,
    split: Split = TEST,
    keep_names: bool = False,
    *,
    ignore_labels: Sequence[str] = (),
    channel: str | None = None,
    modality: Modality | None = None,
) -> Source:
    """The source of that name.

    Args:
        spec: ``NAME``, or ``NAME:DIR`` for one that reads a folder (``NAME:s3://BUCKET/DIR`` in object storage), or
            ``phantom:N``. A ``pathlib`` path stands for ``auto:DIR``.
        vocabulary, split, keep_names, ignore_labels, channel, modality: see :class:`Options`.

    Raises:
        SourceError: if the source does not exist, or its folder is missing, not needed, or not laid out as it
            should be.
        BuildError: if the vocabulary file is wrong.
    """
    if not isinstance(spec, str):
        spec = f"auto:{os.fspath(spec)}"
    name, colon, argument = spec.partition(":")
    if name == "auto":
        name, colon, argument = recognised(argument).spec.partition(":")
    options = Options(
        None if vocabulary is None else Path(vocabulary), split, keep_names, tuple(ignore_labels), channel, modality
    )
    adapter = _ADAPTERS.get(name)
    if adapter is None:
        raise SourceError("This source does not exist.", value=spec, remedy=f"Sources: {', '.join(KNOWN)}.")
    if is_url(argument) and is_remote(folder := remote_path(argument)):
        if name in _LOCAL:
            raise SourceError(
                f"The source '{name}' reads files of this machine.", file=folder, remedy="Copy them here first."
            )
        with telling(folder):
            return _private(RemoteSource(adapter(argument, options), folder), name, keep_names)
    return _private(adapter(argument if colon else None, options), name, keep_names)


def check_channel(sources: Sequence[Source], channel: str | None) -> None:
    """Refuse a channel where no source can have several.

    Raises:
        SourceError: names the sources that can.
    """
    if channel is not None and WITH_CHANNELS.isdisjoint(source.name for source in sources):
        raise SourceError(
            "The scans of this source have one channel each.",
            value=f"--channel {channel}",
            remedy=f"Leave --channel out; it is for {', '.join(sorted(WITH_CHANNELS))}.",
        )


def recognised(argument: str) -> "Found":
    """What ``auto:ARGUMENT`` stands for.

    Raises:
        SourceError: if that is unclear, or there is nothing.
    """
    from dataset_builder.sources.recognise import recognise

    path = Path(argument).expanduser()
    return recognise(path if argument and not is_url(argument) and path.is_file() else _folder("auto", argument))


def _private(source: Source, name: str, keep_names: bool) -> Source:
    """A source under pseudonyms, unless its scans are public or the user keeps the names; DICOM has its own."""
    from dataset_builder.sources.private import Private

    return source if keep_names or is_public(source) or name == "dicom" else Private(source)


def _sample(argument: str | None, options: Options) -> Source:
    from dataset_builder.sources.sample import Sample

    if argument is not None:
        raise SourceError(
            "The sample is fetched into the cache folder; it takes no folder.",
            value=f"sample:{argument}",
            remedy="Write --source sample.",
        )
    return Sample()


def _phantom(argument: str | None, options: Options) -> Source:
    from dataset_builder.sources.phantom import DEFAULT_COUNT, TRAIN_FIRST, Phantoms

    first = 0 if options.split == TEST else TRAIN_FIRST
    if argument is None:
        return Phantoms(DEFAULT_COUNT, first)
    if not argument.isascii() or not argument.isdecimal() or not 1 <= int(argument) <= TRAIN_FIRST:
        raise SourceError(
            "The phantom source takes a number of phantoms.",
            value=f"phantom:{argument}",
            remedy=f"Write a whole number from 1 to {TRAIN_FIRST:,}, such as --source phantom:8.",
        )
    return Phantoms(int(argument), first)


def _totalsegmentator(argument: str | None, options: Options) -> Source:
    from dataset_builder.sources.totalsegmentator import open_ct

    folder = _folder("totalsegmentator", argument)
    return _masks_or_output(open_ct(folder, options.vocabulary), options)


def _totalsegmentator_mri(argument: str | None, options: Options) -> Source:
    from dataset_builder.sources.totalsegmentator_mri import open_mri

    folder = _folder("totalsegmentator_mri", argument)
    return _masks_or_output(open_mri(folder, options.vocabulary), options)


def _masks_or_output(masks: "MaskFolders", options: Options) -> Source:
    """The public layout if the folder has it, else what the program wrote beside images."""
    from dataset_builder.sources.totalsegmentator_output import ProgramOutput
    from dataset_builder.vocabulary import structures

    if is_remote(masks.folder) or masks.has_layout:
        return replace(masks, ignore=options.ignored)
    words = structures(options.vocabulary)
    return ProgramOutput(masks.folder, words, options.ignored, options.modality, masks.name)


def _oai_knee(argument: str | None, options: Options) -> Source:
    from dataset_builder.sources.oai_knee import OAIKnees

    return OAIKnees(_folder("oai_knee", argument))


def _nnunet(argument: str | None, options: Options) -> Source:
    from dataset_builder.sources.nnunet import open_nnunet
    from dataset_builder.vocabulary import structures

    folder = _folder("nnunet", argument)
    return open_nnunet(folder, structures(options.vocabulary), options.ignored, options.channel)


def _dicom(argument: str | None, options: Options) -> Source:
    from dataset_builder.sources.dicom import open_dicom_studies

    folder = _folder("dicom", argument)
    return open_dicom_studies(folder, options.vocabulary, options.ignore_labels, options.keep_names)


def _slicer(argument: str | None, options: Options) -> Source:
    from dataset_builder.sources.slicer import open_slicer
    from dataset_builder.vocabulary import structures

    folder = _folder("slicer", argument)
    source = open_slicer(folder, structures(options.vocabulary), options.ignored, options.modality)
    return source.with_channel(options.channel)


def _freesurfer(argument: str | None, options: Options) -> Source:
    from dataset_builder.sources.freesurfer import open_freesurfer

    return open_freesurfer(_folder("freesurfer", argument), options.ignored)


def _bids(argument: str | None, options: Options) -> Source:
    from dataset_builder.sources.bids import open_bids
    from dataset_builder.vocabulary import structures

    source = open_bids(_folder("bids", argument), structures(options.vocabulary), options.ignored)
    return source.with_channel(options.channel)


def _pairs(argument: str | None, options: Options) -> Source:
    from dataset_builder.sources.pairs import open_pairs
    from dataset_builder.vocabulary import structures

    if not argument:
        raise SourceError(
            "The source 'pairs' needs a YAML file.", value="pairs", remedy="Write --source pairs:FILE.yaml."
        )
    source = open_pairs(Path(argument).expanduser(), structures(options.vocabulary), options.ignored)
    return source.with_channel(options.channel)


def _folder(name: str, argument: str | None) -> Path:
    if not argument:
        raise SourceError(
            f"The source '{name}' needs a folder.",
            value=name,
            remedy=f"Write --source {name}:DIR, with the data's folder.",
        )
    folder = remote_folder(argument) if is_url(argument) else Path(argument).expanduser()
    if is_remote(folder):
        return as_listed(folder)
    if not folder.exists():
        raise SourceError(f"The folder of the source '{name}' does not exist.", file=folder, remedy="Check the path.")
    if not folder.is_dir():
        raise SourceError(
            f"The source '{name}' reads a folder; this is a file.",
            file=folder,
            remedy="Unpack it and give the folder.",
        )
    return folder


# Adapters are imported when asked for: a source does not pay for what another one needs.
_ADAPTERS: dict[str, Callable[[str | None, Options], Source]] = {
    "sample": _sample,
    "phantom": _phantom,
    "totalsegmentator": _totalsegmentator,
    "totalsegmentator_mri": _totalsegmentator_mri,
    "oai_knee": _oai_knee,
    "nnunet": _nnunet,
    "dicom": _dicom,
    "slicer": _slicer,
    "freesurfer": _freesurfer,
    "bids": _bids,
    "pairs": _pairs,
}
WITH_CHANNELS = frozenset({"nnunet", "slicer", "bids", "pairs"})
"""Sources whose cases may have several channels, of which one is chosen."""
_LOCAL = frozenset({"dicom", "slicer", "freesurfer", "bids", "pairs"})
"""Sources whose files are not read from object storage: headers and tables are looked into while cases are listed."""
