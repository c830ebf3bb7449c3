"""The same scan, whichever way it comes in: equal voxels, labels, questions, answers and boxes."""

import copy
import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import pytest
from pydicom.uid import JPEG2000Lossless, JPEGLSLossless, RLELossless

from dataset_builder.building.rows import volume_rows
from dataset_builder.core.settings import Settings
from dataset_builder.imaging.volume import Volume, volume_from_arrays
from dataset_builder.slices.store import store_volume
from dataset_builder.sources import open_source
from dataset_builder.sources.base import Case, Source
from dataset_builder.sources.sample import Sample
from tests.helpers import dicom_files as dicom

SETTINGS = Settings(slices_per_volume=3, stacks_per_volume=1, stack_size=4, image_size=128, answer_types=("choice",))


LARGEST = 10
"""So many structures of a scan are kept: what is tested does not depend on their number, but time does."""


class _Given:
    """A volume as a source, under one name whatever it was: the name decides which questions are drawn."""

    name, licence, citation, url = "given", "unknown", "", ""

    def __init__(self, volume: Volume) -> None:
        self.volume = replace(volume, source="given", subject="one", licence="unknown")

    def read(self, case: Case) -> Volume:
        return self.volume


def asked(volume: Volume, store: Path) -> list[dict]:
    """Its rows, as a build makes them."""
    case = Case("given", "one", volume.modality, "unknown")
    stored = store_volume(_Given(volume), case, SETTINGS, store)
    return list(volume_rows(stored, SETTINGS))


def written(folder: Path, *groups: list) -> tuple[Source, Case]:
    """A folder with these files, and its one case."""
    for number, group in enumerate(groups):
        dicom.save(group, folder / f"x{number}" / "y")
    source = open_source(f"dicom:{folder}")
    (case,) = source.cases()
    return source, case


def by_name(volume: Volume) -> dict[str, np.ndarray]:
    """Voxels of each structure that has some."""
    return {name: volume.labels == value for value, name in volume.names.items() if (volume.labels == value).any()}


def assert_same(rows: list[dict], expected: list[dict]) -> None:
    """Equal rows to the byte, but for the last digits of a distance."""
    assert [{**row, "margin_mm": None} for row in rows] == [{**row, "margin_mm": None} for row in expected]
    for row, other in zip(rows, expected, strict=True):
        assert row["margin_mm"] == pytest.approx(other["margin_mm"], abs=1e-3)


class Scan:
    """A scan of the sample with its largest structures, as arrays, and what is asked of it when it comes as arrays."""

    def __init__(self, volume: Volume, store: Path) -> None:
        counts = np.bincount(volume.labels.ravel())
        present = [value for value in np.argsort(-counts)[: LARGEST + 1] if value and counts[value]]
        order = sorted(present, key=lambda value: volume.names[value])
        labels = np.zeros_like(volume.labels)
        for number, value in enumerate(order, 1):
            labels[volume.labels == value] = number
        self.names = {number: volume.names[value] for number, value in enumerate(order, 1)}
        self.image, self.labels, self.affine = volume.image, labels, volume.affine
        self.modality = "CT" if volume.modality == "ct" else "MR"
        self.volume = volume_from_arrays(
            self.image, labels, self.names, self.affine, source="s", subject="s", modality=volume.modality, licence=""
        )
        self.rows = asked(self.volume, store)
        self.images = dicom.series(self.image, self.affine, self.modality)
        self.segments = [dicom.segment(number, name) for number, name in self.names.items()]
        self.seg = dicom.segmentation(self.images, labels, self.segments)


@pytest.fixture(scope="module")
def scans(sample_folder, tmp_path_factory) -> dict[str, Scan]:
    source = Sample()
    cases = {case.subject: case for case in source.cases()}
    return {
        name: Scan(source.read(cases[f"example_{name}_sm"]), tmp_path_factory.mktemp(name)) for name in ("ct", "mr")
    }


def turned(scan: Scan, flips: tuple[int, ...]) -> Scan:
    """The same scan, stored with these array axes reversed."""
    affine = scan.affine.copy()
    image, labels = scan.image, scan.labels
    for axis in flips:
        affine[:3, 3] += affine[:3, axis] * (scan.image.shape[axis] - 1)
        affine[:3, axis] *= -1
        image, labels = np.flip(image, axis), np.flip(labels, axis)
    other = copy.copy(scan)
    other.image, other.labels, other.affine = image, labels, affine
    other.images = dicom.series(image, affine, scan.modality)
    other.seg = dicom.segmentation(other.images, labels, scan.segments)
    return other


