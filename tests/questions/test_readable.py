"""Images and markers that a careful reader would accept: what is not asked, and why."""

import itertools
from dataclasses import replace

import numpy as np
import pytest

from dataset_builder.core.errors import BuildError
from dataset_builder.core.settings import ClarityLimits, Settings
from dataset_builder.questions.facts import find_facts, find_stack_facts
from dataset_builder.questions.facts.scene import Scene
from dataset_builder.questions.sampling import units
from dataset_builder.slices.selection import choose_slices, cut
from dataset_builder.slices.stacks import choose_stacks, cut_stack
from dataset_builder.slices.store import store_volume
from dataset_builder.slices.visibility import narrow_planes
from dataset_builder.sources import open_source
from dataset_builder.sources.phantoms import store_as, torso, write_nnunet
from dataset_builder.vocabulary import structures
from tests.helpers.drawn_slices import draw

WORDS = structures()
KNOWN = {
    "spleen": (10, 40, 10, 40),
    "kidney_right": (80, 110, 10, 40),
    "stomach": (10, 40, 80, 110),
    "aorta": (60, 75, 60, 75),
}


@pytest.fixture(scope="module")
def volume():
    source = open_source("phantom:1")
    return source.read(next(iter(source.cases())))


# ---------------------------------------------------------------------------------------------------------- one piece


@pytest.mark.parametrize(
    ("parts", "markable"),
    [
        ([(60, 100, 50, 90)], True),
        ([(60, 100, 50, 90), (101, 102, 60, 80)], True),  # 20 of 1,620 pixels, 1 mm away
        ([(60, 100, 50, 90), (115, 116, 60, 80)], False),  # the same ones, but the box would be a third longer
        ([(60, 100, 50, 90), (102, 105, 50, 90)], False),  # 7 % of it, near by
        ([(60, 80, 50, 90), (81, 100, 50, 90)], False),  # cut twice
        ([(60, 80, 50, 70), (80, 100, 70, 90)], True),  # they touch at a corner
    ],
)
def test_only_what_is_one_piece_is_marked(parts, markable):
    record = draw(liver=parts, spleen=(10, 40, 10, 40))
    facts = [fact for fact in find_facts(record) if "liver" in fact.structures + fact.inverse_structures]
    assert {fact.markable for fact in facts if fact.kind != "visible"} == {markable}
    asked = {unit.prompt for unit in units([facts], Settings())}
    assert asked == (set(Settings().prompts) if markable else {"none"})


def test_in_a_stack_what_is_several_pieces_in_one_image_is_not_marked():
    whole = draw(liver=(60, 100, 50, 90), spleen=(10, 40, 10, 40))
    labels = whole.labels.copy()
    labels[75:80, 50:90] = 0
    through = {1: (80.0, 90.0, 100.0), 2: (0.0, 10.0, 20.0)}
    images = [replace(whole, index=n, stack="s", through_mm=through, thickness_mm=10.0) for n in range(8)]
    for n, image in enumerate(images):
        shown = np.where(image.labels == (2 if n > 3 else 1), 0, image.labels)
        images[n] = replace(image, labels=shown)
    assert {fact.markable for fact in find_stack_facts(images)} == {True}
    images[6] = replace(images[6], labels=np.where(labels == 2, 0, labels))
    assert {fact.markable for fact in find_stack_facts(images) if "liver" in fact.structures} == {False}


# ------------------------------------------------------------------------------------------------------------- naming


def namings(record, **limits):
    return [fact for fact in find_facts(record, ClarityLimits(**limits)) if fact.kind == "naming"]


def test_no_option_fills_as_much_of_the_box_as_what_is_asked_for():
    """The liver's box holds the heart, which fills more of it than the liver does."""
    ring = draw(liver=(50, 110, 50, 110), heart=(58, 102, 58, 102), spleen=(10, 40, 10, 40), stomach=(10, 40, 80, 110))
    for fact in namings(ring):
        if "liver" in fact.structures + fact.inverse_structures:
            assert "heart" not in fact.options
    loose = namings(ring, max_rival_share=1.0, max_box_overlap=1.0, min_box_fill=0.0)
    assert any({"liver", "heart"} <= set(fact.options) for fact in loose)


