"""Remedies for grids that cannot be read, done to the letter; and none in the whole code that would hide a fault."""

import ast
import re
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from nibabel.processing import resample_to_output

import dataset_builder
from dataset_builder.core import errors
from dataset_builder.imaging.acceptance import accept
from dataset_builder.imaging.volume import read_volume
from dataset_builder.vocabulary import structures
from tests.helpers.small_body import NAMES, affine_of, draw

SHAPE = (66, 60, 100)
IDENTITY = {"source": "test", "subject": "one", "modality": "ct", "licence": "none"}


def sheared():
    affine = affine_of(shape=SHAPE)
    affine[1, 2] += affine[2, 2] * np.tan(np.radians(12))  # a tilted gantry
    affine[1, 3] -= affine[1, 2] * SHAPE[2] / 2
    return affine


@pytest.mark.parametrize(
    ("affine", "error"), [(affine_of(shape=SHAPE, tilt_deg=40), errors.ObliqueError), (sheared(), errors.AffineError)]
)
def test_a_scan_resampled_as_told_is_accepted(tmp_path, affine, error):
    image, labels = draw(affine, SHAPE)
    files = []
    for name, values in (("image", image), ("labels", labels)):
        made = nib.Nifti1Image(values, affine)
        made.set_sform(affine, 1)
        made.set_qform(None, 0)
        files.append(tmp_path / f"{name}.nii.gz")
        nib.save(made, files[-1])
    with pytest.raises(error) as caught:
        read_volume(*files, NAMES, **IDENTITY)
    assert "resample_to_output(nibabel.load(FILE), voxel_sizes=SIZES, order=ORDER, cval=OUTSIDE)" in caught.value.remedy
    for file, order, outside in zip(files, (1, 0), (-1024, 0), strict=True):
        nib.save(resample_to_output(nib.load(file), voxel_sizes=(6, 6, 6), order=order, cval=outside), file)
    volume = read_volume(*files, NAMES, **IDENTITY)
    assert accept(volume, structures()) == []
    middle = np.argwhere(volume.labels == 4).mean(axis=0) @ volume.affine[:3, :3].T + volume.affine[:3, 3]
    assert middle == pytest.approx([75, 15, 60], abs=3)


def remedies():
    """Every text that is given as a remedy in the package, with its place."""
    for path in sorted(Path(dataset_builder.__file__).parent.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.keyword) and node.arg == "remedy":
                texts = [part.value for part in ast.walk(node.value) if isinstance(part, ast.Constant)]
                yield f"{path.name}:{node.value.lineno}", " ".join(text for text in texts if isinstance(text, str))


def test_no_remedy_hides_a_fault():
    """Given another affine, flipped or renamed by hand, wrong data look right."""
    found = dict(remedies())
    assert len(found) > 100
    hiding = re.compile(
        r"(copy|give|use|take|set) (\w+ ){0,3}affine of|affine's sign|(swap|exchange|flip) the", re.IGNORECASE
    )
    assert [place for place, text in found.items() if hiding.search(text)] == []
