"""The sample: two small real scans, a CT and an MR of the trunk, with TotalSegmentator's own labels.

They are the reference files of TotalSegmentator's tests. Only its source archive holds them, which pip fetches.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dataset_builder.factors import Modality
from dataset_builder.fetching import fetch_members
from dataset_builder.sources.base import Case
from dataset_builder.vocabulary import label_map
from dataset_builder.volume import Volume, read_volume

_VERSION = "2.18.0"
_SHA256 = "5d4223ef93973bc36d710869d11e7742ead2c154c72f7f9edcaaadd5b6c4bd03"
_ROOT = f"totalsegmentator-{_VERSION}"

CT_MASKS = "example_seg_fast"
"""Folder of masks of the CT, one a structure, as in TotalSegmentator's public data: coarser than ``example_seg``."""


@dataclass(frozen=True)
class _Scan:
    modality: Modality
    image: str
    labels: str
    label_map: str


_SCANS = {
    "example_ct_sm": _Scan("ct", "example_ct_sm.nii.gz", "example_seg.nii.gz", "totalsegmentator_v2_ct"),
    "example_mr_sm": _Scan("mri", "example_mr_sm.nii.gz", "example_seg_mr.nii.gz", "totalsegmentator_mri"),
}


def fetch_sample() -> Path:
    """The folder of the sample scans; fetched once (38 MB), then taken from the cache folder.

    Raises:
        FetchError: if they cannot be fetched, or are not what they should be.
    """
    references = f"{_ROOT}/tests/reference_files"
    wanted = {f"{references}/{file}": file for scan in _SCANS.values() for file in (scan.image, scan.labels)}
    masks = [f"{CT_MASKS}/{name}.nii.gz" for name in label_map("totalsegmentator_v2_ct").values()]
    wanted |= {f"{references}/{mask}": mask for mask in masks}
    wanted |= {f"{_ROOT}/totalsegmentator/map_to_binary.py": "map_to_binary.py", f"{_ROOT}/LICENSE": "LICENSE"}
    return fetch_members("sample", f"TotalSegmentator=={_VERSION}", _SHA256, wanted, source_archive=True)


@dataclass(frozen=True)
class Sample:
    """The source ``sample``. Listing its cases fetches the scans, if they are not here yet."""

    name: str = "sample"
    licence: str = "Apache-2.0"
    citation: str = (
        "Wasserthal et al., TotalSegmentator: Robust Segmentation of 104 Anatomic Structures in CT Images, "
        "Radiology: Artificial Intelligence 2023; reference files of its tests"
    )
    url: str = "https://github.com/wasserth/TotalSegmentator"

    def cases(self) -> Iterator[Case]:
        """The CT and the MR."""
        folder = fetch_sample()
        for subject, scan in _SCANS.items():
            paths = (folder / scan.image, folder / scan.labels)
            yield Case(self.name, subject, scan.modality, self.licence, paths)

    def read(self, case: Case) -> Volume:
        """One of the two, with the names of the label map that its labels are of."""
        image, labels = case.paths
        return read_volume(
            image,
            labels,
            label_map(_SCANS[case.subject].label_map),
            source=case.source,
            subject=case.subject,
            modality=case.modality,
            licence=case.licence,
        )
