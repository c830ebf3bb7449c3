"""Lesions in scans as the Medical Segmentation Decathlon has them, planted in known places of phantoms.

What is asked is worked out again from where the ball was planted and from voxels in world coordinates.
"""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from dataset_builder.core.factors import DRAWN_PROMPTS, PROMPTS
from dataset_builder.core.settings import Settings
from dataset_builder.imaging.geometry import IN_PLANE_AXES, PLANE_AXIS
from dataset_builder.imaging.volume import volume_from_arrays
from dataset_builder.questions.facts import find_facts
from dataset_builder.questions.facts.lesion_facts import OF_LESIONS
from dataset_builder.questions.sampling import fits, frames_of, units
from dataset_builder.questions.slice_questions import ask
from dataset_builder.slices.selection import choose_slices, cut
from dataset_builder.slices.visibility import scan_sha256
from dataset_builder.sources import open_source
from dataset_builder.sources.phantoms import ORIENTATIONS, torso, write_nnunet
from dataset_builder.vocabulary import structures
from tests.helpers.audit_volumes import audit_volumes
from tests.helpers.lesions import planted, write_decathlon

WORDS = structures()
AXES = {
    "right": (0, 1),
    "left": (0, -1),
    "anterior": (1, 1),
    "posterior": (1, -1),
    "superior": (2, 1),
    "inferior": (2, -1),
}
TASKS = {
    "Task03_Liver": ("liver", "liver", (0.5, 0.3, 0.4), 20, {1: "liver", 2: "cancer"}),
    "Task07_Pancreas": ("pancreas", "pancreas", (-0.6, 0.0, 0.0), 14, {1: "pancreas", 2: "cancer"}),
}


@pytest.fixture(scope="module")
def body():
    return torso(1, spacing=5.0, coverage="abdomen")


def drawn_by_values(volume):
    """As a slice store keeps a private scan: what is drawn does not depend on its pseudonym, another in each run."""
    return replace(volume, scan_sha256=scan_sha256(volume.image))


@pytest.fixture(scope="module", params=TASKS)
def task(request, tmp_path_factory, body):
    """A task of the Decathlon with one case: its organ, where the ball is in the world, the volume as it is read."""
    prefix, organ, toward, radius, labels = TASKS[request.param]
    phantom, centre = planted(body, organ, toward, radius)
    folder = tmp_path_factory.mktemp("msd") / request.param
    write_decathlon(folder, {f"{prefix}_001": phantom}, labels, {organ: 1, "tumour": 2})
    source = open_source(f"nnunet:{folder}")
    (case,) = source.cases()
    return organ, centre, drawn_by_values(source.read(case))


@pytest.fixture(scope="module")
def whole(tmp_path_factory, body):
    """A scan with every organ labelled and a tumour in the liver."""
    phantom, centre = planted(body, "liver", (0.5, 0.3, 0.4), 20)
    folder = tmp_path_factory.mktemp("whole")
    write_nnunet(folder, {"one": phantom})
    source = open_source(f"nnunet:{folder}")
    (case,) = source.cases()
    return centre, drawn_by_values(source.read(case))


def records_of(volume, count=9):
    return [
        cut(volume, plane, index) for plane, index in choose_slices(volume, ("axial", "coronal", "sagittal"), count, 0)
    ]


def world_of(record, mask):
    """World mm of the middle of a mask in a slice, by the affine alone."""
    first, second = IN_PLANE_AXES[record.plane]
    at = np.zeros((int(mask.sum()), 3))
    at[:, [first, second]], at[:, PLANE_AXIS[record.plane]] = np.argwhere(mask), record.index
    return (at @ record.affine[:3, :3].T + record.affine[:3, 3]).mean(axis=0)


