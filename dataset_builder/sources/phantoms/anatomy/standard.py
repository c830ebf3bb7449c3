"""The standard torso: its frame, and the surfaces that several of its parts are measured from.

Positions are millimetres: x to the Right, y Anterior, z Superior, with the origin in the body's midline at the height
of the disc between the fifth lumbar vertebra and the sacrum.
"""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from dataset_builder.sources.phantoms.shapes import (
    Column,
    Coordinates,
    Shape,
    region,
)

SIDES: tuple[tuple[str, int], ...] = (("right", 1), ("left", -1))
"""Side and the sign of its x."""

COVERAGE: Mapping[str, tuple[float, float]] = {
    "trunk": (-165.0, 525.0),
    "chest": (215.0, 525.0),
    "abdomen": (10.0, 320.0),
    "pelvis": (-165.0, 110.0),
    "chest_abdomen": (60.0, 525.0),
    "abdomen_pelvis": (-165.0, 320.0),
}
"""What a scan may cover: lowest and highest z in the standard body."""
LOWEST, HIGHEST = COVERAGE["trunk"]
WIDTH, DEPTH = 420.0, 300.0
"""Field of view of the standard body, mm; centred on the midline and a little behind the vertebrae's front."""
WARP_MM = 7.0

VERTEBRAE: tuple[tuple[str, float], ...] = (
    *(("L5", 38), ("L4", 38), ("L3", 38), ("L2", 37), ("L1", 36)),
    *(("T12", 33), ("T11", 31), ("T10", 29), ("T9", 28), ("T8", 27), ("T7", 26)),
    *(("T6", 25), ("T5", 24), ("T4", 23), ("T3", 22), ("T2", 21), ("T1", 21), ("C7", 19)),
)
"""From below upward: level and its height in mm, the disc below it included."""

# z, y of the centre of the vertebral bodies: lordosis, kyphosis and the bend into the neck.
SPINE = (
    (-60.0, -80.0), (-30.0, -60.0), (0.0, -40.0), (60.0, -29.0), (100.0, -27.0), (150.0, -32.0), (200.0, -41.0),
    (260.0, -51.0), (320.0, -57.0), (380.0, -56.0), (430.0, -50.0), (480.0, -39.0), (515.0, -29.0), (545.0, -24.0),
)  # fmt: skip

# Rows (z, centre y, half width, half depth), see shapes.Column.
LEAN = (
    (-155.0, -6.0, 40.0, 40.0), (-138.0, -6.0, 110.0, 80.0), (-122.0, -6.0, 165.0, 98.0),
    (-105.0, -5.0, 176.0, 106.0), (-75.0, -5.0, 175.0, 107.0), (-40.0, -4.0, 166.0, 104.0),
    (0.0, -4.0, 154.0, 104.0), (45.0, -4.0, 147.0, 105.0), (100.0, -3.0, 147.0, 107.0), (160.0, -2.0, 150.0, 109.0),
    (220.0, -2.0, 155.0, 114.0), (280.0, -4.0, 160.0, 118.0), (340.0, -4.0, 162.0, 119.0), (390.0, -8.0, 162.0, 114.0),
    (430.0, -14.0, 160.0, 104.0), (465.0, -19.0, 144.0, 92.0), (485.0, -21.0, 116.0, 82.0), (500.0, -20.0, 82.0, 73.0),
    (515.0, -16.0, 66.0, 67.0), (560.0, -12.0, 58.0, 64.0),
)  # fmt: skip
CAVITY = Column(
    (
        (-128.0, 2.0, 34.0, 34.0), (-110.0, 0.0, 52.0, 52.0), (-80.0, -2.0, 66.0, 66.0), (-50.0, 0.0, 85.0, 74.0),
        (-20.0, 4.0, 108.0, 78.0), (10.0, 6.0, 120.0, 79.0), (50.0, 7.0, 124.0, 80.0), (100.0, 7.0, 127.0, 81.0),
        (160.0, 6.0, 130.0, 83.0), (220.0, 4.0, 134.0, 87.0), (280.0, 3.0, 136.0, 90.0), (330.0, 2.0, 133.0, 90.0),
        (370.0, -1.0, 123.0, 85.0), (405.0, -6.0, 106.0, 75.0), (435.0, -12.0, 86.0, 63.0), (460.0, -18.0, 66.0, 49.0),
        (480.0, -24.0, 48.0, 35.0), (495.0, -28.0, 26.0, 20.0), (502.0, -29.0, 8.0, 8.0),
    ),
    squareness=0.45,
)  # fmt: skip
"""What the chest and belly walls enclose."""
MEDIASTINUM = Column(
    (
        (240.0, 0.0, 22.0, 92.0), (285.0, 0.0, 28.0, 95.0), (330.0, 0.0, 32.0, 94.0), (370.0, 0.0, 35.0, 84.0),
        (400.0, -5.0, 38.0, 68.0), (430.0, -12.0, 40.0, 56.0), (460.0, -18.0, 40.0, 50.0), (490.0, -20.0, 34.0, 42.0),
        (520.0, -14.0, 30.0, 36.0),
    ),
)  # fmt: skip
"""Heart, great vessels, airway and gullet, with the fat around them."""


def spine_y(z: float) -> float:
    """Position y of the vertebral bodies' centre at height z."""
    heights, centres = zip(*SPINE, strict=True)
    return float(np.interp(z, heights, centres))


def gyroid(x: Coordinates, y: Coordinates, z: Coordinates, period: float) -> npt.NDArray[np.float32]:
    """A winding sheet through space, between -1.5 and 1.5: coils of bowel, seams between muscles."""
    k = np.float32(2 * np.pi / period)
    x, y, z = x * k, y * k, z * k
    return np.sin(x) * np.cos(y) + np.sin(y) * np.cos(z) + np.sin(z) * np.cos(x)


def diaphragm(mm: float) -> Shape:
    """What lies below the diaphragm by more than ``mm``: two domes, the right higher, steep toward ribs and back."""

    def distance(x: Coordinates, y: Coordinates, z: Coordinates) -> npt.NDArray[np.float32]:
        across = (np.abs(x) - 58) / 74
        across = np.where(across > 0, across * across, np.float32(0.18) * across * across)
        along = (y - 12) / 86
        along = np.where(along > 0, np.float32(0.55) * along * along, np.float32(1.05) * along * along)
        top = np.float32(279) + np.float32(7) * np.tanh(x / 30)
        height = top - np.float32(88) * (across + along)
        return (z - np.maximum(height, np.float32(172))) * np.float32(0.8) + np.float32(mm)

    return region(distance)


def above_diaphragm(mm: float) -> Shape:
    """What lies above the diaphragm by more than ``mm``."""
    below = diaphragm(0.0)
    return region(lambda x, y, z: np.float32(mm) - below.distance(x, y, z))
