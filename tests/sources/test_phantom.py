import nibabel
import numpy as np
import pytest

from dataset_builder.core.factors import PLANES, TERMINOLOGIES
from dataset_builder.imaging.laterality import check_sides
from dataset_builder.questions.facts import find_facts
from dataset_builder.slices.selection import choose_slices, cut
from dataset_builder.sources import open_source
from dataset_builder.sources.phantom import DEFAULT_COUNT, make_body
from dataset_builder.sources.phantoms import ORIENTATIONS
from dataset_builder.vocabulary import structures


@pytest.fixture(scope="module")
def volumes():
    """One body of each kind."""
    source = open_source("phantom")
    return {case.subject: source.read(case) for case in source.cases()}


def test_kinds_take_turns_and_both_modalities_come_first():
    cases = list(open_source("phantom:9").cases())
    assert len({case.subject for case in cases}) == 9
    assert {case.modality for case in cases[:2]} == {"ct", "mri"}
    for case in cases:
        assert case.source == "phantom"
        assert case.licence == "CC0-1.0"
        assert case.paths == ()
        kind, what, number = case.subject.split("_")
        assert cases[int(number)] == case
        assert (case.modality, case.side) == (("mri", what) if kind == "knee" else (what, None))
    assert {case.side for case in cases} == {None, "left", "right"}
    assert len(list(open_source("phantom").cases())) == DEFAULT_COUNT
    assert list(open_source("phantom:3").cases()) == cases[:3]


def test_a_number_is_the_same_body_whoever_makes_it(volumes):
    for count in (2, 3):
        source = open_source(f"phantom:{count}")
        case = list(source.cases())[1]
        again, before = source.read(case), volumes[case.subject]
        assert np.array_equal(again.image, before.image)
        assert np.array_equal(again.labels, before.labels)
        assert np.array_equal(again.affine, before.affine)
        assert again.names == before.names


def test_individuals_and_their_scanners_differ(volumes):
    first, other = volumes["knee_left_0001"], make_body(5)
    assert first.side == other.side
    assert first.spacing != pytest.approx(other.spacing)
    assert first.image.shape != other.image.shape
    stored = {volume.stored_axes for volume in volumes.values()} | {"".join(nibabel.aff2axcodes(other.affine))}
    assert len(stored) > 3
    assert stored <= set(ORIENTATIONS)


def test_volumes_are_the_stored_bodies_as_nibabel_brings_them_to_ras(volumes):
    for subject, volume in list(volumes.items())[:2]:
        body = make_body(int(subject[-4:]))
        labels = nibabel.as_closest_canonical(nibabel.Nifti1Image(body.labels, body.affine))
        image = nibabel.as_closest_canonical(nibabel.Nifti1Image(body.image, body.affine))
        assert np.array_equal(volume.labels, np.asarray(labels.dataobj))
        assert np.array_equal(volume.image, np.asarray(image.dataobj))
        assert np.allclose(volume.affine, image.affine)
        assert volume.names == body.names


def test_sizes_are_those_of_scans(volumes):
    for volume in volumes.values():
        low, high = (1.0, 1.5) if volume.side else (2.9, 3.9)
        assert all(low - 1e-9 <= step <= high + 1e-9 for step in volume.spacing)
        assert 0 < volume.obliquity_deg < 10


def test_all_names_are_known_and_sides_are_right(volumes):
    words = structures()
    for volume in volumes.values():
        assert set(volume.names.values()) <= words.keys()
        assert set(np.unique(volume.labels)) - {0} <= volume.names.keys()
        check_sides(volume)
    for subject in ("torso_ct_0000", "torso_mri_0002"):
        volume = volumes[subject]
        value = {name: number for number, name in volume.names.items()}
        across = {name: np.argwhere(volume.labels == value[name])[:, 0].mean() for name in ("liver", "spleen")}
        assert across["liver"] - across["spleen"] > 20


def test_medial_is_towards_the_other_knee(volumes):
    for volume in (volume for volume in volumes.values() if volume.side):
        value = {name: number for number, name in volume.names.items()}
        medial, lateral = (
            np.argwhere(volume.labels == value[f"meniscus_{name}"])[:, 0].mean() for name in ("medial", "lateral")
        )
        assert (medial > lateral) == (volume.side == "left")


def test_two_bodies_are_enough_to_ask_about(volumes):
    first, second = list(volumes.values())[:2]
    for volume in (first, second):
        chosen = choose_slices(volume, PLANES, 3, seed=0)
        assert {plane for plane, _ in chosen} == set(PLANES)
        facts = [fact for plane, index in chosen for fact in find_facts(cut(volume, plane, index))]
        assert {fact.terminology for fact in facts} == set(TERMINOLOGIES)
        assert len(facts) > 20