def compressed(images: list, syntax: str) -> list:
    made = copy.deepcopy(images)
    for one in made:
        one.compress(syntax, generate_instance_uid=False)
    return made


def shuffled(items: list) -> list:
    return random.Random(3).sample(items, len(items))


def ways(scan: Scan) -> Iterator[tuple[str, list, list]]:
    """Name, images and segmentations."""
    yield "series and SEG", scan.images, [scan.seg]
    yield "files in another order", shuffled(scan.images), [scan.seg]
    yield "label map", scan.images, [dicom.segmentation(scan.images, scan.labels, scan.segments, "LABELMAP")]
    yield (
        "several SEG",
        scan.images,
        [
            dicom.segmentation(
                scan.images, scan.labels, dicom.renumbered(scan.segments[::2]), values=[*scan.names][::2]
            ),
            dicom.segmentation(
                scan.images, scan.labels, dicom.renumbered(scan.segments[1::2]), values=[*scan.names][1::2]
            ),
        ],
    )
    yield "RTSTRUCT", scan.images, [dicom.structure_set(scan.images, scan.labels, scan.affine, scan.names)]
    yield (
        "RTSTRUCT with keyholes",
        scan.images,
        [dicom.structure_set(scan.images, scan.labels, scan.affine, scan.names, keyhole=True)],
    )
    yield "multi-frame", [dicom.multiframe(scan.images, shuffled([*range(len(scan.images))]))], [scan.seg]
    for name, flips in (("slices downward", (2,)), ("stored LPS", (0, 1)), ("all reversed", (0, 1, 2))):
        other = turned(scan, flips)
        yield name, other.images, [other.seg]
    yield (
        "RTSTRUCT, slices downward",
        other.images,
        [dicom.structure_set(other.images, other.labels, other.affine, scan.names)],
    )
    for syntax in (RLELossless, JPEG2000Lossless, JPEGLSLossless):
        yield syntax.name, compressed(scan.images, syntax), [scan.seg]


@pytest.mark.parametrize("of", ["ct", "mr"])
def test_a_scan_gives_the_same_questions_whichever_way_it_comes(scans, tmp_path, of):
    scan = scans[of]
    expected = by_name(scan.volume)
    for count, (name, images, labels) in enumerate(ways(scan)):
        if of == "mr" and count >= 5:
            break  # what is left does not depend on what is shown
        source, case = written(tmp_path / str(count), images, labels)
        volume = source.read(case)
        assert np.array_equal(volume.image, scan.volume.image), name
        assert np.allclose(volume.affine, scan.volume.affine, atol=1e-4), name
        found = by_name(volume)
        assert found.keys() == expected.keys(), name
        for structure, mask in expected.items():
            assert np.array_equal(found[structure], mask), (name, structure)
        if count in (0, 4, 6):  # equal voxels are equal questions; that is looked at for SEG, contours and multi-frame
            assert_same(asked(volume, tmp_path / f"store{count}"), scan.rows)
    assert len(scan.rows) > 20


def test_an_oblique_scan_gives_the_questions_of_the_nifti_file(scans, tmp_path):
    """Turned by 12 and 7 degrees, no axis along the patient's: through NIfTI and through DICOM the same comes out."""
    scan = scans["ct"]
    a, b = np.radians(12), np.radians(7)
    turn = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]]) @ np.array(
        [[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]]
    )
    affine = np.eye(4)
    affine[:3] = turn @ scan.affine[:3]
    folder = tmp_path / "nifti"
    for place, values in (("imagesTr/one_0000.nii.gz", scan.image), ("labelsTr/one.nii.gz", scan.labels)):
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        made = nibabel.Nifti1Image(np.ascontiguousarray(values), affine)
        made.set_sform(affine, 1)
        made.set_qform(affine, 1)
        nibabel.save(made, folder / place)
    labels = ", ".join(f'"{name}": {value}' for value, name in scan.names.items())
    (folder / "dataset.json").write_text(
        f'{{"channel_names": {{"0": "CT"}}, "labels": {{"background": 0, {labels}}}, "file_ending": ".nii.gz"}}'
    )
    nnunet = open_source(f"nnunet:{folder}", keep_names=True)
    known = nnunet.read(next(iter(nnunet.cases())))
    images = dicom.series(scan.image, affine)
    source, case = written(tmp_path / "dicom", images, [dicom.segmentation(images, scan.labels, scan.segments)])
    volume = source.read(case)
    assert volume.obliquity_deg == pytest.approx(known.obliquity_deg, abs=1e-3)
    assert np.array_equal(volume.image, known.image)
    assert_same(*(asked(one, tmp_path / f"store{number}") for number, one in enumerate((volume, known))))