def test_what_fills_little_of_its_box_is_not_named_by_a_box():
    thin = draw(colon=[(50, 110, 50, 55), (50, 55, 50, 110)], **KNOWN)
    assert all("colon" not in fact.structures + fact.inverse_structures for fact in namings(thin))
    assert any("colon" in fact.structures + fact.inverse_structures for fact in namings(thin, min_box_fill=0.0))


def test_boxes_of_naming_questions_of_a_phantom_show_their_structure_most(volume):
    asked = 0
    for plane, index in choose_slices(volume, ("axial", "coronal", "sagittal"), 9, 0):
        scene = Scene.of(cut(volume, plane, index, WORDS), ClarityLimits(), 0, WORDS)
        row = {name: i for i, name in enumerate(scene.names)}
        for fact in namings(scene.record):
            for name in (*fact.structures, *fact.inverse_structures):
                asked += 1
                filled = scene.pieces.in_box[row[name]]
                assert filled[row[name]] >= 0.25
                for other in set(fact.options) & row.keys() - {name}:
                    assert filled[row[other]] <= 0.5 * filled[row[name]]
    assert asked > 100


# ------------------------------------------------------------------------------------------------------------ visible


def test_which_is_visible_is_asked_of_what_is_large_enough():
    absent = ("heart", "urinary_bladder", "gallbladder", "trachea", "prostate")
    for size, asked in ((12, False), (13, True)):  # 144 and 169 mm2
        record = draw(spleen=(10, 10 + size, 10, 10 + size), absent=absent)
        assert any(fact.kind == "visible" for fact in find_facts(record)) == asked


def test_of_four_options_each_is_as_often_the_one_that_is_visible():
    """Names alone tell nothing: over all slices of a body, a set of four has each of its names as often right."""
    absent = ("heart", "urinary_bladder", "gallbladder", "trachea")
    record = draw(spleen=(10, 40, 10, 40), absent=absent)
    value = {name: number for number, name in record.names.items()}
    even = {value[name]: (0b11 << 2 * n, 0b11 << 2 * n) for n, name in enumerate(("spleen", *absent))}
    facts = find_facts(replace(record, seen_in=even))
    assert [fact.relation for fact in facts if fact.kind == "visible"] == ["spleen"]
    # Two that are never visible anywhere cannot be the answer, and no set of four is left without them.
    never = even | {value["heart"]: (0, 0), value["trachea"]: (0, 1)}
    assert not any(fact.kind == "visible" for fact in find_facts(replace(record, seen_in=never)))
    # Visible in many more slices than the others: asked as much less often.
    common = even | {value["spleen"]: (0b11 | 0b111111 << 20, 0b11 | 0b111111 << 20)}
    kept = sum(
        fact.kind == "visible" for seed in range(200) for fact in find_facts(replace(record, seen_in=common), seed=seed)
    )
    assert 30 <= kept <= 70  # a quarter


def test_slices_say_in_which_others_their_structures_are(volume):
    (plane, index), *_ = choose_slices(volume, ("axial",), 1, 0)
    record = cut(volume, plane, index, WORDS)
    assert set(record.seen_in) <= set(record.names)
    for visible, present in record.seen_in.values():
        assert visible & ~present == 0
        assert present < 1 << 63


# ------------------------------------------------------------------------------------------- first and last of a stack


def test_the_first_image_is_never_offered_as_first_nor_the_last_as_last(volume):
    offered = {"low_end": set(), "high_end": set(), "largest": set()}
    for plane, indices in choose_stacks(volume, ("axial", "coronal", "sagittal"), 6, 8, 0):
        for fact in find_stack_facts(cut_stack(volume, plane, indices, WORDS), ClarityLimits(), 0, WORDS):
            if fact.kind in offered:
                offered[fact.kind] |= set(fact.options)
    assert offered["low_end"] == set("1234567")
    assert offered["high_end"] == set("0123456")
    assert offered["largest"] == set("01234567")


