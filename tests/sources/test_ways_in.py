"""The same scan through every format and layout, in every order of storage: the same questions, answers and images."""

from pathlib import Path

import pytest

from dataset_builder.core.settings import Settings
from tests.helpers import small_brain
from tests.helpers.asked import asked, assert_same_rows
from tests.helpers.ways_in import STORED, WAYS, Scan

SETTINGS = Settings(
    slices_per_volume=3,
    questions_per_volume=24,
    stacks_per_volume=1,
    stack_questions_per_volume=8,
    stack_size=4,
    image_size=64,
    answer_types=("choice",),
)
REFERENCE = "nnunet .nii.gz"


@pytest.fixture(scope="module")
def brain() -> Scan:
    """A head in MR, so that FreeSurfer's way is one of them."""
    image, labels, names, affine = small_brain.draw()
    return Scan(image, labels, names, affine, "MR")


@pytest.fixture(scope="module")
def expected(brain, tmp_path_factory):
    """Rows of the reference, of the scan that lies straight and of the oblique one."""
    folder = tmp_path_factory.mktemp("reference")
    found = {}
    for stored in ("straight", "oblique"):
        place = folder / stored
        found[stored] = asked(WAYS[REFERENCE](place / "in", STORED[stored](brain)), SETTINGS, place / "store")
        assert {row["terminology"] for row in found[stored]} == {"anatomical", "directional", "relational"}
        assert {row["input"] for row in found[stored]} >= {"slice", "stack"}
    return found


@pytest.mark.parametrize("way", WAYS)
def test_a_scan_gives_the_same_questions_whichever_way_it_comes(brain, expected, tmp_path: Path, way):
    for number, stored in enumerate(("straight", "LPS", "slices reversed", "oblique")):
        place = tmp_path / str(number)
        rows = asked(WAYS[way](place / "in", STORED[stored](brain)), SETTINGS, place / "store")
        assert_same_rows(rows, expected["oblique" if "oblique" in stored else "straight"], (way, stored))
