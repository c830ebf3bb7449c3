"""Plans: what is read, what is refused and how, and what a hash depends on."""

from pathlib import Path

import pytest
import yaml

from dataset_builder.core.errors import MISGroundError
from lm_eval_tasks.study.command import power_line, share_of, write_template
from lm_eval_tasks.study.plan import arms_of, read_plan, template

PLANS = sorted((Path(__file__).parents[3] / "docs" / "plans").glob("*.yaml"))


def written(folder: Path, change=lambda plan: None) -> Path:
    plan = yaml.safe_load(template())
    change(plan)
    path = folder / "plan.yaml"
    path.write_text(yaml.safe_dump(plan, sort_keys=False), encoding="utf-8")
    return path


def test_the_template_is_a_plan_with_every_arm(tmp_path):
    from semsam.arms import ARMS

    path = write_template(tmp_path / "plan.yaml")
    plan = read_plan(path)
    assert {arm.rule for arm in plan.arms} == set(ARMS)
    assert arms_of(plan, "small") == (list(plan.arms), {})
    with pytest.raises(MISGroundError, match="There is a file already"):
        write_template(path)


@pytest.mark.parametrize("path", PLANS, ids=lambda path: path.stem)
def test_the_plans_of_docs_can_be_read(path):
    plan = read_plan(path)
    able, unable = arms_of(plan, plan.primary.model)
    assert {plan.primary.arm, plan.primary.against, "k1", "shuffled"} <= {arm.name for arm in able}
    assert not set(unable) & {arm.name for arm in able}


def test_the_hash_is_of_what_the_plan_says(tmp_path):
    first = read_plan(written(tmp_path)).hash
    path = written(tmp_path)
    path.write_text("# a comment\n" + path.read_text(), encoding="utf-8")
    assert read_plan(path).hash == first
    assert read_plan(written(tmp_path, lambda plan: plan["arms"]["semsam"].update(k=8))).hash != first


def changed(*keys: str, to):
    def change(plan):
        for key in keys[:-1]:
            plan = plan[key]
        plan[keys[-1]] = to

    return change


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (changed("arms", "semsam", "kk", to=3), r"arm 'semsam': .*no such setting.*found: kk"),
        (changed("arms", "new", to={"rule": "best"}), r"arm 'new': There is no such arm.*best"),
        (changed("arms", "min-p", "seeds", to=0), r"seeds of the arm 'min-p'.*found: 0"),
        (changed("arms", to=["greedy"]), r"Arms must be a mapping"),
        (changed("primary", "arm", to="semsan"), r"'arm' of the primary comparison is not in the plan.*semsan"),
        (changed("primary", "against", to="semsam"), r"compares an arm with itself"),
        (changed("primary", "modell", to="a"), r"no such entry in primary.*Did you mean 'model'"),
        (changed("tasks", to=["mis_ground_tag_directionl"]), r"no task with this name.*directionl.*Did you mean"),
        (changed("tasks", to=["mis_ground_blank_box", "blind_mis_ground_none"]), r"with images and without"),
        (changed("models", "small", "kind", to="text"), r"takes text only, and is given tasks with images"),
        (changed("models", "small", "engine", to="llama.cpp"), r"'engine' of the model 'small' must be one of"),
        (changed("models", "small", "arguments", to={"api_key": "x"}), r"must hold no key or password.*api_key"),
        (changed("models", "small", to={}), r"model 'small' lacks 'pretrained'"),
        (changed("models", to=None), r"lacks 'models'"),
        (changed("styles", to=["fast"]), r"no such style.*fast"),
        (changed("budgets", to={"direct": "many"}), r"budgets: direct.*whole number.*many"),
        (changed("limit", to=-1), r"'limit' must be a whole number"),
        (changed("smallest_effect", to=2), r"'smallest_effect' must be a share"),
        (changed("limits", to=3), r"no such entry in the plan.*Did you mean 'limit'"),
    ],
)
def test_a_wrong_part_is_named_with_a_remedy(tmp_path, change, named):
    with pytest.raises(MISGroundError, match=named) as caught:
        read_plan(written(tmp_path, change))
    assert "plan.yaml" in str(caught.value)


@pytest.mark.parametrize("text", ["a: [", "- 1", ""])
def test_what_is_no_plan_is_said(tmp_path, text):
    (tmp_path / "plan.yaml").write_text(text)
    with pytest.raises(MISGroundError, match=r"plan\.yaml"):
        read_plan(tmp_path / "plan.yaml")
    with pytest.raises(MISGroundError, match="--init"):
        read_plan(tmp_path / "none.yaml")


def test_in_vllm_arms_that_need_more_than_logits_are_left_out_by_name(tmp_path):
    plan = read_plan(written(tmp_path, changed("models", "small", "engine", to="vllm")))
    able, unable = arms_of(plan, "small")
    assert set(unable) == {"vcd", "adaptvis", "scalingvis", "shuffled"}
    assert "matching: frequency" in unable["shuffled"]
    assert {arm.name for arm in able} == {arm.name for arm in plan.arms} - set(unable)


def test_text_models_have_no_arms_for_images(tmp_path):
    def change(plan):
        plan["models"]["small"] |= {"kind": "text", "tasks": ["blind_mis_ground_none"]}

    assert set(arms_of(read_plan(written(tmp_path, change)), "small")[1]) == {"vcd", "adaptvis", "scalingvis"}


@pytest.mark.parametrize(("text", "expected"), [(None, (1, 1)), ("2/4", (2, 4)), ("1/1", (1, 1))])
def test_shares(text, expected):
    assert share_of(text) == expected


@pytest.mark.parametrize("text", ["0/2", "3/2", "half", "1/0"])
def test_wrong_shares_are_refused(text):
    with pytest.raises(MISGroundError, match="--share must be I/N"):
        share_of(text)


def test_the_power_is_said_in_a_sentence(tmp_path):
    plan = read_plan(written(tmp_path))
    assert "20 volumes, which differ by 5.0 points, assumed" in power_line(plan, 20, None)
    assert "which differ by 1.0 points, seen in the pilot" in power_line(plan, 20, 0.01)