# ---------------------------------------------------------------------------------------------------------- directions


def test_a_direction_holds_of_nine_in_ten_pairs_of_pixels(volume):
    """A ring around another structure has its middle half beyond it and many pixels on the other side."""
    hook = draw(stomach=[(20, 100, 20, 30), (20, 30, 20, 60)], spleen=(50, 60, 60, 75))
    axes = {fact.axis for fact in find_facts(hook) if fact.kind == "direction"}
    assert "anterior_posterior" in axes
    labels = hook.labels.copy()
    labels[20:30, 30:110] = 1  # its end reaches far beyond the spleen
    bent = replace(hook, labels=labels)
    loose = {fact.axis for fact in find_facts(bent, ClarityLimits(min_pair_share=0.5)) if fact.kind == "direction"}
    strict = {fact.axis for fact in find_facts(bent) if fact.kind == "direction"}
    assert strict <= loose
    for plane, index in choose_slices(volume, ("coronal",), 2, 0):
        record = cut(volume, plane, index, WORDS)
        value = {name: number for number, name in record.names.items()}
        for fact in itertools.islice((f for f in find_facts(record) if f.axis == "superior_inferior"), 0, None, 20):
            one, other = (np.argwhere(record.labels == value[name])[:, 1] for name in fact.structures)
            gaps = np.subtract.outer(one, other) * (1 if fact.relation == "superior" else -1)
            assert (gaps > 0).mean() + 0.5 * (gaps == 0).mean() >= 0.9 - 1e-9


# -------------------------------------------------------------------------------------------------------------- images


@pytest.mark.parametrize(
    ("shape", "spacing", "narrow"),
    [
        (
            (256, 180, 1),
            (1.6, 1.6, 5),
            {"coronal": "256 x 1 voxels, 410 x 5 mm", "sagittal": "180 x 1 voxels, 288 x 5 mm"},
        ),
        ((256, 180, 3), (1.6, 1.6, 5), {"coronal", "sagittal"}),
        ((256, 180, 15), (1.6, 1.6, 5), {"coronal", "sagittal"}),
        ((256, 180, 20), (1.6, 1.6, 5), set()),
        ((256, 180, 40), (1.6, 1.6, 1), {"coronal"}),  # voxels enough, but 10 times as wide as high
        ((2, 300, 300), (1, 1, 1), {"axial", "coronal"}),
        ((300, 4, 300), (1, 8, 1), {"axial", "sagittal"}),
        ((35, 50, 35), (1, 1, 1), set()),  # a hippocampus
        ((20, 20, 20), (1, 1, 1), {"axial", "coronal", "sagittal"}),
    ],
)
def test_planes_that_give_a_strip_give_no_image(volume, shape, spacing, narrow):
    small = replace(volume, image=np.zeros(shape, np.int16), labels=np.zeros(shape, np.uint8), spacing=spacing)
    found = narrow_planes(small, ("axial", "coronal", "sagittal"), ClarityLimits())
    assert (found if isinstance(narrow, dict) else set(found)) == narrow


def test_a_volume_of_three_slices_is_asked_about_in_its_own_plane_only(tmp_path):
    body = torso(0, spacing=5.0)
    middle = body.labels.shape[2] // 2
    thin = replace(body, image=body.image[..., middle : middle + 3], labels=body.labels[..., middle : middle + 3])
    write_nnunet(tmp_path, {"thin": store_as(thin, "LPS")})
    source = open_source(f"nnunet:{tmp_path}")
    (case,) = source.cases()
    volume = store_volume(source, case, Settings(slices_per_volume=9), tmp_path / "store")
    assert {record.plane for record in volume.load()} == {"axial"}


@pytest.mark.parametrize("limit", ["min_pair_share", "min_main_piece", "max_rival_share", "max_image_ratio"])
def test_limits_name_what_they_may_be(limit):
    with pytest.raises(BuildError, match=limit):
        ClarityLimits(**{limit: -1})
