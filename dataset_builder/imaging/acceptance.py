"""Whether a scan is accepted: every volume of every source is checked here before a slice of it is stored.

The header, the values, the labels and the anatomy must not contradict each other. What is impossible is refused by
name; what is odd is noted. What a user vouches for is not checked (``Settings.trust``).
"""

from collections.abc import Collection, Mapping

import numpy as np

from dataset_builder.core.errors import MadeUpAffineError, SizeError
from dataset_builder.core.settings import Trust
from dataset_builder.imaging.intensities import check_intensities
from dataset_builder.imaging.label_fit import check_label_fit
from dataset_builder.imaging.laterality import check_sides, label_profiles
from dataset_builder.imaging.orientation import check_orientation
from dataset_builder.imaging.volume import Volume
from dataset_builder.vocabulary import Structure
from dataset_builder.vocabulary.limits import acceptance


def accept(volume: Volume, vocabulary: Mapping[str, Structure], trust: Collection[Trust] = ()) -> list[str]:
    """Refuse a volume that contradicts itself.

    Args:
        volume: as read.
        vocabulary: structures by canonical name.
        trust: what the user vouches for.

    Returns:
        What is odd but possible, and what was corrected in reading.

    Raises:
        CaseError: a subclass for each reason; it names what was found and the remedy.
    """
    reported = list(volume.remarks)
    if "affine" not in trust:
        _check_affine(volume)
    if "labels" not in trust:
        check_label_fit(volume.image, volume.labels, volume.spacing, volume.modality)
    if "values" not in trust:
        reported += check_intensities(volume.image, volume.labels, volume.names, volume.modality)
    check_sides(volume, vocabulary)
    if "orientation" not in trust:
        reported += check_orientation(volume.labels, volume.names, volume.affine, volume.spacing)
    if "affine" not in trust:
        _check_whole_sizes(volume)
    return reported


def _check_affine(volume: Volume) -> None:
    """Refuse the affine that software writes when it knows none: steps of 1 mm, the first voxel at 0, 0, 0."""
    turned = np.abs(volume.affine[:3, :3])
    if not np.array_equal(turned, np.eye(3)):
        return
    letters = _by_axis(volume.stored_axes)
    first = [size - 1 if letter in "LPI" else 0 for letter, size in zip(letters, volume.image.shape, strict=True)]
    if np.array_equal(volume.affine @ [*first, 1], [0, 0, 0, 1]):
        raise MadeUpAffineError(
            "The affine is the default of software that knows none: voxels of 1 mm, identity axes, origin at voxel 0.",
            value=f"identity, axes {volume.stored_axes}",
            remedy="Convert the scan again from its DICOM files; if the affine is correct, add --trust-affine.",
        )


def _by_axis(stored_axes: str) -> list[str]:
    """The letters of the stored axes in the order of the axes of an RAS+ array."""
    return [next(letter for letter in stored_axes if letter in pair) for pair in ("RL", "AP", "SI")]


def _check_whole_sizes(volume: Volume) -> None:
    """Refuse organs that lie wholly in the scan and are of a size that no organ is."""
    across = label_profiles(volume)
    voxel_ml = float(np.prod(volume.spacing)) / 1000
    odd = []
    for value, name in volume.names.items():
        limits = acceptance()["size"]["whole_ml"].get(name)
        if limits is None or not 0 < value < len(across[0]) or any(p[value][0] or p[value][-1] for p in across):
            continue
        size = float(across[0][value].sum()) * voxel_ml
        if size and not limits[0] <= size <= limits[1]:
            odd.append(f"{name} {size:.3g} ml")
    if len(odd) > 1:
        raise SizeError(
            "Organs that lie entirely within the scan have an impossible size: the voxel size is wrong.",
            value=f"{', '.join(odd)}; voxels of {' x '.join(f'{step:.4g}' for step in volume.spacing)} mm",
            remedy="Convert the scan again from its DICOM files; if the affine is correct, add --trust-affine.",
        )
