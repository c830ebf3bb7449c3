"""An oracle that sees only images and questions is always right, through the harness and the real tasks.

So markers, images, wording, answers and the harness's way of handing images to a model agree; and it fails as soon
as images are exchanged or mirrored, so that the agreement is no accident.
"""

from collections import Counter
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from lm_eval import simple_evaluate
from lm_eval.tasks import TaskManager

from dataset_builder.building.builder import build
from dataset_builder.core.factors import CONVENTIONS, DRAWN_PROMPTS, FRAMES, MODALITIES, PLANES, REGISTERS, TURNED_VIEWS
from dataset_builder.core.settings import Settings
from dataset_builder.sources import open_source
from lm_eval_tasks.running.evaluate import TASKS
from tests.helpers import oracle  # noqa: F401 - registers the model

LEAVES = [f"mis_ground_{m}_{p}_directional_{prompt}" for m, p, prompt in product(MODALITIES, PLANES, DRAWN_PROMPTS)]
SOME = LEAVES[::5]
"""Of every prompt, plane and modality."""
CONTROLS = [
    *(f"mis_ground_blank_{prompt}" for prompt in DRAWN_PROMPTS),
    *(f"mis_ground_view_{v}" for v in TURNED_VIEWS),
]


def built(out: Path, **settings: Any) -> Path:
    """The real CT and MR, a phantom torso and a phantom knee."""
    common = {"slices_per_volume": 6, "prompts": DRAWN_PROMPTS, "terminologies": ("directional",), "image_size": 256}
    common["answer_types"] = ("choice",)
    build([open_source("sample"), open_source("phantom:2")], out, Settings(**common | settings))
    return out


@pytest.fixture(scope="module")
def ground(tmp_path_factory, sample_folder) -> Path:
    out = tmp_path_factory.mktemp("oracle") / "mis-ground"
    return built(out, questions_per_volume=336, inputs=("slice",), views=("plain",))


@pytest.fixture(scope="module")
def controls(tmp_path_factory, sample_folder) -> Path:
    out = tmp_path_factory.mktemp("controls") / "mis-ground"
    return built(out, questions_per_volume=96, inputs=("slice", "blank"))


@pytest.fixture(scope="module")
def stacks(tmp_path_factory, sample_folder) -> Path:
    out = tmp_path_factory.mktemp("stacks") / "mis-ground"
    of_stacks = {"stacks_per_volume": 3, "stack_size": 5, "stack_questions_per_volume": 96}
    return built(out, inputs=("stack",), terminologies=("directional", "relational"), **of_stacks)


def asked(ground: Path, leaves: list[str], images: str = "own", limit: int | None = None) -> list[dict]:
    """The harness's samples of the items that an image can tell."""
    results = simple_evaluate(
        model="mis-ground-oracle",
        model_args={"images": images},
        tasks=leaves,
        task_manager=TaskManager(include_path=str(TASKS), include_defaults=False, metadata={"dataset": str(ground)}),
        apply_chat_template=True,
        limit=limit,
        bootstrap_iters=0,
    )
    samples = [sample for of_leaf in results["samples"].values() for sample in of_leaf]
    samples = [sample for sample in samples if not sample["doc"].get("empty")]
    untold = [sample for sample in samples if sample["doc"]["relation"] in ("medial", "lateral")]
    assert all(sample["invalid"] == 1 for sample in untold), "the oracle does not guess"
    assert len(untold) < len(samples) / 3
    return [sample for sample in samples if sample["doc"]["relation"] not in ("medial", "lateral")]


def share(samples: list[dict]) -> float:
    return sum(sample["acc"] for sample in samples) / len(samples)


