"""Labels of an RTSTRUCT: contours become the voxels within them, or are refused."""

import numpy as np
import pytest

from dataset_builder.core.errors import AffineMismatchError, UnreadableError
from tests.helpers import dicom_files as dicom
from tests.helpers.dicom_body import AFFINE, NAMES, SHAPE, laid

OBLIQUE = np.array([[0.98, -0.17, -0.08, 5], [0.17, 0.98, -0.02, 0], [0.08, 0.01, 0.99, 9], [0, 0, 0, 1]])
OBLIQUE[:3, :3] = np.linalg.qr(OBLIQUE[:3, :3])[0] @ np.diag(np.sign(np.diag(np.linalg.qr(OBLIQUE[:3, :3])[1])))


@pytest.mark.parametrize("keyhole", [False, True])
@pytest.mark.parametrize("affine", [AFFINE, AFFINE @ np.diag([1, 1, -1, 1.0]), OBLIQUE @ AFFINE])
def test_holes_and_islands_on_voxels_that_are_not_square(read, image, labels, keyhole, affine):
    images = dicom.series(image, affine)
    volume = read(images, [dicom.structure_set(images, labels, affine, NAMES, keyhole=keyhole)])
    found = volume.labels[::-1, ::-1, :: int(np.sign(affine[2, 2]))]
    assert np.array_equal(found == 1, labels == 1)
    assert np.array_equal(found == 2, labels == 2)


def circle(centre: tuple[float, float], radius: float, z: float, count: int = 180) -> list[str]:
    angle = np.linspace(0, 2 * np.pi, count, endpoint=False)
    points = np.column_stack(
        [centre[0] + radius * np.cos(angle), centre[1] + radius * np.sin(angle), np.full(count, z)]
    )
    return [f"{value:.4f}" for value in points.ravel()]


def drawn(images, *planes: tuple[float, list[list[str]]]):
    """A structure set of a liver with these contours, in mm (LPS)."""
    made = dicom.structure_set(images, np.zeros(SHAPE, np.uint8), AFFINE, {1: "liver"})
    for _, contours in planes:
        for data in contours:
            contour = dicom.Dataset()
            contour.ContourGeometricType, contour.ContourData = "CLOSED_PLANAR", data
            made.ROIContourSequence[0].ContourSequence.append(contour)
    return made


def test_a_circle_has_its_area_and_its_centre(read, images):
    """True outlines, not through voxel centres: 12 mm around a point between voxels, of 2 x 1.5 mm voxels."""
    volume = read(images, [drawn(images, *((z, [circle((-5.3, -5.6), 12, z)]) for z in (-91, -88, -85)))])
    mask = volume.labels == 1
    assert mask.any(axis=(0, 1)).nonzero()[0].tolist() == [3, 4, 5]
    assert mask[..., 4].sum() * 3.0 == pytest.approx(np.pi * 144, rel=0.02)
    centre = volume.affine @ [*np.argwhere(mask[..., 4]).mean(axis=0), 4, 1]
    assert centre[:2] == pytest.approx([5.3, 5.6], abs=0.15)


def test_a_hole_has_its_area_too(read, images):
    volume = read(images, [drawn(images, (-88, [circle((-7, -6), 14, -88), circle((-7, -6), 8, -88)]))])
    assert (volume.labels == 1).sum() * 3.0 == pytest.approx(np.pi * (196 - 64), rel=0.03)


def test_contours_that_touch_or_overlap_are_joined_and_one_given_twice_counts_once(read, images):
    one = circle((-4, 0), 8, -88)
    volume = read(images, [drawn(images, (-88, [one, circle((4, 0), 8, -88), one]))])
    row = (volume.labels[:, 10 - 1, 4] == 1).nonzero()[0]
    assert len(row) == row[-1] - row[0] + 1 >= 11


def test_contours_between_slices_and_on_every_third_slice(read, images, labels):
    """Planes 9 mm apart, none on a slice: each slice takes the nearest one, none beyond half of their distance."""
    volume = read(images, [drawn(images, *((z, [circle((0, 0), 10, z)]) for z in (-93.2, -84.2, -75.2)))])
    filled = (volume.labels == 1).any(axis=(0, 1)).nonzero()[0]
    assert filled.tolist() == [*range(1, 10)]  # from -97 to -71 mm


def test_regions_that_are_no_organs_are_left_out_and_points_count_as_nothing(read, images, labels):
    names = {**NAMES, 3: "PTV 54Gy", 4: "BODY", 5: "Couch"}
    types = {3: "PTV", 4: "EXTERNAL", 5: "SUPPORT"}
    body = labels.copy()
    body[20:, 15:] = 3
    made = dicom.structure_set(images, body, AFFINE, names, types)
    point = dicom.Dataset()
    point.ContourGeometricType, point.ContourData = "POINT", ["0", "0", "-88"]
    made.ROIContourSequence[0].ContourSequence.append(point)
    volume = read(images, [made])
    laid(volume, labels)
    assert volume.ignored == ("EXTERNAL region", "PTV region", "SUPPORT region")


def test_contours_across_the_slices_beyond_the_image_or_damaged_are_refused(read, images):
    across = [f"{v}" for point in ((0, 0, -95), (0, 5, -80), (0, -5, -75)) for v in point]
    with pytest.raises(AffineMismatchError, match="across the slices"):
        read(images, [drawn(images, (0, [across]))])
    with pytest.raises(AffineMismatchError, match="beyond the image"):
        read(images, [drawn(images, (0, [circle((60, 0), 10, -88)]))])
    with pytest.raises(UnreadableError, match="not made of points"):
        read(images, [drawn(images, (0, [["1", "2", "3", "4"]]))])
