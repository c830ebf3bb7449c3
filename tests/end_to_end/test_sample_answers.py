"""Every directional answer of the real sample, recomputed from the original files and their affines.

Nothing of ``dataset_builder``'s geometry is used: nibabel brings the label file to RAS+, voxels go to world coordinates
through the affine, and the meaning of the words is written out here.
"""

import ast
from collections import Counter
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from datasets import load_dataset
from nibabel.processing import resample_from_to

from dataset_builder.building.builder import build
from dataset_builder.core.settings import Settings
from dataset_builder.sources import brain, open_source
from dataset_builder.sources.brain import fetch_brain
from dataset_builder.vocabulary import label_map

AXIS = {"sagittal": 0, "coronal": 1, "axial": 2}
# world axis (RAS+ mm) and the sign that A's position minus B's must have
WORDS = {
    "right": (0, 1),
    "left": (0, -1),
    "anterior": (1, 1),
    "in front": (1, 1),
    "posterior": (1, -1),
    "behind": (1, -1),
    "superior": (2, 1),
    "toward the head": (2, 1),
    "inferior": (2, -1),
    "toward the feet": (2, -1),
}
# The conventions, written out: world axis and sign of "further left in the image" and of "further up in the image"
IMAGE = {
    ("axial", "radiological"): ((0, 1), (1, 1)),
    ("axial", "ras"): ((0, -1), (1, -1)),
    ("coronal", "radiological"): ((0, 1), (2, 1)),
    ("coronal", "ras"): ((0, -1), (2, -1)),
    ("sagittal", "radiological"): ((1, 1), (2, 1)),
    ("sagittal", "ras"): ((1, -1), (2, -1)),
}
# Of yes-or-no questions: the phrase, and the word of the tables above and below that it stands for
PHRASES = {
    "to the right of": "right",
    "to the left of": "left",
    "anterior to": "anterior",
    "in front of": "in front",
    "posterior to": "posterior",
    "behind": "behind",
    "superior to": "superior",
    "closer to the head than": "toward the head",
    "inferior to": "inferior",
    "closer to the feet than": "toward the feet",
    "above": "above",
    "below": "below",
}
FILES = {
    "example_ct_sm": ("example_seg.nii.gz", "total"),
    "example_mr_sm": ("example_seg_mr.nii.gz", "total_mr"),
}
BRAIN = "icbm152_brain"


@pytest.fixture(scope="module")
def rows(tmp_path_factory, sample_folder: Path):
    out = tmp_path_factory.mktemp("sample") / "mis-ground"
    settings = Settings(
        slices_per_volume=9,
        questions_per_volume=500,
        terminologies=("directional",),
        prompts=("none", "box", "text_point"),
        inputs=("slice",),
        views=("plain",),
        image_size=128,
        answer_types=("choice",),
    )
    build([open_source("sample")], out, settings)
    data = load_dataset(str(out), split="test", cache_dir=str(out.parent / "cache"))
    return data.remove_columns("images").to_list()


@dataclass(frozen=True, eq=False)
class Labels:
    """By subject: the label array in RAS+ as nibabel makes it, its affine, and values by name."""

    of: dict[str, tuple[np.ndarray, np.ndarray, dict[str, list[int]]]]

    @cached_property
    def middle(self) -> dict[str, float]:
        """By subject, the mean position of the vertebrae, or of the brainstem, toward the patient's right."""
        found = {}
        for subject, (array, affine, values) in self.of.items():
            spine = [v for name in values if name.startswith(("vertebra", "brainstem")) for v in values[name]]
            found[subject] = (np.argwhere(np.isin(array, spine)) @ affine[:3, :3].T + affine[:3, 3]).mean(axis=0)[0]
        return found


@pytest.fixture(scope="module")
def labels(sample_folder: Path) -> Labels:
    tree = ast.parse((sample_folder / "map_to_binary.py").read_text())
    assignment = next(
        node
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id == "class_map"
    )
    maps = ast.literal_eval(assignment.value)
    found = {}
    for subject, (file, name) in FILES.items():
        image = nib.as_closest_canonical(nib.load(sample_folder / file))
        values = {structure: [value] for value, structure in maps[name].items()}
        found[subject] = (np.asarray(image.dataobj), image.affine, values)
    template = nib.as_closest_canonical(nib.load(fetch_brain() / brain.IMAGE))
    atlas = resample_from_to(nib.load(fetch_brain() / brain.LABELS), template, order=0)
    values = {}
    for value, structure in label_map("freesurfer_aparc_aseg").items():
        values.setdefault(structure, []).append(value)
    found[BRAIN] = (np.asarray(atlas.dataobj), template.affine, values)
    return Labels(found)


