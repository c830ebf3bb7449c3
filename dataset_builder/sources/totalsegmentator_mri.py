"""TotalSegmentator's public MR data: as its CT data, but the image is ``mri.nii.gz`` and there are 50 structures."""

from pathlib import Path

from dataset_builder.sources.published import Terms
from dataset_builder.sources.totalsegmentator import MaskFolders


def open_mri(folder: Path, vocabulary: Path | None = None) -> MaskFolders:
    """The source ``totalsegmentator_mri``. Some subjects have empty masks only: reading these is refused."""
    return MaskFolders(
        folder,
        vocabulary,
        name="totalsegmentator_mri",
        modality="mri",
        image="mri.nii.gz",
        archive=Terms(
            "CC-BY-NC-SA-2.0",  # of v2.0.0, by its record
            "Akinci D'Antonoli et al., TotalSegmentator MRI: Robust Sequence-independent Segmentation of Multiple "
            "Anatomic Structures in MRI, Radiology 2025",
            "https://doi.org/10.5281/zenodo.14710732",
        ),
    )
