"""A small scan in each file format and storage order, and whether it is read back as the same voxels."""

import numpy as np
import SimpleITK as sitk  # noqa: N813 - its usual name

from dataset_builder.imaging.volume import volume_from_arrays

KEPT = ("liver", "spleen", "kidney_right", "kidney_left", "aorta", "stomach")


def volume(image, labels, affine):
    names = dict(enumerate(KEPT, 1))
    return volume_from_arrays(image, labels, names, affine, source="x", subject="x", modality="ct", licence="x")


def by_name(volume):
    return volume.image, {name: volume.labels == value for value, name in volume.names.items()}


def same(source, expected, modality="ct"):
    (case,) = source.cases()
    assert case.modality == modality
    image, masks = by_name(source.read(case))
    np.testing.assert_array_equal(image, expected[0])
    assert masks.keys() == expected[1].keys()
    for name, mask in masks.items():
        np.testing.assert_array_equal(mask, expected[1][name], err_msg=name)
    return case


def itk(array, affine):
    """An array in RAS+ as an image of SimpleITK."""
    lps = np.diag([-1.0, -1, 1, 1]) @ affine
    steps = np.linalg.norm(lps[:3, :3], axis=0)
    image = sitk.GetImageFromArray(np.ascontiguousarray(array.T))
    image.SetSpacing(steps.tolist())
    image.SetOrigin(lps[:3, 3].tolist())
    image.SetDirection((lps[:3, :3] / steps).ravel().tolist())
    return image


def save(image, path, **keys):
    path.parent.mkdir(parents=True, exist_ok=True)
    for key, value in keys.items():
        image.SetMetaData(key, str(value))
    sitk.WriteImage(image, str(path), useCompression=True)


def flipped(array, affine, axis):
    """The same voxels stored the other way round."""
    turned = affine.copy()
    turned[:3, 3] += affine[:3, axis] * (array.shape[axis] - 1)
    turned[:3, axis] *= -1
    return np.flip(array, axis), turned


def swapped(array, affine):
    """The same voxels with two axes exchanged."""
    return np.swapaxes(array, 0, 2), affine[:, [2, 1, 0, 3]]


def segmentation(body, path, *, margin=0, layers=False):
    """A segmentation as 3D Slicer saves it: in a box around the segments, overlapping ones in layers."""
    _, labels, affine = body
    low = np.maximum(np.argwhere(labels).min(0) - margin, 0)
    high = np.argwhere(labels).max(0) + 1 + margin
    part = labels[tuple(map(slice, low, high))]
    placed = affine.copy()
    placed[:3, 3] = (affine @ [*low, 1])[:3]
    keys = {"Segmentation_MasterRepresentation": "Binary labelmap"}
    for number, name in enumerate(KEPT):
        keys |= {f"Segment{number}_Name": name.replace("_", " "), f"Segment{number}_ID": f"Segment_{number}"}
        keys |= {f"Segment{number}_LabelValue": 1 + number // 2 if layers else number + 1}
        keys |= {f"Segment{number}_Layer": number % 2 if layers else 0}
    if layers:
        stacked = np.zeros((*part.shape, 2), np.uint8)
        for number in range(len(KEPT)):
            stacked[..., number % 2][part == number + 1] = 1 + number // 2
        image = sitk.GetImageFromArray(np.ascontiguousarray(stacked.transpose(2, 1, 0, 3)), isVector=True)
        image.CopyInformation(itk(part, placed))
    else:
        image = itk(part, placed)
    save(image, path, **keys)
