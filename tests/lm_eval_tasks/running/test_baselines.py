import pytest
from lm_eval import simple_evaluate
from lm_eval.tasks import TaskManager

from lm_eval_tasks.running.baselines import ConstantAnswer, first_option
from lm_eval_tasks.running.evaluate import TASKS
from tests.helpers.tiny_dataset import write_dataset


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("Where?\nOptions: left; right\nAnswer:", "left"),
        ("Options: in front; behind", "in front"),
        ("<|im_start|>user\nWhich?\nOptions: liver; spleen; aorta; left kidney\nAnswer:<|im_end|>", "liver"),
        ("This leaf holds no question.\nAnswer:", ""),
    ],
)
def test_first_option(prompt, expected):
    assert first_option(prompt) == expected


@pytest.mark.parametrize("group", ["mis_ground", "blind_mis_ground"])
def test_a_constant_answer_gets_half_of_the_items_and_no_pair(tmp_path, group):
    folder = write_dataset(tmp_path / "ground", rows_per_cell=4)
    results = simple_evaluate(
        model=ConstantAnswer(),
        tasks=[group],
        task_manager=TaskManager(include_path=str(TASKS), include_defaults=False, metadata={"dataset": str(folder)}),
        apply_chat_template=True,
        bootstrap_iters=100,
    )
    scores = results["groups"][group]
    assert (scores["acc,none"], scores["pair_acc,none"], scores["invalid,none"]) == (0.5, 0.0, 0.0)


def test_empty_leaves_leave_the_means_alone(tmp_path):
    folder = write_dataset(tmp_path / "ground", rows_per_cell=4, modalities=["ct"])
    results = simple_evaluate(
        model=ConstantAnswer(),
        tasks=["mis_ground"],
        task_manager=TaskManager(include_path=str(TASKS), include_defaults=False, metadata={"dataset": str(folder)}),
    )
    scores = results["groups"]["mis_ground"]
    assert (scores["acc,none"], scores["pair_acc,none"], scores["invalid,none"]) == (0.5, 0.0, 0.0)
    assert scores["sample_count"]["acc,none"] == 3 * 3 * 7 * 4 + 3 * 4  # and the stacks
    for name, leaf in results["results"].items():
        if "_mri_" in name:
            assert leaf["empty,none"] == 1
            assert "acc,none" not in leaf
        elif name != "mis_ground":
            assert "empty,none" not in leaf
            assert ("pair_acc,none" in leaf) == (not name.endswith("anatomical_none"))
