"""A small data set and its gallery page."""

import pytest

from dataset_builder.gallery.gallery import write_gallery
from tests.helpers.gallery_rows import HOSTILE, png, row, write


@pytest.fixture(scope="session")
def dataset(tmp_path_factory):
    rows = [row(number) for number in range(40)]
    rows += [row(number, prompt="none", plane="coronal") for number in range(40, 48)]
    rows += [
        row(
            50 + number,
            modality="mri",
            terminology="anatomical",
            prompt="mask",
            question="Which structure is marked A?\nOptions: liver; spleen; aorta; left kidney",
            options=["liver", "spleen", "aorta", "left kidney"],
            answer="aorta",
            answer_index=2,
            relation="aorta",
            structures=["aorta"],
            boxes=[[1, 2, 3, 4]],
            points=[[2, 3]],
            margin_mm=float("nan"),
            source="my clinic",
        )
        for number in range(3)
    ]
    rows += [
        row(60, prompt="text_box", answer=HOSTILE, options=[HOSTILE, "left"], answer_index=0, question=HOSTILE),
        row(61, prompt="text_box", subject=HOSTILE, relation=HOSTILE, structures=[HOSTILE, HOSTILE]),
        row(62, plane="sagittal", input="stack", images=[{"bytes": png(s), "path": None} for s in (90, 91, 92)]),
    ]
    return write(tmp_path_factory.mktemp("gallery") / "mis-ground <b>", rows)


@pytest.fixture(scope="session")
def page(dataset):
    out = dataset.parent / "pages" / "gallery.html"
    assert write_gallery(dataset, out) == 2 + 2 + 2 + 2 + 1
    return out
