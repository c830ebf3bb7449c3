"""DICOM studies with segmentations: ``--source dicom:DIR``.

From the ground up: ``files`` opens them, ``identifiers`` keeps out of sight who the patient is, ``planes`` and
``stack`` are the geometry, ``listing`` says what a folder holds, ``pixels`` the voxels, ``labels`` which structure a
segment is, ``grid`` where its planes lie in the image, ``segmentation`` and ``contours`` its voxels, ``reading`` puts a
case together, ``source`` is the source.
"""

from dataset_builder.sources.dicom.source import NAME, DicomCase, DicomStudies, open_dicom_studies

__all__ = ["NAME", "DicomCase", "DicomStudies", "open_dicom_studies"]
