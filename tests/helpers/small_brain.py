"""A small head of simple shapes in MR, with every structure that FreeSurfer's label map has in the vocabulary."""

import numpy as np
import numpy.typing as npt

# name, middle of the right one (right, anterior, superior), half sizes, all in mm; signal
_PAIRED = [
    ("frontal_cortex", (30, 58, 22), (22, 16, 26), 420),
    ("parietal_cortex", (36, -26, 62), (22, 26, 13), 430),
    ("temporal_cortex", (64, 6, -22), (10, 34, 15), 410),
    ("occipital_cortex", (24, -74, 12), (18, 12, 20), 425),
    ("insular_cortex", (54, 12, 14), (4, 16, 13), 415),
    ("cingulate_cortex", (7, 34, 34), (5, 14, 12), 440),
    ("cerebral_white_matter", (40, -12, 34), (12, 40, 12), 700),
    ("thalamus", (12, -10, 8), (7, 11, 8), 560),
    ("caudate_nucleus", (14, 18, 18), (5, 12, 8), 460),
    ("putamen", (30, 10, 4), (6, 14, 9), 470),
    ("globus_pallidus", (20, 4, 2), (4, 7, 6), 600),
    ("nucleus_accumbens", (10, 16, -6), (4, 4, 4), 455),
    ("hippocampus", (30, -20, -14), (7, 16, 6), 400),
    ("amygdala", (24, 4, -20), (7, 7, 7), 405),
    ("lateral_ventricle", (12, -8, 25), (6, 22, 6), 80),
    ("cerebellum", (26, -56, -40), (22, 20, 16), 500),
]
_MIDDLE = [
    ("third_ventricle", (0, 0, 2), (3, 10, 8), 70),
    ("fourth_ventricle", (0, -36, -30), (5, 5, 8), 75),
    ("brainstem", (0, -24, -38), (11, 9, 22), 620),
    ("corpus_callosum", (0, 2, 40), (5, 30, 5), 720),
]
SHAPE = (50, 58, 27)
MM = np.array([3.5, 3.5, 6.0])


def draw() -> tuple[npt.NDArray[np.int16], npt.NDArray[np.uint8], dict[int, str], npt.NDArray[np.float64]]:
    """Image, labels, names and affine, stored RAS."""
    affine = np.diag([*MM, 1.0])
    affine[:3, 3] = np.array([0.4, -6.2, 8.7]) - MM * (np.array(SHAPE) - 1) / 2
    index = np.stack(np.meshgrid(*map(np.arange, SHAPE), indexing="ij"), axis=-1)
    x, y, z = np.moveaxis(index @ affine[:3, :3].T + affine[:3, 3], -1, 0)
    head = (x / 82) ** 2 + ((y + 6) / 96) ** 2 + ((z - 8) / 78) ** 2
    image = np.where(head < 1, 250.0, 0.0)
    image[head < 0.84] = 520
    labels, names = np.zeros(SHAPE, np.uint8), {}
    parts = [
        (f"{name}_{side}", (sign * right, *rest), half, signal)
        for name, (right, *rest), half, signal in _PAIRED
        for side, sign in (("left", -1), ("right", 1))
    ]
    for value, (name, middle, half, signal) in enumerate([*parts, *_MIDDLE], 1):
        away = [(axis - at) / size for axis, at, size in zip((x, y, z), middle, half, strict=True)]
        inside = sum(a**2 for a in away) < 1
        labels[inside], image[inside], names[value] = value, signal, name
    grain = np.random.default_rng(0).normal(0, 8, SHAPE)
    return np.rint(np.abs(image + grain)).astype(np.int16), labels, names, affine
