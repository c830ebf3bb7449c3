"""Where the small body of the DICOM tests lies, its structures, and other directions to store it in."""

import numpy as np

SHAPE = (24, 20, 12)
AFFINE = np.array([[-2.0, 0, 0, 30], [0, -1.5, 0, 20], [0, 0, 3, -100], [0, 0, 0, 1]])
"""Stored as scanners do: columns to the patient's left, rows to the back, slices upward."""
NAMES = {1: "liver", 2: "spleen"}

SAGITTAL = AFFINE @ np.array([[0, 0, 1, 0], [1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 1.0]])
CORONAL = AFFINE @ np.array([[1, 0, 0, 0], [0, 0, 1, 0], [0, -1, 0, 11], [0, 0, 0, 1.0]])


def rotated(degrees: float, axis: int) -> np.ndarray:
    """A turn about one of the patient's axes, as an affine."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    a, b = [other for other in range(3) if other != axis]
    turn = np.eye(4)
    turn[a, a], turn[a, b], turn[b, a], turn[b, b] = c, -s, s, c
    return turn


def laid(volume, labels: np.ndarray) -> None:
    """Whether the volume has these labels: 1 liver, 2 spleen, as they were stored."""
    values = {name: value for value, name in volume.names.items()}
    for value, name in NAMES.items():
        found = volume.labels[::-1, ::-1] == values[name]
        assert np.array_equal(found, labels == value), name