def test_a_task_of_the_decathlon_is_asked_in_which_half_of_the_organ_the_cancer_lies(task):
    organ, centre, volume = task
    assert set(volume.names.values()) == {organ, "cancer"}
    asked = Counter()
    for record in records_of(volume):
        values = {name: value for value, name in record.names.items()}
        of_cancer, of_organ = (record.labels == values[name] for name in ("cancer", organ))
        facts = find_facts(record)
        assert {fact.kind for fact in facts} <= {"centre"}  # of two labels nothing else is worth asking
        for fact in facts:
            asked[record.plane, fact.axis] += 1
            gap = world_of(record, of_cancer) - world_of(record, of_cancer | of_organ)
            for names, relation in (
                (fact.structures, fact.relation),
                (fact.inverse_structures, fact.inverse_relation),
            ):
                axis, sign = AXES[relation]
                way = sign if names == ("cancer", organ) else -sign
                assert way * gap[axis] >= 8.0 - 1e-6
                assert fact.margin_mm == pytest.approx(abs(gap[axis]))
                # and where the ball was put: it lies on that side of the slice's organ
                assert way * (centre[axis] - world_of(record, of_organ | of_cancer)[axis]) > 0
    planes = {plane for plane, _ in asked}
    assert planes == {"axial", "coronal", "sagittal"} if organ == "liver" else planes


def test_everything_is_asked_of_a_lesion_among_organs(whole):
    centre, volume = whole
    kinds = Counter()
    for record in records_of(volume):
        for fact in find_facts(record):
            if "tumour" not in {*fact.structures, *fact.inverse_structures}:
                continue
            kinds[fact.kind] += 1
            items = {fact.structures: fact.relation, fact.inverse_structures: fact.inverse_relation}
            if fact.kind == "belonging":
                assert items["tumour",] == "liver"
            if fact.kind == "inside":
                assert {relation: names[1] for names, relation in items.items()}["within"] == "liver"
                assert not fact.nameable
            if fact.kind == "body_side":
                right = centre[0] > record.affine[0, 3] + record.midline_mm * np.sign(record.affine[0, 0])
                assert items["tumour",] == ("right" if right else "left")
                other = next(names[0] for names in items if names != ("tumour",))
                assert fact.nameable == (WORDS[other].side is None)
    assert set(kinds) >= OF_LESIONS | {"direction", "nearer", "adjacency"}
    assert not set(kinds) & {"size", "enclosure", "naming", "visible"}


def test_a_pair_says_the_same_words_so_that_nothing_can_be_guessed(whole):
    """With markers the two rows have one text and opposite answers: whoever does not look gets half of them."""
    _, volume = whole
    asked = Settings(questions_per_volume=None, image_size=64, prompts=("mask",), answer_types=("choice",))
    records = records_of(volume, 5)
    found = Counter()
    for unit in units([find_facts(record) for record in records], asked):
        if unit.fact.kind not in OF_LESIONS:
            continue
        one, other = ask(unit, records[unit.position], asked, WORDS)
        assert one.question == other.question
        assert one.answer != other.answer
        assert one.prior_answer == other.prior_answer == ""
        found[unit.fact.kind] += 1
    assert set(found) == OF_LESIONS


def test_yes_or_no_about_a_lesion_has_no_prior_answer(whole):
    """Anatomy says nothing of where a lesion lies, in whatever form it is asked."""
    _, volume = whole
    asked = Settings(questions_per_volume=None, image_size=64, prompts=("mask",), answer_types=("choice",))
    records = records_of(volume, 3)
    found = Counter()
    for unit in units([find_facts(record) for record in records], asked):
        if unit.fact.terminology == "directional" and unit.fact.kind == "direction":
            about_lesion = "tumour" in unit.fact.structures
            for question in ask(replace(unit, option_form="yes_no"), records[unit.position], asked, WORDS):
                assert question.options in (("yes", "no"), ("no", "yes"))
                assert (question.prior_answer == "") == about_lesion
                found[unit.frame, about_lesion] += 1
    assert len(found) == 4, "lesions and others, in the patient and in the image"


def test_of_four_structures_each_is_right_once(whole):
    _, volume = whole
    for record in records_of(volume):
        right = Counter()
        for fact in find_facts(record):
            if fact.kind == "belonging":
                assert len(fact.options) == 4
                right.update((fact.options, name) for name in (fact.relation, fact.inverse_relation))
        assert set(right.values()) <= {1}
        assert all(sum(options == other for other, _ in right) == 4 for options, _ in right)


