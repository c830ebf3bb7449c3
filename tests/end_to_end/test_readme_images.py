"""The images of README.md are those that the builder draws today."""

from pathlib import Path

import numpy as np
from PIL import Image

from tests.helpers.readme_images import SHOWN, make

ROOT = Path(__file__).parents[2]


def test_the_images_of_the_readme_are_what_is_drawn_today(tmp_path):
    asked = make(tmp_path)
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for name in SHOWN:
        drawn, shown = (np.asarray(Image.open(folder / f"{name}.png")) for folder in (tmp_path, ROOT / "docs"))
        np.testing.assert_array_equal(drawn, shown)
        assert f"docs/{name}.png" in readme
    # What stands beside them in the README.
    assert " ".join(asked["mask"].question.split("\nOptions")[0].split()) in " ".join(
        readme.replace("\n>", " ").split()
    )
    assert asked["mirrored"].answer == "right"
    assert asked["mirrored"].prior_answer == "left"
