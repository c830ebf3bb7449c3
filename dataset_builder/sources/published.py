"""Whether a folder holds a public archive: only then do its scans have the archive's licence, and keep their names.

The same layout with other scans in it is somebody's own, whatever its folders and files are called. An archive is known
by its own list of subjects, which must be whole, and every scan of the folder must be in that list; or by the names
and sizes of its zip files.
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

UNKNOWN = "unknown"
"""Licence of scans that are not known to be public."""


@dataclass(frozen=True)
class Terms:
    """What may be done with scans, and whom to thank.

    Args:
        licence: as an SPDX identifier where there is one.
        citation: how to cite the scans.
        url: where they are from.
    """

    licence: str
    citation: str
    url: str


PRIVATE = Terms(UNKNOWN, "", "")


class OfAnArchive(ABC):
    """A source whose folders are laid out as a public archive: on the archive's terms only if they are that archive."""

    archive: Terms

    @property
    @abstractmethod
    def public(self) -> bool:
        """Whether the folder holds the archive itself."""

    @property
    def _terms(self) -> Terms:
        return self.archive if self.public else PRIVATE

    @property
    def licence(self) -> str:
        """The archive's, or ``unknown``."""
        return self._terms.licence

    @property
    def citation(self) -> str:
        """The archive's, or nothing."""
        return self._terms.citation

    @property
    def url(self) -> str:
        """The archive's, or nothing."""
        return self._terms.url


SUBJECTS: Mapping[str, frozenset[int]] = {
    "totalsegmentator": frozenset({102, 1204, 1228, 1939}),  # the small part of v2, v1, v2, v3
    "totalsegmentator_mri": frozenset({298, 616, 1296}),  # v1, v2, v3
    "oai_knee": frozenset({507}),
}
"""How many subjects the published lists have, by source."""

_NAMES = {
    "totalsegmentator": re.compile(r"s\d{4}"),
    "totalsegmentator_mri": re.compile(r"s\d{4}"),
    "oai_knee": re.compile(r"oaizib_\d{3}"),
}


def stated_licence(licence: str, where: str) -> Iterator[str]:
    """A sentence that a licence is only what a file of the user's states; none if it states none."""
    if licence and licence.lower() != UNKNOWN:
        yield f"The licence of the scans, {licence}, is what {where} states; nothing checks it."


def is_published_list(source: str, subjects: Collection[str]) -> bool:
    """Whether a list of subjects is that of a public archive: as many, and all named as its subjects are.

    >>> is_published_list("oai_knee", {f"oaizib_{number:03}" for number in range(1, 508)})
    True
    >>> is_published_list("oai_knee", {"oaizib_001", "oaizib_002"})
    False
    """
    named = set(subjects)
    return len(named) in SUBJECTS[source] and all(_NAMES[source].fullmatch(subject) for subject in named)


def is_published_file(archive: Path) -> bool:
    """Whether a zip file has the name and the size of a published one."""
    from dataset_builder.sources.download.archives import archives  # which knows the sources

    sizes = {file.name: file.bytes for one in archives().values() for file in one.files if file.bytes}
    return sizes.get(archive.name) == archive.stat().st_size
