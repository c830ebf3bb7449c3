"""A whole study on tiny models: run, stopped, resumed, changed midway, and reported."""

import json
from pathlib import Path

import pytest
import yaml

from dataset_builder.core.errors import MISGroundError
from dataset_builder.files.progress import silent
from lm_eval_tasks.study import models, questions, run
from lm_eval_tasks.study.command import dry_run, run_study
from lm_eval_tasks.study.models import Asker
from tests.helpers.tiny_dataset import write_dataset
from tests.helpers.tiny_models import save_tiny_llama, save_tiny_qwen3_vl

ROOT = Path(__file__).parents[3]
ARMS = {
    "greedy": {},
    "semsam": {"k": 16, "top_m": 5},
    "k1": {"top_m": 5},
    "shuffled": {"k": 16, "top_m": 5},
    "hot": {"rule": "default", "temperature": 2.0, "seeds": 2},
    "vcd": {},
}


def several_volumes(row: dict) -> dict:
    """The rows of `write_dataset`, of three volumes, half of them against anatomy."""
    number = row["slice_index"][0]
    prior = "right" if number % 4 < 2 else "left"
    return row | {"subject": str(number // 2 % 3), "prior_answer": prior}


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("study")
    write_dataset(folder / "data", 6, ("ct",), several_volumes)
    save_tiny_qwen3_vl(folder / "qwen")
    save_tiny_llama(folder / "llama")
    return folder


@pytest.fixture(scope="module", autouse=True)
def _loaded_once(place):
    """Models and tasks are loaded once for all runs of this file: what is tested lies behind that."""
    askers, managers, tasks = {}, {}, {}
    load, manage, find = models.Asker, questions.task_manager, questions.leaves

    def asker(model):
        key = (model.pretrained, model.kind, model.batch_size)
        if key not in askers:
            askers[key] = load(model)
        return askers[key]

    def manager(plan, style):
        key = (plan.dataset, style)
        if key not in managers:
            managers[key] = manage(plan, style)
        return managers[key]

    def leaves(by, names):
        key = (id(by), tuple(names))
        if key not in tasks:
            tasks[key] = find(by, names)
        return tasks[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MIS_GROUND_CACHE", str(place / "cache"))
        patch.chdir(place)
        patch.setattr(questions, "task_manager", manager)
        patch.setattr(questions, "leaves", leaves)
        for module in (models, run):
            patch.setattr(module, "Asker", asker)
            patch.setattr(module, "close", lambda asker: None)
        yield


def plan_of(place: Path, name: str, **changes) -> Path:
    plan = {
        "name": name,
        "dataset": str(place / "data"),
        "models": {"qwen": {"pretrained": str(place / "qwen"), "batch_size": 4}},
        "tasks": ["mis_ground_ct_axial_directional_box", "mis_ground_blank_box", "mis_ground_view_mirrored"],
        "budgets": {"direct": 3, "reasoning": 4},
        "arms": ARMS,
        "primary": {"arm": "semsam", "against": "greedy"},
    } | changes
    path = place / f"{name}.yaml"
    path.write_text(yaml.safe_dump(plan, sort_keys=False), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def whole(place) -> Path:
    """A study of a vision model, whole."""
    lines = run_study(plan_of(place, "whole"), place / "whole", silent, None, False)
    assert lines[0].startswith("Primary comparison (qwen, direct): semsam against greedy")
    return place / "whole"


def numbers(out: Path) -> dict:
    return json.loads((out / "study.json").read_text(encoding="utf-8"))


def answers(out: Path, arm: str, seed: int = 0, style: str = "direct") -> list[dict]:
    text = (out / "answers" / "qwen" / style / f"{arm}-{seed}.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def test_all_arms_answer_the_same_questions(whole):
    asked = {arm: [line["id"] for line in answers(whole, arm)[1:]] for arm in ARMS}
    assert len(asked["greedy"]) == len(set(asked["greedy"])) == 18
    assert all(each == asked["greedy"] for each in asked.values())
    assert answers(whole, "hot", 0)[1:] != answers(whole, "hot", 1)[1:]
    assert answers(whole, "k1")[1:] == answers(whole, "greedy")[1:]
    assert answers(whole, "semsam")[1:] != answers(whole, "greedy")[1:]


def test_what_decides_the_answers_is_written_down_first(whole, place):
    record = json.loads((whole / "record.json").read_text(encoding="utf-8"))
    first = record["first"]
    assert len(first["plan_sha256"]) == 64
    assert first["data"]["data_digest"]
    assert first["versions"]["transformers"]
    assert len(first["models"]["qwen"]["files"]["model.safetensors"]) == 64
    assert record["changes"] == []
    assert str(place) not in json.dumps(first["data"])


def test_the_report_counts_what_differs(whole):
    found = numbers(whole)
    (part,) = found["parts"]
    assert (part["questions"], part["scored"], part["volumes"]) == (18, 6, 3)
    arms = {arm["name"]: arm for arm in part["arms"]}
    assert arms["k1"]["tokens_changed"] == 0
    assert arms["k1"]["first_change"] is None
    assert arms["semsam"]["tokens_changed"] > 0
    assert arms["hot"]["seeds"] == 2
    assert arms["greedy"]["seconds_a_token"] > 0
    assert arms["greedy"]["length"] <= 12  # bytes of three tokens
    pairs = {(test["arm"], test["against"]) for test in part["comparisons"]}
    assert {("semsam", "greedy"), ("semsam", "k1"), ("semsam", "shuffled"), ("vcd", "greedy")} <= pairs
    assert {tuple(test["by"]) for test in part["by_prior"]} == {("prior", "with anatomy"), ("prior", "against anatomy")}
    tested = [*part["comparisons"], *part["by_factor"], *part["by_prior"]]
    primary = [test for test in part["comparisons"] if (test["arm"], test["against"]) == ("semsam", "greedy")]
    assert primary[0]["p_holm"] is None
    assert all(test["p_holm"] is not None for test in tested if test["p"] is not None and test is not primary[0])
    assert found["semantic"][0]["verdict"] is False
    assert "so no gain counts as semantic" in found["semantic"][0]["sentence"]


def test_the_pages_are_whole_and_load_nothing(whole):
    for name in ("index.html", "language-or-perception.html"):
        page = (whole / name).read_text(encoding="utf-8")
        assert "{{" not in page
        assert "http" not in page.replace("http-equiv", "")
    page = (whole / "language-or-perception.html").read_text(encoding="utf-8")
    assert "on the blank canvas" in page
    assert "Primary comparison" in (whole / "index.html").read_text(encoding="utf-8")


FEW = {name: ARMS[name] for name in ("greedy", "hot")}
"""For runs that are compared with the whole study's."""


def test_a_study_that_was_stopped_anywhere_resumes_to_the_same(place, whole, monkeypatch):
    path = plan_of(place, "stopped", arms=FEW, primary={"arm": "hot", "against": "greedy"})
    asked: list[int] = []
    original = Asker.ask

    def stop(self, requests, arm, seed):
        if len(asked) % 4 == 2:
            asked.append(0)
            raise KeyboardInterrupt
        asked.append(len(requests))
        return original(self, requests, arm, seed)

    monkeypatch.setattr(Asker, "ask", stop)
    stops = 0
    while True:
        try:
            run_study(path, place / "stopped", silent, None, False)
            break
        except KeyboardInterrupt:
            stops += 1
    assert stops > 1
    assert sum(asked) == 18 * 3  # no question was asked twice
    for arm in FEW:
        assert answers(place / "stopped", arm)[1:] == answers(whole, arm)[1:]
    asked.clear()
    run_study(path, place / "stopped", silent, None, False)
    run_study(path, place / "stopped", silent, None, True)  # the report alone
    assert not asked


def test_processes_that_share_a_study_give_the_same_answers(place, whole):
    path = plan_of(place, "shared", arms=FEW, primary={"arm": "hot", "against": "greedy"})
    for share in ("1/2", "2/2"):
        (line,) = run_study(path, place / "shared", silent, share, False)
        assert line.startswith(f"Part {share} is answered")
    run_study(path, place / "shared", silent, None, False)
    assert answers(place / "shared", "hot", 1)[1:] == answers(whole, "hot", 1)[1:]
    assert answers(place / "shared", "greedy")[0]["cost"]["tokens"] == answers(whole, "greedy")[0]["cost"]["tokens"]


def test_a_plan_changed_midway_is_marked(place):
    few = {"greedy": {}, "semsam": {"k": 16, "top_m": 5}}
    tasks = ["mis_ground_ct_axial_directional_box"]
    out = place / "changed"
    run_study(plan_of(place, "changed", arms=few, tasks=tasks), out, silent, None, False)
    assert "CHANGED" not in (out / "study.md").read_text()
    lines = run_study(plan_of(place, "changed", arms=few | {"k1": {"top_m": 5}}, tasks=tasks), out, silent, None, False)
    assert any("CHANGED MIDWAY" in line and "the plan" in line for line in lines)
    assert any("added after answers had been given: arms k1" in line for line in lines)
    assert "CHANGED MIDWAY" in (out / "index.html").read_text()
    with pytest.raises(MISGroundError, match="holds another study"):
        run_study(plan_of(place, "other", arms=few, tasks=tasks), out, silent, None, False)


def test_a_text_model_in_two_styles(place):
    path = plan_of(
        place,
        "text",
        models={"llama": {"pretrained": str(place / "llama"), "kind": "text", "batch_size": 8}},
        tasks=["blind_mis_ground_none"],
        styles=["direct", "reasoning"],
        arms={name: ARMS[name] for name in ("greedy", "semsam", "vcd")},
    )
    run_study(path, None, silent, None, False)
    found = numbers(place / "text")
    assert [part["style"] for part in found["parts"]] == ["direct", "reasoning"]
    assert found["parts"][0]["left_out"] == {"vcd": "it is defined for questions with images only"}
    assert {test["against"] for test in found["styles"]} == {"greedy (direct)", "semsam (direct)"}


def test_a_dry_run_counts_estimates_and_stores_nothing(place):
    path = plan_of(place, "dry", arms={"greedy": {}, "semsam": {}}, tasks=["mis_ground_ct_axial_directional_box"])
    lines = list(dry_run(path, None))
    assert lines[1] == "qwen: 6 questions about 3 volumes, 2 arms, styles direct"
    assert any("direct, semsam: about" in line for line in lines)
    assert lines[-1].startswith("Primary comparison, semsam against greedy: a difference of 2 points")
    assert not (place / "dry").exists()


def test_a_pilot_gives_the_spread(place, whole):
    path = plan_of(
        place,
        "dry",
        pilot=str(whole),
        tasks=["mis_ground_ct_axial_directional_box"],
        arms={"greedy": {}, "semsam": {"k": 16, "top_m": 5}},
    )
    assert "seen in the pilot" in list(dry_run(path, None))[-1]


@pytest.mark.parametrize("size", ["2b", "4b", "8b", "32b"])
def test_the_plans_for_qwen3_vl_run_with_a_tiny_one_put_in(place, size):
    """Unchanged but for the model's place and the data set; two questions a task, three tokens an answer."""
    plan = yaml.safe_load((ROOT / "docs" / "plans" / f"qwen3-vl-{size}.yaml").read_text(encoding="utf-8"))
    (name,) = plan["models"]
    plan["models"][name] |= {"pretrained": str(place / "qwen"), "arguments": {"dtype": "float32"}, "batch_size": 4}
    plan |= {"dataset": str(place / "data"), "limit": 2, "budgets": {"direct": 3, "reasoning": 3}}
    plan["tasks"] = ["mis_ground_ct_axial_directional_box"]
    plan["arms"] = {
        arm: settings | ({"seeds": 1} if "seeds" in settings else {}) for arm, settings in plan["arms"].items()
    }
    path = place / f"qwen-{size}.yaml"
    path.write_text(yaml.safe_dump(plan), encoding="utf-8")
    run_study(path, None, silent, None, False)
    found = numbers(place / plan["name"])
    assert {arm["name"] for arm in found["parts"][0]["arms"]} == set(plan["arms"])


def test_a_damaged_file_is_named(whole, place):
    path = place / "whole" / "answers" / "qwen" / "direct" / "k1-0.jsonl"
    kept = path.read_text()
    path.write_text(kept[:-40])
    try:
        with pytest.raises(MISGroundError, match=r"file of answers is damaged.*k1-0\.jsonl"):
            run_study(plan_of(place, "whole"), place / "whole", silent, None, True)
    finally:
        path.write_text(kept)
