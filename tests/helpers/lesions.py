"""Phantoms with a lesion in a known place, and files as the Medical Segmentation Decathlon has them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from dataset_builder.sources.phantoms import Phantom, write_nifti


def planted(
    phantom: Phantom, organ: str, toward: Sequence[float], radius_mm: float, name: str = "tumour", hu: int = -45
) -> tuple[Phantom, npt.NDArray[np.float64]]:
    """A phantom with a ball cut out of an organ's label, darker than it, and the ball's centre in world mm.

    Args:
        toward: where in the organ, from its centre: steps of half its extent to the right, front and head.
    """
    value = phantom.value(organ)
    at = np.argwhere(phantom.labels == value)
    world = at @ phantom.affine[:3, :3].T + phantom.affine[:3, 3]
    wanted = world.mean(axis=0) + np.asarray(toward) * (world.max(axis=0) - world.min(axis=0)) / 2
    centre = world[np.argmin(((world - wanted) ** 2).sum(axis=1))]
    inside = at[((world - centre) ** 2).sum(axis=1) <= radius_mm**2]
    labels, image, number = phantom.labels.copy(), phantom.image.copy(), max(phantom.names) + 1
    labels[tuple(inside.T)] = number
    image[tuple(inside.T)] += hu
    return replace(phantom, labels=labels, image=image, names={**phantom.names, number: name}), centre


def only(phantom: Phantom, names: Mapping[str, int]) -> npt.NDArray[np.uint8]:
    """Its labels, of some structures only, under other values."""
    lookup = np.zeros(256, np.uint8)
    for name, value in names.items():
        lookup[phantom.value(name)] = value
    return lookup[phantom.labels]


def write_decathlon(
    folder: Path, cases: Mapping[str, Phantom], labels: Mapping[int, str], meaning: Mapping[str, int], channels: int = 1
) -> None:
    """Files as a task of the Decathlon: no suffix for the channel, labels by number, 4D if there are several channels.

    Args:
        labels: as the task's dataset.json names its values.
        meaning: value by the phantom's own structure name.
    """
    modality = {"ct": "CT", "mri": "MRI"}
    for name, phantom in cases.items():
        image = phantom.image if channels == 1 else np.stack([phantom.image] * channels, axis=-1)
        write_nifti(folder / "imagesTr" / f"{name}.nii.gz", image, phantom.affine)
        write_nifti(folder / "labelsTr" / f"{name}.nii.gz", only(phantom, meaning), phantom.affine)
    kind = modality[next(iter(cases.values())).modality]
    sequences = ("FLAIR", "T1w", "t1gd", "T2w")
    description = {
        "name": folder.name,
        "tensorImageSize": "3D" if channels == 1 else "4D",
        "modality": {str(n): kind if channels == 1 else sequences[n] for n in range(channels)},
        "labels": {"0": "background", **{str(value): name for value, name in labels.items()}},
        "numTraining": len(cases),
        "training": [{"image": f"./imagesTr/{n}.nii.gz", "label": f"./labelsTr/{n}.nii.gz"} for n in cases],
        "test": [],
    }
    (folder / "dataset.json").write_text(json.dumps(description), encoding="utf-8")
