"""One small torso for all formats."""

import numpy as np
import pytest

from dataset_builder.sources.phantoms import torso
from tests.helpers.scan_files import KEPT, by_name, volume


@pytest.fixture(scope="session")
def body():
    """A torso with six structures, numbered from 1."""
    phantom = torso(1, spacing=10.0, coverage="abdomen")
    labels = np.zeros(phantom.labels.shape, np.uint8)
    of_name = {name: value for value, name in phantom.names.items()}
    for number, name in enumerate(KEPT, 1):
        labels[phantom.labels == of_name[name]] = number
    return phantom.image, labels, np.asarray(phantom.affine, float)


@pytest.fixture(scope="session")
def expected(body):
    return by_name(volume(*body))