@cache
def _centroid(read: Labels, subject: str, plane: str, index: int, name: str) -> np.ndarray:
    array, affine, values = read.of[subject]
    axis = AXIS[plane]
    voxels = np.argwhere(np.isin(array.take(index, axis), values[name]))
    assert len(voxels), f"{name} is not in slice {index} of {subject}"
    voxels = np.insert(voxels, axis, index, axis=1)
    return (voxels @ affine[:3, :3].T + affine[:3, 3]).mean(axis=0)


def centroid(labels: Labels, row: dict, name: str) -> np.ndarray:
    (index,) = row["slice_index"]
    return _centroid(labels, row["subject"], row["plane"], index, name)


def stated(row: dict) -> tuple[str | None, int]:
    """The word of direction that is asked about or answered, and 1 if it holds of A, or -1 if its opposite does."""
    if row["option_form"] != "yes_no":
        return row["answer"], 1
    claim = row["question"].partition("?")[0]
    words = [word for phrase, word in PHRASES.items() if f" {phrase} " in claim.rpartition(", is ")[2]]
    assert len(words) <= 1, row
    return (words[0] if words else None), {"yes": 1, "no": -1}[row["answer"]]


def test_there_are_many_rows_of_every_scan_in_every_plane(rows):
    assert len(rows) > 1000
    assert {(r["subject"], r["plane"]) for r in rows} == {(s, p) for s in (*FILES, BRAIN) for p in AXIS}


def test_every_cardinal_answer_in_the_patient_frame(rows, labels):
    checked = set()
    for row in rows:
        word, holds = stated(row)
        if row["frame"] == "patient" and word in WORDS:
            a, b = (centroid(labels, row, name) for name in row["structures"])
            axis, sign = WORDS[word]
            assert holds * sign * (a - b)[axis] >= 7.99, row
            checked.add((word, row["option_form"] == "yes_no", holds))
    assert {word for word, yes_or_no, _ in checked if not yes_or_no} == set(WORDS)
    assert len([word for word, yes_or_no, _ in checked if yes_or_no]) > len(WORDS)  # of 20: each word, yes and no


def test_every_answer_in_the_image_frame(rows, labels):
    checked = set()
    for row in rows:
        if row["frame"] == "image":
            a, b = (centroid(labels, row, name) for name in row["structures"])
            (left_axis, left_sign), (up_axis, up_sign) = IMAGE[row["plane"], row["convention"]]
            word, holds = stated(row)
            gap = {"left": left_sign, "right": -left_sign}.get(word, 0) * (a - b)[left_axis]
            gap += {"above": up_sign, "below": -up_sign}.get(word, 0) * (a - b)[up_axis]
            assert holds * gap >= 7.99, row
            checked.add((word, row["plane"], row["convention"], row["option_form"] == "yes_no", holds))
    assert len({case[:3] for case in checked if not case[3]}) == 4 * 6
    assert {(case[0], case[4]) for case in checked if case[3]} == {
        (word, holds) for word in ("left", "right", "above", "below") for holds in (1, -1)
    }


def test_every_medial_and_lateral_answer(rows, labels):
    """Against the mean position of the vertebrae, of the brain against that of the brainstem, found here."""
    checked = Counter()
    for row in rows:
        if row["relation"] not in ("medial", "lateral"):
            continue
        middle = labels.middle[row["subject"]]
        a, b = (abs(centroid(labels, row, name)[0] - middle) for name in row["structures"])
        assert (a < b) == (row["relation"] == "medial"), row
        checked[row["subject"]] += 1
    assert set(checked) == {*FILES, BRAIN}
    assert checked.total() > 20


def test_names_and_registers_agree(rows):
    assert {row["relation"] for row in rows} <= {
        *("right", "left", "anterior", "posterior", "superior", "inferior", "medial", "lateral", "proximal", "distal")
    }
