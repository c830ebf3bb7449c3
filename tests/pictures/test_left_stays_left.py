"""Markers land where the patient has the structures, in whatever order a scan is stored."""

import itertools

import nibabel as nib
import numpy as np
import pytest

from dataset_builder.core.factors import CONVENTIONS, DRAWN_PROMPTS, PLANES
from dataset_builder.imaging.volume import read_volume
from dataset_builder.pictures.render import Window, draw
from dataset_builder.slices.selection import cut
from tests.helpers.marker_pixels import centre_of, of_colour

SOFT = Window("soft tissue", -160, 240)

# The conventions, written out: (left edge, top edge) of the image.
EDGES = {
    ("axial", "radiological"): ("R", "A"),
    ("coronal", "radiological"): ("R", "S"),
    ("sagittal", "radiological"): ("A", "S"),
    ("axial", "ras"): ("L", "P"),
    ("coronal", "ras"): ("L", "I"),
    ("sagittal", "ras"): ("P", "I"),
}
ORIENTATIONS = [
    "".join(letters) for order in itertools.permutations(["LR", "PA", "IS"]) for letters in itertools.product(*order)
]
SHAPE, CENTRE, TOWARD_RAS = (22, 26, 18), (9, 11, 7), (15, 19, 12)
THROUGH = {"sagittal": 0, "coronal": 1, "axial": 2}


def scan(folder, plane, orientation):
    """A scan stored in any orientation: the liver toward right, anterior and superior of the spleen at the centre.

    Both lie in the plane's slice through the centre. The liver is the only bright thing.
    """
    labels = np.zeros(SHAPE, np.uint8)
    for value, corner in ((2, CENTRE), (1, TOWARD_RAS)):
        corner = [CENTRE[axis] if axis == THROUGH[plane] else corner[axis] for axis in range(3)]
        labels[tuple(slice(start, start + 4) for start in corner)] = value
    affine = np.array([[2, 0, 0, -20], [0, 1.5, 0, -15], [0, 0, 3, -30], [0, 0, 0, 1.0]])
    turn = nib.orientations.ornt_transform(
        nib.orientations.axcodes2ornt("RAS"), nib.orientations.axcodes2ornt(tuple(orientation))
    )
    for name, values in (("image", np.where(labels == 1, 240, -160).astype(np.int16)), ("labels", labels)):
        image = nib.Nifti1Image(values, affine).as_reoriented(turn)
        assert "".join(nib.aff2axcodes(image.affine)) == orientation
        nib.save(image, folder / f"{name}.nii")
    volume = read_volume(
        folder / "image.nii",
        folder / "labels.nii",
        {1: "liver", 2: "spleen"},
        source="test",
        subject=orientation,
        modality="ct",
        licence="",
    )
    return cut(volume, plane, CENTRE[THROUGH[plane]] + 1)


def test_there_are_48_orientations():
    assert len(set(ORIENTATIONS)) == 48


@pytest.mark.parametrize("plane", PLANES)
@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_markers_land_where_the_patient_has_them(tmp_path, plane, orientation):
    shown = scan(tmp_path, plane, orientation)
    for convention in CONVENTIONS:
        left, top = EDGES[plane, convention]
        # The liver lies toward R, A and S: at an edge that shows one of these it comes first.
        first_across, first_down = left in "RAS", top in "RAS"
        bright = draw(shown, convention, "none", (), SOFT, 128) > 128
        assert (centre_of(bright)[0] < 64) == first_across
        assert (centre_of(bright)[1] < 64) == first_down
        for prompt in DRAWN_PROMPTS:
            picture = draw(shown, convention, prompt, ("liver", "spleen"), SOFT, 128)
            liver, spleen = (centre_of(of_colour(picture, letter)) for letter in "AB")
            assert (liver[0] < spleen[0]) == first_across, (convention, prompt)
            assert (liver[1] < spleen[1]) == first_down, (convention, prompt)
            # The marker is on the bright pixels themselves, not merely on their side of the other one.
            assert np.abs(liver - centre_of(bright)).max() < (2 if prompt in ("box", "mask") else 10), prompt
