"""A small trunk of simple shapes in CT or MR, drawn in world coordinates: quick to make, and every value is known."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from dataset_builder.imaging.volume import Volume, volume_from_arrays

# name, middle (right, anterior, superior), half sizes in mm, HU, MR signal
ORGANS = [
    ("lung_right", (85, 0, 190), (58, 75, 95), -820, 30),
    ("lung_left", (-85, 0, 190), (58, 75, 95), -820, 30),
    ("heart", (-25, 35, 170), (48, 42, 45), 90, 300),
    ("liver", (75, 15, 60), (72, 68, 62), 70, 400),
    ("stomach", (-60, 45, 60), (45, 35, 45), 20, 600),
    ("spleen", (-110, -40, 65), (28, 40, 45), 55, 250),
    ("kidney_right", (62, -52, -20), (28, 26, 48), 150, 500),
    ("kidney_left", (-62, -52, -8), (28, 26, 48), 150, 500),
    ("urinary_bladder", (0, 35, -190), (42, 36, 34), -10, 900),
    ("aorta", (-12, -42, 60), (13, 13, 190), 160, 80),
    ("inferior_vena_cava", (22, -36, -10), (13, 13, 130), 130, 90),
    *(
        (f"vertebrae_{name}", (0, -78, 98 - 33 * number), (26, 22, 14), 400, 350)
        for number, name in enumerate(("T10", "T11", "T12", "L1", "L2", "L3", "L4", "L5"))
    ),
]
NAMES = {value: name for value, (name, *_) in enumerate(ORGANS, 1)}
FAT, MUSCLE, MR_TISSUE = -100, 40, 200


def affine_of(mm: float = 6.0, shape: Sequence[int] = (66, 44, 86), tilt_deg: float = 0.0) -> npt.NDArray[np.float64]:
    """An affine around the trunk, its axes right, anterior and superior; tilted about the left-right axis."""
    affine = np.diag([mm, mm, mm, 1.0])
    angle = np.radians(tilt_deg)
    affine[1:3, 1:3] = mm * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    affine[:3, 3] = np.array([0.5, 0.25, 39.75]) - affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    return affine


def draw(
    affine: npt.NDArray[np.float64], shape: Sequence[int] = (66, 44, 86), modality: str = "ct", noise: float = 8.0
) -> tuple[npt.NDArray[np.int16], npt.NDArray[np.uint8]]:
    """Image and labels on a grid: a body with a layer of fat, in air."""
    index = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1)
    x, y, z = np.moveaxis(index @ affine[:3, :3].T + affine[:3, 3], -1, 0)
    depth = (x / 178) ** 2 + (y / 118) ** 2
    ct = modality == "ct"
    image = np.where(depth < 1, FAT if ct else 700, -1000 if ct else 0).astype(np.float64)
    image[depth < 0.85] = MUSCLE if ct else MR_TISSUE
    labels = np.zeros(shape, np.uint8)
    for value, (name, middle, half, hu, signal) in enumerate(ORGANS, 1):
        away = [np.abs(axis - at) / size for axis, at, size in zip((x, y, z), middle, half, strict=True)]
        inside = np.max(away, axis=0) < 1 if name.startswith("vertebrae") else sum(a**2 for a in away) < 1
        labels[inside] = value
        image[inside] = hu if ct else signal
    grain = np.random.default_rng(0).normal(0, noise, shape)
    image = image + grain if ct else np.abs(image + grain)
    return np.rint(image).astype(np.int16), labels


def volume_of(
    image: npt.NDArray, labels: npt.NDArray, affine: npt.NDArray[np.float64], modality: str = "ct", names=NAMES
) -> Volume:
    """A volume of these arrays."""
    return volume_from_arrays(
        image, labels, names, affine, source="test", subject="one", modality=modality, licence="CC0-1.0"
    )
