import dataclasses
import subprocess
import sys

from hypothesis import given
from hypothesis import strategies as st

from dataset_builder.core.settings import Settings, digest


def test_the_fingerprint_follows_every_setting():
    base = Settings()
    changed = {
        "seed": 1,
        "planes": ("axial",),
        "prompts": ("box",),
        "terminologies": ("directional",),
        "registers": ("lay",),
        "conventions": ("ras",),
        "inputs": ("slice",),
        "views": ("plain",),
        "stacks_per_volume": 2,
        "stack_size": 6,
        "stack_questions_per_volume": None,
        "answer_types": ("box", "number"),
        "locate_questions_per_volume": 3,
        "measure_questions_per_volume": None,
        "ct_share": 0.84,
        "volumes_per_modality": 5,
        "questions_per_cell": 4,
        "slices_per_volume": 3,
        "questions_per_volume": None,
        "image_size": 256,
        "clarity": dataclasses.replace(base.clarity, min_gap_mm=9),
        "trust": ("affine",),
        "exclude": ("0123456789abcdef",),
        "statements": ("edges",),
        "option_forms": ("listed",),
    }
    assert set(changed) == {field.name for field in dataclasses.fields(Settings)}
    prints = {dataclasses.replace(base, **{name: value}).fingerprint() for name, value in changed.items()}
    assert len(prints | {base.fingerprint()}) == len(changed) + 1


def test_wording_settings_leave_the_slices_alone():
    base = Settings()
    assert dataclasses.replace(base, prompts=("box",), image_size=64).slice_fingerprint() == base.slice_fingerprint()
    assert dataclasses.replace(base, seed=1).slice_fingerprint() != base.slice_fingerprint()
    assert dataclasses.replace(base, stack_size=6).slice_fingerprint() != base.slice_fingerprint()
    no_stacks = dataclasses.replace(base, inputs=("slice", "blank"))
    assert dataclasses.replace(no_stacks, stack_size=6).slice_fingerprint() == no_stacks.slice_fingerprint()


def test_a_digest_is_the_same_in_every_process():
    code = "from dataset_builder.core.settings import digest; print(digest('a', 1, None))"
    made = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert made.stdout.strip() == digest("a", 1, None)


@given(st.lists(st.text(max_size=5), max_size=4), st.lists(st.text(max_size=5), max_size=4))
def test_different_parts_give_different_digests(one, other):
    assert (digest(*one) == digest(*other)) == (one == other)
