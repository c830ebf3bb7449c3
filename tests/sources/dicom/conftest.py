"""A small body to be written as DICOM in many ways."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dataset_builder.imaging.volume import Volume
from dataset_builder.sources import open_source
from tests.helpers import dicom_files as dicom
from tests.helpers.dicom_body import AFFINE, NAMES, SHAPE


@pytest.fixture(scope="session")
def image() -> np.ndarray:
    """Values of a CT, no two slices alike."""
    return np.random.default_rng(0).integers(-1000, 1500, SHAPE).astype(np.int16)


@pytest.fixture(scope="session")
def labels() -> np.ndarray:
    """Liver (1), with a hole that holds an island, and spleen (2)."""
    made = np.zeros(SHAPE, np.uint8)
    made[2:14, 3:16, 2:10] = 1
    made[5:11, 6:13, 4:8] = 0
    made[7:9, 8:11, 4:8] = 1
    made[17:22, 4:9, 3:11] = 2
    return made


@pytest.fixture
def images(image) -> list:
    """The CT as a series."""
    return dicom.series(image, AFFINE)


@pytest.fixture
def segments() -> list:
    """Of the two structures."""
    return [dicom.segment(number, name) for number, name in NAMES.items()]


@pytest.fixture
def seg(images, labels, segments) -> Any:
    """Their segmentation."""
    return dicom.segmentation(images, labels, segments)


@pytest.fixture
def read(tmp_path):
    """Writes groups of files, and reads the one case that they make."""

    def one(*groups: Any, **options: Any) -> Volume:
        folder = tmp_path / f"study{len(list(tmp_path.iterdir()))}"
        for number, group in enumerate(groups):
            dicom.save(group, folder / str(number))
        source = open_source(f"dicom:{folder}", **options)
        (case,) = source.cases()
        return source.read(case)

    return one


@pytest.fixture
def study(tmp_path):
    """Writes groups of files into a folder, and opens it."""

    def opened(*groups: Any, **options: Any) -> Any:
        folder = Path(tmp_path / "study")
        for number, group in enumerate(groups):
            dicom.save(group, folder / str(number))
        return open_source(f"dicom:{folder}", **options)

    return opened