def test_the_oracle_is_always_right(ground):
    samples = asked(ground, LEAVES)
    wrong = [
        (sample["doc"]["id"], sample["doc"]["question"], sample["resps"]) for sample in samples if not sample["acc"]
    ]
    assert not wrong
    assert len(samples) > 1000
    cells = Counter(
        tuple(sample["doc"][name] for name in ("frame", "convention", "register", "plane")) for sample in samples
    )
    assert cells.keys() == set(product(FRAMES, CONVENTIONS, REGISTERS, PLANES))
    assert min(cells.values()) >= 10
    prompts = Counter((sample["doc"]["prompt"], sample["doc"]["frame"]) for sample in samples)
    assert min(prompts[cell] for cell in product(DRAWN_PROMPTS, FRAMES)) >= 50
    relations = {sample["doc"]["relation"] for sample in samples}
    assert relations == {
        *("right", "left", "anterior", "posterior", "superior", "inferior", "proximal", "distal"),
    }
    assert {sample["doc"]["source"] for sample in samples} == {"sample", "phantom"}


def test_it_is_right_on_the_controls_too(controls):
    """Markers on an empty canvas, and images that were mirrored or turned."""
    samples = asked(controls, CONTROLS)
    assert share(samples) == 1
    kinds = Counter((sample["doc"]["input"], sample["doc"]["view"], sample["doc"]["frame"]) for sample in samples)
    assert min(kinds["blank", "plain", frame] for frame in FRAMES) >= 50
    assert min(kinds["slice", view, frame] for view, frame in product(TURNED_VIEWS, FRAMES)) >= 20


STACKS = [f"mis_ground_stack_{modality}_{plane}" for modality, plane in product(MODALITIES, PLANES)]


def asked_of_stacks(ground: Path, images: str = "own") -> list[dict]:
    """The harness's samples of the stacks that the oracle answers."""
    results = simple_evaluate(
        model="mis-ground-oracle",
        model_args={"images": images},
        tasks=STACKS,
        task_manager=TaskManager(include_path=str(TASKS), include_defaults=False, metadata={"dataset": str(ground)}),
        apply_chat_template=True,
        bootstrap_iters=0,
    )
    samples = [sample for of_leaf in results["samples"].values() for sample in of_leaf]
    return [sample for sample in samples if not sample["doc"].get("empty") and sample["resps"][0][0]]


def test_the_images_of_a_stack_reach_a_model_in_order(stacks):
    samples = asked_of_stacks(stacks)
    wrong = [
        (sample["doc"]["question"], sample["doc"]["answer"], sample["resps"]) for sample in samples if not sample["acc"]
    ]
    assert not wrong
    assert len(samples) > 100
    kinds = Counter(sample["doc"]["template"].split(".")[0] for sample in samples)
    assert kinds.keys() >= {"first", "last", "order"}
    assert len(kinds.keys() & {"right_left", "anterior_posterior", "superior_inferior"}) >= 2
    orders = Counter(
        sample["doc"]["stack_order"] for sample in samples if sample["doc"]["terminology"] == "directional"
    )
    assert min(orders["ascending"], orders["descending"]) >= 5
    turned_round = asked_of_stacks(stacks, "reversed")
    directions = [sample for sample in turned_round if sample["doc"]["terminology"] == "directional"]
    assert directions
    assert share(directions) == 0


def test_it_is_always_wrong_with_the_images_of_the_opposite_questions(ground):
    assert share(asked(ground, SOME, "partner")) == 0


def test_it_guesses_with_the_images_of_other_questions(ground):
    samples = asked(ground, SOME, "shuffled")
    assert 0.4 < share(samples) < 0.6
    pairs: dict[str, list[float]] = {}
    for sample in samples:
        pairs.setdefault(sample["doc"]["pair_id"], []).append(sample["acc"])
    assert sum(map(min, pairs.values())) / len(pairs) < 0.4


def test_it_notices_a_mirrored_image(ground):
    """Were images mirrored on their way to a model, every question along the image's horizontal would go wrong."""
    samples = asked(ground, SOME, "mirrored")
    horizontal = {"axial": ("right", "left"), "coronal": ("right", "left"), "sagittal": ("anterior", "posterior")}
    for sample in samples:
        sideways = sample["doc"]["relation"] in horizontal[sample["doc"]["plane"]]
        assert sample["acc"] == (0 if sideways else 1)
