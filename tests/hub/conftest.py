"""A Hub on this machine, a client of it, and folders to be pushed."""

import pytest

from tests.helpers.hub_checks import MORE
from tests.helpers.loopback_hub import LoopbackHub, client
from tests.helpers.small_ground import CELLS, write_ground


@pytest.fixture(scope="session")
def grounds(tmp_path_factory):
    """Folders by name; tests must not change them."""
    root = tmp_path_factory.mktemp("grounds")
    return {
        "first": write_ground(root / "first"),
        "more": write_ground(root / "more", MORE, slices=False, seed=1),
        "changed": write_ground(root / "changed", CELLS[:1], first=50, slices=False),
        "small": write_ground(root / "small", MORE[:1], slices=False),
        "secret": write_ground(root / "secret", CELLS[:2], licence="hospital only", source="clinic", first=10),
    }


@pytest.fixture
def hub():
    with LoopbackHub() as one:
        yield one


@pytest.fixture
def api(hub, monkeypatch):
    return client(hub, monkeypatch)
