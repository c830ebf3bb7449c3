"""Where labelled volumes come from, an adapter a file; ``open_source`` makes one from what ``--source`` was given.

May import ``core``, ``files``, ``vocabulary`` and ``imaging``.
"""

from collections.abc import Callable
from pathlib import Path

from dataset_builder.core.errors import SourceError
from dataset_builder.core.factors import TEST, Split
from dataset_builder.files.object_storage import is_remote, is_url, remote_folder, remote_path, telling
from dataset_builder.sources.base import Source
from dataset_builder.sources.remote import RemoteSource

KNOWN = (
    "sample",
    "phantom[:N]",
    "totalsegmentator:DIR",
    "totalsegmentator_mri:DIR",
    "oai_knee:DIR",
    "nnunet:DIR",
    "dicom:DIR",
)


def open_source(spec: str, vocabulary: Path | None = None, split: Split = TEST, keep_names: bool = False) -> Source:
    """The source of that name.

    Args:
        spec: ``NAME``, or ``NAME:DIR`` for one that reads a folder (``NAME:s3://BUCKET/DIR`` in object storage), or
            ``phantom:N``.
        vocabulary: a user's own structures; a source whose labels have names looks them up there too.
        split: what the volumes are for: the phantoms of each are other bodies.
        keep_names: whether private scans keep the names that they have, instead of pseudonyms.

    Raises:
        SourceError: if there is no such source, or its folder is missing, needless, not there or not laid out as it
            should be.
        BuildError: if the vocabulary file is wrong.
    """
    name, colon, argument = spec.partition(":")
    adapter = _ADAPTERS.get(name)
    if adapter is None:
        raise SourceError("There is no such source.", value=spec, remedy=f"Sources: {', '.join(KNOWN)}.")
    if adapter is _phantom:
        return _phantom(argument if colon else None, vocabulary, split)
    if adapter is _dicom:
        return _dicom(argument, vocabulary, keep_names)
    if is_url(argument) and is_remote(folder := remote_path(argument)):
        with telling(folder):
            return RemoteSource(adapter(argument, vocabulary), folder)
    return adapter(argument if colon else None, vocabulary)


def _sample(argument: str | None, vocabulary: Path | None) -> Source:
    from dataset_builder.sources.sample import Sample

    if argument is not None:
        raise SourceError(
            "The sample is fetched into the cache folder; it takes no folder.",
            value=f"sample:{argument}",
            remedy="Write --source sample.",
        )
    return Sample()


def _phantom(argument: str | None, vocabulary: Path | None, split: Split = TEST) -> Source:
    from dataset_builder.sources.phantom import DEFAULT_COUNT, TRAIN_FIRST, Phantoms

    first = 0 if split == TEST else TRAIN_FIRST
    if argument is None:
        return Phantoms(DEFAULT_COUNT, first)
    if not argument.isascii() or not argument.isdecimal() or not 1 <= int(argument) <= TRAIN_FIRST:
        raise SourceError(
            "The phantom source takes a number of bodies.",
            value=f"phantom:{argument}",
            remedy=f"Write a whole number from 1 to {TRAIN_FIRST:,}, such as --source phantom:8.",
        )
    return Phantoms(int(argument), first)


def _totalsegmentator(argument: str | None, vocabulary: Path | None) -> Source:
    from dataset_builder.sources.totalsegmentator import open_ct

    return open_ct(_folder("totalsegmentator", argument), vocabulary)


def _totalsegmentator_mri(argument: str | None, vocabulary: Path | None) -> Source:
    from dataset_builder.sources.totalsegmentator_mri import open_mri

    return open_mri(_folder("totalsegmentator_mri", argument), vocabulary)


def _oai_knee(argument: str | None, vocabulary: Path | None) -> Source:
    from dataset_builder.sources.oai_knee import OAIKnees

    return OAIKnees(_folder("oai_knee", argument))


def _nnunet(argument: str | None, vocabulary: Path | None) -> Source:
    from dataset_builder.sources.nnunet import open_nnunet

    return open_nnunet(_folder("nnunet", argument), vocabulary)


def _dicom(argument: str | None, vocabulary: Path | None, keep_names: bool = False) -> Source:
    from dataset_builder.sources.dicom import open_dicom_studies

    folder = _folder("dicom", argument)
    if is_remote(folder):
        raise SourceError(
            "DICOM is read from a folder of this machine: a study is thousands of small files.",
            file=folder,
            remedy="Copy the studies here first.",
        )
    return open_dicom_studies(folder, vocabulary, keep_names=keep_names)


def _folder(name: str, argument: str | None) -> Path:
    if not argument:
        raise SourceError(
            f"The source '{name}' needs a folder.",
            value=name,
            remedy=f"Write --source {name}:DIR, with the data's folder.",
        )
    folder = remote_folder(argument) if is_url(argument) else Path(argument).expanduser()
    if is_remote(folder):
        return folder
    if not folder.exists():
        raise SourceError(f"The folder of the source '{name}' is not there.", file=folder, remedy="Check the path.")
    if not folder.is_dir():
        raise SourceError(
            f"The source '{name}' reads a folder, and this is none.",
            file=folder,
            remedy="Unpack it, and give the folder.",
        )
    return folder


# Adapters are imported when asked for: a source does not pay for what another one needs.
_ADAPTERS: dict[str, Callable[[str | None, Path | None], Source]] = {
    "sample": _sample,
    "phantom": _phantom,
    "totalsegmentator": _totalsegmentator,
    "totalsegmentator_mri": _totalsegmentator_mri,
    "oai_knee": _oai_knee,
    "nnunet": _nnunet,
    "dicom": _dicom,
}