def test_by_name_nothing_is_asked_that_the_names_say(whole):
    _, volume = whole
    names = {value: "kidney_cyst_right" if name == "tumour" else name for value, name in volume.names.items()}
    facts = [fact for record in records_of(replace(volume, names=names), 6) for fact in find_facts(record)]
    about = [fact for fact in facts if "kidney_cyst_right" in {*fact.structures, *fact.inverse_structures}]
    assert about
    assert not {"inside", "belonging", "centre"} & {
        fact.kind for fact in about
    }  # it says the kidney, and lies in the liver
    for fact in about:
        assert fits(fact, "none") == (fact.kind != "body_side")


def test_frames_and_prompts(whole):
    _, volume = whole
    for record in records_of(volume, 3):
        for fact in find_facts(record):
            if fact.kind == "image_half":
                assert frames_of(fact) == ("image",)
            if fact.kind == "body_side":
                assert frames_of(fact) == ("patient",)
            if fact.kind == "belonging":
                assert [prompt for prompt in PROMPTS if fits(fact, prompt)] == list(PROMPTS[1:])
                assert set(DRAWN_PROMPTS) <= set(PROMPTS[1:])


# Left and right, however the scan is stored --------------------------------------------------------------------------


def small_scan():
    """A spine, a liver on the right with a tumour in its right front part, a spleen on the left: RAS, 6 mm."""
    labels = np.zeros((44, 36, 12), np.uint8)
    labels[20:24, 4:9] = 1
    labels[25:40, 8:30, 1:11] = 2
    labels[34:38, 22:27, 3:9] = 3
    labels[3:9, 6:18, 2:10] = 4
    labels[10:17, 20:30, 2:10] = 5
    names = {1: "vertebrae_L1", 2: "liver", 3: "cancer", 4: "spleen", 5: "stomach"}
    return labels, names, np.diag([6.0, 6.0, 6.0, 1.0])


@pytest.mark.parametrize("stored", ORIENTATIONS)
def test_side_and_half_do_not_depend_on_how_the_scan_is_stored(stored):
    labels, names, affine = small_scan()
    image = np.where(labels > 0, labels.astype(np.int16) * 40, -900).astype(np.int16)
    order = [next(k for k, pair in enumerate(("RL", "AP", "SI")) if letter in pair) for letter in stored]
    flipped = [letter in "LPI" for letter in stored]
    turned = affine[:, [*order, 3]].copy()
    arrays = []
    for array in (image, labels):
        array = array.transpose(order)
        arrays.append(np.flip(array, [axis for axis in range(3) if flipped[axis]]))
    for axis in range(3):
        if flipped[axis]:
            turned[:3, 3] += turned[:3, axis] * (arrays[0].shape[axis] - 1)
            turned[:3, axis] *= -1
    identity = {"source": "test", "subject": "one", "modality": "ct", "licence": ""}
    volume = volume_from_arrays(*map(np.ascontiguousarray, arrays), names, turned, **identity)
    said = {}
    for fact in find_facts(cut(volume, "axial", 6)):
        if fact.kind in ("body_side", "centre"):
            said[fact.structures, fact.axis] = fact.relation
            said[fact.inverse_structures, fact.axis] = fact.inverse_relation
    assert said[("cancer",), None] == "right"
    assert said[("cancer", "liver"), "right_left"] == "right"
    assert said[("cancer", "liver"), "medial_lateral"] == "lateral"
    assert said[("liver", "cancer"), "anterior_posterior"] == "posterior"


# The audit -----------------------------------------------------------------------------------------------------------


def test_the_audit_accepts_what_is_asked(whole):
    _, volume = whole
    few = Settings(
        slices_per_volume=3,
        questions_per_volume=120,
        stack_size=6,
        stack_questions_per_volume=12,
        image_size=96,
        answer_types=("choice",),
    )
    count, found = audit_volumes([volume], few)
    assert found == {}
    assert count > 100
